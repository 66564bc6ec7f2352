"""What cannot be read, written or listened at is an error of a line or two that names it, never a defect of ours."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.nobody import as_nobody

NEEDS_THE_EMULATOR = ["plan", "status", "drift", "export --out out", "pin --from-result x", "suggest x --budget 1/week"]


@pytest.fixture
def read_only(bot: Any) -> Iterator[Callable[[], Any]]:
    """Makes a copy of the folder that nobody may write to; what is in it may be read."""
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))

    def copied() -> Any:
        shutil.copytree(bot.folder, folder, dirs_exist_ok=True, symlinks=True)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        return replace(bot, folder=folder)

    yield copied
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def is_told(result: Any, *words: str) -> None:
    assert result.err.startswith("error: ")
    assert "defect" not in result.err
    assert "hint: " in result.err
    for each in words:
        assert each in result.words


# ------------------------------------------------------------------------------------------ the environment local


@pytest.mark.parametrize("command", NEEDS_THE_EMULATOR)
@pytest.mark.parametrize("applied", [False, True])
def test_a_read_only_folder_is_named_where_the_emulator_needs_it(
    command: str, applied: bool, bot: Any, read_only: Callable[[], Any]
) -> None:
    if applied:
        bot("apply", "--yes", "--env", "local")
    there = read_only()
    with as_nobody():
        told = there(*command.split(), "--env", "local", code=1)
    is_told(told, ".reconciler/local.db", "needs a folder that can be written")


def test_doctor_says_that_a_read_only_folder_fails(bot: Any, read_only: Callable[[], Any]) -> None:
    bot("apply", "--yes", "--env", "local")
    there = read_only()
    with as_nobody():
        told = there("doctor", "--env", "local", code=1)
    assert "ok state: " in told.words
    assert "FAIL openlayer: " in told.words
    assert "FAIL digitalocean: " in told.words
    assert "local.db" in told.out


@pytest.mark.parametrize("damage", ["other content", "broken pages", "a folder"])
def test_a_damaged_file_of_the_emulator_is_named(damage: str, bot: Any) -> None:
    bot("apply", "--yes", "--env", "local")
    file = bot.folder / ".reconciler" / "local.db"
    content = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    else:
        file.write_bytes(b"garbage" * 1000 if damage == "other content" else content[:8192].ljust(len(content), b"x"))
    told = bot("plan", "--env", "local", code=1)
    is_told(told, ".reconciler/local.db")
    if damage != "a folder":
        assert "remove" in told.words


# ------------------------------------------------------------------------------------------ the emulator's options


def test_a_port_that_is_taken_is_named(cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        is_told(cli("emulator", "--port", port, code=1), f"port {port}", "address already in use", "--port 0")


@pytest.mark.parametrize("host", ["203.0.113.7", "no..host", "::1::"])
def test_a_host_that_is_not_ours_is_named(host: str, cli: Any) -> None:
    is_told(cli("emulator", "--port", "0", "--host", host, code=1), host)


def test_data_that_is_no_database_is_named(cli: Any) -> None:
    cli.write("garbage.db", "nothing that SQLite has written\n" * 100)
    is_told(cli("emulator", "--port", "0", "--data", "garbage.db", code=1), "--data garbage.db", "not a database")
    is_told(cli("emulator", "--port", "0", "--data", "garbage.db/x.db", code=1), "--data garbage.db/x.db")


@pytest.mark.parametrize("option", ["--faults", "--seed"])
@pytest.mark.parametrize("content", ["{", '{"no": "such key"}', "[" * 200_000, "\udcff"])
def test_a_script_that_is_none_is_named(option: str, content: str, cli: Any) -> None:
    (cli.folder / "n.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    told = cli("emulator", "--port", "0", option, "n.json", code=64)
    assert told.err.startswith(f"error: {option} n.json: ")
    assert "defect" not in told.err


# ------------------------------------------------------------------------------------------ what is written elsewhere


@pytest.mark.parametrize("command", ["schema --write", "export --env local --out"])
def test_a_folder_that_can_not_be_written_is_named(command: str, bot: Any) -> None:
    bot("apply", "--yes", "--env", "local")
    bot.write("file", "in the way")
    is_told(bot(*command.split(), "file/in", code=1), f"{command.split()[-1]} file/in: not a directory")


def test_a_manifest_that_can_not_be_rewritten_is_named(read_only: Callable[[], Any]) -> None:
    there = read_only()
    with as_nobody():
        told = there("fmt", code=1)
    assert "bot.yaml: cannot be written: permission denied" in told.words.lower()


# ------------------------------------------------------------------------------------------ manifests behind a link


def test_a_link_into_a_folder_that_may_not_be_entered_is_a_problem_of_the_link(
    bot: Any, read_only: Callable[[], Any]
) -> None:
    """Unless it is passed over: what it led to might be what the state knows, and would be archived."""
    (bot.folder / ".closed" / "folder").mkdir(parents=True)
    (bot.folder / ".closed" / "there.yaml").write_text("")
    (bot.folder / "link.yaml").symlink_to(".closed/there.yaml")
    (bot.folder / "other").symlink_to(".closed/folder")
    (bot.folder / "passed").symlink_to(".closed/folder")
    bot.write(".reconcilerignore", "passed\n")
    there = read_only()
    (there.folder / ".closed").chmod(0o000)
    with as_nobody():
        told = there("validate", code=1)
    assert "link.yaml: cannot be read: Permission denied" in told.words
    assert "other: cannot be read: Permission denied" in told.words
    assert "2 problems" in told.words
    (there.folder / ".closed").chmod(0o755)


def test_a_list_of_what_to_pass_over_that_can_not_be_read_is_a_problem_too(
    bot: Any, read_only: Callable[[], Any]
) -> None:
    (bot.folder / "part").mkdir()
    bot.write("part/.reconcilerignore", "old.yaml\n")
    there = read_only()
    (there.folder / "part" / ".reconcilerignore").chmod(0o000)
    with as_nobody():
        told = there("validate", code=1)
    assert "part/.reconcilerignore: cannot be read: Permission denied" in told.words


@pytest.mark.parametrize("command", ["validate", "plan", "destroy --yes", "fmt"])
def test_a_variable_that_is_not_set_does_not_mean_everything(command: str, bot: Any, platform: Any) -> None:
    told = bot(*command.split(), "", code=64)
    is_told(told, "a path is empty", 'For the working directory, write "."')
    assert platform.seen == []


@pytest.mark.parametrize(
    "command",
    [
        "plan --out",
        "plan --events",
        "plan --offline --base HEAD --out",
        "plan --report markdown=",
        "apply --yes --plan",
        "apply --yes --events",
        "evaluate --events",
        "export --out",
        "pin --from-result r-1 --out",
        "schema --write",
        "comment --pull 1 --from",
        "init",
    ],
)
def test_a_file_without_a_name_is_no_file(command: str, bot: Any, platform: Any) -> None:
    """What was asked for would be written nowhere, and nobody would notice; a plan that was saved would be another."""
    *most, last = command.split()
    told = bot(*most, *([last] if "=" in last else [last, ""]), code=64)
    assert "no file" in told.words or "is empty; was a variable not set?" in told.words
    assert platform.seen == []
    assert [path.name for path in bot.folder.iterdir()] == ["bot.yaml"]


@pytest.mark.parametrize(("option", "form"), [("--ack", "RISK=N"), ("--var", "NAME=VALUE")])
def test_an_option_that_is_no_pair_says_which_one_is_wanted(option: str, form: str, bot: Any) -> None:
    assert f"'' is not {form}" in bot("plan", option, "", code=64).words


@pytest.mark.parametrize("command", ["plan", "apply --yes --evaluate", "status", "state list"])
@pytest.mark.parametrize("options", ["", "--env local"])
def test_a_clock_beyond_all_years_is_told(
    bot: Any, platform: Any, command: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No date can be written that is so late, and no lock or journal could be read with it."""
    monkeypatch.setattr("time.time", lambda: 3e11)
    is_told(bot(*command.split(), *options.split(), code=1), "this computer's clock", "set it")
    assert platform.seen == []
