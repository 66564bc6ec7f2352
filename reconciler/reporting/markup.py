"""Build HTML from elements: what is no markup of ours is escaped, so that no caller can forget to.  Pure.

The result is well-formed XML, too: every element is closed, every attribute quoted.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.reporting.escape import html


class Markup(str):
    """Text that is HTML already.  Only ``tag``, ``void`` and ``joined`` make it, and constants of ours."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str) -> Markup:
    """An element.  Content that is not ``Markup`` is escaped, as attributes always are; an empty attribute is left out.

    Names of attributes are ours: ``class_`` is ``class``, ``aria_label`` is ``aria-label``.

    >>> tag("p", "a < b", class_="x")
    '<p class="x">a &lt; b</p>'
    """
    inner = "".join([each if isinstance(each, Markup) else html(each) for each in content])
    return Markup(f"<{name}{_attributes(attributes)}>{inner}</{name}>")


def void(name: str, /, **attributes: str) -> Markup:
    """An element without content: ``<meta charset="utf-8"/>``."""
    return Markup(f"<{name}{_attributes(attributes)}/>")


def joined(parts: Iterable[Markup], between: str = "") -> Markup:
    """Finished parts one after another; ``between`` is a line break or nothing."""
    return Markup(between.join(parts))


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(
        [f' {name.rstrip("_").replace("_", "-")}="{html(value)}"' for name, value in attributes.items() if value]
    )
