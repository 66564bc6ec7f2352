"""An Openlayer test ("goal" in old names): one expectation on a project.

API: GET and POST /projects/{id}/tests; PUT on the same path takes ``payloads`` keyed by id and can change name,
description, thresholds and archived, nothing else.  No documented DELETE: removing means archiving.  Names are not
unique; mode and name are, by the vendor's own templates.  Evaluation: POST /tests/{id}/evaluate, monitoring only.
Source: openlayer-python 0.36.0 types/projects/test_create_params.py, test_update_params.py,
types/test_evaluate_params.py; docs.openlayer.com/api-reference/rest/tests/evaluate; 2026-11.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from reconciler.model.call import Call, Flow, Wire, Write, url_path
from reconciler.model.criteria import ORDERED, value_text
from reconciler.model.gating import FlakyField, GateField, GatePolicy, RegressField, SeverityField, gate_of
from reconciler.model.kind import Criterion, Flaw, Kind, LookUp, Removal, Replace
from reconciler.model.marker import sign, split
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import Address, Gate, LiveObject
from reconciler.model.spec import FilledIn, Mark, Part, RefTo, Spec, no_items
from reconciler.model.values import (
    MAX_INTEGER,
    Duration,
    Fields,
    Json,
    format_duration,
    how_to_write_number,
    number_meant,
    parse_duration,
)
from reconciler.providers.bodies import listed
from reconciler.providers.openlayer.evaluation import MEASURING
from reconciler.providers.openlayer.paging import every
from reconciler.providers.openlayer.replies import id_of, settle
from reconciler.providers.openlayer.subtypes import SUBTYPES

OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "ne": "!=", "eq": "is"}
FLAGS = {
    "mlModel": "usesMlModel",
    "trainingDataset": "usesTrainingDataset",
    "validationDataset": "usesValidationDataset",
    "referenceDataset": "usesReferenceDataset",
}
BATCH = 100
"""Tests in one PUT.  The vendor states no limit (2026-11)."""

_KNOWN = frozenset(
    # what the platform may answer and we know, whether or not the API can set it
    "id number name description type subtype thresholds archived dateArchived suggested paused syncId commentCount "
    "creatorId dateCreated dateUpdated originProjectVersionId projectVersionId usesProductionData usesMlModel "
    "usesTrainingDataset usesValidationDataset usesReferenceDataset evaluationWindow delayWindow "
    "defaultToAllPipelines includePipelines excludePipelines includeHistoricalData subpopulationFiltersHash "
    "projectId workspaceId links".split()
)
_LOST = ("paused", "subpopulationFiltersHash")
"""What of it is there for users to set, and no create takes."""


def _operator(value: object) -> object:
    if value in ("", None):
        raise ValueError('the operator is empty: YAML reads an unquoted > as the start of a text; write ">" in quotes')
    return OPERATORS.get(value, value) if isinstance(value, str) else value


Operator = Annotated[
    Literal["is", "!=", ">", ">=", "<", "<="],
    BeforeValidator(_operator),
    WithJsonSchema({"enum": ["is", "!=", ">", ">=", "<", "<=", *OPERATORS]}),
]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _as_number(value: object) -> str:
    """How a value becomes what has an order, for a person."""
    if isinstance(value, str) and (how := how_to_write_number(value)):
        return how
    meant = number_meant(value) if isinstance(value, str) else ""
    return f"write {meant}" if meant else 'use "is" or "!="'


def _shown(value: Any) -> str:
    text = value_text(value)
    return text if len(text) <= 40 else "a list" if isinstance(value, list) else "a text"


class Threshold(Part):
    """One condition; all conditions of a test must hold."""

    insight_name: Annotated[
        str | None,
        Mark.KEY,
        Mark.NULL_IS_UNWRITTEN,
        Field(description="The insight that measures: containsPii, metrics, ..."),
    ] = None
    insight_parameters: Annotated[
        dict[str, Any] | None,
        Mark.KEY,
        Mark.BLANK_IS_ABSENT,
        Mark.REDEFINES,
        Field(description="Parameters of the insight by name."),
    ] = None
    measurement: Annotated[str, Mark.KEY, Field(description="The number inside the insight.")]
    operator: Annotated[Operator, Field(description='Quote the signs: ">=". Words work too: gte.')]
    value: Annotated[
        bool | int | Number | str | list[str] | None,
        Mark.NULL_IS_UNWRITTEN,
        Field(description="The limit; left out only when thresholdMode is automatic."),
    ] = None
    threshold_mode: Annotated[
        Literal["automatic", "manual"] | None,
        Mark.NULL_IS_UNWRITTEN,
        Mark.REDEFINES,
        FilledIn("manual"),
        Field(description="automatic: the platform learns the limit (monitoring only)."),
    ] = None

    @field_validator("value", mode="before")
    @classmethod
    def _in_order(cls, value: object, info: ValidationInfo) -> object:
        """Only numbers have an order: nothing is more than a text, and an empty variable is one."""
        operator = info.data.get("operator")
        if operator in ORDERED and isinstance(value, (bool, str, list)):
            raise ValueError(f"{operator} needs a number, found {_shown(value)}; {_as_number(value)}")
        return value

    @model_validator(mode="after")
    def _limit(self) -> Self:
        if self.value is None and self.threshold_mode != "automatic":
            raise ValueError("value is missing; only thresholdMode: automatic does without")
        if self.value is not None and self.threshold_mode == "automatic":
            raise ValueError("value goes with thresholdMode: manual; the platform learns an automatic limit by itself")
        return self


class Test(Spec):
    """An expectation on a project's data or model, with thresholds."""

    __test__ = False  # not pytest's

    name: Annotated[str, Mark.PROSE, Field(min_length=1, description="Unique within the project and mode.")]
    description: Annotated[str | None, Mark.PROSE, Mark.BLANK_IS_ABSENT, Field(description="Why it matters.")] = None
    mode: Annotated[
        Literal["monitoring", "development"],
        Mark.CREATE_ONLY,
        Field(description="monitoring runs on production rows, development on commits."),
    ] = "monitoring"
    type: Annotated[
        Literal["integrity", "consistency", "performance"],
        Mark.CREATE_ONLY,
        Mark.REDEFINES,
        Field(description="What the check is about: the data, how two sets of data agree, or how well the model does."),
    ]
    subtype: Annotated[
        str,
        Mark.CREATE_ONLY,
        Mark.REDEFINES,
        Field(description="What kind of check it is.", examples=sorted(SUBTYPES)),
    ]
    thresholds: Annotated[
        list[Threshold], Mark.OVERRIDABLE, Field(min_length=1, description="What must hold; all of them.")
    ]
    pipelines: Annotated[
        Literal["all"] | list[str],
        Mark.CREATE_ONLY,
        Mark.UNORDERED,
        Mark.SCOPE,
        Mark.OVERRIDABLE,
        RefTo("openlayer.InferencePipeline"),
        Field(description="Names of pipelines it runs on; all of them by default."),
    ] = "all"
    exclude_pipelines: Annotated[
        list[str],
        Mark.CREATE_ONLY,
        Mark.UNORDERED,
        Mark.BLANK_IS_ABSENT,
        Mark.EXCEPT,
        RefTo("openlayer.InferencePipeline"),
        Field(description="Names of pipelines it does not run on."),
    ] = Field(default_factory=no_items)
    evaluation_window: Annotated[
        Duration | None,
        Mark.CREATE_ONLY,
        Mark.NULL_IS_UNWRITTEN,
        Mark.REDEFINES,
        Mark.OVERRIDABLE,
        Field(description="Rows of how long are judged together: 1h to 28d."),
    ] = None
    delay_window: Annotated[
        Duration | None,
        Mark.CREATE_ONLY,
        Mark.NULL_IS_UNWRITTEN,
        Mark.REDEFINES,
        Mark.OVERRIDABLE,
        Field(description="How long to wait for late rows."),
    ] = None
    include_historical_data: Annotated[
        bool | None,
        Mark.CREATE_ONLY,
        Mark.NULL_IS_UNWRITTEN,
        Field(description="Whether rows from before its creation count."),
    ] = None
    uses: Annotated[
        list[Literal["mlModel", "trainingDataset", "validationDataset", "referenceDataset"]] | None,
        Mark.CREATE_ONLY,
        Mark.UNORDERED,
        Mark.NULL_IS_UNWRITTEN,
        Field(description="What the test needs; left out, it follows from type and mode."),
    ] = None
    severity: SeverityField = "error"
    flaky: FlakyField = False
    warn: Annotated[
        list[Threshold], Mark.LOCAL, Mark.OVERRIDABLE, Field(description="Stricter thresholds that only warn.")
    ] = Field(default_factory=no_items)
    regress: RegressField = None
    gate: GateField = Field(default_factory=functools.cache(GatePolicy))
    enabled: Annotated[
        bool, Mark.LOCAL, Mark.OVERRIDABLE, Field(description="false: treated as if it stood in no manifest.")
    ] = True


# ------------------------------------------------------------------------------------------- what it means


def _gate(spec: Test) -> Gate:
    stricter: list[Json] = [item.model_dump(mode="json", by_alias=True, exclude_unset=True) for item in spec.warn]
    return gate_of(spec, {"thresholds": stricter} if stricter else {})


def _complete(fields: Fields) -> Fields:
    """Spell out what a create must say: some servers reject a test whose uses* flags are missing.

    Which flags a test needs follows the vendor's templates and skill notes (openlayer-ai/templates, 2026-11): drift
    needs something to compare with, performance in development needs the model.
    """
    monitoring = fields.get("mode", "monitoring") == "monitoring"
    kind = fields.get("type")
    if monitoring:
        uses = ["referenceDataset"] if kind == "consistency" else []
    else:
        uses = ["validationDataset"]
        uses += ["trainingDataset"] if kind == "consistency" else ["mlModel"] if kind == "performance" else []
    return {"mode": "monitoring", "pipelines": "all", "uses": list[Json](uses), **fields}


_FILLED_IN: Fields = {
    "evaluationWindow": "1h",
    "delayWindow": "0s",
    "includeHistoricalData": False,
    "excludePipelines": [],
}
"""What the platform fills in for a monitoring test (docs, "Evaluation and delay windows", 2026-11)."""


def _tidy(fields: Fields) -> Fields:
    known = _complete({name: fields[name] for name in ("mode", "type") if name in fields})
    usual: Fields = {**_FILLED_IN, "pipelines": known["pipelines"], "uses": known["uses"]}
    kept = {name: value for name, value in fields.items() if name not in usual or usual[name] != value}
    if kept.get("mode") == "monitoring":
        del kept["mode"]
    return {**kept, "thresholds": [_tidy_threshold(item) for item in listed(fields.get("thresholds"))]}


def _tidy_threshold(item: Json) -> Json:
    if not isinstance(item, dict):
        return item
    kept = {name: value for name, value in item.items() if name != "thresholdMode" or value != "manual"}
    value = kept.get("value")
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_INTEGER:
        kept["value"] = int(value)
    return kept


_SPELLING = json.JSONEncoder(sort_keys=True)


def _criteria(fields: Fields, _: LookUp) -> tuple[Criterion, ...]:
    thresholds = fields.get("thresholds")
    return (
        tuple(_criterion(item, place) for place, item in enumerate(thresholds) if isinstance(item, dict))
        if isinstance(thresholds, list)
        else ()
    )


def _criterion(threshold: Mapping[str, Any], place: int) -> Criterion:
    parameters = threshold.get("insightParameters") or {}
    measurement = _rubric_measurement(str(threshold.get("measurement")), parameters)
    measure = f"{threshold.get('insightName')}|{measurement}"
    rest = {name: value for name, value in parameters.items() if name != "criteria_list"}
    return Criterion(
        key=f"{measure}|{_SPELLING.encode(rest)}" if rest else measure,
        operator=threshold.get("operator", "is"),
        value=threshold.get("value"),
        automatic=threshold.get("thresholdMode") == "automatic",
        label=str(threshold.get("measurement")),
        measure=measure,
        path=f"thresholds.{place}.value",
    )


def _rubric_measurement(measurement: str, parameters: Mapping[str, Any]) -> str:
    """``criteria1MeanScore`` names a criterion by position; name it by its text, so that a reorder is seen through."""
    found = re.fullmatch(r"criteria(\d+)(\w+)", measurement)
    criteria = parameters.get("criteria_list")
    if not found or not isinstance(criteria, list) or int(found[1]) >= len(criteria):
        return measurement
    return f"{json.dumps(criteria[int(found[1])], sort_keys=True)}.{found[2]}"


def _check(fields: Fields) -> Sequence[Flaw]:
    found: list[Flaw] = []
    monitoring = fields.get("mode", "monitoring") == "monitoring"
    if not monitoring:
        windows = [name for name in ("evaluationWindow", "delayWindow") if fields.get(name) is not None]
        found += [Flaw(name, "only monitoring tests have windows") for name in windows]
    window = fields.get("evaluationWindow")
    if isinstance(window, str) and not 3600 <= parse_duration(window) <= 2_419_200:
        found.append(Flaw("evaluationWindow", f"{window} is outside 1h to 28d"))
    if not monitoring and fields.get("pipelines", "all") != "all":
        found.append(Flaw("pipelines", "development tests run on commits, not on pipelines"))
    if fields.get("excludePipelines") and fields.get("pipelines", "all") != "all":
        found.append(Flaw("excludePipelines", "goes with pipelines: all only"))
    if fields.get("pipelines") == []:
        found.append(Flaw("pipelines", "names no pipeline", "leave it out for all of them"))
    return [*found, *_check_subtype(fields), *_check_thresholds(fields, monitoring=monitoring)]


def _check_subtype(fields: Fields) -> Sequence[Flaw]:
    subtype = str(fields.get("subtype"))
    if subtype not in SUBTYPES:
        message, hint = f'"{subtype}" is not a subtype we know', did_you_mean(subtype, SUBTYPES)
        return [Flaw("subtype", message, hint, is_error=False)]
    known = SUBTYPES[subtype].type
    if known and fields.get("type") != known:
        message = f'{subtype} is documented as "{known}", not "{fields.get("type")}"'
        return [Flaw("type", message, is_error=False)]
    return ()


def _check_thresholds(fields: Fields, *, monitoring: bool) -> Sequence[Flaw]:
    found: list[Flaw] = []
    known = SUBTYPES.get(str(fields.get("subtype")))
    thresholds = fields.get("thresholds")
    for index, item in enumerate(thresholds if isinstance(thresholds, list) else []):
        assert isinstance(item, dict)
        where, insight = f"thresholds.{index}", item.get("insightName")
        if insight is None:
            hint = "the platform needs one in practice"
            found.append(Flaw(where, "names no insightName", hint, is_error=False))
        elif known and known.insight and insight != known.insight:
            message = f'{fields["subtype"]} is measured by "{known.insight}"'
            found.append(Flaw(f"{where}.insightName", message, is_error=False))
        if item.get("thresholdMode") == "automatic" and not monitoring:
            found.append(Flaw(f"{where}.thresholdMode", "automatic is for monitoring tests only"))
        written = item.get("insightParameters")
        parameters = written if isinstance(written, dict) else {}
        missing = [name for name in (known.required if known else ()) if name not in parameters]
        if missing:
            message, hint = f"{', '.join(missing)} missing", "the platform needs it"
            found.append(Flaw(f"{where}.insightParameters", message, hint, is_error=False))
    return found


# ------------------------------------------------------------------------------------------------ reading


def _list(parent: str | None, _: Wire) -> Flow[list[Fields]]:
    return every(url_path("projects", str(parent), "tests"), {"includeArchived": True})


def _read(item: Fields, parent: tuple[str, ...], name_of: Callable[[str, str], str | None]) -> LiveObject | None:
    if item.get("suggested") is True:
        return None
    text, op = split(_plain_text(item.get("description")))
    monitoring = item.get("usesProductionData") is True
    fields: Fields = {
        "name": item["name"],
        "description": text,
        "mode": "monitoring" if monitoring else "development",
        "type": item.get("type"),
        "subtype": item.get("subtype"),
        "thresholds": [_read_threshold(each) for each in listed(item.get("thresholds"))],
        "pipelines": _read_targets(item, name_of),
        "excludePipelines": _names(item.get("excludePipelines"), name_of),
        "includeHistoricalData": item.get("includeHistoricalData"),
        "uses": [name for name, flag in FLAGS.items() if item.get(flag) is True],
    }
    for name in ("evaluationWindow", "delayWindow") if monitoring else ():
        seconds = item.get(name)
        fields[name] = format_duration(seconds) if isinstance(seconds, (int, float)) else None
    return LiveObject(
        address=TEST.address(parent, fields),
        remote_id=str(item["id"]),
        fields=fields,
        archived=item.get("archived") is True,
        op=op,
        rank=(item.get("dateCreated"), item.get("number"), str(item["id"])),
        unmanaged=() if item.keys() <= _KNOWN and not any(map(item.get, _LOST)) else _unmanaged(item),
    )


def _unmanaged(item: Fields) -> tuple[str, ...]:
    keys = (key for key in item if key not in _KNOWN or key in _LOST)
    return tuple(sorted(key for key in keys if item[key] not in (None, "", [], {}, False)))


def _plain_text(description: Json) -> str | None:
    """The text of a description, which may be a string or a rich-text document (ProseMirror)."""
    if isinstance(description, str):
        return description or None
    if not isinstance(description, dict):
        return None
    if isinstance(description.get("text"), str):
        return str(description["text"])
    parts = [_plain_text(child) for child in listed(description.get("content"))]
    return ("\n" if description.get("type") == "doc" else "").join(part for part in parts if part) or None


def _read_threshold(item: Json) -> Json:
    """Raises TypeError for what is no threshold: a gate must not be judged by half of one."""
    if not isinstance(item, dict):
        raise TypeError("a threshold is no mapping")
    parameters = item.get("insightParameters")
    if not isinstance(parameters, (list, dict, NoneType)):
        raise TypeError("insightParameters is neither a list nor a mapping")
    if not isinstance(item.get("operator"), (str, NoneType)):
        raise TypeError("operator is no text")
    threshold: Fields = {key: value for key, value in item.items() if value is not None}
    if isinstance(parameters, list):
        pairs = [pair for pair in parameters if isinstance(pair, dict)]
        threshold["insightParameters"] = {str(pair.get("name")): pair.get("value") for pair in pairs}
    if threshold.get("thresholdMode") == "automatic":
        threshold.pop("value", None)  # learned by the platform; its moves are not drift
    return threshold


def _read_targets(item: Fields, name_of: Callable[[str, str], str | None]) -> Json:
    """No pipelines at all are left to a test once those that it names are deleted."""
    if item.get("includePipelines"):
        return _names(item["includePipelines"], name_of)
    names_some = item.get("usesProductionData") is True and item.get("defaultToAllPipelines") is False
    return [] if names_some and not item.get("excludePipelines") else "all"


def _names(ids: Json, name_of: Callable[[str, str], str | None]) -> list[Json]:
    if not ids:
        return []
    names = sorted(name_of("openlayer.InferencePipeline", str(each)) or str(each) for each in listed(ids))
    return list[Json](names)


# ------------------------------------------------------------------------------------------------ writing


def _wire_thresholds(fields: Fields) -> list[Json]:
    return [_wire_threshold(item) for item in listed(fields.get("thresholds")) if isinstance(item, dict)]


def _wire_threshold(item: Mapping[str, Json]) -> Json:
    wire: Fields = {key: value for key, value in item.items() if value is not None and key != "insightParameters"}
    parameters = item.get("insightParameters")
    if isinstance(parameters, dict) and parameters:  # null and [] are rejected for subtypes without parameters
        wire["insightParameters"] = [{"name": name, "value": value} for name, value in parameters.items()]
    return wire


def _pipeline_ids(write: Write, wire: Wire, field: str) -> list[Json]:
    parent = write.address.path[:-2]
    names = listed(write.fields.get(field))
    return [wire.ids[Address("openlayer.InferencePipeline", (*parent, str(name)))] for name in names]


def _create(write: Write, wire: Wire) -> Flow[str]:
    fields = _complete(write.fields)
    uses = listed(fields.get("uses"))
    body: Fields = {
        "name": fields["name"],
        "description": sign(write.text("description"), write.op),
        "type": fields["type"],
        "subtype": fields["subtype"],
        "thresholds": _wire_thresholds(fields),
        "usesProductionData": fields["mode"] == "monitoring",
        **{flag: name in uses for name, flag in FLAGS.items()},
    }
    if fields["mode"] == "monitoring":
        body.update(_wire_monitoring(write, fields, wire))
    call = Call("POST", url_path("projects", str(write.parent_id), "tests"), body=body, repeatable=False)
    return id_of((yield call), call)


def _wire_monitoring(write: Write, fields: Fields, wire: Wire) -> Fields:
    body: Fields = {"defaultToAllPipelines": fields["pipelines"] == "all"}
    for name in ("evaluationWindow", "delayWindow"):
        if isinstance(fields.get(name), str):
            body[name] = parse_duration(fields[name])
    if fields["pipelines"] != "all":
        body["includePipelines"] = _pipeline_ids(write, wire, "pipelines")
    if fields.get("excludePipelines"):
        body["excludePipelines"] = _pipeline_ids(write, wire, "excludePipelines")
    if fields.get("includeHistoricalData") is not None:
        body["includeHistoricalData"] = fields["includeHistoricalData"]
    return body


def _update(writes: Sequence[Write], wire: Wire) -> Flow[None]:
    """One PUT for all of ``writes``; they share a project."""
    payloads: list[Json] = [_payload(write, wire) for write in writes]
    key = "tests" if wire.dialect == "seed" else "payloads"
    call = Call("PUT", url_path("projects", str(writes[0].parent_id), "tests"), body={key: payloads})
    reply = yield call
    yield from settle(reply, call)


def _payload(write: Write, wire: Wire) -> Fields:
    assert write.live is not None
    payload: Fields = {"id": write.live.remote_id}
    if wire.dialect == "seed":  # that server wants a whole test object
        payload.update(name=write.live.fields["name"], type=write.live.fields["type"])
    if "name" in write.changed:
        payload["name"] = write.fields["name"]
    if "description" in write.changed:
        payload["description"] = sign(write.text("description"), write.op)
    if "thresholds" in write.changed:
        payload["thresholds"] = _wire_thresholds(write.fields)
    if write.live.archived != write.archived:
        payload["archived"] = write.archived
    return payload


TEST = Kind(
    id="openlayer.Test",
    spec=Test,
    parent="openlayer.Project",
    plural="tests",
    defaults_field="testDefaults",
    set_document="TestSet",
    identity=("mode", "name"),
    list=_list,
    read=_read,
    create=_create,
    update=_update,
    remove=_update,
    removal=Removal.ARCHIVE,
    replace=Replace.CREATE_FIRST,
    batch=BATCH,
    marker="description",
    complete=_complete,
    tidy=_tidy,
    criteria=_criteria,
    check=_check,
    gate=_gate,
    measuring=MEASURING,
    worth_telling={"paused": "it is paused at the platform, and not evaluated there by itself"},
    example={
        "name": "Answers contain no PII",
        "type": "integrity",
        "subtype": "containsPii",
        "thresholds": [
            {
                "insightName": "containsPii",
                "insightParameters": {"pii_type": "EMAIL_ADDRESS", "column_name": "openlayer_output"},
                "measurement": "containsPIIRowCount",
                "operator": "<=",
                "value": 0,
            }
        ],
    },
)
