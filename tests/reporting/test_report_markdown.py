"""Comments on pull requests: the same facts, folded up, never too long."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from reconciler.model.outcome import Doubt, Level, Verdict
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.resource import Address
from reconciler.reporting.markdown import plan_markdown, verdicts_markdown


def _many(plan: Plan, count: int) -> Plan:
    steps = [
        Step(
            f"{number}", Action.CREATE, Address("openlayer.Test", ("bot", f"Test {number}")), "not at the platform yet"
        )
        for number in range(count)
    ]
    return replace(plan, steps=tuple(steps))


def test_very_many_doubts_leave_room_for_the_verdicts(verdicts: tuple[Verdict, ...]) -> None:
    doubts = [Doubt(verdicts[0].address, f"place {number}", "nobody knows", "look") for number in range(1_000)]
    text = verdicts_markdown(verdicts, limit=5_000, doubts=doubts)
    assert len(text) <= 5_000
    assert "more in doubt" in text
    assert "| Test |" in text


def test_one_of_everything(plan: Plan, expected: Callable[[str], str]) -> None:
    assert plan_markdown(plan) == expected("plan.md")


def test_nothing_to_do_is_one_sentence(empty: Plan) -> None:
    assert "**No changes. 15 resources match the manifests.**" in plan_markdown(empty)
    assert "<details" not in plan_markdown(empty)


def test_a_comment_is_found_again_by_its_environment(plan: Plan) -> None:
    first = plan_markdown(plan).split("\n")[0]
    elsewhere = replace(plan, basis=replace(plan.basis, environment="production --> <b>"))
    assert re.fullmatch(r"<!-- reconciler:plan [0-9a-f]{12} -->", first)
    assert re.fullmatch(r"<!-- reconciler:plan [0-9a-f]{12} -->", plan_markdown(elsewhere).split("\n")[0])
    assert first == plan_markdown(_many(plan, 3)).split("\n")[0]
    assert first != plan_markdown(elsewhere).split("\n")[0]


@pytest.mark.parametrize("limit", [1_000, 2_000, 5_000, 65_536])
def test_a_long_plan_fits_and_counts_what_it_leaves_out(empty: Plan, limit: int) -> None:
    text = plan_markdown(_many(empty, 5_000), limit=limit)
    left_out = re.search(r"… ([\d,]+) more, left out because the comment would be too long\.\n$", text)
    assert len(text) <= limit
    assert left_out is not None
    assert int(left_out[1].replace(",", "")) + text.count("\n+ openlayer.Test/") == 5_000
    assert [token.type for token in MarkdownIt().parse(text)].count("fence") == 1


def test_what_must_be_seen_survives_the_cut(plan: Plan) -> None:
    crowded = replace(plan, steps=(*_many(plan, 5_000).steps, *plan.steps))
    text = plan_markdown(crowded, limit=4_000)
    assert "! openlayer.Project/other" in text
    assert "- openlayer.InferencePipeline/support-bot/old  DELETE" in text
    assert len(text) <= 4_000


def test_verdicts_stand_worst_first_and_passes_are_folded_up(verdicts: tuple[Verdict, ...]) -> None:
    assert (
        verdicts_markdown(verdicts, environment="staging").split("\n", 1)[1]
        == """\
### Evaluation for `staging`

**1 passed, 1 warned, 2 failed**

| | Test | Pipeline | Measured | Wanted | Margin | Why |
|---|---|---|---|---|---|---|
| 🔴 fail | `support-bot/monitoring/Faithful` | `production` | `0.62` | `>= 0.8` | -0.18 | misses the threshold |
| 🔴 fail | `support-bot/monitoring/Nulls` |  |  | `<= 0` |  | no result |
| 🟠 warn | `support-bot/monitoring/Tone` | `production` | `0.71` | `>= 0.75` | -0.04 | misses the stricter threshold |

<details><summary>1 passed</summary>

| | Test | Pipeline | Measured | Wanted | Margin | Why |
|---|---|---|---|---|---|---|
| 🟢 pass | `support-bot/monitoring/Answers contain no PII` | `production` | `0` | `<= 0` | +0 |  |

</details>
"""
    )


@pytest.mark.parametrize("level", [Level.PASS, Level.FAIL])
@pytest.mark.parametrize("limit", [1_000, 5_000, 65_536])
def test_many_verdicts_fit(verdicts: tuple[Verdict, ...], level: Level, limit: int) -> None:
    many = [replace(verdicts[2], level=level) for _ in range(3_000)]
    text = verdicts_markdown(many, limit=limit)
    left_out = re.search(r"… ([\d,]+) more, left out", text)
    assert len(text) <= limit
    assert left_out is not None
    assert int(left_out[1].replace(",", "")) + text.count("Faithful") == 3_000


def test_no_verdicts_are_not_a_success() -> None:
    assert "**Nothing was evaluated**" in verdicts_markdown([])


def test_a_fence_made_long_by_a_name_counts_too(empty: Plan) -> None:
    names = ["`" * 700, *(f"Test {number}" for number in range(200))]
    steps = [Step(name, Action.CREATE, Address("openlayer.Test", (name,)), "r") for name in names]
    text = plan_markdown(replace(empty, steps=tuple(steps)), limit=4_000)
    assert 2_000 < len(text) <= 4_000
    assert "more, left out" in text
