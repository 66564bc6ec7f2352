"""dbt-jobs-as-code over the same number of jobs: a reconciler on the libraries that we use, for another API.

``python -m benchmarks.peers.dbt serve`` is a stand-in for dbt Cloud's jobs API in memory (prints its URL);
``... write FILE JOBS`` writes jobs.  The tool itself is run by its own command, with ``DBT_BASE_URL``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.stand_in import serve

PAGE = 100

JOB = """\
  job-{n:06}:
    account_id: 1
    project_id: 2
    environment_id: 3
    name: Job {n:06}
    description: Models stay fresh, rule {n}
    settings: {{threads: 4, target_name: production}}
    execution: {{timeout_seconds: 0}}
    run_generate_sources: true
    generate_docs: false
    execute_steps: [dbt build --select model_{n}]
    schedule: {{cron: "0 {hour} * * *"}}
    triggers: {{github_webhook: false, git_provider_webhook: false, schedule: true, on_merge: false}}
"""


def write(file: Path, jobs: int) -> None:
    """A file with so many jobs."""
    file.write_text("jobs:\n" + "".join(JOB.format(n=n, hour=n % 24) for n in range(jobs)), encoding="utf-8")


class StandIn:
    """The jobs of one account, none with variables; 100 a page (docs.getdbt.com, release notes of October 2023)."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, query: Mapping[str, str], document: Any) -> tuple[int, Any]:
        """(status, document)."""
        if "/environment-variables/" in path:
            return 200, {"data": {}}
        if method == "POST":
            job = {**document, "id": len(self.jobs) + 1}
            self.jobs.append(job)
            return 201, {"data": job}
        offset = int(query.get("offset", 0))
        about = {"filters": {"limit": PAGE, "offset": offset}, "pagination": {"total_count": len(self.jobs)}}
        return 200, {"data": self.jobs[offset : offset + PAGE], "extra": about}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "serve":
        asyncio.run(serve(StandIn().answer))
    else:
        write(Path(rest[0]), int(rest[1]))
