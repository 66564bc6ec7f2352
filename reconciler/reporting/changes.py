"""Turn one field change into lines that a reviewer can judge.  Pure.

Short values stand as ``path: before -> after``; long texts are shown as what changed in them, word by word;
nested values as the paths inside them that differ.  deepdiff explains those and decides nothing.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias, TypeGuard

from msgspec import Struct

from reconciler.model.plan import Cause, Effect, FieldChange, LifecycleChange, Step, deciding
from reconciler.model.resource import ValueSource
from reconciler.model.secrecy import NOT_SHOWN, is_sealed
from reconciler.model.values import Fields, Json, counted
from reconciler.reporting.escape import terminal
from reconciler.reporting.lines import Line, Span, Tint, line

LONG_TEXT = 60
LONG_JSON = 200
MOST_LINES = 20
MOST_WORDS = 1_200
CONTEXT_WORDS = 4
MOST_PLACES = 3
MOST_UNORDERED = 20_000

EFFECT_TINTS: dict[Effect, Tint] = {
    Effect.LOOSENED: "bad",
    Effect.REDEFINED: "warn",
    Effect.MOVED: "warn",
    Effect.TIGHTENED: "good",
    Effect.SAME: "dim",
}
_CAUSE_WORDS = {
    Cause.MANIFEST: "",
    Cause.DRIFT: "changed at the platform",
    Cause.BOTH: "changed in the manifests and at the platform",
}


class _Absent(Struct, frozen=True):
    """Nothing stands at a path inside a nested value."""


ABSENT = _Absent()
Side: TypeAlias = "Json | _Absent"


def badge(effect: Effect | None) -> tuple[Span, ...]:
    """The word for an effect, in capitals, with the gap before it; nothing where there is none."""
    return (Span("  "), Span(effect.value.upper(), EFFECT_TINTS[effect], loud=True)) if effect else ()


def decided(found: Sequence[ValueSource]) -> Iterator[Span]:
    """``(var limit: environments/staging.yaml:7)``, with the gap before it: where values come from.

    Nothing for those that are spelled out where they are declared.
    """
    places = [*dict.fromkeys((each.what, f"{each.source.file}:{each.source.line}") for each in found)]
    for number, (what, place) in enumerate(places[:MOST_PLACES]):
        yield Span(f", {what}: " if number else f"  ({what}: ", "dim")
        yield Span(place, "dim", solid=True)
    if places:
        yield Span(f" and {len(places) - MOST_PLACES} more)" if len(places) > MOST_PLACES else ")", "dim")


def cause_words(cause: Cause) -> str:
    """Who changed it, unless it was the manifests."""
    return _CAUSE_WORDS[cause]


def rule_text(change: LifecycleChange, *, verbose: bool) -> str:
    """What is remembered and what is declared, on one line."""
    before, after = (shown(value, verbose=verbose) for value in (change.before, change.after))
    return f"{change.path}: {before} -> {after}"


def changes_lines(step: Step, *, verbose: bool) -> Iterator[list[Line]]:
    """The lines of each change; unless verbose, changes inside one field that mean nothing are one line together."""
    for name, group in groupby(step.changes, lambda change: change.top):
        changes = list(group)
        several = len(changes) > 1 or isinstance(changes[0].after, list)
        if not verbose and several and all(change.effect is Effect.SAME for change in changes):
            yield [line(Span(f"{name}: ", solid=True), "written in another way", *badge(Effect.SAME))]
            continue
        yield from (change_lines(change, step, verbose=verbose) for change in changes)


def change_lines(change: FieldChange, step: Step, *, verbose: bool) -> list[Line]:
    """One line for the change, and more below it when long or nested values need explaining."""
    head = Span(f"{change.path}: ", solid=True)
    remarks = (*badge(change.effect), *_remarks(change, step))
    if change.sensitive:
        return [line(head, NOT_SHOWN, *remarks)]
    if _both_long(change.before, change.after):
        return [line(head, "text differs", *remarks), *_text_lines(str(change.before), str(change.after), verbose)]
    inner = _nested(change.before, change.after)
    if inner:
        colon = Span(f"{change.path}:", solid=True)  # the remarks begin with a gap of their own
        return [line(colon, *remarks), *_cut([_inner_line(*each, verbose) for each in inner], verbose)]
    if is_item(change):
        came = change.before is None
        tint: Tint = "add" if came else "remove"
        return [
            line(Span("+ " if came else "- ", tint), head, Span(item_text(change, verbose=verbose), tint), *remarks)
        ]
    return [line(head, *_arrow(change.before, change.after, verbose), *remarks)]


def is_item(change: FieldChange) -> bool:
    """Whether an item of a list came or went as a whole."""
    sides = change.before, change.after
    return (
        change.path.rpartition(".")[2].isdecimal() and None in sides and any(isinstance(side, dict) for side in sides)
    )


def item_text(change: FieldChange, *, verbose: bool) -> str:
    """``metrics faithfulness >= 0.8``: the values of an item that came or went, in the order in which they stand."""
    item = change.after if change.before is None else change.before
    assert isinstance(item, dict)
    values = [each if isinstance(each, str) and each else shown(each, verbose=verbose) for each in item.values()]
    text = " ".join(values)
    return text if verbose or len(text) <= LONG_JSON else text[: LONG_JSON - 1] + "…"


def _remarks(change: FieldChange, step: Step) -> Iterator[Span]:
    context = _siblings(step.fields, change)
    if context:
        yield Span(f"  ({context})", "dim")
    if change.create_only and change.path not in step.reason:
        yield Span("  cannot be changed in place", "warn")
    words = cause_words(change.cause)
    if words and not (change.cause is step.cause and words in step.reason):
        yield Span(f"  {words}", "warn")
    yield from decided(deciding(step.value_sources, [change]))


def _siblings(fields: Fields, change: FieldChange) -> str:
    """The words beside a changed value in a list: ``thresholds.0`` alone tells nobody which threshold it is.

    Empty unless the wanted value really stands there: positions may be those of the live list.
    """
    *way, last = change.path.split(".")
    if not any(key.isdigit() for key in way):
        return ""
    place: Json = fields
    for key in way:
        if isinstance(place, dict) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        else:
            return ""
    if not isinstance(place, dict) or place.get(last) != change.after:
        return ""
    return " ".join(word for key, word in place.items() if key != last and _is_telling(word))


def _is_telling(word: Json) -> TypeGuard[str]:
    return isinstance(word, str) and not is_sealed(word)


# ---------------------------------------------------------------------------------------------- values


def shown(value: Side, *, verbose: bool = True) -> str:
    """One value on one line: texts quoted, nested values as JSON, ``unset`` for nothing.  Cut unless verbose."""
    if value is None or isinstance(value, _Absent):
        return "unset"
    if isinstance(value, str):
        return value if value == NOT_SHOWN else _quoted(value, verbose)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # platforms answer 3 as 3.0
    text = json.dumps(value, ensure_ascii=False)
    if verbose or len(text) <= LONG_JSON:
        return text
    return text[: LONG_JSON - 1] + "…"


def _quoted(text: str, verbose: bool) -> str:
    kept = text if verbose or len(text) <= LONG_TEXT else text[: LONG_TEXT - 20]
    quoted = '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return quoted if kept is text else f"{quoted}… ({len(text):,} characters)"


def _pair(before: Json, after: Json, verbose: bool) -> tuple[str, str]:
    """Both values; numbers with the same count of decimals (``0.90 -> 0.85``), for they are read as a pair."""
    texts = shown(before, verbose=verbose), shown(after, verbose=verbose)
    if not all(re.fullmatch(r"-?\d+(\.\d+)?", text) for text in texts):
        return texts
    decimals = max(len(text.partition(".")[2]) for text in texts)
    left, right = (_padded(text, decimals) for text in texts)
    return left, right


def _padded(digits: str, decimals: int) -> str:
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.ljust(decimals, '0')}" if decimals else whole


def _arrow(before: Json, after: Json, verbose: bool) -> tuple[Span, ...]:
    left, right = _pair(before, after, verbose)
    return Span(left, "remove"), Span(" -> "), Span(right, "add")


def value_lines(change: FieldChange) -> list[Line]:
    """What a create writes: the value, or for a nested one every path inside it with its value."""
    if change.sensitive:
        return [line(Span(f"{change.path}: ", solid=True), NOT_SHOWN)]
    return [line(Span(f"{path}: ", solid=True), shown(value)) for path, value in _flat(change.path, change.after)]


def _flat(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    items: Iterator[tuple[object, Json]]
    if isinstance(value, Mapping) and value:
        items = iter(value.items())
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = iter(enumerate(value))
    else:
        yield path, value
        return
    for key, inner in items:
        yield from _flat(f"{path}.{key}", inner)


# ---------------------------------------------------------------------------------------------- long texts


def _both_long(before: Json, after: Json) -> bool:
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    return "\n" in before + after or (max(len(before), len(after)) > LONG_TEXT and bool(before and after))


def _text_lines(before: str, after: str, verbose: bool) -> list[Line]:
    """What changed between two texts, line by line, and inside a line word by word."""
    old, new = before.split("\n"), after.split("\n")
    found: list[Line] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=True).get_opcodes():
        if tag == "replace" and i2 - i1 == j2 - j1:
            found += [_words_line(one, other) for one, other in zip(old[i1:i2], new[j1:j2], strict=True)]
        elif tag != "equal":
            found += [line("- ", Span(_clip(text, verbose), "remove"), indent=4, hang=2) for text in old[i1:i2]]
            found += [line("+ ", Span(_clip(text, verbose), "add"), indent=4, hang=2) for text in new[j1:j2]]
    return _cut(found, verbose)


def _clip(text: str, verbose: bool) -> str:
    """An unbroken run of a thousand letters tells nothing; the diff of a line that long neither."""
    return text if verbose or len(text) <= 400 else f"{text[:400]}… ({len(text):,} characters)"


def _words_line(before: str, after: str) -> Line:
    old, new = before.split(" "), after.split(" ")
    if len(old) + len(new) > MOST_WORDS:
        return line(f"~ {len(before):,} characters -> {len(after):,} characters", indent=4, hang=2)
    spans: list[Span] = [Span("~ ")]
    codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for position, (tag, i1, i2, j1, j2) in enumerate(codes):
        if position:
            spans.append(Span(" "))
        if tag == "equal":
            kept = _context(old[i1:i2], at_start=position == 0, at_end=position == len(codes) - 1)
            spans.append(Span(" ".join(kept)))
            continue
        if any(old[i1:i2]):
            spans.append(Span(f"[-{' '.join(old[i1:i2])}-]", "remove"))
        if any(new[j1:j2]):
            spans.append(Span(f"{{+{' '.join(new[j1:j2])}+}}", "add"))
    return line(*spans, indent=4, hang=2)


def _context(words: list[str], *, at_start: bool, at_end: bool) -> list[str]:
    """The words next to a change, an ellipsis for the others."""
    before = [] if at_start else words[:CONTEXT_WORDS]
    after = [] if at_end else words[-CONTEXT_WORDS:]
    return words if len(words) <= len(before) + len(after) + 1 else [*before, "…", *after]


def _cut(lines: list[Line], verbose: bool) -> list[Line]:
    if verbose or len(lines) <= MOST_LINES:
        return lines
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], line(Span(f"… {counted(left, 'more line')}; -v shows all", "dim"), indent=4)]


# ---------------------------------------------------------------------------------------------- nested values


_Row = tuple[str, Side, Side]


def _nested(before: Json, after: Json) -> list[_Row]:
    """The paths inside two mappings or two lists that differ, sorted; empty where there is nothing to explain."""
    both_mappings = isinstance(before, dict) and isinstance(after, dict)
    both_lists = isinstance(before, list) and isinstance(after, list)
    if not (both_mappings or both_lists) or (_brief(before) and _brief(after)):
        return []
    old, new = _printable(before), _printable(after)
    ordered = _explained(old, new, False)
    # Looking past the order compares every item with every other.
    affordable = len(shown(before)) + len(shown(after)) < MOST_UNORDERED
    return min(ordered, _explained(old, new, True), key=_length_if_any) if affordable else ordered


def _printable(value: Json) -> Json:
    """The value as it will be printed: deepdiff cannot digest lone surrogates."""
    if isinstance(value, str):
        return terminal(value)
    if isinstance(value, dict):
        return {terminal(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value


def _length_if_any(rows: list[_Row]) -> float:
    return len(rows) or math.inf


def _explained(before: Json, after: Json, ignore_order: bool) -> list[_Row]:
    """What deepdiff finds, item by item.  Looking past the order explains an item put in front in one line."""
    # Imported here because it takes longer than the rest of a plan, and few plans need it.
    from deepdiff import DeepDiff

    tree = DeepDiff(
        before,
        after,
        view="tree",
        ignore_order=ignore_order,
        report_repetition=ignore_order,
        ignore_numeric_type_changes=True,
    )
    rows = [
        (tuple(item.path(output_format="list")), item.t1, item.t2)
        for category, items in tree.items()
        if category != "repetition_change"
        for item in items
    ]
    return [
        (".".join(map(str, path)), _side(one), _side(other))
        for path, one, other in sorted(rows, key=lambda row: [(isinstance(key, str), key) for key in row[0]])
        if path
    ]


def _side(value: Any) -> Side:
    """What deepdiff calls "not present" becomes ``ABSENT``."""
    plain = value is None or isinstance(value, (bool, int, float, str, list, dict))
    return value if plain else ABSENT


def _inner_line(path: str, before: Side, after: Side, verbose: bool) -> Line:
    head = Span(f"{path}: ", solid=True)
    if isinstance(before, _Absent):
        return line("+ ", head, Span(shown(after, verbose=verbose), "add"), indent=4)
    if isinstance(after, _Absent):
        return line("- ", head, Span(shown(before, verbose=verbose), "remove"), indent=4)
    return line("~ ", head, *_arrow(before, after, verbose), indent=4)


def _brief(value: Json) -> bool:
    """Short enough, and flat: read faster whole than explained."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    flat = not any(isinstance(item, (dict, list)) for item in inner)
    return flat and len(shown(value)) <= LONG_TEXT // 2
