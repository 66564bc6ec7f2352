"""A replay in words: what would change, how sure that is, and why nothing is known."""

from __future__ import annotations

import pytest

from reconciler.model.plan import Action, Basis, Plan, Step
from reconciler.model.replay import Near, Replay, ReplayState, Share, Suggestion
from reconciler.model.resource import Address
from reconciler.reporting.lines import lay
from reconciler.reporting.markdown import plan_markdown
from reconciler.reporting.replays import percent, replay_lines
from reconciler.reporting.suggestions import SuggestedLimit, suggestion_text, unified_diff

TEST = Address("openlayer.Test", ("support-bot", "monitoring", "Faithful"))
DAY = 86_400
FORECAST = Replay(
    ReplayState.CALIBRATED,
    30 * DAY,
    unknown=4,
    checked=168,
    agreement=1.0,
    before=Share(19, 168, 19 / 168, 0.0737, 0.1699),
    after=Share(5, 168, 5 / 168, 0.0128, 0.0678),
    only_before=14,
    nearest=(Near("production", 1_777_816_800, 1_777_820_400, "r1", "faithfulness", 0.84931234, -0.00068766),),
    notes=("only the first 10,000 results that the platform lists were read",),
)


def text(replay: Replay) -> str:
    return "\n".join(lay(replay_lines(replay), width=120, color=False))


def test_a_forecast_in_words() -> None:
    assert text(FORECAST) == (
        "replay of 30d: 168 windows, flagged 19 -> 5  (11.3 % -> 3.0 %, at 95 % between 1.3 % and 6.8 %)\n"
        "    14 would be missed now\n"
        "    4 windows not counted: no verdict or no value\n"
        "    near: faithfulness 0.849312, misses by 0.0006877  production 2026-05-03T14:00Z\n"
        "    only the first 10,000 results that the platform lists were read"
    )


@pytest.mark.parametrize("state", [ReplayState.UNCALIBRATED, ReplayState.REDEFINED, ReplayState.NOTHING])
def test_no_number_is_shown_where_nothing_is_known(state: ReplayState) -> None:
    assert text(Replay(state, 7 * DAY, "because of that")) == f"replay of 7d: {state}, because of that"


def test_a_share_is_not_rounded_to_nothing_or_to_everything() -> None:
    shares = [0.0, 0.5, 0.0298, 0.0004, 0.99996, 1.0]
    assert list(map(percent, shares)) == ["0.0 %", "50.0 %", "3.0 %", "0.04 %", "99.996 %", "100.0 %"]


def test_a_hostile_reason_stays_inside_its_fence() -> None:
    """A name of the platform's in the reason cannot become markup of the comment."""
    why = "only 3 % of </details><img src=x> ``` ::error::x"
    step = Step("update:x", Action.UPDATE, TEST, "changed", replay=Replay(ReplayState.UNCALIBRATED, DAY, why))
    page = plan_markdown(Plan(Basis("", {}, "", "", 0), (step,)))
    fence = next(line for line in page.splitlines() if line.startswith("````"))
    inside = page.split(fence.removesuffix("diff"))[1]
    assert "</details><img src=x>" in inside
    assert page.count("<img") == 1


def test_a_patch_without_a_line_end_is_one_that_git_takes() -> None:
    assert unified_diff("a.yaml", "value: 1", "value: 2") == (
        "--- a/a.yaml\n+++ b/a.yaml\n@@ -1 +1 @@\n-value: 1\n\\ No newline at end of file\n"
        "+value: 2\n\\ No newline at end of file\n"
    )


def test_why_there_is_no_suggestion_and_what_is_missing() -> None:
    found = Suggestion("faithfulness", ">=", 0.8, why="8 windows are too few", missing="24 windows", per_period=7)
    made = SuggestedLimit(TEST, found, 1, 7 * DAY, 30 * DAY)
    assert suggestion_text(made, width=100, color=False) == (
        "openlayer.Test/support-bot/monitoring/Faithful\n"
        "  no suggestion for faithfulness >= 0.8: 8 windows are too few\n"
        "  missing: 24 windows\n"
        "  budget: at most 1 flagged window in 7d; there are 7 windows in that time\n"
    )


def test_a_lone_window_is_told_as_one() -> None:
    found = Suggestion("faithfulness", ">=", 0.8, why="8 windows are too few", missing="24 windows", per_period=1.0)
    told = suggestion_text(SuggestedLimit(TEST, found, 1, 7 * DAY, 30 * DAY), width=100, color=False)
    assert "there is 1 window in that time\n" in told
