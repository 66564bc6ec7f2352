"""Evaluation runs of DigitalOcean: started once, joined, found again, judged; alone and beside another vendor."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.digitalocean.seed import Seed
from reconciler.errors import RateLimited
from reconciler.model.outcome import EvaluationStatus, Level, TimeRange, Verdict
from reconciler.pipeline.applying import apply
from reconciler.pipeline.measuring import Inquiry, evaluate
from reconciler.pipeline.session import Request, session
from reconciler.settings import Settings
from tests.end_to_end.conftest import CARE, Answering, Replacing
from tests.virtual_time import VirtualClock

Doc = dict[str, Any]
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
CORRECT = "Correctness (general hallucinations)"
RUNS = "/v2/gen-ai/evaluation_runs"
QUEUED, RUNNING, DONE = (f"EVALUATION_RUN_{each}" for each in ("QUEUED", "RUNNING_DATASET", "SUCCESSFUL"))


@pytest.fixture
def ready(care: Any, account: Any) -> Any:
    """The workspace applied; nothing has run."""
    care("apply", "--yes")
    account.platform.seen.clear()
    return care


def in_virtual_time(cli: Any, work: Any, clock: VirtualClock) -> Any:
    """What the commands do, without waiting for real."""

    async def main() -> Any:
        async with session(Request(root=cli.folder), Settings.from_environ(cli.environ)) as here:
            here.clock = clock
            return await work(here)

    return asyncio.run(main())


def verdict_of(cli: Any, deadline_s: float = 60.0) -> Verdict:
    """The only verdict of an evaluation."""
    ask = Inquiry(TimeRange(0, 1), deadline_s=deadline_s)
    (verdict,) = in_virtual_time(cli, lambda here: evaluate(here, ask), VirtualClock()).verdicts
    assert isinstance(verdict, Verdict)
    return verdict


def levels(result: Any) -> dict[str, str]:
    """Place -> level."""
    return {item["pipeline"]: item["level"] for item in json.loads(result.out)["verdicts"]}


# ---------------------------------------------------------------------------------------------- starting


def test_test_cases_that_nothing_runs_are_no_riddle(care: Any) -> None:
    """As an export leaves them: runs are no objects at the platform."""
    care.write("care.yaml", (care.folder / "care.yaml").read_text().partition("  runs:")[0])
    care("apply", "--yes")
    for command in ("evaluate", "status"):
        said = care(command, code=64).words
        assert "nothing here can be evaluated" in said
        assert "add spec.runs: they say against which agents the evaluation test cases run" in said


def test_a_run_that_is_there_already_is_enough(ready: Any, account: Any) -> None:
    """For this version of the test case and of the agent: no second run, no second bill."""
    ready("evaluate")
    assert account.writes == ["POST evaluation_runs"]
    ready("evaluate")
    assert account.writes == ["POST evaluation_runs"]
    ready("status")
    assert account.writes == ["POST evaluation_runs"]


def test_a_run_that_was_never_evaluated_is_evaluated_by_an_apply_that_changes_nothing_else(
    ready: Any, account: Any
) -> None:
    """It is no object at the platform, so no step tells of it; once its gate held, it is as any other."""
    again = ("apply", "--yes", "--evaluate")
    assert "1 passed" in ready(*again).out
    assert "Nothing to evaluate" in ready(*again).err
    for agents, code, started, seen in [
        ("[canary]", 5, 2, 0), ("[canary]", 5, 2, 0), ("[bot]", 0, 2, 2), ("[bot, canary]", 5, 2, 2)
    ]:  # fmt: skip
        more = f"        - {{name: more, testCase: Answers are correct, agents: {agents}}}\n"
        ready.write("care.yaml", CARE + more)
        ready("plan", "--detailed-exitcode", code=seen)
        shown = json.loads(ready(*again, "--format", "json", code=code).out)
        assert {each["address"].rpartition("/")[2] for each in shown["evaluation"]["verdicts"]} == {"more"}
        assert account.writes.count("POST evaluation_runs") == started
    ready.write("care.yaml", CARE)
    assert "Nothing to evaluate" in ready(*again).err


def test_a_saved_plan_of_nothing_but_runs_whose_gate_failed_is_finished_by_resume(ready: Any, account: Any) -> None:
    """As one with steps: it is verified again until its gate holds, and then it is used up."""
    ready("apply", "--yes", "--evaluate")
    ready.edit("care.yaml", "agents: [bot]", "agents: [bot, canary]")
    ready("plan", "--out", "plan.json")
    verify = ("apply", "--plan", "plan.json", "--evaluate")
    ready(*verify, code=5)
    assert "applied and not verified hint: finish it: the same command with --resume" in ready(*verify, code=6).words
    assert "applied already" in ready("apply", "--plan", "plan.json", "--resume", code=6).words
    ready(*verify, "--resume", code=5)
    right = {"name": "canary", "run_states": [DONE]}
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [right]}]}))
    ready(*verify, "--resume")
    assert "applied already" in ready(*verify, "--resume", code=6).words


def test_a_new_run_that_was_not_selected_or_would_cost_too_much_is_left_alone(ready: Any, account: Any) -> None:
    again = ("apply", "--yes", "--evaluate")
    assert "Nothing to evaluate" in ready(*again, "--select", "*EvaluationTestCase/*").err
    assert "--max-evaluations allows 0" in ready(*again, "--max-evaluations", "0", code=3).words
    assert account.writes == []


def test_a_new_run_that_fails_alone_leaves_nothing_to_put_back(ready: Any) -> None:
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    ended = ready("apply", "--yes", "--evaluate", "--rollback", code=5)
    assert "put back" not in ended.err


def test_runs_that_are_there_already_cost_nothing(ready: Any, account: Any) -> None:
    """Neither in the estimate, nor against --max-evaluations; two that share runs pay once."""
    assert "will run 1 evaluation: 1 test × 1 place\n" in ready("evaluate", "--max-evaluations", "1").err
    assert "will run no evaluation: 1 run is there already" in ready("evaluate", "--max-evaluations", "0").err
    more = (
        "agents: [bot, canary]\n      gate: {runs: 3}\n    - {name: all, testCase: Answers are correct, agents: [bot]"
    )
    ready.edit("care.yaml", "agents: [bot]", more + ", gate: {runs: 4}}")
    told = "this would run 6 evaluations, and --max-evaluations allows 5"
    assert told in ready("evaluate", "--max-evaluations", "5", code=3).words
    ended = ready("evaluate", "--max-evaluations", "6", "--format", "json", code=5)
    assert json.loads(ended.out)["estimate"]["evaluations"] == 6
    assert account.writes.count("POST evaluation_runs") == 7
    assert "will run 10 evaluations" in ready("evaluate", "--overwrite", "--max-evaluations", "10", code=5).err


def test_selecting_a_run_selects_the_test_case_that_it_runs(ready: Any, account: Any) -> None:
    """It is nothing by itself; of a dataset alone, to which nothing points, it would have nothing."""
    one = ("--select", "*EvaluationRun/care/nightly")
    ready.edit("care.yaml", "82.4", "83")
    assert "Plan: 1 to update" in ready("plan", *one).out
    ready.write("faq.csv", "query,expected_response\nWhere is my order?,Lost\n")
    assert "1 replaced, 1 updated" in ready("apply", "--yes", *one).out
    assert account.case()["star_metric"]["success_threshold"] == 83
    assert account.case()["dataset"]["row_count"] == 1
    ready("plan", "--detailed-exitcode")


def test_another_version_of_the_test_case_is_run(ready: Any, account: Any) -> None:
    ready("evaluate")
    ready.edit("care.yaml", "82.4", "83")
    assert "1 passed" in ready("apply", "--yes", "--evaluate").out
    assert sorted(run["test_case_version"] for run in account.runs()) == [1, 2]


def test_another_version_of_the_agent_is_run(ready: Any, account: Any) -> None:
    ready("evaluate")
    newer = {"name": "bot", "run_states": [DONE], "otherwise": "Well"}
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [newer]}]}))
    ready("evaluate", code=5)
    assert len({run["agent_version_hash"] for run in account.runs()}) == 2


@pytest.mark.parametrize(("first", "second"), [(0, 5), (5, 0)], ids=["good, bad, good", "bad, good, bad"])
def test_an_agent_that_is_rolled_back_is_judged_by_its_own_run(
    first: int, second: int, ready: Any, account: Any
) -> None:
    """Its run is there already and costs nothing; the newest run is about the version that was taken back."""

    def deploy(code: int) -> None:
        agent = {"name": "bot", "run_states": [DONE], "otherwise": "Well" if code else "{expected_response}"}
        account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [agent]}]}))

    for code in (first, second, first):
        deploy(code)
        ready("evaluate", code=code)
        ready("status", code=code)
    assert len(account.runs()) == 2


def test_a_newest_run_that_broke_is_repeated_though_an_older_one_has_results(ready: Any, account: Any) -> None:
    ready("evaluate")
    account.platform.fail({"method": "POST", "path": RUNS, "nth": 1, "action": "task-fails"})
    ready("evaluate", "--overwrite", code=5)
    ready("evaluate")
    assert len(account.runs()) == 3


def test_overwrite_runs_again_and_the_newer_run_counts(ready: Any, account: Any) -> None:
    ready("evaluate")
    (first,) = account.runs()
    ended = ready("evaluate", "--overwrite", "--format", "json")
    (verdict,) = json.loads(ended.out)["verdicts"]
    assert len(account.runs()) == 2
    assert verdict["result"]["id"] != first["evaluation_run_uuid"]


def test_each_agent_has_a_run_and_a_verdict_of_its_own(ready: Any, account: Any) -> None:
    """The worst first; the failing one says by how much, and which prompts."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [bot, canary]")
    found = json.loads(ready("evaluate", "--format", "json", code=5).out)["verdicts"]
    assert [(each["pipeline"], each["level"], each["measured"], each["wanted"], each["margin"]) for each in found] == [
        ("canary", "fail", "0", ">= 82.4", -82.4),
        ("bot", "pass", "100", ">= 82.4", 17.6),
    ]
    assert found[0]["why"] == "misses the threshold; so do 2 of 2 prompts: 1, 2"
    assert found[1]["result"]["measured"] == {CORRECT: 100.0, "Instruction Following": 0.0}
    assert sorted(run["agent_name"] for run in account.runs()) == ["bot", "canary"]


@pytest.mark.parametrize("states", [[DONE], [QUEUED, RUNNING, DONE]], ids=["at once", "in time"])
def test_two_that_want_the_same_share_one_run(states: list[str], care: Any, account: Any) -> None:
    """Each has its verdict, with a severity of its own; one is paid."""
    account.renew(agents=[{"name": "bot", "run_states": states, "otherwise": "Well"}])
    more = "agents: [bot]\n    - {name: watched, testCase: Answers are correct, agents: [bot], severity: warn}"
    care.edit("care.yaml", "agents: [bot]", more)
    care("apply", "--yes")
    account.platform.seen.clear()
    found = json.loads(care("evaluate", "--format", "json", code=5).out)["verdicts"]
    assert [(each["address"].rpartition("/")[2], each["level"]) for each in found] == [
        ("nightly", "fail"),
        ("watched", "warn"),
    ]
    assert len({each["result"]["id"] for each in found}) == 1
    assert account.writes == ["POST evaluation_runs"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {"id": "not_found"}), (500, {}), (200, {}), (200, {"prompts": None}), (200, {"prompts": [{"x": 1}, 2]})],
)
def test_a_verdict_stands_though_nobody_tells_which_prompts_miss(
    status: int, body: Doc, ready: Any, account: Any
) -> None:
    """That it misses is told with the run; a gate that is mild with errors has none to be mild with."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]\n      gate: {onError: warn, onMissing: warn}")
    account.platform.door = Answering(account.platform.app, f"{RUNS}/*/results", body, status=status)
    verdict = verdict_of(ready)
    assert (verdict.status, verdict.level) == (EvaluationStatus.FAILING, Level.FAIL)
    assert verdict.why == "misses the threshold"
    look = Inquiry(None, trigger=False)
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, look), VirtualClock()).verdicts
    assert (verdict.level, verdict.why) == (Level.FAIL, "misses the threshold")


def test_a_verdict_is_there_however_long_the_platform_takes_to_tell_which_prompts_miss(
    ready: Any, account: Any
) -> None:
    """A gate that is mild with what is missing has nothing to be mild with, and there is nothing to resume."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]\n      gate: {onError: warn, onMissing: warn}")
    account.platform.fail({"path": f"{RUNS}/*/results", "action": "delay", "seconds": 30})
    ended = ready("evaluate", "--timeout", "1s", "--format", "json", code=5)
    (verdict,) = json.loads(ended.out)["verdicts"]
    assert (verdict["level"], verdict["status"], verdict["why"]) == ("fail", "failing", "misses the threshold")
    assert "nothing to resume" in ready("evaluate", "--resume", code=64).words


def test_a_run_that_nobody_answers_for_is_no_missing_one(ready: Any, account: Any) -> None:
    """It is over, and failed; the platform takes too long to say so."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]\n      gate: {onMissing: warn}")
    account.platform.fail({"path": f"{RUNS}/*", "action": "delay", "seconds": 30, "method": "GET"})
    ended = ready("evaluate", "--timeout", "1s", "--format", "json", code=5)
    (verdict,) = json.loads(ended.out)["verdicts"]
    assert (verdict["level"], verdict["status"]) == ("fail", "error")
    assert verdict["why"].endswith("not read within 1s: the platform took too long to answer")
    account.platform.fail()
    assert levels(ready("evaluate", "--resume", "--format", "json", code=5)) == {"canary": "fail"}


def test_a_token_that_is_withdrawn_meanwhile_stops_everything(ready: Any, account: Any) -> None:
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    account.platform.door = Answering(account.platform.app, f"{RUNS}/*/results", {}, status=401)
    assert "the key was not accepted" in ready("evaluate", code=1).words


def test_the_prompts_that_miss_a_threshold_in_percent_are_named(ready: Any, account: Any) -> None:
    ready.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    case = account.case()
    star = {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold_pct": 80}
    account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", {"star_metric": star})
    (verdict,) = json.loads(ready("evaluate", "--format", "json", code=5).out)["verdicts"]
    assert verdict["why"] == "misses the threshold; so do 2 of 2 prompts: 1, 2"


@pytest.mark.parametrize(
    ("page", "prompts", "count"),
    [
        (200, 8, "8 of 8 prompts"),
        (3, 8, "8 of 8 prompts"),
        (20, 100, "100 of 100 prompts"),
        (20, 101, "100 of the first 100 prompts"),
        (3, 130, "100 of the first 100 prompts"),
    ],
)
def test_prompts_that_miss_are_counted_however_long_a_page_is(
    page: int, prompts: int, count: str, care: Any, account: Any
) -> None:
    """Up to a hundred are read, for they come with all that the agent did; where there are more, that is said."""
    agent = {"name": "bot", "otherwise": "Well", "run_states": [DONE]}
    seed = {"quota": None, "workspaces": [{"name": "care", "agents": [agent]}]}
    account.platform.renew(seed=Seed.from_json(seed), page_cap=page)
    care.write("faq.csv", "query,expected_response\n" + "".join(f"Question {n}?,Yes\n" for n in range(prompts)))
    care("apply", "--yes")
    (verdict,) = json.loads(care("evaluate", "--format", "json", code=5).out)["verdicts"]
    assert verdict["why"] == (f"misses the threshold; so do {count}: 1, 2, 3, 4, 5 and {min(prompts, 100) - 5} more")


@pytest.mark.parametrize("apart", [False, True], ids=["one resource", "one each"])
def test_the_number_of_requests_grows_with_the_agents_and_not_with_their_square(
    apart: bool, care: Any, account: Any
) -> None:
    """There are 250 a minute.  Each run is looked at twice, when it is waited for and when it is read; then once."""
    names = [f"bot {number}" for number in range(6)]
    account.renew(agents=[{"name": name, "run_states": [DONE]} for name in names])
    each = [f"{{name: of {name}, testCase: Answers are correct, agents: [{name}]}}" for name in names]
    whole = f"agents: [{', '.join(names)}]"
    care.edit("care.yaml", "agents: [bot]", "\n    - ".join(["agents: [bot 0]", *each[1:]]) if apart else whole)
    care("apply", "--yes")
    for command, looks in (("evaluate", 12), ("status", 6)):
        account.platform.seen.clear()
        assert "6 passed" in care(command).out
        assert sum(path.startswith(f"{RUNS}/") for _, path in account.platform.seen) == looks


def test_nothing_is_read_twice_before_a_run_is_started(ready: Any, account: Any) -> None:
    """What told the cost tells whether a run is there already, too."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [bot, canary]")
    ready("evaluate", code=5)
    before = account.platform.seen[: account.platform.seen.index(("POST", RUNS))]
    assert [request for request, count in Counter(before).items() if count > 1] == []


def test_a_run_under_way_is_joined_whoever_started_it(ready: Any, account: Any) -> None:
    account.renew(agents=[{"name": "bot", "run_states": [QUEUED, RUNNING, DONE]}])
    ready("state", "rm", "*")
    ready("apply", "--yes")
    agent = account.api("GET", "/agents")["agents"][0]["uuid"]
    body = {"test_case_uuid": account.case()["test_case_uuid"], "agent_uuids": [agent], "run_name": "by hand"}
    account.api("POST", "/evaluation_runs", body)
    account.platform.seen.clear()
    assert verdict_of(ready).level is Level.PASS
    assert [run["run_name"] for run in account.runs()] == ["by hand"]
    assert account.writes == []


def test_a_wait_that_was_given_up_is_taken_up_again(ready: Any, account: Any) -> None:
    assert "1 test is being evaluated" in ready("evaluate", "--no-wait").out
    ready("evaluate")
    assert account.writes == ["POST evaluation_runs"]


def test_the_run_that_was_started_is_judged_and_not_a_newer_one_of_somebody_else(ready: Any, account: Any) -> None:
    """Of the same version of everything, so that it would be joined by who comes later: it is theirs, and goes on."""
    ready("evaluate", "--no-wait")
    (ours,) = account.runs()
    slow = {"name": "bot", "run_states": [RUNNING], "version_hash": ours["agent_version_hash"]}
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [slow]}]}))
    case, agent = account.case()["test_case_uuid"], ours["agent_uuid"]
    account.api("POST", "/evaluation_runs", {"test_case_uuid": case, "agent_uuids": [agent], "run_name": "theirs"})
    (verdict,) = json.loads(ready("evaluate", "--format", "json").out)["verdicts"]
    assert (verdict["level"], verdict["result"]["id"]) == ("pass", ours["evaluation_run_uuid"])
    assert account.writes == ["POST evaluation_runs"]


def deploy(account: Any, **agent: Any) -> None:
    """The agent ``bot`` of another version."""
    seeded = {"name": "bot", "run_states": [DONE], **agent}
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [seeded]}]}))


def test_a_run_of_an_older_test_case_is_not_taken_for_the_new_one(ready: Any, account: Any) -> None:
    """An earlier command left it: what it says is about another threshold, and a good change stays."""
    ready("evaluate", "--no-wait")
    ready.edit("care.yaml", "82.4", "83")
    ended = ready("apply", "--yes", "--evaluate", "--rollback")
    assert "1 passed" in ended.out
    assert "1 evaluation under way is of an older version of test or place, and not waited for" in ended.words
    assert "will run 1 evaluation: 1 test × 1 place\n" in ended.err
    assert sorted(run["test_case_version"] for run in account.runs()) == [1, 2]
    assert "older version" not in ready("evaluate").words
    assert len(account.runs()) == 2


@pytest.mark.parametrize("is_worse", [True, False])
def test_a_run_of_an_older_agent_is_not_taken_for_the_new_one(is_worse: bool, ready: Any, account: Any) -> None:
    good, bad = "{expected_response}", "Well"
    deploy(account, otherwise=good if is_worse else bad)
    ready("evaluate", "--no-wait")
    deploy(account, otherwise=bad if is_worse else good)
    ended = ready("evaluate", code=5 if is_worse else 0)
    assert "1 evaluation under way is of an older version of test or place, and not waited for" in ended.words
    assert len({run["agent_version_hash"] for run in account.runs()}) == 2


def test_what_is_resumed_and_is_of_an_older_version_is_no_result(ready: Any, account: Any) -> None:
    """Nothing is started for it; the next evaluation does that."""
    ready("evaluate", "--no-wait")
    deploy(account, version_hash="newer")
    older = "no result: the run is of another version of the agent than there is; reconciler evaluate starts a new one"
    assert older in ready("evaluate", "--resume", code=5).words
    assert "nothing to resume" in ready("evaluate", "--resume", code=64).words
    ready("evaluate", "--no-wait")
    ready.edit("care.yaml", "82.4", "83")
    ready("apply", "--yes")
    older = "no result: the run is of version 1 of the test case and not of version 2; reconciler evaluate starts a new"
    assert older in ready("evaluate", "--resume", code=5).words
    assert account.writes.count("POST evaluation_runs") == 2
    ready("evaluate")
    assert account.writes.count("POST evaluation_runs") == 3


def test_where_versions_can_not_be_read_nothing_is_judged_or_forgotten(ready: Any, account: Any) -> None:
    ready("evaluate", "--no-wait")
    agent = account.api("GET", "/agents")["agents"][0]["uuid"]
    account.platform.fail({"method": "GET", "path": f"/v2/gen-ai/agents/{agent}", "action": "status", "status": 404})
    assert "could not be evaluated: GET " in ready("evaluate", code=5).words
    account.platform.fail()
    ready("evaluate", "--resume")
    assert account.writes == ["POST evaluation_runs"]


@pytest.mark.parametrize("hidden", [[1], [1, 2, 3], [2], [1, 3]], ids=str)
def test_a_run_that_is_not_shown_at_once_is_waited_for(hidden: list[int], ready: Any, account: Any) -> None:
    """It was made just now, and the platform's copies may not all know it: neither a failure, nor a second run."""
    ready.environ["RECONCILER_UNCERTAINTY_WINDOW"] = "60s"
    account.platform.fail({"method": "GET", "path": f"{RUNS}/*", "nth": hidden, "action": "status", "status": 404})
    assert verdict_of(ready).level is Level.PASS
    assert account.writes == ["POST evaluation_runs"]


def test_a_run_that_is_never_shown_is_an_error_when_it_could_not_be_too_new(ready: Any, account: Any) -> None:
    ready.environ["RECONCILER_UNCERTAINTY_WINDOW"] = "60s"
    account.platform.fail({"method": "GET", "path": f"{RUNS}/*", "action": "status", "status": 404})
    verdict = verdict_of(ready, deadline_s=10)
    assert (verdict.status, verdict.level) == (EvaluationStatus.RUNNING, Level.FAIL)
    assert "it goes on at the platform; the platform does not show it yet" in verdict.why
    clock, ask = VirtualClock(), Inquiry(TimeRange(0, 1), deadline_s=600)
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, ask), clock).verdicts
    assert (verdict.status, verdict.level) == (EvaluationStatus.ERROR, Level.FAIL)
    assert "not found (404)" in verdict.why
    assert 60 <= clock.passed <= 75
    assert account.writes == ["POST evaluation_runs"]


def test_a_run_whose_answer_was_lost_is_found_by_its_name(ready: Any, account: Any) -> None:
    """The platform started it and answered 503: it is not sent again, and its result counts."""
    account.platform.fail(
        {"method": "POST", "path": RUNS, "nth": 1, "action": "status", "status": 503, "when": "after"}
    )
    assert "1 passed" in ready("evaluate").out
    (run,) = account.runs()
    assert run["run_name"].startswith("reconciler ")
    assert account.writes == ["POST evaluation_runs"]


@pytest.mark.parametrize("uuids", [[None], [5], [""], [{}], [], None, "x"], ids=str)
def test_a_run_whose_id_cannot_be_read_is_found_by_its_name(uuids: Any, ready: Any, account: Any) -> None:
    account.platform.door = Misnaming(account.platform.door, uuids)
    ended = ready("evaluate")
    assert "1 passed" in ended.out
    (run,) = account.runs()
    asked = {path for method, path in account.platform.seen if method == "GET" and path.startswith(f"{RUNS}/")}
    assert asked == {f"{RUNS}/{run['evaluation_run_uuid']}"}
    assert account.writes == ["POST evaluation_runs"]


def test_runs_without_ids_are_said_in_words(ready: Any, account: Any) -> None:
    ready("evaluate")
    account.platform.door = Replacing(account.platform.app, '"evaluation_run_uuid":', '"uuid":')
    said = "the answer lists evaluation_runs without evaluation_run_uuid"
    assert said in ready("evaluate", code=5).words
    assert said in ready("status", code=1).words
    assert account.writes == ["POST evaluation_runs"]


def test_a_run_that_nobody_knows_of_is_doubtful_and_not_sent_again(ready: Any, account: Any) -> None:
    account.platform.fail({"method": "POST", "path": RUNS, "nth": 1, "action": "drop-before"})
    verdict = verdict_of(ready)
    assert (verdict.level, account.writes) == (Level.FAIL, ["POST evaluation_runs"])
    assert "may have been started" in verdict.why
    assert account.runs() == []
    assert verdict_of(ready).level is Level.PASS


def test_where_only_reading_failed_nothing_is_in_doubt(ready: Any, account: Any) -> None:
    """It is not said to be lost, and the next evaluation has no reason to look for it first."""
    ready.environ["RECONCILER_UNCERTAINTY_WINDOW"] = "60s"
    path = f"/v2/gen-ai/evaluation_test_cases/{account.case()['test_case_uuid']}/evaluation_runs"
    account.platform.fail({"method": "GET", "path": path, "action": "status", "status": 500})
    ask = Inquiry(TimeRange(0, 1))
    found = in_virtual_time(ready, lambda here: evaluate(here, ask), VirtualClock())
    (verdict,) = found.verdicts
    assert (verdict.status, verdict.level) == (EvaluationStatus.ERROR, Level.FAIL)
    assert f"GET {path}: the server failed (500)" in verdict.why
    assert (found.doubts, found.result.unfinished, account.writes) == ((), (), [])
    account.platform.fail()
    clock = VirtualClock()
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, ask), clock).verdicts
    assert verdict.level is Level.PASS
    assert clock.passed < 10


class Misnaming:
    """The platform, which starts runs and tells these uuids of them."""

    def __init__(self, app: ASGIApp, uuids: Any) -> None:
        self._app, self._answer = app, JSONResponse({"evaluation_run_uuids": uuids})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def swallow(_: Message) -> None:
            """Nobody hears of it."""

        is_meant = (scope["method"], scope["path"]) == ("POST", RUNS)
        await self._app(scope, receive, swallow if is_meant else send)
        if is_meant:
            await self._answer(scope, receive, send)


class Losing:
    """The platform, which answers the first request for a run with 503 and keeps it for later."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.body: Doc | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.body is not None or (scope["method"], scope["path"]) != ("POST", RUNS):
            await self._app(scope, receive, send)
            return
        message = await receive()
        whole = message["body"]
        while message.get("more_body"):
            message = await receive()
            whole += message["body"]
        self.body = json.loads(whole)
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def lost(ready: Any, account: Any) -> Losing:
    """A request for a run whose answer was lost, by an evaluation that waited 10 of the 60 seconds."""
    ready.environ["RECONCILER_UNCERTAINTY_WINDOW"] = "60s"
    account.platform.door = losing = Losing(account.platform.door)
    verdict = verdict_of(ready, deadline_s=10)
    assert (verdict.level, account.writes) == (Level.FAIL, ["POST evaluation_runs"])
    assert "may have been started: the reply was lost; the next evaluation goes on looking for it" in verdict.why
    return losing


def test_a_lost_run_that_is_carried_out_late_is_found_by_the_next_evaluation(
    lost: Losing, ready: Any, account: Any
) -> None:
    """It is not paid twice, however little time the first one had."""
    path = f"/v2/gen-ai/evaluation_test_cases/{account.case()['test_case_uuid']}/evaluation_runs"
    account.platform.meanwhile("GET", path, lambda: account.api("POST", "/evaluation_runs", lost.body))
    assert verdict_of(ready).level is Level.PASS
    assert [run["run_name"] for run in account.runs()] == [lost.body and lost.body["run_name"]]
    assert account.writes == ["POST evaluation_runs"]


@pytest.mark.usefixtures("lost")
def test_a_lost_run_is_sent_again_when_it_cannot_turn_up_any_more(ready: Any, account: Any) -> None:
    """What several evaluations have looked counts together."""
    assert verdict_of(ready, deadline_s=30).level is Level.FAIL
    assert account.writes == ["POST evaluation_runs"]
    clock, ask = VirtualClock(), Inquiry(TimeRange(0, 1), deadline_s=600)
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, ask), clock).verdicts
    assert (verdict.level, account.writes) == (Level.PASS, ["POST evaluation_runs"] * 2)
    assert 20 <= clock.passed <= 40


@pytest.mark.usefixtures("lost")
def test_a_lost_run_is_not_sent_again_by_who_only_waits(ready: Any, account: Any) -> None:
    ask = Inquiry(TimeRange(0, 1), resume=True, deadline_s=600)
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, ask), VirtualClock()).verdicts
    assert "may have been started: the reply was lost, and it is not sent a second time" in verdict.why
    assert account.writes == ["POST evaluation_runs"]


@pytest.mark.parametrize(("window", "least", "most"), [("0s", 0, 10), ("2m", 120, 135)])
def test_how_long_a_lost_run_is_looked_for_is_a_setting(
    window: str, least: float, most: float, ready: Any, account: Any
) -> None:
    ready.environ["RECONCILER_UNCERTAINTY_WINDOW"] = window
    account.platform.fail({"method": "POST", "path": RUNS, "nth": 1, "action": "drop-before"})
    clock, ask = VirtualClock(), Inquiry(TimeRange(0, 1), deadline_s=600)
    (verdict,) = in_virtual_time(ready, lambda here: evaluate(here, ask), clock).verdicts
    assert "may have been started" in verdict.why
    assert least <= clock.passed <= most


def test_an_agent_that_is_not_there_is_an_error_beside_those_that_are(ready: Any, account: Any) -> None:
    """Misspelt, renamed or removed: it is named in the manifests, so that it gets a verdict."""
    ready.edit("care.yaml", "agents: [bot]", "agents: [bot, canarry]")
    for command in ("evaluate", "status"):
        found = json.loads(ready(command, "--format", "json", code=5).out)["verdicts"]
        assert [(each["pipeline"], each["level"], each["why"]) for each in found] == [
            ("canarry", "fail",
             'could not be evaluated: the workspace has no agent "canarry"; did you mean "canary"?'),
            ("bot", "pass", ""),
        ]  # fmt: skip
    ready.edit("care.yaml", "[bot, canarry]", "[nobody]")
    assert 'the workspace has no agent "nobody"' in ready("evaluate", code=5).words
    ready.edit("care.yaml", "[nobody]", "[nobody]\n      gate: {onError: warn}")
    assert "0 passed, 1 warned, 0 failed" in ready("status").out
    assert account.writes == ["POST evaluation_runs"]


def test_an_agent_that_is_not_deployed_is_not_run(ready: Any, account: Any) -> None:
    account.renew(agents=[{"name": "bot", "deployment_status": "BUILDING"}])
    ready("state", "rm", "*")
    ready("apply", "--yes")
    account.platform.seen.clear()
    assert "the agent cannot answer: STATUS_BUILDING" in ready("evaluate", code=5).words
    assert account.writes == []


# ---------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize(
    ("state", "status", "why"),
    [
        ("EVALUATION_RUN_STATUS_UNSPECIFIED", EvaluationStatus.RUNNING, "it goes on at the platform"),
        (QUEUED, EvaluationStatus.RUNNING, "it goes on at the platform"),
        (RUNNING, EvaluationStatus.RUNNING, "it goes on at the platform"),
        ("EVALUATION_RUN_EVALUATING_RESULTS", EvaluationStatus.RUNNING, "it goes on at the platform"),
        ("EVALUATION_RUN_CANCELLING", EvaluationStatus.RUNNING, "it goes on at the platform"),
        ("EVALUATION_RUN_CANCELLED", EvaluationStatus.ERROR, "the run ended as CANCELLED: The run was ended."),
        ("EVALUATION_RUN_FAILED", EvaluationStatus.ERROR, "the run ended as FAILED: The run was ended."),
        ("EVALUATION_RUN_PARTIALLY_SUCCESSFUL", EvaluationStatus.ERROR, "the run ended as PARTIALLY_SUCCESSFUL"),
        (DONE, EvaluationStatus.PASSING, ""),
        ("EVALUATION_RUN_DREAMING", EvaluationStatus.RUNNING,
         "the platform answered the unknown status 'EVALUATION_RUN_DREAMING'"),
    ],
)  # fmt: skip
def test_every_state_of_a_run(state: str, status: EvaluationStatus, why: str, care: Any, account: Any) -> None:
    """Four are the end; only one of these has a verdict; an unknown one counts as under way, and is said."""
    account.renew(agents=[{"name": "bot", "run_states": [state]}])
    care("apply", "--yes")
    verdict = verdict_of(care)
    assert (verdict.status, verdict.level) == (status, Level.PASS if state == DONE else Level.FAIL)
    assert why in verdict.why
    assert account.writes.count("POST evaluation_runs") == 1


@pytest.mark.parametrize(
    ("agent", "level", "why"),
    [
        ({"name": "bot"}, Level.PASS, ""),
        ({"name": "bot", "otherwise": "Well"}, Level.FAIL, "the run is over, and the platform shows no verdict"),
    ],
    ids=["true", "false"],
)
def test_a_verdict_that_is_left_out_is_no_pass(agent: Doc, level: Level, why: str, care: Any, account: Any) -> None:
    """false is the zero of protobuf's JSON, which may be left out; so are zeros among the scores."""
    account.renew(agents=[agent], omit_zeros=True)
    care("apply", "--yes")
    care("plan", "--detailed-exitcode")
    verdict = verdict_of(care)
    assert (verdict.level, verdict.measured) == (level, "100" if level is Level.PASS else "0")
    assert why in verdict.why


class Contradicting:
    """The platform, with the list over the whole run giving another number for the star metric than the result that
    decided.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        run = json.loads(body).get("evaluation_run") if body.startswith(b"{") else None
        if run:
            for each in run["run_level_metric_results"]:
                each["number_value"] = 1.0
            body = json.dumps({"evaluation_run": run}).encode()
        headers = [(name, value) for name, value in messages[0]["headers"] if name != b"content-length"]
        await send({**messages[0], "headers": headers})
        await send({"type": "http.response.body", "body": body})


def test_what_decided_is_shown_where_the_list_of_metrics_says_something_else(ready: Any, account: Any) -> None:
    account.platform.door = Contradicting(account.platform.door)
    (verdict,) = json.loads(ready("evaluate", "--format", "json").out)["verdicts"]
    assert (verdict["level"], verdict["measured"]) == ("pass", "100")
    assert verdict["result"]["measured"] == {CORRECT: 100.0, "Instruction Following": 1.0}


def test_a_star_metric_that_was_not_scored_is_skipped(care: Any, account: Any) -> None:
    """The gate says what that means; by default it fails."""
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[Retrieved Context Relevance]")
    care.edit("care.yaml", f"name: {CORRECT}", "name: Retrieved Context Relevance")
    care("apply", "--yes")
    ended = care("evaluate", code=5)
    assert "skipped: The agent retrieved no context." in ended.words
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {onSkipped: warn}")
    assert "0 passed, 1 warned, 0 failed" in care("status").out
    assert account.writes.count("POST evaluation_runs") == 1


@pytest.mark.parametrize("verdict", ["false", "true"])
def test_a_star_metric_that_could_not_be_scored_is_an_error(verdict: str, care: Any, account: Any) -> None:
    """Whatever the platform makes of it; the gate says what that means, and no other score stands beside the limit."""
    metrics = [{"metric_name": "Broken", "scoring": "failed"}, {"metric_name": CORRECT}]
    account.renew(metrics=metrics)
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", f"[{CORRECT}, Broken]")
    care.edit("care.yaml", f"name: {CORRECT}", "name: Broken")
    care("apply", "--yes")
    account.platform.door = Replacing(account.platform.door, '"pass_status":false', f'"pass_status":{verdict}')
    found = verdict_of(care)
    assert (found.status, found.level, found.measured, found.wanted) == (
        EvaluationStatus.ERROR, Level.FAIL, "", ">= 82.4"
    )  # fmt: skip
    assert found.why == "could not be evaluated: The judge did not answer."
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {onError: warn}")
    assert "0 passed, 1 warned, 0 failed" in care("status").out


@pytest.mark.parametrize(
    ("spelled", "status", "measured", "why"),
    [
        ('"0"', EvaluationStatus.PASSING, "0", ""),
        ('"NaN"', EvaluationStatus.ERROR, "", "the platform shows no number"),
        ("NaN", EvaluationStatus.ERROR, "", "the platform shows no number"),
        ('"Infinity"', EvaluationStatus.ERROR, "", "the platform shows no number"),
        ("1e999", EvaluationStatus.ERROR, "", "the platform shows no number"),
        ("null", EvaluationStatus.ERROR, "", "the platform shows no number"),
        ('"none"', EvaluationStatus.ERROR, "", "the platform shows no number"),
    ],
)
def test_a_score_that_is_no_number_is_not_the_best_one(
    spelled: str, status: EvaluationStatus, measured: str, why: str, care: Any, account: Any
) -> None:
    """Of leaks 0 is perfect.  protobuf's JSON spells some numbers as text, and there is no verdict on what is none."""
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[PII Leaks]")
    care.edit("care.yaml", f"name: {CORRECT}, threshold: 82.4", "name: PII Leaks, threshold: 0")
    care("apply", "--yes")
    account.platform.door = Replacing(account.platform.door, '"number_value":0.0', f'"number_value":{spelled}')
    verdict = verdict_of(care)
    assert (verdict.status, verdict.measured) == (status, measured)
    assert why in verdict.why
    assert (verdict.level is Level.PASS) == (status is EvaluationStatus.PASSING)


@pytest.mark.parametrize(
    ("spelled", "status"),
    [
        ("0.0", EvaluationStatus.UNREADABLE),
        ("null", EvaluationStatus.UNREADABLE),
        ("-0.5", EvaluationStatus.PASSING),
    ],
)
def test_an_unknown_status_of_the_star_metric_passes_only_with_a_value_that_does(
    spelled: str, status: EvaluationStatus, care: Any, account: Any
) -> None:
    """What is left out, or shown where nothing was scored, is a zero; of leaks that is the best there is."""
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[PII Leaks]")
    care.edit("care.yaml", f"name: {CORRECT}, threshold: 82.4", "name: PII Leaks, threshold: 0")
    care.edit(
        "care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {onError: pass, onSkipped: pass, onMissing: pass}"
    )
    care("apply", "--yes")
    other = f'"number_value":{spelled},"status":"EVALUATION_METRIC_RESULT_STATUS_ODD"'
    account.platform.door = Replacing(account.platform.door, '"number_value":0.0', other)
    account.platform.door = Replacing(
        account.platform.door, '"status":"EVALUATION_METRIC_RESULT_STATUS_COMPLETED"', '"was":""'
    )
    verdict = verdict_of(care)
    assert (verdict.status, verdict.level is Level.PASS) == (status, status is EvaluationStatus.PASSING)
    if verdict.level is not Level.PASS:
        assert "the unknown status 'EVALUATION_METRIC_RESULT_STATUS_ODD' of the star metric" in verdict.why
        assert verdict.measured == ""


def test_a_broken_run_is_tried_again_by_the_next_evaluation(care: Any, account: Any) -> None:
    """FAILED is no verdict on the agent."""
    account.platform.fail({"method": "POST", "path": RUNS, "nth": 1, "action": "task-fails"})
    care("apply", "--yes")
    assert verdict_of(care).status is EvaluationStatus.ERROR
    assert verdict_of(care).level is Level.PASS
    assert len(account.runs()) == 2


# ------------------------------------------------------------------------------------- one run, all fields

SEED_FIELDS = """
    agent_deleted agent_name agent_uuid agent_version_hash agent_workspace_uuid created_by_user_email
    created_by_user_id error_description evaluation_run_uuid evaluation_test_case_workspace_uuid finished_at
    pass_status queued_at run_level_metric_results run_name star_metric_result started_at status
    test_case_description test_case_name test_case_uuid test_case_version
""".split()
SEED_RESULT_FIELDS = "error_description metric_name metric_value_type number_value reasoning string_value".split()


def test_status_of_a_run_shows_every_field(ready: Any, account: Any) -> None:
    """As text a field a line, with what is inside indented; as JSON the platform's object.  Our mark is in neither."""
    ready("evaluate")
    (run,) = account.runs()
    uuid = run["evaluation_run_uuid"]
    account.platform.seen.clear()
    lines = ready("status", "--run", uuid).out.splitlines()
    assert account.platform.seen == [("GET", f"{RUNS}/{uuid}")]
    assert {line.partition(":")[0] for line in lines} >= set(SEED_FIELDS)
    star = lines[lines.index("star_metric_result:") + 1 :]
    inside = [line.strip().partition(":")[0] for line in star[: len(run["star_metric_result"])]]
    assert set(inside) >= set(SEED_RESULT_FIELDS)
    assert "pass_status: true" in lines
    assert f"    metric_name: {CORRECT}" in lines
    assert "test_case_description: What customers ask" in lines
    shown = json.loads(ready("status", "--run", uuid, "--format", "json").out)
    there = account.api("GET", f"/evaluation_runs/{uuid}")["evaluation_run"]
    assert shown == {**there, "test_case_description": "What customers ask"}
    assert "[reconciler:" in there["test_case_description"]


def test_what_people_wrote_into_a_run_does_nothing_to_a_terminal(ready: Any, account: Any) -> None:
    agent = account.api("GET", "/agents")["agents"][0]["uuid"]
    body = {"test_case_uuid": account.case()["test_case_uuid"], "agent_uuids": [agent], "run_name": "a\x1b[2J\n::set-x"}
    (uuid,) = account.api("POST", "/evaluation_runs", body)["evaluation_run_uuids"]
    assert "run_name: a\\x1b[2J\\n::set-x\n" in ready("status", "--run", uuid).out


def test_a_run_that_is_not_there_is_one_sentence(ready: Any) -> None:
    ended = ready("status", "--run", "no/such", code=64)
    assert "there is no evaluation run no/such" in ended.err


@pytest.mark.parametrize("option", [["--since", "1h"], ["--select", "x"], ["care.yaml"], ["--format", "markdown"]])
def test_a_single_run_goes_with_nothing_that_chooses_others(option: list[str], ready: Any) -> None:
    name = " ".join(option) if option[0] == "--format" else option[0] if option[0].startswith("--") else "PATH"
    assert f"--run and {name} do not go together" in ready("status", "--run", "x", *option, code=64).words


def test_a_single_run_needs_the_token_of_its_vendor(ready: Any) -> None:
    assert "DIGITALOCEAN_TOKEN is not set" in ready("status", "--run", "x", code=1, DIGITALOCEAN_TOKEN="").err


# -------------------------------------------------------------------------------------------- two vendors


def test_one_plan_one_apply_and_one_evaluation_over_both_vendors(care: Any, bot: Any, account: Any) -> None:
    """The same words, the same table, one exit code; each vendor gets its own requests and nothing else."""
    assert care is bot
    ended = care("plan", "--detailed-exitcode", code=2)
    assert "Plan: 7 to create." in ended.out
    assert "Apply: 7 done.  (7 created)" in care("apply", "--yes").out
    care("plan", "--detailed-exitcode")
    for pipeline in account.platform.pipelines("bot").values():
        rows = [{"output": "yes", "at": NOON + number} for number in range(3)]
        body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": rows}
        account.platform.api("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", body)
    when = ("--from", "2026-11-10", "--to", "2026-11-11")
    found = json.loads(care("evaluate", *when, "--format", "json").out)["verdicts"]
    assert {(each["address"], each["pipeline"], each["level"]) for each in found} == {
        ("openlayer.Test/bot/monitoring/Rows arrive", "live", "pass"),
        ("openlayer.Test/bot/monitoring/Rows arrive", "canary", "pass"),
        ("openlayer.Test/bot/monitoring/Answers are short", "live", "pass"),
        ("digitalocean.EvaluationRun/care/nightly", "bot", "pass"),
    }
    assert levels(care("status", "--select", "care/*", "--format", "json")) == {"bot": "pass"}


def test_one_vendor_that_lists_nothing_looks_like_an_outage_beside_another_that_is_well(
    care: Any, bot: Any, platform: Any
) -> None:
    """What the other one lists says nothing of it: nothing is made again."""
    bot("apply", "--yes")
    for item in platform.projects().values():
        platform.api("DELETE", f"/projects/{item['id']}")
    platform.seen.clear()
    ended = care("apply", "--yes", code=1)
    assert "the platform lists nothing of 5 resources of ours; this looks like an outage" in ended.words
    assert "missing: openlayer.Project/bot, openlayer.InferencePipeline/bot/canary, " in ended.words
    assert platform.writes == []


def test_one_limit_of_time_is_for_both_vendors_together(care: Any, bot: Any, account: Any) -> None:
    """Both hang: each is triggered at once, and a minute is a minute.  What is under way can be resumed."""
    account.renew(agents=[{"name": "bot", "run_states": [RUNNING]}])
    account.platform.fail({"method": "POST", "path": "/v1/tests/*/evaluate", "action": "task-never"})
    bot("apply", "--yes")
    clock, started = VirtualClock(), []
    account.platform.meanwhile("POST", RUNS, lambda: started.append(clock.passed))
    ask = Inquiry(TimeRange(int(NOON), int(NOON) + 1), deadline_s=60.0)
    found = in_virtual_time(care, lambda here: evaluate(here, ask), clock)
    assert {each.status for each in found.verdicts} == {EvaluationStatus.RUNNING}
    assert len(found.result.unfinished) == 3
    assert len(started) == 1
    assert started[0] < 30
    assert clock.passed == pytest.approx(60, abs=15)
    assert "nothing to resume" not in care("evaluate", "--resume", "--timeout", "1s", code=5).words


def test_progress_counts_over_both_vendors(care: Any, bot: Any) -> None:
    bot("apply", "--yes")
    counted: list[tuple[int, int]] = []

    async def counting(here: Any) -> Any:
        here.hooks = replace(here.hooks, progress=lambda done, total, _: counted.append((done, total)))
        return await evaluate(here, Inquiry(TimeRange(int(NOON), int(NOON) + 1)))

    in_virtual_time(care, counting, VirtualClock())
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_a_vendor_that_fails_does_not_hold_up_the_other(care: Any, bot: Any, account: Any) -> None:
    account.platform.fail({"method": "POST", "path": "/spaces/*", "action": "drop-before"},
                          {"method": "PUT", "path": "/spaces/*", "action": "status", "status": 403})  # fmt: skip
    assert "5 done, 1 failed, 1 skipped" in care("apply", "--yes", code=4).out
    assert bot is care


# -------------------------------------------------------------------------------------------- rate limits


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("wait", [{"retryAfter": 0}, {}], ids=["retry-after", "none"])
def test_a_429_is_waited_out(wait: Doc, care: Any, account: Any) -> None:
    """With the pause that is asked for, else with a short one; creates included, because nothing happened."""
    rule = {"action": "status", "status": 429, **wait}
    account.platform.fail(
        {"method": "POST", "path": "/v2/gen-ai/evaluation_datasets", "nth": 1, **rule},
        {"method": "GET", "path": "/v2/gen-ai/evaluation_metrics", "nth": 1, **rule},
    )
    care("apply", "--yes")
    care("plan", "--detailed-exitcode")
    assert len(account.datasets()) == 1


def test_the_limit_per_minute_slows_everything_down_and_loses_nothing(care: Any, account: Any) -> None:
    """The vendor's own sliding window, in virtual time: a plan, an apply and an evaluation take some minutes more."""
    clock = VirtualClock()
    quota = {"per_hour": 5000, "per_minute": 6}
    states = [{"name": "bot", "run_states": [DONE]}]
    seed = Seed.from_json({"quota": quota, "workspaces": [{"name": "care", "agents": states}]})
    account.platform.renew(seed=seed, now=clock.now)
    applied = in_virtual_time(care, apply, clock)
    assert [outcome.status for outcome in applied.outcomes] == ["done", "done"]
    assert clock.passed >= 60
    ask = Inquiry(TimeRange(0, 1), deadline_s=3600)
    (verdict,) = in_virtual_time(care, lambda here: evaluate(here, ask), clock).verdicts
    assert verdict.level is Level.PASS
    assert 120 <= clock.passed <= 1200


def test_the_limit_per_hour_is_an_error_that_says_how_long(care: Any, account: Any) -> None:
    """It has no retry-after; the reset is an hour away, and nobody waits that long."""
    clock = VirtualClock()
    quota = {"per_hour": 3, "per_minute": 250}
    account.platform.renew(seed=Seed.from_json({"quota": quota, "workspaces": [{"name": "care"}]}), now=clock.now)
    with pytest.raises(RateLimited, match="The hourly limit is reached"):
        in_virtual_time(care, apply, clock)
    assert clock.passed <= 600
