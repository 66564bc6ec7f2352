"""Turn plans and verdicts into Markdown for a pull request's comment.  Pure.

The steps stand in fenced blocks made from the same lines as the text plan, so nothing in them can become markup and
both forms say the same.  Written for GitHub and GitLab; a body fits into GitHub's 65,536 characters
(docs.github.com, 2026-11), the most important part first, the rest counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from reconciler.model.outcome import Doubt, Level, Verdict
from reconciler.model.plan import Plan
from reconciler.model.values import counted
from reconciler.reporting.blocks import Block, Group, comparison, note_block, plan_blocks, summary_line
from reconciler.reporting.drift import drift_blocks, drift_sentence
from reconciler.reporting.escape import markdown, markdown_code, markdown_fence
from reconciler.reporting.lines import lay
from reconciler.reporting.tables import (
    doubt_words,
    level_word,
    margin_text,
    reason,
    short_address,
    verdict_summary,
    worst_first,
)

LIMIT = 65_536
WIDTH = 120
RESERVE = 300
LONGEST_CELL = 300

_ICONS: dict[Level, str] = {Level.FAIL: "🔴", Level.WARN: "🟠", Level.INFO: "🔵", Level.PASS: "🟢"}


def plan_markdown(plan: Plan, *, limit: int = LIMIT, verbose: bool = False) -> str:
    """The plan as a comment of at most ``limit`` characters (1,000 or more).

    Begins with an invisible line that names the environment, by which a workflow finds the comment again.
    """
    notes = note_block(plan, verbose=verbose)
    blocks = [*plan_blocks(plan, verbose=verbose), *([notes] if notes else [])]
    return _page(_plan_head(plan), blocks, limit)


def _plan_head(plan: Plan) -> str:
    environment = f" for {markdown_code(_short(plan.basis.environment))}" if plan.basis.environment else ""
    digest = f"\n\nDigest `{plan.digest[:12]}`" if re.fullmatch("[0-9a-f]+", plan.digest) else ""
    refused = ""
    if plan.refusals:
        count = counted(len(plan.refusals), "refusal")
        refused = f"\n\n> [!CAUTION]\n> {count}: nothing is applied until this is settled."
    compared = f"> [!NOTE]\n> {markdown(comparison(plan))}\n\n" if plan.basis.base else ""
    mark = marker("offline plan" if plan.basis.base else "plan", plan.basis.environment)
    return f"{mark}\n### Plan{environment}\n\n{compared}**{summary_line(plan)}**{digest}{refused}"


def drift_markdown(plan: Plan, *, limit: int = LIMIT, verbose: bool = False) -> str:
    """Only what was changed at the platform, as a page of at most ``limit`` characters (1,000 or more)."""
    environment = f" for {markdown_code(_short(plan.basis.environment))}" if plan.basis.environment else ""
    head = f"{marker('drift', plan.basis.environment)}\n### Drift{environment}\n\n**{drift_sentence(plan)}**"
    return _page(head, drift_blocks(plan, verbose=verbose), limit)


def marker(what: str, environment: str) -> str:
    """The invisible first line by which a comment about this is found again.

    A name's own characters could end the line, so a digest stands for it.
    """
    name = hashlib.sha256(environment.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"<!-- reconciler:{what} {name} -->"


def _page(head: str, blocks: Sequence[Block], limit: int) -> str:
    """The head and as much of the blocks as fits; what does not is counted."""
    body, hidden, room = [head], 0, limit - len(head) - RESERVE
    for block in blocks:
        section, shown = _section(block, room)
        hidden += len(block.groups) - shown
        if shown:
            body.append(section)
            room -= len(section) + 2
    if hidden:
        body.append(f"… {hidden:,} more, left out because the comment would be too long.")
    return "\n\n".join(body) + "\n"


def _section(block: Block, room: int) -> tuple[str, int]:
    """The block folded up (open where it matters most), with as many groups as fit; and how many that is."""
    texts = [_diff_lines(group) for group in block.groups]
    shown, used = 0, 0
    frame = len(_details(block, "")) + 2 * max(
        (len(run) for text in texts for run in re.findall("`+", text)), default=0
    )
    while shown < len(texts) and frame + used + len(texts[shown]) + 1 <= room:
        used += len(texts[shown]) + 1
        shown += 1
    return _details(block, "\n".join(texts[:shown])), shown


def _details(block: Block, content: str) -> str:
    opened = " open" if block.tint == "bad" else ""
    summary = f"<summary>{block.title} ({len(block.groups):,})</summary>"
    return f"<details{opened}>{summary}\n\n{markdown_fence(content, info='diff')}\n\n</details>"


def _diff_lines(group: Group) -> str:
    """The lines of a step.  A diff block colours ``+``, ``-`` and ``!``; so an ``!`` is put before other signs."""
    first, *others = lay(group, width=WIDTH, color=False)
    return "\n".join([re.sub(r"^([~±]) ", r"! \1 ", first), *others])


# ---------------------------------------------------------------------------------------------- verdicts


def verdicts_markdown(
    verdicts: Sequence[Verdict], *, environment: str = "", limit: int = LIMIT, doubts: Sequence[Doubt] = ()
) -> str:
    """The verdicts as a comment of at most ``limit`` characters, worst first; passes are folded up.

    What is doubtful comes before them, on at most half of the page.
    """
    ordered = worst_first(verdicts)
    where = f" for {markdown_code(_short(environment))}" if environment else ""
    head = f"{marker('verdicts', environment)}\n### Evaluation{where}\n\n**{verdict_summary(verdicts)}**"
    head += _doubts(doubts, limit // 2)
    passed = [_row(verdict) for verdict in ordered if verdict.level is Level.PASS]
    others = [_row(verdict) for verdict in ordered if verdict.level is not Level.PASS]
    body, room = [head], limit - len(head) - RESERVE
    shown_others = rows_fitting(others, room - len(_HEADER))
    room -= sum(len(row) + 1 for row in others[:shown_others]) + len(_HEADER)
    shown_passed = rows_fitting(passed, room - len(_HEADER) - 100) if shown_others == len(others) else 0
    if shown_others:
        body.append("\n".join([_HEADER, *others[:shown_others]]))
    if shown_passed:
        table = "\n".join([_HEADER, *passed[:shown_passed]])
        body.append(f"<details><summary>{len(passed):,} passed</summary>\n\n{table}\n\n</details>")
    hidden = len(verdicts) - shown_others - shown_passed
    if hidden:
        body.append(f"… {hidden:,} more, left out because the comment would be too long.")
    return "\n\n".join(body) + "\n"


def _doubts(doubts: Sequence[Doubt], limit: int) -> str:
    """A warning in at most ``limit`` characters, with a line for each; empty where there are none."""
    if not doubts:
        return ""
    lines = [f"> {markdown(_short(doubt_words(each)))}  " for each in doubts]
    shown = rows_fitting(lines, limit - RESERVE)
    more = [f"> … {len(lines) - shown:,} more in doubt"] if shown < len(lines) else []
    return "\n\n" + "\n".join(["> [!WARNING]", *lines[:shown], *more])


_HEADER = "| | Test | Pipeline | Measured | Wanted | Margin | Why |\n|---|---|---|---|---|---|---|"


def rows_fitting(rows: Sequence[str], room: int) -> int:
    """How many of the rows fit into ``room`` characters."""
    used = 0
    for shown, row in enumerate(rows):
        used += len(row) + 1
        if used > room:
            return shown
    return len(rows)


def _row(verdict: Verdict) -> str:
    cells = (
        f"{_ICONS[verdict.level]} {level_word(verdict)}",
        markdown_code(_short(short_address(verdict.address))),
        _code(verdict.pipeline or ""),
        _code(verdict.measured),
        _code(verdict.wanted),
        margin_text(verdict.margin),
        markdown(_short(reason(verdict))),
    )
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return markdown_code(_short(text)) if text else ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
