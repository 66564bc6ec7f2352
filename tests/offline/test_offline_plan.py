"""``plan --offline`` says what a change of the manifests means, and needs neither account nor network."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from reconciler.reporting.declarations_schema import declarations_schema
from reconciler.reporting.plan_schema import plan_schema

AGAINST_MAIN = ("plan", "--offline", "--base", "main")


def steps(repository: Any, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The steps by id."""
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json", *arguments, code=code).out)
    jsonschema.validate(plan, plan_schema())
    return {step["id"]: step for step in plan["steps"]}


def test_without_a_base_the_manifests_are_checked_and_counted(repository: Any) -> None:
    """And the first line says that this is all."""
    out = repository("plan", "--offline").out
    assert out.splitlines()[0] == "Offline: the manifests were read and checked, and compared with nothing."
    assert "1 openlayer.Project, 2 openlayer.InferencePipeline, 2 openlayer.Test" in out
    assert "openlayer/bot  (5 resources)" in out
    data = json.loads(repository("plan", "--offline", "--format", "json").out)
    jsonschema.validate(data, declarations_schema())
    assert data["offline"] == {"base": None, "commit": None}
    assert [(each["name"], each["resources"], each["roots"]) for each in data["environments"]] == [
        ("default", 5, {"openlayer/bot": 5})
    ]
    assert "- `default`: 1 openlayer" in repository("plan", "--offline", "--format", "markdown").out
    assert "<li><code>openlayer/bot</code>  5 resources</li>" in repository("plan", "--offline", "--format", "html").out


def test_without_a_base_mistakes_are_reported(repository: Any) -> None:
    """As ``validate`` does."""
    repository.edit("bot.yaml", "taskType", "tasktype")
    ended = repository("plan", "--offline", code=1)
    assert 'bot.yaml:6:3: spec.tasktype: not a field of openlayer.Project; did you mean "taskType"?' in ended.words


def test_every_environment_is_counted(repository: Any) -> None:
    """Unless one is named."""
    for name in ("staging", "production"):
        repository.write(
            f"{name}.yaml", f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        )
    out = repository("plan", "--offline").out
    assert "production: 1 openlayer" in out
    assert "staging: 1 openlayer" in out
    assert "production" not in repository("plan", "--offline", "--env", "staging").out


def test_nothing_changed(repository: Any) -> None:
    """The comparison is named even then: no changes here does not mean that the platform is as it should be."""
    commit = repository.git("rev-parse", "HEAD")
    out = repository(*AGAINST_MAIN, "--detailed-exitcode").out
    assert out == (
        f"Offline: compared with the manifests of main ({commit[:12]}), not with the platform.\n\n"
        "No changes. 5 resources are as before.\n"
    )


def test_a_loosened_threshold_is_called_loosened(repository: Any) -> None:
    """The planner's own judgement, with exit 2 where it is asked for."""
    repository.edit("bot.yaml", "value: 20", "value: 10")
    out = repository(*AGAINST_MAIN, "--detailed-exitcode", code=2).out
    assert out.startswith("Offline: compared with the manifests of main (")
    assert "~ openlayer.Test/bot/monitoring/Rows arrive  LOOSENED" in out
    assert "20 -> 10" in out
    assert "Plan: 1 to update (1 loosened). 4 unchanged." in out


def test_the_json_says_that_it_is_offline(repository: Any) -> None:
    """With the full name of the commit; nothing in it looks like an id of the platform."""
    repository.edit("bot.yaml", "value: 20", "value: 10")
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json").out)
    assert plan["offline"] == {"base": "main", "commit": repository.git("rev-parse", "HEAD")}
    assert plan["digest"] == ""
    assert plan["basis"]["origins"] == {}
    (step,) = plan["steps"]
    assert (step["action"], step["effect"], step["remote_id"]) == ("update", "loosened", None)
    (change,) = step["changes"]
    assert (change["path"], change["before"], change["after"], change["cause"]) == (
        "thresholds.0.value", 20, 10, "manifest"
    )  # fmt: skip


def test_the_comment_says_that_it_is_offline(repository: Any) -> None:
    """Under another mark than a real plan's, so that neither overwrites the other's comment."""
    repository.edit("bot.yaml", "value: 20", "value: 10")
    out = repository(*AGAINST_MAIN, "--format", "markdown").out
    assert out.startswith("<!-- reconciler:offline plan ")
    assert "> [!NOTE]\n> Offline: compared with the manifests of main " in out
    page = repository(*AGAINST_MAIN, "--format", "html").out
    assert "<h1>Offline plan for " in page
    assert "Offline: compared with the manifests of main " in page


def test_every_kind_of_change_reads_as_in_a_plan(repository: Any) -> None:
    """Create, archive, replace, rename, keep and update."""
    repository.edit("bot.yaml", "- {name: canary, description: A tenth of the traffic}", "- {name: beta}")
    repository.edit("bot.yaml", "pipelines: [live]", "pipelines: [live, beta]")
    repository.edit("bot.yaml", "name: Rows arrive", "renamedFrom: Rows arrive\n      name: Rows come in")
    repository.edit("bot.yaml", "description: Answers", "description: Answers all")
    found = steps(repository)
    assert {name: step["action"] for name, step in found.items()} == {
        "update:openlayer.Project/bot": "update",
        "create:openlayer.InferencePipeline/bot/beta": "create",
        "keep:openlayer.InferencePipeline/bot/canary": "keep",
        "replace:openlayer.Test/bot/monitoring/Answers are short": "replace",
        "rename:openlayer.Test/bot/monitoring/Rows come in": "rename",
    }
    assert found["replace:openlayer.Test/bot/monitoring/Answers are short"]["effect"] == "tightened"


def test_a_rename_over_several_releases_is_one(repository: Any) -> None:
    """The base knows one of the former names only."""
    repository.edit("bot.yaml", "name: Rows arrive", "renamedFrom: [Rows came, Rows arrive]\n      name: Rows come in")
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      flaky: true")
    ((name, step),) = steps(repository).items()
    assert (name, step["former"]) == (
        "rename:openlayer.Test/bot/monitoring/Rows come in",
        "openlayer.Test/bot/monitoring/Rows arrive",
    )
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json").out)
    assert gates(plan) == [("openlayer.Test/bot/monitoring/Rows come in", "flaky", True, "loosened")]


def test_a_removed_test_is_archived_and_loosens(repository: Any) -> None:
    """As in a real plan."""
    text = (repository.folder / "bot.yaml").read_text()
    (repository.folder / "bot.yaml").write_text(text[: text.index("    - name: Answers are short")])
    (step,) = steps(repository).values()
    assert (step["action"], step["effect"], step["reason"]) == ("archive", "loosened", "gone from the manifests")


def test_what_the_platform_fills_in_is_no_change_when_it_is_written_out(repository: Any) -> None:
    """``mode: monitoring`` and ``pipelines: all`` are what was meant before."""
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      mode: monitoring\n      delayWindow: 0s")
    repository(*AGAINST_MAIN, "--detailed-exitcode")


def test_a_refusal_exits_3(repository: Any) -> None:
    """A task type cannot be changed, whatever the platform says."""
    repository.edit("bot.yaml", "llm-base", "tabular-regression")
    ended = repository(*AGAINST_MAIN, code=3)
    assert "! openlayer.Project/bot" in ended.out
    assert "taskType cannot be changed in place" in ended.out


def test_the_policy_of_the_environment_holds(repository: Any) -> None:
    """Loosening is refused until it is acknowledged, with the same number as at the platform."""
    environment = (
        "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: prod}\nspec: {policy: {require: [loosen]}}\n"
    )
    repository.write("prod.yaml", environment)
    repository.commit()
    repository.edit("bot.yaml", "value: 20", "value: 10")
    assert "--ack loosen=1" in repository(*AGAINST_MAIN, "--env", "prod", code=3).out
    repository(*AGAINST_MAIN, "--env", "prod", "--ack", "loosen=1")


def test_a_protected_test_can_not_go(repository: Any) -> None:
    """Protection is that of the older revision."""
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: true}")
    repository.commit()
    text = (repository.folder / "bot.yaml").read_text()
    start, end = text.index("    - name: Rows arrive"), text.index("    - name: Answers are short")
    (repository.folder / "bot.yaml").write_text(text[:start] + text[end:])
    assert "it is protected, and gone from the manifests" in repository(*AGAINST_MAIN, code=3).out


def test_select_and_var_shape_both_sides(repository: Any) -> None:
    """The same options expand both revisions."""
    repository.edit("bot.yaml", "value: 20", 'value: "${var.rows}"')
    repository.commit()
    repository.edit("bot.yaml", "value: 100", "value: 200")
    assert list(steps(repository, "--var", "rows=7")) == ["update:openlayer.Test/bot/monitoring/Answers are short"]
    assert steps(repository, "--var", "rows=7", "--select", "bot/*/Rows*") == {}


def test_mistakes_in_the_base_are_named_as_such(repository: Any) -> None:
    """The person who reads it must not look for them in the working folder."""
    repository.edit("bot.yaml", "taskType", "tasktype")
    repository.commit()
    repository.edit("bot.yaml", "tasktype", "taskType")
    ended = repository(*AGAINST_MAIN, code=1)
    assert "main:bot.yaml:6:3: spec.tasktype: not a field of openlayer.Project" in ended.words


@pytest.mark.parametrize("before", ["nothing at all", "only other YAML in a hidden folder", "another folder"])
def test_a_base_without_manifests_has_nothing(before: str, empty: Any, bot: str) -> None:
    """So everything is new."""
    empty.write({"nothing at all": "README.md", "another folder": "docs/a.md"}.get(before, ".github/ci.yaml"), "a: 1\n")
    empty.commit()
    empty.write("evaluations/bot.yaml", bot)
    found = steps(empty, "evaluations")
    assert len(found) == 5
    assert {step["action"] for step in found.values()} == {"create"}
    assert {step["reason"] for step in found.values()} == {"not in the revision that this is compared with"}


def test_an_environment_that_the_base_has_not(repository: Any) -> None:
    """Everything is new in it."""
    repository.write("new.yaml", "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: new}\nspec: {}\n")
    assert {step["action"] for step in steps(repository, "--env", "new").values()} == {"create"}


def test_an_empty_working_folder_is_an_error(repository: Any) -> None:
    """And never "remove everything"."""
    (repository.folder / "bot.yaml").unlink()
    assert "no manifests (*.yaml, *.yml) here" in repository(*AGAINST_MAIN, code=1).words


def test_from_a_folder_below(repository: Any, bot: str) -> None:
    """Paths are relative to where the command runs, in both revisions."""
    repository.write("evaluations/care.yaml", bot.replace("name: bot}", "name: care}"))
    repository.commit()
    repository.edit("evaluations/care.yaml", "value: 20", "value: 30")
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json", at="evaluations").out)
    assert [(step["address"], step["source"]["file"]) for step in plan["steps"]] == [
        ("openlayer.Test/care/monitoring/Rows arrive", "care.yaml")
    ]
    repository(*AGAINST_MAIN, "../bot.yaml", "--detailed-exitcode", at="evaluations")


def test_what_is_gone_from_a_folder_below(repository: Any, bot: str) -> None:
    """And nothing of the folder above, which was not looked at."""
    repository.write("evaluations/care.yaml", bot.replace("name: bot}", "name: care}"))
    repository.commit()
    repository.edit("evaluations/care.yaml", "Rows arrive", "Rows still arrive")
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json", at="evaluations").out)
    assert [step["id"] for step in plan["steps"]] == [
        "create:openlayer.Test/care/monitoring/Rows still arrive",
        "archive:openlayer.Test/care/monitoring/Rows arrive",
    ]


def test_the_content_of_files_is_compared(empty: Any) -> None:
    """A dataset is what it holds, in the base as well."""
    empty.write(
        "care.yaml",
        """
        apiVersion: digitalocean/v1
        kind: Workspace
        metadata: {name: care}
        spec:
          datasets:
            - {name: faq, file: "${var.stem}.csv"}
          testCases:
            - name: Right
              dataset: faq
              metrics: [Correctness]
              starMetric: {name: Correctness, threshold: 80}
        """,
    )
    empty.write("faq.csv", "query,expected_response\nWhere?,There\n")
    empty.commit()
    assert steps(empty, "--var", "stem=faq") == {}
    empty.write("faq.csv", "query,expected_response\nWhere?,Here\n")
    assert {step["action"] for step in steps(empty, "--var", "stem=faq").values()} >= {"replace"}


def with_a_tone(empty: Any) -> None:
    """Commit a workspace with one test case, by one metric."""
    empty.write(
        "care.yaml",
        """
        apiVersion: digitalocean/v1
        kind: Workspace
        metadata: {name: care}
        spec:
          datasets: [{name: faq, file: faq.csv}]
          testCases:
            - {name: Right, dataset: faq, metrics: [Tone], starMetric: {name: Tone, threshold: 80}}
        """,
    )
    empty.write("faq.csv", "query,expected_response\nWhere?,There\n")
    empty.commit()


def test_a_new_name_of_a_workspace_that_is_only_looked_up_is_believed(empty: Any) -> None:
    """Somebody has renamed it at the platform, or is going to: what is in it stays what it is."""
    with_a_tone(empty)
    empty.edit("care.yaml", "{name: care}", "{name: help, renamedFrom: care}")
    (step,) = steps(empty).values()
    assert (step["action"], step["former"]) == ("rename", "digitalocean.Workspace/care")


def test_a_direction_that_only_the_platform_knows_is_not_guessed(empty: Any) -> None:
    """Of some metrics less is better: whether 80 -> 70 loosens cannot be told from here."""
    with_a_tone(empty)
    empty.edit("care.yaml", "threshold: 80", "threshold: 70")
    (step,) = steps(empty).values()
    assert (step["action"], step["effect"]) == ("update", "moved")


@pytest.mark.parametrize("change", ["threshold: 70", "threshold: 90"])
@pytest.mark.parametrize(
    ("effect", "source"), [("loosened", "option"), ("loosened", "policy"), ("tightened", "option")]
)
def test_what_may_be_denied_is_refused(change: str, effect: str, source: str, empty: Any) -> None:
    """Of some metrics less is better: a gate that lets pass what it cannot judge is none."""
    with_a_tone(empty)
    denied = f"deny: [{effect}]" if source == "policy" else ""
    empty.write(
        "prod.yaml",
        f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: prod}}\nspec: {{policy: {{{denied}}}}}\n",
    )
    empty.commit()
    empty.edit("care.yaml", "threshold: 80", change)
    option = [] if source == "policy" else ["--deny", effect]
    plan = json.loads(empty(*AGAINST_MAIN, "--env", "prod", "--format", "json", *option, code=3).out)
    (refusal,) = plan["refusals"]
    assert refusal == {
        "address": "digitalocean.EvaluationTestCase/care/Right",
        "reason": f"starMetric.threshold 80 -> {change[-2:]}: it may be {effect}, which is denied here: "
        "whether more or less is better is not known offline",
        "hint": "take the change back, or make a plan without --offline: only the platform knows which is better",
        "source": {"file": "care.yaml", "line": 8},
    }


def test_a_new_name_hides_no_new_threshold(empty: Any) -> None:
    """One step holds both changes."""
    with_a_tone(empty)
    empty.edit("care.yaml", "threshold: 80", "threshold: 70")
    empty.edit("care.yaml", "name: Right", "name: Good, renamedFrom: Right")
    assert (
        "starMetric.threshold 80 -> 70: it may be loosened" in empty(*AGAINST_MAIN, "--deny", "loosened", code=3).words
    )


@pytest.mark.parametrize(
    ("old", "new", "option", "code"),
    [
        ("threshold: 80", "threshold: 70", (), 0),
        ("threshold: 80", "threshold: 70", ("--deny", "redefined"), 0),
        ("name: Right", "description: Answers, name: Right", ("--deny", "loosened"), 0),
        ("threshold: 80", "threshold: 70", ("--deny", "moved"), 3),
        ("{name: Right,", "{name: Good, renamedFrom: Right,", ("--deny", "loosened"), 0),
        (", threshold: 80", "", ("--deny", "loosened"), 3),
        (", threshold: 80", "", ("--deny", "tightened"), 0),
    ],
)
def test_what_is_not_denied_or_known_is_judged_as_ever(
    old: str, new: str, option: tuple[str, ...], code: int, empty: Any
) -> None:
    """That a threshold is gone needs no direction."""
    with_a_tone(empty)
    empty.edit("care.yaml", old, new)
    plan = json.loads(empty(*AGAINST_MAIN, "--format", "json", *option, code=code).out)
    assert not any("offline" in refusal["reason"] for refusal in plan["refusals"])


NIGHTLY = """
    apiVersion: digitalocean/v1
    kind: Workspace
    metadata: {name: care}
    spec:
      datasets: [{name: faq, file: faq.csv}]
      testCases:
        - {name: Right, dataset: faq, metrics: [Tone], starMetric: {name: Tone, threshold: 80}}
        - {name: Kind, dataset: faq, metrics: [Tone], starMetric: {name: Tone, threshold: 80}}
      runs:
        - {name: nightly, testCase: Right, agents: [first, second]}
"""
GONE = [("testCase", None, "loosened"), ("agents", None, "loosened")]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("agents: [first, second]", "agents: [second]", [("agents", ["second"], "loosened")]),
        ("testCase: Right", "testCase: Kind", [("testCase", "Kind", "redefined")]),
        ("second]}", "second], severity: warn}", [("severity", "warn", "loosened")]),
        ("agents: [first, second]", "agents: [second, first]", []),
        ("- {name: Right,", "- {name: Correct, renamedFrom: Right,", []),
        ("{name: care}", "{name: help, renamedFrom: care}", []),
        ("- {name: nightly,", "- {name: weekly, renamedFrom: nightly,", []),
        ("- {name: nightly,", "- {name: weekly,", GONE),
    ],
)
def test_runs_that_measure_less_are_said(old: str, new: str, told: list[tuple[str, Any, str]], empty: Any) -> None:
    """A run is nothing at the platform; without it a threshold is never looked at."""
    empty.write("care.yaml", NIGHTLY)
    empty.write("faq.csv", "query,expected_response\nWhere?,There\n")
    empty.commit()
    empty.edit("care.yaml", old, new)
    if "Correct" in new:
        empty.edit("care.yaml", "testCase: Right", "testCase: Correct")
    run = "digitalocean.EvaluationRun/care/nightly"
    plan = json.loads(empty(*AGAINST_MAIN, "--format", "json").out)
    assert gates(plan) == [(run, *each) for each in told]
    assert plan["warnings"] == []


def test_all_runs_gone_with_their_agents(empty: Any) -> None:
    """Each of them is named."""
    empty.write("care.yaml", NIGHTLY)
    empty.write("faq.csv", "query,expected_response\nWhere?,There\n")
    empty.commit()
    empty.write("care.yaml", NIGHTLY.partition("  runs:")[0])
    out = empty(*AGAINST_MAIN, "--deny", "loosened", code=3).words
    assert 'testCase: "Right" -> unset LOOSENED agents: ["first", "second"] -> unset LOOSENED' in out


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (
            "{maxDrop: 5%, against: lastPassing}",
            "null",
            ['regress: {"maxDrop": "5%", "against": "lastPassing"} -> unset  LOOSENED'],
        ),
        (
            "{maxDrop: 2.5%, against: mean(5)}",
            "{maxDrop: 0.1, against: lastPassing}",
            [
                'regress.maxDrop: "2.5%" -> 0.1  MOVED',
                'regress.against: "mean(5)" -> "lastPassing"  MOVED',
            ],
        ),
    ],
)
def test_what_is_compared_with_the_past_is_told_as_the_manifest_says_it(
    was: str, now: str, told: list[str], repository: Any
) -> None:
    repository.edit("bot.yaml", "subtype: rowCount", f"subtype: rowCount\n      regress: {was}")
    repository.commit()
    repository.edit("bot.yaml", f"regress: {was}", f"regress: {now}")
    lines = repository(*AGAINST_MAIN).out.splitlines()
    assert [line.strip() for line in lines if line.strip().startswith("regress")] == told


def test_what_no_plan_shows_is_said(repository: Any) -> None:
    """A gate that fails less, protection given up, a pin and a policy dropped: nothing of it is at the platform."""
    repository.write(
        "prod.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: prod}
        spec: {policy: {require: [loosen, replace], deny: [redefined]}}
        ---
        apiVersion: reconciler/v1
        kind: Pin
        metadata: {name: incident-812}
        spec:
          project: bot
          test: Rows arrive
          window: {from: "2026-05-03T14:00:00Z", to: "2026-05-03T16:00:00Z"}
          measured: [{measurement: rowCount, value: 3}]
          verdict: flagged
        """,
    )
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: true}")
    repository.commit()
    given_up = "lifecycle: {protect: false}\n      severity: info\n      gate: {onMissing: pass}"
    repository.edit("bot.yaml", "lifecycle: {protect: true}", given_up)
    text = (repository.folder / "prod.yaml").read_text()
    kept = text.partition("---")[0].replace("[loosen, replace], deny: [redefined]", "[replace]")
    (repository.folder / "prod.yaml").write_text(kept)
    plan = json.loads(repository(*AGAINST_MAIN, "--env", "prod", "--format", "json").out)
    assert plan["steps"] == []
    assert gates(plan) == [
        ("openlayer.Test/bot/monitoring/Rows arrive", "severity", "info", "loosened"),
        ("openlayer.Test/bot/monitoring/Rows arrive", "gate.onMissing", "pass", "loosened"),
    ]
    assert plan["warnings"] == [
        "openlayer.Test/bot/monitoring/Rows arrive: it is not protected any more",
        "the pin incident-812 is gone: openlayer.Test/bot/monitoring/Rows arrive need not flag that any more",
        "the environment asks for no acknowledgement any more: loosen",
        "the environment denies no more: redefined",
    ]
    assert "warning: the pin incident-812 is gone" in repository(*AGAINST_MAIN, "--env", "prod").words


@pytest.mark.parametrize("renamed", ["the test", "the project", "both"])
def test_what_no_plan_shows_is_said_of_what_is_renamed(renamed: str, repository: Any) -> None:
    """A weaker gate does not hide behind a new name, of the test or of what it stands in."""
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: true}")
    repository.commit()
    repository.edit("bot.yaml", "lifecycle: {protect: true}", "lifecycle: {protect: false}\n      severity: info")
    project, test = "bot", "Rows arrive"
    if renamed != "the project":
        test = "Rows come in"
        repository.edit("bot.yaml", "name: Rows arrive", f"name: {test}\n      renamedFrom: Rows arrive")
    if renamed != "the test":
        project = "help"
        repository.edit("bot.yaml", "{name: bot}", "{name: help, renamedFrom: bot}")
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json").out)
    assert {step["action"] for step in plan["steps"]} == {"rename"}
    address = f"openlayer.Test/{project}/monitoring/{test}"
    assert gates(plan) == [(address, "severity", "info", "loosened")]
    assert plan["warnings"] == [f"{address}: it is not protected any more"]


def test_a_gate_that_fails_less_is_denied_as_in_a_plan(repository: Any) -> None:
    """Exit 3 at its line, and exit 2 where only that is asked for."""
    repository.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      flaky: true")
    repository(*AGAINST_MAIN, "--detailed-exitcode", code=2)
    assert (
        "flaky false -> true: loosened, which is denied"
        in repository(*AGAINST_MAIN, "--deny", "loosened", code=3).words
    )


def gates(plan: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    """What becomes of gates: address, field, what it is then, and what that means."""
    changes = [each for each in plan.get("lifecycle", ()) if "effect" in each]
    return [(each["address"], each["path"], each["after"], each["effect"]) for each in changes]


PIN = """
    apiVersion: reconciler/v1
    kind: Pin
    metadata: {name: incident-812}
    spec:
      project: bot
      test: Rows arrive
      pipeline: live
      window: {from: "2026-05-03T14:00:00Z", to: "2026-05-03T16:00:00Z"}
      result: r-1
      measured: [{measurement: rowCount, value: 3}]
      verdict: flagged
      why: No rows came
"""


@pytest.mark.parametrize(
    ("old", "new", "told", "code"),
    [
        ("value: 3}", "value: 4}", "measured: rowCount 3 -> rowCount 4", 0),
        (
            "value: 3}",
            "value: 3, definition: 0123456789ab}",
            "measured: rowCount 3 -> rowCount 3 (0123456789ab)",
            3,
        ),
        ("verdict: flagged", "verdict: passes", "verdict: flagged -> passes", 3),
        ("result: r-1", "result: r-2", "result: r-1 -> r-2", 0),
        ("result: r-1", "", "result: r-1 -> unset", 0),
        ("pipeline: live", "pipeline: canary", "pipeline: live -> canary", 0),
        (
            'to: "2026-05-03T16:00:00Z"',
            'to: "2026-05-03T17:00:00Z"',
            "window: 2026-05-03T14:00:00Z to 2026-05-03T16:00:00Z -> 2026-05-03T14:00:00Z to 2026-05-03T17:00:00Z",
            0,
        ),
        (
            "test: Rows arrive",
            "test: Answers are short",
            "test: openlayer.Test/bot/monitoring/Rows arrive -> openlayer.Test/bot/monitoring/Answers are short",
            3,
        ),
        ("why: No rows came", "why: Nothing came", None, 0),
        ("value: 3}", "value: 3.0}", None, 0),
    ],
)
def test_an_edited_pin_is_said(old: str, new: str, told: str | None, code: int, repository: Any) -> None:
    """Evidence that is edited in place forgives as much as a pin that is gone; why it is there is for people."""
    repository.write("pin.yaml", PIN)
    repository.commit()
    repository.edit("pin.yaml", old, new)
    plan = json.loads(repository(*AGAINST_MAIN, "--format", "json", code=code).out)
    assert plan["warnings"] == ([] if told is None else [f"the pin incident-812 is not what it was: {told}"])


def test_a_pin_is_judged_by_whoever_checks_the_manifests(repository: Any) -> None:
    """In each environment by its own thresholds; nothing is asked of a platform, nor of git."""
    repository.write("pin.yaml", PIN)
    repository("validate")
    repository.edit("bot.yaml", "value: 20}", "value: 3}")
    told = "pin.yaml:2:1: pin incident-812: rowCount 3 would not be flagged by >= 3; tighten the threshold, or delete"
    for command in (("validate",), ("plan", "--offline")):
        assert told in repository(*command, code=1).words
    assert "::error file=pin.yaml,line=2" in repository("validate", "--format", "github", code=1).out
    repository("validate", "bot.yaml")
    repository.edit("bot.yaml", "value: 3}", "value: 20}")
    repository.write(
        "prod.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: prod}
        spec:
          overrides:
            - match: {project: bot, test: Rows arrive}
              set: {thresholds: [{measurement: rowCount, value: 2}]}
        ---
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec: {}
        """,
    )
    assert "in environment prod: pin incident-812: rowCount 3 would not" in repository("validate", code=1).words
    repository("validate", "--env", "staging")


@pytest.mark.parametrize(("value", "verdict"), [(90, "passes"), (70, "flagged"), (70, "passes")])
def test_what_only_the_platform_can_judge_is_left_to_it(value: int, verdict: str, empty: Any) -> None:
    """Of which metrics less is better."""
    with_a_tone(empty)
    more = PIN.replace("project: bot", "project: care").replace("test: Rows arrive", "test: Right")
    more = more.replace("      pipeline: live\n", "").replace("rowCount, value: 3", f"Tone, value: {value}")
    empty.write("pin.yaml", more.replace("flagged", verdict))
    empty("validate")
    empty.commit()
    plan = json.loads(empty(*AGAINST_MAIN, "--format", "json").out)
    assert plan["refusals"] == []
    told = "the pin incident-812 is not judged: whether more or less is better is not known offline"
    assert plan["warnings"] == [told]


def test_a_pin_follows_its_test(repository: Any) -> None:
    """A new name of the test is no other test."""
    repository.write("pin.yaml", PIN)
    repository.commit()
    repository.edit("bot.yaml", "name: Rows arrive", "name: Rows come in\n      renamedFrom: Rows arrive")
    repository.edit("bot.yaml", "{name: bot}", "{name: help, renamedFrom: bot}")
    repository.edit("pin.yaml", "project: bot", "project: help")
    repository.edit("pin.yaml", "test: Rows arrive", "test: Rows come in")
    assert json.loads(repository(*AGAINST_MAIN, "--format", "json").out)["warnings"] == []


def test_a_pin_that_must_pass_and_is_gone(repository: Any) -> None:
    """Said of what it held."""
    repository.write("pin.yaml", PIN.replace("value: 3", "value: 30").replace("flagged", "passes"))
    repository.commit()
    (repository.folder / "pin.yaml").unlink()
    warnings = json.loads(repository(*AGAINST_MAIN, "--format", "json").out)["warnings"]
    assert warnings == [
        "the pin incident-812 is gone: openlayer.Test/bot/monitoring/Rows arrive need not pass that any more"
    ]


# ------------------------------------------------------------------------------------------- revisions


def test_a_revision_may_have_any_of_its_names(repository: Any) -> None:
    """A tag, a commit, a parent."""
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1")
    repository.edit("bot.yaml", "value: 20", "value: 10")
    repository.commit()
    for name in ("v1", first, first[:10], "HEAD~1", "main^"):
        ended = repository("plan", "--offline", "--base", name, "--detailed-exitcode", code=2)
        assert f"{name} ({first[:12]})" in ended.out


@pytest.mark.parametrize("name", ["-h", "--output=x", "", "a b", "main\n", "main\x1b[31m"])
def test_what_can_not_be_a_revision_never_reaches_git(name: str, repository: Any) -> None:
    """Above all no option."""
    ended = repository("plan", "--offline", f"--base={name}", code=64)
    assert "is not the name of a git revision" in ended.words
    assert "\x1b" not in ended.err


def test_a_revision_that_a_shallow_clone_has_not(repository: Any) -> None:
    """The message holds the command that brings it, and with it the plan works."""
    repository.git("branch", "old")
    repository.edit("bot.yaml", "value: 20", "value: 10")
    repository.commit()
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", "clone")
    origin, repository.folder = repository.folder, repository.folder / "clone"
    assert (origin / "clone" / ".git" / "shallow").exists()
    ended = repository("plan", "--offline", "--base", "origin/old", code=64)
    assert "there is no revision origin/old in this clone" in ended.words
    assert "git fetch --depth=1 origin old, then --base FETCH_HEAD" in ended.words
    repository.git("fetch", "--quiet", "--depth=1", "origin", "old")
    assert "LOOSENED" in repository("plan", "--offline", "--base", "FETCH_HEAD").out


def test_a_branch_that_only_the_origin_has(repository: Any) -> None:
    """The right name is suggested."""
    repository.git("clone", "--quiet", f"file://{repository.folder}", "clone")
    repository.folder /= "clone"
    repository.git("checkout", "--quiet", "-b", "work")
    repository.git("branch", "--quiet", "-D", "main")
    assert "did you mean --base origin/main?" in repository(*AGAINST_MAIN, code=64).words


def test_outside_of_a_repository(repository: Any, tmp_path: Any) -> None:
    """Nothing to compare with."""
    (tmp_path / "bot.yaml").write_text((repository.folder / "bot.yaml").read_text())
    repository.folder = tmp_path
    assert "--base needs a git repository" in repository(*AGAINST_MAIN, code=64).words


def test_a_repository_of_somebody_else(repository: Any) -> None:
    """As in a container of a CI job: git does not trust it, and says how it would."""
    repository.monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    ended = repository(*AGAINST_MAIN, code=64)
    assert "dubious ownership" in ended.words
    assert "hint: git config --global --add safe.directory" in ended.words


def test_no_git_at_all(repository: Any) -> None:
    """Said as such."""
    repository.monkeypatch.setenv("PATH", "/nowhere")
    assert "--base needs git" in repository(*AGAINST_MAIN, code=64).words


# ------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--base", "main"), "--base goes with --offline"),
        (("--offline", "--out", "p.json"), "--out needs the platform"),
        (("--offline", "--adopt"), "--adopt needs the platform"),
        (("--offline", "--detailed-exitcode"), "--detailed-exitcode needs something to compare with"),
    ],
)
def test_options_that_contradict_each_other(arguments: tuple[str, ...], sentence: str, repository: Any) -> None:
    """Exit 64, and nothing is done."""
    assert sentence in repository("plan", *arguments, code=64).words


def test_an_offline_plan_is_never_applied(repository: Any) -> None:
    """It says nothing about the platform; saved from stdout, it is refused as what it is."""
    repository.edit("bot.yaml", "value: 20", "value: 10")
    (repository.folder / "p.json").write_text(repository(*AGAINST_MAIN, "--format", "json").out)
    assert "compares the manifests with a git revision" in repository("apply", "--plan", "p.json", code=6).words


def test_where_a_changed_variable_stands_is_named(repository: Any) -> None:
    repository.edit("bot.yaml", "value: 20", 'value: "${var.rows}"')
    environment = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: prod}\nspec:\n  vars:\n    rows: 20\n"
    repository.write("environments/prod.yaml", environment)
    repository.commit()
    repository.edit("environments/prod.yaml", "rows: 20", "rows: 10")
    told = repository(*AGAINST_MAIN, "--env", "prod")
    assert "20 -> 10 LOOSENED (metrics rowCount >=) (var rows: environments/prod.yaml:6)" in told.words
    plan = json.loads(repository(*AGAINST_MAIN, "--env", "prod", "--format", "json").out)
    assert [each["line"] for each in plan["steps"][0]["value_sources"]] == [6]
