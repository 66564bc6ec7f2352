"""Turn Pin documents into pins on resources that are declared.  Pure.

A pin stands in git beside the tests, so that it can be judged by anybody, without an account, and outlives the results
at the platform.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Struct
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from reconciler.manifests.documents import LOCAL, PIN, Document
from reconciler.manifests.items import check_texts, checked_metadata
from reconciler.manifests.positions import Map, Seq, unpack
from reconciler.manifests.problems import Problems, explain, quoted
from reconciler.manifests.variables import Scope, resolve
from reconciler.model.criteria import criteria_text, family, is_defined, value_text
from reconciler.model.gating import declared_criteria
from reconciler.model.kind import AnyKind
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import Address, Evidence, Pin, PinnedVerdict, Resource, Source
from reconciler.model.spec import Part, fields_of
from reconciler.model.values import Json

_METADATA: Final = ("name", "labels")


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not a time; write 2026-11-01T14:00:00Z, in quotes") from None
    return text


def _instant(text: str) -> datetime:
    """The time that a text names; where it says no zone, UTC is meant."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[str, AfterValidator(_moment)]


class PinnedWindow(Part):
    """The time that was measured."""

    start: Annotated[Moment, Field(alias="from", description="Its beginning, ISO 8601, in quotes.")]
    end: Annotated[Moment, Field(alias="to", description="Its end, ISO 8601, in quotes.")]

    @field_validator("end")
    @classmethod
    def _in_order(cls, end: str, info: ValidationInfo) -> str:
        if "start" in info.data and _instant(end) < _instant(info.data["start"]):
            raise ValueError(f"lies before from ({info.data['start']})")
        return end


class PinnedValue(Part):
    """One value as it was measured then."""

    measurement: Annotated[str, Field(min_length=1, description="As in the threshold.")]
    value: Annotated[
        bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | list[str],
        Field(description="The value, not rounded."),
    ]
    definition: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{12}$",
            description="Written by reconciler pin: tells whether the test still measures the same thing.",
        ),
    ] = None


class PinSpec(Part):
    """A past measurement and the verdict that a test must give on it: no change of thresholds may turn it."""

    project: Annotated[str, Field(min_length=1, description="Name of the project or workspace.")]
    test: Annotated[str, Field(min_length=1, description="Name of the test.")]
    mode: Annotated[str | None, Field(description="Mode of the test, where two of this name differ by it.")] = None
    pipeline: Annotated[str | None, Field(description="Name of the pipeline it was measured on.")] = None
    window: Annotated[PinnedWindow | None, Field(description="The time that was measured.")] = None
    result: Annotated[str | None, Field(description="The platform's id of the result.")] = None
    measured: Annotated[list[PinnedValue], Field(min_length=1, description="What was measured: the evidence.")]
    verdict: Annotated[
        PinnedVerdict, Field(description="flagged: an incident that must be noticed; passes: a known good time.")
    ]
    environments: Annotated[
        list[str] | None,
        Field(min_length=1, description="Only in these environments; in all of them by default."),
    ] = None
    why: Annotated[str | None, Field(description="For people: the incident, the ticket.")] = None


class Pins(Struct, frozen=True):
    """Makes pins.  ``taken`` is what is declared, ``active`` what of it is sound and not switched off.

    ``environment`` is the one of this run, ``environments`` are all that are declared.
    ``partial``: some files could not be read, so what a pin is on may be in them.
    """

    kinds: Mapping[str, AnyKind]
    taken: Mapping[Address, Map]
    active: Mapping[Address, Resource]
    scope: Scope
    problems: Problems
    environment: str | None
    environments: Sequence[str] = ()
    partial: bool = False

    def pins(self, documents: Sequence[Document]) -> tuple[Pin, ...]:
        """The pins of this environment, in the order of the documents.  What is wrong with any of them is reported."""
        found: list[Pin] = []
        names: dict[str, int] = {}
        for document in documents:
            if not document.is_pin:
                continue
            metadata = checked_metadata(document, _METADATA, fields_of(PinSpec), self.scope, self.problems)
            check_texts(metadata, self.problems)
            name = document.metadata.get("name")
            if isinstance(name, str) and name in names:
                there = self.problems.place(names[name])
                spot = document.metadata.value_spot("name")
                self.problems.add(spot, f"{quoted(name)} is declared twice", f"see {there}")
            elif isinstance(name, str):
                names[name] = document.data.spot
            pin = self._pin(document, str(name))
            found += [pin] if pin is not None else []
        return tuple(found)

    def _pin(self, document: Document, name: str) -> Pin | None:
        """The pin; None, and reports, where it is not sound, and None where it is for other environments.

        What it refers to is looked at whatever else is wrong with it.
        """
        written = document.spec
        data = resolve(written, written.spot, self.scope, self.problems)
        assert isinstance(data, Map)
        spec = self._validated(data)
        environments = _texts(data.get("environments"))
        is_here = not environments or self.environment in environments
        if self._are_declared(environments, data) and not is_here:
            return None
        address = self._address(data)
        if address is None:
            return None
        self._check_pipeline(data, address)
        resource = self._switched_on(address, data) if is_here else None
        if resource is None:
            return None
        self._check_values(data, resource)
        if spec is None:
            return None
        number, line, column = unpack(document.data.spot)
        return Pin(
            name=name,
            address=address,
            verdict=spec.verdict,
            measured=tuple(
                Evidence(each.measurement, _json(each.value), each.definition or "") for each in spec.measured
            ),
            source=Source(self.problems.files[number].file, line, column),
            pipeline=spec.pipeline,
            window=f"{spec.window.start} to {spec.window.end}" if spec.window else "",
            result=spec.result or "",
            why=spec.why or "",
        )

    def _validated(self, data: Map) -> PinSpec | None:
        if data.get("window") is None and data.get("result") is None:
            message = "says neither window nor result: nobody could find out what was measured"
            self.problems.add(data.spot, message)
        try:
            return PinSpec.model_validate(data)
        except ValidationError as error:
            explain(error, data, PIN, fields_of(PinSpec), self.problems)
            return None

    def _are_declared(self, environments: Sequence[str], data: Map) -> bool:
        """Whether all are; a pin for an environment that nobody declares would never hold anywhere."""
        known = [*self.environments, LOCAL]
        unknown = [] if self.partial else [name for name in environments if name not in known]
        for name in unknown:
            hint = did_you_mean(name, known)
            self.problems.add(data.value_spot("environments"), f"there is no environment {quoted(name)}", hint)
        return not unknown

    def _check_pipeline(self, data: Map, address: Address) -> None:
        """Warn of a pipeline that is not declared: it may be at the platform, or be misspelt."""
        measuring, pipeline = self.kinds[address.kind].measuring, self._text(data, "pipeline")
        if not pipeline or measuring is None or self.partial:
            return
        beside = [each.name for each in self.taken if each.kind == measuring.place and each.root == address.root]
        if beside and pipeline not in beside:
            what = f"no pipeline {quoted(pipeline)} is declared in {quoted(address.root)}"
            self.problems.add(data.value_spot("pipeline"), what, did_you_mean(pipeline, beside), warning=True)

    def _check_values(self, data: Map, resource: Resource) -> None:
        """A value of another kind than the limit misses every limit, so such a pin would always seem to be kept."""
        criteria = [c for c in declared_criteria(self.kinds[resource.address.kind], resource.fields) if is_defined(c)]
        for each in _maps(data.get("measured")):
            value, limits = each.get("value"), [c for c in criteria if c.label == each.get("measurement")]
            if limits and family(value) and all(family(limit.value) != family(value) for limit in limits):
                what = f"{value_text(value)} cannot be compared with {criteria_text(limits)}"
                hint = "write the value as it was measured"
                hint += ": a number without quotes" if family(limits[0].value) == "number" else ""
                self.problems.add(each.value_spot("value"), what, hint)

    def _address(self, data: Map) -> Address | None:
        """The test that it is on; none, and a report, where there is none or more than one.

        Nothing is said of a test whose name cannot be read: that was said elsewhere.
        """
        root, name, mode = (self._text(data, key) for key in ("project", "test", "mode"))
        if not root or not name or (mode is None and data.get("mode") is not None):
            return None
        tests = [address for address in self.taken if self.kinds[address.kind].judges]
        there = [a for a in tests if a.root == root and a.name == name and not a.is_root]
        found = [a for a in there if mode is None or mode in a.path[1:-1]]
        if len(found) == 1:
            return found[0]
        spot = data.value_spot("test")
        if found:
            modes = ", ".join(sorted(quoted(part) for address in found for part in address.path[1:-1]))
            self.problems.add(spot, f"there are {len(found)} tests {quoted(name)}", f"add mode: {modes}")
        elif there and not self.partial:
            self.problems.add(spot, f"there is no test {quoted(name)} with the mode {quoted(str(mode))}")
        elif not self.partial:
            self.problems.add(spot, *_nobody(root, name, tests))
        return None

    def _text(self, data: Map, key: str) -> str | None:
        """The text at a key; None where there is none, or one whose reference leads nowhere."""
        value = data.get(key)
        return value if isinstance(value, str) and data.value_spot(key) not in self.problems.unresolved else None

    def _switched_on(self, address: Address, data: Map) -> Resource | None:
        if self.taken[address].get("enabled") is False:
            what = f"{quoted(address.name)} is switched off, so it flags nothing"
            self.problems.add(data.value_spot("test"), what, "enable it, or limit the pin to other environments")
        return self.active.get(address)


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, Seq) else []


def _maps(value: object) -> list[Map]:
    return [each for each in value if isinstance(each, Map)] if isinstance(value, Seq) else []


def _json(value: bool | float | str | list[str]) -> Json:
    return [*value] if isinstance(value, list) else value


def _nobody(root: str, name: str, tests: Sequence[Address]) -> tuple[str, str]:
    """(message, hint) for a pin on a test that nobody declares."""
    beside = [address.name for address in tests if address.root == root]
    what = f"no test {quoted(name)} is declared in {quoted(root)}"
    near = did_you_mean(name, beside) if beside else did_you_mean(root, {address.root for address in tests})
    return what, near or "correct it, or delete the pin with the test"
