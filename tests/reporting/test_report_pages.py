"""A job's summary and long comments: what went wrong first, never too long, nothing acts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec.structs import replace

from reconciler.errors import Problem, ReconcilerError, RefusedByPolicy
from reconciler.model.outcome import Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.resource import Address
from reconciler.reporting.pages import Told, cut, error_markdown, fitting, outcomes_markdown, page, problems_markdown

OURS = re.compile(
    r"(<!-- reconciler:[\w ]+ [0-9a-f]{12} -->|<details( open)?><summary>[\w :,()]+</summary>|</details>|\s)*"
)


def _tokens(source: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source):
        yield token
        yield from token.children or ()


def _problems(count: int) -> list[Problem]:
    return [Problem("a.yaml", line, 1, "spec", f"wrong {line}", "") for line in range(1, count + 1)]


def _failures(verdicts: tuple[Verdict, ...], count: int) -> list[Verdict]:
    return [replace(verdicts[2], address=Address("openlayer.Test", ("bot", f"Test {n}"))) for n in range(count)]


def test_what_ended_the_run_comes_first_and_the_plan_last(plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    told = Told("prod", plan, [StepOutcome("update:faithful", StepStatus.FAILED, "422")], verdicts, _problems(1),
                RefusedByPolicy("1 refusal"))  # fmt: skip
    text = page(told)
    places = [text.index(part) for part in ("1 refusal", "### Manifests", "### Evaluation", "### Apply", "### Plan")]
    assert places == sorted(places)


def test_a_step_that_did_not_work_says_why(plan: Plan) -> None:
    outcomes = [
        StepOutcome("create:canary", StepStatus.DONE),
        StepOutcome("update:project", StepStatus.SKIPPED, "waits"),
        StepOutcome("update:faithful", StepStatus.FAILED, "422: <b>no</b>", "check it"),
        StepOutcome("replace:latency", StepStatus.UNKNOWN, "no answer"),
    ]
    assert outcomes_markdown(plan, outcomes) == (
        "### Apply\n\n**1 done, 1 failed, 1 unknown, 1 skipped, 5 not started**\n\n| | Step | Why |\n|---|---|---|\n"
        "| 🔴 failed | update `support-bot/monitoring/Faithful` | 422: &#60;b&#62;no&#60;/b&#62;; check it |\n"
        "| 🟠 unknown | replace `support-bot/monitoring/Latency` | no answer |\n"
        "| ⚪ skipped | update `support-bot` | waits |\n"
    )


def test_an_apply_that_worked_is_one_line(plan: Plan) -> None:
    done = [StepOutcome(step.id, StepStatus.DONE) for step in plan.pending]
    assert outcomes_markdown(plan, done) == "### Apply\n\n**9 done**\n"


def test_manifests_without_problems_say_so() -> None:
    assert "No problems in the manifests" in problems_markdown([])


@pytest.mark.parametrize("limit", [1_000, 5_000, 65_536])
def test_problems_fit_and_count_what_is_left_out(limit: int) -> None:
    text = problems_markdown(_problems(3_000), limit=limit)
    (left,) = re.findall(r"… ([\d,]+) more", text)
    assert len(text) <= limit
    assert int(left.replace(",", "")) + text.count("| wrong ") + text.count("spec: wrong") == 3_000


def test_five_hundred_failures_fit_into_one_comment(verdicts: tuple[Verdict, ...]) -> None:
    """Failures first; what does not fit is counted, and no pass takes a failure's place."""
    passes = [replace(each, level=Level.PASS) for each in _failures(verdicts, 500)]
    text = page(Told(verdicts=[*passes, *_failures(verdicts, 500)]))
    (left,) = re.findall(r"… ([\d,]+) more", text)
    assert len(text) <= 65_536
    assert text.count("🔴 fail") == 500
    assert text.count("🟢 pass") + int(left.replace(",", "")) == 500


def test_a_summary_takes_what_is_left_of_a_mebibyte(empty: Plan) -> None:
    """Bytes, not characters: a name may be all emojis."""
    steps = [
        Step(f"{n}", Action.CREATE, Address("openlayer.Test", ("🚀" * 40, f"{n}")), "not at the platform yet")
        for n in range(6_000)
    ]
    for size in (1024 * 1024, 6_000):
        text = fitting(Told(plan=replace(empty, steps=tuple(steps))), size)
        assert size // 3 < len(text.encode()) <= size
        assert re.search(r"… [\d,]+ more", text)


def test_where_there_is_no_room_nothing_is_written(plan: Plan) -> None:
    assert fitting(Told(plan=plan), 500) == ""


def test_a_part_without_room_is_named(plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    text = page(Told(plan=plan, verdicts=_failures(verdicts, 500)), limit=2_000)
    assert "*The plan is left out: this page would be too long.*" in text
    assert len(text) <= 2_000


def test_a_long_error_is_cut_between_lines() -> None:
    text = error_markdown(RefusedByPolicy("\n".join(f"line {n}" for n in range(900)), hint="do it"), limit=1_000)
    assert len(text) <= 1_000
    assert re.search(r"> … \d+ more lines\n> \*do it\*\n$", text)


def test_a_request_to_send_by_hand_can_be_copied_out_of_a_page() -> None:
    text = error_markdown(ReconcilerError('left:\nPUT https://api.example/tests\n{"value": [1]}'))
    assert "> `PUT https://api.example/tests`  \n" in text
    assert '> `{"value": [1]}`  \n' in text


def test_no_text_becomes_markup(hostile: str, verdicts: tuple[Verdict, ...], plan: Plan) -> None:
    """No link, image, list or heading comes out of a name; the only HTML is our own."""
    address = Address("openlayer.Test", (hostile, hostile))
    failed = [StepOutcome(step.id, StepStatus.FAILED, hostile, hostile) for step in plan.steps]
    steps = tuple(replace(step, address=address, reason=hostile) for step in plan.steps)
    told = Told(
        environment=hostile,
        plan=replace(plan, steps=steps),
        outcomes=failed,
        verdicts=[replace(each, address=address, why=hostile, pipeline=hostile) for each in verdicts],
        problems=[Problem(hostile, 1, 1, hostile, hostile, hostile)],
        error=RefusedByPolicy(hostile, hint=hostile),
    )
    tokens = list(_tokens(page(told)))
    kinds = [token.type for token in tokens]
    assert not {"link_open", "image", "list_item_open", "hr", "code_block"} & set(kinds)
    assert kinds.count("heading_open") == 4
    assert all(OURS.fullmatch(token.content) for token in tokens if token.type == "html_block")
    inline = {token.content for token in tokens if token.type == "html_inline"}
    assert inline <= {"<code>", "</code>", "<!-- -->"}


def test_no_line_is_a_quick_action_of_gitlab(hostile: str, verdicts: tuple[Verdict, ...]) -> None:
    """GitLab carries out lines such as /merge, wherever they stand outside of a fence."""
    told = Told(
        verdicts=[
            replace(
                verdicts[2], address=Address("openlayer.Test", ("/merge", "/close")), why=f"/merge\n/approve{hostile}"
            )
        ],
        error=RefusedByPolicy(f"no\n/merge\n/close {hostile}", hint="/approve"),
    )
    assert [line for line in page(told).split("\n") if line.lstrip().startswith("/")] == []


# ------------------------------------------------------------------------------------- what others wrote


@pytest.mark.parametrize("opening", ["```diff", "~~~~", "<details><summary>x</summary>\n\n````"])
def test_what_a_cut_leaves_open_is_closed(opening: str) -> None:
    text = cut(f"# Title\n\n{opening}\n" + "some words\n" * 900, 2_000)
    kinds = [token.type for token in MarkdownIt().parse(text)]
    assert len(text) <= 2_000
    assert kinds[-3:] == ["paragraph_open", "inline", "paragraph_close"]
    assert text.count("<details>") == text.count("</details>")
    assert re.search(r"… [\d,]+ more lines, left out", text)


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert cut("a\n```\nb", 100) == "a\n```\nb"


def test_one_endless_line_is_left_out_whole() -> None:
    assert len(cut("x" * 100_000)) < 200
