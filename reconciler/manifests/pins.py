"""Turn Pin documents into pins on resources that are declared.  Pure.

A pin stands in git beside the tests, so that it can be judged by anybody, without an account, and outlives the results
at the platform.
"""

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self

from msgspec import Struct
from pydantic import AfterValidator, Field, ValidationError, model_validator

from reconciler.manifests.documents import LOCAL, PIN, Document
from reconciler.manifests.items import checked_metadata
from reconciler.manifests.positions import Map, unpack
from reconciler.manifests.problems import Problems, did_you_mean, explain, quoted
from reconciler.manifests.variables import Scope, resolve
from reconciler.model.kind import AnyKind, Part, fields_of
from reconciler.model.resource import Address, Evidence, Pin, PinnedVerdict, Source
from reconciler.model.values import Json

_METADATA: Final = ("name", "labels")


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not a time; write 2026-11-01T14:00:00Z, in quotes") from None
    return text


Moment = Annotated[str, AfterValidator(_moment)]


class PinnedWindow(Part):
    """The time that was measured."""

    start: Annotated[Moment, Field(alias="from", description="Its beginning, ISO 8601, in quotes.")]
    end: Annotated[Moment, Field(alias="to", description="Its end, ISO 8601, in quotes.")]


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
        list[str] | None, Field(description="Only in these environments; in all of them by default.")
    ] = None
    why: Annotated[str | None, Field(description="For people: the incident, the ticket.")] = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.window is None and self.result is None:
            raise ValueError("says neither window nor result: nobody could find out what was measured")
        return self


class Pins(Struct, frozen=True):
    """Makes pins.  ``taken`` are the declared addresses, ``active`` those that are not switched off.

    ``environment`` is the one of this run, ``environments`` are all that are declared.
    ``partial``: some files could not be read, so what a pin is on may be in them.
    """

    kinds: Mapping[str, AnyKind]
    taken: Sequence[Address]
    active: Container[Address]
    scope: Scope
    problems: Problems
    environment: str | None
    environments: Sequence[str] = ()
    partial: bool = False

    def pins(self, documents: Sequence[Document]) -> tuple[Pin, ...]:
        """The pins of this environment, in the order of the documents.  What is wrong with any of them is reported."""
        found: dict[str, Pin] = {}
        names: dict[str, int] = {}
        for document in documents:
            if not document.is_pin:
                continue
            checked_metadata(document, _METADATA, self.scope, self.problems)
            name = document.metadata.get("name")
            if isinstance(name, str) and name in names:
                there = self.problems.place(names[name])
                spot = document.metadata.value_spot("name")
                self.problems.add(spot, f"{quoted(name)} is declared twice", f"see {there}")
                continue
            pin = self._pin(document, str(name))
            if isinstance(name, str):
                names[name] = document.data.spot
            if pin is not None:
                found[str(name)] = pin
        return tuple(found.values())

    def _pin(self, document: Document, name: str) -> Pin | None:
        written = document.spec
        data = resolve(written, written.spot, self.scope, self.problems.add_reference)
        assert isinstance(data, Map)
        try:
            spec = PinSpec.model_validate(data)
        except ValidationError as error:
            explain(error, data, PIN, fields_of(PinSpec), self.problems)
            return None
        self._check_environments(spec, data)
        if spec.environments is not None and self.environment not in spec.environments:
            return None
        address = self._address(spec, data)
        if address is None:
            return None
        self._check_pipeline(spec, data, address)
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

    def _check_environments(self, spec: PinSpec, data: Map) -> None:
        """A pin for an environment that nobody declares would never hold anywhere."""
        known = [*self.environments, LOCAL]
        for name in () if self.partial else spec.environments or ():
            if name not in known:
                hint = did_you_mean(name, known)
                self.problems.add(data.value_spot("environments"), f"there is no environment {quoted(name)}", hint)

    def _check_pipeline(self, spec: PinSpec, data: Map, address: Address) -> None:
        """Warn of a pipeline that is not declared: it may be at the platform, or be misspelt."""
        measuring = self.kinds[address.kind].measuring
        if spec.pipeline is None or measuring is None or self.partial:
            return
        beside = [each.name for each in self.taken if each.kind == measuring.place and each.root == address.root]
        if beside and spec.pipeline not in beside:
            what = f"no pipeline {quoted(spec.pipeline)} is declared in {quoted(address.root)}"
            self.problems.add(data.value_spot("pipeline"), what, did_you_mean(spec.pipeline, beside), warning=True)

    def _address(self, spec: PinSpec, data: Map) -> Address | None:
        """The test that it is on; none, and a report, where there is none or more than one."""
        tests = [address for address in self.taken if self.kinds[address.kind].judges]
        there = [a for a in tests if a.root == spec.project and a.name == spec.test and len(a.path) > 1]
        found = [a for a in there if spec.mode is None or spec.mode in a.path[1:-1]]
        if len(found) == 1:
            return self._switched_on(found[0], data)
        spot = data.value_spot("test")
        if found:
            modes = ", ".join(sorted(quoted(part) for address in found for part in address.path[1:-1]))
            self.problems.add(spot, f"there are {len(found)} tests {quoted(spec.test)}", f"add mode: {modes}")
        elif not self.partial:
            self.problems.add(spot, *_nobody(spec, tests, there))
        return None

    def _switched_on(self, address: Address, data: Map) -> Address | None:
        if address in self.active:
            return address
        hint = "enable it, or limit the pin to other environments"
        self.problems.add(data.value_spot("test"), f"{quoted(address.name)} is switched off, so it flags nothing", hint)
        return None


def _json(value: bool | float | str | list[str]) -> Json:
    return [*value] if isinstance(value, list) else value


def _nobody(spec: PinSpec, tests: Sequence[Address], there: Sequence[Address]) -> tuple[str, str]:
    """(message, hint) for a pin on no test."""
    if there:
        return f"there is no test {quoted(spec.test)} with the mode {quoted(str(spec.mode))}", ""
    beside = [address.name for address in tests if address.root == spec.project]
    what = f"no test {quoted(spec.test)} is declared in {quoted(spec.project)}"
    roots: Any = {address.root for address in tests}
    near = did_you_mean(spec.test, beside) if beside else did_you_mean(spec.project, roots)
    return what, near or "correct it, or delete the pin with the test"
