"""A gate is not at the platform, and yet nobody switches it off unseen: the plan names it, and may refuse it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.storage.encoding import parse_snapshot, snapshot_bytes

TEST = "openlayer.Test/bot/monitoring/Rows arrive"
COUNTED = "subtype: rowCount"


def gated(cli: Any, *lines: str, was: str = COUNTED) -> None:
    """Put these lines in place of others in the test that counts rows."""
    cli.edit("bot.yaml", was, "\n      ".join((COUNTED, *lines)))


@pytest.fixture
def weaker(bot: Any, platform: Any) -> Any:
    """The project applied, and then a test that can fail no build any more."""
    bot("apply", "--yes")
    gated(bot, "severity: info", "gate: {onSkipped: pass}")
    platform.seen.clear()
    return bot


def gate(cli: Any, test: str = TEST) -> Any:
    """What is remembered of the gate of a test."""
    return json.loads(cli("state", "show", test).out).get("gate")


def test_a_plan_says_that_a_gate_fails_less(weaker: Any, platform: Any) -> None:
    """In words, as a change, in every form; and nothing more is asked or sent for it."""
    weaker("plan", code=0)
    looked = len(platform.seen)
    for form in ("text", "markdown"):
        told = weaker("plan", "--format", form, "--detailed-exitcode", code=2)
        assert 'severity: "error" -> "info" LOOSENED' in told.words
        assert 'gate.onSkipped: "fail" -> "pass" LOOSENED' in told.words
        assert "No changes at the platform, 1 gate to change (1 loosened)." in told.words
    assert len(platform.seen) == 3 * looked
    assert json.loads(weaker("plan", "--format", "gitlab").out) == {"create": 0, "update": 1, "delete": 0}
    weaker("apply", "--yes")
    assert platform.writes == []
    assert gate(weaker) == {"severity": "info", "on_skipped": "pass"}
    assert weaker("plan", "--detailed-exitcode").out.startswith("No changes.")


def test_it_is_told_to_github(weaker: Any, tmp_path: Path) -> None:
    """Counted as loosened, and annotated at its line."""
    outputs = tmp_path / "outputs"
    told = weaker("plan", "--report", "github", GITHUB_ACTIONS="true", GITHUB_OUTPUT=str(outputs))
    line = (weaker.folder / "bot.yaml").read_text().splitlines().index("      severity: info") + 1
    assert f"::warning file=bot.yaml,line={line}," in told.err
    values = outputs.read_text().splitlines()
    for name in ("has-changes", "loosened"):
        place = next(n for n, each in enumerate(values) if each.startswith(f"{name}<<"))
        assert values[place + 1] == {"has-changes": "true", "loosened": "1"}[name]


def test_it_can_be_denied(weaker: Any) -> None:
    """Nothing is remembered of what was refused; a gate that fails more passes."""
    for command in (["plan"], ["apply", "--yes"]):
        assert (
            'severity "error" -> "info": loosened, which is denied here'
            in weaker(*command, "--deny", "loosened", code=3).words
        )
    assert gate(weaker) == {}
    weaker("apply", "--yes")
    weaker.edit("bot.yaml", "severity: info", "severity: warn")
    assert 'severity: "info" -> "warn" TIGHTENED' in weaker("plan", "--deny", "loosened").words
    assert "denied" in weaker("plan", "--deny", "tightened", code=3).words


def test_it_needs_a_yes_where_the_policy_says_so(bot: Any) -> None:
    """Once for a test that is loosened in both ways; an Environment that weakens a gate is no way round it."""
    policy = (
        "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: prod}\nspec:\n  policy: {require: [loosen]}\n"
    )
    bot.write("prod.yaml", policy)
    bot("apply", "--env", "prod", "--yes")
    bot.write("prod.yaml", policy + "  overrides: [{match: {test: Rows arrive}, set: {severity: warn}}]\n")
    refused = bot("apply", "--env", "prod", "--yes", code=3)
    assert "1 would be loosened" in refused.words
    bot.edit("bot.yaml", "value: 2}]", "value: 1}]")
    assert "but the plan holds 1" in bot("apply", "--env", "prod", "--yes", "--ack", "loosen=2", code=3).words
    bot("apply", "--env", "prod", "--yes", "--ack", "loosen=1")
    assert bot("plan", "--env", "prod", "--detailed-exitcode").out.startswith("No changes.")


def test_what_select_leaves_out_is_still_to_be_seen(weaker: Any) -> None:
    """It is neither shown nor remembered, so the next plan names it."""
    weaker("apply", "--yes", "--select", "*/Answers are short", "--deny", "loosened")
    assert gate(weaker) == {}
    assert "severity" in weaker("plan", "--detailed-exitcode", code=2).words


def test_a_saved_plan_holds_it(weaker: Any) -> None:
    """It is applied as it was seen, and once; a file from which it was taken out is refused."""
    weaker("plan", "--out", "plan.json")
    saved = json.loads((weaker.folder / "plan.json").read_text())
    assert [(each["path"], each["effect"]) for each in saved["lifecycle"]] == [
        ("severity", "loosened"),
        ("gate.onSkipped", "loosened"),
    ]
    assert "denied" in weaker("apply", "--plan", "plan.json", "--deny", "loosened", code=3).words
    weaker("apply", "--plan", "plan.json")
    assert gate(weaker) == {"severity": "info", "on_skipped": "pass"}
    weaker("apply", "--plan", "plan.json", code=6)


def test_nothing_is_claimed_of_what_an_older_version_remembers(weaker: Any) -> None:
    """It has not written gates down: no alarm after an upgrade.  From the next apply on they count."""
    file = weaker.folder / ".reconciler" / "default.state.json"
    known = parse_snapshot(file.read_bytes())
    entries = {address: replace(entry, gate=None) for address, entry in known.state.entries.items()}
    file.write_bytes(snapshot_bytes(replace(known.state, entries=entries), known.absorbed))
    assert weaker("plan", "--detailed-exitcode", "--deny", "loosened").out.startswith("No changes.")
    weaker("apply", "--yes")
    assert gate(weaker) == {"severity": "info", "on_skipped": "pass"}
    gated(weaker, "flaky: true", was=f"{COUNTED}\n      severity: info\n      gate: {{onSkipped: pass}}")
    assert "flaky: false -> true LOOSENED" in weaker("plan").words


def test_what_is_taken_over_counts_as_its_manifest_says(weaker: Any) -> None:
    """An export writes manifests without gates, which plan to no changes; a gate that fails less later is seen."""
    weaker("apply", "--yes")
    weaker("export", "--out", "m", "--adopt")
    assert weaker("plan", "m", "--detailed-exitcode").out.startswith("No changes.")
    (file,) = (weaker.folder / "m").glob("*.yaml")
    file.write_text(file.read_text().replace(f"{COUNTED}\n", f"{COUNTED}\n      flaky: true\n"))
    assert "flaky: false -> true LOOSENED" in weaker("plan", "m").words


# ------------------------------------------------------------------------------------------- runs

MORE = "agents: [bot]\n    - {name: weekly, testCase: Answers are correct, agents: [canary]}"


@pytest.fixture
def applied(care: Any, account: Any) -> Any:
    """The workspace applied, with two runs."""
    care.edit("care.yaml", "agents: [bot]", MORE)
    care("apply", "--yes")
    account.platform.seen.clear()
    return care


def runs(cli: Any) -> dict[str, Any]:
    """What is remembered of runs, by name."""
    state = json.loads((cli.folder / ".reconciler" / "default.state.json").read_text())
    return {address.rpartition("/")[2]: told for address, told in state.get("declared", {}).items()}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("agents: [bot]", "agents: [bot]\n      flaky: true", "flaky: false -> true LOOSENED"),
        ("agents: [bot]", "agents: [bot]\n      gate: {onError: pass}", 'gate.onError: "fail" -> "pass" LOOSENED'),
        (MORE.partition("\n")[2], "", 'testCase: "Answers are correct" -> unset LOOSENED'),
    ],
)
def test_a_run_that_fails_less_is_seen_until_it_is_applied(
    old: str, new: str, told: str, applied: Any, account: Any
) -> None:
    """Runs are no objects at the platform, and yet a plan names what becomes of them, and may refuse it."""
    before = runs(applied)
    applied.edit("care.yaml", old, new)
    assert told in applied("plan", "--detailed-exitcode", code=2).words
    assert "denied" in applied("apply", "--yes", "--deny", "loosened", code=3).words
    applied("apply", "--yes", "--select", "*EvaluationDataset/*")
    assert runs(applied) == before
    applied("apply", "--yes")
    assert runs(applied) != before
    assert applied("plan", "--detailed-exitcode").out.startswith("No changes.")
    assert account.writes == []


def test_a_run_follows_its_name_and_those_of_what_it_names(applied: Any) -> None:
    """A new name is no change of what is measured."""
    applied.edit("care.yaml", "- name: nightly", "- name: daily\n      renamedFrom: nightly")
    applied("plan", "--detailed-exitcode")
    applied("apply", "--yes")
    assert runs(applied).keys() == {"daily", "weekly"}
    applied.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      severity: warn")
    assert 'severity: "error" -> "warn" LOOSENED' in applied("plan").words


def test_of_runs_that_an_older_version_knew_nothing_of_nothing_is_claimed(applied: Any) -> None:
    file = applied.folder / ".reconciler" / "default.state.json"
    known = parse_snapshot(file.read_bytes())
    file.write_bytes(snapshot_bytes(replace(known.state, declared={}), known.absorbed))
    applied.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      severity: warn")
    applied("plan", "--detailed-exitcode")
    applied("apply", "--yes")
    assert runs(applied)["nightly"]["gate"] == {"severity": "warn"}


def test_of_runs_that_were_destroyed_nothing_is_remembered(applied: Any) -> None:
    applied("destroy", "--yes")
    assert runs(applied) == {}


def test_runs_that_fail_are_not_settled_by_an_apply_that_is_rolled_back(applied: Any) -> None:
    """Its change is pending again, as that of the test case is."""
    applied.edit("care.yaml", "82.4", "99")
    applied.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      flaky: true")
    before = runs(applied)
    applied("apply", "--yes", "--evaluate", "--rollback", code=8)
    assert runs(applied) == before
    assert "flaky: false -> true LOOSENED" in applied("plan").words
