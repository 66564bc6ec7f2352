"""What is measured at a platform of somebody else's."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.scenarios import Setting, run
from benchmarks.world import Size
from reconciler.emulator.app import create_app
from reconciler.emulator.server import running

KEY = "somebody-s-key"


def test_a_platform_that_is_given_is_measured_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLAYER_API_KEY", KEY)
    with running(create_app(api_key=KEY)) as address:
        setting = Setting(Size(1, 1, 2), 0, 1, 8, frozenset({"sdk", "octodns"}), url=f"{address}/v1")
        timings = run(setting, tmp_path / "run", lambda _: None)
        asked = urllib.request.Request(f"{address}/v1/projects", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["items"] == []
    assert list(timings) == [
        "apply, create all", "validate", "plan, no changes", "plan, unchanged files", "plan, 1 % changed",
        "plan, 100 % changed", "SDK script, plan", "apply, update all",
    ]  # fmt: skip
    assert timings["apply, create all"].requests == {"GET": 4, "POST": 4}
    assert timings["plan, no changes"].requests == {"GET": 3}


@pytest.mark.parametrize("more", [["--write"], ["--sweep"], ["--latency", "50"], []], ids=str)
def test_its_figures_are_kept_apart_and_it_needs_a_key(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENLAYER_API_KEY", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--url", "http://127.0.0.1:9/v1", *more])
    assert ended.value.code == 2
    wrong = "--url goes without --write, --sweep and --latency" if more else "in OPENLAYER_API_KEY"
    assert wrong in capsys.readouterr().err
