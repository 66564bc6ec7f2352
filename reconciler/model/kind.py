"""How a kind of resource is declared: its fields and their marks, its identity, its HTTP flows.  No I/O.

One kind stands in one module.  From that declaration come the JSON schema, validation, the order of steps, the
differ's canonical form, refusals and a battery of contract tests.  Flows describe requests and are sent the
replies, after httpx's ``auth_flow``; whoever drives them does the I/O.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, Literal, Protocol, TypeGuard, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.errors import ReadFailed
from reconciler.model.call import MISREAD, Flow, Wire, Write
from reconciler.model.measuring import Measuring
from reconciler.model.resource import Address, LiveObject
from reconciler.model.secrecy import holds_secret, out_of_sight, sealed
from reconciler.model.spec import Mark, RefTo, Shape, Spec, fields_of
from reconciler.model.values import Fields, Json

LONGEST_ID = 500


class Removal(StrEnum):
    """What "remove" means for a kind."""

    ARCHIVE = "archive"
    DELETE = "delete"
    FORGET = "forget"


class Replace(StrEnum):
    """What happens when a create-only field changes.

    ``CREATE_FIRST`` the new object, then the old one goes, in one step.  ``CREATE_THEN_RETIRE`` others refer to it:
    they are pointed at the new one before the old one may go.
    """

    CREATE_FIRST = "create_first"
    CREATE_THEN_RETIRE = "create_then_retire"
    REFUSE = "refuse"


class Criterion(Struct, frozen=True, eq=False):
    """One condition that a measured value must meet; several on one key must all hold.

    ``key`` identifies what is measured (insight, parameters, measurement); ``measure`` is the same without the
    parameters.  ``automatic``: the vendor learns the limit by itself, so ``value`` says nothing.  ``label`` is what
    a person calls it: the measurement.  ``path`` is where the limit stands in the fields, with dots; ``noise`` how far,
    as a share of the limit, the digits that the vendor keeps may be off.  Neither is compared.
    """

    key: str
    operator: Literal["is", "!=", ">", ">=", "<", "<="]
    value: Json
    automatic: bool = False
    label: str = ""
    measure: str = ""
    path: str = ""
    noise: float = 1e-9

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Criterion) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash(self._meaning())

    def _meaning(self) -> tuple[Json, ...]:
        return self.key, self.operator, self.value, self.automatic, self.label, self.measure


class Flaw(Struct, frozen=True):
    """What is wrong with the fields at ``path`` (with dots), and what to do about it.

    Not ``is_error``: it is only worth knowing.
    """

    path: str
    message: str
    hint: str = ""
    is_error: bool = True

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class Need(Struct, frozen=True):
    """A ``column`` that the file of another resource must have: of the one that the field ``named_in`` names.

    ``path`` is where it is asked for; ``message`` is what to say there of a file without it.
    """

    path: str
    named_in: str
    column: str
    message: str


S = TypeVar("S", bound=Spec)


class LookUp(Protocol):
    """What is at the platform, by kind and name: roots, and what shares the asking resource's parent."""

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        """The object of this name, None when there is none."""
        ...

    def names(self, kind_id: str) -> list[str]:
        """All names there are, sorted."""
        ...


Listing = Callable[[str | None, Wire], Flow[list[Fields]]]


def _no_criteria(_: Fields, __: LookUp) -> tuple[Criterion, ...]:
    return ()


def _nothing_to_refuse(_: Fields, __: Fields | None, ___: LookUp) -> Iterable[Flaw]:
    return ()


class Kind(Struct, Generic[S], frozen=True, dict=True, kw_only=True):
    """Everything the program knows of a kind.

    What is None, or does nothing, the kind has not, or the vendor does not offer.
    """

    id: str
    """Vendor and word: ``"openlayer.Test"``."""
    spec: type[S]
    """What the user may write."""
    identity: tuple[str, ...]
    """The manifest fields that, after the parent's path, make the address."""

    # ----------------------------------------------------------------------------- in the manifests

    plural: str | None = None
    """The list in the parent's document that holds these (``"tests"``); None for a document of its own."""
    parent: str | None = None
    """The id of the kind it lives in; None for a root."""
    declared_in: str | None = None
    """The id of the kind whose document holds it, where that is not the parent's."""
    defaults_field: str | None = None
    """The field of the root's document that holds defaults for these items."""
    set_document: str | None = None
    """The document that puts such items into several roots (``"TestSet"``)."""
    example: Fields = field(default_factory=dict)
    """The fields of one, as its schema shows them."""
    lookup: Callable[[S], bool] = lambda _: False
    """Whether it is only looked up: never made, changed or removed by us."""
    virtual: bool = False
    """The platform has no such object: it is only something to be measured."""
    check: Callable[[Fields], Sequence[Flaw]] = lambda _: ()
    """What breaks rules that types cannot express."""
    check_file: Callable[[bytes], Sequence[tuple[int, str]]] = lambda _: ()
    """(line, message) for everything that is wrong with the content of a FILE field."""
    holds: Callable[[bytes], frozenset[str]] | None = None
    """What the content of a FILE field has that others may need, as the names of columns."""
    needs: Callable[[Fields], Iterable[Need]] | None = None
    """What must be in the files of those that it names."""

    # ------------------------------------------------------------------------------ at the platform

    list: Listing
    """(parent's remote id) -> raw items as the vendor shows them, archived ones included."""
    one: Callable[[str], Flow[Fields]] | None = None
    """(remote id) -> one raw item by itself; raises NotFound.  A list that leaves it out is not believed alone."""
    read: Callable[[Fields, tuple[str, ...], Callable[[str, str], str | None]], LiveObject | None]
    """One raw item -> a live object; None for what is not ours to see (machine-made suggestions).

    Given the parent's path and a function from (kind, remote id) to a name, or None if unknown.
    """
    create: Callable[[Write, Wire], Flow[str]] | None = None
    """Makes one, and tells its remote id."""
    update: Callable[[Sequence[Write], Wire], Flow[None]] | None = None
    """Changes up to ``batch`` objects that share a parent; so does ``remove`` where that archives."""
    remove: Callable[[Sequence[Write], Wire], Flow[None]] | None = None
    batch: int = 1
    removal: Removal = Removal.DELETE
    """What becomes of it when no manifest wants it any more."""
    replace: Replace = Replace.REFUSE
    """What a change of a field does that only a create can set."""
    refusal_hint: str = ""
    """What to do where such a change is refused."""
    unique_names: bool = False
    """The vendor refuses a second object of one name in one parent."""
    marker: str | None = None
    """The text field that can carry the ownership marker."""
    content: Callable[[str], Flow[bytes]] | None = None
    """(remote id) -> what the file holds that a FILE field names."""

    # ------------------------------------------------------------------------------------- deciding

    complete: Callable[[Fields], Fields] = dict
    """All fields as written, completed with what a create must spell out."""
    tidy: Callable[[Fields], Fields] = dict
    """Live fields as a person would write them: without what the vendor fills in by itself."""
    refuse: Callable[[Fields, Fields | None, LookUp], Iterable[Flaw]] = _nothing_to_refuse
    """What breaks rules that need the platform; what is no error is only told.

    Given the fields, those of the live object if there is one, and a way to look up live objects by kind and name.
    """
    worth_telling: Mapping[str, str] = field(default_factory=dict)
    """Key that the vendor stores and nothing here can set -> what a plan warns of where it is set."""

    # ------------------------------------------------------------------------------------ measuring

    criteria: Callable[[Fields, LookUp], tuple[Criterion, ...]] = _no_criteria
    """The thresholds, for judging whether a change loosens, and how far a value is from them."""
    gate: Callable[[S], Any] | None = None
    """How its results count in a build."""
    measuring: Measuring | None = None
    """How its results come about."""

    def understand(
        self, item: Fields, parent: tuple[str, ...], name_of: Callable[[str, str], str | None]
    ) -> LiveObject | None:
        """``read``, for an item that may be anything.  Raises ReadFailed for one that makes no sense."""
        try:
            found = self.read(item, parent, name_of)
            if found is not None:
                _check_texts(found.address, found.remote_id)
                found = self._sealed(found) if self.sensitive else found
        except MISREAD as error:
            why = str(error) if isinstance(error, _Unusable) else f"{error!r:.100}"
            if self.sensitive and not isinstance(error, _Unusable):  # it may repeat a value
                why = type(error).__name__
            where = f" in {'/'.join(parent)}" if parent else ""
            path = f"the list of {self.noun}s{where}"
            raise ReadFailed(f"an item cannot be understood: {why}", method="GET", path=path) from error
        return found

    def _sealed(self, found: LiveObject) -> LiveObject:
        fields, secrets = sealed(found.fields, self.id, self.sensitive)
        return replace(found, fields=fields, secrets=secrets)

    @functools.cached_property
    def sensitive(self) -> dict[str, Shape]:
        """The shapes of the fields that hold something sensitive, themselves or inside; of most kinds none do."""
        return {name: shape for name, shape in self.shapes.items() if holds_secret(shape)}

    @functools.cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the vendor's fields (local ones left out), by manifest name."""
        return {name: s for name, s in fields_of(self.spec).items() if Mark.LOCAL not in s.marks}

    @functools.cached_property
    def referring(self) -> tuple[tuple[str, str, RefTo, bool], ...]:
        """The fields that refer to other declared resources.

        Manifest name, Python name, to what, and whether the field holds a list.
        """
        attributes = {info.alias or name: name for name, info in self.spec.model_fields.items()}
        found = [(name, shape.ref, shape.item is not None) for name, shape in self.shapes.items()]
        return tuple((name, attributes[name], ref, several) for name, ref, several in found if ref and ref.declared)

    @functools.cached_property
    def looking_up(self) -> tuple[tuple[str, str], ...]:
        """The fields that name what is never declared, and the kind of that."""
        refs = ((name, shape.ref) for name, shape in self.shapes.items())
        return tuple((name, ref.kind) for name, ref in refs if ref is not None and not ref.declared)

    def alike(self, name: str, ids: Sequence[str]) -> str:
        """That several have one name, for a person."""
        return f'there are {len(ids)} {self.noun}s of the name "{name}": {", ".join(ids)}'

    @functools.cached_property
    def file_fields(self) -> tuple[str, ...]:
        """The fields that name a file."""
        return tuple(name for name, shape in self.shapes.items() if Mark.FILE in shape.marks)

    @functools.cached_property
    def parted(self) -> tuple[str, ...]:
        """The fields that hold a part, or a list of parts."""
        return tuple(name for name, shape in self.shapes.items() if shape.parts is not None)

    @functools.cached_property
    def sets(self) -> tuple[str, ...]:
        """The fields that hold a list of texts whose order means nothing."""
        return tuple(name for name, shape in self.shapes.items() if Mark.UNORDERED in shape.marks)

    @functools.cached_property
    def prose(self) -> frozenset[str]:
        """The fields that take any text."""
        return frozenset(name for name, shape in self.shapes.items() if Mark.PROSE in shape.marks)

    @functools.cached_property
    def identity_defaults(self) -> tuple[tuple[str, Any], ...]:
        """The identity fields, each with what it is when it is not written."""
        defaults = {info.alias or name: info.default for name, info in self.spec.model_fields.items()}
        return tuple((name, defaults[name]) for name in self.identity)

    @property
    def judges(self) -> bool:
        """Whether resources of this kind have thresholds."""
        return self.criteria is not _no_criteria

    @property
    def refuses(self) -> bool:
        """Whether the platform is looked at before resources of this kind are accepted."""
        return self.refuse is not _nothing_to_refuse

    @property
    def document(self) -> str | None:
        """The kind whose document holds it; None for a document of its own."""
        return self.declared_in or self.parent

    @property
    def word(self) -> str:
        """The kind without its vendor: ``"Test"``."""
        return self.id.rpartition(".")[2]

    @property
    def noun(self) -> str:
        """The word as a person would say it: ``"inference pipeline"``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.word).lower()

    def has_files(self, live: Fields, wanted: Fields) -> bool:
        """Whether ``live`` certainly has the content of every file that ``wanted`` names."""
        return all(live.get(name) == wanted.get(name) for name in self.file_fields)

    def address(self, parent: tuple[str, ...], fields: Mapping[str, Json]) -> Address:
        """The address of an object with these fields below ``parent``."""
        return Address(self.id, (*parent, *(_name_in(fields, name) for name in self.identity)))

    def parent_of(self, address: Address) -> Address | None:
        """What an address of this kind stands in; None for a root."""
        return Address(self.parent, address.path[: -len(self.identity)]) if self.parent is not None else None


class _Unusable(TypeError):
    """An item without what every object has; its text is for a person."""


def _name_in(fields: Mapping[str, Json], name: str) -> str:
    value = fields[name]
    if value is None:
        raise _Unusable("it has no name")
    return str(value)


def _check_texts(address: Address, remote_id: object) -> None:
    """Raise _Unusable for an object without a name, or with an id that is none."""
    if not all(address.path):
        raise _Unusable("it has no name")
    if not can_be_id(remote_id):
        raise _Unusable("it has no id that could be one")


def can_be_id(value: object) -> TypeGuard[str]:
    """Whether a platform may give this to an object: ids stand in paths, in messages and in our state."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable()


AnyKind = Kind[Any]


def root_of(address: Address, kinds: Mapping[str, AnyKind]) -> Address:
    """The root that an address stands in, or is; what is of no known kind stands for itself.

    Its name alone does not tell which root that is: another one of the same vendor, of another kind, may have it.
    """
    kind = kinds.get(address.kind)
    return (kind.parent_of(address) if kind is not None else None) or address


def named(value: Json, kind_id: str, beside: Address, kinds: Mapping[str, AnyKind]) -> list[Address]:
    """What a field of the resource at ``beside`` names, one, several or none: roots, or what shares its root."""
    if value is None:
        return []
    parent = beside.path[:1] if kinds[kind_id].parent else ()
    return [Address(kind_id, (*parent, str(each))) for each in (value if isinstance(value, list) else [value])]


class Vendor(Struct, frozen=True):
    """One platform: its kinds, and how to reach it.

    Raises ValueError for kinds that could not be read or remembered.  Parents come before children, and what is named
    before what names it: lists are understood by the names in earlier ones.  An address has the name of a root and at
    most one more.  The state does not know kinds: when a root is renamed, everything whose path begins with that name
    moves along, so what lives in others lives in roots of one kind.

    ``prefix`` is what every environment variable that may hold its credential starts with.  ``sample`` streams rows
    to a place (remote id, rows, column configuration): for the embedded emulator only.  ``show_run`` reads one
    evaluation by its id, with every field that the vendor shows; None where there is no such thing.
    """

    name: str
    api_version: str
    kinds: tuple[AnyKind, ...]
    base_url: str
    key_variable: str
    url_variable: str
    prefix: str
    dialect_variable: str = ""
    dialects: tuple[str, ...] = ("",)
    sample: Callable[[str, Sequence[Fields], Fields], Flow[None]] | None = None
    show_run: Callable[[str], Flow[Fields]] | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that is declared wrongly, by its name."""
        earlier: dict[str, AnyKind] = {}
        for kind in self.kinds:
            wrong = next(self._mistakes(kind, earlier), "")
            if wrong:
                raise ValueError(f"{kind.id}: {wrong}")
            earlier[kind.id] = kind

    def _mistakes(self, kind: AnyKind, earlier: Mapping[str, AnyKind]) -> Iterator[str]:
        known = {each.id for each in self.kinds}
        if kind.id in earlier:
            yield f"declared twice in the kinds of {self.name}"
        if kind.parent is not None:
            home = f"its parent {kind.parent}"
            yield from (f"{home} {wrong}" for wrong in self._unfit(kind.parent, known, earlier))
            parent = earlier[kind.parent]
            if parent.virtual:
                yield f"{home} is virtual: nothing can live in it"
            if parent.parent is not None:
                yield f"{home} is no root"
            others = next((each.parent for each in earlier.values() if each.parent not in (None, kind.parent)), None)
            if others is not None:
                yield f"others live in {others}, and what is in two roots of one name could not be told apart"
        if kind.declared_in is not None and kind.declared_in not in known:
            yield f"it is declared in {kind.declared_in}, which is no kind of {self.name}"
        yield from _mistaken_secrets(kind)
        there = {**earlier, kind.id: kind} if kind.virtual else earlier
        for name, shape in kind.shapes.items():
            if shape.ref is not None:
                named = f"{name} refers to {shape.ref.kind}, which"
                yield from (f"{named} {wrong}" for wrong in self._unfit(shape.ref.kind, known, there))

    def _unfit(self, kind_id: str, known: Container[str], earlier: Mapping[str, AnyKind]) -> Iterator[str]:
        """Why a kind can be no parent, and nothing to refer to."""
        if kind_id not in known:
            yield f"is no kind of {self.name}"
        elif kind_id not in earlier:
            yield f"must come earlier in the kinds of {self.name}"
        elif earlier[kind_id].identity != ("name",):
            yield 'must have the identity ("name",)'

    def kind(self, kind_id: str) -> AnyKind:
        """The kind with this id.  Raises KeyError."""
        return next(kind for kind in self.kinds if kind.id == kind_id)


_MUST_BE_SEEN = {Mark.FILE, Mark.KEY, Mark.SCOPE, Mark.EXCEPT, Mark.PROSE}
"""Marks of fields whose values the planner looks into, or others do without asking."""


def _mistaken_secrets(kind: AnyKind) -> Iterator[str]:
    """Why a field cannot be SENSITIVE: a digest could not stand for it, or its value would be overlooked."""
    for name, shape in kind.shapes.items():
        if any(_is_seen(each) for each in _all_of(shape)) or (
            name in (*kind.identity, kind.marker) and Mark.SENSITIVE in shape.marks
        ):
            yield f"{name} cannot be SENSITIVE: it names something, or its value decides"
    for info in kind.spec.model_fields.values():
        if out_of_sight(info.annotation):
            yield f"{info.alias} marks as SENSITIVE what stands in no Part, nor in a list of them"


def _is_seen(shape: Shape) -> bool:
    is_needed = shape.ref is not None or shape.filled_in is not None or not _MUST_BE_SEEN.isdisjoint(shape.marks)
    return Mark.SENSITIVE in shape.marks and is_needed


def _all_of(shape: Shape) -> Iterator[Shape]:
    yield shape
    for inner in (*(shape.fields or {}).values(), *([shape.item] if shape.item else [])):
        yield from _all_of(inner)
