"""Keep workspaces, agents, metrics, datasets, test cases, runs and uploaded files in SQLite.  Touches: disk.

A thing is a JSON document; what the API shows of it is the business of ``views``.  Everything here runs inside a
transaction of ``Database``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from reconciler.emulator.database import Database, Document, DocumentStore, Page
from reconciler.emulator.digitalocean.seed import Seed, SeededAgent, SeededMetric, SeededWorkspace
from reconciler.emulator.rest import moment

_SCHEMA = """
CREATE TABLE IF NOT EXISTS digitalocean_account (signing_key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS digitalocean_workspaces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS digitalocean_agents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    workspace TEXT NOT NULL REFERENCES digitalocean_workspaces (id),
    deployed INTEGER NOT NULL AS (json_extract(doc, '$.deployment_status') = 'RUNNING') STORED);
CREATE TABLE IF NOT EXISTS digitalocean_agent_versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS digitalocean_metrics (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS digitalocean_datasets (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    type TEXT NOT NULL AS (json_extract(doc, '$.dataset_type')) STORED,
    paradigm TEXT NOT NULL AS (json_extract(doc, '$.dataset_paradigm')) STORED,
    truth INTEGER NOT NULL AS (json_extract(doc, '$.has_ground_truth')) STORED);
CREATE TABLE IF NOT EXISTS digitalocean_test_cases (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    workspace TEXT NOT NULL REFERENCES digitalocean_workspaces (id));
CREATE TABLE IF NOT EXISTS digitalocean_test_case_versions (
    test_case TEXT NOT NULL REFERENCES digitalocean_test_cases (id), version INTEGER NOT NULL, doc TEXT NOT NULL,
    PRIMARY KEY (test_case, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digitalocean_runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL, prompts TEXT NOT NULL,
    test_case TEXT NOT NULL REFERENCES digitalocean_test_cases (id),
    version INTEGER NOT NULL AS (json_extract(doc, '$.test_case_version')) STORED);
CREATE INDEX IF NOT EXISTS digitalocean_runs_listed ON digitalocean_runs (test_case, version, seq);
CREATE TABLE IF NOT EXISTS digitalocean_objects (object_key TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
"""


class Store(DocumentStore):
    """The tables, each with the few questions that the API asks of it."""

    def __init__(self, database: Database, seed: Seed | None, now: float) -> None:
        """``seed`` None fills an account that is new, and leaves one alone that is not."""
        super().__init__(database, _SCHEMA)
        with database.transaction():
            is_new = self._count("SELECT count(*) FROM digitalocean_account", ()) == 0
            if is_new:
                self._sql.execute("INSERT INTO digitalocean_account VALUES (?)", (secrets.token_hex(16),))
            if is_new or seed is not None:
                self.sow(seed or Seed(), now)
            (self.signing_key,) = self._sql.execute("SELECT signing_key FROM digitalocean_account").fetchone()

    # --- what is seeded

    def sow(self, seed: Seed, now: float) -> None:
        """Put in what a seed holds, over what has the same uuid; an agent's new version joins its older ones."""
        for metric in seed.metrics:
            self._put_metric(metric)
        for workspace in seed.workspaces:
            self._sow_workspace(workspace, now)
            for agent in workspace.agents:
                self._sow_agent(workspace, agent, now)

    def _put_metric(self, metric: SeededMetric) -> None:
        self._put("digitalocean_metrics", metric.uuid, {**metric.model_dump(), "metric_uuid": metric.uuid})

    def _sow_workspace(self, seeded: SeededWorkspace, now: float) -> None:
        at = moment(now)
        doc = {"uuid": seeded.uuid, "name": seeded.name, "description": seeded.description}
        self._put("digitalocean_workspaces", seeded.uuid, {**doc, "created_at": at, "updated_at": at})

    def _sow_agent(self, workspace: SeededWorkspace, seeded: SeededAgent, now: float) -> None:
        agent_uuid, at = workspace.uuid_of(seeded), moment(now)
        names = {"uuid": agent_uuid, "version_hash": seeded.version}
        names["deployment_name"] = seeded.deployment_name or seeded.name
        doc = {**seeded.model_dump(), **names, "created_at": at, "updated_at": at}
        before = self.agent(agent_uuid)
        self._sql.execute(
            "INSERT INTO digitalocean_agents (id, doc, workspace) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, workspace = excluded.workspace",
            (agent_uuid, json.dumps(doc), workspace.uuid),
        )
        if before is None or before["version_hash"] != seeded.version:
            self._sql.execute(
                "INSERT INTO digitalocean_agent_versions (agent, doc) VALUES (?, ?)", (agent_uuid, json.dumps(doc))
            )

    def _put(self, table: str, key: str, doc: Document) -> None:
        """Add a document, or replace the one with the same key."""
        self._sql.execute(
            f"INSERT INTO {table} (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",  # noqa: S608
            (key, json.dumps(doc)),
        )

    # --- workspaces and agents

    def put_workspace(self, doc: Document) -> None:
        """Add or replace."""
        self._put("digitalocean_workspaces", doc["uuid"], doc)

    def workspace(self, workspace_uuid: str) -> Document | None:
        """One workspace."""
        return self._one("SELECT doc FROM digitalocean_workspaces WHERE id = ?", (workspace_uuid,))

    def workspaces(self) -> list[Document]:
        """All, oldest first."""
        return self._documents("SELECT doc FROM digitalocean_workspaces ORDER BY seq")

    def delete_workspace(self, workspace_uuid: str) -> None:
        """It is empty."""
        self._sql.execute("DELETE FROM digitalocean_workspaces WHERE id = ?", (workspace_uuid,))

    def agent(self, agent_uuid: str) -> Document | None:
        """One agent."""
        return self._one("SELECT doc FROM digitalocean_agents WHERE id = ?", (agent_uuid,))

    def workspace_of(self, agent_uuid: str) -> str:
        """The uuid of an agent's workspace; the agent exists."""
        sql = "SELECT workspace FROM digitalocean_agents WHERE id = ?"
        return str(self._sql.execute(sql, (agent_uuid,)).fetchone()[0])

    def agents(
        self, workspace_uuid: str | None = None, *, deployed: bool = False, limit: int = -1, offset: int = 0
    ) -> Page:
        """Agents, oldest first; a negative limit is none."""
        where = {"workspace = ?": workspace_uuid, "deployed = ?": True if deployed else None}
        return self._page("digitalocean_agents", where, "seq", limit, offset)

    def move_agent(self, agent_uuid: str, workspace_uuid: str) -> None:
        """Into a workspace, out of the one it is in."""
        sql = "UPDATE digitalocean_agents SET workspace = ? WHERE id = ?"
        self._sql.execute(sql, (workspace_uuid, agent_uuid))

    def agent_versions(self, agent_uuid: str, limit: int, offset: int) -> Page:
        """The agent as of each version, newest first."""
        return self._page("digitalocean_agent_versions", {"agent = ?": agent_uuid}, "seq DESC", limit, offset)

    # --- metrics and datasets

    def metrics(self) -> dict[str, Document]:
        """All metrics by uuid, in the order of the catalogue."""
        found = self._documents("SELECT doc FROM digitalocean_metrics ORDER BY seq")
        return {doc["metric_uuid"]: doc for doc in found}

    def put_dataset(self, doc: Document) -> None:
        """Add."""
        self._put("digitalocean_datasets", doc["dataset_uuid"], doc)

    def dataset(self, dataset_uuid: str) -> Document | None:
        """One dataset."""
        return self._one("SELECT doc FROM digitalocean_datasets WHERE id = ?", (dataset_uuid,))

    def datasets(self, dataset_type: str | None, paradigm: str | None, has_ground_truth: bool | None) -> list[Document]:
        """Datasets, newest first; None does not filter."""
        where = {"type = ?": dataset_type, "paradigm = ?": paradigm, "truth = ?": has_ground_truth}
        return self._page("digitalocean_datasets", where, "seq DESC", -1, 0)[0]

    def delete_dataset(self, dataset_uuid: str) -> None:
        """Test cases that use it do so in vain from now on."""
        self._sql.execute("DELETE FROM digitalocean_datasets WHERE id = ?", (dataset_uuid,))

    # --- test cases

    def add_test_case(self, doc: Document, workspace_uuid: str) -> None:
        """Keep the first version of a test case."""
        self._sql.execute(
            "INSERT INTO digitalocean_test_cases (id, doc, workspace) VALUES (?, ?, ?)",
            (doc["test_case_uuid"], json.dumps(doc), workspace_uuid),
        )
        self._keep_version(doc)

    def put_test_case(self, doc: Document) -> None:
        """Make a document the latest of its test case, and the one of its version."""
        sql = "UPDATE digitalocean_test_cases SET doc = ? WHERE id = ?"
        self._sql.execute(sql, (json.dumps(doc), doc["test_case_uuid"]))
        self._keep_version(doc)

    def _keep_version(self, doc: Document) -> None:
        sql = "INSERT OR REPLACE INTO digitalocean_test_case_versions VALUES (?, ?, ?)"
        self._sql.execute(sql, (doc["test_case_uuid"], doc["version"], json.dumps(doc)))

    def test_case(self, test_case_uuid: str, version: int = 0) -> Document | None:
        """One version of a test case; 0 is the latest."""
        if not version:
            return self._one("SELECT doc FROM digitalocean_test_cases WHERE id = ?", (test_case_uuid,))
        sql = "SELECT doc FROM digitalocean_test_case_versions WHERE test_case = ? AND version = ?"
        return self._one(sql, (test_case_uuid, version))

    def workspace_of_test_case(self, test_case_uuid: str) -> str:
        """The uuid of a test case's workspace; the test case exists."""
        sql = "SELECT workspace FROM digitalocean_test_cases WHERE id = ?"
        return str(self._sql.execute(sql, (test_case_uuid,)).fetchone()[0])

    def test_cases(self, workspace_uuids: Iterable[str] | None = None) -> list[Document]:
        """Test cases of some workspaces, or all, oldest first."""
        sql = "SELECT doc FROM digitalocean_test_cases WHERE ? OR workspace IN (SELECT value FROM json_each(?))"
        within = json.dumps(list(workspace_uuids or ()))
        return self._documents(f"{sql} ORDER BY seq", (workspace_uuids is None, within))

    def run_counts(self, test_case_uuid: str, version: int) -> tuple[int, int]:
        """How many runs a test case has had, in all and of one version."""
        sql = "SELECT count(*) FROM digitalocean_runs WHERE test_case = ?"
        total = self._count(sql, (test_case_uuid,))
        return total, self._count(f"{sql} AND version = ?", (test_case_uuid, version))

    # --- runs

    def add_run(self, doc: Document, prompts: list[Document]) -> None:
        """Keep a new run and, apart from it, the prompts that it will show when it is done."""
        self._sql.execute(
            "INSERT INTO digitalocean_runs (id, doc, prompts, test_case) VALUES (?, ?, ?, ?)",
            (doc["evaluation_run_uuid"], json.dumps(doc), json.dumps(prompts), doc["test_case_uuid"]),
        )

    def put_run(self, doc: Document) -> None:
        """Replace a run; its prompts stay."""
        sql = "UPDATE digitalocean_runs SET doc = ? WHERE id = ?"
        self._sql.execute(sql, (json.dumps(doc), doc["evaluation_run_uuid"]))

    def run(self, run_uuid: str) -> Document | None:
        """One run."""
        return self._one("SELECT doc FROM digitalocean_runs WHERE id = ?", (run_uuid,))

    def prompts(self, run_uuid: str) -> list[Document]:
        """The prompts of a run; the run exists."""
        sql = "SELECT prompts FROM digitalocean_runs WHERE id = ?"
        prompts: list[Document] = json.loads(self._sql.execute(sql, (run_uuid,)).fetchone()[0])
        return prompts

    def runs(self, test_case_uuid: str, version: int) -> list[Document]:
        """Runs of a version of a test case, newest first; 0 is every version."""
        where = {"test_case = ?": test_case_uuid, "version = ?": version or None}
        return self._page("digitalocean_runs", where, "seq DESC", -1, 0)[0]

    # --- uploaded files

    def put_object(self, key: str, content: bytes) -> None:
        """Keep a file, over an older one of the same key."""
        self._sql.execute("INSERT OR REPLACE INTO digitalocean_objects VALUES (?, ?)", (key, content))

    def object(self, key: str) -> bytes | None:
        """What was kept under a key."""
        row = self._sql.execute("SELECT content FROM digitalocean_objects WHERE object_key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None
