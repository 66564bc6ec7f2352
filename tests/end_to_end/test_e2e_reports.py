"""``--report`` and ``--events`` of whole runs: what CI systems find afterwards, however a run ended."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from junitparser import JUnitXml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import reconciler
from reconciler.reporting.event_schema import event_schema
from reconciler.reporting.machine import to_json
from reconciler.reporting.reading import read_told

Doc = dict[str, Any]
PACKAGE = Path(reconciler.__file__).parent
COMMITTED = PACKAGE.parent / "schemas" / "event.v1.json"
FAR = ["--since", "2h"]


@pytest.fixture
def actions(bot: Any) -> dict[str, str]:
    """What a step of GitHub Actions finds in its environment; the checkout begins one folder further up."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(bot.folder.parent),
        "GITHUB_STEP_SUMMARY": str(bot.folder / "summary.md"),
        "GITHUB_OUTPUT": str(bot.folder / "outputs"),
    }


def _outputs(bot: Any) -> dict[str, str]:
    found, lines = {}, iter((bot.folder / "outputs").read_text(encoding="utf-8").split("\n"))
    for line in lines:
        name, _, delimiter = line.partition("<<")
        if name:
            found[name] = "\n".join(iter(lines.__next__, delimiter))
    return found


def _text(bot: Any, name: str) -> str:
    return str((bot.folder / name).read_text(encoding="utf-8"))


def _closed(schema: Any) -> Any:
    """The same schema for readers that know every key."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    keys = {"additionalProperties": False} if isinstance(schema.get("required"), list) else {}
    return {**{name: _closed(each) for name, each in schema.items()}, **keys}


def _events(bot: Any) -> list[Doc]:
    """All events, each of which is as the schema says, and has nothing that stands not in it."""
    events = [json.loads(line) for line in _text(bot, "events.ndjson").splitlines()]
    schema = _closed(event_schema())
    validator = Draft7Validator({**schema, "oneOf": [each for each in schema["oneOf"] if "$ref" in each]})
    for event in events:
        assert [error.message for error in validator.iter_errors(event)] == [], event
    return events


# ------------------------------------------------------------------------------------------------- reports


def test_a_plan_goes_to_every_form_at_once(bot: Any) -> None:
    forms = {"text": "plan.txt", "json": "plan.json", "markdown": "plan.md", "gitlab": "tfplan.json"}
    shown = bot("plan", *(f"--report={form}={file}" for form, file in forms.items()))
    assert _text(bot, "plan.txt") == shown.out
    assert json.loads(_text(bot, "plan.json"))["summary"]["create"] == 5
    assert "**Plan: 5 to create. 0 unchanged.**" in _text(bot, "plan.md")
    assert json.loads(_text(bot, "tfplan.json")) == {"create": 5, "update": 0, "delete": 0}


@pytest.mark.parametrize(
    ("command", "forms"),
    [
        (["plan"], ["text", "json", "markdown", "html", "gitlab"]),
        (["drift"], ["text", "json", "markdown", "html", "gitlab"]),
        (["status"], ["text", "json", "markdown", "html", "junit", "openmetrics"]),
        (["validate"], ["json", "markdown", "html", "gitlab", "sarif"]),
    ],
)
def test_what_is_printed_is_what_is_written(bot: Any, command: list[str], forms: list[str]) -> None:
    """``--format`` and ``--report`` are two ways to the same text."""
    bot("apply", "--yes")
    code = 5 if command == ["status"] else 0
    bot(*command, *(f"--report={form}={form}.out" for form in forms), code=code)
    for form in forms:
        assert bot(*command, "--format", form, code=code).out.rstrip("\n") == _text(bot, f"{form}.out").rstrip("\n"), (
            form
        )


def test_a_page_in_html_is_one_document_however_much_it_tells(bot: Any) -> None:
    """An apply tells its plan, what came of it and the verdicts; printed, nothing else stands on stdout."""
    printed = bot("apply", "--yes", "--evaluate", *FAR, "--format", "html", "--report=html=page.html", code=5).out
    page = _text(bot, "page.html")
    assert printed == page
    assert (page.count("<!DOCTYPE html>"), page.count("</html>")) == (1, 1)
    assert "<title>Failed: Apply for default</title>" in page
    assert re.findall("<h2>(Evaluation|Apply|Plan)</h2>", page) == ["Evaluation", "Plan"], (
        "what went well needs no more"
    )
    assert "Plan: 5 to create." in page
    removed = bot("destroy", "--yes", "--format", "html").out
    assert "<h1>Destroy for <code>default</code></h1>" in removed
    assert removed.count("<!DOCTYPE html>") == 1


def test_a_page_in_html_says_what_ended_the_run(bot: Any) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "<i>: llm-base")
    bot("plan", "--report=html=page.html", code=1)
    page = _text(bot, "page.html")
    assert "<title>Invalid: Plan" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page


def test_a_failed_gate_is_red_in_the_test_tab(bot: Any) -> None:
    bot("apply", "--yes")
    bot("evaluate", *FAR, "--report=junit=junit.xml", "--report=openmetrics=m.txt", "--report=json=v.json", code=5)
    report = JUnitXml.fromstring(_text(bot, "junit.xml").encode())
    names = {case.name: [type(each).__name__ for each in case.result] for suite in report for case in suite}
    assert set(names) == {"monitoring/Rows arrive [live]", "monitoring/Rows arrive [canary]",
                          "monitoring/Answers are short [live]"}  # fmt: skip
    assert report.failures + report.errors >= 2
    assert json.loads(_text(bot, "v.json"))["environment"] == "default"
    families = {each.name for each in text_string_to_metric_families(_text(bot, "m.txt"))}  # type: ignore[no-untyped-call]
    assert {"reconciler_verdict", "reconciler_verdicts"} <= families


def test_a_report_of_yesterday_is_not_mistaken_for_todays(bot: Any) -> None:
    """A run that ends before there are verdicts leaves an error behind, or nothing; never what was there."""
    for name in ("junit.xml", "m.txt"):
        bot.write(name, "of yesterday")
    bot("status", "--select", "nothing/*", "--report=junit=junit.xml", "--report=openmetrics=m.txt", code=64)
    (case,) = (case for suite in JUnitXml.fromstring(_text(bot, "junit.xml").encode()) for case in suite)
    assert [type(each).__name__ for each in case.result] == ["Error"]
    assert not (bot.folder / "m.txt").exists()


def test_a_report_goes_through_a_link(bot: Any) -> None:
    bot.write("real.md", "of yesterday")
    (bot.folder / "link.md").symlink_to("real.md")
    bot("plan", "--env", "local", "--report=markdown=link.md")
    assert (bot.folder / "link.md").is_symlink()
    assert _text(bot, "real.md").startswith("<!-- reconciler:")


def test_a_report_to_a_stream_that_is_a_log_is_added_to_it(bot: Any) -> None:
    """As ``/dev/stderr`` is where a job's messages go to a file."""
    link, log = bot.folder / "stderr", bot.folder / "log.txt"
    link.symlink_to("/proc/self/fd/2")
    with log.open("w") as file:
        file.write("before\n")
        file.flush()
        command = [sys.executable, "-m", "reconciler", "plan", "--env", "local", f"--report=markdown={link}"]
        environ = {**os.environ, "PYTHONPATH": str(Path(reconciler.__file__).parents[1])}
        subprocess.run(command, cwd=bot.folder, stdout=subprocess.DEVNULL, stderr=file, check=True, env=environ)
    assert link.is_symlink()
    assert log.read_text(encoding="utf-8").startswith("before\n")
    assert "<!-- reconciler:" in log.read_text(encoding="utf-8")


def test_a_page_that_says_how_a_run_failed_replaces_the_one_that_says_how_it_went(bot: Any) -> None:
    """Both begin with the marker that a comment is found by."""
    bot("plan", "--env", "local", "--report=markdown=plan.md")
    bot("plan", "--env", "local", "--var", "x", "--report=markdown=a.md", code=64)  # says nothing at all
    bot.write("more.yaml", "kind: x")
    bot("plan", "--env", "local", "--report=markdown=failed.md", code=1)
    bot("evaluate", "--env", "local", "--report=markdown=verdicts.md", code=1)
    marks = [_text(bot, name).split("\n")[0] for name in ("plan.md", "failed.md", "verdicts.md")]
    assert marks[0] == marks[1] != marks[2]
    assert marks[2].startswith("<!-- reconciler:verdicts ")


def test_an_apply_that_changed_no_test_has_an_empty_report(bot: Any) -> None:
    bot("apply", "--yes")
    bot("apply", "--yes", "--evaluate", "--report=junit=junit.xml")
    assert JUnitXml.fromstring(_text(bot, "junit.xml").encode()).tests == 0


def test_an_apply_that_failed_was_not_evaluated_and_says_so(bot: Any, platform: Any) -> None:
    platform.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "status", "status": 422})
    bot("apply", "--yes", "--evaluate", "--report=junit=junit.xml", "--report=markdown=apply.md", code=4)
    (case,) = (case for suite in JUnitXml.fromstring(_text(bot, "junit.xml").encode()) for case in suite)
    assert "exit code 4" in case.result[0].message
    assert "| 🔴 failed | create `bot/monitoring/" in _text(bot, "apply.md")
    assert "nothing was evaluated" not in _text(bot, "apply.md")


def test_nobody_reading_the_answer_does_not_take_the_reports_away(bot: Any) -> None:
    """``reconciler plan | head -1``: the pipe breaks, and CI still finds what it was promised."""
    process = bot.start("plan", "--report=json=plan.json")
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert json.loads(_text(bot, "plan.json"))["summary"]["create"] == 5


def test_mistakes_in_manifests_go_to_every_form(bot: Any) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "taskTyp: llm-base")
    forms = {"sarif": "a.sarif", "gitlab": "quality.json", "markdown": "v.md", "json": "v.json", "text": "v.txt"}
    bot("validate", *(f"--report={form}={file}" for form, file in forms.items()), code=1)
    assert len(json.loads(_text(bot, "a.sarif"))["runs"][0]["results"]) == len(json.loads(_text(bot, "quality.json")))
    assert "taskTyp" in _text(bot, "v.md")


def test_drift_is_told_in_every_form(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    canary = platform.pipelines("bot")["canary"]["id"]
    platform.api("PUT", f"/inference-pipelines/{canary}", {"description": "by hand"})
    bot("drift", "--report=gitlab=tfplan.json", "--report=text=drift.txt", "--report=markdown=drift.md", code=2)
    assert json.loads(_text(bot, "tfplan.json"))["update"] == 1
    assert "Drifted: " in _text(bot, "drift.txt")
    told = _text(bot, "drift.md")
    assert told.startswith("<!-- reconciler:drift ")
    assert "### Drift for `default`\n\n**Drifted: 1 resource.**" in told
    assert 'description: "by hand" at the platform, "A tenth of the traffic" in the manifests' in told
    assert bot("drift", "--format", "github", code=2).out.startswith("::warning file=bot.yaml,line=")


def test_every_form_tells_what_was_done_to_a_threshold_at_the_platform(bot: Any, platform: Any) -> None:
    """At least 2 rows became at least 1: that is loosened, though the next apply will tighten it again."""
    bot("apply", "--yes")
    project, test = platform.projects()["bot"]["id"], platform.tests("bot")["Rows arrive"]["id"]
    limit = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}
    platform.api("PUT", f"/projects/{project}/tests", {"payloads": [{"id": test, "thresholds": [limit]}]})
    assert "thresholds.0.value: 1 at the platform, 2 in the manifests  LOOSENED" in bot("drift", code=2).out
    (step,) = json.loads(bot("drift", "--format", "json", code=2).out)["steps"]
    (change,) = step["changes"]
    assert (step["effect"], change["effect"]) == ("loosened", "loosened")
    (step,) = json.loads(bot("plan", "--format", "json").out)["steps"]
    assert step["effect"] == "tightened"


def test_every_form_tells_that_a_test_was_deleted_at_the_platform(bot: Any, platform: Any) -> None:
    """That lets more pass, as archiving it would.  A pipeline that is gone judged nothing."""
    bot("apply", "--yes")
    platform.api("DELETE", f"/tests/{platform.tests('bot')['Rows arrive']['id']}")
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['canary']['id']}")
    runner = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(bot.folder / "out")}
    told = bot("drift", "--report=json=drift.json", "--report=github", code=2, **runner)
    assert told.out.splitlines()[1:] == [
        "  ~ openlayer.InferencePipeline/bot/canary  it was removed at the platform (bot.yaml:10)",
        "  ~ openlayer.Test/bot/monitoring/Rows arrive  LOOSENED  it was removed at the platform (bot.yaml:12)",
        "",
        "Drifted: 2 resources.",
    ]
    pipeline, test = json.loads(_text(bot, "drift.json"))["steps"]
    assert (pipeline["effect"], test["effect"]) == (None, "loosened")
    assert [change["path"] for change in test["changes"]] == ["type", "subtype", "thresholds", "evaluationWindow"]
    assert re.search(r"^loosened<<.*\n1$", _text(bot, "out"), re.MULTILINE)
    assert told.err.count("it was removed at the platform\n") == 2


@pytest.mark.parametrize(
    ("command", "report", "words"),
    [
        ("plan", "xml=x", "'xml' is none of text, json, markdown, html, github, gitlab"),
        ("plan", "junit=x", "'junit' is none of"),
        ("plan", "markdown", "names no file: write markdown=FILE"),
        ("plan", "markdown=", "names no file"),
        ("plan", "github=x", "github takes no file"),
        ("validate", "junit=x", "'junit' is none of"),
    ],
)
def test_a_report_that_makes_no_sense_says_why(bot: Any, command: str, report: str, words: str) -> None:
    assert words in bot(command, "--report", report, code=64).words


def test_two_reports_do_not_share_a_file(bot: Any) -> None:
    assert "two reports go to the same file" in bot("plan", "--report=json=x", "--report=markdown=./x", code=64).words


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "x", "--report", "html=./x"),
        ("--out", "x", "--events", "x"),
        ("--report", "html=x", "--events", "{folder}/x"),
        ("--report", "html=link", "--out", "there"),
        ("--report", "html=dangling", "--events", "x"),
        ("--report", "html=there", "--report", "json=link"),
        ("--report", "html=there", "--events", "hard"),
    ],
    ids=" ".join,
)
def test_what_a_run_writes_goes_to_a_file_each(options: tuple[str, ...], bot: Any, platform: Any) -> None:
    """Under whatever name: what is written last would take the place of the rest, and a plan would be lost."""
    bot.write("there", "of yesterday")
    (bot.folder / "link").symlink_to("there")
    (bot.folder / "hard").hardlink_to(bot.folder / "there")
    (bot.folder / "dangling").symlink_to("x")
    told = bot("plan", *(each.format(folder=bot.folder) for each in options), code=64)
    assert "goes to the same file" in told.words
    assert _text(bot, "there") == "of yesterday"
    assert not (bot.folder / "x").exists()
    assert platform.seen == []


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no such place")
def test_what_is_no_file_takes_any_number_of_outputs(bot: Any) -> None:
    bot("plan", "--events", "/dev/null", "--report", "json=/dev/null")


def test_a_report_of_verdicts_needs_verdicts(bot: Any, platform: Any) -> None:
    assert "goes with --evaluate" in bot("apply", "--yes", "--report=junit=x", code=64).words
    assert platform.writes == []


def test_a_place_that_can_not_be_written_is_found_before_anything_happens(bot: Any, platform: Any) -> None:
    assert "--report bot.yaml/x: " in bot("apply", "--yes", "--report=json=bot.yaml/x", code=1).err
    assert platform.seen == []


MORE = """
    apiVersion: openlayer/v1
    kind: TestSet
    metadata: {name: more}
    spec:
      appliesTo: {projects: [bot]}
      tests:
        - name: Many rows
          type: integrity
          subtype: rowCount
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 3}]
"""


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--report", "text=more/set.yaml"), "--report text=more/set.yaml: one of the manifests of this run"),
        (("--report", "text=latest"), "--report text=latest: one of the manifests of this run"),
        (("--events", "more/set.yaml"), "--events more/set.yaml: one of the manifests of this run"),
        (("--report", "json=more/.reconcilerignore"), "it says what is no manifest"),
        (("--report", "json=.reconciler/default.state.json"), "the folder of the state"),
        (("--report", "json=.reconciler/new.json"), "the folder of the state"),
        (("--events", "elsewhere/prod.journal.jsonl"), "a part of the state beside it"),
    ],
)
def test_nothing_that_a_run_reads_is_a_place_to_write_to(
    options: tuple[str, str], what: str, bot: Any, platform: Any
) -> None:
    """A manifest that was taken away for a report would count as gone, and its tests would be archived."""
    (bot.folder / "more").mkdir()
    bot.write("more/set.yaml", MORE)
    bot.write("more/.reconcilerignore", "drafts")
    (bot.folder / "latest").symlink_to("more/set.yaml")
    (bot.folder / "elsewhere").mkdir()
    for name in ("prod.state.json", "prod.journal.jsonl"):
        bot.write(f"elsewhere/{name}", "{}")
    bot("apply", "--yes")
    before = {path: path.read_bytes() for path in bot.folder.rglob("*") if path.is_file()}
    platform.seen.clear()
    assert what in bot("apply", "--yes", *options, code=64).words
    assert {path: path.read_bytes() for path in bot.folder.rglob("*") if path.is_file()} == before
    assert platform.seen == []


def test_a_manifest_is_no_place_for_a_plan_nor_for_a_mistake(bot: Any) -> None:
    """Whether or not the manifests are valid, and with any command that writes."""
    before = _text(bot, "bot.yaml")
    assert "one of the manifests" in bot("plan", "--out", "bot.yaml", code=64).words
    bot.write("broken.yaml", "kind: x")
    for command in ("validate", "plan", "evaluate"):
        assert "one of the manifests" in bot(command, "--report", "markdown=./bot.yaml", code=64).words
    assert "one of the manifests" in bot("validate", "bot.yaml", "--report=text=bot.yaml", code=64).words
    assert _text(bot, "bot.yaml") == before
    bot("validate", "bot.yaml", "--report=text=broken.yaml")
    assert "No problems" in _text(bot, "broken.yaml"), "it is no manifest of this run"


def test_a_saved_plan_is_no_place_for_a_report_of_its_apply(bot: Any) -> None:
    bot("plan", "--out", "plan.json")
    assert "the plan that is applied" in bot("apply", "--plan", "plan.json", "--report=json=plan.json", code=64).words
    bot("apply", "--plan", "plan.json", "--report=json=report.json")


def test_a_file_that_a_manifest_names_is_no_place_for_a_report(care: Any) -> None:
    before = _text(care, "faq.csv")
    assert "named in care.yaml" in care("plan", "--report=text=faq.csv", code=64).words
    assert _text(care, "faq.csv") == before
    (care.folder / "reports").mkdir()
    care.write("reports/faq.csv", "of yesterday")
    care("plan", "--report=text=reports/faq.csv")
    assert "Plan: " in _text(care, "reports/faq.csv")


def test_the_folder_of_a_report_is_made(bot: Any) -> None:
    bot("plan", "--report=json=reports/ci/plan.json")
    assert json.loads(_text(bot, "reports/ci/plan.json"))["summary"]["create"] == 5


def test_a_report_that_can_not_be_written_in_the_end_is_an_error(bot: Any) -> None:
    """The disk may be full; what the run did stands, and so does its answer."""
    bot("apply", "--yes")
    told = bot("plan", "--report=json=/dev/full", code=1)
    assert told.err == "error: --report json=/dev/full: No space left on device\n"
    assert "No changes" in told.out
    assert Path("/dev/full").is_char_device()  # what is no ordinary file is not taken away


# -------------------------------------------------------------------------------------------------- GitHub


def test_a_plan_tells_github(bot: Any, actions: dict[str, str]) -> None:
    told = bot("plan", "--out", "plan.json", "--report", "github", **actions)
    assert "**Plan: 5 to create. 0 unchanged.**" in _text(bot, "summary.md")
    outputs = _outputs(bot)
    assert (outputs["has-changes"], outputs["create"], outputs["exit-code"]) == ("true", "5", "0")
    assert outputs["plan-file"] == "plan.json"
    assert "::" not in told.out


def test_a_failed_gate_tells_github_where_in_the_checkout(bot: Any, actions: dict[str, str]) -> None:
    bot("apply", "--yes")
    told = bot("evaluate", *FAR, "--report", "github", code=5, **actions)
    place = f"::error file={bot.folder.name}/bot.yaml,line="
    assert any(line.startswith(place) for line in told.err.splitlines())
    assert _outputs(bot)["gate"] == "failed"
    assert _outputs(bot)["exit-code"] == "5"
    assert "### Evaluation for `default`" in _text(bot, "summary.md")


def test_mistakes_tell_github(bot: Any, actions: dict[str, str]) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "taskTyp: llm-base")
    told = bot("validate", "--report", "github", code=1, **actions)
    assert f"::error file={bot.folder.name}/bot.yaml,line=6" in told.err
    assert _outputs(bot)["valid"] == "false"


def test_a_warning_is_in_every_report_and_fails_nothing(bot: Any, actions: dict[str, str]) -> None:
    """Where only reports are read, what is told on stderr alone is told to nobody."""
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCont")
    files = {form: f"{form}.out" for form in ("text", "json", "markdown", "gitlab", "sarif")}
    told = bot("validate", "--report", "github", *(f"--report={form}={files[form]}" for form in files), **actions)
    says = 'spec.tests[0].subtype: "rowCont" is not a subtype we know; did you mean "rowCount"?'
    place = f"{bot.folder.name}/bot.yaml"
    assert told.out == "5 resources: valid.\n"
    assert f"warning: bot.yaml:14:16: {says}\n" in told.err
    assert f"::warning file={place},line=14,col=16,title=reconciler::{says}\n" in told.err
    assert _text(bot, "text.out") == f"bot.yaml:14:16: warning: {says}\n1 warning in the manifests\n"
    document = json.loads(_text(bot, "json.out"))
    assert (document["summary"], document["problems"][0]["level"]) == ({"problems": 0, "warnings": 1}, "warning")
    assert "**1 warning in the manifests**" in _text(bot, "markdown.out")
    assert f"| `{place}:14:16` | ⚠️ warning: " in _text(bot, "summary.md")
    assert [each["severity"] for each in json.loads(_text(bot, "gitlab.out"))] == ["minor"]
    (run,) = json.loads(_text(bot, "sarif.out"))["runs"]
    (result,) = run["results"]
    assert result["level"] == "warning"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "manifest-warning"
    assert {name: _outputs(bot)[name] for name in ("valid", "problems", "warnings", "exit-code")} == {
        "valid": "true", "problems": "0", "warnings": "1", "exit-code": "0",
    }  # fmt: skip


def test_a_warning_fails_a_strict_validation(bot: Any, actions: dict[str, str]) -> None:
    assert bot("validate", "--strict").out == "5 resources: valid.\n"
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCont")
    told = bot("validate", "--strict", code=1)
    assert "bot.yaml:14:16: warning: spec.tests[0].subtype: " in told.out
    assert (told.out.endswith("1 warning in the manifests\n"), told.err) == (True, "")
    told = bot("validate", "--strict", "--format", "github", "--report", "gitlab=g.json", code=1, **actions)
    assert told.out.startswith("::warning file=")
    assert len(json.loads(_text(bot, "g.json"))) == 1


def test_a_variable_that_nothing_refers_to_is_told_without_a_file(bot: Any, actions: dict[str, str]) -> None:
    """Code scanning and Code Quality want a path: it is the folder's."""
    bot(
        "validate",
        "--var",
        "idle=1",
        "--report=gitlab=g.json",
        "--report=sarif=s.json",
        "--report=text=t.txt",
        **actions,
    )
    assert [each["location"]["path"] for each in json.loads(_text(bot, "g.json"))] == ["."]
    (result,) = json.loads(_text(bot, "s.json"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "."
    assert _text(bot, "t.txt").startswith("warning: --var idle: no manifest refers to this variable\n")


def test_mistakes_that_end_a_plan_are_told_at_their_lines(bot: Any, actions: dict[str, str]) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "taskTyp: llm-base")
    told = bot("plan", "--report", "github", "--report=markdown=plan.md", code=1, **actions)
    assert f"::error file={bot.folder.name}/bot.yaml,line=6" in told.err
    assert "| `" + bot.folder.name + "/bot.yaml:6:" in _text(bot, "plan.md")
    assert (_outputs(bot)["valid"], _outputs(bot)["exit-code"]) == ("false", "1")


def test_what_ends_a_run_tells_github(bot: Any, actions: dict[str, str]) -> None:
    told = bot("plan", "--report", "github", code=1, OPENLAYER_API_KEY="", **actions)
    assert "::error title=reconciler::OPENLAYER_API_KEY is not set" in told.err
    assert "OPENLAYER&#95;API&#95;KEY is not set" in _text(bot, "summary.md")
    assert _outputs(bot) == {"exit-code": "1"}


def test_github_can_not_fail_a_run(bot: Any, actions: dict[str, str]) -> None:
    nowhere = {"GITHUB_STEP_SUMMARY": "/nowhere/x", "GITHUB_OUTPUT": "/dev/full"}
    told = bot("plan", "--report", "github", **{**actions, **nowhere})
    assert "GITHUB_STEP_SUMMARY cannot be written" in told.err
    assert "GITHUB_OUTPUT cannot be written" in told.err


def test_a_full_summary_is_left_as_it_is(bot: Any, actions: dict[str, str]) -> None:
    """GitHub shows none of a summary that is larger than a mebibyte."""
    (bot.folder / "summary.md").write_text("x" * 1024 * 1024, encoding="utf-8")
    assert "GITHUB_STEP_SUMMARY is full" in bot("plan", "--report", "github", **actions).err
    assert (bot.folder / "summary.md").stat().st_size == 1024 * 1024


def test_elsewhere_nobody_is_told(bot: Any) -> None:
    told = bot("plan", "--report", "github")
    assert "no job of GitHub Actions" in told.err
    assert not (bot.folder / "summary.md").exists()


def test_without_the_option_nothing_is_written(bot: Any, actions: dict[str, str]) -> None:
    bot("plan", **actions)
    assert not (bot.folder / "summary.md").exists()
    assert not (bot.folder / "outputs").exists()


# -------------------------------------------------------------------------------------------------- events


def test_every_event_of_a_whole_run_is_as_the_schema_says(bot: Any) -> None:
    bot("apply", "--yes", "--evaluate", *FAR, "--events", "events.ndjson", code=5)
    events = _events(bot)
    names = [event["event"] for event in events]
    assert names[0] == "run_started"
    assert names[-1] == "run_ended"
    assert {"request", "locked", "planned", "step_started", "step_ended", "verdict"} <= set(names)
    assert (events[0]["command"], events[-1]["exit_code"]) == ("apply", 5)
    assert names.count("step_ended") == names.count("step_started") == 5


def test_a_run_that_ends_early_has_an_end_too(bot: Any) -> None:
    bot("plan", "--events", "events.ndjson", code=1, OPENLAYER_API_KEY="")
    last = _events(bot)[-1]
    assert (last["event"], last["exit_code"]) == ("run_ended", 1)
    assert last["error"].startswith("OPENLAYER_API_KEY is not set")


def test_events_of_a_later_version_are_as_the_schema_says(bot: Any) -> None:
    """New events and keys may come: who checks lines by the schema must be able to pass over them."""
    bot("apply", "--yes", "--evaluate", *FAR, "--events", "events.ndjson", code=5)
    validator = Draft7Validator(event_schema())
    for event in _events(bot):
        later = {name: {**value, "more": 1} if isinstance(value, dict) else value for name, value in event.items()}
        assert list(validator.iter_errors({**later, "more": 1})) == []
        assert list(validator.iter_errors({**later, "event": "another"})) == []
        assert list(validator.iter_errors({**event, "event": 5})) != []
        assert list(validator.iter_errors({"event": event["event"]})) != []


def test_the_committed_event_schema_is_fresh() -> None:
    """If this fails, write to_json(event_schema()) to schemas/event.v1.json and read the difference."""
    assert COMMITTED.read_text(encoding="utf-8") == to_json(event_schema())


def test_every_event_that_the_program_can_tell_stands_in_the_schema() -> None:
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                names |= {v.value for k, v in pairs if isinstance(k, ast.Constant) and k.value == "event"
                          and isinstance(v, ast.Constant) and isinstance(v.value, str)}  # fmt: skip
    assert names == set(event_schema()["definitions"])


# ------------------------------------------------------------------------------------------ standard output


def test_an_apply_that_goes_on_to_evaluate_answers_with_one_json_document(bot: Any) -> None:
    answer = json.loads(bot("apply", "--yes", "--evaluate", *FAR, "--format", "json", code=5).out)
    assert list(answer) == ["plan", "apply", "evaluation"]
    assert answer["apply"]["summary"]["done"] == 5
    assert answer["evaluation"]["summary"]["fail"] == 3


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_the_json_of_what_was_done_has_one_shape(command: str, bot: Any) -> None:
    """Whatever came of it: a part that it did not get to is left out, on standard output as in a report."""
    if command == "destroy":
        bot("apply", "--yes")
    asked = (command, "--format", "json", "--report", "json=report.json")
    for arguments, code, parts in (
        (asked, 7, ["plan", "error"]),
        ((*asked, "--yes"), 0, ["plan", "apply"]),
        (asked, 0, ["plan"]),
    ):
        answer = json.loads(bot(*arguments, code=code).out)
        assert list(answer) == parts
        assert answer == json.loads((bot.folder / "report.json").read_text(encoding="utf-8"))


def test_the_json_of_an_apply_that_is_refused_has_the_same_shape(bot: Any) -> None:
    bot("apply", "--yes")
    bot.write("bot.yaml", (bot.folder / "bot.yaml").read_text().replace("llm-base", "tabular-regression"))
    ended = bot("apply", "--yes", "--format", "json", "--report", "json=report.json", code=3)
    answer = json.loads(ended.out)
    assert list(answer) == ["plan", "error"]
    assert answer["error"]["exit_code"] == 3
    assert [each["address"] for each in answer["plan"]["refusals"]] == ["openlayer.Project/bot"]
    assert "taskType cannot be changed in place" in ended.err
    assert answer == json.loads((bot.folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_an_error_that_keeps_a_run_from_an_answer_leaves_standard_output_empty(
    command: str, form: str, bot: Any
) -> None:
    """As with every other command: what reads it finds nothing, instead of a document that tells nothing."""
    ended = bot(command, "--yes", "--format", form, code=1, OPENLAYER_BASE_URL="http://127.0.0.1:1/v1")
    assert ended.out == ""
    assert "error: " in ended.err


def test_the_json_of_an_apply_can_be_told_as_a_comment(bot: Any) -> None:
    told = read_told(bot("apply", "--yes", "--format", "json").out)
    assert told is not None
    assert told.outcomes is not None
    assert len(told.outcomes) == 5


def test_an_apply_with_nothing_to_do_answers_with_one_json_document(bot: Any) -> None:
    bot("apply", "--yes")
    assert list(json.loads(bot("apply", "--yes", "--evaluate", "--format", "json").out)) == ["plan"]


def test_an_apply_in_markdown_is_markdown_throughout(bot: Any) -> None:
    out = bot("apply", "--yes", "--format", "markdown").out
    assert [line for line in out.split("\n") if line.startswith("### ")] == ["### Plan for `default`", "### Apply"]


def test_forms_that_are_read_beside_the_checkout_name_files_from_its_top(bot: Any, actions: dict[str, str]) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "taskTyp: llm-base")
    place = f"{bot.folder.name}/bot.yaml"
    shown = {form: bot("validate", "--format", form, code=1, **actions).out for form in ("sarif", "gitlab", "github")}
    assert [form for form, out in shown.items() if place not in out] == []
    assert place not in bot("validate", code=1, **actions).out
