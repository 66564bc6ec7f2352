"""Turn parsed YAML into documents of known kinds.  Pure.

Every document has the same envelope: ``apiVersion``, ``kind``, ``metadata``, ``spec``.  What is missing in it is
reported once, and an empty mapping stands in, so that everything else can still be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from reconciler.errors import Problem
from reconciler.manifests.files import IGNORE_FILE
from reconciler.manifests.loader import Parsed
from reconciler.manifests.positions import COLUMN_MASK, Map, Spot
from reconciler.manifests.problems import Problems, described, forbidden_key, one_of, quoted
from reconciler.model.kind import AnyKind, Vendor
from reconciler.model.nearest import did_you_mean

ENVELOPE: Final = ("apiVersion", "kind", "metadata", "spec")
API_VERSION: Final = "reconciler/v1"
ENVIRONMENT: Final = "Environment"
PIN: Final = "Pin"
"""The documents that are no resources.  What may be written in one stands in a module of its own, which is imported
where there is such a document: to declare the models of both takes 6 ms."""
LOCAL: Final = "local"
"""The environment that is built in: runs against the embedded emulator and needs no account."""


class Document(Struct, frozen=True):
    """One document.  ``kind`` is a root kind, or the kind whose items a set document holds; None for an Environment
    or a Pin.

    ``data`` is the whole of it.  ``metadata`` and ``spec`` are empty where they are missing or no mappings, which was
    reported then.
    """

    word: str
    kind: AnyKind | None
    data: Map
    metadata: Map
    spec: Map

    @property
    def is_pin(self) -> bool:
        """Whether it is an incident that a test must flag, or a time that must pass."""
        return self.kind is None and self.word == PIN

    @property
    def is_set(self) -> bool:
        """Whether it holds items for many roots."""
        return self.kind is not None and self.word == self.kind.set_document


def listed_in(kind: AnyKind, kinds: Iterable[AnyKind]) -> list[AnyKind]:
    """The kinds whose items stand in lists in a document, or an item, of ``kind``."""
    return [child for child in kinds if child.document == kind.id and child.plural]


def root_kinds(vendor: Vendor) -> list[AnyKind]:
    """The kinds that have a document of their own: those that can be made, or hold lists of others.

    A kind that can only be looked up, and that nothing stands in, is never declared.
    """
    apart = [kind for kind in vendor.kinds if kind.document is None]
    return [kind for kind in apart if kind.create is not None or listed_in(kind, vendor.kinds)]


def document_kinds(vendors: Iterable[Vendor]) -> dict[str, dict[str, AnyKind | None]]:
    """What may stand in a document: apiVersion -> word in ``kind:`` -> the kind it declares."""
    known: dict[str, dict[str, AnyKind | None]] = {}
    for vendor in vendors:
        words = known.setdefault(vendor.api_version, {})
        words.update((kind.word, kind) for kind in root_kinds(vendor))
        words.update((kind.set_document, kind) for kind in vendor.kinds if kind.set_document)
    known[API_VERSION] = {ENVIRONMENT: None, PIN: None}
    return known


class _Known(Struct, frozen=True):
    """What may stand in a document, and the kinds of all vendors, for telling what was meant instead."""

    words: dict[str, dict[str, AnyKind | None]]
    kinds: dict[str, tuple[AnyKind, ...]]

    def kind(self, api_version: str, word: str) -> AnyKind | None:
        """The kind that is called so by this vendor, whether it has a document or not."""
        return next((kind for kind in self.kinds.get(api_version, ()) if kind.word == word), None)


def documents_of(files: Sequence[Parsed], vendors: Sequence[Vendor], problems: Problems) -> list[Document]:
    """The documents of all files, in order; what is none of ours is reported, never skipped."""
    known = _Known(document_kinds(vendors), {vendor.api_version: vendor.kinds for vendor in vendors})
    found = [_document(value, spot, known, problems) for parsed in files for value, spot in parsed.documents]
    return [document for document in found if document]


def strangers_in(parsed: Parsed, vendors: Sequence[Vendor]) -> list[Problem]:
    """What is said of the documents of a file that speak to no platform of ours."""
    problems = Problems([parsed])
    words = document_kinds(vendors)
    for value, spot in parsed.documents:
        _words_of(value, spot, words, problems)
    return problems.errors


def _words_of(
    value: Any, spot: Spot, known: dict[str, dict[str, AnyKind | None]], problems: Problems
) -> dict[str, AnyKind | None] | None:
    """The kinds that may be declared along with the apiVersion of a document; None for a document of something else."""
    if not isinstance(value, Map):
        problems.add(spot, f"expected a mapping, found {described(value)}", _not_ours())
        return None
    if "apiVersion" not in value and "kind" not in value:
        problems.add(spot, "not a manifest: it has neither apiVersion nor kind", _nearly(value) or _not_ours())
        return None
    return _words_for(value, known, problems)


def _document(value: Any, spot: Spot, known: _Known, problems: Problems) -> Document | None:
    words = _words_of(value, spot, known.words, problems)
    word = _word(value, words, known, problems) if words is not None else None
    if words is None or word is None:
        return None
    for key in value:
        if key not in ENVELOPE:
            reason = forbidden_key(key) or (f"not a field of {word}", _where_else(key, value, words[word], known))
            problems.add(value.key_spot(key), *reason, key=True)
    return Document(word, words[word], value, _part(value, "metadata", problems), _part(value, "spec", problems))


def _words_for(
    value: Map, known: dict[str, dict[str, AnyKind | None]], problems: Problems
) -> dict[str, AnyKind | None] | None:
    version = value.get("apiVersion")
    if "apiVersion" not in value:
        problems.add(value.spot, "is missing", _nearly(value) or f"it is {one_of(list(known))}", below="apiVersion")
    elif not isinstance(version, str):
        problems.add(value.value_spot("apiVersion"), f"expected text, found {described(version)}")
    elif version not in known:
        hint = did_you_mean(version, known) or f"there {_are(list(known))}; {_not_ours()}"
        problems.add(value.value_spot("apiVersion"), f"{quoted(version)} is not known", hint)
    else:
        return known[version]
    return None


def _word(value: Map, words: dict[str, AnyKind | None], known: _Known, problems: Problems) -> str | None:
    word = value.get("kind")
    if "kind" not in value:
        problems.add(value.spot, "is missing", _nearly(value) or f"it is {one_of(list(words))}", below="kind")
    elif not isinstance(word, str):
        problems.add(value.value_spot("kind"), f"expected text, found {described(word)}")
    elif word not in words:
        problems.add(value.value_spot("kind"), *_not_a_document(word, value["apiVersion"], words, known))
    else:
        return word
    return None


def _not_a_document(word: str, api_version: str, words: dict[str, AnyKind | None], known: _Known) -> tuple[str, str]:
    """(message, hint) for a word that no document of this vendor has."""
    kind = known.kind(api_version, word)
    if kind is not None and kind.plural:
        where = f"it stands in the {kind.plural} of a {(kind.document or '').rpartition('.')[2]}"
        return f"{quoted(word)} has no document of its own", where
    if kind is not None:
        return f"{quoted(word)} is never declared", "it is looked up at the platform, by its name"
    other = next((version for version in known.words if word in known.words[version]), None)
    hint = f"it is a kind of {other}" if other else did_you_mean(word, words) or f"there {_are(list(words))}"
    return f"{quoted(word)} is not a kind of {api_version}", hint


def _are(words: list[str]) -> str:
    return f"{'is' if len(words) == 1 else 'are'} {', '.join(map(quoted, words))}"


def _part(value: Map, name: str, problems: Problems) -> Map:
    """``metadata`` or ``spec``: a mapping, if need be an empty one that stands where it is missing."""
    part = value.get(name)
    if isinstance(part, Map):
        return part
    if name not in value:
        problems.add(value.spot, "is missing", below=name)
        nowhere = value.spot | COLUMN_MASK
    else:
        nowhere = value.value_spot(name)
        problems.add(nowhere, f"expected a mapping, found {described(part)}")
    problems.silent.add(nowhere)  # what is missing inside is a consequence
    return Map.of(nowhere, {})


def _nearly(value: Map) -> str:
    """A hint when one of the keys is nearly one of the envelope's."""
    return next((hint for key in value if key not in ENVELOPE and (hint := did_you_mean(key, ENVELOPE[:2]))), "")


def _where_else(key: str, value: Map, kind: AnyKind | None, known: _Known) -> str:
    """A hint for a key beside ``spec`` that is a near miss, or that belongs in it."""
    missing = [name for name in ENVELOPE if name not in value]
    if hint := did_you_mean(key, missing):
        return hint
    fields = {info.alias or name for name, info in kind.spec.model_fields.items()} if kind else set()
    for child in listed_in(kind, known.kinds[value["apiVersion"]]) if kind else ():
        fields |= {child.plural, child.defaults_field} - {None}
    return "it belongs in metadata" if key in ("name", "labels") else "it belongs in spec" if key in fields else ""


def _not_ours() -> str:
    return f"list the file in {IGNORE_FILE} if it belongs to something else"
