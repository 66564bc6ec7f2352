"""Turn manifest files into what is desired, or into everything that is wrong with them.  Touches: disk, reading only.

    files -> documents -> Environment and variables -> items -> overrides -> the kinds' own rules -> resources

Everything here is generic: what a document may hold, which lists stand in it and how items refer to each other comes
from the kinds' declarations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import ManifestsInvalid, Problem
from reconciler.manifests.assembly import Assembly
from reconciler.manifests.attachments import Attachments
from reconciler.manifests.cache import WORTH_BYTES, Cache, key_of
from reconciler.manifests.cache import Loaded as Loaded  # part of this module's interface
from reconciler.manifests.documents import ENVIRONMENT, LOCAL, Document, documents_of, root_kinds
from reconciler.manifests.files import MAX_TOTAL_BYTES, File, discover, read_file, scope_of
from reconciler.manifests.items import Expander
from reconciler.manifests.loader import Parsed, no_garbage_collection, read
from reconciler.manifests.problems import Problems
from reconciler.manifests.repeats import Layouts
from reconciler.manifests.targets import Targets
from reconciler.manifests.value_sources import ValueSources
from reconciler.manifests.variables import ENVIRON_PREFIX, Scope, scope_of_run
from reconciler.model.kind import Vendor
from reconciler.model.resource import Address, Desired, Pin

if TYPE_CHECKING:
    from reconciler.manifests.environment import Environment

MOST_AT_A_GLANCE: Final = 65_536
"""Bytes that are parsed for a glance."""

HEAD: Final = 1024
"""Bytes of a file in which a glance looks for the head of its first document."""


def load(
    paths: Sequence[str | Path],
    *,
    root: Path,
    vendors: Sequence[Vendor],
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    environ_variables: Mapping[str, str] | None = None,
    cache: Cache | None = None,
    sources: Sources | None = None,
    home: str = ".",
) -> Loaded:
    """Everything declared under ``paths`` (relative to ``root``; the root itself when there are none).

    ``variables`` are those of ``--var``; of ``environ_variables`` only names with ``RECONCILER_VAR_`` are looked at.
    What an earlier run made of the very same files is taken from ``cache``; ``sources`` are the files, where somebody
    has read them already.  ``home`` is the way to ``root`` from the top of the checkout.
    Raises ManifestsInvalid with every problem, and UsageInvalid for a path or environment that does not exist.
    """
    root, variables = Path(root).resolve(), variables or {}
    readable = {name: text for name, text in (environ_variables or {}).items() if name.startswith(ENVIRON_PREFIX)}
    with no_garbage_collection():
        sources = sources or sources_of(paths, root)
        if cache is None or sources.problems or sources.size < WORTH_BYTES:
            loaded = _load(sources, paths, root, vendors, environment, variables, readable)
            return _of_run(loaded, home, environment)
        asked = [scope_of(paths, root), [vendor.name for vendor in vendors], environment, dict(variables), readable]
        key = key_of(sources.contents, asked)
        known = cache.get(key)
        if known is None:
            known = _load(sources, paths, root, vendors, environment, variables, readable)
            if _is_all(known):
                cache.put(key, known)
        return _of_run(known, home, environment)


def _of_run(loaded: Loaded, home: str, environment: str | None) -> Loaded:
    others = tuple(name for name in loaded.environments if name not in (environment, LOCAL))
    return replace(loaded, desired=replace(loaded.desired, home=home, others=others))


def _is_all(loaded: Loaded) -> bool:
    """Whether the manifests are all that was read, and hold nothing that is kept nowhere.

    Files beside them may change without them.
    """
    rows = loaded.environment.emulator.rows if loaded.environment else ()
    return not rows and not any(resource.files or resource.secrets for resource in loaded.desired)


def _load(
    sources: Sources,
    paths: Sequence[str | Path],
    root: Path,
    vendors: Sequence[Vendor],
    environment: str | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> Loaded:
    problems = _parsed(sources)
    partial = bool(problems.errors)
    documents = documents_of(problems.files, vendors, problems)
    targets = Targets(vendors, problems, root)
    targets.declare(documents)
    target = targets.choose(environment, scope_of_run(variables, environ), partial=partial)
    items = Expander(targets.kinds, target.scope, problems, partial=partial).items(documents)
    attachments = Attachments(root, problems)
    kinds = {kind.id: kind for kind in targets.kinds}
    value_sources = ValueSources(target.scope.sources, target.overrides, problems)
    assembly = Assembly(kinds, target.overrides, attachments, problems, value_sources, partial=partial)
    resources = assembly.resources(items)
    targets.check_rows(target, set(assembly.taken))
    declared = tuple(sorted(targets.declared))
    pinned: tuple[Pin, ...] = ()
    if any(document.is_pin for document in documents):
        from reconciler.manifests.pins import Pins

        pins = Pins(kinds, assembly.taken, resources, target.scope, problems, environment, declared, partial=partial)
        pinned = pins.pins(documents)
    if not partial:
        target.overrides.report_idle()
    if not problems.errors and not resources:
        problems.file_problem(_shown(paths, root), "nothing is declared here", _what_is_there(documents))
    if problems.errors:
        raise ManifestsInvalid(problems.errors)
    warnings = tuple(sorted({*problems.warnings, *_unused(target.scope)}))
    desired = Desired(
        resources=resources,
        digest=_digest(sources.contents, attachments.digests, environment, target.scope),
        scope=scope_of(paths, root),
        warnings=tuple(map(str, warnings)),
        pins=pinned,
        off=assembly.off,
    )
    return Loaded(desired, target.environment, declared, warnings)


def declared_environments(paths: Sequence[str | Path], *, root: Path, vendors: Sequence[Vendor]) -> tuple[str, ...]:
    """The names of the environments declared under ``paths``, sorted, whatever else is wrong there."""
    sources = sources_of(paths, root)
    _, targets = _declaring(Sources(_apart(sources), (), 0), root, vendors)
    return tuple(sorted(targets.declared))


def file_declaring(environment: str, paths: Sequence[str | Path], *, root: Path, vendors: Sequence[Vendor]) -> str:
    """The file under ``paths`` that alone declares the environment, named from ``root``; empty where there is none."""
    problems, targets = _declaring(sources_of(paths, root), root, vendors)
    if environment not in targets.declared or environment in targets.repeated:
        return ""
    return problems.place(targets.declared[environment].data.spot).rpartition(":")[0]


def roots_declared(root: Path, *, vendors: Sequence[Vendor]) -> tuple[tuple[str, Address], ...]:
    """(file, root) for each root that is declared below ``root``, in order, whatever else is wrong there."""
    problems = _parsed(sources_of((".",), root))
    found = []
    for document in documents_of(problems.files, vendors, problems):
        name = document.metadata.get("name")
        if document.kind is not None and not document.is_set and isinstance(name, str):
            file = problems.place(document.data.spot).rpartition(":")[0]
            found.append((file, Address(document.kind.id, (name,))))
    return tuple(found)


def load_environment(
    root: Path,
    *,
    top: str,
    vendors: Sequence[Vendor],
    environment: str,
    variables: Mapping[str, str],
    environ_variables: Mapping[str, str],
    mends: bool,
) -> Environment | None:
    """The environment of this name, for commands that read no other manifest: declared below ``root``, or else in one
    place of the checkout, which ``top`` leads to the top of.

    None where this one may stand in a file that cannot be read, and for what ``mends`` what is left behind also where
    no environment is declared at all.
    Raises UsageInvalid when there is none of that name, and ManifestsInvalid when it is declared and cannot be used;
    what else may be wrong there is left alone.
    """
    problems, targets = _declaring(sources_of((".",), root), root, vendors)
    if environment not in targets.declared and top != ".":
        everywhere = _declaring(sources_of((top,), root), root, vendors)
        if environment in everywhere[1].declared and environment not in everywhere[1].repeated:
            problems, targets = everywhere
    partial = bool(problems.errors) or (mends and not targets.declared)
    chosen = targets.choose(environment, scope_of_run(variables, environ_variables), partial=partial).environment
    if chosen is None and environment in targets.declared:
        raise ManifestsInvalid(problems.errors)
    return chosen


def _declaring(sources: Sources, root: Path, vendors: Sequence[Vendor]) -> tuple[Problems, Targets]:
    """What is wrong so far, and the environments that these files declare."""
    problems = _parsed(sources)
    targets = Targets(vendors, problems, Path(root).resolve())
    targets.declare(documents_of(problems.files, vendors, problems))
    return problems, targets


class Glance(Struct, frozen=True):
    """Where a run goes.  ``vendors`` are those for which something is declared, as far as a glance tells."""

    environment: Environment | None
    vendors: tuple[Vendor, ...]


def glance(
    sources: Sources,
    *,
    root: Path,
    vendors: Sequence[Vendor],
    environment: str | None,
    variables: Mapping[str, str],
    environ_variables: Mapping[str, str],
) -> Glance | None:
    """Where a run with these manifests will go, told before they are parsed.

    Only files in which the word Environment stands are parsed, and only small ones; the environment is then chosen as a
    load does it.  None where that is not enough, where anything is wrong, and where no environment was named and there
    are some: a load says what.  A vendor counts by the head of a document, spelled as ``fmt`` does it.
    """
    apart = _apart(sources)
    if sum(map(len, apart.values())) > MOST_AT_A_GLANCE:
        return None
    problems, targets = _declaring(Sources(apart, sources.problems, 0), root, vendors)
    chosen = None
    if environment is not None:
        chosen = targets.choose(environment, scope_of_run(variables, environ_variables), partial=True).environment
    is_clear = {*targets.declared} <= {LOCAL} if environment is None else chosen is not None
    if problems.errors or not is_clear:
        return None
    return Glance(chosen, tuple(vendor for vendor in vendors if _is_declared(vendor, sources)))


def _apart(sources: Sources) -> dict[str, bytes]:
    """The files in which an environment may be declared: no other needs to be parsed to find them."""
    word = ENVIRONMENT.encode()
    return {name: content for name, content in sources.contents.items() if word in content}


def _is_declared(vendor: Vendor, sources: Sources) -> bool:
    heads = [f"apiVersion: {vendor.api_version}\nkind: {kind.word}\n".encode() for kind in root_kinds(vendor)]
    return any(head in content[:HEAD] for content in sources.contents.values() for head in heads)


class Sources(Struct, frozen=True):
    """The contents of all files by name, and what could not be read.  ``size`` in bytes, all together."""

    contents: dict[str, bytes]
    problems: tuple[Problem, ...]
    size: int


def sources_of(paths: Sequence[str | Path], root: Path) -> Sources:
    """Every file under ``paths``, unparsed.  Raises UsageInvalid for a path that does not exist."""
    root = Path(root).resolve()
    found = discover(paths, root)
    problems = Problems([], list(found.problems))
    contents: dict[str, bytes] = {}
    total = 0
    for file in found.files:
        content = _content(file, problems)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            problems.file_problem(file.name, f"all files together have more than {MAX_TOTAL_BYTES:,} bytes")
            break
        contents[file.name] = content
    if not found.files and not found.problems:
        problems.file_problem(_shown(paths, root), "no manifests (*.yaml, *.yml) here", "name the folder that has them")
    return Sources(contents, tuple(problems.errors), total)


def _parsed(sources: Sources) -> Problems:
    """Every file parsed, with what is wrong so far."""
    files: list[Parsed] = []
    problems, layouts = Problems(files, list(sources.problems)), Layouts()
    for name, content in sources.contents.items():
        files.append(read(content, name, len(files), layouts))
        problems.errors += files[-1].problems
    return problems


def _content(file: File, problems: Problems) -> bytes:
    """The file's content; a report, and nothing, when it cannot be read."""
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
    return [
        Problem("", 0, 0, f"--var {name}", "no manifest refers to this variable", level="warning") for name in names
    ]


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
