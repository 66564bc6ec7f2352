"""A DigitalOcean evaluation test case: a dataset, metrics, and one threshold on one of them.

API: POST /evaluation_test_cases takes ``metrics`` as a list of uuids, PUT as ``{"metric_uuids": [...]}``, and reads
show objects.  Every PUT makes a new version, which runs from then on; there is no DELETE and no archive, so removing
means forgetting.  The workspace is fixed, and told by the list that an item came from.
Source: pydo 0.44.0, digitalocean/openapi @7c1300c, gradient-adk @1894857; 2026-08.
"""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from reconciler.errors import ApiError, NotApplied, OutcomeUnknown
from reconciler.model.call import Call, Flow, Wire, Write
from reconciler.model.kind import Criterion, Flaw, Kind, LookUp, Need, Removal
from reconciler.model.marker import sign, split
from reconciler.model.resource import Address, LiveObject
from reconciler.model.spec import FilledIn, Mark, Part, RefTo, Spec
from reconciler.model.values import Fields, Json
from reconciler.providers.digitalocean.lookups import near
from reconciler.providers.digitalocean.routes import at, number_of, object_of, text_of, whole_list, whole_number
from reconciler.providers.digitalocean.workspace import uuid_in

STRING = "METRIC_VALUE_TYPE_STRING"
NUMBERS = ("METRIC_VALUE_TYPE_NUMBER", "METRIC_VALUE_TYPE_PERCENTAGE")
METRIC = "digitalocean.Metric"
DATASET = "digitalocean.EvaluationDataset"
TRUTH = "expected_response"
PATH = "starMetric.threshold"
"""Where the limit stands."""


def float32(value: float) -> float:
    """The nearest number that the platform can store; infinite beyond 3.4e38.

    >>> float32(0.8) == 0.8, round(float32(0.8), 6)
    (False, 0.8)
    """
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def shortest(value: float) -> float:
    """The shortest decimal that is the same to the platform: what was written comes back as it was written.

    Raises ValueError for what the platform cannot store.

    >>> shortest(82.4000015258789), shortest(66.6666666667)
    (82.4, 66.666664)
    """
    kept = float32(value)
    if not math.isfinite(kept):
        raise ValueError(f"{value:g} is more than the platform can store")
    return next(short for digits in range(1, 10) if float32(short := float(f"{kept:.{digits}g}")) == kept)


class StarMetric(Part):
    """The metric that decides."""

    name: Annotated[str, Mark.REDEFINES, Field(description="One of the metrics of the test case.")]
    threshold: Annotated[
        Annotated[float, Field(allow_inf_nan=False), AfterValidator(shortest)] | None,
        Mark.NULL_IS_UNWRITTEN,
        FilledIn(0),
        Field(description="What it must reach, in the metric's own unit; 32 bits of it are kept."),
    ] = None


class EvaluationTestCase(Spec):
    """What agents are asked, and how well they must do."""

    name: Annotated[str, Mark.PROSE, Field(min_length=1, description="Unique in the workspace.")]
    description: Annotated[str | None, Mark.PROSE, Mark.BLANK_IS_ABSENT, Field(description="What it is about.")] = None
    dataset: Annotated[str, RefTo(DATASET), Mark.REDEFINES, Field(description="Name of the dataset.")]
    metrics: Annotated[
        list[str],
        Mark.UNORDERED,
        RefTo(METRIC, declared=False),
        Field(min_length=1, description="Names of metrics, as the platform writes them."),
    ]
    star_metric: Annotated[StarMetric, Mark.OVERRIDABLE, Field(description="The one metric with a threshold.")]


def _check(fields: Fields) -> Sequence[Flaw]:
    star, metrics = fields.get("starMetric"), fields.get("metrics")
    name = star.get("name") if isinstance(star, dict) else None
    if isinstance(metrics, list) and name not in metrics:
        return [Flaw("starMetric.name", f'"{name}" is not among the metrics')]
    return ()


def _needs(fields: Fields) -> Iterator[Need]:
    """The answers that ground-truth metrics compare with (docs "How to Create an Evaluation Dataset", 2026-08).

    They are known by their name: of the built-in ones the catalogue does not tell.
    """
    metrics = fields.get("metrics")
    for name in map(str, metrics if isinstance(metrics, list) else ()):
        if "ground truth" in name.casefold():
            where = f'which "{fields.get("dataset")}" does not have'
            yield Need("metrics", "dataset", TRUTH, f'"{name}" compares with the column "{TRUTH}", {where}')


def _refuse(fields: Fields, live: Fields | None, find: LookUp) -> Iterator[Flaw]:
    """Metrics that do not exist or are given up, and a threshold that its metric cannot have."""
    star = fields["starMetric"]
    assert isinstance(star, dict)
    yield from _refuse_metrics(fields, live, find)
    metric, threshold = find(METRIC, str(star["name"])), star.get("threshold")
    if metric is None:
        return
    if not isinstance(threshold, (int, float)):
        if metric.details.get("valueType") in NUMBERS:
            yield Flaw("starMetric", f'"{star["name"]}" yields numbers; write the threshold that it must reach')
    elif metric.details.get("valueType") == STRING:
        yield Flaw(PATH, f'"{star["name"]}" yields a text, which no threshold can judge')
    elif outside := _outside(threshold, metric):
        yield Flaw(PATH, f'{threshold:g} is outside the range of "{star["name"]}": {outside}')


def _refuse_metrics(fields: Fields, live: Fields | None, find: LookUp) -> Iterator[Flaw]:
    """A deprecated metric that the test case holds at the platform may stay there; none is put in."""
    metrics, held = fields["metrics"], live["metrics"] if live else []
    assert isinstance(metrics, list)
    assert isinstance(held, list)
    for name in map(str, metrics):
        metric = find(METRIC, name)
        if metric is None:
            yield Flaw("metrics", f'the platform has no metric "{name}"{near(name, find.names(METRIC))}')
        elif metric.details.get("deprecated"):
            what, hint = f'the platform has deprecated "{name}"', "put another metric in its place"
            yield Flaw("metrics", what, hint, is_error=name not in held)


def _outside(threshold: float, metric: LiveObject) -> str:
    """The range of a metric that does not hold ``threshold``; "" where it does, or where none is known."""
    low, high = metric.details.get("min"), metric.details.get("max")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)) or high <= low:
        return ""
    return "" if low <= threshold <= high else f"{low:g} to {high:g}"


NOISE = 1e-6
"""How far off a number may be of which 32 bits are kept."""


def _criteria(fields: Fields, find: LookUp) -> tuple[Criterion, ...]:
    """At least the threshold, or at most where less is better.

    The operator is not stated, "must reach" is read as >=; that ``inverted`` turns it round is implied (docs, 2026-08).
    """
    star = fields.get("starMetric")
    if not isinstance(star, dict) or star.get("threshold") is None:
        return ()
    name = str(star.get("name"))
    metric = find(METRIC, name)
    inverted = metric is not None and metric.details.get("inverted") is True
    operator: Literal["<=", ">="] = "<=" if inverted else ">="
    limit = star["threshold"]
    return (Criterion(name, operator, limit, label=name, measure=name, path=PATH, noise=NOISE),)


def _list(parent: str | None, _: Wire) -> Flow[list[Fields]]:
    path = at("workspaces", str(parent), "evaluation_test_cases")
    return whole_list(path, "evaluation_test_cases", "test_case_uuid")


def latest_version(test_case_id: str, *, recent: bool = False) -> Flow[Fields]:
    """One test case as it is now: GET /evaluation_test_cases/{uuid}.  ``recent`` as in ``Call``."""
    path = at("evaluation_test_cases", test_case_id)
    reply = yield Call("GET", path, recent=recent)
    return {"test_case_uuid": test_case_id, **object_of(reply.body, "evaluation_test_case", path)}


def _read(item: Fields, parent: tuple[str, ...], name_of: Callable[[str, str], str | None]) -> LiveObject | None:
    if item.get("archived_at"):
        return None
    text, op = split(text_of(item.get("description")))
    dataset = _dataset_uuid(item)
    metrics = item.get("metrics")
    names = [each.get("metric_name") for each in metrics if isinstance(each, dict)] if isinstance(metrics, list) else []
    fields: Fields = {
        "name": item.get("name"),
        "description": text,
        "dataset": (dataset and name_of(DATASET, dataset)) or text_of(item.get("dataset_name")),
        "metrics": list[Json](sorted(map(str, names))),
        "starMetric": _read_star(item.get("star_metric"), metrics),
    }
    return LiveObject(
        address=EVALUATION_TEST_CASE.address(parent, fields),
        remote_id=str(item["test_case_uuid"]),
        fields=fields,
        op=op,
        rank=(item.get("created_at"), str(item["test_case_uuid"])),
        details={"version": whole_number(item.get("version"))},
        refs={"dataset": (dataset,)} if dataset else {},
    )


def _dataset_uuid(item: Fields) -> str | None:
    dataset = item.get("dataset")
    inside = dataset.get("dataset_uuid") if isinstance(dataset, dict) else None
    return text_of(item.get("dataset_uuid")) or text_of(inside)


def _read_star(star: Json, metrics: Json) -> Json:
    """The name, and the threshold in either of its two forms: a number, or the older whole percent."""
    if not isinstance(star, dict):
        return None
    found = threshold(star, metrics)
    return {"name": star.get("name"), "threshold": None if found is None else shortest(found)}


def threshold(star: Fields, metrics: Json) -> float | None:
    """What the star metric must reach, in its own unit; None for one that yields a text, though a zero may be shown.

    None, too, where what is shown is no number, such as "NaN", as protobuf JSON writes it.

    A test case that was made with the older whole percent, a share of the metric's range, shows 0 as its number, and
    any zero may be left out (protobuf JSON).  ``metrics`` are those of the test case, in full.
    """
    metric = _metric_of(star, metrics)
    if metric.get("metric_value_type") == STRING:
        return None
    number, percent = number_of(star.get("success_threshold")), number_of(star.get("success_threshold_pct"))
    if number or not percent:
        return 0.0 if star.get("success_threshold") is None else number
    low, high = number_of(metric.get("range_min")) or 0.0, number_of(metric.get("range_max")) or 0.0
    return low + percent / 100 * (high - low) if low < high else percent


def _metric_of(star: Fields, metrics: Json) -> Fields:
    """The metric that decides, in full; nothing where it is not shown.  Older servers may show no uuid of it."""
    shown = [each for each in metrics if isinstance(each, dict)] if isinstance(metrics, list) else []
    keys = [key for key in (("metric_uuid", "metric_uuid"), ("name", "metric_name")) if star.get(key[0])]
    return next((each for mine, its in keys for each in shown if each.get(its) == star[mine]), {})


def _star(write: Write, wire: Wire) -> Fields:
    star = write.fields["starMetric"]
    assert isinstance(star, dict)
    wired: Fields = {"metric_uuid": wire.ids[Address(METRIC, (str(star["name"]),))], "name": star["name"]}
    if star.get("threshold") is not None:
        wired["success_threshold"] = star["threshold"]
    return wired


def _body(write: Write, wire: Wire) -> Fields:
    """What create and update have in common; everything that can be written is always sent."""
    text = sign(write.text_to_send("description"), write.op)
    return {
        "name": write.fields["name"],
        "description": text or "",
        "dataset_uuid": wire.ids[Address(DATASET, (str(write.fields["dataset"]),))],
        "star_metric": _star(write, wire),
    }


def _metric_uuids(write: Write, wire: Wire) -> list[Json]:
    names = write.fields["metrics"]
    assert isinstance(names, list)
    return [wire.ids[Address(METRIC, (str(name),))] for name in names]


def _create(write: Write, wire: Wire) -> Flow[str]:
    body = {**_body(write, wire), "metrics": _metric_uuids(write, wire), "workspace_uuid": write.parent_id}
    call = Call("POST", at("evaluation_test_cases"), body=body, repeatable=False)
    reply = yield call
    return uuid_in(reply.body, "test_case_uuid", call, reply.status)


def _update(writes: Sequence[Write], wire: Wire) -> Flow[None]:
    """There is no If-Match: the version is read again just before, and a moved one stops the update.

    Each PUT makes a version, so it is sent once; when its answer is lost, what is there tells whether it arrived.
    """
    for write in writes:
        assert write.live is not None
        path = at("evaluation_test_cases", write.live.remote_id)
        version = whole_number((yield from latest_version(write.live.remote_id)).get("version"))
        if version != write.live.details.get("version"):
            raise NotApplied(
                f"somebody made version {version} of it while version {write.live.details.get('version')} was planned",
                method="PUT",
                path=path,
                hint="plan again, and look at what they changed",
            )
        body: Fields = {
            **_body(write, wire),
            "metrics": {"metric_uuids": _metric_uuids(write, wire)},
            "test_case_uuid": write.live.remote_id,
        }
        try:
            yield Call("PUT", path, body=body, repeatable=False)
        except OutcomeUnknown:
            if not (yield from _has_arrived(write, write.live.remote_id, body["dataset_uuid"])):
                raise


def _has_arrived(write: Write, test_case_id: str, dataset: Json) -> Flow[bool]:
    """Whether the test case is as it was written, for certain."""
    try:
        found = _read((yield from latest_version(test_case_id)), (), lambda _, __: None)
    except ApiError:
        return False
    return (
        found is not None and found.op == write.op and found.refs.get("dataset") == (dataset,) and _is_as(write, found)
    )


def _is_as(write: Write, found: LiveObject) -> bool:
    star, shown, metrics = write.fields["starMetric"], found.fields["starMetric"], write.fields["metrics"]
    assert isinstance(star, dict)
    assert isinstance(metrics, list)
    written = {"name": write.fields["name"], "metrics": sorted(map(str, metrics))}
    return (
        all(found.fields[name] == value for name, value in written.items())
        and (found.fields["description"] or None) == write.text_to_send("description")
        and isinstance(shown, dict)
        and all(shown[name] == value for name, value in star.items() if value is not None)
    )


EVALUATION_TEST_CASE = Kind(
    id="digitalocean.EvaluationTestCase",
    spec=EvaluationTestCase,
    parent="digitalocean.Workspace",
    plural="testCases",
    identity=("name",),
    list=_list,
    one=latest_version,
    read=_read,
    create=_create,
    update=_update,
    removal=Removal.FORGET,
    marker="description",
    criteria=_criteria,
    check=_check,
    needs=_needs,
    refuse=_refuse,
    example={
        "name": "Answers are correct",
        "dataset": "faq",
        "metrics": ["Correctness (general hallucinations)"],
        "starMetric": {"name": "Correctness (general hallucinations)", "threshold": 80.0},
    },
)
