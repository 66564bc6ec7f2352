"""Live objects -> documents that say the same.  Pure.

Only what a user would write: nothing blank, nothing at its default, nothing archived.  Only what loads again: a field
that a manifest cannot hold (a text with control characters) is left out, and where it is required the whole resource,
with what names it or lives in it.  A file that a field names goes beside the document, if its content is at hand.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from msgspec import Struct, field
from pydantic import ValidationError

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.assembly import Looks, folded, is_unusable, repeated
from reconciler.manifests.attachments import file_value
from reconciler.manifests.documents import listed_in, root_kinds
from reconciler.manifests.loader import parse, printable
from reconciler.manifests.writer import to_yaml
from reconciler.model.kind import AnyKind, Vendor
from reconciler.model.resource import Address, LiveObject
from reconciler.model.secrecy import stripped
from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json, counted

_BLANK: tuple[Json, ...] = (None, "", [], {})


class Exported(Struct, frozen=True):
    """One document and where it goes, with the content of each file beside it.

    ``fields`` are what it declares, by address, without what is only looked up: that cannot be taken over.
    """

    file: str
    document: dict[str, Any]
    fields: dict[Address, Fields]
    beside: dict[str, bytes] = field(default_factory=dict)


class Told(Struct, frozen=True):
    """The documents, and sentences about what could not be expressed.  Not ``whole``: an object is in none of them."""

    documents: list[Exported]
    warnings: list[str]
    whole: bool


def documents(
    objects: Iterable[LiveObject],
    vendors: Sequence[Vendor],
    contents: Mapping[str, bytes | str] | None = None,
    ours: Container[str] = (),
) -> Told:
    """One document a root, with everything inside it.

    What lives in nothing, but is declared in the documents of another kind, goes into the first of these that names it.
    ``contents`` are those of files, by the remote id of the object that holds one, or why there is none.  ``ours`` are
    remote ids: of several objects whose names are one name these are written.
    """
    there = sorted((item for item in objects if not item.archived), key=lambda item: item.address)
    found: list[Exported] = []
    warnings: list[str] = []
    left_out: list[LiveObject] = []
    taken: set[str] = set()
    for vendor in vendors:
        declared = _Declared({kind.id: kind for kind in vendor.kinds}, warnings, contents or {}, taken, ours, left_out)
        declared.take(there, root_kinds(vendor))
        inside_of = _by_home(declared)
        for kind in root_kinds(vendor):
            roots = [address for address in declared.fields if address.kind == kind.id]
            for root in roots:
                file = _file_name(root.name, taken, kind.word.lower(), ".yaml")
                homes = (root.name, None) if root == roots[0] else (root.name,)
                children = listed_in(kind, vendor.kinds)
                inside = [each for child in children for home in homes for each in inside_of.get((child.id, home), ())]
                found.append(_document(root, inside, declared, vendor.api_version, file))
    return Told(found, [printable(warning) for warning in warnings], whole=not left_out)


def _by_home(declared: _Declared) -> dict[tuple[str, str | None], list[Address]]:
    """What is declared, by its kind and the root that it lives in, or is named in; None where there is none."""
    found: dict[tuple[str, str | None], list[Address]] = {}
    naming = _first_to_name(declared)
    for address in declared.fields:
        home = address.root if declared.kinds[address.kind].parent else naming.get(address)
        found.setdefault((address.kind, home), []).append(address)
    return found


def _first_to_name(declared: _Declared) -> dict[Address, str]:
    """By what lives in nothing, the first root in which something names it."""
    found: dict[Address, str] = {}
    for address, fields in declared.fields.items():
        for name, _, ref, _ in declared.kinds[address.kind].referring:
            value = fields.get(name)
            for each in () if declared.kinds[ref.kind].parent else value if isinstance(value, list) else [value]:
                found.setdefault(Address(ref.kind, (str(each),)), address.root)
    return found


def _document(root: Address, inside: Sequence[Address], declared: _Declared, api_version: str, file: str) -> Exported:
    fields, kinds = declared.fields, declared.kinds
    spec: dict[str, Any] = {name: value for name, value in fields[root].items() if name != "name"}
    for address in inside:
        spec.setdefault(str(kinds[address.kind].plural), []).append(fields[address])
    document = {
        "apiVersion": api_version,
        "kind": kinds[root.kind].word,
        "metadata": {"name": root.name},
        "spec": spec,
    }
    written = [address for address in (root, *inside) if address not in declared.lookups]
    ours = {address: {**fields[address], **declared.files.get(address, {})} for address in written}
    beside = dict(declared.beside[address] for address in written if address in declared.beside)
    return Exported(file, _escaped(document), ours, beside)


class _Declared(Struct):
    """What of one vendor's objects a manifest can declare, as it is written there.

    ``warnings`` say of the rest why not.  Of what is only looked up, nothing but the identity is written.  ``files``
    is what stands for a file in the fields that are compared, ``beside`` its name and content; ``twins`` are the ids of
    what holds a file and was left out, because another has its name.  ``inside`` counts what lives in each address.
    """

    kinds: Mapping[str, AnyKind]
    warnings: list[str]
    contents: Mapping[str, bytes | str]
    taken: set[str]
    ours: Container[str]
    left_out: list[LiveObject]
    inside: Counter[Address] = field(default_factory=Counter)
    files: dict[Address, Fields] = field(default_factory=dict)
    beside: dict[Address, tuple[str, bytes]] = field(default_factory=dict)
    twins: set[str] = field(default_factory=set)
    fields: dict[Address, Fields] = field(default_factory=dict)
    lookups: set[Address] = field(default_factory=set)
    look_alikes: dict[Looks, Address] = field(default_factory=dict)

    def take(self, objects: Sequence[LiveObject], roots: Sequence[AnyKind]) -> None:
        """Take all objects of kinds that can be declared, parents and what others name first."""
        declarable = [kind for kind in self.kinds.values() if kind.plural or kind in roots]
        there = {kind.id: [item for item in objects if item.address.kind == kind.id] for kind in declarable}
        for kind in declarable:
            self.inside.update(
                Address(kind.parent, _home(item, kind)) for item in there[kind.id] if kind.parent is not None
            )
        for kind in declarable:
            for item in sorted(there[kind.id], key=lambda item: item.remote_id not in self.ours):
                self._take(item, kind)
        self.fields = {
            item.address: self.fields[item.address]
            for kind in declarable
            for item in there[kind.id]
            if item.address in self.fields
        }

    def _take(self, item: LiveObject, kind: AnyKind) -> None:
        home = _home(item, kind)
        if kind.parent and Address(kind.parent, home) not in self.fields:
            return  # the reason has been given for what it lives in
        if twin := self.look_alikes.get(folded(item.address)):
            what = "let one of them have another name" if kind.update else "let what names it name the other one"
            self._leave_out(item, f"{item.address} {_alike(item.address, twin)}; {item.remote_id} was left out", what)
            self.twins |= {item.remote_id} & self.contents.keys()
            return
        if lost := next((each for ids in item.refs.values() for each in ids if each in self.twins), None):
            self.left_out.append(item)
            self.warnings.append(f"{item.address} was left out: it names {lost}; let it name the one that was written")
            return
        written, hidden = stripped(self._with_file(item, kind), kind.sensitive)
        fields, left_out = self._expressible(written, kind, home)
        left_out |= dict.fromkeys(hidden, "is sensitive, and never written")
        left_out |= {name: f"is not at hand{self._why_not(item)}" for name in kind.file_fields if name in left_out}
        required = {info.alias or name for name, info in kind.spec.model_fields.items() if info.is_required()}
        required |= {name for name, value in written.items() if value in _BLANK}  # left out it would say something else
        if reasons := [f'its "{name}" {why}' for name, why in left_out.items() if name in required]:
            self._leave_out(item, f"{item.address} was left out", f"{reasons[0]}; mend that")
            return
        stays = "it stays there, and is not compared; write it by hand to change that"
        self.warnings += [f"{item.address}: {name} was left out: it {why}; {stays}" for name, why in left_out.items()]
        lost = "set it again by hand where the object is ever replaced"
        self.warnings += [f"{item.address}: {name} is set and cannot be expressed; {lost}" for name in item.unmanaged]
        self.look_alikes[folded(item.address)] = item.address
        if kind.lookup(kind.spec.model_validate(fields)):
            self.lookups.add(item.address)
            fields = {name: fields[name] for name in kind.identity}
        self.fields[item.address] = fields
        self._attach(item, kind)

    def _leave_out(self, item: LiveObject, what: str, why: str) -> None:
        inside = self.inside[item.address] if item.address not in self.fields else 0  # else it is written there
        also = f" with the {counted(inside, 'object')} in it" if inside else ""
        self.left_out.append(item)
        self.warnings.append(f"{what}{also}: {why}, and export again")

    def _with_file(self, item: LiveObject, kind: AnyKind) -> Fields:
        """What is to be written; a file whose content is at hand by a name that nothing else there has."""
        fields = _written(item, kind)
        if isinstance(self.contents.get(item.remote_id), bytes):
            for name in kind.file_fields:
                suffix = PurePath(str(kind.example[name])).suffix
                fields[name] = _file_name(item.address.name, self.taken, kind.word.lower(), suffix)
        return fields

    def _why_not(self, item: LiveObject) -> str:
        why = self.contents.get(item.remote_id)
        return f": {why}" if isinstance(why, str) else ""

    def _attach(self, item: LiveObject, kind: AnyKind) -> None:
        content = self.contents.get(item.remote_id)
        if isinstance(content, bytes):
            self.files[item.address] = {name: file_value(content) for name in kind.file_fields}
            for name in kind.file_fields:
                self.beside[item.address] = (str(self.fields[item.address][name]), content)

    def _expressible(self, fields: Fields, kind: AnyKind, home: tuple[str, ...]) -> tuple[Fields, dict[str, str]]:
        """(the fields that can be written, of each other one why not)."""
        left_out: dict[str, str] = {}
        while faults := self._faults(fields, kind, home) or dict(_refused(fields, kind)):
            left_out = faults | left_out  # the first reason is the true one
            if not faults.keys() & fields.keys():
                break  # what is wrong is that something is missing
            fields = {name: value for name, value in fields.items() if name not in faults}
        return fields, left_out

    def _faults(self, fields: Fields, kind: AnyKind, home: tuple[str, ...]) -> dict[str, str]:
        """Field -> why it cannot be written."""
        found: dict[str, str] = {}
        for name, value in fields.items():
            if Mark.FILE in kind.shapes[name].marks and not isinstance(value, str):
                found[name] = "is not at hand"
            elif not _reads_back(value):
                found[name] = "holds what a manifest cannot"
            elif missing := self._missing(value, kind.shapes[name], home):
                found[name] = f'names "{missing}", which is not among what was written'
        return found | dict(self._lacking(fields, kind))

    def _lacking(self, fields: Fields, kind: AnyKind) -> Iterator[tuple[str, str]]:
        """(field, why) for what needs something of a file that is not in it."""
        for need in kind.needs(fields) if kind.needs else ():
            ref = kind.shapes[need.named_in].ref
            assert ref is not None
            named = Address(ref.kind, (str(fields.get(need.named_in)),))
            holds, file = self.kinds[ref.kind].holds, self.beside.get(named)
            if holds and file and need.column not in holds(file[1]):
                yield need.path.partition(".")[0], f"is not valid: {need.message}"

    def _missing(self, value: Json, shape: Shape, home: tuple[str, ...]) -> str:
        """A resource that a field names and that is not declared; "" when there is none."""
        if shape.ref is None or not shape.ref.declared:
            return ""
        inside = home if self.kinds[shape.ref.kind].parent else ()
        names = value if isinstance(value, list) else [value] if shape.item is None else []
        there = (Address(shape.ref.kind, (*inside, str(name))) for name in names)
        return next((address.name for address in there if address not in self.fields), "")


def _home(item: LiveObject, kind: AnyKind) -> tuple[str, ...]:
    """The path of what it lives in."""
    return item.address.path[: -len(kind.identity)]


def _alike(address: Address, twin: Address) -> str:
    if address == twin:
        return "stands there twice"
    return f"cannot be told from {twin} (letter case, spaces at the ends and forms of one character do not count)"


def _refused(fields: Fields, kind: AnyKind) -> Iterator[tuple[str, str]]:
    """(field, why) for what would not be valid in a manifest, though it could be written."""
    name = fields.get("name")
    if isinstance(name, str) and is_unusable(name):
        yield "name", "holds characters that nobody can see"
    try:
        kind.spec.model_validate(fields)
    except ValidationError as error:
        names = (str(next(iter(each["loc"]), "name")) for each in error.errors())
        yield from ((name, "is not of a form that a manifest can have") for name in names)
        return
    for flaw in kind.check(fields):
        if flaw.is_error:
            yield flaw.path.partition(".")[0], f"is not valid: {flaw}"
    for path, item in repeated(kind, fields):
        yield path.partition(".")[0], f'is not valid: "{item}" stands here twice'


def _reads_back(value: Json) -> bool:
    """Whether a manifest can hold a value."""
    try:
        return parse(to_yaml({"value": value})) == [{"value": value}]
    except ManifestsInvalid:
        return False


def _written(item: LiveObject, kind: AnyKind) -> Fields:
    """The fields that say something, in the kind's order; an empty list of places says that it runs nowhere."""
    tidy = kind.tidy(item.fields)
    shown = (name for name, shape in kind.shapes.items() if Mark.WRITE_ONLY not in shape.marks)
    return {
        name: tidy[name]
        for name in shown
        if tidy.get(name) not in _BLANK or (tidy.get(name) == [] and Mark.SCOPE in kind.shapes[name].marks)
    }


def _escaped(value: Any) -> Any:
    """``${`` in a live text is not a reference."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    return value


def _file_name(name: str, taken: set[str], otherwise: str, suffix: str) -> str:
    """A name for the file: readable, and no two the same on any file system; ``otherwise`` where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or otherwise
    unique, number = f"{slug}{suffix}", 2
    while unique in taken:
        unique, number = f"{slug}-{number}{suffix}", number + 1
    taken.add(unique)
    return unique
