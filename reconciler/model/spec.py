"""What manifests may say about a kind of resource: its fields, their marks, and how their values compare.  No I/O."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reconciler.model.resource import Lifecycle
from reconciler.model.values import Fields, Json


class Mark(Enum):
    """What is special about a field."""

    CREATE_ONLY = "cannot be changed in place"
    UNORDERED = "a list of texts whose order means nothing, and in which none stands twice"
    WRITE_ONLY = "the vendor never shows it; compared with what was last applied"
    SENSITIVE = "never printed, and kept as a digest only"
    LOCAL = "ours alone: neither sent nor compared"
    OVERRIDABLE = "an Environment may override it"
    BLANK_IS_ABSENT = 'null, "" and {} mean the same'
    NULL_IS_UNWRITTEN = "null is never sent: it takes off a default of the manifest, and says nothing to the vendor"
    REDEFINES = "changes what is measured, so past values say nothing about the new test"
    SCOPE = "a list of places where it applies; naming fewer loosens, 'all' is everywhere"
    EXCEPT = "a list of places where it does not apply; naming more loosens, nothing written is none"
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


class Conflict(ValueError):
    """A value does not go with that of another ``field`` of the same mapping, by its manifest name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Spec(Part):
    """What a user may write about one resource.  The fields every kind has; kinds add their own."""

    name: Annotated[str, Field(min_length=1, description="The name at the platform, and the identity here.")]
    renamed_from: Annotated[
        str | list[str] | None,
        Mark.LOCAL,
        Field(description="The former name, or several in any order; keeps the object when the name changes."),
    ] = None
    labels: Annotated[
        dict[str, str],
        Mark.LOCAL,
        Field(description="For selecting in manifests; never sent to the platform."),
    ] = Field(default_factory=dict)
    lifecycle: Annotated[
        Lifecycle, Mark.LOCAL, Field(description="What may be done to it, whatever its fields say.")
    ] = Field(default_factory=functools.cache(Lifecycle))

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
        objects: dict[str, Shape] = {}
        for key, shape in ((key, shape) for option in shapes for key, shape in (option.fields or {}).items()):
            objects[key] = _as_secret_as(objects.get(key), shape)
        marks |= {Mark.SENSITIVE for option in shapes if Mark.SENSITIVE in option.marks}
        item = next((option.item for option in shapes if option.item), None)
        return Shape(frozenset(marks), ref, objects or None, item, filled_in)
    if origin is list:
        return Shape(frozenset(marks), ref, None, shape_of(typing.get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape(frozenset(marks), ref, fields_of(annotation), None)
    return Shape(frozenset(marks), ref, filled_in=filled_in)


def _as_secret_as(other: Shape | None, shape: Shape) -> Shape:
    """The shape; what is sensitive in one variant of a part is in all of them."""
    if other is None or Mark.SENSITIVE not in other.marks:
        return shape
    return replace(shape, marks=shape.marks | {Mark.SENSITIVE})


def fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    """The shapes of a model's fields, by manifest name."""
    return _fields_of(model)


@functools.cache  # they are asked for with each root
def _fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    return {info.alias or name: shape_of(info.annotation, info.metadata) for name, info in model.model_fields.items()}
