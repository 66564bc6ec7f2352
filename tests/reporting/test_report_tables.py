"""Tables of verdicts and of the state: worst first, nothing cut off, counts last."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.model.outcome import EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Intent, State
from reconciler.reporting.tables import margin_text, state_table, verdict_summary, verdict_table

PROJECT = Address("openlayer.Project", ("bot",))
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))


def test_a_wide_terminal_shows_everything_in_one_table(verdicts: tuple[Verdict, ...]) -> None:
    assert (
        verdict_table(verdicts, width=200, color=False)
        == """\
RESULT  TEST of support-bot/monitoring  PIPELINE    MEASURED  WANTED   MARGIN  WHY
FAIL    Faithful                        production  0.62      >= 0.8   -0.18   misses the threshold
FAIL    Nulls                           -           -         <= 0     -       no result
WARN    Tone                            production  0.71      >= 0.75  -0.04   misses the stricter threshold
PASS    Answers contain no PII          production  0         <= 0     +0

1 passed, 1 warned, 2 failed
"""
    )


def test_a_pass_that_the_gate_makes_of_something_else_says_of_what(verdicts: tuple[Verdict, ...]) -> None:
    """``onMissing: pass``: nobody should take it for a result."""
    why = "no result (onMissing: pass)"
    forgiven = replace(verdicts[0], status=EvaluationStatus.MISSING, level=Level.PASS, why=why)
    assert why in verdict_table([forgiven], width=200, color=False)
    assert why in verdict_table([forgiven], width=80, color=False)


def test_the_reason_moves_below_when_it_does_not_fit(verdicts: tuple[Verdict, ...]) -> None:
    assert (
        verdict_table(verdicts[2:], width=80, color=False)
        == """\
RESULT  TEST of support-bot/monitoring  PIPELINE    MEASURED  WANTED   MARGIN
FAIL    Faithful                        production  0.62      >= 0.8   -0.18
        misses the threshold
WARN    Tone                            production  0.71      >= 0.75  -0.04
        misses the stricter threshold

0 passed, 1 warned, 1 failed
"""
    )


def test_a_table_without_reasons_has_no_column_for_them(verdicts: tuple[Verdict, ...]) -> None:
    assert (
        verdict_table(verdicts[:1], width=200, color=False)
        == """\
RESULT  TEST of support-bot/monitoring  PIPELINE    MEASURED  WANTED  MARGIN
PASS    Answers contain no PII          production  0         <= 0    +0

1 passed, 0 warned, 0 failed
"""
    )


def test_a_narrow_terminal_shows_records_instead_of_cutting_names(verdicts: tuple[Verdict, ...]) -> None:
    assert (
        verdict_table(verdicts, width=60, color=False)
        == """\
Tests of support-bot/monitoring
FAIL    Faithful  on production
        measured 0.62, wanted >= 0.8, margin -0.18
        misses the threshold
FAIL    Nulls
        wanted <= 0
        no result
WARN    Tone  on production
        measured 0.71, wanted >= 0.75, margin -0.04
        misses the stricter threshold
PASS    Answers contain no PII  on production  0 <= 0

1 passed, 1 warned, 2 failed
"""
    )


def test_only_passes_are_left_out_of_a_long_table(verdicts: tuple[Verdict, ...]) -> None:
    many = [*verdicts, *[verdicts[0]] * 80]
    text = verdict_table(many, width=80, color=False)
    assert text.count("PASS") == 50
    assert text.count("FAIL") == 2
    assert "… 31 more passed; -v lists them\n" in text
    assert verdict_table(many, width=80, color=False, verbose=True).count("PASS") == 81


def test_nothing_evaluated_is_said_as_such() -> None:
    assert verdict_table([], width=80, color=False) == "Nothing was evaluated\n"


def test_information_is_counted_where_there_is_any(verdicts: tuple[Verdict, ...]) -> None:
    informed = [replace(verdict, level=Level.INFO) for verdict in verdicts]
    assert verdict_summary(informed) == "0 passed, 0 warned, 0 failed, 4 for information"


def test_the_state_shows_ids_and_what_is_special() -> None:
    state = State(
        "lineage-1",
        7,
        entries={
            FAITHFUL: Entry("t_1", archived=True, retiring=("t_0",)),
            PROJECT: Entry("p_1", protect=True),
        },
        in_doubt={Address("openlayer.Project", ("new",)): Intent("op", 2)},
    )
    wide = """\
RESOURCE                                ID
openlayer.Project/bot                   p_1  protected
openlayer.Test/bot/monitoring/Faithful  t_1  archived, 1 to retire
openlayer.Project/new                   ?    create in doubt after 2 attempts

2 resources, 1 in doubt. Serial 7, lineage lineage-1.
"""
    narrow = """\
openlayer.Project/bot  id p_1, protected
openlayer.Test/bot/monitoring/Faithful
    id t_1, archived, 1 to retire
openlayer.Project/new
    id ?, create in doubt after 2 attempts

2 resources, 1 in doubt. Serial 7, lineage lineage-1.
"""
    assert state_table(state, width=80, color=False) == wide
    assert state_table(state, width=50, color=False) == narrow
    assert state_table(state, width=None, color=False) == wide


def test_no_state_yet_is_a_sentence() -> None:
    assert state_table(State(), width=80, color=False) == "No state yet.\n"


def test_a_first_run_that_has_not_ended_has_written_no_state_but_some_resources() -> None:
    """Neither lineage nor serial is known yet; the journal is."""
    state = State(entries={Address("openlayer.Project", ("bot",)): Entry("p_1")})
    text = "RESOURCE               ID\nopenlayer.Project/bot  p_1\n\n1 resource. The first run has not ended.\n"
    assert state_table(state, width=80, color=False) == text


@pytest.mark.parametrize(
    ("margin", "text"),
    [(1681.5, "+1681.5"), (1123.1, "+1123.1"), (0.05, "+0.05"), (-1 / 30, "-0.03333"), (-2 / 3 - 1, "-1.6667"),
     (3000.0, "+3000"), (0.0, "+0"), (1.23e-7, "+1.23e-07"), (float("inf"), "+inf")],
)  # fmt: skip
def test_a_margin_does_not_contradict_the_numbers_beside_it(margin: float, text: str) -> None:
    """1318.5 is 1681.5 below 3000, and not 1682."""
    assert margin_text(margin) == text
