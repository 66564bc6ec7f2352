"""Answer for evaluation runs: started at once for several agents, brought one state on by each look, never deleted.

What a run will come to is settled when it starts; states only say how much of it is shown.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean import bodies, views
from reconciler.emulator.digitalocean.cases import case_of
from reconciler.emulator.digitalocean.datasets import read_rows
from reconciler.emulator.digitalocean.scoring import FAILED, Prompt, Score, passes, prompt_score, run_score
from reconciler.emulator.digitalocean.wire import Call, found, paged
from reconciler.emulator.rest import ApiError, moment

_RUNNING = "EVALUATION_RUN_RUNNING_DATASET"
_PENDING = ("EVALUATION_RUN_QUEUED", _RUNNING, "EVALUATION_RUN_EVALUATING_RESULTS")


def start_runs(call: Call) -> Document:
    """POST /evaluation_runs: one run for each agent, in an order that is not the one asked for."""
    sent = call.body(bodies.RunCreate)
    test_case = found("evaluation test case", call.store.test_case(sent.test_case_uuid))
    if test_case["archived_at"]:
        raise ApiError(422, "test_case_uuid: The test case is archived.")
    runs = [_started(call, sent.run_name, test_case, agent) for agent in _agents(call, sent)]
    return {"evaluation_run_uuids": _shuffled(runs)}


def _agents(call: Call, sent: bodies.RunCreate) -> list[Document]:
    named = {doc["deployment_name"]: doc for doc in call.store.agents()[0]}
    agents = [found(f"agent {each}", call.store.agent(each)) for each in sent.agent_uuids]
    agents += [found(f"agent deployment {each}", named.get(each)) for each in sent.agent_deployment_names]
    if not agents:
        raise ApiError(422, "agent_uuids: There is no agent to evaluate.")
    if len({agent["uuid"] for agent in agents}) < len(agents):
        raise ApiError(422, "agent_uuids: An agent stands there twice.")
    return agents


def _shuffled(runs: Sequence[Document]) -> list[str]:
    """The uuids of runs in an order that depends on the agents, but never in the one they came in."""
    mixed = sorted(runs, key=lambda run: hashlib.sha256(run["agent_uuid"].encode()).digest())
    if mixed == list(runs):
        mixed.reverse()
    return [run["evaluation_run_uuid"] for run in mixed]


def _started(call: Call, run_name: str, test_case: Document, agent: Document) -> Document:
    metrics = [call.store.metrics()[each] for each in test_case["metric_uuids"]]
    prompts = _answered(call, test_case, agent)
    scores = {metric["metric_uuid"]: [prompt_score(metric, prompt) for prompt in prompts] for metric in metrics}
    totals = {metric["metric_uuid"]: run_score(metric, scores[metric["metric_uuid"]]) for metric in metrics if prompts}
    states, error = _course(call, agent, prompts, list(totals.values()))
    results = {m["metric_uuid"]: _result(m, totals[m["metric_uuid"]]) for m in metrics if totals}
    star = test_case["star_metric"]
    judged = next(metric for metric in metrics if metric["metric_uuid"] == star["metric_uuid"])
    run = {
        "evaluation_run_uuid": str(uuid.uuid4()),
        "run_name": run_name,
        "test_case_uuid": test_case["test_case_uuid"],
        "test_case_version": test_case["version"],
        "test_case_name": test_case["name"],
        "test_case_description": test_case["description"],
        "evaluation_test_case_workspace_uuid": call.store.workspace_of_test_case(test_case["test_case_uuid"]),
        "agent_uuid": agent["uuid"],
        "agent_name": agent["name"],
        "agent_version_hash": agent["version_hash"],
        "agent_workspace_uuid": call.store.workspace_of(agent["uuid"]),
        "agent_deployment_name": agent["deployment_name"],
        "agent_deleted": agent["deployment_status"] == "DELETED",
        "queued_at": moment(call.now),
        "started_at": None,
        "finished_at": None,
        "looks": 0,
        "states": states,
        "error": error,
        "results": list(results.values()),
        "star": results.get(judged["metric_uuid"]),
        "passes": bool(totals) and passes(judged, star, totals[judged["metric_uuid"]]),
    }
    shown = [
        _prompt(number, prompt, [_result(metric, scores[metric["metric_uuid"]][number - 1]) for metric in metrics])
        for number, prompt in enumerate(prompts, 1)
    ]
    call.store.add_run(run, shown)
    return run


def _answered(call: Call, test_case: Document, agent: Document) -> list[Prompt]:
    """What a deployed agent answers to each row; nothing if the dataset is gone."""
    dataset = call.store.dataset(test_case["dataset_uuid"])
    content = call.store.object(dataset["object_key"]) if dataset else None
    if dataset is None or content is None or agent["deployment_status"] != "RUNNING":
        return []
    rows = read_rows(content, dataset["dataset_type"])
    return [Prompt(row["query"], row.get("expected_response"), _output(agent, row)) for row in rows]


def _output(agent: Document, row: dict[str, str]) -> str | None:
    """The canned answer to a query, else the one to any query, else None."""
    canned: str | None = agent["answers"].get(row["query"], agent["otherwise"])
    if canned is None or row["query"] in agent["answers"]:
        return canned
    filled = canned.replace("{query}", row["query"])
    return filled.replace("{expected_response}", row.get("expected_response", ""))


def _course(call: Call, agent: Document, prompts: Sequence[Prompt], totals: Sequence[Score]) -> tuple[list[str], str]:
    """The states that a run goes through, and what it says went wrong at the end."""
    if call.task_fate == "never":
        return list(_PENDING[:2]), ""
    if call.task_fate == "fails":
        return [*_PENDING, "EVALUATION_RUN_FAILED"], "The evaluation failed."
    outcome, error = _outcome(prompts, totals)
    states = agent["run_states"] or [*_PENDING, f"EVALUATION_RUN_{outcome}"]
    if not prompts and states[-1] in views.SCORED:
        states = [*states[:-1], "EVALUATION_RUN_FAILED"]
    return states, error or ("" if states[-1] in views.SCORED else "The run was ended.")


def _outcome(prompts: Sequence[Prompt], totals: Sequence[Score]) -> tuple[str, str]:
    unanswered = sum(prompt.output is None for prompt in prompts)
    if not prompts:
        return "FAILED", "The agent is not deployed, or the dataset is gone."
    if unanswered == len(prompts):
        return "FAILED", "The agent did not answer."
    if unanswered or any(score.status == FAILED for score in totals):
        return "PARTIALLY_SUCCESSFUL", f"{unanswered} prompts were not answered, or a metric could not be scored."
    return "SUCCESSFUL", ""


def _result(metric: Document, score: Score) -> Document:
    return {
        "metric_uuid": metric["metric_uuid"],
        "metric_name": metric["metric_name"],
        "metric_value_type": f"METRIC_VALUE_TYPE_{metric['metric_value_type']}",
        "number_value": score.number,
        "string_value": score.text,
        "reasoning": score.reasoning,
        "error_description": score.error,
        "status": score.status,
    }


def _prompt(number: int, prompt: Prompt, results: list[Document]) -> Document:
    output = prompt.output or ""
    return {
        "prompt_id": number,
        "input": prompt.query,
        "output": output,
        "ground_truth": prompt.truth or "",
        "input_tokens": str(len(prompt.query.split())),
        "output_tokens": str(len(output.split())),
        "prompt_chunks": [],
        "prompt_level_metric_results": results,
        "trace_id": hashlib.sha256(f"{number} {prompt.query}".encode()).hexdigest()[:32],
        "evaluation_trace_spans": [],
    }


def _run_of(call: Call) -> Document:
    return found("evaluation run", call.store.run(call.path["run"]))


def read_run(call: Call) -> Document:
    """GET /evaluation_runs/{run}: one state further than at the last look."""
    run = _run_of(call)
    run["looks"] = min(run["looks"] + 1, len(run["states"]))
    status = views.status(run)
    if status == _RUNNING or status in views.FINISHED:
        run["started_at"] = run["started_at"] or moment(call.now)
    if status in views.FINISHED:
        run["finished_at"] = run["finished_at"] or moment(call.now)
    call.store.put_run(run)
    return {"evaluation_run": views.evaluation_run(run)}


def list_runs(call: Call) -> Document:
    """GET /evaluation_test_cases/{test_case}/evaluation_runs: of one version, or of every one.  Moves no run on."""
    doc, version = case_of(call), call.asks(bodies.VersionQuery).evaluation_test_case_version
    runs = call.store.runs(doc["test_case_uuid"], version)
    return {"evaluation_runs": [views.evaluation_run(run) for run in runs]}


def _prompts(call: Call, run: Document) -> list[Document]:
    """The prompts of a run that has come to scores, else none."""
    return call.store.prompts(run["evaluation_run_uuid"]) if views.status(run) in views.SCORED else []


def list_prompts(call: Call) -> Document:
    """GET /evaluation_runs/{run}/results: the run as it stands, and a page of its prompts."""
    run, query = _run_of(call), call.asks(bodies.PageQuery)
    prompts = _prompts(call, run)
    path = f"/evaluation_runs/{run['evaluation_run_uuid']}/results"
    page = paged(
        call, query, path, "prompts", lambda limit, offset: (prompts[offset : offset + limit], len(prompts)), dict
    )
    return {"evaluation_run": views.evaluation_run(run), **page}


def read_prompt(call: Call) -> Document:
    """GET /evaluation_runs/{run}/results/{prompt}."""
    prompts = _prompts(call, _run_of(call))
    asked = call.path["prompt"]
    return {"prompt": found("prompt", next((p for p in prompts if str(p["prompt_id"]) == asked), None))}
