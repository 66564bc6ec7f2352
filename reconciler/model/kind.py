"""How a kind of resource is declared: its fields and their marks, its identity, its HTTP flows.  No I/O.

One kind stands in one module.  From that declaration come the JSON schema, validation, the order of steps, the
differ's canonical form, refusals and a battery of contract tests.  Flows describe requests and are sent the
replies, after httpx's ``auth_flow``; whoever drives them does the I/O.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, StrEnum
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reconciler.errors import NotFound, ReadFailed
from reconciler.model.outcome import Evaluation, TaskState, TimeRange
from reconciler.model.resource import Address, Lifecycle, LiveObject
from reconciler.model.values import Fields, Json

T = TypeVar("T")
MISREAD = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes out of reading an answer that is not as it should be."""
LONGEST_ID = 500


class Mark(Enum):
    """What is special about a field."""

    CREATE_ONLY = "can not be changed in place"
    UNORDERED = "a list of texts whose order means nothing, and in which none stands twice"
    WRITE_ONLY = "the vendor never shows it; compared with what was last applied"
    SENSITIVE = "never printed"
    LOCAL = "ours alone: neither sent nor compared"
    OVERRIDABLE = "an Environment may override it"
    BLANK_IS_ABSENT = 'null, "" and {} mean the same'
    NULL_IS_UNWRITTEN = "null is never sent: it takes off a default of the manifest, and says nothing to the vendor"
    REDEFINES = "changes what is measured, so past values say nothing about the new test"
    SCOPE = "a list of places where it applies; naming fewer loosens, 'all' is everywhere"
    FILE = "a path beside the manifest; compared by what the vendor shows of the file's digest and size"
    PROSE = "any text will do, and no rule of the kind looks at it, but that a name is not empty"
    KEY = "tells the items of a list apart; an override names an item by it"

    __hash__ = object.__hash__  # Enum's own goes by the name, in Python, and marks are looked up for every field


class RefTo(Struct, frozen=True):
    """The field names resources of another kind: beside this one, or roots where that kind has no parent.

    Not ``declared``: they are only looked up at the platform, and stand in no manifest.
    """

    kind: str
    declared: bool = True


class FilledIn(Struct, frozen=True):
    """What the vendor shows in a field inside of a part when nothing was sent: to send it no more changes nothing."""

    value: Json


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


class Part(BaseModel):
    """A mapping inside a spec (a threshold, a data backend): camelCase, strict, no unknown keys.

    Modules that declare some do without ``from __future__ import annotations``: pydantic would compile each annotation
    once more at every start.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=False,
        defer_build=True,  # most runs use few of the kinds, and start-up counts
    )


class Spec(Part):
    """What a user may write about one resource.  The fields every kind has; kinds add their own."""

    name: Annotated[str, Field(min_length=1, description="The name at the platform, and the identity here.")]
    renamed_from: Annotated[
        str | None, Mark.LOCAL, Field(description="The former name; keeps the object when the name changes.")
    ] = None
    labels: Annotated[
        dict[str, str],
        Mark.LOCAL,
        Field(description="For selecting in manifests; never sent to the platform."),
    ] = Field(default_factory=dict)
    lifecycle: Annotated[Lifecycle, Mark.LOCAL] = Field(default_factory=functools.cache(Lifecycle))

    def written(self) -> Fields:
        """The vendor's fields that the user wrote, by manifest name, in canonical spelling."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_local_fields(type(self)))
        for name, inner in _never_null(type(self)):
            if name not in fields:
                continue
            value = fields[name] if inner else fields
            for holder in value if isinstance(value, list) else (value,):
                if isinstance(holder, dict) and holder.get(inner or name, "") is None:
                    del holder[inner or name]
        return fields


def no_items() -> list[Any]:
    """The default of a list in a spec.  Given ``list`` itself, pydantic would parse its signature, for 2 ms a start."""
    return []


@functools.cache
def _local_fields(spec: type[Spec]) -> set[str]:
    return {name for name, info in spec.model_fields.items() if Mark.LOCAL in info.metadata}


@functools.cache
def _never_null(spec: type[Spec]) -> tuple[tuple[str, str], ...]:
    """The fields whose null is not written: (name, ""), or (name, name inside of the parts that stand there)."""
    found: list[tuple[str, str]] = []
    for name, shape in fields_of(spec).items():
        inside = {"": shape, **(shape.parts or {})}
        found += ((name, inner) for inner, each in inside.items() if Mark.NULL_IS_UNWRITTEN in each.marks)
    return tuple(found)


class Shape(Struct, frozen=True, dict=True):
    """How one value compares: its marks, and the shapes inside it.

    ``fields`` is set for an object with known keys: only written keys are compared.  ``item`` is set for a list.
    With neither, the value is opaque and compared whole.  ``filled_in`` is what stands there when nothing was sent.
    """

    marks: frozenset[Mark] = frozenset()
    ref: RefTo | None = None
    fields: Mapping[str, Shape] | None = None
    item: Shape | None = None
    filled_in: Json = None

    @functools.cached_property
    def parts(self) -> Mapping[str, Shape] | None:
        """The known keys of what stands here, or of each item; None where nothing is looked into."""
        return self.item.fields if self.item is not None else self.fields

    @functools.cached_property
    def keys(self) -> Mapping[str, Shape]:
        """The fields that tell one item of this shape from another."""
        return {name: inner for name, inner in (self.fields or {}).items() if Mark.KEY in inner.marks}

    @functools.cached_property
    def lasting_keys(self) -> Mapping[str, Shape]:
        """Those of them that do not redefine what is measured."""
        return {name: inner for name, inner in self.keys.items() if Mark.REDEFINES not in inner.marks}


def shape_of(annotation: Any, metadata: Sequence[Any] = ()) -> Shape:
    """The shape of a type annotation.  Looks through Annotated, Optional and lists of parts."""
    marks = {mark for mark in metadata if isinstance(mark, Mark)}
    ref = next((mark for mark in metadata if isinstance(mark, RefTo)), None)
    filled_in = next((mark.value for mark in metadata if isinstance(mark, FilledIn)), None)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        inner, *extra = typing.get_args(annotation)
        return shape_of(inner, [*metadata, *extra])
    if origin in (typing.Union, types.UnionType):
        shapes = [shape_of(arg, metadata) for arg in typing.get_args(annotation) if arg is not type(None)]
        objects = {key: shape for option in shapes for key, shape in (option.fields or {}).items()}
        item = next((option.item for option in shapes if option.item), None)
        return Shape(frozenset(marks), ref, objects or None, item, filled_in)
    if origin is list:
        return Shape(frozenset(marks), ref, None, shape_of(typing.get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape(frozenset(marks), ref, fields_of(annotation), None)
    return Shape(frozenset(marks), ref, filled_in=filled_in)


def fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    """The shapes of a model's fields, by manifest name."""
    return _fields_of(model)


@functools.cache  # they are asked for with each root
def _fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    return {info.alias or name: shape_of(info.annotation, info.metadata) for name, info in model.model_fields.items()}


# ---------------------------------------------------------------------------------------------- flows


class Upload(Struct, frozen=True):
    """A file to be sent, and what it held when the plan was made: its size in bytes, its SHA-256 or the beginning."""

    path: str
    size: int
    sha256: str


class Call(Struct, frozen=True):
    """One request, described.  ``path`` is relative to the vendor's base URL, its segments already encoded.

    ``repeatable`` says that sending it twice does no more than sending it once.  Array values in ``query`` are
    joined with commas.  ``elsewhere`` is an absolute URL that the vendor signed: it gets no credential, and as its body
    the file ``upload``, if that still holds what was planned; what is read there comes as it is.  ``patience_s`` is how
    long it may wait where the vendor asks for a pause, if that is shorter than the provider's own patience; then it is
    not sent.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str | int | bool] = field(default_factory=dict)
    body: Json = None
    repeatable: bool = True
    elsewhere: str = ""
    upload: Upload | None = None
    patience_s: float | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Wait(Struct, frozen=True):
    """A pause, in seconds; the driver decides what a second is."""

    seconds: float


class Together(Struct, frozen=True):
    """Requests that do not depend on each other; the driver may send them at once."""

    calls: tuple[Call, ...]


class Reply(Struct, frozen=True):
    """A successful (2xx) answer.  ``body`` is the decoded JSON, None when there was none.

    ``parts`` are the answers to requests that were asked together, in their order.  ``content`` is what was read from
    an address that the vendor signed.
    """

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Reply, ...] = ()
    content: bytes = b""


Flow = Generator[Call | Wait | Together, Reply, T]
"""Yields requests and pauses, is sent the reply to each request (None after a pause), returns its result.

Errors of a request are thrown into the flow as ``reconciler.errors.ApiError``; a flow may catch those that it
knows how to live with (404 on DELETE is success)."""


@functools.lru_cache(maxsize=1024)
def url_path(*segments: str) -> str:
    """``/a/b/c`` with each segment percent-encoded, so that no id or name can change the route.

    >>> url_path("projects", "../x?y", "tests")
    '/projects/..%2Fx%3Fy/tests'
    """
    return "".join("/" + quote(segment, safe="") for segment in segments)


def delete(path: str) -> Flow[None]:
    """Remove what stands at ``path``; that it is gone already is what was wanted."""
    with suppress(NotFound):
        yield Call("DELETE", path)


class Wire(Struct, frozen=True):
    """What a flow needs to know of the world: remote ids by address, and the server's dialect."""

    ids: Mapping[Address, str]
    dialect: str = ""


class Write(Struct, frozen=True):
    """One object to be written.

    ``fields`` is everything the user wrote; ``changed`` names the top-level fields that differ, for an update;
    ``op`` is the operation id for the ownership marker, None when there shall be none; ``parent_id`` the remote id
    of what it lives in, None for a root.  ``archived`` is the wanted value where a kind archives.  ``files`` are the
    paths behind the fields that name a file.
    """

    address: Address
    fields: Fields
    parent_id: str | None = None
    changed: frozenset[str] = frozenset()
    live: LiveObject | None = None
    op: str | None = None
    archived: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The text that was written in a field; None for no text, or an empty one."""
        value = self.fields.get(name)
        return str(value) if value else None


class Task(Struct, frozen=True):
    """An evaluation that was triggered and runs at the vendor.  ``pipeline`` is the vendor's id, or None."""

    task_id: str
    pipeline: str | None = None


class Trigger(Struct, frozen=True):
    """One evaluation to be started: what, where (vendor's id of the place, None for all), over which range.

    ``op`` is an unguessable name for it, so that one whose answer was lost can be found again.  ``runs`` times it is
    measured, one after another, over the same range; ``number`` says which of these it is about, from 1.
    """

    address: Address
    remote_id: str
    pipeline: str | None
    range: TimeRange
    overwrite: bool = False
    op: str = ""
    runs: int = 1
    number: int = 1


class Version(Struct, frozen=True):
    """A version (commit) of what is developed, whose push makes the vendor evaluate it.

    ``root_id`` is the remote id of the project.  ``message`` and ``created`` are for a person.  ``state`` says how its
    evaluation is doing.
    """

    version_id: str
    root_id: str
    message: str
    created: str
    state: TaskState


class Versions(Struct, frozen=True):
    """How results of versions are read.

    ``named``    the version with this id; raises NotFound.
    ``latest``   the newest version of the root with this remote id; None when there is none.
    ``results``  (version's id, addresses by the remote id of what is measured) -> what was recorded for them.
    """

    named: Callable[[str, Wire], Flow[Version]]
    latest: Callable[[str, Wire], Flow[Version | None]]
    results: Callable[[str, Mapping[str, Address], Wire], Flow[tuple[Evaluation, ...]]]


class Recorded(Struct, frozen=True):
    """A recorded result.  ``item`` is what was measured as it was then, as the kind's ``read`` takes it; None where the
    vendor keeps no such thing.
    """

    evaluation: Evaluation
    item: Fields | None = None


class Past(Struct, frozen=True):
    """Recorded results; not ``whole`` when there are more than were asked for."""

    results: tuple[Recorded, ...]
    whole: bool = True


class Measuring(Struct, frozen=True):
    """How a kind is evaluated.

    ``place``    the kind of the places that it runs on: a result belongs to one of them.
    ``possible`` "" when the API can evaluate it on demand, else the reason why not.
    ``targets``  the places to trigger one by one; an empty tuple means one trigger for all of them.
    ``places``   all places that it runs on, of the given siblings: each must have a result.
    ``subject``  the address whose object is triggered and asked for results: mostly the resource itself.
    ``trigger``  starts an evaluation; not repeatable.  The vendor's tasks, of which it need not tell any; None where
                 it says that there is nothing to evaluate.  Where results are ``repeated``, each task is one run, and
                 those that are there already may be joined, as many as are still wanted.
    ``poll``     asks how a task is doing; raises NotFound or MethodMissing where the route does not exist.
    ``results``  (address, subject's remote id, range or None, remote ids of places, wire) -> what was recorded, newest
                 first.  It need not read those of other places; with none given, it reads those of all.
    ``window``   the seconds of a window: a range is widened to whole ones, and results belong to windows.  None where
                 ranges mean nothing, and results belong to a version of what is measured.
    ``repeated`` (address, subject's id, how many, remote ids of places as above) -> the latest results on each place
                 for what is measured as it is now.  None where ``results`` tells as much: results belong to windows.
    ``there``    how many of the runs that a trigger asks for are there already, and would not be started.  None where
                 nobody can tell before.
    ``versions`` how what is not possible on demand is measured instead.
    ``latest``   (place's remote id, addresses by the remote id of what is measured) -> the latest result of each there,
                 from one list; nothing where the platform's list is none of the latest.  None where there is no such.
    ``past``     (address, subject's remote id, range or None for ever, how many) -> what was recorded; pages are read
                 until there are so many.
    """

    place: str
    possible: Callable[[Fields], str]
    targets: Callable[[Address, Fields], tuple[Address, ...]]
    places: Callable[[Fields, Sequence[Address]], tuple[Address, ...]]
    trigger: Callable[[Trigger, Wire], Flow[tuple[Task, ...] | None]]
    poll: Callable[[Task, Wire], Flow[TaskState]]
    results: Callable[[Address, str, TimeRange | None, Collection[str], Wire], Flow[tuple[Evaluation, ...]]]
    subject: Callable[[Address, Fields], Address] = lambda address, _: address
    window: Callable[[Fields], int] | None = None
    repeated: Callable[[Address, str, int, Collection[str]], Flow[tuple[Evaluation, ...]]] | None = None
    there: Callable[[Trigger, Wire], Flow[int]] | None = None
    versions: Versions | None = None
    latest: Callable[[str, Mapping[str, Address], Wire], Flow[tuple[Evaluation, ...]]] | None = None
    past: Callable[[Address, str, TimeRange | None, int], Flow[Past]] | None = None


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


def _nothing_to_refuse(_: Fields, __: LookUp) -> Iterable[tuple[str, str]]:
    return ()


class Kind(Struct, Generic[S], frozen=True, dict=True):
    """Everything the program knows of a kind.

    ``id``        ``"openlayer.Test"``.
    ``plural``    the list in the parent's document that holds these (``"tests"``); None for a document of its own.
    ``parent``    id of the kind it lives in; None for a root.
    ``declared_in``  id of the kind whose document holds it, where that is not the parent's.
    ``lookup``    (spec) -> whether it is only looked up: never made, changed or removed by us.
    ``virtual``   it is no object at the platform at all, only something to be measured.
    ``identity``  the manifest fields that, after the parent's path, make the address.
    ``complete``  (all fields as written) -> the fields completed with what a create must spell out.
    ``defaults_field``  the field of the root's document whose fields every item takes that does not say otherwise.
    ``set_document``  the document that puts such items into several roots (``"TestSet"``); None where there is none.
    ``list``      (parent's remote id) -> raw items as the vendor shows them, archived ones included.
    ``read``      one raw item -> a live object; None for what is not ours to see (machine-made suggestions).
                  Given the parent's path and a function from (kind, remote id) to a name, or None if unknown.
    ``tidy``      (live fields) -> what a person would write: without what the vendor fills in by itself.
    ``create``    -> the new object's remote id.  ``update`` and ``remove`` take up to ``batch`` objects that
                  share a parent.  None where the vendor has no such operation.
    ``removal``   what becomes of it when no manifest wants it any more; ``replace`` what a change of a field does that
                  only a create can set, and ``refusal_hint`` what to do where that is refused.
    ``unique_names``  the vendor refuses a second object of one name in one parent.
    ``criteria``  (fields, look up a live object by kind and name) -> the thresholds in a vendor-neutral form, for
                  judging whether a change loosens and how far a value is from them.
    ``gate``      (spec) -> how its results count in a build; ``measuring`` how they come about.  None: not measured.
    ``marker``    the text field that can carry the ownership marker, or None.
    ``check``     (fields) -> what breaks rules that types can not express.
    ``check_file``  (content of a FILE field) -> (line in it, message) for everything wrong with it.
    ``content``   (remote id) -> what the file holds that a FILE field names.  None where the vendor does not give it.
    ``refuse``    (fields, look up a live object by kind and name) -> (path, message) for rules that need the platform.
    ``example``   the fields of one, as its schema shows them.
    """

    id: str
    spec: type[S]
    identity: tuple[str, ...]
    list: Listing
    read: Callable[[Fields, tuple[str, ...], Callable[[str, str], str | None]], LiveObject | None]
    create: Callable[[Write, Wire], Flow[str]] | None = None
    update: Callable[[Sequence[Write], Wire], Flow[None]] | None = None
    remove: Callable[[Sequence[Write], Wire], Flow[None]] | None = None
    removal: Removal = Removal.DELETE
    replace: Replace = Replace.REFUSE
    batch: int = 1
    parent: str | None = None
    declared_in: str | None = None
    lookup: Callable[[S], bool] = lambda _: False
    virtual: bool = False
    plural: str | None = None
    defaults_field: str | None = None
    set_document: str | None = None
    unique_names: bool = False
    marker: str | None = None
    refusal_hint: str = ""
    complete: Callable[[Fields], Fields] = dict
    tidy: Callable[[Fields], Fields] = dict
    criteria: Callable[[Fields, LookUp], tuple[Criterion, ...]] = _no_criteria
    check: Callable[[Fields], Sequence[Flaw]] = lambda _: ()
    check_file: Callable[[bytes], Sequence[tuple[int, str]]] = lambda _: ()
    content: Callable[[str], Flow[bytes]] | None = None
    refuse: Callable[[Fields, LookUp], Iterable[tuple[str, str]]] = _nothing_to_refuse
    gate: Callable[[S], Any] | None = None
    measuring: Measuring | None = None
    example: Fields = field(default_factory=dict)

    def understand(
        self, item: Fields, parent: tuple[str, ...], name_of: Callable[[str, str], str | None]
    ) -> LiveObject | None:
        """``read``, for an item that may be anything.  Raises ReadFailed for one that makes no sense."""
        try:
            found = self.read(item, parent, name_of)
            if found is not None:
                _check_texts(found.address, found.remote_id)
        except MISREAD as error:
            what = f"an item can not be understood: {error!r:.100}"
            raise ReadFailed(what, method="GET", path=f"the list of {self.noun}s") from error
        return found

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


def _name_in(fields: Mapping[str, Json], name: str) -> str:
    value = fields[name]
    if value is None:
        raise TypeError("it has no name")
    return str(value)


def _check_texts(address: Address, remote_id: object) -> None:
    """Raise TypeError for an object without a name, or with an id that is none: ids stand in paths and in messages."""
    if not all(address.path):
        raise TypeError("it has no name")
    if not isinstance(remote_id, str) or not 0 < len(remote_id) <= LONGEST_ID or not remote_id.isprintable():
        raise TypeError("it has no id that could be one")


AnyKind = Kind[Any]


class Vendor(Struct, frozen=True):
    """One platform: its kinds, parents before children, and how to reach it.

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

    def kind(self, kind_id: str) -> AnyKind:
        """The kind with this id.  Raises KeyError."""
        return next(kind for kind in self.kinds if kind.id == kind_id)
