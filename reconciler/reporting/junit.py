"""Turn verdicts into JUnit XML, for the test tab of a CI system.  Pure.

A suite is a project, a case is a test on a pipeline.  What failed its limit is a failure; what gave no result that can
be judged (skipped, missing, still running, unreadable, broken off) and fails for that is an error; warnings pass, and
say so in their output.  An evaluation of which nobody knows whether it was started is an error of its own, as the run's
exit code is.

Sources: docs.gitlab.com, "Unit test reports" (reads classname, name, file, failure, error, skipped and system-out;
drops cases of the same name; at most 30 MB), and the schema of Jenkins' xUnit plugin, junit-10.xsd (2026-11).  It goes
beyond that schema in three things, which readers use or pass over: a case has a file, a line and properties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from reconciler.errors import ReconcilerError
from reconciler.model.outcome import Doubt, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Source
from reconciler.model.values import counted
from reconciler.reporting.escape import html
from reconciler.reporting.tables import (
    baseline_remark,
    doubt_words,
    level_word,
    margin_text,
    verdict_words,
    worst_first,
)

LIMIT = 30_000_000
"""Bytes that GitLab reads of one file."""
RESERVE = 20_000
LONGEST = 4_000
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_JUDGED = (EvaluationStatus.PASSING, EvaluationStatus.FAILING)


class _Case(Struct, frozen=True):
    """One finished ``<testcase>``, the suite that it belongs to, and what it counts as."""

    suite: str
    kind: str
    xml: str


def verdicts_junit(
    verdicts: Sequence[Verdict],
    apart: Sequence[tuple[Address, str]] = (),
    *,
    doubts: Sequence[Doubt] = (),
    error: ReconcilerError | None = None,
    limit: int = LIMIT,
) -> str:
    """One case for each verdict; ``apart`` are tests that were not judged, with the reason: they are skipped.

    ``error`` is what ended the run: an error of its own, so that nobody takes an empty report for a success, or
    failures for all that happened.  Beyond ``limit`` bytes cases are left out, passes first, and a property counts
    them.
    """
    judged = map(_judged, worst_first(verdicts))
    cases = [*_ended(error), *map(_doubtful, doubts), *judged, *(_apart(*each) for each in apart)]
    kept, room = 0, limit - RESERVE
    while kept < len(cases) and (room := room - len(cases[kept].xml.encode())) > 0:
        kept += 1
    left_out = len(cases) - kept
    suites: dict[str, list[_Case]] = {}
    for case in cases[:kept]:
        suites.setdefault(case.suite, []).append(case)
    more = _properties({"left out": f"{counted(left_out, 'case')} more"}, "  ") if left_out else ""
    body = "".join(_suite(name, found) for name, found in sorted(suites.items()))
    last = f"  <testsuite{_attributes({'name': 'left out', **_counts(())})}>\n{more}  </testsuite>\n" if more else ""
    counts = {name: count for name, count in _counts(cases[:kept]).items() if name != "skipped"}
    total = _attributes({"name": "reconciler", **counts})
    return f"{_HEAD}<testsuites{total}>\n{body}{last}</testsuites>\n"


def _counts(cases: Sequence[_Case]) -> dict[str, str]:
    found = Counter(case.kind for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(found["failure"]),
        "errors": str(found["error"]),
        "skipped": str(found["skipped"]),
        "time": "0",
    }


def _suite(name: str, cases: Sequence[_Case]) -> str:
    body = "".join(case.xml for case in cases)
    return f"  <testsuite{_attributes({'name': name, **_counts(cases)})}>\n{body}  </testsuite>\n"


def _ended(error: ReconcilerError | None) -> Iterator[_Case]:
    if error is not None:
        content = _element("error", {"type": type(error).__name__, "message": error.message}, error.hint)
        yield _case("reconciler", "error", {"classname": "reconciler", "name": "the run"}, content)


def _apart(address: Address, reason: str) -> _Case:
    named = {"classname": address.root, "name": _name(address, None)}
    return _case(address.root, "skipped", named, _element("skipped", {"message": reason}))


def _doubtful(doubt: Doubt) -> _Case:
    named = {"classname": doubt.address.root, "name": f"{_name(doubt.address, doubt.pipeline)} (in doubt)"}
    content = _element("error", {"type": "doubtful", "message": doubt.why}, doubt_words(doubt))
    return _case(doubt.address.root, "error", {**named, **_place(doubt.source)}, content)


def _judged(verdict: Verdict) -> _Case:
    kind = _kind(verdict)
    named = {"classname": verdict.address.root, "name": _name(verdict.address, verdict.pipeline)}
    content = _properties(_facts(verdict), "      ")
    match kind:
        case "failure" | "error":
            said = {"type": _type(verdict), "message": verdict.why or verdict.status.value}
            content += _element(kind, said, verdict_words(verdict))
        case "skipped":
            content += _element(kind, {"message": verdict.why or verdict.status.value})
        case _ if verdict.level is not Level.PASS:
            content += _element("system-out", {}, f"{level_word(verdict).upper()} {verdict_words(verdict)}")
    return _case(verdict.address.root, kind, {**named, **_place(verdict.source)}, content)


def _type(verdict: Verdict) -> str:
    """What failed; a result that passes at the platform and not here either fell or was judged by something else."""
    if verdict.status is not EvaluationStatus.PASSING:
        return verdict.status.value
    return "regression" if verdict.fell else "unapplied"


def _kind(verdict: Verdict) -> str:
    """``failure``, ``error``, ``skipped``, or ``passed``."""
    if verdict.level is Level.FAIL:
        return "failure" if verdict.status in _JUDGED else "error"
    return "passed" if verdict.status in _JUDGED else "skipped"


def _name(address: Address, pipeline: str | None) -> str:
    """Unique within the project: readers drop cases of the same name."""
    inside = str(Address("", address.path[1:])).lstrip("/") or address.name
    return f"{inside} [{pipeline}]" if pipeline else inside


def _place(source: Source | None) -> dict[str, str]:
    return {"file": source.file.removeprefix("./"), "line": str(source.line)} if source else {}


def _facts(verdict: Verdict) -> dict[str, str]:
    """What else is known, as properties; what is empty is left out."""
    evaluation, runs, baseline = verdict.evaluation, verdict.runs, verdict.baseline
    facts = {
        "address": str(verdict.address),
        "pipeline": verdict.pipeline or "",
        "level": verdict.level.value,
        "status": verdict.status.value,
        "severity": verdict.severity,
        "measured": verdict.measured,
        "wanted": verdict.wanted,
        "margin": margin_text(verdict.margin),
        "flaky": "true" if verdict.flaky else "",
        "runs": f"{runs.passed} of {runs.known} passed, {runs.min_pass} of {runs.wanted} wanted" if runs else "",
        "baseline": baseline_remark(baseline) if baseline else "",
        "result": evaluation.result_id if evaluation else "",
        "starts": _time(evaluation.starts) if evaluation else "",
        "ends": _time(evaluation.ends) if evaluation else "",
    }
    return {name: value for name, value in facts.items() if value}


def _time(seconds: int | None) -> str:
    """ISO 8601 in UTC; the number itself where it is no date."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


# ----------------------------------------------------------------------------------------------------- XML


def _case(suite: str, kind: str, attributes: Mapping[str, str], content: str) -> _Case:
    head = f"    <testcase{_attributes({**attributes, 'time': '0'})}"
    xml = f"{head}>\n{content}    </testcase>\n" if content else f"{head}/>\n"
    return _Case(suite, kind, xml)


def _properties(facts: Mapping[str, str], indent: str) -> str:
    rows = "".join(
        f"{indent}  <property{_attributes({'name': name, 'value': value})}/>\n" for name, value in facts.items()
    )
    return f"{indent}<properties>\n{rows}{indent}</properties>\n"


def _element(name: str, attributes: Mapping[str, str], text: str = "") -> str:
    inner = html(_short(text))
    return (
        f"      <{name}{_attributes(attributes)}>{inner}</{name}>\n"
        if inner
        else f"      <{name}{_attributes(attributes)}/>\n"
    )


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f' {name}="{html(_short(value))}"' for name, value in values.items())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
