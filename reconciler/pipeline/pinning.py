"""Write a pin for a recorded result, and find a limit that keeps a budget.  Touches: network (reads), disk (reads)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.errors import UsageInvalid
from reconciler.evaluating.impact import Window, flags, values_as_then
from reconciler.evaluating.suggesting import Budget, PinnedPoint, per_period, suggest, tunable
from reconciler.manifests.documents import API_VERSION, PIN
from reconciler.manifests.patching import patched
from reconciler.model.criteria import as_written, name_of
from reconciler.model.kind import Criterion
from reconciler.model.outcome import EvaluationStatus
from reconciler.model.replay import Suggestion
from reconciler.model.resource import Address, Evidence, Pin, PinnedVerdict, Resource, Source
from reconciler.model.values import Fields, Json, counted, some_of
from reconciler.pipeline.planning import plan
from reconciler.pipeline.replaying import Looking, last
from reconciler.pipeline.session import Session
from reconciler.planning.pins import broken, definition, pinned_values
from reconciler.planning.selecting import meant_by_name
from reconciler.providers import KINDS

_VERDICTS: dict[EvaluationStatus, PinnedVerdict] = {
    EvaluationStatus.FAILING: "flagged",
    EvaluationStatus.PASSING: "passes",
}


MOST_NAMED = 5
"""Tests that are named where a pattern means more than one."""


class Pinned(Struct, frozen=True):
    """A pin as a document, and what is odd about it (empty: nothing)."""

    document: dict[str, Any]
    name: str
    remark: str = ""


async def pin_of(here: Session, result_id: str, pattern: str | None, *, name: str = "", why: str = "") -> Pinned:
    """A pin on the recorded result with this id, of any declared test, or of the one that ``pattern`` means.

    Raises UsageInvalid when there is no such result, or when it cannot be pinned.
    """
    looking = Looking(here, await plan(here))
    tests = [one_test(looking, pattern)] if pattern else _tests(looking)
    lists = await all_of(_search(looking, test, result_id) for test in tests)
    found = next(((test, *each) for test, each in zip(tests, lists, strict=True) if each is not None), None)
    if found is None:
        where = str(tests[0].address) if pattern else f"any of {counted(len(tests), 'test')}"
        raise UsageInvalid(
            f"no result {result_id} is recorded of {where}", hint="ids stand in: reconciler status --format json"
        )
    test, window, fields = found
    return _pinned(looking, test, window, fields, name, why)


async def _search(looking: Looking, test: Resource, result_id: str) -> tuple[Window, Fields] | None:
    """The result, and the fields of the test as it was then; also of older objects that a replace has archived."""
    objects = [item for item in looking.planned.live.objects if item.address == test.address]
    for item in objects:
        found = await looking.past_with_fields(test.address, item, None)
        for window, fields in found:
            if window.evaluation.result_id == result_id:
                return window, fields
    return None


def _pinned(looking: Looking, test: Resource, window: Window, then: Fields, name: str, why: str) -> Pinned:
    one, kind = window.evaluation, KINDS[test.address.kind]
    verdict = _VERDICTS.get(one.status)
    if verdict is None:
        said = f": {one.message}" if one.message else ""
        raise UsageInvalid(f"result {one.result_id} is {one.status}{said}; there is no verdict to pin")
    criteria = looking.criteria(test.address, then)
    values = values_as_then(window, criteria)
    judged = flags(values, criteria)
    if not values:
        raise UsageInvalid(f"the platform shows no value of result {one.result_id}, so nothing could be judged again")
    if judged is not None and judged is not (verdict == "flagged"):
        raise UsageInvalid(
            f"result {one.result_id} is recorded as {one.status}, but its values say otherwise",
            hint="a pin must be evidence; see whether values and thresholds have the same scale",
        )
    known = {each.key: each for each in criteria if each.key in values}
    evidence = [Evidence(name_of(c), values[key], definition(kind, then, c)) for key, c in known.items()]
    called = name or _name(test.address, one.starts, one.result_id)
    pin = Pin(called, test.address, verdict, tuple(evidence), Source("", 0, 0), one.pipeline, result=one.result_id)
    lost = broken(pin, test, kind, looking.criteria(test.address, test.fields))
    return Pinned(_document(pin, one.starts, one.ends, why), called, lost[0] if lost else "")


def _document(pin: Pin, starts: int | None, ends: int | None, why: str) -> dict[str, Any]:
    address = pin.address
    spec: dict[str, Any] = {"project": address.root, "test": address.name}
    if len(address.path) > 2:
        spec["mode"] = address.path[1]
    if pin.pipeline:
        spec["pipeline"] = pin.pipeline
    if starts is not None and ends is not None:
        spec["window"] = {"from": _iso(starts), "to": _iso(ends)}
    spec["result"] = pin.result
    spec["measured"] = [
        {"measurement": each.measurement, "value": as_written(each.value), "definition": each.definition}
        for each in pin.measured
    ]
    spec["verdict"] = pin.verdict
    if why:
        spec["why"] = why
    return {"apiVersion": API_VERSION, "kind": PIN, "metadata": {"name": pin.name}, "spec": spec}


def _name(address: Address, starts: int | None, result_id: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", address.name.lower()).strip("-") or "pin"
    return f"{words}-{_iso(starts)[:10] if starts is not None else result_id[:8]}"


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------------- which test


def _tests(looking: Looking) -> list[Resource]:
    return [
        each
        for each in looking.planned.desired
        if KINDS[each.address.kind].judges and each.address in looking.measuring
    ]


def one_test(looking: Looking, pattern: str) -> Resource:
    """The declared test that is meant by an address, a glob over addresses, or its bare name.  Raises UsageInvalid."""
    tests = _tests(looking)
    chosen = meant_by_name(pattern, [each.address for each in tests])
    found = [each for each in tests if each.address in chosen]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageInvalid(
            f"{pattern!r} is none of the tests declared here",
            hint="it is an address: 'support-bot/monitoring/Faithful'",
        )
    names = some_of([each.address for each in found], MOST_NAMED)
    raise UsageInvalid(f"{pattern!r} means {len(found)} tests: {names}", hint="give the whole address")


# ------------------------------------------------------------------------------------------- a limit for a budget


class Suggested(Struct, frozen=True):
    """A suggestion for one test.  ``patch`` is the manifest's file with the new limit, beside how it is now.

    Without a patch ``unpatched`` says why the limit cannot be changed in the file.  Not ``whole``: there were more
    results than we read.
    """

    address: Address
    suggestion: Suggestion
    source: Source
    look_back_s: int
    now: str = ""
    then: str = ""
    unpatched: str = ""
    whole: bool = True


async def suggested(
    here: Session, pattern: str, budget: Budget, look_back_s: int, measurement: str | None = None
) -> Suggested:
    """The strictest limit that keeps the budget and every pin, from the results of the last ``look_back_s`` seconds.

    Raises UsageInvalid when it is not clear which test or which limit is meant.
    """
    looking = Looking(here, await plan(here))
    test = one_test(looking, pattern)
    kind = KINDS[test.address.kind]
    criteria = looking.criteria(test.address, test.fields)
    chosen = _chosen(criteria, measurement, test.address)
    measuring = KINDS[looking.measuring[test.address].address.kind].measuring
    if measuring is None or measuring.window is None:
        raise UsageInvalid(f"{test.address} is not measured in windows of time, so there is no budget in time for it")
    live = looking.there.get(test.address)
    if live is None:
        raise UsageInvalid(f"{test.address} is not at the platform yet, so nothing was measured", hint="apply first")
    measured = {definition(kind, live.fields, each) for each in looking.criteria(test.address, live.fields)}
    if definition(kind, test.fields, chosen) not in measured:
        raise UsageInvalid(
            f"{test.address} is to measure something else than until now, so past values do not help",
            hint="apply, and come back when there are results",
        )
    past = await looking.past(test.address, live.remote_id, last(here, look_back_s))
    pins = [_point(pin, test, criteria) for pin in looking.planned.desired.pins if pin.address == test.address]
    found = suggest(
        past.windows,
        criteria,
        chosen,
        budget=budget,
        per_period=per_period(past.windows, budget),
        pins=pins,
        judging=looking.criteria(test.address, live.fields),
    )
    made = Suggested(test.address, found, test.source, look_back_s, whole=past.whole)
    return made if found.limit is None or found.limit == chosen.value else _with_patch(here, made, chosen)


def _chosen(criteria: Sequence[Criterion], measurement: str | None, address: Address) -> Criterion:
    candidates = [c for c in tunable(criteria) if measurement in (None, name_of(c))]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        what = f"on {measurement} " if measurement else ""
        raise UsageInvalid(f"{address} has no limit {what}that is a written number with an order")
    names = sorted({name_of(c) for c in candidates})
    if len(names) == 1:
        raise UsageInvalid(f"{address} has {len(candidates)} limits on {names[0]}, and only one can be looked for")
    raise UsageInvalid(f"{address} has limits on {', '.join(names)}", hint=f"say which one: --measurement {names[0]}")


def _point(pin: Pin, test: Resource, criteria: Sequence[Criterion]) -> PinnedPoint:
    return PinnedPoint(pin.name, pinned_values(pin, test.fields, KINDS[test.address.kind], criteria), pin.verdict)


def _with_patch(here: Session, made: Suggested, chosen: Criterion) -> Suggested:
    limit: Json = made.suggestion.limit
    try:
        text = (here.request.root / made.source.file).read_text(encoding="utf-8")
        return replace(made, now=text, then=patched(text, made.source, chosen.path, chosen.value, limit))
    except OSError as error:
        return replace(made, unpatched=f"{made.source.file}: {error.strerror}")
    except UsageInvalid as error:
        return replace(made, unpatched=f"{error.message}; {error.hint}")
