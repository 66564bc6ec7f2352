"""Turn documents into items: one for each resource, as it was written, with defaults under it.  Pure.

A root kind is a document of its own; its children, and other kinds that are declared there, stand in lists in its
spec, under the defaults given beside the list; a set document holds children for many roots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from reconciler.manifests.documents import Document, listed_in
from reconciler.manifests.expansion import glob_matches, items_of, over_defaults, without
from reconciler.manifests.positions import Map, Seq, Spot
from reconciler.manifests.problems import Problems, described, one_of, quoted
from reconciler.manifests.variables import Scope, resolve
from reconciler.model.kind import AnyKind
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import Address
from reconciler.model.spec import fields_of

_IN_METADATA = ("name", "labels", "renamedFrom")


class Item(NamedTuple):
    """One resource as written.  ``parent`` is None for what lives in nothing, wherever it is declared.

    ``is_stray``: it is of a set that chooses no root; there is nothing to make of it, but mistakes to find.
    """

    kind: AnyKind
    parent: Address | None
    data: Map
    is_stray: bool = False

    @property
    def parent_path(self) -> tuple[str, ...]:
        """The names that lead to it."""
        return self.parent.path if self.parent else ()

    @property
    def name(self) -> str:
        """The name, "" where it is missing or no text."""
        name = self.data.get("name")
        return name if isinstance(name, str) else ""

    @property
    def labels(self) -> dict[str, Any]:
        """The labels; nothing where they are no mapping."""
        labels = self.data.get("labels")
        return dict(labels) if isinstance(labels, Map) else {}

    def identity(self) -> dict[str, Any]:
        """The identity fields, with the defaults of those that are not written."""
        return {name: self.data.get(name, default) for name, default in self.kind.identity_defaults}

    def address(self) -> Address | None:
        """The address, None where the name is missing."""
        if not self.name:
            return None
        written = self.data
        names = [str(written.get(name, default)) for name, default in self.kind.identity_defaults]
        return Address(self.kind.id, (*self.parent_path, *names))


class Expander(Struct):
    """Makes items of documents.  ``partial``: some files could not be read, so what is missing may be in them."""

    kinds: Sequence[AnyKind]
    scope: Scope
    problems: Problems
    partial: bool = False

    def items(self, documents: Sequence[Document]) -> list[Item]:
        """The items of all documents; roots first, then their children, then those of sets, in the order of files."""
        single = [document for document in documents if document.kind and not document.is_set]
        roots = [(document, self._root(document, document.kind)) for document in single if document.kind]
        items = [root for _, root in roots]
        for document, root in roots:
            items += self._children(document.spec, self._spec_scope(document), root.kind, root.address())
        distinct = _distinct([root for _, root in roots])
        for document in documents:
            if document.is_set and document.kind:
                items += self._of_set(document, document.kind, distinct)
        return items

    def _spec_scope(self, document: Document) -> Scope:
        if not document.is_set:
            return self.scope
        params, spot = document.spec.get("params"), document.spec.value_spot("params")
        if not isinstance(params, Map):
            return self.scope.with_params(Map.of(spot, {}))
        return self.scope.with_params(resolve(params, spot, self.scope, self.problems))

    def _children_of(self, kind: AnyKind) -> list[AnyKind]:
        return listed_in(kind, self.kinds)

    # ------------------------------------------------------------------------------------------ roots

    def _root(self, document: Document, kind: AnyKind) -> Item:
        lists = [name for child in self._children_of(kind) for name in (child.plural, child.defaults_field) if name]
        metadata = checked_metadata(document, _IN_METADATA, [*fields_of(kind.spec), *lists], self.scope, self.problems)
        for name in _IN_METADATA:
            if name in document.spec:
                self.problems.add(document.spec.key_spot(name), "it belongs in metadata", key=True)
        spec = without(document.spec, *lists, *_IN_METADATA)
        spec = resolve(spec, spec.spot, self.scope, self.problems)
        self._report_unknown(spec, kind, lists)
        known = {name: entry for name, entry in spec.entries().items() if name in fields_of(kind.spec)}
        return Item(kind, None, Map.of(spec.spot, {**metadata.entries(), **known}))

    def _report_unknown(self, spec: Map, kind: AnyKind, lists: Sequence[str]) -> None:
        """Report what is neither a field nor a list; pydantic would not know the lists to suggest them."""
        known = [name for name in fields_of(kind.spec) if name not in _IN_METADATA] + list(lists)
        for key in spec:
            if key not in known:
                self.problems.add_unknown(spec, key, f"of {kind.id}", known)

    # --------------------------------------------------------------------------------------- children

    def _children(self, spec: Map, scope: Scope, kind: AnyKind, parent: Address | None) -> Iterator[Item]:
        """The items in the lists of ``spec``, and the items in their lists."""
        for child in self._children_of(kind):
            yield from self._listed(spec, scope, child, parent)

    def _listed(self, spec: Map, scope: Scope, kind: AnyKind, parent: Address | None) -> Iterator[Item]:
        assert kind.plural
        defaults = self._defaults(spec, scope, kind)
        if kind.plural not in spec:
            return
        inner = self._children_of(kind)
        lists = [name for child in inner for name in (child.plural, child.defaults_field) if name]
        rest = [field for name, field in kind.spec.model_fields.items() if name != "name"]
        only_named = not any(field.is_required() for field in rest)
        listed, spot = spec[kind.plural], spec.value_spot(kind.plural)
        for written in items_of(listed, spot, scope, self.problems, only_named=only_named):
            home = (parent or _nowhere(kind)) if kind.parent else None
            item = Item(kind, home, over_defaults(defaults, without(written, *lists)))
            yield item
            if inner:
                yield from self._children(written, scope, kind, item.address())

    def _defaults(self, spec: Map, scope: Scope, kind: AnyKind) -> Map:
        """The defaults for a kind, checked for unknown fields once here instead of under every item."""
        name = kind.defaults_field
        empty = Map.of(spec.spot, {})
        if not name or name not in spec:
            return empty
        defaults = resolve(spec[name], spec.value_spot(name), scope, self.problems)
        if not isinstance(defaults, Map):
            self.problems.add(spec.value_spot(name), f"expected a mapping, found {described(defaults)}")
            return empty
        known = [field for field in fields_of(kind.spec) if field not in ("name", "renamedFrom")]
        unknown = [key for key in defaults if key not in known]
        for key in unknown:
            self.problems.add_unknown(defaults, key, f"that {kind.id} has a default for", known)
        return without(defaults, *unknown)

    # ------------------------------------------------------------------------------------------- sets

    def _of_set(self, document: Document, kind: AnyKind, roots: Sequence[Item]) -> Iterator[Item]:
        known = [name for name in ("appliesTo", "params", kind.defaults_field, kind.plural) if name]
        check_texts(checked_metadata(document, ("name", "labels"), known, self.scope, self.problems), self.problems)
        for key in document.spec:
            if key not in known:
                self.problems.add_unknown(document.spec, key, f"of {document.word}", known)
        for name in ("appliesTo", kind.plural):
            if name and name not in document.spec and (document.spec.spot, name) not in self.problems.misspelt:
                self.problems.add(document.spec.spot, "is missing", below=name)
        self._check_params(document)
        scope = self._spec_scope(document)
        targets = self._targets(document, [root for root in roots if root.kind.id == kind.document])
        for root in targets:
            yield from self._listed(document.spec, scope, kind, root.address())
        if not targets:
            yield from (item._replace(is_stray=True) for item in self._listed(document.spec, scope, kind, None))

    def _check_params(self, document: Document) -> None:
        params = document.spec.get("params")
        if params is not None and not isinstance(params, Map):
            spot = document.spec.value_spot("params")
            self.problems.add(spot, f"expected a mapping, found {described(params)}")
            self.problems.silent.add(spot)

    def _targets(self, document: Document, roots: Sequence[Item]) -> list[Item]:
        """The roots a set applies to: those named *and* labelled as it says."""
        if "appliesTo" not in document.spec:
            return []
        spot = document.spec.value_spot("appliesTo")
        written = resolve(document.spec["appliesTo"], spot, self.scope, self.problems)
        if not isinstance(written, Map):
            self.problems.add(spot, f"expected a mapping, found {described(written)}")
            return []
        names_key = f"{_document_word(document.kind).lower()}s"
        for key in written:
            if key not in (names_key, "matchLabels"):
                known = (names_key, "matchLabels")
                self.problems.add_unknown(written, key, "of appliesTo", known, hint=f"there is {one_of(known)}")
        if not written:
            self.problems.add(spot, f"chooses nothing: give {names_key}, matchLabels or both")
        chosen = [root for root in roots if root.name]
        if names_key in written:
            chosen = self._named(written[names_key], written.value_spot(names_key), chosen)
        if "matchLabels" in written:
            said = self.partial or (names_key in written and not chosen) or any(not root.name for root in roots)
            chosen = self._labelled(written["matchLabels"], written.value_spot("matchLabels"), chosen, said=said)
        return chosen

    def _named(self, globs: Any, spot: Spot, roots: Sequence[Item]) -> list[Item]:
        if not isinstance(globs, Seq):
            self.problems.add(spot, f"expected a list of names, found {described(globs)}")
            return []
        found: set[str] = set()
        for glob, glob_spot in zip(globs, globs.spots, strict=True):
            if not isinstance(glob, str):
                self.problems.add(glob_spot, f"expected text, found {described(glob)}", "put it in quotes")
                continue
            matching = {root.name for root in roots if glob_matches(glob, root.name)}
            if not matching and not self.partial:
                names = [root.name for root in roots]
                hint = did_you_mean(glob, names) or (f"there is {one_of(sorted(names))}" if names else "")
                self.problems.add(glob_spot, f"{quoted(glob)} is not declared under the paths given", hint)
            found |= matching
        if not globs:
            self.problems.add(spot, "an empty list chooses nothing")
        return [root for root in roots if root.name in found]

    def _labelled(self, wanted: Any, spot: Spot, roots: Sequence[Item], *, said: bool) -> list[Item]:
        """Those that have all labels.  ``said``: why none has them follows from what was reported before."""
        if not isinstance(wanted, Map):
            self.problems.add(spot, f"expected a mapping, found {described(wanted)}")
            return []
        if not wanted:
            self.problems.add(spot, "no labels choose nothing")
            return []
        found = [root for root in roots if wanted.items() <= root.labels.items()]
        if not found and not said:
            hint = "" if roots else "nothing that it could apply to is declared under the paths given"
            self.problems.add(spot, f"nothing has the labels {labels_text(wanted)}", hint)
        return found


def _distinct(roots: Sequence[Item]) -> list[Item]:
    """The first root of each address: that there is another is said of it, not of whatever a set puts into it."""
    found: dict[Address | None, Item] = {}
    for root in roots:
        found.setdefault(root.address(), root)
    return list(found.values())


def _document_word(kind: AnyKind | None) -> str:
    return (kind.document or "").rpartition(".")[2] if kind else ""


def _nowhere(kind: AnyKind) -> Address:
    """Stands for a parent without a usable name, which has been reported."""
    return Address(kind.parent or "", ("",))


def labels_text(labels: Mapping[str, Any]) -> str:
    """``team: cx, tier: prod``."""
    return ", ".join(f"{key}: {value}" for key, value in labels.items())


def check_texts(metadata: Map, problems: Problems) -> None:
    """Report a name that is no text, and labels that are no mapping of texts: what a kind's own model says of a root.

    For documents that are no resources.
    """
    if metadata.get("name", "it is missing") == "":
        problems.add(metadata.value_spot("name"), "is empty")
    elif "name" in metadata:
        _check_text(metadata, "name", problems)
    labels = metadata.get("labels")
    if isinstance(labels, Map):
        for key in labels:
            _check_text(labels, key, problems)
    elif "labels" in metadata:
        problems.add(metadata.value_spot("labels"), f"expected a mapping, found {described(labels)}")


def _check_text(mapping: Map, key: str, problems: Problems) -> None:
    value = mapping[key]
    if not isinstance(value, str):
        hint = "put it in quotes" if isinstance(value, (bool, int, float)) else ""
        problems.add(mapping.value_spot(key), f"expected text, found {described(value)}", hint)


def checked_metadata(
    document: Document, known: Iterable[str], in_spec: Iterable[str], scope: Scope, problems: Problems
) -> Map:
    """The known part of the metadata, resolved; a missing name and unknown keys are reported.

    ``in_spec`` are the fields that have their place in the spec.
    """
    metadata = resolve(document.metadata, document.metadata.spot, scope, problems)
    assert isinstance(metadata, Map)
    known, in_spec = list(known), {*in_spec}.difference(_IN_METADATA)
    for key in metadata:
        if key not in known:
            hint = "it belongs in spec" if key in in_spec else ""
            problems.add_unknown(metadata, key, "of metadata", known, hint=hint)
    if "name" not in metadata and (metadata.spot, "name") not in problems.misspelt:
        problems.add(metadata.spot, "is missing", below="name")
    return Map.of(metadata.spot, {key: entry for key, entry in metadata.entries().items() if key in known})
