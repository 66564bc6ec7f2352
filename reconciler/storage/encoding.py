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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.errors import StateUnreadable
from reconciler.model.state import STATE_FORMAT, Record, State, state_from_json, state_to_json

JOURNAL_FORMAT = 1
SIZE_CAP = 64 * 1024 * 1024
"""Bytes.  A state of 10,000 tests takes about 10 MiB; anything above the cap is not one of ours."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as read.  ``absorbed`` is the tip of the journal it was made from; "" before the first."""

    state: State
    absorbed: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """A journal as read: the snapshot it continues, its whole records in order, and its tip."""

    lineage: str
    serial: int
    records: tuple[Record, ...]
    tip: str


def canonical(data: object) -> bytes:
    """The one spelling of plain JSON data.  Raises StateUnreadable for what JSON can not hold, such as NaN."""
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (RecursionError, TypeError, ValueError) as error:
        raise StateUnreadable(f"this can not be written to a state: {error}") from error
    return _encoded(text)


def snapshot_bytes(state: State, absorbed: str) -> bytes:
    """The snapshot file: indented JSON with sorted keys, so that the same state has the same bytes."""
    data = {**state_to_json(state), "absorbed": absorbed}
    data["checksum"] = hashlib.sha256(canonical(data)).hexdigest()
    return _encoded(json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def parse_snapshot(content: bytes) -> Snapshot:
    """The inverse of ``snapshot_bytes``.  Raises StateUnreadable for anything but a whole, unchanged snapshot."""
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
    return _chained("", {"lineage": lineage, "serial": serial})


def header_line(lineage: str, serial: int, writer: str, **more: Any) -> bytes:
    """The first line of a journal.  ``writer`` is the lock that it is written under; a backend may say ``more``."""
    return _line("", {"journal": JOURNAL_FORMAT, "lineage": lineage, "serial": serial, "writer": writer, **more})


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
    return _data(line, "", 1)


def record_lines(tip: str, records: Sequence[Record]) -> tuple[bytes, str]:
    """The lines that add ``records`` to a journal with this tip, and its new tip."""
    lines = []
    for record in records:
        lines.append(_line(tip, record))
        tip = _chained(tip, record)
    return b"".join(lines), tip


def parse_journal(content: bytes) -> Lines:
    """The journal in ``content``, without the torn end of a last line that was never acknowledged.

    Raises StateUnreadable naming the line for any other damage.  The header is never torn: a journal file appears
    with it, in one piece.
    """
    first, *rest = _whole_lines(content)
    lineage, serial = _header(first)
    records, tip = [], empty_tip(lineage, serial)
    for number, line in enumerate(rest, start=2):
        records.append(_data(line, tip, number))
        tip = _chained(tip, records[-1])
    return Lines(lineage, serial, tuple(records), tip)


def _header(line: bytes) -> tuple[str, int]:
    """Lineage and serial."""
    header = parse_header(line)
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


def _data(line: bytes, tip: str, number: int) -> dict[str, Any]:
    """What one line holds.  Comparing whole lines catches what a digest of the meaning would not."""
    try:
        data = _decoded(line)["data"]
        if isinstance(data, dict) and _line(tip, data) == line + b"\n":
            return data
    except (KeyError, TypeError, StateUnreadable):
        pass
    raise StateUnreadable(f"line {number}: damaged, or not the line that was written here")


def _line(tip: str, data: object) -> bytes:
    return canonical({"data": data, "sum": _chained(tip, data)}) + b"\n"


def _chained(tip: str, data: object) -> str:
    return hashlib.sha256(tip.encode() + b"\n" + canonical(data)).hexdigest()[:16]


def _encoded(text: str) -> bytes:
    """UTF-8 in which a lone surrogate, which a vendor's JSON can hold, survives."""
    return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except (RecursionError, ValueError) as error:
        raise StateUnreadable(f"this is not JSON: {error}") from error
