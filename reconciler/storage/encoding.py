"""Turn states and journal records into checked bytes, and back.  Pure: the same for every backend.

A snapshot is the JSON of ``model.state`` with two more keys::

    "absorbed": "9f3c…"     the tip of the journal that this snapshot was made from
    "checksum": "b01d…"     SHA-256 over the canonical JSON of everything else

A journal is one JSON object a line.  The first says which snapshot it continues, the others are records, and each
carries a short digest of itself and of the digest before it, so that no line can change, vanish or trade places
unseen.  The digest of the last line is the journal's *tip*::

    {"data":{"journal":1,"lineage":"6b1e…","serial":4,"writer":"5c0a…"},"sum":"77aa…"}
    {"data":{"record":"intent","address":"openlayer.Project/bot","op":"d41d…"},"sum":"0e12…"}

The tip of a journal without records depends on lineage and serial alone, not on who opened it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec.json
from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.state import (
    STATE_FORMAT,
    Entry,
    Record,
    State,
    entries_from_json,
    entry_to_json,
    state_from_json,
    state_to_json,
)
from reconciler.model.values import compact

JOURNAL_FORMAT = 1
SIZE_CAP = 256 * 1024 * 1024
"""Bytes.  A state of 100,000 tests takes 50 MiB, the journal of creating them three times that; anything above the cap
is not one of ours."""
PART_BYTES = 256 * 1024
"""How much of a snapshot is decoded at a time, up to the end of a line."""


class Snapshot(Struct, frozen=True):
    """A snapshot as read.  ``absorbed`` is the tip of the journal it was made from; "" before the first."""

    state: State
    absorbed: str = ""


class Position(Struct, frozen=True):
    """How far a state goes: which snapshot, and the tip of the journal after it."""

    lineage: str
    serial: int
    tip: str

    @classmethod
    def after(cls, snapshot: State) -> Position:
        """Where a journal begins that continues this snapshot."""
        return cls(snapshot.lineage, snapshot.serial, empty_tip(snapshot.lineage, snapshot.serial))


class Lines(Struct, frozen=True):
    """A journal as read: the snapshot it continues, its whole records in order, its tip, and whose it says it is."""

    lineage: str
    serial: int
    records: tuple[Record, ...]
    tip: str
    environment: str = ""


def canonical(data: object) -> bytes:
    """The one spelling of plain JSON data.  Raises StateUnreadable for what JSON cannot hold, such as NaN."""
    try:
        text = compact(data)
        if b"null" in text or _SURROGATE in text:  # it could stand for what is no number
            _STRICT.encode(data)
    except (RecursionError, TypeError, ValueError) as error:
        raise StateUnreadable(f"this cannot be written to a state: {error}") from error
    return text


_STRICT = json.JSONEncoder(allow_nan=False)
_SURROGATE = b"\xed"
"""What the UTF-8 of a lone surrogate begins with."""


def snapshot_bytes(state: State, absorbed: str) -> bytes:
    """The snapshot file: sorted JSON, one resource a line, so that the same state has the same bytes.

    But for the white space at the line ends it is the canonical JSON, so that nothing has to be encoded twice.
    """
    data = {**state_to_json(replace(state, entries={})), "absorbed": absorbed}
    members = {key: _laid_out(key, value, canonical) for key, value in data.items()}
    entries = {str(address): entry for address, entry in state.entries.items()}
    members["entries"] = _laid_out("entries", entries, lambda entry: canonical(entry_to_json(entry)))
    checksum = hashlib.sha256()
    for line in _braced(members):
        checksum.update(line.lstrip(b" "))
    members["checksum"] = _laid_out("checksum", checksum.hexdigest(), canonical)
    return b"\n".join([*_braced(members), b""])


def _braced(members: Mapping[str, Sequence[bytes]]) -> Iterator[bytes]:
    """The lines of a mapping, from those of its members."""
    *most, last = sorted(members)
    yield b"{"
    for key in most:
        yield from members[key][:-1]
        yield members[key][-1] + b","
    yield from members[last]
    yield b"}"


def _one_line(content: bytes) -> bytes:
    """JSON without its line ends and indentation: in a text a line end is spelled otherwise."""
    return b"".join([line.lstrip(b" ") for line in content.split(b"\n")])


def _laid_out(key: str, value: Any, spelled: Callable[[Any], bytes]) -> list[bytes]:
    """The lines of one member: those of a mapping stand on lines of their own."""
    if not isinstance(value, dict) or not value:
        return [b"  %b:%b" % (canonical(key), canonical(value))]
    lines = [b"    %b:%b," % (canonical(each), spelled(value[each])) for each in sorted(value)]
    lines[-1] = lines[-1].removesuffix(b",")
    return [b"  %b:{" % canonical(key), *lines, b"  }"]


def parse_snapshot(content: bytes) -> Snapshot:
    """The inverse of ``snapshot_bytes``.  Raises StateUnreadable for anything but a whole, unchanged snapshot."""
    return _parsed_in_parts(content) or _parsed_as_a_whole(content)


def _parsed_in_parts(content: bytes) -> Snapshot | None:
    """What a snapshot holds that is laid out as we do it; None for any other, and for one that is damaged.

    Nothing is encoded again to check it, and a large one never is in memory twice.
    """
    head, entries_begin, _ = content.partition(b'\n  "entries":{\n')
    before, _, rest = head.partition(b'\n  "checksum":"')
    checksum, _, after = rest.partition(b'",')
    begin = len(head) + len(entries_begin)
    end = content.find(b"\n  }", begin)
    if not entries_begin or end < 0:
        return None
    tail = content[end:]
    entries: dict[str, Entry] = {}
    digest = hashlib.sha256(_one_line(before + after + entries_begin))
    try:
        while begin < end:
            stop = content.find(b"\n", min(begin + PART_BYTES, end))
            part = _one_line(content[begin - 1 : stop])
            digest.update(part)
            entries.update(_entries(b"{%b}" % part.removesuffix(b",")))
            begin = stop + 1
        digest.update(_one_line(tail))
        if digest.hexdigest().encode() != checksum:
            return None
        data = _decoded(head + entries_begin + tail)
    except StateUnreadable:
        return None
    return Snapshot(state_from_json(data, entries), str(data.get("absorbed", "")))


_ENTRIES = msgspec.json.Decoder(dict[str, Entry])


def _entries(content: bytes) -> dict[str, Entry]:
    """Entries by the text of their address: decoded and checked in one go, or, where that fails, one by one."""
    try:
        return _ENTRIES.decode(content)
    except (RecursionError, ValueError):  # damage, or a lone surrogate, which msgspec does not take
        return entries_from_json(_decoded(content))


def _parsed_as_a_whole(content: bytes) -> Snapshot:
    data = _decoded(content)
    if not isinstance(data, dict):
        raise StateUnreadable("this is not a state")
    if not _is_newer(data.get("format"), STATE_FORMAT):
        checksum = data.pop("checksum", None)
        if checksum != hashlib.sha256(canonical(data)).hexdigest():
            raise StateUnreadable("the state was damaged or edited by hand: its checksum does not fit")
    return Snapshot(state_from_json(data), str(data.get("absorbed", "")))


def empty_tip(lineage: str, serial: int) -> str:
    """The tip of a journal that continues this snapshot and holds no record."""
    return _linked("", {"lineage": lineage, "serial": serial})[1]


def header_line(lineage: str, serial: int, writer: str, **more: Any) -> bytes:
    """The first line of a journal.  ``writer`` is the lock that it is written under; a backend may say ``more``."""
    return _linked("", {"journal": JOURNAL_FORMAT, "lineage": lineage, "serial": serial, "writer": writer, **more})[0]


def parse_header(line: bytes) -> dict[str, Any]:
    """What the first line of a journal says, given without its end.  Raises StateUnreadable."""
    try:
        journal_format = _decoded(line)["data"]["journal"]
    except (KeyError, TypeError, StateUnreadable):
        journal_format = None
    if _is_newer(journal_format, JOURNAL_FORMAT):
        raise StateUnreadable(
            f"line 1: the journal has format {journal_format!r}; this version reads {JOURNAL_FORMAT}",
            hint="use the version of reconciler that wrote it",
        )
    return _data(line, "", 1)[0]


def record_lines(tip: str, records: Sequence[Record]) -> tuple[bytes, str]:
    """The lines that add ``records`` to a journal with this tip, and its new tip."""
    lines = []
    for record in records:
        line, tip = _linked(tip, record)
        lines.append(line)
    return b"".join(lines), tip


def parse_journal(content: bytes) -> Lines:
    """The journal in ``content``, without the torn end of a last line that was never acknowledged.

    Raises StateUnreadable naming the line for any other damage.  The header is never torn: a journal file appears
    with it, in one piece.
    """
    first, *rest = _whole_lines(content)
    header = parse_header(first)
    lineage, serial = _position(header)
    records, tip = [], empty_tip(lineage, serial)
    for number, line in enumerate(rest, start=2):
        record, tip = _data(line, tip, number)
        records.append(record)
    return Lines(lineage, serial, tuple(records), tip, str(header.get("environment", "")))


def stands(content: bytes) -> Position | None:
    """How far a journal says that it goes.  None when it does not say it, or ends torn.

    Nothing in between is checked: enough to see whether it is the journal that was written a moment ago.
    """
    if not content.endswith(b"\n"):
        return None
    first, _, rest = content.partition(b"\n")
    try:
        lineage, serial = _position(parse_header(first))
        last = rest[rest.rfind(b"\n", 0, -1) + 1 :]
        return Position(lineage, serial, str(_decoded(last)["sum"]) if last else empty_tip(lineage, serial))
    except (KeyError, TypeError, StateUnreadable):
        return None


def _position(header: Mapping[str, Any]) -> tuple[str, int]:
    """Lineage and serial."""
    return str(header.get("lineage")), int(header.get("serial", -1))


def _is_newer(found: object, ours: int) -> bool:
    """Whether to speak of a newer version.  Asked before any digest: a newer version may make it differently."""
    return isinstance(found, int) and found > ours


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines without their ends; a last one that lacks its end counts when it is complete or worse than torn.

    A torn line is the beginning of a line.  One that is complete but for what follows it was acknowledged once,
    and something happened to its end since.
    """
    *lines, last = content.split(b"\n")
    if last and (_is_complete(last) or _is_complete(last[:-1])):
        lines.append(last)
    if not lines:
        raise StateUnreadable("line 1: the journal has lost its first line")
    return lines


def _is_complete(line: bytes) -> bool:
    try:
        return isinstance(_decoded(line), dict)
    except StateUnreadable:
        return False


def _data(line: bytes, tip: str, number: int) -> tuple[dict[str, Any], str]:
    """What one line holds, and the tip after it.  Comparing lines catches what a digest of the meaning would not."""
    try:
        data = _decoded(line)["data"]
        if isinstance(data, dict):
            expected, tip = _linked(tip, data)
            if expected == line + b"\n":
                return data, tip
    except (KeyError, TypeError, StateUnreadable):
        pass
    raise StateUnreadable(f"line {number}: damaged, or not the line that was written here")


def _linked(tip: str, data: object) -> tuple[bytes, str]:
    """The line that adds ``data`` after ``tip``, in its one spelling, and the new tip."""
    text = canonical(data)
    tip = hashlib.sha256(tip.encode() + b"\n" + text).hexdigest()[:16]
    return b'{"data":%b,"sum":"%b"}\n' % (text, tip.encode()), tip


def _decoded(content: bytes) -> Any:
    with suppress(RecursionError, ValueError):  # msgspec knows no lone surrogates
        return msgspec.json.decode(content)
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except (RecursionError, ValueError) as error:
        raise StateUnreadable(f"this is not JSON: {error}") from error
