"""The bytes of snapshots and journals: the same state, the same bytes; no damage goes unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import StateUnreadable
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Record, State
from reconciler.storage.encoding import (
    PART_BYTES,
    Snapshot,
    canonical,
    empty_tip,
    header_line,
    parse_journal,
    parse_snapshot,
    record_lines,
    snapshot_bytes,
)

STATE = State("l1", 3, {"openlayer": "https://a"}, {Address("openlayer.Project", ("bot/é",)): Entry("p1", {"n": 1.0})})
RECORDS: list[Record] = [
    {"record": "intent", "address": "openlayer.Project/bot", "op": "0a"},
    {"record": "removed", "address": "openlayer.Project/é\u2028\n"},
    {"record": "task_over", "key": "k"},
]
HEADER = header_line("l1", 3, "0123456789ab")
JOURNAL = HEADER + record_lines(empty_tip("l1", 3), RECORDS)[0]

SNAPSHOT_TEXT = """{
  "absorbed":"tip",
  "checksum":"CHECKSUM",
  "consumed":[],
  "entries":{
    "openlayer.Project/bot%2Fé":{"applied":{"n":1.0},"remote_id":"p1"}
  },
  "format":1,
  "in_doubt":{},
  "lineage":"l1",
  "origins":{
    "openlayer":"https://a"
  },
  "serial":3,
  "started":"",
  "tasks":{}
}
"""


def test_a_snapshot_can_be_read_by_a_person() -> None:
    checksum = "4eaa7dd736a38c59c8a2d07f102041b31ccae2dac55f2e7309cca749cf7ea47f"
    assert snapshot_bytes(STATE, "tip").decode() == SNAPSHOT_TEXT.replace("CHECKSUM", checksum)


def test_a_snapshot_comes_back_with_the_journal_it_absorbed() -> None:
    snapshot = parse_snapshot(snapshot_bytes(STATE, "tip"))
    assert (snapshot.state, snapshot.absorbed) == (STATE, "tip")


@pytest.mark.parametrize("end", ["", "\ud800"])
def test_a_large_snapshot_comes_back_whole(end: str) -> None:
    """It is decoded in parts, and what a text holds is never taken for the layout."""
    told = f'a\n  }}\n  "checksum":"é{end}'
    entries = {Address("openlayer.Project", (f"bot {n} \n}}",)): Entry(f"p{n}", {"n": told * 40}) for n in range(999)}
    state = State(lineage="l", serial=1, entries=entries, before={next(iter(entries)): {"checksum": told}})
    content = snapshot_bytes(state, "tip")
    assert len(content) > 3 * PART_BYTES
    found = parse_snapshot(content)
    assert found == Snapshot(state, "tip")
    assert next(iter(found.state.before)) is next(iter(found.state.entries))  # an address is held once
    indented = json.dumps(json.loads(content), indent=1).encode()
    assert parse_snapshot(indented) == Snapshot(state, "tip")


@pytest.mark.parametrize("value", [float("nan"), [float("inf"), None], {"a": float("nan"), "b": "\ud800"}, object()])
def test_what_json_can_not_hold_is_never_written(value: Any) -> None:
    with pytest.raises(StateUnreadable, match="this cannot be written to a state"):
        canonical({"value": value})


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_a_changed_byte_of_a_snapshot_is_noticed_or_means_nothing(mask: int) -> None:
    """Only white space can change without harm."""
    content = snapshot_bytes(STATE, "tip")
    unnoticed = []
    for position in range(len(content)):
        try:
            snapshot = parse_snapshot(_flipped(content, position, mask))
        except StateUnreadable:
            continue
        assert snapshot.state == STATE
        assert snapshot.absorbed == "tip"
        unnoticed.append(content[position : position + 1])
    assert set(unnoticed) <= {b" ", b"\n"}


def test_a_cut_snapshot_is_noticed() -> None:
    content = snapshot_bytes(STATE, "tip")
    for length in range(len(content) - 1):
        with pytest.raises(StateUnreadable):
            parse_snapshot(content[:length])


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b"[" * 100_000, b"\xff\xfe", b'{"format": 1}', b"9" * 5000])
def test_what_is_no_snapshot_is_a_sentence(content: bytes) -> None:
    with pytest.raises(StateUnreadable):
        parse_snapshot(content)


def test_a_newer_snapshot_is_called_newer_not_damaged() -> None:
    with pytest.raises(StateUnreadable, match="format 2; this version reads 1"):
        parse_snapshot(b'{"format": 2, "checksum": "made otherwise"}')


def test_a_newer_journal_is_called_newer_not_damaged() -> None:
    with pytest.raises(StateUnreadable, match="format 2; this version reads 1"):
        parse_journal(b'{"data":{"journal":2},"sum":"made otherwise"}\n')


def test_a_journal_comes_back_in_order() -> None:
    lines = parse_journal(JOURNAL)
    assert (lines.lineage, lines.serial, lines.records) == ("l1", 3, tuple(RECORDS))


def test_the_tip_grows_the_same_in_one_append_and_in_three() -> None:
    at_once = record_lines(empty_tip("l1", 3), RECORDS)[1]
    tip = empty_tip("l1", 3)
    for record in RECORDS:
        _, tip = record_lines(tip, [record])
    assert tip == at_once == parse_journal(JOURNAL).tip


def test_the_tip_does_not_depend_on_who_writes() -> None:
    assert parse_journal(HEADER).tip == parse_journal(header_line("l1", 3, "another lock")).tip == empty_tip("l1", 3)


def test_a_journal_cut_anywhere_holds_whole_records_only() -> None:
    """A record counts from its last brace on; before that the line is torn and dropped."""
    ends = [len(HEADER + record_lines(empty_tip("l1", 3), RECORDS[:count])[0]) - 1 for count in range(4)]
    for length in range(ends[0], len(JOURNAL) + 1):
        whole = sum(length >= end for end in ends) - 1
        assert parse_journal(JOURNAL[:length]).records == tuple(RECORDS[:whole])


def test_a_journal_without_a_whole_header_is_refused() -> None:
    """The header appears with the file, so no crash can cut it."""
    for length in range(len(HEADER) - 1):
        with pytest.raises(StateUnreadable, match="line 1"):
            parse_journal(JOURNAL[:length])


@pytest.mark.parametrize("mask", [0x01, 0x07, 0x20, 0x80, 0xFF])
def test_a_changed_byte_anywhere_in_a_journal_is_noticed(mask: int) -> None:
    for position in range(len(JOURNAL)):
        with pytest.raises(StateUnreadable, match=r"line [1234]"):
            parse_journal(_flipped(JOURNAL, position, mask))


def test_damage_names_the_line() -> None:
    with pytest.raises(StateUnreadable, match="line 3: damaged"):
        parse_journal(JOURNAL.replace(b'"removed"', b'"r\x65moveD"'))


@pytest.mark.parametrize("order", [(0, 2), (0, 2, 1, 3), (0, 1, 1, 2, 3), (1, 2, 3)])
def test_a_line_that_is_missing_doubled_or_moved_is_noticed(order: tuple[int, ...]) -> None:
    lines = JOURNAL.splitlines(keepends=True)
    with pytest.raises(StateUnreadable):
        parse_journal(b"".join(lines[number] for number in order))


def test_a_line_of_another_journal_is_noticed() -> None:
    foreign, _ = record_lines(empty_tip("l2", 3), RECORDS[:1])
    with pytest.raises(StateUnreadable, match="line 2"):
        parse_journal(HEADER + foreign)


def test_zeros_after_the_last_line_are_dropped_and_zeros_over_a_line_are_not() -> None:
    """A file system may enlarge a file before it writes to it."""
    assert parse_journal(JOURNAL + b"\0" * 512).records == tuple(RECORDS)
    middle = len(HEADER) + 5
    with pytest.raises(StateUnreadable, match="line 2"):
        parse_journal(JOURNAL[:middle] + b"\0" * 8 + JOURNAL[middle + 8 :])


TEXT = st.text(st.characters(codec=None), max_size=10)


@given(st.lists(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=2), max_size=3), max_size=5))
def test_any_record_comes_back_even_with_half_a_character_in_it(records: list[dict[str, Any]]) -> None:
    lines, tip = record_lines(empty_tip("", 0), records)
    parsed = parse_journal(header_line("", 0, "") + lines)
    assert (list(parsed.records), parsed.tip) == (records, tip)


def _flipped(content: bytes, position: int, mask: int) -> bytes:
    return content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
