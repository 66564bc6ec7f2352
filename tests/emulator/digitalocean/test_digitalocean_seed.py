"""What the API cannot create is seeded, by a file that is checked, and once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.emulator.digitalocean.seed import Seed

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]


def bot(**agent: object) -> Doc:
    return {"workspaces": [{"name": "w", "agents": [{"name": "bot", **agent}]}]}


def test_a_new_account_has_a_workspace_with_three_agents_of_which_two_run(account: Account) -> None:
    (workspace,) = account.ok("GET", "/workspaces")["workspaces"]
    statuses = {agent["name"]: agent["deployment"]["status"] for agent in workspace["agents"]}
    assert statuses == {
        "support-bot": "STATUS_RUNNING",
        "support-bot-canary": "STATUS_RUNNING",
        "support-bot-draft": "STATUS_WAITING_FOR_DEPLOYMENT",
    }
    assert [agent["name"] for agent in account.ok("GET", "/agents", only_deployed="true")["agents"]] == [
        "support-bot",
        "support-bot-canary",
    ]


def test_seeded_uuids_are_the_same_everywhere_or_as_given(make_account: Make) -> None:
    one, two = make_account(), make_account()
    assert one.agents() == two.agents()
    assert one.metrics() == two.metrics()
    given = make_account(seed=bot(agent_uuid="11111111-1111-4111-8111-111111111111"))
    assert given.agents() == {"bot": "11111111-1111-4111-8111-111111111111"}


def test_the_default_seed_fills_a_new_file_only(make_account: Make, tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    first = make_account(database=file)
    workspace = first.ok("GET", "/workspaces")["workspaces"][0]["uuid"]
    first.ok("PUT", f"/workspaces/{workspace}", {"description": "Changed"})
    again = make_account(database=file)
    assert [each["description"] for each in again.ok("GET", "/workspaces")["workspaces"]] == ["Changed"]


def test_a_given_seed_is_put_over_what_a_file_holds(make_account: Make, tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    make_account(database=file, seed=bot(description="Old"))
    again = make_account(database=file, seed=bot(description="New"))
    (agent,) = again.ok("GET", "/agents")["agents"]
    assert agent["description"] == "New"


def test_an_upload_survives_a_restart_and_so_does_its_url(make_account: Make, tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    upload = make_account(database=file).upload(b"query\nWho?\n")
    again = make_account(database=file)
    assert again.send("PUT", upload["presigned_url"], content=b"query\n").status_code == 200


def test_an_agent_that_answers_otherwise_is_a_new_version(make_account: Make) -> None:
    account = make_account(seed=bot(otherwise="One."))
    before = account.ok("GET", f"/agents/{account.agents()['bot']}")["agent"]["version_hash"]
    for otherwise in ("One.", "Two."):
        account.app.state.digitalocean.sow(Seed.from_json(bot(otherwise=otherwise)))
    versions = account.ok("GET", f"/agents/{account.agents()['bot']}/versions")["agent_versions"]
    assert [version["currently_applied"] for version in versions] == [True, False]
    assert versions[1]["version_hash"] == before


def test_a_seed_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(bot(answers={"Who?": "Me"})), encoding="utf-8")
    assert Seed.read(file).workspaces[0].agents[0].answers == {"Who?": "Me"}


@pytest.mark.parametrize(
    ("seed", "problem"),
    [
        ([], "expected an object, found a list"),
        ({"agents": []}, "agents: there is no such field"),
        (bot(answers=["x"]), "workspaces[0].agents[0].answers: expected an object, found a list"),
        (
            bot(deployment_status="STATUS_RUNNING"),
            'workspaces[0].agents[0].deployment_status: "STATUS_RUNNING" is not one of UNKNOWN',
        ),
        ({"metrics": [{"metric_name": "M", "scoring": "magic"}]}, 'metrics[0].scoring: "magic" is not one of match'),
        ({"metrics": [{"metric_name": "M", "scoring": "pattern", "pattern": "("}]}, "metrics[0]: pattern: "),
        (
            {"metrics": [{"metric_name": "M", "range_min": 2, "range_max": 1}]},
            "metrics[0]: range_min is above range_max",
        ),
        ({"quota": {"per_hour": 0}}, "quota.per_hour: 0 is less than 1"),
    ],
)
def test_a_bad_seed_is_refused_by_field(seed: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        Seed.from_json(seed)
