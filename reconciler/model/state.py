"""What we remember between runs, and how journal records change it.  Pure: ``fold`` is the whole truth.

A state is a snapshot plus the journal that came after it.  Records are written one JSON object a line; each says
what was about to be sent (``intent``) or what came of it (``done``, ``removed``, ...).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from msgspec import Struct, convert, field, to_builtins
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.resource import Address, Gate
from reconciler.model.values import Fields

STATE_FORMAT = 1
REMEMBERED_PLANS = 100
"""Digests of applied plans that a state keeps: whoever applies an older one again gets what its steps still say."""


class Entry(Struct, frozen=True):
    """One resource that is ours.

    ``applied`` is what the user had written when we last wrote or confirmed it.  ``op`` is the operation id in
    the marker, None when the object carries none.  ``retiring`` are older objects of the same address that a
    replace still has to archive.  ``archived`` keeps a removed resource, so that it is un-archived when it
    returns.  ``unlisted``: we made it, and have seen it in no list yet.  ``gate`` is how its results counted by then;
    None where nobody has written that down: it has none, or an older version, or a person, made the entry.
    """

    remote_id: str
    applied: dict[str, Any] = field(default_factory=dict)  # Fields, in words that msgspec checks what it decodes by
    op: str | None = None
    protect: bool = False
    on_removal: str = "keep"
    source: str = ""
    archived: bool = False
    retiring: tuple[str, ...] = ()
    unlisted: bool = False
    gate: Gate | None = None

    def without(self, names: Container[str]) -> Entry:
        """The same where nobody knows that these fields have arrived."""
        return replace(self, applied={name: value for name, value in self.applied.items() if name not in names})


class Intent(Struct, frozen=True):
    """A create that was about to be sent and whose outcome nobody has written down yet.

    The rest is what an ``Entry`` of its object is to say, should the manifests not ask for it any more; ``source`` is
    empty where an older version wrote it.
    """

    op: str
    attempts: int = 1
    protect: bool = False
    on_removal: str = "keep"
    source: str = ""

    def entry(self, remote_id: str) -> Entry:
        """What is remembered of the object that the create has made."""
        return Entry(remote_id, protect=self.protect, on_removal=self.on_removal, source=self.source)


class State(Struct, frozen=True):
    """Everything we remember of one environment.

    ``lineage`` says which state this is (random, made once), ``serial`` which version of it.  ``origins`` binds it
    to the platforms it was made for.  ``consumed`` holds digests of the last saved plans that were applied;
    ``started`` the digest of one that was begun and not finished.

    ``touched`` are the resources that the last apply changed; as long as it is ``unsettled`` (cut short, or not yet
    verified) what the next one changes is added to them.  ``before`` is what was at the platform before an apply that
    may have to be rolled back, by the address of each resource that it touched (``pipeline.rolling_back`` reads it);
    ``going_back``: that was begun, so part of it may be there again.
    ``plain``: no apply that left it unsettled was asked to verify anything; so the next such one that ends settles it.
    ``unverified``: nobody asked the last apply to verify what it changed, and no gate has held for it since.
    ``measured`` is what is no object at the platform, as it was declared when its gate held after an apply.
    ``declared`` is the same, with its gate, as the last apply settled it (``planning.virtual`` reads it).
    ``moved_to`` is where everything went; nobody can load such a state any more.
    """

    lineage: str = ""
    serial: int = 0
    origins: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[Address, Entry] = field(default_factory=dict)
    in_doubt: Mapping[Address, Intent] = field(default_factory=dict)
    tasks: Mapping[str, Fields] = field(default_factory=dict)
    consumed: tuple[str, ...] = ()
    started: str = ""
    touched: tuple[Address, ...] = ()
    unsettled: bool = False
    plain: bool = False
    unverified: bool = False
    before: Mapping[Address, Fields] = field(default_factory=dict)
    going_back: bool = False
    measured: Mapping[Address, Fields] = field(default_factory=dict)
    declared: Mapping[Address, Fields] = field(default_factory=dict)
    moved_to: str = ""


Record = dict[str, Any]
"""One journal line: ``{"record": "intent" | "done" | ..., "address": ..., ...}``.

A ``done`` or ``removed`` with ``in_doubt`` is about the object that was remembered: what a create may have made beside
it stays in doubt.
"""


def fold(state: State, records: Iterable[Record]) -> State:
    """The state after ``records``, in order.  Raises StateUnreadable as ``Folding`` does."""
    folding = Folding(state)
    folding.take(records)
    return folding.state()


class Folding:
    """A state that records are carried into, a few at a time.

    ``renamed`` is what was moved with what stands in it, (former, address) in order.
    """

    def __init__(self, state: State) -> None:
        self.renamed: list[tuple[Address, Address]] = []
        self._former = state
        self._addresses = _Addresses()
        self._entries, self._in_doubt = dict(state.entries), dict(state.in_doubt)
        self._inside = _Inside(self._entries)
        self._tasks, self._origins = dict(state.tasks), dict(state.origins)
        self._consumed, self._started = state.consumed, state.started
        self._touched, self._before = dict.fromkeys(state.touched), dict(state.before)
        self._unsettled, self._plain, self._unverified = state.unsettled, state.plain, state.unverified
        self._going_back = state.going_back
        self._measured, self._declared = dict(state.measured), dict(state.declared)

    def state(self) -> State:
        """The state by now; what is taken later leaves it as it is."""
        return replace(
            self._former,
            origins=dict(self._origins),
            entries=dict(self._entries),
            in_doubt=dict(self._in_doubt),
            tasks=dict(self._tasks),
            consumed=self._consumed,
            started=self._started,
            touched=tuple(self._touched),
            unsettled=self._unsettled,
            plain=self._plain,
            unverified=self._unverified,
            before=dict(self._before),
            going_back=self._going_back,
            measured=dict(self._measured),
            declared=dict(self._declared),
        )

    def take(self, records: Iterable[Record]) -> None:
        """Carry ``records`` in, after those that were taken before.

        Raises StateUnreadable for a record that this version does not know or that lacks something: skipping it
        could lose an object.
        """
        try:
            for record in records:
                if "address" in record:
                    self._take_of_one(self._addresses[record["address"]], record)
                else:
                    self._take_of_run(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StateUnreadable(f"the journal holds a damaged record: {error!r:.200}") from error

    def _take_of_one(self, address: Address, record: Record) -> None:
        """What came of one resource."""
        match record["record"]:
            case "intent":
                self._in_doubt[address] = intent_from_json(record)
            case "not_applied":
                self._in_doubt.pop(address, None)
            case "done":
                self._drop_doubt(address, record)
                self._entries[address] = entry_from_json(record["entry"])
                self._inside.add(address)
            case "removed":
                self._drop_doubt(address, record)
                self._entries.pop(address, None)
                if not record.get("alone", False):
                    self._inside.drop_archived(address)
            case "renamed":
                self._inside = _Inside(self._entries)
                former, is_alone = Address.parse(record["former"]), bool(record.get("alone", False))
                if not is_alone:
                    self.renamed.append((former, address))
                tables = (self._entries, self._in_doubt, self._touched, self._before, self._measured, self._declared)
                for table in tables:
                    _move(table, former, address, is_alone=is_alone)
            case unknown:
                raise _not_known(unknown)

    def _drop_doubt(self, address: Address, record: Record) -> None:
        if not record.get("in_doubt", False):
            self._in_doubt.pop(address, None)

    def _take_of_run(self, record: Record) -> None:
        """What concerns several resources, or none."""
        match record["record"]:
            case "listed":
                for each in [self._addresses[text] for text in record["addresses"]]:
                    if each in self._entries:
                        self._entries[each] = replace(self._entries[each], unlisted=False)
            case "origins":
                self._origins.update(_texts_by_text(record["origins"]))
            case "task":
                self._tasks[_text(record["key"])] = _mapping(record["task"])
            case "task_over":
                self._tasks.pop(record["key"], None)
            case "plan_started":
                self._started = _text(record["digest"])
            case "plan_applied":
                self._consumed, self._started = (*self._consumed, _text(record["digest"]))[-REMEMBERED_PLANS:], ""
            case "changing":
                self._begin_to_change(record)
            case "going_back":
                self._going_back = True
            case "settled":
                self._settle(record)
            case "measured":
                self._measured = {self._addresses[key]: _mapping(told) for key, told in record["declared"].items()}
            case "declared":
                self._declared = {self._addresses[key]: _mapping(told) for key, told in record["declared"].items()}
            case unknown:
                raise _not_known(unknown)

    def _begin_to_change(self, record: Record) -> None:
        """An apply adds what it changes to what the ones before it have left unsettled."""
        changing = [self._addresses[each] for each in record["addresses"]]
        self._touched = {**(self._touched if self._unsettled else {}), **dict.fromkeys(changing)}
        self._before = {Address.parse(key): _mapping(value) for key, value in record.get("before", {}).items()}
        self._plain = record.get("verify") is False and (self._plain or not self._unsettled)
        self._unsettled, self._unverified = True, False
        _drop_notes_about(self._tasks, changing)

    def _settle(self, record: Record) -> None:
        """What was changed is ``kept`` as it is now, or it was rolled back; what is ``left`` nobody has settled."""
        left = {Address.parse(each) for each in record.get("left", ())}
        if not record["kept"]:
            _drop_notes_about(self._tasks, self._touched.keys() - left)
            self._touched = dict.fromkeys(sorted(left))
        self._unverified = record.get("verified") is False and bool(self._touched)
        self._unsettled, self._plain = bool(left), self._plain and bool(left)
        self._before = {each: self._before[each] for each in self._before if each in left}
        self._going_back = self._going_back and bool(self._before)


def done(address: Address, entry: Entry, doubt: Intent | None = None) -> Record:
    """The record that remembers ``entry``.

    ``doubt`` is what is in doubt at the address, where the object may be another one: its marker tells.
    """
    record: Record = {"record": "done", "address": str(address), "entry": entry_to_json(entry)}
    return record if doubt is None or doubt.op == entry.op else {**record, "in_doubt": True}


def _not_known(kind: object) -> StateUnreadable:
    return StateUnreadable(
        f"the journal holds a record of the unknown kind {kind!r}",
        hint="it was written by a newer version; use that version",
    )


def _drop_notes_about(tasks: dict[str, Fields], changing: Iterable[Address]) -> None:
    """An evaluation that is under way tells nothing about what a test is going to be."""
    gone = {str(address) for address in changing} if tasks else set()
    for key in [key for key, note in tasks.items() if note.get("address") in gone]:
        del tasks[key]


def _move(table: dict[Address, Any], former: Address, address: Address, *, is_alone: bool) -> None:
    """Carry ``former`` over to ``address``; a root carries everything of its vendor that stands inside it.

    ``is_alone``: nothing can, and what seems to is in a root of another kind and the same name.
    """
    if former.is_root and not is_alone:
        moved = [known for known in table if known == former or _is_inside(known, former)]
    else:
        moved = [former] if former in table else []
    for known in moved:
        place, value = Address(known.kind, address.path + known.path[len(former.path) :]), table.pop(known)
        there = table.get(place)
        is_entry = isinstance(value, Entry) and isinstance(there, Entry)
        table[place] = in_place_of(there, value) if is_entry else value


def in_place_of(there: Entry | None, entry: Entry) -> Entry:
    """``entry`` at an address where ``there`` is remembered: another object in use is not lost, but has to go."""
    if there is None or there.archived or there.remote_id in (entry.remote_id, *entry.retiring):
        return entry
    return replace(entry, retiring=(*entry.retiring, there.remote_id))


def _is_inside(known: Address, root: Address) -> bool:
    """Whether ``known`` is below ``root``; another root of the same name is not."""
    return root.is_root and not known.is_root and known.vendor == root.vendor and known.root == root.name


class _Inside:
    """The entries by the root that they stand in, looked for once and only when a root goes."""

    def __init__(self, entries: dict[Address, Entry]) -> None:
        self._entries = entries
        self._by_root: dict[tuple[str, str], set[Address]] | None = None

    def add(self, address: Address) -> None:
        if self._by_root is not None:
            self._by_root.setdefault((address.vendor, address.root), set()).add(address)

    def drop_archived(self, root: Address) -> None:
        """What was archived inside a root that is gone cannot return."""
        if not root.is_root:
            return
        if self._by_root is None:
            self._by_root = {}
            for address in self._entries:
                self.add(address)
        there = self._by_root.get((root.vendor, root.name), set())
        for known in [each for each in there if not each.is_root and each in self._entries]:
            if self._entries[known].archived:
                del self._entries[known]


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Plain data for one entry; what is at its default is left out."""
    record: dict[str, Any] = {"remote_id": entry.remote_id, "applied": entry.applied}
    if entry.op is not None:
        record["op"] = entry.op
    if entry.protect:
        record["protect"] = True
    if entry.on_removal != "keep":
        record["on_removal"] = entry.on_removal
    if entry.source:
        record["source"] = entry.source
    if entry.archived:
        record["archived"] = True
    if entry.retiring:
        record["retiring"] = list(entry.retiring)
    if entry.unlisted:
        record["unlisted"] = True
    if entry.gate is not None:
        record["gate"] = gate_to_json(entry.gate)
    return record


def entry_from_json(record: Mapping[str, Any]) -> Entry:
    """The inverse of ``entry_to_json``.  Raises KeyError when the remote id is missing, TypeError for a wrong type."""
    return Entry(
        remote_id=_text(record["remote_id"]),
        applied=_mapping(record.get("applied", {})),
        op=None if record.get("op") is None else _text(record["op"]),
        protect=bool(record.get("protect", False)),
        on_removal=_text(record.get("on_removal", "keep")),
        source=_text(record.get("source", "")),
        archived=bool(record.get("archived", False)),
        retiring=_texts(record.get("retiring", [])),
        unlisted=bool(record.get("unlisted", False)),
        gate=None if record.get("gate") is None else convert(record["gate"], Gate),
    )


_USUAL_GATE = Gate()


def gate_to_json(gate: Gate) -> dict[str, Any]:
    """Plain data for a gate; what is at its default is left out, which is all for nearly every one."""
    if gate == _USUAL_GATE:
        return {}
    usual = to_builtins(_USUAL_GATE)
    return {name: value for name, value in to_builtins(gate).items() if value != usual[name]}


def intent_to_json(intent: Intent) -> dict[str, Any]:
    """Plain data for one intent; of what its object is to say only what is not at its default."""
    data: dict[str, Any] = {"op": intent.op, "attempts": intent.attempts}
    if intent.protect:
        data["protect"] = True
    if intent.on_removal != "keep":
        data["on_removal"] = intent.on_removal
    if intent.source:
        data["source"] = intent.source
    return data


def intent_from_json(record: Mapping[str, Any]) -> Intent:
    """The inverse of ``intent_to_json``.  Raises KeyError when the operation is missing, TypeError for a wrong type."""
    return Intent(
        op=_text(record["op"]),
        attempts=_whole(record.get("attempts", 1)),
        protect=bool(record.get("protect", False)),
        on_removal=_text(record.get("on_removal", "keep")),
        source=_text(record.get("source", "")),
    )


def entries_from_json(data: Mapping[str, Any]) -> dict[str, Entry]:
    """The entries of a state, or some of them, by the text of their address.  Raises StateUnreadable."""
    try:
        return {key: entry_from_json(value) for key, value in data.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StateUnreadable(f"the state is damaged: {error!r:.200}") from error


class _Addresses(dict[str, Address]):
    """Addresses by their text: one that stands in several places is parsed once and held once."""

    def __missing__(self, text: str) -> Address:
        address = self[text] = Address.parse(text)
        return address


def state_to_json(state: State) -> dict[str, Any]:
    """Plain data for the snapshot file, sorted, so that the same state has the same bytes."""
    return {
        "format": STATE_FORMAT,
        "lineage": state.lineage,
        "serial": state.serial,
        "origins": dict(sorted(state.origins.items())),
        "consumed": list(state.consumed),
        "started": state.started,
        "entries": {str(address): entry_to_json(state.entries[address]) for address in sorted(state.entries)},
        "in_doubt": {
            str(address): intent_to_json(intent)
            for address, intent in sorted(state.in_doubt.items(), key=lambda pair: pair[0])
        },
        "tasks": dict(sorted(state.tasks.items())),
        **_last_apply_to_json(state),
    }


def _last_apply_to_json(state: State) -> dict[str, Any]:
    """What an older version does not know, and need not: left out where there is nothing to say."""
    data: dict[str, Any] = {}
    if state.touched:
        data["touched"] = [str(address) for address in state.touched]
    if state.unsettled:
        data["unsettled"] = True
    if state.plain:
        data["plain"] = True
    if state.unverified:
        data["unverified"] = True
    if state.before:
        data["before"] = {str(address): state.before[address] for address in sorted(state.before)}
    if state.going_back:
        data["going_back"] = True
    if state.measured:
        data["measured"] = {str(address): state.measured[address] for address in sorted(state.measured)}
    if state.declared:
        data["declared"] = {str(address): state.declared[address] for address in sorted(state.declared)}
    if state.moved_to:
        data["moved_to"] = state.moved_to
    return data


def state_from_json(data: Mapping[str, Any], entries: Mapping[str, Entry] | None = None) -> State:
    """The inverse of ``state_to_json``.  Raises StateUnreadable for a newer format, missing keys and what was moved.

    ``entries``, by the text of their address, are those of the data where somebody has read them already.
    """
    if data.get("format") != STATE_FORMAT:
        raise StateUnreadable(
            f"the state has format {data.get('format')!r}; this version reads {STATE_FORMAT}",
            hint="use the version of reconciler that wrote it",
        )
    if data.get("moved_to"):
        raise StateUnreadable(
            f"the state was moved to {data['moved_to']!s:.200}",
            hint="name that place (state.url of the Environment, RECONCILER_STATE_URL); this checkout may be behind",
        )
    addresses = _Addresses()
    try:
        if entries is None:
            entries = entries_from_json(data["entries"])
        return State(
            lineage=_text(data["lineage"]),
            serial=_whole(data["serial"]),
            origins=_texts_by_text(data["origins"]),
            consumed=_texts(data["consumed"]),
            started=_text(data["started"]),
            entries={addresses[key]: entry for key, entry in entries.items()},
            in_doubt={addresses[key]: intent_from_json(value) for key, value in data["in_doubt"].items()},
            tasks={key: _mapping(task) for key, task in data["tasks"].items()},
            touched=tuple([addresses[each] for each in data.get("touched", ())]),
            unsettled=bool(data.get("unsettled", False)),
            plain=bool(data.get("plain", False)),
            unverified=bool(data.get("unverified", False)),
            before={addresses[key]: _mapping(value) for key, value in data.get("before", {}).items()},
            going_back=bool(data.get("going_back", False)),
            measured={addresses[key]: _mapping(value) for key, value in data.get("measured", {}).items()},
            declared={addresses[key]: _mapping(value) for key, value in data.get("declared", {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StateUnreadable(f"the state is damaged: {error!r:.200}") from error


# A checksum tells that nothing was damaged by chance.  Whoever edits a state can make a checksum too, and what is read
# here decides what is deleted: so nothing is taken for what it is not.


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{str(value)[:40]!r} stands where a text belongs")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(_text, value))
    raise TypeError(f"{str(value)[:40]!r} stands where a list belongs")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TypeError(f"{str(value)[:40]!r} stands where a number belongs")


def _mapping(value: object) -> Fields:
    if isinstance(value, dict):
        return value
    raise TypeError(f"{str(value)[:40]!r} stands where a mapping belongs")


def _texts_by_text(value: object) -> dict[str, str]:
    return {key: _text(each) for key, each in _mapping(value).items()}
