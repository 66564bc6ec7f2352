"""The real pipeline against an emulator over a real socket, for any kind; what it needs beyond a kind's own example
stands in ``samples.yaml``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from msgspec.structs import replace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean.application import LISTS
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.faults import Faults, FaultScript, ListForm
from reconciler.emulator.server import running
from reconciler.model.kind import AnyKind, Vendor
from reconciler.model.plan import Plan
from reconciler.model.resource import Address, LiveObject
from reconciler.model.secrecy import opened
from reconciler.model.spec import Mark
from reconciler.model.state import State
from reconciler.model.values import Fields, Json
from reconciler.pipeline.applying import Applied, apply
from reconciler.pipeline.planning import Planned, plan
from reconciler.pipeline.session import Request, Session, session
from reconciler.providers import KINDS, VENDORS
from reconciler.settings import Settings
from tests.by_hand import PLAIN
from tests.virtual_time import VirtualClock

T = TypeVar("T")
Doc = dict[str, Any]
KEY = "canary-key-3c1f9a"
LIST_FORMS = {"openlayer": ListForm(), "digitalocean": LISTS}
SAMPLES: dict[str, Doc] = yaml.safe_load(Path(__file__).with_name("samples.yaml").read_text(encoding="utf-8"))


class Door:
    """What the socket leads to.  Tests put a fresh application behind it; ``seen`` holds (method, path).

    What is done by hand is not seen, and nothing ever goes wrong with it.
    """

    def __init__(self) -> None:
        self.app: ASGIApp = create_app()
        self.well: Any = self.app
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        # A method, and what somebody does before the next request with it is carried out.
        self.meanwhile: tuple[str, Callable[[], object]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"user-agent", b"by-hand") in scope["headers"]:
            await self.well(scope, receive, send)
            return
        self.seen.append((scope["method"], scope["path"]))
        if self.meanwhile is not None and scope["method"] == self.meanwhile[0]:
            work, self.meanwhile = self.meanwhile[1], None
            await asyncio.to_thread(work)
        await self.app(scope, receive, send)


class Carried:
    """Keeps the bodies of the writes that reach the application, whatever becomes of their answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.bodies: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def kept() -> Message:
            message = await receive()
            self.bodies.append(message.get("body", b"").decode())
            return message

        await self._app(scope, receive if scope["method"] == "GET" else kept, send)


@dataclass(frozen=True)
class Sample:
    """One kind, and how its objects are declared, found, made and edited."""

    kind: AnyKind
    data: Doc

    @property
    def vendor(self) -> Vendor:
        return next(vendor for vendor in VENDORS if self.kind in vendor.kinds)

    @property
    def example(self) -> Fields:
        """The kind's example, with what must be written so that the object is ours to make."""
        return {**self.kind.example, **self.data.get("always", {})}

    @property
    def name(self) -> str:
        return str(self.kind.example["name"])

    @property
    def files(self) -> Mapping[str, str]:
        """The files that manifests name."""
        return dict(self.data.get("files", {}))

    def written(self, fields: Fields) -> Fields:
        """What a resource with these fields wants: of a file its size and the beginning of its digest."""
        spec = self.kind.spec.model_validate(fields).written()
        named = {name for name, shape in self.kind.shapes.items() if Mark.FILE in shape.marks}
        return {name: self._file(str(value)) if name in named else value for name, value in spec.items()}

    def _file(self, name: str) -> Fields:
        content = self.files[name].encode()
        return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()[:12]}

    def value(self, name: str, which: str) -> Json:
        """One of the two values of a field."""
        value: Json = self.data["fields"][name][which]
        return value

    def writing(self, name: str, which: str = "one") -> Fields:
        """The example with this field written, and what it takes for that to make sense."""
        return {**self.example, **self.data["fields"][name].get("with", {}), name: self.value(name, which)}

    def everything(self, which: str = "one") -> Fields:
        """The example with every field written that goes together with the others."""
        fields = self.example
        for name in self.data["fields"]:
            if name not in self.data.get("apart", ()):
                fields.update(self.data["fields"][name].get("with", {}), **{name: self.value(name, "one")})
        changing = self.mutable if which == "other" else ()
        return {**fields, **{name: self.value(name, "other") for name in changing}}

    @property
    def mutable(self) -> tuple[str, ...]:
        """The fields that can be changed in place, without those of the identity."""
        return tuple(name for name in self.kind.shapes if name in self.data["fields"] and not self.is_fixed(name))

    def is_fixed(self, name: str) -> bool:
        return Mark.CREATE_ONLY in self.kind.shapes[name].marks or name in self.kind.identity


@dataclass
class Loop:
    """Manifests in a folder, a state beside them, and an emulator; everything through the front door."""

    sample: Sample
    root: Path
    door: Door
    hand: httpx.Client
    carried_out: list[str]
    marked: bool = True

    # ---------------------------------------------------------------------------------- what is wanted

    def declare(self, *items: Fields) -> None:
        """Let the manifests ask for these objects of the kind, inside the examples of what they are declared in."""
        for file in self.root.glob("*.yaml"):
            file.unlink()
        for name, content in self.sample.files.items():
            (self.root / name).write_text(content, encoding="utf-8", newline="")
        kind, beside = self.sample.kind, self.sample.data.get("beside", {})
        if kind.document is None:  # so that there is something left when the last one goes
            items = (*items, {**self.sample.example, "name": "another"})
        while kind.document is not None:
            parent = KINDS[kind.document]
            lists = dict(beside)
            if kind.plural and items:
                lists[kind.plural] = [*lists.get(kind.plural, ()), *items]
            kind, items, beside = parent, ({**parent.example, **lists},), {}
        if not self.marked:
            environment = {"apiVersion": "reconciler/v1", "kind": "Environment", "metadata": {"name": "production"}}
            document = {**environment, "spec": {"ownership": "state"}}
            (self.root / "environment.yaml").write_text(json.dumps(document), encoding="utf-8")
        for index, item in enumerate(items):
            self.declare_document(kind, item, f"{index}.yaml")

    def declare_document(self, kind: AnyKind, item: Fields, file: str = "0.yaml") -> None:
        """A manifest of a kind."""
        document = {
            "apiVersion": self.sample.vendor.api_version,
            "kind": kind.word,
            "metadata": {name: item[name] for name in ("name", "renamedFrom") if name in item},
            "spec": {name: value for name, value in item.items() if name not in ("name", "renamedFrom")},
        }
        (self.root / file).write_text(json.dumps(document), encoding="utf-8")

    # -------------------------------------------------------------------------------------- running it

    def plan(self, **options: Any) -> Plan:
        return self.planned(**options).plan

    def planned(self, **options: Any) -> Planned:
        return self._run(plan, options)

    def apply(self, **options: Any) -> Applied:
        """Apply; every step must be done, and come back as it was sent."""
        applied = self.try_apply(**options)
        assert [outcome for outcome in applied.outcomes if outcome.status != "done"] == []
        assert applied.unsettled == applied.not_taken == ()
        return applied

    def try_apply(self, **options: Any) -> Applied:
        """Apply, whatever comes of it."""
        return self._run(apply, options)

    def _run(self, work: Callable[[Session], Awaitable[T]], options: dict[str, Any]) -> T:
        environ = {
            self.sample.vendor.url_variable: self.base_url,
            self.sample.vendor.key_variable: KEY,
            "RECONCILER_UNCERTAINTY_WINDOW": "60s",
        }
        environment = None if self.marked else "production"
        request = replace(Request(root=self.root, environment=environment), **options)

        async def main() -> T:
            async with session(request, Settings.from_environ(environ)) as here:
                here.clock = VirtualClock()
                return await work(here)

        return asyncio.run(main())

    def state(self) -> State:
        """What is remembered."""

        async def load(here: Session) -> State:
            return here.store.load()

        return self._run(load, {})

    def writes(self, work: Callable[[], object]) -> list[tuple[str, str]]:
        """The requests beside GET that the work makes."""
        before = len(self.door.seen)
        work()
        return [(method, path) for method, path in self.door.seen[before:] if method != "GET"]

    def fail(self, *rules: Doc) -> None:
        """Let requests go wrong from now on, as a fault script says."""
        self.door.app = Faults(
            self.door.app,
            FaultScript.from_json(list(rules)),
            error_body=lambda code, text: {"code": code, "error": text, "message": text},
            lists=LIST_FORMS[self.sample.vendor.name],
        )

    # -------------------------------------------------------------------------------- what is there

    @property
    def address(self) -> Address:
        """The address of the example."""
        path: list[str] = []
        kind: AnyKind | None = self.sample.kind
        while kind is not None:
            fields = {**dict.fromkeys(kind.identity, ""), **kind.complete(dict(kind.example))}
            path = [str(fields[name]) for name in kind.identity] + path
            kind = KINDS[kind.parent] if kind.parent else None
        return Address(self.sample.kind.id, tuple(path))

    def live(self) -> LiveObject:
        """The object as we read it, with the values of what is sensitive."""
        (found,) = [each for each in self.planned().live.objects if each.address == self.address and not each.archived]
        return replace(found, fields=opened(found.fields, self.sample.kind.sensitive, found.secrets))

    @property
    def base_url(self) -> str:
        """The vendor's, at the emulator."""
        return self.door.url + urlsplit(self.sample.vendor.base_url).path

    @property
    def parent_id(self) -> str | None:
        """The id of what the example lives in; None for a root."""
        if self.sample.kind.parent is None:
            return None
        parent = Sample(KINDS[self.sample.kind.parent], SAMPLES[self.sample.kind.parent])
        (found,) = dataclasses.replace(self, sample=parent).objects()
        return str(found["id"])

    @property
    def glob(self) -> str:
        """The path that makes one, for fault scripts."""
        last = self.sample.data["create"][-1]["request"].partition(" ")[2]
        return re.sub(r"\{\w+\}", "*", last)

    def objects(self, named: str = "") -> list[Doc]:
        """All objects of the example's name, or of such a name, archived ones too, as the platform shows them; and the
        "id" of each.
        """
        shown = self.sample.data["shown"]
        path = str(self.sample.data["list"]).replace("{parent}", str(self.parent_id))
        items = self.hand.get(path).json().get(shown["items"], [])
        named = named or shown.get("named", re.escape(self.sample.name))
        return [{**item, "id": item[shown["id"]]} for item in items if re.fullmatch(named, item[shown["name"]])]

    def active(self) -> list[Doc]:
        return [item for item in self.objects() if not (item.get("archived") or item.get("archived_at"))]

    def make_by_hand(self) -> Doc:
        """A person makes an object of the same name."""
        before = self.objects()
        self._do_by_hand(self.sample.data["create"], {"parent": self.parent_id})
        (made,) = [item for item in self.objects() if item not in before]
        return made

    def edit_by_hand(self, item: Doc) -> None:
        """A person changes what the example does not write."""
        self._do_by_hand([self.sample.data["edit"]], item)

    def remove_by_hand(self, item: Doc) -> None:
        """A person removes an object for good."""
        self._do_by_hand([self.sample.data["remove"]], item)

    def _do_by_hand(self, steps: list[Doc], known: Doc) -> None:
        """``known`` grows by what each answer holds; ``{a.0.b}`` in a step stands for what is found there."""
        for step in steps:
            if "console" in step:
                getattr(getattr(self.door.well.state, self.sample.vendor.name), step["console"])(known["id"])
                continue
            method, path = _filled(step["request"], known).split()
            body = {"json": _filled(step["body"], known)} if "body" in step else {"content": step.get("content")}
            signed = "content" in step
            answer = (httpx if signed else self.hand).request(method, path, **body)
            assert answer.is_success, answer.text
            known = {**known, **(answer.json() if answer.content and not signed else {})}


def _filled(template: Any, known: Any) -> Any:
    """The template with each ``{a.0.b}`` replaced by what ``known`` holds there."""
    if isinstance(template, dict):
        return {key: _filled(value, known) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, known) for value in template]
    if not isinstance(template, str):
        return template
    return re.sub(r"\{([\w.]+)\}", lambda found: str(_at(known, found[1].split("."))), template)


def _at(value: Any, path: list[str]) -> Any:
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.fixture(scope="session")
def door() -> Iterator[Door]:
    """One socket for all tests."""
    opened = Door()
    with running(opened) as opened.url:
        yield opened


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only protobuf's JSON leaves zeros out: the other vendors' kinds are not tested a second time."""
    config.hook.pytest_deselected(items=[item for item in items if not _is_meant(item)])
    items[:] = [item for item in items if _is_meant(item)]


def _is_meant(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    kind = parameters.get("kind")
    return not parameters.get("make_loop") or (kind is not None and kind.id.startswith("digitalocean."))


@pytest.fixture(params=[False, True], ids=["zeros", "no zeros"])
def make_loop(tmp_path: Path, door: Door, request: pytest.FixtureRequest) -> Iterator[Callable[..., Loop]]:
    """A loop for a kind, on a platform that is empty but for what its sample needs; ``marked=False`` goes without
    ownership markers.  Once more where zeros are left out of the answers.
    """
    opened: list[Any] = []
    headers = {"Authorization": f"Bearer {KEY}", "User-Agent": "by-hand"}

    def make(kind: AnyKind, **options: Any) -> Loop:
        assert kind.id in SAMPLES, f"write a sample of {kind.id} in tests/contract/samples.yaml"
        sample = Sample(kind, SAMPLES[kind.id])
        account = {"quota": None, "omit_zeros": request.param, **sample.data.get("account", {})}
        opened.append(create_app(seed=Seed.from_json(account)))
        door.well, door.meanwhile = opened[-1], None
        carried = door.app = Carried(door.well)
        return Loop(sample, tmp_path, door, hand, carried.bodies, **options)

    with httpx.Client(base_url=door.url, headers=headers, **PLAIN) as hand:
        yield make
    for app in opened:
        app.state.database.close()


@pytest.fixture
def samples() -> dict[str, Doc]:
    """``samples.yaml``."""
    return SAMPLES
