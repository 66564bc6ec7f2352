"""Turn verdicts and the remembered state into tables for a terminal.  Pure.

A table that does not fit becomes a list of records: a name cut in half helps nobody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from reconciler.model.criteria import rounded, value_text
from reconciler.model.outcome import Baseline, Doubt, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address
from reconciler.model.state import Entry, State
from reconciler.model.values import counted
from reconciler.reporting.columns import GAP, Row, table, table_width
from reconciler.reporting.escape import terminal
from reconciler.reporting.lines import Line, Span, Tint, lay, line, paint

MOST_PASSES = 50
FLAKY = "flaky"

LEVEL_TINTS: dict[Level, Tint] = {Level.FAIL: "bad", Level.WARN: "warn", Level.INFO: "move", Level.PASS: "good"}


def verdict_table(verdicts: Sequence[Verdict], *, width: int, color: bool, verbose: bool = False) -> str:
    """One row for each verdict, worst first; ends with ``12 passed, 1 warned, 2 failed``.

    Beyond fifty passes the others are only counted, unless verbose.
    """
    ordered = worst_first(verdicts)
    passes = sum(verdict.level is Level.PASS for verdict in ordered)
    hidden = 0 if verbose else max(0, passes - MOST_PASSES)
    listed = ordered[: len(ordered) - hidden]
    lines = _verdict_lines(listed, width, color) if listed else []
    more = [f"… {hidden:,} more passed; -v lists them"] if hidden else []
    gap = [""] if lines else []
    return "\n".join([*lines, *more, *gap, paint(verdict_summary(verdicts), "title", color=color)]) + "\n"


def worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """By level, then by how far off, then by address and pipeline."""
    order = list(Level)
    return sorted(verdicts, key=lambda v: (order.index(v.level), _distance(v), v.address, v.pipeline or ""))


def _distance(verdict: Verdict) -> float:
    """What has no number comes after what has one."""
    return math.inf if verdict.margin is None or math.isnan(verdict.margin) else verdict.margin


def verdict_summary(verdicts: Sequence[Verdict]) -> str:
    """``12 passed, 1 warned, 2 failed``; nothing at all is said as such."""
    if not verdicts:
        return "Nothing was evaluated"
    counts = Counter(level_word(verdict) for verdict in verdicts)
    info = f", {counts[Level.INFO]:,} for information" if counts[Level.INFO] else ""
    flaky = f", {counts[FLAKY]:,} flaky and not blocking" if counts[FLAKY] else ""
    return f"{counts[Level.PASS]:,} passed, {counts[Level.WARN]:,} warned, {counts[Level.FAIL]:,} failed{info}{flaky}"


def _has_passed(verdict: Verdict) -> bool:
    """Whether it is an ordinary pass, and not one that the gate makes of something else."""
    return verdict.level is Level.PASS and verdict.status is EvaluationStatus.PASSING


def level_word(verdict: Verdict) -> str:
    """The level, or ``flaky`` for what would count if it were not known to be."""
    return FLAKY if verdict.flaky and verdict.level is not Level.PASS else verdict.level.value


def remark(verdict: Verdict) -> str:
    """What is worth knowing even of a pass: ``2 of 3 runs passed``, ``no baseline yet``, ``2.3 % worse than 0.88``."""
    runs, baseline = verdict.runs, verdict.baseline
    told = [
        f"{runs.passed} of {runs.wanted} runs passed" if runs else "",
        baseline_remark(baseline) if baseline else "",
    ]
    return ", ".join(each for each in told if each)


def baseline_remark(baseline: Baseline) -> str:
    """How a value stands to the past: ``no baseline yet``, ``as good as 0.88``, ``2.3 % worse than 0.88``."""
    if baseline.value is None:
        return "no baseline yet"
    before = value_text(rounded(baseline.value))
    if not baseline.drop:
        return f"compared with {before}" if baseline.drop is None else f"as good as {before}"
    size = f"{abs(baseline.drop) * 100:.3g} %" if baseline.relative else f"{abs(baseline.drop):.3g}"
    return f"{size} {'worse' if baseline.drop > 0 else 'better'} than {before}"


def reason(verdict: Verdict) -> str:
    """Why the verdict is what it is; for what passes, how it stands to the past as well."""
    baseline = verdict.baseline
    if verdict.level is not Level.PASS or baseline is None or baseline.value is None:
        return verdict.why
    return "; ".join(part for part in (verdict.why, baseline_remark(baseline)) if part)


def short_address(address: Address, home: int = 0) -> str:
    """The address without its kind and its first ``home`` names: ``support-bot/monitoring/Faithful``."""
    return str(Address(address.kind, address.path[home:]) if home else address).partition("/")[2]


def doubt_words(doubt: Doubt) -> str:
    """One evaluation of which nobody knows whether it was started, in one line, with what to do next."""
    on = f" on {doubt.pipeline}" if doubt.pipeline else ""
    return f"{short_address(doubt.address)}{on}: {doubt.why}; {doubt.hint}"


def margin_text(margin: float | None) -> str:
    """``+0.05`` on the right side of the limit, ``-0.18`` on the wrong one; empty where there is no number."""
    return "" if margin is None else f"{rounded(margin):+.15g}"


def verdict_words(verdict: Verdict) -> str:
    """``bot/Faithful on live: measured 0.62, wanted >= 0.8, margin -0.18: misses the threshold``."""
    where = f" on {verdict.pipeline}" if verdict.pipeline else ""
    facts = [("measured", verdict.measured), ("wanted", verdict.wanted), ("margin", margin_text(verdict.margin))]
    told = ", ".join(f"{name} {value}" for name, value in facts if value)
    return ": ".join(part for part in (short_address(verdict.address) + where, told, verdict.why) if part)


_HEADER = ("RESULT", "TEST", "PIPELINE", "MEASURED", "WANTED", "MARGIN", "WHY")


def _verdict_lines(verdicts: list[Verdict], width: int, color: bool) -> list[str]:
    home = home_of([verdict.address for verdict in verdicts])
    rows = [_verdict_row(verdict, len(home)) for verdict in verdicts]
    header = (_HEADER[0], f"TEST of {'/'.join(home)}" if home else _HEADER[1], *_HEADER[2:])
    reasons = [row.cells[-1] for row in rows]
    if any(reasons) and table_width(header, rows) <= width:
        return table(header, rows, color)
    short = [Row(row.cells[:-1], row.tint) for row in rows]
    if table_width(header[:-1], short) > width:
        title = [line(Span(f"Tests of {'/'.join(home)}", "dim"))] if home else []
        records = [each for verdict in verdicts for each in _record(verdict, len(home))]
        return lay([*title, *records], width=width, color=color)
    first, *body = table(header[:-1], short, color)
    lines = [first]
    for text, reason in zip(body, reasons, strict=True):
        lines += [text, *_why(reason, width, color)]
    return lines


def home_of(addresses: Sequence[Address]) -> tuple[str, ...]:
    """The names that all addresses begin with and that say nothing in each row: ``("support-bot", "monitoring")``."""
    first, *others = [address.path[:-1] for address in addresses]
    shared = 0
    while shared < len(first) and all(path[: shared + 1] == first[: shared + 1] for path in others):
        shared += 1
    return first[:shared]


def _why(why: str, width: int, color: bool) -> list[str]:
    return lay([line(why, indent=len("RESULT") + GAP, hang=2)], width=width, color=color) if why else []


def _verdict_row(verdict: Verdict, home: int) -> Row:
    return Row(
        (
            level_word(verdict).upper(),
            short_address(verdict.address, home),
            verdict.pipeline or "-",
            verdict.measured or "-",
            verdict.wanted or "-",
            margin_text(verdict.margin) or "-",
            remark(verdict) if _has_passed(verdict) else verdict.why,
        ),
        LEVEL_TINTS[verdict.level],
    )


def _record(verdict: Verdict, home: int) -> tuple[Line, ...]:
    """A verdict for a narrow terminal: one line when it passes, lines of its own when there is something to say."""
    where = [Span(f"on {verdict.pipeline}")] if verdict.pipeline else []
    facts = [("measured", verdict.measured), ("wanted", verdict.wanted), ("margin", margin_text(verdict.margin))]
    told = ", ".join(f"{name} {value}" for name, value in facts if value)
    level = Span(f"{level_word(verdict).upper():<6}", LEVEL_TINTS[verdict.level], solid=True)
    name = Span(short_address(verdict.address, home), solid=True)
    indent = len("RESULT") + GAP
    if _has_passed(verdict):
        values = Span(f"  {verdict.measured} {verdict.wanted}".rstrip(), "dim")
        noted = [Span(f"  {remark(verdict)}", "dim")] if remark(verdict) else []
        return (line(level, "  ", name, tail=[*where, values, *noted], hang=indent),)
    return (
        line(level, "  ", name, tail=where, hang=indent),
        *((line(told, indent=indent, hang=2),) if told else ()),
        *((line(verdict.why, indent=indent, hang=2),) if verdict.why else ()),
    )


# ---------------------------------------------------------------------------------------------- state


def state_table(state: State, *, width: int | None, color: bool) -> str:
    """What we remember: every resource with its id and what is special about it; ends with the counts.

    Without a width every resource has one line, however long, as there is no terminal to fold it for.
    """
    rows = [Row((str(a), entry.remote_id, _remarks(entry))) for a, entry in sorted(state.entries.items())]
    rows += [
        Row((str(a), "?", f"create in doubt after {counted(intent.attempts, 'attempt')}"))
        for a, intent in sorted(state.in_doubt.items())
    ]
    closing = paint(_state_summary(state), "title", color=color)
    if not rows:
        return f"{closing}\n"
    header = ("RESOURCE", "ID", "")
    if width is None or table_width(header, rows) <= width:
        return "\n".join([*table(header, rows, color), "", closing]) + "\n"
    lines = [_state_record(*row.cells) for row in rows]
    return "\n".join([*lay(lines, width=width, color=color), "", closing]) + "\n"


def _state_record(address: str, remote_id: str, remarks: str) -> Line:
    told = ", ".join(part for part in (f"id {remote_id}", remarks) if part)
    return line(Span(address, solid=True), tail=[Span(told, "dim")])


def _remarks(entry: Entry) -> str:
    remarks = [
        "archived" if entry.archived else "",
        "protected" if entry.protect else "",
        f"{len(entry.retiring)} to retire" if entry.retiring else "",
    ]
    return ", ".join(remark for remark in remarks if remark)


def _state_summary(state: State) -> str:
    if state == State():
        return "No state yet."
    parts = [counted(len(state.entries), "resource")]
    parts += [f"{len(state.in_doubt):,} in doubt"] if state.in_doubt else []
    parts += [counted(len(state.tasks), "evaluation") + " under way"] if state.tasks else []
    version = f"Serial {state.serial}, lineage {terminal(state.lineage)}." if state.lineage else ""
    return f"{', '.join(parts)}. {version or 'The first run has not ended.'}"
