"""Lines of a terminal: what fits is not wrapped, and colours change nothing but the colour."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.reporting.lines import Line, Span, lay

SPANS = st.lists(
    st.builds(
        Span,
        st.text(alphabet="ab :#é漢\x1b\u200b", max_size=8),
        st.sampled_from(["", "add", "dim"]),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)


@given(SPANS, SPANS, st.integers(0, 30))
@example((), (Span(":"), Span(":", "add")), 0)
def test_a_line_is_broken_alike_with_and_without_colours(
    spans: tuple[Span, ...], tail: tuple[Span, ...], width: int
) -> None:
    lines = [Line(spans, tail, indent=2)]
    plain = lay(lines, width=width, color=False)
    colored = lay(lines, width=width, color=True)
    # With colours, blanks at the end are inside of them.
    assert plain == [re.sub(r"\x1b\[[0-9;]*m", "", each).rstrip(" ") for each in colored]
