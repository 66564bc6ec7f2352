"""``reconciler comment`` as a job calls it."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.cli.main import main

Run = Callable[..., SimpleNamespace]
OF_OTHERS = ("RECONCILER_", "CI", "GITHUB_", "GITLAB_")
MARKDOWN = "<!-- reconciler:plan 0123456789ab -->\n### Plan\n\n**1 to create**\n"


class _Terminal(io.TextIOWrapper):
    """Standard input that somebody types into."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command in an empty folder, as in a job of the forge; ``said`` is what comes in on standard input."""

    def call(
        *arguments: str, code: int = 0, said: str | bytes = "", terminal: bool = False, **environ: str
    ) -> SimpleNamespace:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(OF_OTHERS)]:
                patch.delenv(name)
            for name, value in {**variables, **environ}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            content = said if isinstance(said, bytes) else said.encode()
            patch.setattr(sys, "stdin", (_Terminal if terminal else io.TextIOWrapper)(io.BytesIO(content)))
            ended = main(["comment", *arguments])
        out, err = capsys.readouterr()
        assert ended == code, out + err
        assert "canary-token" not in out + err
        return SimpleNamespace(out=out, err=err)

    return call


@pytest.fixture
def from_fork(variables: dict[str, str], tmp_path: Path) -> None:
    """The job belongs to a pull request from somebody else's copy."""
    if "GITLAB_CI" in variables:
        variables |= {"CI_MERGE_REQUEST_PROJECT_ID": "42", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "99"}
        return
    head, base = {"repo": {"full_name": "someone/bots"}}, {"repo": {"full_name": "acme/bots"}}
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12, "head": head, "base": base}}), encoding="utf-8")
    variables["GITHUB_EVENT_PATH"] = str(event)


def test_what_comes_in_is_the_comment(run: Run, forge: Any) -> None:
    assert "created" in run("--pull", "12", said=MARKDOWN).out
    assert "unchanged" in run("--pull", "12", said=MARKDOWN).out
    assert forge.bodies("ci-bot") == [MARKDOWN]


def test_a_plan_and_its_evaluation_are_two_comments(run: Run, forge: Any) -> None:
    other = MARKDOWN.replace("reconciler:plan", "reconciler:verdicts")
    run("--pull", "12", said=MARKDOWN)
    run("--pull", "12", said=other)
    assert forge.bodies("ci-bot") == [MARKDOWN, other]


def test_a_comment_that_would_be_too_long_is_cut_between_lines(run: Run, forge: Any) -> None:
    lines = "\n".join(f"line {number} " + "x" * 90 for number in range(2_000))
    run("--pull", "12", said=f"# Results\n\n<details>\n\n```diff\n{lines}\n```\n\n</details>\n")
    (body,) = forge.bodies("ci-bot")
    assert 60_000 < len(body) <= 65_536
    assert body.split("```")[-1].lstrip().startswith("\n</details>".strip())
    assert "more lines, left out" in body.split("\n")[-2]


def test_twins_are_named(run: Run, forge: Any) -> None:
    for _ in range(2):
        forge.say("ci-bot", MARKDOWN)
    assert "1 more of our comments" in run("--pull", "12", said=MARKDOWN).err


@pytest.mark.parametrize("variables", ["github"], indirect=True)
def test_an_app_of_ones_own_is_told_how_to_find_its_comment_again(
    run: Run, forge: Any, variables: dict[str, str]
) -> None:
    forge.me, forge.app = "acme[bot]", True
    assert "pass --author 'acme[bot]'" in run("--pull", "12", said=MARKDOWN).err
    assert "unchanged" in run("--pull", "12", "--author", "acme[bot]", said=MARKDOWN).out
    assert variables["GITHUB_TOKEN"] not in forge.bodies("acme[bot]")[0]


def test_a_person_at_a_terminal_is_not_left_waiting(run: Run) -> None:
    assert "nothing to say" in run("--pull", "12", code=64, terminal=True).err


@pytest.mark.usefixtures("forge")
def test_more_than_anybody_would_read_is_refused(run: Run) -> None:
    assert "larger than 64 MiB" in run("--pull", "12", said=b"x" * (64 * 1024**2 + 1), code=1).err


@pytest.mark.usefixtures("from_fork")
def test_a_fork_gets_the_text_without_a_comment(run: Run, forge: Any, tmp_path: Path) -> None:
    """Its jobs may not write; nobody can do anything about it, so the job succeeds."""
    forge.read_only = True
    summary = tmp_path / "summary.md"
    said = run(said=MARKDOWN, GITHUB_STEP_SUMMARY=str(summary))
    assert "it comes from a fork" in said.err
    assert (summary.read_text(encoding="utf-8") if summary.exists() else said.out) == MARKDOWN
    assert forge.comments == []


@pytest.mark.usefixtures("from_fork")
def test_a_fork_without_a_token_gets_the_text_too(run: Run, variables: dict[str, str]) -> None:
    variables |= {"GITHUB_TOKEN": ""} if "GITHUB_TOKEN" in variables else {"GITLAB_TOKEN": ""}
    said = run(said=MARKDOWN)
    assert "it follows here" in said.err
    assert "### Plan" in said.out


def test_without_a_token_it_is_said_where_one_comes_from(run: Run, variables: dict[str, str]) -> None:
    source = "${{ github.token }}" if variables.pop("GITHUB_TOKEN", "") else "access token with the scope api"
    variables.pop("GITLAB_TOKEN", "")
    said = " ".join(run("--pull", "12", said=MARKDOWN, code=1).err.split())
    assert "_TOKEN is not set hint: " in said
    assert source in said


def test_a_token_that_may_not_write_is_a_mistake_elsewhere(run: Run, forge: Any, tmp_path: Path) -> None:
    forge.read_only = True
    summary = tmp_path / "summary.md"
    said = run("--pull", "12", said=MARKDOWN, code=1, GITHUB_STEP_SUMMARY=str(summary))
    assert "permissions: pull-requests: write" in said.err or "scope api" in said.err
    assert MARKDOWN in (summary.read_text(encoding="utf-8") if summary.exists() else said.out)


def test_no_text_becomes_a_command_of_the_log(run: Run, forge: Any) -> None:
    forge.read_only = True
    said = run("--pull", "12", said="hello\n  ::add-mask::hello\n\x1b[2J##[error]x\n", code=1)
    assert "\n  ::add-mask" not in said.out
    assert "##[" not in said.out
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "nothing to say"),
        (" \n ", "nothing to say"),
        ('{"steps": 1}', "not a JSON"),
        ('{"format_version": "2.0", "verdicts": []}', "not a JSON"),
        ("{" * 100_000, "not a JSON"),
    ],
)
def test_what_can_not_be_told_is_a_mistake_of_the_caller(run: Run, said: str, words: str) -> None:
    assert words in run("--pull", "12", said=said, code=64).err


@pytest.mark.parametrize("name", ["plan.json", "PLAN.JSON"])
@pytest.mark.parametrize("said", [MARKDOWN, "\n@acme/security [the plan](https://elsewhere.invalid)", "[1]", '"x"'])
def test_a_file_that_calls_itself_json_is_no_markdown(
    run: Run, forge: Any, tmp_path: Path, name: str, said: str
) -> None:
    """It may be the artifact of a stranger's job: as Markdown it would say anything, in the place of any comment."""
    forge.say("ci-bot", MARKDOWN)
    (tmp_path / name).write_text(said, encoding="utf-8")
    err = run("--from", name, "--pull", "12", code=64).err
    assert "not a JSON" in err
    assert "a file of another name" in err
    assert forge.bodies("ci-bot") == [MARKDOWN]
    assert forge.writes == []


def test_with_a_marker_no_json_chooses_which_comment_it_replaces(run: Run, forge: Any, tmp_path: Path) -> None:
    """The environment that a JSON names, and what it tells of, choose one only where the job names none."""
    verdicts = {"format_version": "1.0", "environment": "production", "verdicts": []}
    (tmp_path / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")
    run("--from", "verdicts.json", "--pull", "12")
    (of_the_job,) = forge.bodies("ci-bot")
    for environment in ("production", "-->\n<!-- reconciler:verdicts 0123456789ab -->"):
        (tmp_path / "fork.json").write_text(json.dumps({**verdicts, "environment": environment}), encoding="utf-8")
        run("--from", "fork.json", "--marker", "fork", "--pull", "12")
        mine, fork = forge.bodies("ci-bot")
        assert mine == of_the_job
        assert fork.startswith("<!-- reconciler:comment ")


def test_bytes_that_are_no_text_do_no_harm(run: Run, forge: Any) -> None:
    run("--pull", "12", said=b"\xef\xbb\xbfhello\r\n\xff\x00world")
    assert forge.bodies("ci-bot")[0].split("\n")[1:] == ["hello", "\ufffdworld"]


def test_a_file_that_is_not_there(run: Run) -> None:
    assert "--from missing.md" in run("--from", "missing.md", "--pull", "12", code=1).err


@pytest.mark.parametrize("variables", ["github"], indirect=True)
def test_a_run_of_a_branch_has_nothing_to_comment_on(run: Run) -> None:
    assert "no pull request" in run(said=MARKDOWN, code=64).err


@pytest.mark.parametrize("variables", ["github"], indirect=True)
def test_another_variable_may_hold_the_token(run: Run, variables: dict[str, str], forge: Any) -> None:
    variables["BOT_TOKEN"] = variables.pop("GITHUB_TOKEN")
    variables["GITHUB_TOKEN"] = "a-token-of-the-job"
    run("--pull", "12", "--token-variable", "BOT_TOKEN", said=MARKDOWN)
    assert forge.bodies("ci-bot") == [MARKDOWN]


@pytest.mark.parametrize("variables", ["github"], indirect=True)
def test_an_address_that_shows_the_token_to_the_network_is_refused(run: Run) -> None:
    err = run("--pull", "12", said=MARKDOWN, code=1, GITHUB_API_URL="http://github.acme.example/api/v3").err
    assert "GITHUB_API_URL is a plain http address" in err
