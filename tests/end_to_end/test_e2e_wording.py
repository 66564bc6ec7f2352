"""What commands say where there is one of something, nothing, or too much to list."""

from __future__ import annotations

from typing import Any

PROJECT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec: {taskType: llm-base}
"""


def test_one_is_not_called_many(cli: Any, platform: Any) -> None:
    cli.write("bot.yaml", PROJECT)
    assert cli("validate").out == "1 resource: valid.\n"
    platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base"})
    assert "1 resource in 1 file;" in cli("export", "--out", "live").out
