"""The rules that keep the code apart and quick to start: imports, homes of libraries, laziness, what is shipped."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hatchling.builders.wheel import WheelBuilder

from reconciler import __version__
from reconciler.cli.group import reconciler as command_group
from reconciler.cli.main import COMMANDS
from reconciler.providers import KINDS, VENDORS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reconciler"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

HOMES = {
    # library: the folders that may import it
    "click": {"cli"},
    "deepdiff": {"reporting"},
    "httptools": {"providers"},
    "httpx": {"providers", "storage"},
    "obstore": {"storage"},
    "psycopg": {"storage"},
    "pydantic": {"model", "manifests", "providers", "emulator"},
    "starlette": {"emulator"},
    "uvicorn": {"emulator"},
    "yaml": {"manifests", "emulator"},  # the emulator reads the configuration in a commit
}
EVERYWHERE = {"msgspec"}
"""What records are made of, so part of the language here: only its ``Struct`` is used beside the edges."""
_NOT_OURS = ("test", "benchmark")
"""Extras that the package itself does not import."""
HEAVY = [
    "asyncio", "deepdiff", "httptools", "httpx", "obstore", "psycopg", "pydantic", "rich", "sqlite3", "starlette",
    "uvicorn", "yaml",
]  # fmt: skip


def _imports() -> Iterator[tuple[Path, str]]:
    """(module, top-level name it imports) for every import in the package, wherever it stands."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path.relative_to(PACKAGE), alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path.relative_to(PACKAGE), node.module.partition(".")[0]


def _foreign() -> set[tuple[str, str]]:
    """(folder, library) for every library that is neither ours nor Python's."""
    ours = {"reconciler", *sys.stdlib_module_names}
    return {(path.parts[0], library) for path, library in _imports() if library not in ours}


# ------------------------------------------------------------------------------------------------ imports


def test_the_import_contracts_hold() -> None:
    """They stand in pyproject.toml under ``tool.importlinter``."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_oldest_libraries_that_are_allowed_are_those_that_a_run_of_the_gate_takes() -> None:
    """A floor that nobody has tried is a guess, and what installs below it does not work."""
    project = PROJECT["project"]
    extras = (project["optional-dependencies"][name] for name in ("object-store", "postgres"))
    allowed = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    floors = {
        re.sub(r"\[.*\]", "", name): rest.partition(",")[0] for name, _, rest in (e.partition(">=") for e in allowed)
    }
    lines = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("==") for line in lines if not line.startswith("#")) == floors
    assert ".ci/lowest.txt" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_every_part_of_the_package_stands_in_the_layers() -> None:
    """A folder that no layer names would be outside of the rule."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip().removeprefix("reconciler.") for layer in layers for name in layer.split("|")}
    parts = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {path.stem for path in PACKAGE.glob("*.py")}
    assert named == parts - {"__init__", "__main__"}


def test_each_library_has_one_home() -> None:
    at_home = {(folder, library) for folder, library in _foreign() if folder in HOMES.get(library, set())}
    assert {each for each in _foreign() - at_home if each[1] not in EVERYWHERE} == set()


def test_what_is_declared_is_what_is_imported() -> None:
    distributions = {"pyyaml": "yaml"}
    extras = PROJECT["project"]["optional-dependencies"]
    used = [extra for extra in extras if extra not in _NOT_OURS]
    ours = [*PROJECT["project"]["dependencies"], *(each for extra in used for each in extras[extra])]
    declared = {re.split(r"[<>=\[]", each)[0].lower() for each in ours}
    assert {distributions.get(name, name).replace("-", "_") for name in declared} == {lib for _, lib in _foreign()}


# ----------------------------------------------------------------------------------------------- vendors

GENERIC = ("model", "manifests", "planning", "applying", "evaluating", "storage", "reporting", "pipeline")


def _words_of(path: Path) -> set[str]:
    """Every name in a module's code and every text without a space: what code can decide by."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {getattr(node, key) for node in ast.walk(tree) for key in ("id", "attr", "arg", "name", "module")
             if isinstance(getattr(node, key, None), str)}  # fmt: skip
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return names | {text for text in texts if " " not in text}


@pytest.mark.parametrize("folder", GENERIC)
def test_no_part_but_the_providers_knows_a_vendor(folder: str) -> None:
    """Nothing decides by the name of a vendor or of one of its kinds; what is special stands in the declarations."""
    vendors = "|".join(vendor.name for vendor in VENDORS)
    kinds = {word for kind in KINDS.values() for word in (kind.id, kind.word)}
    found = {(path.name, word) for path in (PACKAGE / folder).glob("*.py") for word in _words_of(path)}
    assert [each for each in sorted(found) if re.search(vendors, each[1]) or each[1] in kinds] == []


# --------------------------------------------------------------------------------------------- start-up


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_saying_who_we_are_loads_nothing_heavy(option: str) -> None:
    code = (
        "import sys\n"
        "from reconciler.cli.main import run\n"
        "try: run()\n"
        f"finally: print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, option], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout


def test_saying_the_version_loads_no_click_either() -> None:
    code = "import sys; from reconciler.cli.main import run\ntry: run()\nfinally: assert 'click' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"reconciler {__version__}\n")


# ------------------------------------------------------------------------------------------------- help


def _commands() -> dict[str, click.Command]:
    """Every command and subcommand by its full name."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = command_group.get_command(click.Context(command_group), name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found.update({f"{name} {inner}": each for inner, each in command.commands.items()})
    return found


@pytest.mark.parametrize("name", _commands())
def test_the_help_of_a_command_has_an_example_of_it(name: str) -> None:
    command = _commands()[name]
    text = command.get_help(click.Context(command, info_name=name, max_content_width=100))
    _, _, examples = text.partition("Example:\n")
    assert re.search(rf"\breconciler {name}\b", examples), text


# --------------------------------------------------------------------------------------------- shipping


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_module_the_types_and_the_starter(shipped: list[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
    starter = {path.relative_to(ROOT).as_posix() for path in (PACKAGE / "cli/starter").rglob("*") if path.is_file()}
    assert {*modules, *starter, "reconciler/py.typed"} - set(shipped) == set()
    assert len(starter) == 6


def test_the_wheel_holds_nothing_but_the_package_and_its_licence(shipped: list[str]) -> None:
    outside = [name for name in shipped if not name.startswith("reconciler/")]
    version = f"reconciler-{__version__}.dist-info"
    assert sorted(outside) == [
        f"{version}/METADATA",
        f"{version}/RECORD",
        f"{version}/WHEEL",
        f"{version}/entry_points.txt",
        f"{version}/licenses/LICENSE",
    ]
