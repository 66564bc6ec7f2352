"""Every case folder in tests/plans says, byte for byte, what is planned for it.

A case is a folder of manifests and of the world that they meet:

``live.yaml``     what the platform answers: the path of a list -> its items, spelled as the vendor spells them.
``state.json``    what we remember: address -> remote id, or {"id", "was", "not_yet", ...}.  Without more an entry
                  holds what the manifests say today; ``was`` gives fields their former values, ``not_yet`` names
                  fields that were not written then; other keys are those of an entry.  ``in doubt`` maps an
                  address to the operation id of a create that was never answered.
``options.json``  paths, environment, variables, adopt, select, acks, deny, destroy.
``plan.txt``      what a person reads, 80 columns wide, or the error; ``plan.json`` what a machine reads.

Set RECONCILER_UPDATE_CASES=1 to write down what is planned now; review the difference.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from msgspec.structs import replace

from reconciler.applying.memory import remembered
from reconciler.errors import ReconcilerError
from reconciler.manifests.validator import Loaded, load
from reconciler.model.call import Call, Reply
from reconciler.model.kind import Vendor
from reconciler.model.plan import Basis, Effect, Plan
from reconciler.model.resource import Address, Desired, Live
from reconciler.model.state import Entry, Intent, State, entry_from_json, entry_to_json
from reconciler.model.values import Fields
from reconciler.planning.planner import make_plan
from reconciler.planning.policy import Policy
from reconciler.planning.world import Options
from reconciler.providers.clock import RealClock
from reconciler.providers.openlayer import OPENLAYER
from reconciler.providers.reader import Roots, read_live
from reconciler.reporting.machine import plan_json
from reconciler.reporting.plan_schema import plan_schema
from reconciler.reporting.text import error_text, plan_text

CASES = Path(__file__).parent.parent / "plans"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
ORIGIN = "https://api.openlayer.com/v1"


@pytest.mark.parametrize("case", NAMES)
def test_what_is_planned(case: str) -> None:
    """The text and the JSON of the plan stand exactly as in ``plan.txt`` and ``plan.json``."""
    folder = CASES / case
    text, machine = _planned(folder)
    if os.environ.get("RECONCILER_UPDATE_CASES") == "1":
        (folder / "plan.txt").write_text(text, encoding="utf-8")
        (folder / "plan.json").write_text(machine, encoding="utf-8")
    assert text == (folder / "plan.txt").read_text(encoding="utf-8")
    assert machine == (folder / "plan.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", NAMES)
def test_the_schema_describes_it(case: str) -> None:
    """What a plan says to machines is what its schema promises."""
    document = json.loads((CASES / case / "plan.json").read_text(encoding="utf-8"))
    if "error" not in document:
        jsonschema.validate(document, plan_schema())
    assert document


def _planned(folder: Path) -> tuple[str, str]:
    """The plan as text and as JSON; for an error its text, and its name and exit code."""
    try:
        plan = _plan(folder)
    except ReconcilerError as error:
        machine = {"error": type(error).__name__, "exit_code": error.exit_code}
        return error_text(error, width=80, color=False), json.dumps(machine) + "\n"
    return plan_text(plan, width=80, color=False), plan_json(plan, tool="reconciler")


def _plan(folder: Path) -> Plan:
    options = _json(folder / "options.json")
    destroy = bool(options.get("destroy"))
    loaded = load(
        options.get("paths", ["manifests.yaml"]),
        root=folder,
        vendors=[OPENLAYER],
        environment=options.get("environment"),
        variables=options.get("variables"),
    )
    state = _state(_json(folder / "state.json"), loaded.desired)
    answers = folder / "live.yaml"
    lists = yaml.safe_load(answers.read_text(encoding="utf-8")) if answers.exists() else {}
    live = asyncio.run(_live(lists, loaded.desired, state))
    desired = replace(loaded.desired, resources={}) if destroy else loaded.desired
    basis = Basis(
        environment=options.get("environment", "production"),
        origins={"openlayer": ORIGIN},
        manifests="8f1d0c7e",
        lineage=state.lineage,
        state_serial=state.serial,
    )
    policy = Policy(_required(loaded), options.get("acks", {}), _denied(loaded, options), destroy)
    asked = Options(options.get("adopt", False), tuple(options.get("select", ())), policy)
    return make_plan(desired, live, state, OPENLAYER.kinds, asked, basis)


def _required(loaded: Loaded) -> frozenset[str]:
    return frozenset(loaded.environment.policy.require) if loaded.environment else frozenset()


def _denied(loaded: Loaded, options: dict[str, Any]) -> frozenset[Effect]:
    there = loaded.environment.policy.deny if loaded.environment else ()
    return frozenset(Effect(word) for word in (*there, *options.get("deny", ())))


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return content


# ---------------------------------------------------------------------------------------- what we remember


def _state(written: dict[str, Any], desired: Desired) -> State:
    doubts = written.pop("in doubt", {})
    return State(
        lineage="5f0c6f2e",
        serial=7,
        origins={"openlayer": ORIGIN},
        entries={Address.parse(text): _entry(Address.parse(text), value, desired) for text, value in written.items()},
        in_doubt={Address.parse(text): Intent(op, source="manifests.yaml") for text, op in doubts.items()},
    )


def _entry(address: Address, value: str | dict[str, Any], desired: Desired) -> Entry:
    known: dict[str, Any] = {"id": value} if isinstance(value, str) else dict(value)
    remote_id, was, not_yet = known.pop("id"), known.pop("was", {}), known.pop("not_yet", [])
    resource = desired.resources.get(address)
    today = (
        remembered(resource, OPENLAYER.kind(address.kind), remote_id, None)
        if resource
        else Entry(remote_id, source="manifests.yaml")
    )
    applied = {name: field for name, field in {**today.applied, **was}.items() if name not in not_yet}
    return entry_from_json({**entry_to_json(today), "applied": applied, **known})


# ---------------------------------------------------------------------------------------- what is there


@dataclass
class _Platform:
    """A vendor that answers every list with the items of a file, all of them on the first page."""

    lists: dict[str, list[Fields]]
    vendor: Vendor = OPENLAYER
    origin: str = ORIGIN
    dialect: str = ""
    requests: int = 0

    async def send(self, call: Call, permit: object = None) -> Reply:
        self.requests += 1
        items = self.lists.get(call.path, []) if call.query["page"] == 1 else []
        return Reply(200, {"items": [*items]})

    async def close(self) -> None:
        """There is nothing to close."""


async def _live(lists: dict[str, list[Fields]], desired: Desired, state: State) -> Live:
    former = [address for resource in desired for address in resource.renamed_from]
    ids = {address: entry.remote_id for address, entry in state.entries.items()}
    roots = Roots.of((*desired.resources, *former, *state.in_doubt), ids)
    return await read_live(_Platform(lists), RealClock(), roots)
