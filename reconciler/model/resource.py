"""What is wanted and what is there: addresses, desired resources, live objects.  Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema

from reconciler.model.values import Fields, Json, Secret

OnRemoval = Literal["delete", "keep"]
Severity = Literal["error", "warn", "info"]
OnUnusual = Literal["fail", "warn", "pass"]
PinnedVerdict = Literal["flagged", "passes"]

NO_SECRETS: Final[Mapping[str, Secret]] = MappingProxyType({})
"""What nearly everything holds."""


class Address(NamedTuple):
    """Where a resource stands: its kind and the names that lead to it, outermost first.

    Prints as ``openlayer.Test/support-bot/monitoring/Faithful``; a slash or a percent sign inside a name is
    percent-encoded, so the text form can be parsed back.  A named tuple, because every table is keyed by it: it is
    hashed, compared and sorted many times for each resource.
    """

    kind: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        names = "/".join(self.path)
        if "%" in names or names.count("/") != len(self.path) - 1:  # few have either, and there are many addresses
            names = "/".join(part.replace("%", "%25").replace("/", "%2F") for part in self.path)
        return f"{self.kind}/{names}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The inverse of ``str()``.  Raises ValueError when there is no kind or no name."""
        kind, *path = text.split("/")
        if not kind or not path or not all(path):
            raise ValueError(f"not an address: {text!r}; it looks like openlayer.Project/support-bot")
        if "%" in text:
            path = [part.replace("%2F", "/").replace("%25", "%") for part in path]
        return cls(kind, tuple(path))

    @property
    def name(self) -> str:
        """The innermost name: the resource's own."""
        return self.path[-1]

    @property
    def vendor(self) -> str:
        """The vendor's name in front of the kind."""
        return self.kind.partition(".")[0]

    @property
    def root(self) -> str:
        """The outermost name: the project or workspace it belongs to."""
        return self.path[0]

    @property
    def is_root(self) -> bool:
        """Whether it stands in nothing else: others may stand in it."""
        return len(self.path) == 1

    def in_root(self, name: str) -> Address:
        """The same place in a root of another name; a root itself under that name."""
        return Address(self.kind, (name, *self.path[1:]))


class Source(Struct, frozen=True, order=True):
    """Where in the manifests something was written.  Line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ValueSource(Struct, frozen=True):
    """What decided a value that is not spelled out where its field is written.

    ``what`` is ``override``, or the name that was referred to: ``var limit``, ``param limit``.
    """

    path: str
    what: str
    source: Source


class Lifecycle(BaseModel):
    """What may be done to a resource, whatever its fields say."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    protect: Annotated[bool | None, GetPydanticSchema(lambda _, schema_of: schema_of(bool))] = Field(
        default=None,
        description="Refuse to delete, archive or replace it, even after it has gone from the manifests, "
        "until this says false.",
    )
    """None: as it was, so that nobody gives protection up by taking out a line.  It cannot be written: who writes
    ``protect:`` without a value would believe that it protects."""
    adopt: bool = Field(default=False, description="Take over an object of this name that was made by hand.")
    onRemoval: OnRemoval = Field(  # noqa: N815 - the manifest's spelling
        default="keep", description="What happens when it is removed from the manifests and can be deleted."
    )


class Regress(Struct, frozen=True):
    """How much worse than the past a value may be.

    ``max_drop`` is a fraction of the baseline where ``relative`` (0.05 for ``5%``), else in the value's own unit.
    ``against`` 0 is the last passing measurement, n > 0 the mean of the last n measurements.
    """

    max_drop: float
    relative: bool = True
    against: int = 0


class Gate(Struct, frozen=True):
    """How results of one resource count in a build.

    ``warn`` holds optional stricter thresholds, as fields that the kind reads criteria from.  Of the ``runs`` latest
    measurements of one window at least ``min_pass`` must pass; None means all of them.  A ``flaky`` resource is
    measured and shown, and never fails a build.
    """

    severity: Severity = "error"
    on_skipped: OnUnusual = "fail"
    on_error: OnUnusual = "fail"
    on_missing: OnUnusual = "fail"
    warn: dict[str, Any] = field(default_factory=dict)  # Fields, in words that msgspec checks what it decodes by
    runs: int = 1
    min_pass: int | None = None
    flaky: bool = False
    regress: Regress | None = None


class Resource(Struct, frozen=True):
    """One thing that the manifests ask for.

    ``fields`` holds only what the user wrote, in canonical spelling and by manifest name; fields that are ours
    alone (severity, lifecycle, ...) are not in it.  ``references`` are the addresses that must exist first, the
    parent among them.  ``renamed_from`` are the former addresses, in no order.  ``lookup``: it must be there already,
    and is never made, changed or removed.  ``files`` are the paths behind the fields that name a file.  ``lines`` tells
    ``line_of`` where fields stand: lines below the resource, or a negative absolute line for defaults that are written
    above it.  ``value_sources`` tell where values come from that are not written there.  ``secrets`` are the values
    behind the digests among the fields (``model.secrecy``).
    """

    address: Address
    fields: Fields
    source: Source
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    gate: Gate = field(default_factory=Gate)
    references: tuple[Address, ...] = ()
    renamed_from: tuple[Address, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    lookup: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    value_sources: tuple[ValueSource, ...] = ()
    secrets: Mapping[str, Secret] = NO_SECRETS

    def line_of(self, name: str) -> int:
        """The line where a field is written; the resource's own for one that is not, or that is in another file."""
        place = self.lines.get(name, 0)
        return self.source.line + place if place >= 0 else -place


class Evidence(Struct, frozen=True):
    """One value as it was measured.

    ``definition`` is a digest of what was measured (insight, parameters, rubric, window: see ``planning.pins``); empty
    in a pin that was written by hand, where the name of the measurement has to do.
    """

    measurement: str
    value: Json
    definition: str = ""


class Pin(Struct, frozen=True):
    """An incident that a test must flag, or a good time that must pass, with all that is needed to judge it again.

    ``window`` is the time that was measured, as text ready to print, and ``result`` the vendor's id of the result; at
    least one of them is there.  ``why`` is for people.
    """

    name: str
    address: Address
    verdict: PinnedVerdict
    measured: tuple[Evidence, ...]
    source: Source
    pipeline: str | None = None
    window: str = ""
    result: str = ""
    why: str = ""


class Desired(Struct, frozen=True):
    """Everything the manifests ask for in one environment.

    ``digest`` is a SHA-256 over all that was read (files, variables, overrides).  ``scope`` names the files and
    folders that were read: only what was declared inside them can be considered removed.  ``pins`` are on resources
    among these.  ``home`` is where all these names of files start, from the top of the checkout.  ``others`` are the
    other environments that are declared, but for ``local``, whose platform is anybody's own.  ``off`` is what is
    declared and switched off, with the place that says so.
    """

    resources: Mapping[Address, Resource]
    digest: str
    scope: tuple[str, ...] = (".",)
    warnings: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    home: str = "."
    others: tuple[str, ...] = ()
    off: Mapping[Address, Source] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources.values())

    def __len__(self) -> int:
        return len(self.resources)


class LiveObject(Struct, frozen=True):
    """One object at the platform, in the manifest's spelling, made by its kind's reader.

    ``fields`` holds everything the vendor shows of the kind's fields.  ``op`` is the operation id of our
    ownership marker, cut off the description.  ``rank`` orders twins, oldest first.  ``unmanaged`` names
    non-empty keys that the vendor stores but its API cannot set.  ``refs`` are the remote ids behind fields that
    name other objects, where one name may stand for several generations.  ``secrets`` are the values behind the digests
    among the fields.
    """

    address: Address
    remote_id: str
    fields: Fields
    archived: bool = False
    op: str | None = None
    rank: tuple[Json, ...] = ()
    unmanaged: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    refs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = NO_SECRETS


class Live(Struct, frozen=True):
    """What the platform listed: all objects of the projects we looked into, and how many requests it took."""

    objects: tuple[LiveObject, ...]
    requests: int = 0

    def by_id(self) -> dict[str, LiveObject]:
        """The objects by the vendor's id."""
        return {item.remote_id: item for item in self.objects}
