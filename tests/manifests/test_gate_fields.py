"""What manifests say about gates: severity, flaky, runs, drops; in defaults, tests, runs of agents and overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.schemas import schemas
from reconciler.manifests.validator import load
from reconciler.model.resource import Gate, Regress, Resource
from reconciler.model.spec import Mark, fields_of
from reconciler.providers import KINDS
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

VENDORS = (OPENLAYER, DIGITALOCEAN)
SCHEMAS = schemas(VENDORS)
HEAD = "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: bot}\nspec:\n  taskType: llm-base\n"
TEST = """\
  tests:
    - name: Faithful
      type: performance
      subtype: metricThreshold
      thresholds: [{insightName: metrics, measurement: faithfulness, operator: ">=", value: 0.8}]
"""
ENVIRONMENT = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n"


def gate(root: Path, test: str, *, defaults: str = "", staging: str = "", **variables: str) -> Gate:
    """The gate of the one test; ``staging`` is what an environment's override sets."""
    (root / "bot.yaml").write_text(HEAD + defaults + TEST + test, encoding="utf-8")
    override = f"  overrides: [{{match: {{test: Faithful}}, set: {{{staging}}}}}]\n" if staging else ""
    (root / "staging.yaml").write_text(ENVIRONMENT + (override or "  vars: {}\n"), encoding="utf-8")
    found = load([], root=root, vendors=VENDORS, environment="staging", variables=variables)
    (only,) = [each for each in found.desired if each.address.kind == "openlayer.Test"]
    assert set(only.fields) == {"name", "type", "subtype", "thresholds"}, "nothing of it is sent"
    return only.gate


def test_a_gate_is_strict_unless_something_is_written(tmp_path: Path) -> None:
    assert gate(tmp_path, "") == Gate()


@pytest.mark.parametrize(
    ("written", "regress"),
    [
        ("{maxDrop: 5%}", Regress(0.05, relative=True, against=0)),
        ('{maxDrop: "5%"}', Regress(0.05, relative=True, against=0)),
        ("{maxDrop: 1.1 %, against: lastPassing}", Regress(0.011, relative=True, against=0)),
        ("{maxDrop: 0.05}", Regress(0.05, relative=False, against=0)),
        ("{maxDrop: 20, against: mean(5)}", Regress(20, relative=False, against=5)),
        ("{maxDrop: 150%, against: mean(100)}", Regress(1.5, relative=True, against=100)),
    ],
)
def test_a_drop_is_a_share_or_a_number_in_the_values_unit(tmp_path: Path, written: str, regress: Regress) -> None:
    assert gate(tmp_path, f"      regress: {written}\n").regress == regress


def test_everything_at_once(tmp_path: Path) -> None:
    written = """\
      severity: warn
      flaky: true
      warn: [{insightName: metrics, measurement: faithfulness, operator: ">=", value: 0.9}]
      regress: {maxDrop: 5%}
      gate: {onSkipped: warn, onError: pass, onMissing: warn, runs: 5, minPass: 4}
"""
    found = gate(tmp_path, written)
    assert found.warn["thresholds"] == [
        {"insightName": "metrics", "measurement": "faithfulness", "operator": ">=", "value": 0.9}
    ]
    assert found == Gate("warn", "warn", "pass", "warn", found.warn, 5, 4, True, Regress(0.05))


def test_defaults_lie_under_the_test_field_by_field(tmp_path: Path) -> None:
    defaults = "  testDefaults:\n    gate: {runs: 3, onError: warn}\n    regress: {maxDrop: 5%, against: mean(5)}\n"
    found = gate(tmp_path, "      gate: {minPass: 2}\n      regress: {maxDrop: 10%}\n", defaults=defaults)
    assert (found.runs, found.min_pass, found.on_error) == (3, 2, "warn")
    assert found.regress == Regress(0.1, relative=True, against=5)
    assert gate(tmp_path, "      regress: null\n", defaults=defaults).regress is None


def test_an_environment_overrides_them_field_by_field(tmp_path: Path) -> None:
    test = "      gate: {runs: 3, minPass: 2}\n      regress: {maxDrop: 5%, against: mean(5)}\n"
    found = gate(tmp_path, test, staging="flaky: true, gate: {minPass: 1}, regress: {maxDrop: 10%}")
    assert found == Gate(runs=3, min_pass=1, flaky=True, regress=Regress(0.1, relative=True, against=5))
    assert gate(tmp_path, test, staging="regress: null").regress is None


def test_an_override_is_checked_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ManifestsInvalid) as caught:
        gate(tmp_path, "      gate: {runs: 3}\n", staging="gate: {minPass: 4}")
    (problem,) = caught.value.problems
    assert (problem.file, problem.message) == ("staging.yaml", "4 cannot pass of 3 runs")
    assert problem.hint == "runs: 3 comes from bot.yaml:11"


@pytest.mark.parametrize("runs", [2, 1])
def test_an_override_that_makes_a_value_wrong_is_named(tmp_path: Path, runs: int) -> None:
    """What is wrong beside it stands in another file, and was right there."""
    defaults = "  testDefaults:\n    gate: {runs: 3, minPass: 3}\n"
    with pytest.raises(ManifestsInvalid) as caught:
        gate(tmp_path, "", defaults=defaults, staging=f"gate: {{runs: {runs}}}")
    (problem,) = caught.value.problems
    assert (problem.file, problem.path) == ("bot.yaml", "spec.testDefaults.gate.minPass")
    assert problem.hint == f"runs: {runs} comes from staging.yaml:5"


@pytest.mark.parametrize(("written", "drop"), [("5%", Regress(0.05)), ("0.05", Regress(0.05, relative=False))])
def test_a_drop_may_come_from_a_variable(tmp_path: Path, written: str, drop: Regress) -> None:
    assert gate(tmp_path, '      regress: {maxDrop: "${var.drop}"}\n', drop=written).regress == drop


@pytest.mark.parametrize("digits", ["1" + "0" * 400, "1e999", "0.0", "-1%", "%", "5%%", "٥%"])
def test_a_drop_that_no_number_can_be_is_a_problem_and_no_crash(tmp_path: Path, digits: str) -> None:
    with pytest.raises(ManifestsInvalid):
        gate(tmp_path, f"      regress: {{maxDrop: {digits}}}\n")


def test_runs_of_agents_have_the_same_gate(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text("query\nHow are you?\n", encoding="utf-8")
    (tmp_path / "care.yaml").write_text(
        """\
apiVersion: digitalocean/v1
kind: Workspace
metadata: {name: care}
spec:
  datasets: [{name: faq, file: faq.csv}]
  testCases:
    - {name: Right, dataset: faq, metrics: [Correct], starMetric: {name: Correct, threshold: 80}}
  runs:
    - name: nightly
      testCase: Right
      agents: [bot]
      flaky: true
      gate: {runs: 3, minPass: 2}
      regress: {maxDrop: 5}
""",
        encoding="utf-8",
    )
    found = load([], root=tmp_path, vendors=VENDORS, environment=None, variables={})
    (run,) = [each for each in found.desired if each.address.kind == "digitalocean.EvaluationRun"]
    assert isinstance(run, Resource)
    assert run.gate == Gate(runs=3, min_pass=2, flaky=True, regress=Regress(5, relative=False))


@pytest.mark.parametrize("kind", [each for each in KINDS.values() if each.gate], ids=lambda each: each.id)
def test_every_kind_with_a_gate_has_all_of_its_fields(kind: Any) -> None:
    """A kind that is added later cannot forget one: each is ours alone, and an environment may set it."""
    fields = fields_of(kind.spec)
    for name in ("severity", "flaky", "regress", "gate"):
        assert {Mark.LOCAL, Mark.OVERRIDABLE} <= fields[name].marks
    assert set(fields["gate"].fields or ()) == {"onSkipped", "onError", "onMissing", "runs", "minPass"}


@pytest.mark.parametrize("kind", [each for each in KINDS.values() if each.measuring], ids=lambda each: each.id)
def test_every_kind_that_is_measured_has_a_gate(kind: Any) -> None:
    assert kind.gate is not None


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("flaky", True, True),
        ("flaky", "${var.flaky}", True),
        ("flaky", "yes", False),
        ("regress", {"maxDrop": "5%"}, True),
        ("regress", {"maxDrop": "5.5 %", "against": "mean(5)"}, True),
        ("regress", {"maxDrop": 0.05, "against": "lastPassing"}, True),
        ("regress", {"maxDrop": "${var.drop}"}, True),
        ("regress", {"maxDrop": "5 percent"}, False),
        ("regress", {"maxDrop": 0}, False),
        ("regress", {"maxDrop": "5%", "against": "mean(1)"}, False),
        ("regress", {"maxDrop": "5%", "against": "mean(101)"}, False),
        ("regress", {"against": "mean(5)"}, False),
        ("regress", None, True),
        ("gate", {"runs": 20, "minPass": 1}, True),
        ("gate", {"runs": 21}, False),
        ("gate", {"minPass": 0}, False),
        ("gate", {"onFlaky": "warn"}, False),
    ],
)
def test_an_editor_knows_them(field: str, value: object, accepted: bool) -> None:
    thresholds = [{"measurement": "m", "operator": ">=", "value": 1}]
    test = {"name": "a", "type": "integrity", "subtype": "rowCount", "thresholds": thresholds, field: value}
    document = {
        "apiVersion": "openlayer/v1",
        "kind": "Project",
        "metadata": {"name": "a"},
        "spec": {"taskType": "llm-base", "tests": [test]},
    }
    assert Draft7Validator(SCHEMAS["openlayer.v1.project.json"]).is_valid(document) is accepted


def test_an_editor_lets_an_environment_set_a_part_of_them() -> None:
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Environment",
        "metadata": {"name": "staging"},
        "spec": {
            "overrides": [
                {"match": {"test": "a"}, "set": {"regress": {"against": "mean(5)"}, "gate": {"minPass": 1}}},
                {"match": {"evaluationTestCase": "a"}, "set": {"starMetric": {"threshold": 80}}},
            ]
        },
    }
    assert Draft7Validator(SCHEMAS["reconciler.v1.environment.json"]).is_valid(document)
