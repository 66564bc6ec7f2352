"""Turn what manifests declare into text, Markdown and JSON: the answer of a look at them alone.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from reconciler.model.plan import FORMAT_VERSION
from reconciler.model.values import counted
from reconciler.reporting.escape import markdown, markdown_code
from reconciler.reporting.lines import Line, Span, lay, line
from reconciler.reporting.machine import to_json

NOTHING_COMPARED = "Offline: the manifests were read and checked, and compared with nothing."


class Declared(Struct, frozen=True):
    """What the manifests ask for in one environment.

    ``kinds`` is how many there are of each kind; ``roots`` is how many stand in each root, by ``vendor/name``.
    """

    environment: str
    kinds: Mapping[str, int]
    roots: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many resources there are."""
        return sum(self.kinds.values())


def declared_text(environments: Sequence[Declared], *, width: int, color: bool) -> str:
    """One paragraph an environment: the counts, then one line a root; begins by saying that nothing was compared."""
    lines: list[Line] = [line(Span(NOTHING_COMPARED, "title"))]
    for each in environments:
        lines += [line(), line(Span(each.environment, "title"), f": {declared_counts(each)}")]
        lines += [
            line(Span(root, solid=True), f"  ({counted(n, 'resource')})", indent=2) for root, n in each.roots.items()
        ]
    return "\n".join(lay(lines, width=width, color=color)) + "\n"


def declared_markdown(environments: Sequence[Declared]) -> str:
    """The same as a list for a comment."""
    lines = [f"**{NOTHING_COMPARED}**", ""]
    for each in environments:
        lines.append(f"- {markdown_code(each.environment)}: {markdown(declared_counts(each))}")
        lines += [f"  - {markdown_code(root)}: {counted(n, 'resource')}" for root, n in each.roots.items()]
    return "\n".join(lines) + "\n"


def declared_json(environments: Sequence[Declared], warnings: Sequence[str]) -> str:
    """The same for machines; ``offline.base`` is null, because there was none."""
    return to_json(
        {
            "format_version": FORMAT_VERSION,
            "offline": {"base": None, "commit": None},
            "environments": [
                {
                    "name": each.environment,
                    "resources": each.total,
                    "kinds": dict(each.kinds),
                    "roots": dict(each.roots),
                }
                for each in environments
            ],
            "warnings": list(warnings),
        }
    )


def declared_counts(each: Declared) -> str:
    """``2 openlayer.Project, 12 openlayer.Test``."""
    return ", ".join(f"{count:,} {kind}" for kind, count in each.kinds.items())
