"""Turn what is written once into what is meant: defaults under items, ``forEach``, label selectors.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from reconciler.manifests.positions import Alike, Map, Seq, Spot, file_of
from reconciler.manifests.problems import Problems, described
from reconciler.manifests.variables import Scope, resolve
from reconciler.manifests.writer import scalar_text
from reconciler.model.nearest import did_you_mean

FOR_EACH: Final = "forEach"
LONGEST_HINT: Final = 40
"""Characters of a value that is said again with how to write it."""


def glob_matches(pattern: str, text: str) -> bool:
    """Whether ``text`` matches a glob: ``*`` is any text, ``?`` any one character, nothing else is special."""
    parts = re.split(r"([*?])", pattern)
    meaning = {"*": ".*", "?": "."}
    return re.fullmatch("".join(meaning.get(part, re.escape(part)) for part in parts), text, re.DOTALL) is not None


def merged(under: Map, over: Map) -> Map:
    """``over`` on top of ``under``: mappings merge, everything else is replaced as a whole.

    Each value keeps the spot where it was written; the result stands where ``over`` stands.
    """
    if not under:
        return over
    if not under.keys().isdisjoint(over):
        entries = under.entries()
        for key, entry in over.entries().items():
            below = entries[key][0] if key in entries else None
            if isinstance(below, Map) and isinstance(entry[0], Map):
                entry = (merged(below, entry[0]), *entry[1:])
            entries[key] = entry
        made = _like(over).of(over.spot, entries)
    else:  # as most defaults are: nothing has to be looked at
        made = _like(over)(under | over)
        made.spot, made.home, made.places = over.spot, 0, [*under.spots, *over.spots]
    if isinstance(over, Alike) and isinstance(made, Alike):
        made.layout, made.below, made.texts, made.varying = over.layout, under, over.texts, over.varying
    return made


def over_defaults(defaults: Map, item: Map) -> Map:
    """``item`` on top of ``defaults``; its nulls take defaults off again, as if neither stood anywhere."""
    taken_off = [key for key, value in item.items() if value is None and key in defaults] if defaults else ()
    if not taken_off:
        return merged(defaults, item)
    return merged(without(defaults, *taken_off), without(item, *taken_off))


def _like(over: Map) -> type[Map]:
    return Alike if isinstance(over, Alike) and over.below is None else Map


def without(mapping: Map, *keys: str) -> Map:
    """The mapping without some keys."""
    if not any(key in mapping for key in keys):
        return mapping
    return Map.of(mapping.spot, {key: entry for key, entry in mapping.entries().items() if key not in keys})


def items_of(listed: Any, spot: Spot, scope: Scope, problems: Problems, *, only_named: bool) -> Iterator[Map]:
    """The items of a list of mappings, each resolved, those with a ``forEach`` once for each of its values.

    ``only_named``: a name is all that one needs, so a text was meant as one, and is read so after it was reported.
    """
    if not isinstance(listed, Seq):
        problems.add(spot, f"expected a list, found {described(listed)}")
        return
    for item, item_spot in zip(listed, listed.spots, strict=True):
        if only_named and isinstance(item, str) and item and "${" not in item:
            name = scalar_text(item, in_flow=True)
            hint = f"write {{name: {name}}}" if len(name) < LONGEST_HINT else ""
            problems.add(item_spot, f"expected a mapping, found {described(item)}", hint)
            problems.silent.add(item_spot)
            yield Map.of(item_spot, {"name": (item, item_spot, item_spot)})
        elif not isinstance(item, Map):
            problems.add(item_spot, f"expected a mapping, found {described(item)}")
        elif FOR_EACH in item:
            yield from _repeated(item, scope, problems)
        elif problems.files[file_of(item_spot)].refers:
            yield resolve(item, item_spot, scope, problems)
        else:
            yield item


def _repeated(item: Map, scope: Scope, problems: Problems) -> Iterator[Map]:
    spot = item.value_spot(FOR_EACH)
    values = resolve(item[FOR_EACH], spot, scope, problems)
    if not isinstance(values, Seq):
        problems.add(spot, f"expected a list, found {described(values)}")
        return
    if not values:
        problems.add(spot, "an empty list makes nothing")
    template = without(item, FOR_EACH)
    for value, value_spot in zip(values, values.spots, strict=True):
        yield resolve(template, item.spot, scope.with_each(value, value_spot), problems)


class Nameable(Struct, frozen=True):
    """The resources that a field may name.

    ``labels`` of each, by name.  ``what`` is such a resource in a word, ``where`` they were looked for.  ``partial``:
    there may be others, as in files that could not be read.
    """

    labels: Mapping[str, Mapping[str, str]]
    what: str
    where: str = "here"
    partial: bool = False


def select_names(selector: Any, spot: Spot, known: Nameable, problems: Problems) -> Any:
    """The value of a field that names resources, with ``{labels: ...}`` looked up.

    Reports names that are not declared and labels that nothing has.
    """
    if isinstance(selector, Map) and set(selector) == {"labels"} and isinstance(selector["labels"], Map):
        wanted = selector["labels"]
        if not wanted:
            problems.add(selector.value_spot("labels"), "no labels choose nothing")
            problems.silent.add(spot)
            return Seq.of(spot, [])
        names = [name for name, labels in known.labels.items() if wanted.items() <= labels.items()]
        if not names:
            if not known.partial:
                shown = ", ".join(f"{key}: {value}" for key, value in wanted.items())
                problems.add(spot, f"no {known.what} {known.where} has the labels {shown}")
            problems.silent.add(spot)
        return Seq.of(spot, [(name, spot) for name in names])
    if isinstance(selector, Map):
        problems.add(spot, "expected a list of names or {labels: ...}, found a mapping")
        problems.silent.add(spot)
    if isinstance(selector, Seq):
        for name, name_spot in zip(selector, selector.spots, strict=True):
            check_name(name, name_spot, known, problems)
    return selector


def check_name(name: Any, spot: Spot, known: Nameable, problems: Problems) -> None:
    """Report a name that is not declared; what is no text is reported elsewhere."""
    if isinstance(name, str) and name not in known.labels and not known.partial:
        problems.add(spot, f'there is no {known.what} "{name}" {known.where}', _near(name, known.labels))


def _near(name: str, declared: Mapping[str, Any]) -> str:
    if hint := did_you_mean(name, declared):
        return hint
    return f"there {'is' if len(declared) == 1 else 'are'} {', '.join(declared)}" if declared else "declare it first"
