"""A DigitalOcean evaluation run: agents answer a test case.  Not an object that is kept in line, but a measurement.

A run is wanted for each agent, or several; those that were made for this version of the test case and of the agent are
enough.
POST /evaluation_runs cannot be undone and costs tokens, so it is sent once, with an operation id in ``run_name`` by
which a run whose answer was lost is found.  ``pass_status`` is false until the run is over, and may be left out.
Source: pydo 0.44.0, digitalocean/openapi @7c1300c (statuses, fields), seed of the customer (retrieve a run); 2026-08.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Annotated

from msgspec.structs import replace
from pydantic import Field

from reconciler.errors import ApiError, NotApplied, NotAuthorized, NotFound, OutcomeUnknown
from reconciler.model.call import Call, Flow, Wire
from reconciler.model.gating import FlakyField, GateField, GatePolicy, RegressField, SeverityField, gate_of
from reconciler.model.kind import Flaw, Kind, LookUp
from reconciler.model.marker import split
from reconciler.model.measuring import Measuring, Past, Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.resource import Address, LiveObject
from reconciler.model.spec import Mark, RefTo, Spec
from reconciler.model.values import Fields, Json, some_of
from reconciler.providers.bodies import listed, whole_seconds
from reconciler.providers.digitalocean.evaluation_test_case import NUMBERS, latest_version, threshold
from reconciler.providers.digitalocean.lookups import RUNNING, near
from reconciler.providers.digitalocean.routes import (
    all_items,
    at,
    items_of,
    last_page,
    number_of,
    object_of,
    text_of,
    whole_list,
    whole_number,
)
from reconciler.providers.paging import Paging

AGENT = "digitalocean.Agent"
TEST_CASE = "digitalocean.EvaluationTestCase"
PROMPTS_PER_PAGE, MOST_PROMPTS, MOST_NAMED = 20, 100, 5
"""Prompts come with traces and chunks, so pages are kept small, and not all are read."""
SKIPPED = "SKIPPED"
_OVER = ("SUCCESSFUL", "PARTIALLY_SUCCESSFUL", "FAILED", "CANCELLED")
_BROKEN = _OVER[1:]
_UNDER_WAY = ("", "STATUS_UNSPECIFIED", "QUEUED", "RUNNING_DATASET", "EVALUATING_RESULTS", "CANCELLING")


class EvaluationRun(Spec):
    """Agents that a test case is run against by ``reconciler evaluate``."""

    test_case: Annotated[str, RefTo(TEST_CASE), Field(description="Name of the test case.")]
    agents: Annotated[
        list[str],
        Mark.UNORDERED,
        RefTo(AGENT, declared=False),
        Field(min_length=1, description="Names of agents of the workspace."),
    ]
    severity: SeverityField = "error"
    flaky: FlakyField = False
    regress: RegressField = None
    gate: GateField = Field(default_factory=functools.cache(GatePolicy))


def _agents(fields: Fields) -> list[str]:
    names = fields["agents"]
    assert isinstance(names, list)
    return [str(name) for name in names]


def _refuse(fields: Fields, _: Fields | None, find: LookUp) -> Sequence[Flaw]:
    unknown = [name for name in _agents(fields) if find(AGENT, name) is None]
    return [Flaw("agents", f'the workspace has no agent "{name}"{near(name, find.names(AGENT))}') for name in unknown]


def _no_list(_: str | None, __: Wire) -> Flow[list[Fields]]:
    yield from ()
    return []


def _subject(address: Address, fields: Fields) -> Address:
    return Address(TEST_CASE, (*address.path[:-1], str(fields["testCase"])))


def _targets(address: Address, fields: Fields) -> tuple[Address, ...]:
    return tuple(Address(AGENT, (*address.path[:-1], name)) for name in sorted(_agents(fields)))


def _places(fields: Fields, siblings: Sequence[Address]) -> tuple[Address, ...]:
    names = _agents(fields)
    return tuple(place for place in siblings if place.name in names)


# ------------------------------------------------------------------------------------------------- flows


def _trigger(trigger: Trigger, _: Wire) -> Flow[tuple[Task, ...]]:
    agent_id = str(trigger.pipeline)
    version, joined = yield from _at_hand(trigger)
    if joined:
        return tuple(Task(_id(run), agent_id) for run in joined)
    call = Call(
        "POST",
        at("evaluation_runs"),
        body={"test_case_uuid": trigger.remote_id, "agent_uuids": [agent_id], "run_name": _run_name(trigger)},
        repeatable=False,
    )
    try:
        reply = yield call
        made = listed(reply.body.get("evaluation_run_uuids")) if isinstance(reply.body, dict) else []
        if made and isinstance(made[0], str) and made[0]:
            return (Task(made[0], agent_id),)
        raise OutcomeUnknown("the answer holds no run", method=call.method, path=call.path, status=reply.status)
    except OutcomeUnknown:
        found = yield from _named(trigger, version)
        if not found:
            raise
        return found


def _run_name(trigger: Trigger) -> str:
    return f"reconciler {trigger.op}".strip()


def _named(trigger: Trigger, version: int | None) -> Flow[tuple[Task, ...]]:
    """The run that has the name of the trigger; nothing where it has no name of its own."""
    runs = (yield from _runs(trigger.remote_id, version)) if trigger.op else []
    found = [run for run in runs if run.get("run_name") == _run_name(trigger)]
    return tuple(Task(_id(run), trigger.pipeline) for run in found[:1])


def _lost(trigger: Trigger, _: Wire) -> Flow[tuple[Task, ...]]:
    return _named(trigger, whole_number(trigger.about[0]) if trigger.about else None)


def _about(trigger: Trigger, _: Wire) -> Flow[tuple[str, ...]]:
    """The versions of the test case and of the agent."""
    case = yield from latest_version(trigger.remote_id, recent=True)
    agent = yield from _agent(str(trigger.pipeline), recent=True)
    return _versions(case.get("version"), agent.get("version_hash"))


def _versions(case: Json, agent: Json) -> tuple[str, str]:
    number = whole_number(case)
    return ("" if number is None else str(number), text_of(agent) or "")


def _there(trigger: Trigger, _: Wire) -> Flow[int]:
    return len((yield from _at_hand(trigger))[1])


def _at_hand(trigger: Trigger) -> Flow[tuple[int | None, list[Fields]]]:
    """The version of the test case, and the runs of it that the trigger would join.  Raises as ``_ready_agent``."""
    agent_id = str(trigger.pipeline)
    recent = trigger.number == 1  # a later run of a series follows one that has changed the list
    case = yield from latest_version(trigger.remote_id, recent=recent)
    version = whole_number(case.get("version"))
    agent_hash = yield from _ready_agent(agent_id, recent=recent)
    known = yield from _runs(trigger.remote_id, version, recent=recent)
    mine = [run for run in known if run.get("agent_uuid") == agent_id and run.get("agent_version_hash") == agent_hash]
    return version, _joined(mine, trigger)


def _ready_agent(agent_id: str, *, recent: bool) -> Flow[Json]:
    """The version of an agent that can answer.  Raises NotApplied for one that is not deployed."""
    agent = yield from _agent(agent_id, recent=recent)
    deployment = agent.get("deployment")
    status = deployment.get("status") if isinstance(deployment, dict) else None
    if status not in (None, RUNNING):
        path = at("agents", agent_id)
        raise NotApplied(f"the agent cannot answer: {status}", method="GET", path=path, hint="deploy it first")
    return agent.get("version_hash")


def _agent(agent_id: str, *, recent: bool = False) -> Flow[Fields]:
    path = at("agents", agent_id)
    reply = yield Call("GET", path, recent=recent)
    return object_of(reply.body, "agent", path)


def _runs(test_case_id: str, version: int | None, *, recent: bool = False) -> Flow[list[Fields]]:
    query: dict[str, str | int | bool] = {} if version is None else {"evaluation_test_case_version": version}
    path = at("evaluation_test_cases", test_case_id, "evaluation_runs")
    return whole_list(path, "evaluation_runs", "evaluation_run_uuid", query, recent=recent)


def _joined(runs: Iterable[Fields], trigger: Trigger) -> list[Fields]:
    """The runs that make another one needless, of those that the trigger still wants; oldest first.

    The latest that have results or are under way, back to the first that broke: that one would count among the latest.
    Where there is none, or all are asked for anew, one that is under way.
    """
    newest_first = _newest_first(runs)
    sound = list(takewhile(lambda run: _status(run) not in _BROKEN, newest_first))
    if trigger.overwrite or not sound:
        return [run for run in newest_first if _status(run) not in _OVER][:1]
    return sound[: trigger.runs][::-1][trigger.number - 1 :]


def _poll(task: Task, _: Wire) -> Flow[TaskState]:
    run = yield from retrieve(task.task_id)
    return TaskState(complete=_status(run) in _OVER, note=_odd(run))


def retrieve(run_id: str) -> Flow[Fields]:
    """One run, with every field that the vendor shows, without our mark in one: GET /evaluation_runs/{uuid}."""
    path = at("evaluation_runs", run_id)
    reply = yield Call("GET", path)
    run = {"evaluation_run_uuid": run_id, **object_of(reply.body, "evaluation_run", path)}
    text, op = split(text_of(run.get("test_case_description")))
    return run if op is None else {**run, "test_case_description": text}


def _results(
    address: Address, test_case_id: str, _: TimeRange | None, agents: Collection[str], __: Wire
) -> Flow[tuple[Evaluation, ...]]:
    """The latest run of each agent for the current version; a time range means nothing here."""
    return _repeated(address, test_case_id, 1, agents)


def _repeated(address: Address, test_case_id: str, most: int, agents: Collection[str]) -> Flow[tuple[Evaluation, ...]]:
    """The latest runs for the current version of the test case, as many of each agent in its present version.

    The list tells of every agent, but each run is read by itself, so only those of ``agents`` are; of all if empty.
    """
    case, newest_first = yield from _of_current_version(test_case_id)
    by_agent: dict[str, list[Fields]] = {}
    for run in newest_first:
        by_agent.setdefault(str(run.get("agent_uuid")), []).append(run)
    latest: list[Fields] = []
    for agent_id, runs in by_agent.items():
        if not agents or agent_id in agents:
            latest += (yield from _of_present_version(agent_id, runs))[:most]
    found = []
    for each in latest:
        run = yield from retrieve(_id(each))
        found.append(_read(run, address))
    return (yield from _explained(test_case_id, found, case))


def _of_current_version(test_case_id: str) -> Flow[tuple[Fields, list[Fields]]]:
    """The test case and its runs, newest first: those of an older version may have had another threshold."""
    case = yield from latest_version(test_case_id)
    runs = yield from _runs(test_case_id, whole_number(case.get("version")))
    return case, _newest_first(runs)


def _of_tasks(trigger: Trigger, tasks: Sequence[Task], _: Wire) -> Flow[tuple[Evaluation, ...]]:
    """Exactly these runs; which prompts miss, ``_explained`` tells."""
    found = []
    for task in tasks:
        run = yield from retrieve(task.task_id)
        evaluation = _read(run, trigger.address)
        if other := _of_other_versions(run, trigger.about):
            evaluation = Evaluation(trigger.address, EvaluationStatus.MISSING, evaluation.pipeline, message=other)
        found.append(evaluation)
    return tuple(found)


def _of_other_versions(run: Fields, about: tuple[str, ...]) -> str:
    """Why a run says nothing of these versions; "" where it does, or does not show of which it is."""
    case, agent = _versions(run.get("test_case_version"), run.get("agent_version_hash"))
    wanted_case, wanted_agent = about or ("", "")
    if case and wanted_case and case != wanted_case:
        what = f"version {case} of the test case and not of version {wanted_case}"
    elif agent and wanted_agent and agent != wanted_agent:
        what = "another version of the agent than there is"
    else:
        return ""
    return f"the run is of {what}; reconciler evaluate starts a new one"


def _explained(
    test_case_id: str, evaluations: Iterable[Evaluation], case: Fields | None = None
) -> Flow[tuple[Evaluation, ...]]:
    """The evaluations, each that fails and says nothing with which prompts miss, where the platform tells.

    The verdicts are there already: that nobody tells more must not make others of them.
    """
    found = []
    for each in evaluations:
        message = each.message
        if each.status is EvaluationStatus.FAILING and not message:
            try:
                case = case or (yield from latest_version(test_case_id))
                message = yield from _which_prompts_miss(each.result_id, case)
            except NotAuthorized:
                raise
            except ApiError:
                message = ""
        found.append(replace(each, message=message))
    return tuple(found)


def _of_present_version(agent_id: str, runs: Sequence[Fields]) -> Flow[list[Fields]]:
    """The runs of the version that the agent has now; where it has none, or is gone, of the version last run.

    An agent that was rolled back has an older version again, and the newest run is not about it.
    """
    versions = [run.get("agent_version_hash") for run in runs]
    meant = versions[0]
    if any(version != meant for version in versions):
        try:
            present = (yield from _agent(agent_id)).get("version_hash")
        except NotFound:
            present = None
        meant = present if present in versions else meant
    return [run for run in runs if run.get("agent_version_hash") == meant]


def _newest_first(runs: Iterable[Fields]) -> list[Fields]:
    return sorted(runs, key=lambda run: str(run.get("queued_at")), reverse=True)


def _past(address: Address, test_case_id: str, within: TimeRange | None, most: int) -> Flow[Past]:
    """The finished runs of the current version, newest first."""
    _case, newest_first = yield from _of_current_version(test_case_id)
    over = [run for run in newest_first if _status(run) in _OVER and _is_inside(run, within)]
    found = []
    for each in over[:most]:
        run = yield from retrieve(_id(each))
        found.append(_read(run, address))
    return Past(tuple(found), whole=len(over) <= most)


def _is_inside(run: Fields, within: TimeRange | None) -> bool:
    ended = whole_seconds(run.get("finished_at") or run.get("queued_at"))
    return within is None or ended is None or within.start <= ended < within.end


def _which_prompts_miss(run_id: str, case: Fields) -> Flow[str]:
    """Which answers fell short, by number: what was asked and answered may be nobody's business in a build log."""
    star = case.get("star_metric")
    if not isinstance(star, dict) or (limit := threshold(star, case.get("metrics"))) is None:
        return ""
    name = star.get("name")
    metrics = (each for each in listed(case.get("metrics")) if isinstance(each, dict))
    inverted = any(each.get("inverted") is True for each in metrics if each.get("metric_name") == name)
    found = yield from _prompts(run_id)
    prompts = found[:MOST_PROMPTS]
    values = [(_number_of_prompt(each), _value_for(name, each)) for each in prompts]
    known = [(number, value) for number, value in values if isinstance(value, (int, float))]
    misses = [number for number, value in known if (value > limit if inverted else value < limit)]
    if not misses:
        return ""
    of = f"the first {MOST_PROMPTS}" if len(found) > MOST_PROMPTS else str(len(prompts))
    return f"misses the threshold; so do {len(misses)} of {of} prompts: {some_of(misses, MOST_NAMED)}"


def _value_for(metric: Json, prompt: Fields) -> Json:
    """What the metric of this name gave for one prompt."""
    results = (each for each in listed(prompt.get("prompt_level_metric_results")) if isinstance(each, dict))
    return next((_value(each) for each in results if each.get("metric_name") == metric), None)


# ------------------------------------------------------------------------------------------------ reading


def _id(run: Fields) -> str:
    return str(run["evaluation_run_uuid"])


def _status(run: Fields) -> str:
    """The status without its prefix; what is unknown is not over."""
    return str(run.get("status") or "").removeprefix("EVALUATION_RUN_")


def _read(run: Fields, address: Address) -> Evaluation:
    status, message = _meaning(run)
    return Evaluation(
        address=address,
        status=status,
        pipeline=text_of(run.get("agent_uuid")),
        measured=_measured(run),
        message=message,
        result_id=str(run.get("evaluation_run_uuid")),
        starts=whole_seconds(run.get("started_at")),
        ends=whole_seconds(run.get("finished_at")),
        recorded=str(run.get("finished_at") or run.get("queued_at") or ""),
    )


def _meaning(run: Fields) -> tuple[EvaluationStatus, str]:
    status, reason = _status(run), text_of(run.get("error_description")) or ""
    if status not in _OVER:
        return EvaluationStatus.RUNNING, _odd(run)
    if status != "SUCCESSFUL":
        return EvaluationStatus.ERROR, f"the run ended as {status}" + (f": {reason}" if reason else "")
    star = run.get("star_metric_result")
    if isinstance(star, dict) and (unknown := _unknown_and_empty(star)):
        return EvaluationStatus.UNREADABLE, f"the platform answered the unknown status {unknown!r} of the star metric"
    if isinstance(star, dict) and (unscored := _unscored(star)):
        meant = EvaluationStatus.SKIPPED if unscored == SKIPPED else EvaluationStatus.ERROR
        return meant, text_of(star.get("error_description")) or "the star metric was not scored"
    if isinstance(star, dict) and _lacks_number(star):
        return EvaluationStatus.ERROR, "the platform shows no number"
    verdict = run.get("pass_status")
    if not isinstance(verdict, bool):
        return EvaluationStatus.UNREADABLE, "the run is over, and the platform shows no verdict"
    return EvaluationStatus.PASSING if verdict else EvaluationStatus.FAILING, reason


def _odd(run: Fields) -> str:
    """What is to be said of a status that nobody knows; it counts as under way."""
    known = _status(run) in (*_OVER, *_UNDER_WAY)
    return "" if known else f"the platform answered the unknown status {run.get('status')!r}"


def _measured(run: Fields) -> dict[str, Json]:
    """Metric name -> value; the star metric's as the result says that decided, whatever the list does."""
    results = [*listed(run.get("run_level_metric_results")), run.get("star_metric_result")]
    return {
        str(result["metric_name"]): _value(result)
        for result in results
        if isinstance(result, dict) and result.get("metric_name") and _value(result) is not None
    }


def _value(result: Fields) -> Json:
    """The number or the text of a metric; a zero may be left out (protobuf JSON), and without a score one is shown.

    What is there and is no number is not taken for a zero, which is the best there is of what shall be low.
    """
    if _unscored(result) or _unknown_and_empty(result):
        return None
    text = text_of(result.get("string_value"))
    if text is not None:
        return text
    if "number_value" in result:
        return number_of(result["number_value"])
    return 0.0 if result.get("metric_value_type") in NUMBERS else None


def _lacks_number(result: Fields) -> bool:
    """Whether a metric was scored that yields numbers, and there is none."""
    is_number = isinstance(_value(result), (int, float))
    return result.get("metric_value_type") in NUMBERS and not _unscored(result) and not is_number


def _unknown_and_empty(result: Fields) -> str:
    """The status of a metric that nobody knows, where no value proves that it was scored; else "".

    A zero proves nothing: it is what stands, or is left out, where there is no number.
    """
    is_known = _status_of_result(result) in ("", "UNSPECIFIED", "COMPLETED", "FAILED", SKIPPED)
    is_proven = bool(number_of(result.get("number_value")) or text_of(result.get("string_value")))
    return "" if is_known or is_proven else str(result.get("status"))


def _status_of_result(result: Fields) -> str:
    return str(result.get("status") or "").removeprefix("EVALUATION_METRIC_RESULT_STATUS_")


def _unscored(result: Fields) -> str:
    """Why there is no score: SKIPPED or FAILED; "" where there is one.  Older servers send no status."""
    status = _status_of_result(result)
    if status in (SKIPPED, "FAILED"):
        return status
    return "" if status == "COMPLETED" or not result.get("error_description") else "FAILED"


def _prompts(run_id: str) -> Flow[list[Fields]]:
    """The first answers that a run collected, and at least one more than MOST_PROMPTS where there are more."""
    paging = Paging(
        ("per_page", PROMPTS_PER_PAGE),
        items=lambda body, where: items_of(body, "prompts", where, beside=("evaluation_run",)),
        key=_number_of_prompt,
        last=_last_page_of_prompts,
        total=all_items,
        most=MOST_PROMPTS + 1,
    )
    path = at("evaluation_runs", run_id, "results")
    return paging.every(path, enough=lambda found: len(found) > MOST_PROMPTS)


def _last_page_of_prompts(body: Json) -> int | None:
    """The last page that is wanted, by the length of this one: the server may make pages smaller than asked for."""
    last, shown = last_page(body), body.get("prompts") if isinstance(body, dict) else None
    if last is None or not isinstance(shown, list) or not shown:
        return last
    return min(last, MOST_PROMPTS // len(shown) + 1)


def _number_of_prompt(prompt: Fields) -> str:
    return str(prompt.get("prompt_id", 0))


def _nothing(_: Fields, __: tuple[str, ...], ___: object) -> LiveObject | None:
    return None


EVALUATION_RUN = Kind(
    id="digitalocean.EvaluationRun",
    spec=EvaluationRun,
    parent="digitalocean.Workspace",
    plural="runs",
    identity=("name",),
    list=_no_list,
    read=_nothing,
    virtual=True,
    refuse=_refuse,
    gate=gate_of,
    measuring=Measuring(
        place=AGENT,
        possible=lambda _: "",
        targets=_targets,
        places=_places,
        trigger=_trigger,
        poll=_poll,
        results=_results,
        repeated=_repeated,
        of_tasks=_of_tasks,
        explained=_explained,
        lost=_lost,
        about=_about,
        there=_there,
        subject=_subject,
        past=_past,
    ),
    example={"name": "nightly", "testCase": "Answers are correct", "agents": ["support-agent"]},
)
