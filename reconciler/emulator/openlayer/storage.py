"""Keep projects, pipelines, tests, commits, results, tasks and rows in SQLite.  Touches: disk.

A thing is a JSON document as the API shows it, less what is counted on reading; the columns beside it are what lists
are filtered and ordered by.  Everything here runs inside a transaction of ``Database``.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.database import Database, Document, DocumentStore, Encoded, Page, conditions, encoded_again

STEPS_OF_A_TASK = 2
"""How many looks it takes until a task is done: queued, half way, done."""

_TARGETED = "(json_extract(doc, '$.defaultToAllPipelines') = 0 OR json_array_length(doc, '$.excludePipelines') > 0)"
"""SQL: a test that may not apply to every pipeline of its project.  An index knows these few by the same words."""

LATEST = """NOT EXISTS (SELECT 1 FROM openlayer_results n
    WHERE n.pipeline = ? AND n.test = r.test AND (n.starts, n.seq) > (r.starts, r.seq))"""
"""A condition on results: the pipeline has no later one of the same test."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS openlayer_workspace (doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS openlayer_projects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE AS (json_extract(doc, '$.name')) STORED,
    taskType TEXT NOT NULL AS (json_extract(doc, '$.taskType')) STORED);
CREATE TABLE IF NOT EXISTS openlayer_pipelines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    project TEXT NOT NULL REFERENCES openlayer_projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL AS (json_extract(doc, '$.name')) STORED,
    UNIQUE (project, name));
CREATE TABLE IF NOT EXISTS openlayer_tests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    project TEXT NOT NULL REFERENCES openlayer_projects (id) ON DELETE CASCADE,
    number INTEGER NOT NULL AS (json_extract(doc, '$.number')) STORED,
    type TEXT NOT NULL AS (json_extract(doc, '$.type')) STORED,
    archived INTEGER NOT NULL AS (json_extract(doc, '$.archived')) STORED,
    suggested INTEGER NOT NULL AS (json_extract(doc, '$.suggested')) STORED,
    monitoring INTEGER NOT NULL AS (json_extract(doc, '$.usesProductionData')) STORED);
CREATE INDEX IF NOT EXISTS openlayer_tests_in_order ON openlayer_tests (project, number, archived, monitoring);
CREATE INDEX IF NOT EXISTS openlayer_tests_targeted ON openlayer_tests (project) WHERE {_TARGETED};
CREATE TABLE IF NOT EXISTS openlayer_commits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    project TEXT NOT NULL REFERENCES openlayer_projects (id) ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS openlayer_commits_listed ON openlayer_commits (project, seq);
CREATE TABLE IF NOT EXISTS openlayer_tasks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, fate TEXT NOT NULL, steps INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS openlayer_results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL,
    test TEXT NOT NULL REFERENCES openlayer_tests (id) ON DELETE CASCADE,
    pipeline TEXT REFERENCES openlayer_pipelines (id) ON DELETE CASCADE,
    version TEXT REFERENCES openlayer_commits (id) ON DELETE CASCADE,
    task TEXT REFERENCES openlayer_tasks (id),
    status TEXT NOT NULL, starts REAL, ends REAL);
CREATE INDEX IF NOT EXISTS openlayer_results_of_test ON openlayer_results (test, starts);
CREATE INDEX IF NOT EXISTS openlayer_results_of_pipeline ON openlayer_results (pipeline, starts);
CREATE INDEX IF NOT EXISTS openlayer_results_of_version ON openlayer_results (version);
CREATE INDEX IF NOT EXISTS openlayer_results_of_task ON openlayer_results (task);
CREATE TABLE IF NOT EXISTS openlayer_configs (id INTEGER PRIMARY KEY, config TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS openlayer_rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, inference TEXT NOT NULL, at REAL NOT NULL, cells TEXT NOT NULL,
    pipeline TEXT NOT NULL REFERENCES openlayer_pipelines (id) ON DELETE CASCADE,
    config INTEGER NOT NULL REFERENCES openlayer_configs (id));
CREATE INDEX IF NOT EXISTS openlayer_rows_in_time ON openlayer_rows (pipeline, at);
CREATE INDEX IF NOT EXISTS openlayer_rows_by_inference ON openlayer_rows (pipeline, inference);
CREATE TABLE IF NOT EXISTS openlayer_objects (uri TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Where documents of one kind are kept by their ids; ``order`` is that of its lists."""

    name: str
    noun: str
    order: str = "seq"
    encode: Callable[[Document], str] = json.dumps


PROJECTS = Table("openlayer_projects", "project")
PIPELINES = Table("openlayer_pipelines", "inference pipeline")
TESTS = Table("openlayer_tests", "test", "number", encoded_again)
COMMITS = Table("openlayer_commits", "project version", "seq DESC")


class NameTaken(Exception):
    """Another project of the workspace, or pipeline of the project, has the name."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One streamed row: ``at`` is Unix seconds, ``config`` says what its columns mean."""

    number: int
    inference_id: str
    at: float
    cells: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A background task after ``steps`` looks; times are Unix seconds."""

    id: str
    name: str
    fate: str
    steps: int
    created: float
    updated: float

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.fate != "never" and self.steps >= STEPS_OF_A_TASK


class Store(DocumentStore):
    """The tables, each with the few questions that the API asks of it."""

    def __init__(self, database: Database, workspace: Document) -> None:
        super().__init__(database, _SCHEMA)
        with database.transaction():
            if self._count("SELECT count(*) FROM openlayer_workspace", ()) == 0:
                self._sql.execute("INSERT INTO openlayer_workspace VALUES (?)", (json.dumps(workspace),))
            self.workspace: Document = self._documents("SELECT doc FROM openlayer_workspace")[0]

    def _write(self, sql: str, values: Sequence[object]) -> None:
        try:
            self._sql.execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise NameTaken from error

    # --- any table

    def add(self, table: Table, doc: Document) -> None:
        """Keep a new document, in its project if it is of one.  Raises NameTaken."""
        row = {"id": doc["id"], "doc": table.encode(doc)}
        if "projectId" in doc:
            row["project"] = doc["projectId"]
        places = ", ".join("?" * len(row))
        self._write(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))  # noqa: S608

    def put(self, table: Table, doc: Document) -> None:
        """Replace a document.  Raises NameTaken."""
        self._write(f"UPDATE {table.name} SET doc = ? WHERE id = ?", (table.encode(doc), doc["id"]))  # noqa: S608

    def get(self, table: Table, thing_id: str) -> Document | None:
        """One document."""
        return self._one(f"SELECT doc FROM {table.name} WHERE id = ?", (thing_id,))  # noqa: S608

    def page(self, table: Table, where: Mapping[str, object], limit: int = -1, offset: int = 0) -> Page:
        """Documents under SQL conditions (a None value is no condition), in order; a negative limit is none."""
        return self._page(table.name, where, table.order, limit, offset)

    def page_as_stored(
        self, table: Table, where: Mapping[str, object], limit: int = -1, offset: int = 0
    ) -> tuple[list[str], int]:
        """The same as JSON text, which is how they are stored."""
        return self._page_as_stored(table.name, where, table.order, limit, offset)

    def delete(self, table: Table, thing_id: str) -> None:
        """With everything in it, or of it."""
        self._sql.execute(f"DELETE FROM {table.name} WHERE id = ?", (thing_id,))  # noqa: S608

    # --- projects

    def counts(self, project_id: str) -> dict[str, int]:
        """What is in a project, under the API's names; archived tests do not count."""
        goals = "SELECT count(*) FROM openlayer_tests WHERE project = ? AND archived = 0 AND monitoring = "
        development = self._count(goals + "0", (project_id,))
        monitoring = self._count(goals + "1", (project_id,))
        return {
            "goalCount": development + monitoring,
            "developmentGoalCount": development,
            "monitoringGoalCount": monitoring,
            "versionCount": self._count("SELECT count(*) FROM openlayer_commits WHERE project = ?", (project_id,)),
            "inferencePipelineCount": self._count(
                "SELECT count(*) FROM openlayer_pipelines WHERE project = ?", (project_id,)
            ),
        }

    # --- pipelines

    def latest_statuses(self, pipeline_id: str) -> list[str]:
        """The status of the newest finished result of each test that is not archived."""
        sql = """
            SELECT status FROM (
                SELECT r.status, max(r.starts) FROM openlayer_results r JOIN openlayer_tests t ON t.id = r.test
                WHERE r.pipeline = ? AND r.status <> 'running' AND NOT t.archived GROUP BY r.test)
        """
        return [status for (status,) in self._sql.execute(sql, (pipeline_id,))]

    # --- tests

    def add_test(self, project_id: str, doc: Document) -> Encoded:
        """Keep a new test, as which it is given back; its ``number`` is the next one of its project."""
        sql = "SELECT coalesce(max(number), 0) + 1 FROM openlayer_tests WHERE project = ?"
        text = encoded_again({**doc, "number": self._count(sql, (project_id,))})
        self._sql.execute(
            "INSERT INTO openlayer_tests (id, project, doc) VALUES (?, ?, ?)", (doc["id"], project_id, text)
        )
        return text

    def project_of_test(self, test_id: str) -> str:
        """The id of a test's project; the test exists."""
        row = self._sql.execute("SELECT project FROM openlayer_tests WHERE id = ?", (test_id,)).fetchone()
        return str(row[0])

    def monitoring_tests(self, project_id: str) -> tuple[int, list[Document]]:
        """How many tests of a project look at what is streamed, and those of them that may not be for all pipelines."""
        held = "FROM openlayer_tests WHERE project = ? AND archived = 0 AND monitoring = 1"
        targeted = self._documents(f"SELECT doc {held} AND {_TARGETED}", (project_id,))
        return self._count(f"SELECT count(*) {held}", (project_id,)), targeted

    # --- tasks

    def add_task(self, name: str, fate: str, now: float) -> str:
        """The id of a new task that nobody has looked at yet."""
        task_id = str(uuid.uuid4())
        self._sql.execute(
            "INSERT INTO openlayer_tasks (id, name, fate, created, updated) VALUES (?, ?, ?, ?, ?)",
            (task_id, name, fate, now, now),
        )
        return task_id

    def look_at_task(self, task_id: str, now: float) -> Task | None:
        """Bring a task one step on and give it; what it computed is shown once it is done."""
        self._sql.execute(
            "UPDATE openlayer_tasks SET steps = steps + 1, updated = ? WHERE id = ? AND steps < ?",
            (now, task_id, STEPS_OF_A_TASK),
        )
        task = self.task(task_id)
        if task and task.is_done:
            sql = """
                UPDATE openlayer_results
                SET status = CASE ? WHEN 'fails' THEN 'error' ELSE json_extract(doc, '$.status') END
                WHERE task = ? AND status = 'running'
            """
            self._sql.execute(sql, (task.fate, task_id))
        return task

    def task(self, task_id: str) -> Task | None:
        """A task as it is, without bringing it on."""
        sql = "SELECT id, name, fate, steps, created, updated FROM openlayer_tasks WHERE id = ?"
        row = self._sql.execute(sql, (task_id,)).fetchone()
        return Task(*row) if row else None

    # --- results

    def add_result(self, doc: Document, *, starts: float | None, ends: float | None, task: str | None) -> None:
        """Keep a result.  Until its task is done it shows as running, whatever its document says."""
        self._sql.execute(
            "INSERT INTO openlayer_results (id, doc, test, pipeline, version, task, status, starts, ends)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                doc["id"],
                json.dumps(doc),
                doc["goalId"],
                doc["inferencePipelineId"],
                doc["projectVersionId"],
                task,
                "running" if task else doc["status"],
                starts,
                ends,
            ),
        )

    def evaluated_windows(self, test_id: str, pipeline_id: str) -> set[float]:
        """The starts of the windows that have a result."""
        sql = "SELECT starts FROM openlayer_results WHERE test = ? AND pipeline = ?"
        return {float(starts) for (starts,) in self._sql.execute(sql, (test_id, pipeline_id))}

    def delete_results(self, test_id: str, pipeline_id: str, starts: Iterable[float]) -> None:
        """Forget the results of some windows."""
        self._sql.executemany(
            "DELETE FROM openlayer_results WHERE test = ? AND pipeline = ? AND starts = ?",
            [(test_id, pipeline_id, start) for start in starts],
        )

    def results(self, where: Mapping[str, object], limit: int, offset: int) -> Page:
        """Results under SQL conditions (a None value is no condition), newest data first; ``status`` as shown."""
        held, values = conditions(where)
        rest = f"FROM openlayer_results r JOIN openlayer_tests t ON t.id = r.test WHERE {held}"
        found = self._sql.execute(
            f"SELECT r.doc, r.status, t.doc {rest} ORDER BY r.starts DESC, r.seq DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        page = [{**json.loads(doc), "status": status, "goal": json.loads(test)} for doc, status, test in found]
        return page, self._count(f"SELECT count(*) {rest}", values)

    def unfinished_tasks(self, where: Mapping[str, object]) -> list[str]:
        """The tasks behind the running results under SQL conditions."""
        held, values = conditions(where)
        sql = f"SELECT DISTINCT r.task FROM openlayer_results r WHERE r.status = 'running' AND {held}"  # noqa: S608
        return [task for (task,) in self._sql.execute(sql, values)]

    # --- rows

    def add_rows(self, pipeline_id: str, config: Document, rows: Iterable[tuple[str, float, Document]]) -> None:
        """Keep rows of (inference id, Unix seconds, cells) that share a config."""
        text = json.dumps(config, sort_keys=True)
        self._sql.execute("INSERT OR IGNORE INTO openlayer_configs (config) VALUES (?)", (text,))
        (config_id,) = self._sql.execute("SELECT id FROM openlayer_configs WHERE config = ?", (text,)).fetchone()
        self._sql.executemany(
            "INSERT INTO openlayer_rows (pipeline, config, inference, at, cells) VALUES (?, ?, ?, ?, ?)",
            [(pipeline_id, config_id, inference, at, json.dumps(cells)) for inference, at, cells in rows],
        )

    def _rows(self, where: str, values: Sequence[object]) -> list[StoredRow]:
        rows = "openlayer_rows w JOIN openlayer_configs c ON c.id = w.config"
        sql = f"SELECT w.seq, w.inference, w.at, w.cells, c.config FROM {rows} WHERE {where}"  # noqa: S608
        return [
            StoredRow(number, inference, at, json.loads(cells), json.loads(config))
            for number, inference, at, cells, config in self._sql.execute(sql, values)
        ]

    def rows(self, pipeline_id: str) -> list[StoredRow]:
        """All rows of a pipeline in the order they came."""
        return self._rows("w.pipeline = ? ORDER BY w.seq", (pipeline_id,))

    def rows_between(self, pipeline_id: str, start: float, end: float) -> list[StoredRow]:
        """Rows from ``start`` up to and without ``end``, in the order of their times."""
        return self._rows("w.pipeline = ? AND w.at >= ? AND w.at < ? ORDER BY w.at, w.seq", (pipeline_id, start, end))

    def row(self, pipeline_id: str, inference_id: str) -> StoredRow | None:
        """The newest row with an inference id."""
        found = self._rows(
            "w.pipeline = ? AND w.inference = ? ORDER BY w.seq DESC LIMIT 1", (pipeline_id, inference_id)
        )
        return found[0] if found else None

    def put_row(self, row: StoredRow, cells: Document) -> None:
        """Replace what stands in a row."""
        self._sql.execute("UPDATE openlayer_rows SET cells = ? WHERE seq = ?", (json.dumps(cells), row.number))

    def delete_rows(self, pipeline_id: str, inference_id: str) -> bool:
        """Whether there was a row with the inference id; there is none now."""
        sql = "DELETE FROM openlayer_rows WHERE pipeline = ? AND inference = ?"
        return self._sql.execute(sql, (pipeline_id, inference_id)).rowcount > 0

    def row_summary(self, pipeline_id: str) -> tuple[int, float | None]:
        """How many rows a pipeline has, and the newest time among them."""
        sql = "SELECT count(*), max(at) FROM openlayer_rows WHERE pipeline = ?"
        count, newest = self._sql.execute(sql, (pipeline_id,)).fetchone()
        return int(count), newest

    # --- uploaded files

    def put_object(self, uri: str, content: bytes) -> None:
        """Keep a file, over an older one at the same place."""
        self._sql.execute("INSERT OR REPLACE INTO openlayer_objects VALUES (?, ?)", (uri, content))

    def object(self, uri: str) -> bytes | None:
        """What was kept at a place."""
        row = self._sql.execute("SELECT content FROM openlayer_objects WHERE uri = ?", (uri,)).fetchone()
        return bytes(row[0]) if row else None
