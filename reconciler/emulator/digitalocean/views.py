"""Show what is stored as the API shows it: (documents) -> read model.  Pure but for what is looked up.

64-bit whole numbers are text, an unset moment or message is null, an unset text is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean.storage import Store

USER = {"created_by_user_id": "1001", "created_by_user_email": "ci@example.com"}

FINISHED = frozenset("EVALUATION_RUN_" + end for end in ("SUCCESSFUL", "PARTIALLY_SUCCESSFUL", "FAILED", "CANCELLED"))
SCORED = FINISHED - {"EVALUATION_RUN_FAILED", "EVALUATION_RUN_CANCELLED"}

_OF_METRICS = (
    "metric_uuid", "metric_name", "description", "range_min", "range_max", "inverted", "is_metric_goal"
)  # fmt: skip
_OF_DATASETS = (
    "dataset_uuid", "dataset_name", "dataset_type", "dataset_paradigm", "file_size", "row_count", "has_ground_truth",
    "created_at",
)  # fmt: skip
_OF_RUNS = (
    "evaluation_run_uuid", "run_name", "test_case_uuid", "test_case_version", "test_case_name",
    "test_case_description", "evaluation_test_case_workspace_uuid", "agent_uuid", "agent_name", "agent_version_hash",
    "agent_workspace_uuid", "agent_deployment_name", "agent_deleted", "queued_at", "started_at", "finished_at",
)  # fmt: skip
_ZERO_OF_AN_ENUM = re.compile(r"[A-Z_]+_(UNSPECIFIED|UNKNOWN)")


def _only(doc: Document, keys: tuple[str, ...]) -> Document:
    return {key: doc[key] for key in keys}


def metric(doc: Document) -> Document:
    """A metric of the catalogue."""
    return {
        **_only(doc, _OF_METRICS),
        "category": f"METRIC_CATEGORY_{doc['category']}",
        "metric_type": f"METRIC_TYPE_{doc['metric_type']}",
        "metric_value_type": f"METRIC_VALUE_TYPE_{doc['metric_value_type']}",
        "metric_rank": 0,
        "evaluation_scope": f"EVALUATION_SCOPE_{doc['evaluation_scope']}",
        "source": "EVALUATION_METRIC_SOURCE_BUILTIN",
        "custom_eval_config": None,
        "associated_presets": [],
    }


def dataset(doc: Document) -> Document:
    """A dataset, without the key of its file."""
    return _only(doc, _OF_DATASETS)


def listed_agent(doc: Document) -> Document:
    """An agent as the list of all agents shows it: neither its workspace nor its version."""
    return {
        "uuid": doc["uuid"],
        "name": doc["name"],
        "description": doc["description"],
        "region": doc["region"],
        "deployment": {
            "uuid": doc["uuid"],
            "name": doc["deployment_name"],
            "status": f"STATUS_{doc['deployment_status']}",
            "visibility": f"VISIBILITY_{doc['visibility']}",
            "url": f"https://{doc['deployment_name']}.agents.invalid",
            "created_at": doc["created_at"],
            "updated_at": doc["updated_at"],
        },
        "tags": [],
        "created_at": doc["created_at"],
        "updated_at": doc["updated_at"],
        "user_id": USER["created_by_user_id"],
    }


def agent(store: Store, doc: Document) -> Document:
    """An agent in full, with a secret, as the vendor has it."""
    workspace_uuid = store.workspace_of(doc["uuid"])
    parent = store.workspace(workspace_uuid) or {}
    return {
        **listed_agent(doc),
        "version_hash": doc["version_hash"],
        "api_keys": [{"api_key": f"secret-of-{doc['uuid']}"}],
        "workspace": {"uuid": workspace_uuid, "name": parent.get("name", "")},
    }


def agent_version(current: str, doc: Document) -> Document:
    """The agent as of one version; ``current`` is the hash of the one that is applied."""
    return {
        "id": doc["version_hash"],
        "agent_uuid": doc["uuid"],
        "version_hash": doc["version_hash"],
        "name": doc["name"],
        "description": doc["description"],
        "currently_applied": doc["version_hash"] == current,
        "can_rollback": doc["version_hash"] != current,
        "created_at": doc["updated_at"],
        "created_by_email": USER["created_by_user_email"],
        "trigger_action": "AGENT_UPDATE",
        "tags": [],
    }


def workspace(store: Store, doc: Document) -> Document:
    """A workspace with everything in it."""
    return {
        **doc,
        "agents": [agent(store, each) for each in store.agents(doc["uuid"])[0]],
        "evaluation_test_cases": [test_case(store, each) for each in store.test_cases([doc["uuid"]])],
        "deleted_at": None,
        "created_by": USER["created_by_user_id"],
        "created_by_email": USER["created_by_user_email"],
    }


def test_case(store: Store, doc: Document) -> Document:
    """A version of a test case with its metrics in full.  Its workspace is not shown."""
    used, metrics = store.dataset(doc["dataset_uuid"]), store.metrics()
    total, of_version = store.run_counts(doc["test_case_uuid"], doc["version"])
    shown = {key: value for key, value in doc.items() if key != "metric_uuids"}
    return {
        **shown,
        "dataset": used and dataset(used),
        "metrics": [metric(metrics[each]) for each in doc["metric_uuids"]],
        "total_runs": total,
        "latest_version_number_of_runs": of_version,
        **USER,
        "updated_by_user_id": USER["created_by_user_id"],
        "updated_by_user_email": USER["created_by_user_email"],
    }


def status(run: Document) -> str:
    """What a run shows after as many looks as it has had."""
    states: list[str] = run["states"]
    look = min(max(int(run["looks"]) - 1, 0), len(states) - 1)
    return states[look]


def evaluation_run(run: Document) -> Document:
    """A run; its scores and its verdict show when it is done, and only if it came to any."""
    shown = status(run)
    scored = shown in SCORED
    return {
        **_only(run, _OF_RUNS),
        "status": shown,
        "error_description": run["error"] if shown in FINISHED else "",
        "pass_status": scored and run["passes"],
        "star_metric_result": run["star"] if scored else None,
        "run_level_metric_results": run["results"] if scored else [],
        **USER,
    }


def without_zeros(value: Any) -> Any:
    """What is left when zero values are not written: protobuf's JSON without ``EmitUnpopulated``."""
    if isinstance(value, list):
        return [without_zeros(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    smaller = {key: without_zeros(item) for key, item in value.items()}
    return {key: item for key, item in smaller.items() if item and not _is_zero_of_an_enum(item)}


def _is_zero_of_an_enum(value: object) -> bool:
    return isinstance(value, str) and _ZERO_OF_AN_ENUM.fullmatch(value) is not None
