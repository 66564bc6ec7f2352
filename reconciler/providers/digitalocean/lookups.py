"""What DigitalOcean's evaluations refer to and we never make: metrics and agents.

Metrics are a catalogue of the account (GET /evaluation_metrics, agent scope); agents live in workspaces and belong to
Terraform.  Agents carry API keys: nothing but what is needed leaves the reader.
Source: pydo 0.44.0, digitalocean/openapi @7c1300c; 2026-08.
"""

from collections.abc import Callable, Sequence

from reconciler.model.call import Flow, Wire
from reconciler.model.kind import Kind
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Spec
from reconciler.model.values import Fields
from reconciler.providers.digitalocean.routes import at, paged_list, text_of, whole_list

RUNNING = "STATUS_RUNNING"
DEPRECATED = frozenset({"tone", "retrieved chunk usage", "prompt perplexity"})
"""Given up on 2026-06-30 (docs "Evaluations Release Notes"); the catalogue may still list them."""


def near(name: str, known: Sequence[str]) -> str:
    """``; did you mean "..."?``, or what there is; for the end of a message."""
    if mean := did_you_mean(name, known, 0.5):
        return f"; {mean}"
    return f"; there is {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "; there is none"


class Metric(Spec):
    """A metric of the catalogue.  Never declared."""


class Agent(Spec):
    """An agent in a workspace.  Never declared."""


def _list_metrics(_: str | None, __: Wire) -> Flow[list[Fields]]:
    return whole_list(at("evaluation_metrics"), "metrics", "metric_uuid")


def _read_metric(item: Fields, _: tuple[str, ...], __: Callable[[str, str], str | None]) -> LiveObject | None:
    if not item.get("metric_name"):
        return None
    fields: Fields = {"name": item["metric_name"]}
    return LiveObject(
        address=METRIC.address((), fields),
        remote_id=str(item["metric_uuid"]),
        fields=fields,
        rank=(str(item["metric_uuid"]),),
        details={
            "valueType": text_of(item.get("metric_value_type")),
            "min": item.get("range_min", 0.0),
            "max": item.get("range_max", 0.0),
            "inverted": item.get("inverted") is True,
            "deprecated": str(item["metric_name"]).casefold() in DEPRECATED,
        },
    )


def _list_agents(parent: str | None, _: Wire) -> Flow[list[Fields]]:
    return paged_list(at("workspaces", str(parent), "agents"), "agents", "uuid")


def _read_agent(item: Fields, parent: tuple[str, ...], _: Callable[[str, str], str | None]) -> LiveObject | None:
    if not item.get("name"):
        return None
    fields: Fields = {"name": item["name"]}
    deployment = item.get("deployment")
    return LiveObject(
        address=AGENT.address(parent, fields),
        remote_id=str(item["uuid"]),
        fields=fields,
        rank=(item.get("created_at"), str(item["uuid"])),
        details={"status": deployment.get("status") if isinstance(deployment, dict) else None},
    )


METRIC = Kind(
    id="digitalocean.Metric",
    spec=Metric,
    identity=("name",),
    list=_list_metrics,
    read=_read_metric,
    lookup=lambda _: True,
    example={"name": "Correctness (general hallucinations)"},
)
AGENT = Kind(
    id="digitalocean.Agent",
    spec=Agent,
    parent="digitalocean.Workspace",
    identity=("name",),
    list=_list_agents,
    read=_read_agent,
    lookup=lambda _: True,
    example={"name": "support-agent"},
)
