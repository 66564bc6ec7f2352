"""Turn manifest files into what is desired, or into everything that is wrong with them.  Touches: disk, reading only.

    files -> documents -> Environment and variables -> items -> overrides -> the kinds' own rules -> resources

Everything here is generic: what a document may hold, which lists stand in it and how items refer to each other comes
from the kinds' declarations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ManifestsInvalid, Problem
from reconciler.manifests.assembly import Assembly
from reconciler.manifests.attachments import Attachments
from reconciler.manifests.documents import Document, documents_of
from reconciler.manifests.environment import Environment
from reconciler.manifests.files import MAX_TOTAL_BYTES, File, discover, read_file, scope_of
from reconciler.manifests.items import Expander
from reconciler.manifests.loader import Parsed, no_garbage_collection, read
from reconciler.manifests.problems import Problems
from reconciler.manifests.targets import Targets
from reconciler.manifests.variables import Scope, scope_of_run
from reconciler.model.kind import Vendor
from reconciler.model.resource import Desired


@dataclass(frozen=True)
class Loaded:
    """What a run starts from.

    ``environments`` are the names that are declared; ``local`` is built in, and among them only when it is declared.
    """

    desired: Desired
    environment: Environment | None
    environments: tuple[str, ...]
    warnings: tuple[Problem, ...]


def load(
    paths: Sequence[str | Path],
    *,
    root: Path,
    vendors: Sequence[Vendor],
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    environ_variables: Mapping[str, str] | None = None,
) -> Loaded:
    """Everything declared under ``paths`` (relative to ``root``; the root itself when there are none).

    ``variables`` are those of ``--var``; of ``environ_variables`` only names with ``RECONCILER_VAR_`` are looked at.
    Raises ManifestsInvalid with every problem, and UsageInvalid for a path or environment that does not exist.
    """
    with no_garbage_collection():
        return _load(paths, Path(root).resolve(), vendors, environment, variables or {}, environ_variables or {})


def _load(
    paths: Sequence[str | Path],
    root: Path,
    vendors: Sequence[Vendor],
    environment: str | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> Loaded:
    problems, contents = _read_all(paths, root)
    partial = bool(problems.errors)
    documents = documents_of(problems.files, vendors, problems)
    targets = Targets(vendors, problems, root)
    targets.declare(documents)
    target = targets.choose(environment, scope_of_run(variables, environ), partial=partial)
    items = Expander(targets.kinds, target.scope, problems, partial=partial).items(documents)
    attachments = Attachments(root, problems)
    kinds = {kind.id: kind for kind in targets.kinds}
    assembly = Assembly(kinds, target.overrides, attachments, problems, partial=partial)
    resources = assembly.resources(items)
    targets.check_rows(target, set(assembly.taken))
    if not partial:
        target.overrides.report_idle()
    if not problems.errors and not resources:
        problems.file_problem(_shown(paths, root), "nothing is declared here", _what_is_there(documents))
    if problems.errors:
        raise ManifestsInvalid(problems.errors)
    warnings = tuple(sorted({*problems.warnings, *_unused(target.scope)}))
    desired = Desired(
        resources=resources,
        digest=_digest(contents, attachments.digests, environment, target.scope),
        scope=scope_of(paths, root),
        warnings=tuple(map(str, warnings)),
    )
    return Loaded(desired, target.environment, tuple(sorted(targets.declared)), warnings)


def declared_environments(paths: Sequence[str | Path], *, root: Path, vendors: Sequence[Vendor]) -> tuple[str, ...]:
    """The names of the environments declared under ``paths``, sorted, whatever else is wrong there."""
    root = Path(root).resolve()
    problems, _ = _read_all(paths, root)
    targets = Targets(vendors, problems, root)
    targets.declare(documents_of(problems.files, vendors, problems))
    return tuple(sorted(targets.declared))


def load_environment(
    root: Path,
    *,
    vendors: Sequence[Vendor],
    environment: str | None,
    variables: Mapping[str, str],
    environ_variables: Mapping[str, str],
) -> Environment | None:
    """The environment of this name declared below ``root``, for commands that read no other manifest; None if none.

    Raises ManifestsInvalid when it is declared and can not be used; what else may be wrong there is left alone.
    """
    root = Path(root).resolve()
    problems, _ = _read_all((".",), root)
    targets = Targets(vendors, problems, root)
    targets.declare(documents_of(problems.files, vendors, problems))
    chosen = targets.choose(environment, scope_of_run(variables, environ_variables), partial=True).environment
    if chosen is None and environment in targets.declared:
        raise ManifestsInvalid(problems.errors)
    return chosen


def _read_all(paths: Sequence[str | Path], root: Path) -> tuple[Problems, dict[str, bytes]]:
    """Every file parsed, with what is wrong so far, and the contents by name."""
    found = discover(paths, root)
    files: list[Parsed] = []
    problems = Problems(files, list(found.problems))
    contents: dict[str, bytes] = {}
    total = 0
    for file in found.files:
        content = _content(file, problems)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            problems.file_problem(file.name, f"all files together have more than {MAX_TOTAL_BYTES:,} bytes")
            break
        contents[file.name] = content
        files.append(read(content, file.name, len(files)))
        problems.errors += files[-1].problems
    if not found.files and not found.problems:
        problems.file_problem(_shown(paths, root), "no manifests (*.yaml, *.yml) here", "name the folder that has them")
    return problems, contents


def _content(file: File, problems: Problems) -> bytes:
    """The file's content; a report, and nothing, when it can not be read."""
    try:
        return read_file(file)
    except (OSError, ValueError) as error:
        problems.file_problem(file.name, getattr(error, "strerror", None) or str(error))
        return b""


def _shown(paths: Sequence[str | Path], root: Path) -> str:
    return ", ".join(scope_of(paths, root))


def _what_is_there(documents: Sequence[Document]) -> str:
    words = sorted({document.word for document in documents})
    return f"there is only: {', '.join(words)}" if words else "write a first manifest; reconciler init shows how"


def _unused(scope: Scope) -> list[Problem]:
    """Variables of the command line that nothing refers to: a misspelt one would silently do nothing."""
    names = sorted(name for name in scope.given if f"var.{name}" not in scope.used)
    return [Problem("--var", 0, 0, name, "no manifest refers to this variable") for name in names]


def _digest(contents: Mapping[str, bytes], attached: Mapping[str, str], environment: str | None, scope: Scope) -> str:
    """SHA-256 over the files by relative name, the environment, and the values of all variables that were used.

    ``attached`` are the digests of the files that manifests name.
    """
    sources = {"var": scope.var, "env": scope.env}
    parts = [(name, *name.split(".", 1)) for name in sorted(scope.used)]
    used = {name: sources[source].get(key) for name, source, key in parts if source in sources}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    files |= {name: digest for name, digest in attached.items() if name not in files}
    whole = json.dumps([files, environment, used], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
