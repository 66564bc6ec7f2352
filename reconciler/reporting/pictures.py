"""Draw where a value stands against its limit, how it stood before, and how many verdicts each level has.  Pure.

Pictures are inline SVG whose colours are classes of the page.  What does not pass has another shape, too, and each
picture says in its title what it shows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from msgspec import Struct

from reconciler.model.outcome import Level, Verdict
from reconciler.reporting.markup import Markup, tag, void

_WIDTH, _HEIGHT, _EDGE = 140, 24, 7
_MIDDLE, _BOTTOM = _HEIGHT / 2, _HEIGHT - 2
_NUMBER = r"-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?"
_CONDITION = re.compile(rf"(>=|<=|>|<|is|!=) ({_NUMBER})")


class Limit(Struct, frozen=True):
    """One condition on a number: ``>=`` and 0.8."""

    operator: str
    value: float


def limits_in(wanted: str) -> tuple[Limit, ...]:
    """The conditions on the one number that is measured, as a verdict tells them: ``>= 1 and <= 5``.

    Empty for anything else: several measurements, a text, a limit that the platform chooses.
    """
    found = [_CONDITION.fullmatch(part) for part in wanted.split(" and ")]
    limits = tuple(Limit(each[1], float(each[2])) for each in found if each)
    return limits if len(limits) == len(found) and all(math.isfinite(each.value) for each in limits) else ()


def gauge(verdict: Verdict) -> Markup | None:
    """The value on a line, with what passes marked on it; None where value or limit is not one number."""
    limits = limits_in(verdict.wanted)
    if not limits or not re.fullmatch(_NUMBER, verdict.measured) or not math.isfinite(float(verdict.measured)):
        return None
    value = float(verdict.measured)
    scale = _Scale.of([value, *(each.value for each in limits)])
    passes = verdict.level is Level.PASS
    title = f"{verdict.measured}, wanted {verdict.wanted}: {'passes' if passes else 'does not pass'}"
    return _picture(
        "gauge",
        title,
        void("rect", class_="track", x=f"{_EDGE}", y=f"{_MIDDLE - 2:g}", width=f"{_WIDTH - 2 * _EDGE}", height="4"),
        *_zone(limits, scale),
        *(void("path", class_="limit", d=f"M{scale.place(each.value):g} 3V{_HEIGHT - 3}") for each in limits),
        _mark(scale.place(value), _MIDDLE, verdict.level),
    )


def history_line(
    values: Sequence[float | None], levels: Sequence[Level], limits: Sequence[Limit], title: str
) -> Markup:
    """The values from the oldest to the newest, with their limits as lines.

    What did not pass has a mark; None is a gap, with its mark at the bottom.
    """
    numbers = [each for each in values if each is not None]
    scale = _Scale.around([*numbers, *(each.value for each in limits)])
    step = (_WIDTH - 2 * _EDGE) / max(1, len(values) - 1)
    spots = [round(_EDGE + step * position, 1) for position in range(len(values))]
    places = [None if value is None else (x, scale.height(value)) for x, value in zip(spots, values, strict=True)]
    last = len(values) - 1
    crosses: dict[Level, str] = {}
    for position, (x, place, level) in enumerate(zip(spots, places, levels, strict=True)):
        if level is not Level.PASS:
            y = _BOTTOM if place is None else place[1]
            crosses[level] = crosses.get(level, "") + _cross(x, y, 4 if position == last else 2)
    marks = [void("path", class_=f"mark {level.value}", d=way) for level, way in crosses.items()]
    if values and levels[-1] is Level.PASS and (place := places[-1]) is not None:
        marks.append(_mark(*place, Level.PASS))
    lines = [
        void("path", class_="limit", d=f"M{_EDGE} {scale.height(each.value):g}H{_WIDTH - _EDGE}") for each in limits
    ]
    return _picture("past", title, *lines, void("path", class_="line", d=_way(places)), *marks)


def shares(counts: Sequence[tuple[str, int]], title: str) -> Markup:
    """A bar of parts, each as long as its count; the name of a part is its class.  What is there is always seen."""
    total = max(1, sum(count for _, count in counts))
    parts, start = [], 0.0
    shown = [(name, max(count / total, 0.01)) for name, count in counts if count]
    whole = sum(share for _, share in shown) or 1.0
    for name, share in shown:
        wide = 1000 * share / whole
        parts.append(void("rect", class_=name, x=f"{start:.1f}", y="0", width=f"{max(wide - 4, 2):.1f}", height="10"))
        start += wide
    return tag(
        "svg", tag("title", title), *parts, class_="shares", viewBox="0 0 1000 10", preserveAspectRatio="none",
        role="img",
    )  # fmt: skip


def _picture(name: str, title: str, *parts: Markup) -> Markup:
    size = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "width": f"{_WIDTH}", "height": f"{_HEIGHT}"}
    return tag("svg", tag("title", title), *parts, class_=name, role="img", **size)


def _zone(limits: Sequence[Limit], scale: _Scale) -> list[Markup]:
    """The band of what passes; none where that is a single value, or all but one."""
    least = [each.value for each in limits if each.operator in (">", ">=")]
    most = [each.value for each in limits if each.operator in ("<", "<=")]
    if len(least) + len(most) < len(limits):
        return []
    start = scale.place(max(least)) if least else float(_EDGE)
    end = scale.place(min(most)) if most else float(_WIDTH - _EDGE)
    if end <= start:
        return []
    return [void("rect", class_="zone", x=f"{start:g}", y=f"{_MIDDLE - 5:g}", width=f"{end - start:.1f}", height="10")]


def _mark(x: float, y: float, level: Level) -> Markup:
    """A disc for what passes, a cross for what does not."""
    if level is Level.PASS:
        return void("circle", class_="mark pass", cx=f"{x:g}", cy=f"{y:g}", r="4")
    return void("path", class_=f"mark {level.value}", d=_cross(x, y, 4))


def _cross(x: float, y: float, size: int) -> str:
    whole = 2 * size
    return f"M{x - size:g} {y - size:g}l{whole} {whole}m0 -{whole}l-{whole} {whole}"


def _way(places: Sequence[tuple[float, float] | None]) -> str:
    """A line through the points, broken where one is missing."""
    parts, pen = [], "M"
    for place in places:
        if place is None:
            pen = "M"
            continue
        parts.append(f"{pen}{place[0]:g} {place[1]:g}")
        pen = "L"
    return "".join(parts)


class _Scale(Struct, frozen=True):
    """Where numbers from ``low`` to ``high`` are drawn."""

    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> _Scale:
        """From zero, as lengths are compared; to one where the numbers look like shares."""
        low, high = min(0.0, *numbers), max(0.0, *numbers)
        if low == 0.0 and 0.1 <= high <= 1.0:
            return cls(0.0, 1.0)
        room = high / 8 - low / 8
        return cls(low - room if low else low, high + room if high else high) if room else cls(0.0, 1.0)

    @classmethod
    def around(cls, numbers: Sequence[float]) -> _Scale:
        """As large as the numbers need, as changes are seen best."""
        return cls(min(numbers, default=0.0), max(numbers, default=0.0))

    def place(self, value: float) -> float:
        """From left to right."""
        return round(_EDGE + self._share(value) * (_WIDTH - 2 * _EDGE), 1)

    def height(self, value: float) -> float:
        """From top to bottom: the highest number is at the top."""
        return round(_HEIGHT - _EDGE + 2 - self._share(value) * (_HEIGHT - 2 * _EDGE + 4), 1)

    def _share(self, value: float) -> float:
        # Halves, because the distance of two finite numbers may be infinite.
        whole = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / whole if whole > 0 else 0.5
        return min(max(share, 0.0), 1.0)
