"""Turn verdicts, mistakes and what became of steps into tables of HTML.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import Problem
from reconciler.model.history import Observation
from reconciler.model.outcome import Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Step
from reconciler.model.resource import Source
from reconciler.reporting.findings import sentence
from reconciler.reporting.history import series, series_words
from reconciler.reporting.html_lines import RESERVE, folded, left_out
from reconciler.reporting.markdown import rows_fitting
from reconciler.reporting.markup import Markup, joined, tag
from reconciler.reporting.pages import Past, outcome_reason
from reconciler.reporting.pictures import gauge, history_line, limits_in
from reconciler.reporting.tables import home_of, level_word, margin_text, reason, short_address, worst_first

LONGEST_CELL = 4_000
TONES: dict[Level, str] = {Level.FAIL: "bad", Level.WARN: "warn", Level.INFO: "move", Level.PASS: "good"}
SIGNS = {"bad": "✕", "warn": "!", "move": "•", "good": "✓"}
"""What stands before a word in that tone, so that it can be told without colour."""

_STATUS_TONES = {StepStatus.FAILED: "bad", StepStatus.UNKNOWN: "warn", StepStatus.SKIPPED: "move"}


def verdict_tables(verdicts: Sequence[Verdict], past: Past, *, level: int, room: int) -> Markup:
    """The verdicts, worst first; the passes in a table of their own that is folded up where it is long."""
    ordered = worst_first(verdicts)
    others = [each for each in ordered if each.level is not Level.PASS]
    passes = [each for each in ordered if each.level is Level.PASS]
    home = home_of([each.address for each in verdicts]) if verdicts else ()
    parts = [tag("p", "Tests of ", tag("code", _short("/".join(home))), class_="home")] if home else []
    if others:
        table, shown = _verdict_table(others, past, len(home), room)
        parts += [table, left_out(len(others) - shown)]
        room = 0 if shown < len(others) else room - len(table)
    if passes:
        table, shown = _verdict_table(passes, past, len(home), room)
        parts.append(folded(tag(f"h{level}", "Passed"), len(passes), joined([table, left_out(len(passes) - shown)])))
    return joined(parts, "\n")


def _verdict_table(verdicts: Sequence[Verdict], past: Past, home: int, room: int) -> tuple[Markup, int]:
    """As many of these as fit, and how many that is.  Without any past there is no column for it.

    The first ``home`` names of all of them are said elsewhere.
    """
    has_past = any(past.get((each.address, each.pipeline)) for each in verdicts)
    rows = [_verdict_row(each, past.get((each.address, each.pipeline), ()), home, has_past) for each in verdicts]
    kept = rows_fitting(rows, room - 2 * RESERVE)
    columns = ["Result", "Test and pipeline", "Measured", "Wanted", "Margin", "Against its limit"]
    columns += [*(["Recently"] if has_past else []), "Why"]
    return (_table(columns, rows[:kept], "verdicts"), kept) if kept else (Markup(""), 0)


def _verdict_row(verdict: Verdict, past: Sequence[Observation], home: int, has_past: bool) -> Markup:
    tone = TONES[verdict.level]
    place = f"on {_short(verdict.pipeline)}" if verdict.pipeline else ""
    cells = [
        tag("td", marked(tone, level_word(verdict)), class_=f"level {tone}"),
        tag(
            "th",
            tag("code", _short(short_address(verdict.address, home))),
            place_html(verdict.source, place),
            scope="row",
        ),
        tag("td", _short(verdict.measured), class_="measured number"),
        tag("td", _short(verdict.wanted), class_="wanted number"),
        tag("td", margin_text(verdict.margin), class_="margin number"),
        tag("td", gauge(verdict) or "", class_="picture"),
        *([tag("td", _past_line(verdict, past) or "", class_="picture")] if has_past else []),
        tag("td", _short(reason(verdict)), class_="why"),
    ]
    return tag("tr", *cells)


def _past_line(verdict: Verdict, past: Sequence[Observation]) -> Markup | None:
    """How the value stood before; None where fewer than two are known: that is no course."""
    points = list(reversed(past))
    name, values = series(points)
    if sum(value is not None for value in values) < 2:
        return None
    limits = () if name == "margin" else limits_in(verdict.wanted)
    return history_line(values, [each.level for each in points], limits, series_words(name, values, points))


def problem_table(problems: Sequence[Problem], *, room: int) -> Markup:
    """Every mistake and warning with its place."""
    rows = [_problem_row(problem) for problem in problems]
    kept = rows_fitting(rows, room - RESERVE)
    return joined([_table(["Level", "Where", "What"], rows[:kept]), left_out(len(rows) - kept)])


def _problem_row(problem: Problem) -> Markup:
    tone = "bad" if problem.is_error else "warn"
    cells = (
        tag("td", marked(tone, problem.level), class_=f"level {tone}"),
        tag("th", tag("code", _short(problem.where)), scope="row"),
        tag("td", _short(sentence(problem))),
    )
    return tag("tr", *cells)


def outcome_table(outcomes: Sequence[tuple[Step, StepOutcome]], *, room: int) -> Markup:
    """Steps that did not work, each with what went wrong."""
    rows = [_outcome_row(*each) for each in outcomes]
    kept = rows_fitting(rows, room - RESERVE)
    return joined([_table(["Result", "Step", "Why"], rows[:kept]), left_out(len(rows) - kept)])


def _outcome_row(step: Step, outcome: StepOutcome) -> Markup:
    tone = _STATUS_TONES[outcome.status]
    named = tag("code", _short(short_address(step.address)))
    cells = (
        tag("td", marked(tone, outcome.status.value), class_=f"level {tone}"),
        tag("th", f"{step.action.value} ", named, place_html(step.source), scope="row"),
        tag("td", _short(outcome_reason(outcome))),
    )
    return tag("tr", *cells)


def marked(tone: str, word: str) -> Markup:
    """A word with the sign of its tone, in its colour."""
    return tag("span", tag("span", f"{SIGNS[tone]} ", aria_hidden="true"), word, class_=f"word {tone}")


def place_html(source: Source | None, beside: str = "") -> Markup:
    """Where it is declared, in small letters, after what stands ``beside`` it."""
    told = " · ".join(filter(None, [beside, _short(f"{source.file}:{source.line}") if source else ""]))
    return tag("small", told) if told else Markup("")


def _table(columns: Sequence[str], rows: Sequence[Markup], name: str = "") -> Markup:
    head = tag("thead", tag("tr", *(tag("th", column, scope="col") for column in columns)))
    return tag("table", head, tag("tbody", Markup("\n"), joined(rows, "\n"), Markup("\n")), class_=name)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
