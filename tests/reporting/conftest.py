"""Plans and verdicts that hold one of everything, and the hostile texts that every renderer must survive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.history import Observation
from reconciler.model.outcome import Doubt, EvaluationStatus, Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Action, Basis, Cause, Effect, FieldChange, Plan, Refusal, Step
from reconciler.model.resource import Address, Source
from reconciler.model.state import Entry, Intent, State
from reconciler.reporting.github import (
    github,
    of_doubts,
    of_drift,
    of_error,
    of_outcomes,
    of_plan,
    of_problems,
    of_verdicts,
)
from reconciler.reporting.gitlab import plan_gitlab, problems_gitlab
from reconciler.reporting.html_page import page_html
from reconciler.reporting.junit import verdicts_junit
from reconciler.reporting.machine import outcomes_json, plan_json, problems_json, verdicts_json
from reconciler.reporting.markdown import drift_markdown, plan_markdown, verdicts_markdown
from reconciler.reporting.openmetrics import verdicts_openmetrics
from reconciler.reporting.pages import Told, page
from reconciler.reporting.sarif import problems_sarif
from reconciler.reporting.text import (
    apply_text,
    drift_text,
    error_text,
    plan_text,
    problems_text,
    state_table,
    verdict_table,
)


def _test(name: str) -> Address:
    return Address("openlayer.Test", ("support-bot", "monitoring", name))


def _pipeline(name: str) -> Address:
    return Address("openlayer.InferencePipeline", ("support-bot", name))


MANIFEST = "projects/support-bot.yaml"
RUBRIC = "Answer politely.\nNever reveal the account number of a customer to anybody else.\nBe brief."
NEW_RUBRIC = "Answer politely.\nNever reveal the account number of a customer to anybody.\nBe brief.\nCite sources."

STEPS = (
    Step(
        "create:canary",
        Action.CREATE,
        _pipeline("canary"),
        "not at the platform yet",
        changes=(
            FieldChange("description", None, "Canary"),
            FieldChange("dataBackend", None, {"backendType": "default", "columns": ["a", "b"]}),
            FieldChange("token", None, None, sensitive=True),
        ),
        source=Source(MANIFEST, 9, 5),
    ),
    Step(
        "update:project",
        Action.UPDATE,
        Address("openlayer.Project", ("support-bot",)),
        "changed in the manifests",
        changes=(FieldChange("description", "Customer support", "Customer support assistant"),),
        source=Source(MANIFEST, 5, 3),
        remote_id="p_1",
    ),
    Step(
        "update:faithful",
        Action.UPDATE,
        _test("Faithful"),
        "changed in the manifests and at the platform",
        cause=Cause.BOTH,
        changes=(
            FieldChange("thresholds.0.value", 0.9, 0.85, Effect.LOOSENED),
            FieldChange("thresholds.1.value", 1, 2, Effect.TIGHTENED, Cause.DRIFT),
            FieldChange("rubric", RUBRIC, NEW_RUBRIC, Effect.REDEFINED),
            FieldChange(
                "insightParameters",
                {"columns": [{"name": "input"}, {"name": "output"}], "mode": "strict", "limit": 3},
                {"columns": [{"name": "context"}, {"name": "input"}, {"name": "output"}], "limit": 4},
            ),
        ),
        after=("update:project",),
        effect=Effect.LOOSENED,
        source=Source(MANIFEST, 21, 5),
        remote_id="t_7",
        fields={
            "thresholds": [
                {"insightName": "metrics", "measurement": "faithfulness", "operator": ">=", "value": 0.85},
                {"insightName": "metrics", "measurement": "length", "operator": ">=", "value": 2},
            ]
        },
    ),
    Step(
        "replace:latency",
        Action.REPLACE,
        _test("Latency"),
        "evaluationWindow cannot be changed in place",
        changes=(FieldChange("evaluationWindow", "1h", "24h", Effect.REDEFINED, create_only=True),),
        effect=Effect.REDEFINED,
        source=Source(MANIFEST, 41, 5),
        remote_id="t_44",
        notes=("history stays with the old one, which is archived",),
    ),
    Step(
        "archive:pii",
        Action.ARCHIVE,
        _test("Answers contain no PII"),
        "gone from the manifests",
        effect=Effect.LOOSENED,
        remote_id="t_31",
    ),
    Step("delete:old", Action.DELETE, _pipeline("old"), "gone from the manifests", remote_id="ip_3"),
    Step(
        "adopt:tone",
        Action.ADOPT,
        _test("Tone"),
        "an object of this name was made by somebody else",
        source=Source(MANIFEST, 60, 5),
        remote_id="t_50",
    ),
    Step(
        "rename:nulls",
        Action.RENAME,
        _test("No empty answers"),
        "renamed from Nulls",
        changes=(FieldChange("name", "Nulls", "No empty answers"),),
        source=Source(MANIFEST, 70, 5),
        remote_id="t_51",
        former=_test("Nulls"),
    ),
    Step("forget:gone", Action.FORGET, _test("Gone"), "it is gone from the platform already", cause=Cause.DRIFT),
    Step(
        "keep:blue",
        Action.KEEP,
        _pipeline("blue"),
        "gone from the manifests; it stays at the platform",
        remote_id="ip_4",
        notes=("to delete it for good: --ack delete=N",),
        idle=True,
    ),
    Step(
        "adopt:length",
        Action.ADOPT,
        _test("Length"),
        "it matches the manifest, but is not ours; --adopt takes it over",
        source=Source(MANIFEST, 80, 5),
        remote_id="t_52",
        idle=True,
    ),
)

PLAN = Plan(
    basis=Basis("staging", {"openlayer": "https://api.openlayer.com"}, "d1", "lineage-1", 3, {"adopt": True}),
    steps=STEPS,
    refusals=(
        Refusal(
            Address("openlayer.Project", ("other",)),
            "taskType cannot be changed in place",
            "make a project under a new name",
            Source("projects/other.yaml", 4, 3),
        ),
    ),
    unchanged=12,
    outside=4,
    unselected=1,
    unseen=((_pipeline("canary"), "dataBackend.config"), (_pipeline("blue"), "dataBackend.config")),
    warnings=("nothing reads the label tier",),
    digest="5be0c1d29aa4f00b",
)


def _verdict(
    name: str, level: Level, measured: str, wanted: str, margin: float | None, why: str, pipeline: str | None
) -> Verdict:
    status = EvaluationStatus.PASSING if level is Level.PASS else EvaluationStatus.FAILING
    return Verdict(_test(name), pipeline, level, status, "error", measured, wanted, margin, why, Source(MANIFEST, 7, 3))


VERDICTS = (
    _verdict("Answers contain no PII", Level.PASS, "0", "<= 0", 0.0, "", "production"),
    _verdict("Nulls", Level.FAIL, "", "<= 0", None, "no result", None),
    _verdict("Faithful", Level.FAIL, "0.62", ">= 0.8", -0.18, "misses the threshold", "production"),
    _verdict("Tone", Level.WARN, "0.71", ">= 0.75", -0.04, "misses the stricter threshold", "production"),
)

HOSTILE = (
    "::error::x",
    "##[error]x ##vso[task.complete]x",
    "</details><img src=x onerror=alert(1)>",
    "<!-- --><script>x</script> --> ]]>",
    "![x](http://evil/x.png) [y](javascript:z) http://evil.example www.evil.example a@evil.example @everyone #1 GH-1",
    "# Heading\n\n- list\n\n> quote\n\n```\n\n````\n~~~\n| a | b |\n|---|---|\n1. x",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07\r\x9b1A\x7f\x85",
    "safe\u202egnp.exe\u2066\u200b\u2028\u2029\ufeff\U000e0041",
    "\ud800 lone",
    "`` ` \\` \\| `` | a\\|b",
    "\n::add-mask::x\n  - openlayer.Project/fake  DELETE",
)


def _hostile_plan(text: str) -> Plan:
    """A plan in which every text that somebody else chooses is ``text``."""
    address = Address("openlayer.Test", (text, text))
    source = Source(text, 1, 1)
    changes = (
        FieldChange(text, text, text + text),
        FieldChange("short", "a", text),
        FieldChange("long", text + "a " * 60 + text, text + "b " * 60 + text),
        FieldChange("nested", {text: [text, {"a": text}], "x": "y" * 90}, {text: [text, {"a": "b"}], text + "x": text}),
    )
    steps = [
        Step(
            f"{action}{text}",
            action,
            address,
            text,
            changes=changes,
            source=source,
            remote_id=text,
            notes=(text,),
            former=address,
            fields={"thresholds": [{"a": text, "b": text}]},
        )
        for action in Action
    ]
    return Plan(
        basis=Basis(text, {"openlayer": text}, text, text, 1, {"select": [text]}),
        steps=tuple(steps),
        refusals=(Refusal(address, text, text, source),),
        unseen=((address, text),),
        warnings=(text,),
        digest=text,
    )


def _hostile_verdicts(text: str) -> tuple[Verdict, ...]:
    """Verdicts in which every text that somebody else chooses is ``text``."""
    return tuple(
        Verdict(
            Address("openlayer.Test", (text, text)),
            text,
            level,
            EvaluationStatus.FAILING,
            "error",
            text,
            text,
            -1.0,
            text,
            Source(text, 1, 1),
        )
        for level in Level
    )


def _past(verdicts: tuple[Verdict, ...], text: str) -> dict[tuple[Address, str | None], list[Observation]]:
    """Two observations of each, whose value is called ``text``."""
    return {
        (each.address, each.pipeline): [
            Observation(each.address, each.pipeline, each.level, each.status, {text: value}) for value in (1.0, 2.0)
        ]
        for each in verdicts
    }


@pytest.fixture(scope="session")
def plan() -> Plan:
    """One step of every action, a refusal, and everything a plan may have to say beside its steps."""
    return PLAN


@pytest.fixture(scope="session")
def empty() -> Plan:
    """A plan with nothing to do."""
    return Plan(basis=PLAN.basis, unchanged=15, digest="aa")


@pytest.fixture(scope="session")
def verdicts() -> tuple[Verdict, ...]:
    """Two failures, a warning and a pass, not in order."""
    return VERDICTS


@pytest.fixture(scope="session")
def expected() -> Callable[[str], str]:
    """Reads an expected output from the folder beside this file."""
    return lambda name: (Path(__file__).parent / "expected" / name).read_text(encoding="utf-8")


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    """A text that would do something if it were not escaped."""
    return str(request.param)


@pytest.fixture(scope="session")
def renderings() -> Callable[[str], dict[str, str]]:
    """Everything we can print about things that are all called ``text``, by the name of the form."""
    return _renderings


def _renderings(text: str) -> dict[str, str]:
    plan, verdicts = _hostile_plan(text), _hostile_verdicts(text)
    problems = [Problem(text, line, 1, text, f"{text}{line}", text) for line in range(12)]
    outcomes = [
        StepOutcome(step.id, status, text, text, text) for step, status in zip(plan.steps, StepStatus, strict=False)
    ]
    address = plan.steps[0].address
    state = State(text, 1, entries={address: Entry(text, retiring=(text,))}, in_doubt={address: Intent(text)})
    doubts = [Doubt(address, text, text, text)]
    wide: dict[str, str] = {}
    for width in (40, 80, 10_000):
        wide |= {
            f"plan text {width}": plan_text(plan, width=width, color=False, verbose=True),
            f"drift text {width}": drift_text(plan, width=width, color=False),
            f"apply text {width}": apply_text(plan, outcomes, width=width, color=False, verbose=True),
            f"verdict table {width}": verdict_table(verdicts, width=width, color=False),
            f"state table {width}": state_table(state, width=width, color=False),
            f"error text {width}": error_text(ReconcilerError(text, hint=text), width=width, color=False),
        }
    return {
        **wide,
        "problems text": problems_text(problems),
        "plan json": plan_json(plan, tool=text),
        "outcomes json": outcomes_json(plan, outcomes),
        "verdicts json": verdicts_json(verdicts, doubts=doubts),
        "problems json": problems_json(problems),
        "gitlab json": problems_gitlab(problems),
        "sarif json": problems_sarif(problems, version=text),
        "github": github(
            [
                *of_error(ReconcilerError(text, hint=text)),
                *of_problems(problems),
                *of_plan(plan),
                *of_drift(plan),
                *of_outcomes(plan, outcomes),
                *of_verdicts(verdicts),
                *of_doubts(doubts),
            ]
        ),
        "plan gitlab": plan_gitlab(plan),
        "junit": verdicts_junit(verdicts, [(address, text)], doubts=doubts, error=ReconcilerError(text, hint=text)),
        "openmetrics": verdicts_openmetrics(verdicts, doubts),
        "page markdown": page(Told(text, plan, outcomes, verdicts, problems, ReconcilerError(text, hint=text))),
        "page html": page_html(Told(text, plan, outcomes, verdicts, problems, ReconcilerError(text, hint=text))),
        "plan html": page_html(Told(plan=plan), verbose=True),
        "drift html": page_html(Told(plan=plan, only_drift=True)),
        "verdicts html": page_html(Told(text, verdicts=verdicts, doubts=doubts, past=_past(verdicts, text))),
        "plan markdown": plan_markdown(plan, verbose=True),
        "drift markdown": drift_markdown(plan),
        "verdicts markdown": verdicts_markdown(verdicts, environment=text, doubts=doubts),
    }
