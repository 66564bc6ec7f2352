"""Turn everything that came of one run into one page of HTML, for somebody who has never seen the tool.  Pure.

The page stands alone: it loads nothing, runs nothing and sends nothing, which its Content-Security-Policy holds it to.
It says the same as the Markdown form, in the same order.  There is no template language: what is put in is escaped
where an element is made, and not where somebody thinks of it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.outcome import Doubt, Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Action, Plan
from reconciler.model.values import counted
from reconciler.reporting.blocks import TINTS, Block, comparison, note_block, plan_blocks, summary_line
from reconciler.reporting.declarations import NOTHING_COMPARED, Declared, declared_counts
from reconciler.reporting.drift import drift_answer, drift_blocks, drift_sentence
from reconciler.reporting.findings import told_of
from reconciler.reporting.html_lines import MEANINGS, RESERVE, block_html, left_out
from reconciler.reporting.html_tables import (
    marked,
    outcome_table,
    problem_table,
    verdict_tables,
)
from reconciler.reporting.lines import is_to_be_copied
from reconciler.reporting.markdown import rows_fitting
from reconciler.reporting.markup import Markup, joined, tag, void
from reconciler.reporting.page_style import STYLE
from reconciler.reporting.pages import Past, Told, done_sentence, environment_of, not_done, subject_of
from reconciler.reporting.pictures import shares
from reconciler.reporting.tables import doubt_words, verdict_summary

LIMIT = 16_000_000
"""Characters, with which a browser is not yet in trouble: 10,000 verdicts with their past, or 30,000 steps."""

_SUBJECTS = {
    "plan": ("Plan", "What an apply would change at the platform, so that it is as the manifests say."),
    "offline plan": ("Offline plan", "What changes between two revisions of the manifests. No platform was asked."),
    "drift": ("Drift", "What somebody changed at the platform since the last apply."),
    "apply": ("Apply", "What was to be changed at the platform, and what came of it."),
    "destroy": ("Destroy", "What was to be removed from the platform, and what came of it."),
    "verdicts": ("Evaluation", "What the tests measured, held against the thresholds in the manifests."),
    "manifests": ("Manifests", "What can be said of the manifests without asking the platform."),
    "run": ("Run", "What came of one run."),
}
_LEGEND = (
    ("LOOSENED", "more values pass than before"),
    ("TIGHTENED", "fewer values pass than before"),
    ("MOVED", "some values newly pass, others newly fail"),
    ("REDEFINED", "something else is measured: past values say nothing"),
    ("SAME", "written in another way, and means the same"),
    ("Margin", "how far a value is on the right side of its limit; negative on the wrong side"),
    ("Against its limit", "the upright line is the limit, the band is what passes; a disc passes, a cross does not"),
    (
        "Recently",
        "the values from the oldest to the newest, a cross for what did not pass; the dashed line is today's limit",
    ),
)


class Answer(Struct, frozen=True):
    """A part of a page: how it went in a word and a sentence, and the details below.

    ``shown`` stands beside the sentence.  ``details`` is given the level of its headings, and how many characters there
    is room for.
    """

    name: str
    word: str
    tone: str
    sentence: str
    details: Callable[[int, int], Markup]
    shown: Markup = Markup("")


def page_html(told: Told, *, verbose: bool = False, limit: int = LIMIT) -> str:
    """All of it in about ``limit`` characters (20,000 or more); empty where there is nothing to tell.

    What ended the run comes first, then mistakes, verdicts, what became of the steps, and the plan.  Each part gets the
    room that the parts before it left; what does not fit is counted.
    """
    answers = list(_answers(told, verbose))
    if not answers:
        return ""
    about = subject_of(told)
    removes = about == "apply" and told.plan is not None and told.plan.basis.options.get("destroy")
    name, lead = _SUBJECTS["destroy" if removes else about]
    return _page(name, lead, environment_of(told, about), _facts(told.plan), answers, limit)


def declared_html(environments: Sequence[Declared]) -> str:
    """What the manifests declare in each environment; nothing was compared."""

    def counts(_: int, __: int) -> Markup:
        return joined([_declared(each) for each in environments], "\n")

    answer = Answer("Manifests", "Valid", "good", NOTHING_COMPARED, counts)
    return _page(*_SUBJECTS["manifests"], "", Markup(""), [answer], LIMIT)


def _declared(each: Declared) -> Markup:
    roots = tag("ul", *(tag("li", tag("code", root), f"  {counted(n, 'resource')}") for root, n in each.roots.items()))
    return tag("section", tag("h2", tag("code", each.environment)), tag("p", declared_counts(each)), roots)


# ------------------------------------------------------------------------------------------------- the page


def _page(name: str, lead: str, environment: str, facts: Markup, answers: Sequence[Answer], limit: int) -> str:
    """The whole document: a head line for each answer, then the details of each."""
    where = f" for {environment}" if environment else ""
    alone = len(answers) == 1
    summaries, room = tag("ul", *(_summary(each, alone) for each in answers), class_="answers"), limit
    room -= len(STYLE) + len(summaries) + 10 * RESERVE
    sections = []
    for each in answers:
        details = each.details(2 if alone else 3, room)
        room -= len(details)
        if details:
            heading = Markup("") if alone else tag("h2", each.name)
            sections.append(tag("div" if alone else "section", heading, Markup("\n"), details, id=_anchor(each)))
    title = tag("h1", f"{name} for ", tag("code", environment)) if environment else tag("h1", name)
    header = tag(
        "header", tag("p", "reconciler", class_="brand"), title, tag("p", lead, class_="lead"), facts, summaries
    )
    body = tag("body", joined([header, tag("main", joined(sections, "\n")), _legend()], "\n"))
    head = joined(
        [
            void("meta", charset="utf-8"),
            void("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            void("meta", name="referrer", content="no-referrer"),
            void("meta", name="color-scheme", content="light dark"),
            tag("title", f"{answers[0].word}: {name}{where}"),
            tag("style", Markup(STYLE)),
        ],
        "\n",
    )
    return f"<!DOCTYPE html>\n{tag('html', tag('head', head), Markup(chr(10)), body, lang='en')}\n"


_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


def _summary(answer: Answer, alone: bool) -> Markup:
    link = tag("a", answer.name, href=f"#{_anchor(answer)}")
    part = Markup("") if alone else tag("span", link, class_="part")
    said = tag("p", part, " ", marked(answer.tone, answer.word), " ", tag("span", answer.sentence), class_="said")
    return tag("li", said, answer.shown, class_=f"answer {answer.tone}")


def _anchor(answer: Answer) -> str:
    return answer.name.lower().replace(" ", "-")


def _facts(plan: Plan | None) -> Markup:
    """What a plan was made from."""
    if plan is None:
        return Markup("")
    facts = [("Platform", origin) for origin in dict.fromkeys(plan.basis.origins.values())]
    facts += [("Digest", plan.digest[:12])] if re.fullmatch("[0-9a-f]+", plan.digest) else []
    rows = [tag("div", tag("dt", name), tag("dd", tag("code", value))) for name, value in facts]
    return tag("dl", *rows, class_="facts") if rows else Markup("")


def _legend() -> Markup:
    """For who has never seen such a page."""
    signs = [(sign, meaning) for sign, meaning in MEANINGS.items() if sign.strip()]
    rows = [joined([tag("dt", name), tag("dd", meaning)]) for name, meaning in (*signs, *_LEGEND)]
    legend = tag("details", tag("summary", "How to read this page"), tag("dl", *rows))
    return tag("footer", legend)


# ------------------------------------------------------------------------------------------------- the answers


def _answers(told: Told, verbose: bool) -> Iterator[Answer]:
    if told.error is not None:
        yield _of_error(told.error)
    if told.problems is not None:
        yield _of_problems(told.problems)
    if told.verdicts is not None:
        yield _of_verdicts(told.verdicts, told.doubts, told.past)
    if told.plan is not None:
        if told.outcomes:
            yield _of_outcomes(told.plan, told.outcomes)
        yield _of_drift(told.plan, verbose) if told.only_drift else _of_plan(told.plan, verbose)


def _of_error(error: ReconcilerError) -> Answer:
    first, *others = error.message.split("\n")

    def details(_: int, room: int) -> Markup:
        if not others and not error.hint:
            return Markup("")
        lines = [tag("p", tag("code", line) if is_to_be_copied(line) else line) for line in others]
        kept = rows_fitting(lines, room - RESERVE)
        hint = tag("p", error.hint, class_="hint") if error.hint else Markup("")
        return tag("div", *lines[:kept], left_out(len(lines) - kept), hint, class_="note bad")

    return Answer("What ended the run", "Error", "bad", first, details)


def _of_problems(problems: Sequence[Problem]) -> Answer:
    tone = "bad" if any(each.is_error for each in problems) else "warn" if problems else "good"
    word = {"bad": "Invalid", "warn": "Valid, with warnings", "good": "Valid"}[tone]

    def details(_: int, room: int) -> Markup:
        return problem_table(problems, room=room) if problems else Markup("")

    return Answer("Manifests", word, tone, told_of(problems), details)


def _of_verdicts(verdicts: Sequence[Verdict], doubts: Sequence[Doubt], past: Past) -> Answer:
    counts = Counter(verdict.level for verdict in verdicts)
    if counts[Level.FAIL]:
        word, tone = "Failed", "bad"
    elif doubts or not verdicts:
        word, tone = ("In doubt" if doubts else "Not evaluated"), "warn"
    elif counts[Level.WARN]:
        word, tone = "Passed, with warnings", "warn"
    else:
        word, tone = "Passed", "good"
    summary = verdict_summary(verdicts)
    bar = shares([(level.value, counts[level]) for level in Level], summary) if verdicts else Markup("")

    def details(level: int, room: int) -> Markup:
        lines = [tag("p", doubt_words(each)) for each in doubts]
        kept = rows_fitting(lines, room // 2)
        warned = tag("div", *lines[:kept], left_out(len(lines) - kept), class_="note warn") if lines else Markup("")
        return joined([warned, verdict_tables(verdicts, past, level=level, room=room - len(warned))])

    return Answer("Evaluation", word, tone, summary, details, bar)


def _of_outcomes(plan: Plan, outcomes: Sequence[StepOutcome]) -> Answer:
    bad = not_done(plan, outcomes)
    done = sum(each.status is StepStatus.DONE for each in outcomes) == len(plan.pending)
    word, tone = ("Done", "good") if done else ("Incomplete", "bad")

    def details(_: int, room: int) -> Markup:
        return outcome_table(bad, room=room) if bad else Markup("")

    return Answer("Apply", word, tone, f"{done_sentence(plan, outcomes)}.", details)


def _of_plan(plan: Plan, verbose: bool) -> Answer:
    blocks, notes = plan_blocks(plan, verbose=verbose), note_block(plan, verbose=verbose)
    if plan.refusals:
        word, tone = "Refused", "bad"
    elif any(block.tint == "bad" for block in blocks):
        word, tone = "Changes to look at", "warn"
    else:
        word, tone = ("Changes", "move") if plan.has_changes else ("No changes", "good")
    shown = joined([_tally(plan), *([tag("p", comparison(plan), class_="note")] if plan.basis.base else [])])
    return Answer("Plan", word, tone, summary_line(plan), _details([*blocks, *([notes] if notes else [])]), shown)


def _of_drift(plan: Plan, verbose: bool) -> Answer:
    answer = drift_answer(plan)
    tone = {"clean": "good", "drifted": "bad", "unknown": "warn"}[answer]
    return Answer(
        "Drift", answer.capitalize(), tone, drift_sentence(plan), _details(drift_blocks(plan, verbose=verbose))
    )


def _details(blocks: Sequence[Block]) -> Callable[[int, int], Markup]:
    def details(level: int, room: int) -> Markup:
        parts = []
        for block in blocks:
            parts.append(block_html(block, level=level, room=room))
            room -= len(parts[-1])
        return joined(parts, "\n")

    return details


def _tally(plan: Plan) -> Markup:
    """How many steps there are of each sign."""
    counts = Counter(step.action for step in plan.pending)
    items = [
        tag("li", tag("b", action.sign, class_=f"t-{TINTS[action]}"), f"{counts[action]:,} {action.value}")
        for action in Action
        if counts[action]
    ]
    items += [tag("li", tag("b", "!", class_="t-bad"), f"{len(plan.refusals):,} refused")] if plan.refusals else []
    return tag("ul", *items, class_="tally") if items else Markup("")
