"""Turn blocks of lines, from which the text and the Markdown form are made as well, into HTML.  Pure."""

from __future__ import annotations

from reconciler.model.plan import Action
from reconciler.reporting.blocks import Block, Group
from reconciler.reporting.lines import Line, Span
from reconciler.reporting.markdown import rows_fitting
from reconciler.reporting.markup import Markup, joined, tag

FOLDED_FROM = 100
"""A block or a table with more than that is folded up, unless it is what must be looked at."""
RESERVE = 300
_DEEPEST = 12
_CHANGED = {"add": "ins", "remove": "del"}

MEANINGS = {
    **{action.sign: action.value for action in Action},
    Action.DELETE.sign: f"{Action.DELETE.value} or {Action.ARCHIVE.value}",
    "!": "refused",
}
"""What a sign in front of a step says, in a word."""


def block_html(block: Block, *, level: int, room: int) -> Markup:
    """The block under a heading, as many of its groups as fit into ``room`` characters; the others are counted."""
    items = [_group(group) for group in block.groups]
    kept = rows_fitting(items, room - RESERVE)
    listed = joined([Markup(""), *items[:kept], Markup("")], "\n")
    steps = tag("ul", listed, class_="steps long" if len(items) > FOLDED_FROM else "steps")
    return folded(
        tag(f"h{level}", block.title),
        len(items),
        joined([steps, left_out(len(items) - kept)]),
        tone="" if block.tint == "title" else block.tint,
    )


def folded(heading: Markup, count: int, content: Markup, *, tone: str = "") -> Markup:
    """Content under a heading with its count: open where it matters most, or where it is not long."""
    opened = "open" if tone == "bad" or count <= FOLDED_FROM else ""
    summary = tag("summary", heading, " ", tag("span", f"{count:,}", class_="count"))
    return tag("details", summary, content, class_=tone, open=opened)


def left_out(count: int) -> Markup:
    """That more is there than stands here; nothing for none."""
    if count <= 0:
        return Markup("")
    return tag("p", f"… {count:,} more, left out because this page would be too long.", class_="more")


def _group(group: Group) -> Markup:
    first, *others = group
    return tag("li", _head(first), *map(_line, others))


def _head(line: Line) -> Markup:
    """The line of a step; its sign stands in a column of its own."""
    spans = (*line.spans, *((Span("  "), *line.tail) if line.tail else ()))
    sign, rest = spans[0], spans[1:]
    if len(sign.text) != 2 or not sign.text.endswith(" ") or not rest:
        return tag("p", *map(_span, spans))
    named = tag("span", rest[0].text, class_=f"name {_tint(rest[0])}".rstrip())
    known = MEANINGS.get(sign.text[0], "") if sign.text.strip() else ""
    mark = tag("abbr" if known else "span", sign.text.strip(), class_=f"sign {_tint(sign)}".rstrip(), title=known)
    return tag("p", mark, tag("span", named, *map(_span, rest[1:])), class_="head")


def _line(line: Line) -> Markup:
    spans = (*line.spans, *((Span("  "), *line.tail) if line.tail else ()))
    indent = min(line.indent // 4 * 4, _DEEPEST)
    is_prose = not any(span.solid or span.tint in _CHANGED for span in line.spans)
    return tag(
        "p", *map(_span, spans), class_=" ".join(filter(None, [f"i{indent}" * bool(indent), "prose" * is_prose]))
    )


def _span(span: Span) -> str:
    if not span.text:
        return ""
    if span.loud:
        return tag("strong", span.text, class_=f"badge {_tint(span)}")
    if span.text == " -> ":
        return Markup(" → ")
    if span.tint in _CHANGED and not span.solid:
        return tag(_CHANGED[span.tint], span.text)
    if span.tint:
        return tag("span", span.text, class_=_tint(span))
    return tag("b", span.text) if span.solid else span.text


def _tint(span: Span) -> str:
    return f"t-{span.tint}" if span.tint else ""
