"""Turn a git revision into a folder of files, as they are in the repository.  Touches: git (as a process), disk.

Plumbing only: nothing is checked out, so no hook, filter or text conversion of the repository runs, and nothing is
fetched.  What the folder holds came from a stranger all the same: it is read like every other set of manifests.
"""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from reconciler.errors import UsageInvalid
from reconciler.manifests.files import IGNORE_FILE, MAX_CONTENT_BYTES, SUFFIXES, Found, discover

MAX_ENTRIES: Final = 500_000
MAX_BYTES: Final = 1024**3
"""What the files that are read may have together."""
INCOMPLETE: Final = "a partial clone lacks files, and nothing is fetched here: git fetch --refetch --no-filter origin"
_AT_ONCE: Final = 32 * 1024 * 1024
_DEADLINE_S: Final = 120
_LINK, _REGULAR = "120000", ("100644", "100755")
_QUIET: Final = ("-c", "protocol.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")


class Revision(Struct, frozen=True):
    """A revision, taken out of its repository.

    ``ref`` is as it was asked for, ``commit`` the full name of what it stands for.  ``root`` is the folder that
    stands for the root of the run, ``paths`` are those of the given paths that the revision has.
    """

    ref: str
    commit: str
    root: Path
    paths: tuple[str, ...]

    @property
    def has_manifests(self) -> bool:
        """Whether there is any file to read, or to complain of."""
        found = discover(self.paths, self.root) if self.paths else Found()
        return bool(found.files or found.problems)


class _Entry(Struct, frozen=True):
    """A file of the tree.  ``name`` is relative to the top of the repository, with forward slashes."""

    mode: str
    blob: str
    size: int
    name: str


@contextmanager
def taken_out(ref: str, paths: Sequence[str], *, root: Path, hints: Collection[str] = ()) -> Iterator[Revision]:
    """The files of ``ref`` that a run at ``root`` with ``paths`` could read, until the ``with`` block ends.

    These are the manifests, and of all other files those whose suffix, or whose name if they have none, is mentioned
    in a manifest, in ``hints`` or by a link.  Links stay links.  Raises UsageInvalid when there is no such revision.
    """
    if not ref or ref.startswith("-") or not ref.isprintable() or " " in ref:
        raise UsageInvalid(f"--base {ref!r} is not the name of a git revision", hint="such as main, v1.2 or HEAD~1")
    top = Path(_text(_git(root, "rev-parse", "--show-toplevel"), "--base needs a git repository"))
    commit = _commit(ref, top)
    home = Path(os.path.realpath(root)).relative_to(os.path.realpath(top)).as_posix()
    places = {path: _place(path, root, top) for path in paths}
    roots = [home, *places.values()]
    entries = [entry for entry in _entries(top, commit) if any(_is_below(entry.name, each) for each in roots)]
    if len(entries) > MAX_ENTRIES:
        raise UsageInvalid(f"{ref} has more than {MAX_ENTRIES:,} files here", hint="run this in a narrower folder")
    with TemporaryDirectory(prefix="reconciler-base-") as name:
        folder = Path(os.path.realpath(name))
        _write(entries, folder, _Objects(top, ref), hints)
        (folder / home).mkdir(parents=True, exist_ok=True)
        there = tuple(path for path, place in places.items() if os.path.lexists(folder / place))
        yield Revision(ref, commit, folder / home, tuple(_relative(path, root) for path in there))


def _place(path: str, root: Path, top: Path) -> str:
    """Where a given path is, from the top of the repository.  Raises UsageInvalid for one outside of it."""
    start = Path(os.path.normpath(Path(os.path.realpath(root)) / path))
    try:
        return start.relative_to(os.path.realpath(top)).as_posix()
    except ValueError as error:
        raise UsageInvalid(f"{path} is not in the git repository {top}") from error


def _relative(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if Path(path).is_absolute() else path


def _is_below(name: str, folder: str) -> bool:
    return folder == "." or name == folder or name.startswith(folder + "/")


# -------------------------------------------------------------------------------------------------- git


def _run(top: Path, arguments: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environ = {
        **os.environ,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    command = ["git", "--no-replace-objects", *_QUIET, *arguments]
    try:
        return subprocess.run(  # noqa: S603 - no shell, and a revision is never taken for an option
            command, cwd=top, env=environ, input=given, capture_output=True, timeout=_DEADLINE_S, check=False
        )
    except FileNotFoundError as error:
        raise UsageInvalid("--base needs git, and there is none on the PATH") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageInvalid(f"git {arguments[0]} did not answer: {error}") from error


def _git(top: Path, *arguments: str, given: bytes = b"") -> bytes | str:
    """What git prints; its complaint, as text, when it fails."""
    ended = _run(top, arguments, given)
    return ended.stdout if ended.returncode == 0 else ended.stderr.decode("utf-8", "replace").strip() or "it failed"


def _text(answer: bytes | str, otherwise: str) -> str:
    if isinstance(answer, str):
        trust = "dubious ownership" in answer
        hint = "git config --global --add safe.directory followed by this folder, if you trust it" if trust else ""
        raise UsageInvalid(f"{otherwise}: {answer.splitlines()[0]}", hint=hint)
    return os.fsdecode(answer).rstrip("\n")


def _commit(ref: str, top: Path) -> str:
    found = _git(top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if isinstance(found, bytes):
        return found.decode().strip()
    if isinstance(_git(top, "rev-parse", "--verify", "--quiet", f"origin/{ref}^{{commit}}"), bytes):
        raise UsageInvalid(f"there is no revision {ref} here", hint=f"did you mean --base origin/{ref}?")
    branch = ref.removeprefix("refs/remotes/").removeprefix("origin/")
    raise UsageInvalid(
        f"there is no revision {ref} in this clone",
        hint=f"git fetch --depth=1 origin {branch}, then --base FETCH_HEAD",
    )


def _entries(top: Path, commit: str) -> Iterator[_Entry]:
    """Regular files and links of the whole tree; submodules are somebody else's."""
    listed = _git(top, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
    if isinstance(listed, str):
        raise UsageInvalid(f"git cannot list {commit[:12]}: {listed.splitlines()[0]}", hint=INCOMPLETE)
    for line in listed.split(b"\0"):
        about, tab, name = line.partition(b"\t")
        if not tab:
            continue
        mode, _, blob, size = about.decode().split()
        if mode == _LINK or mode in _REGULAR:
            yield _Entry(mode, blob, int(size), os.fsdecode(name))


class _Objects:
    """The contents of a repository."""

    def __init__(self, top: Path, ref: str) -> None:
        self._top, self._ref = top, ref

    def read(self, entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, bytes]]:
        """The entries with their contents, a batch of limited size at a time."""
        for batch in _batches(entries):
            answer = _git(
                self._top, "cat-file", "--batch", given=b"".join(entry.blob.encode() + b"\n" for entry in batch)
            )
            if isinstance(answer, str):
                raise UsageInvalid(f"git cannot read {self._ref}: {answer.splitlines()[0]}", hint=INCOMPLETE)
            position = 0
            for entry in batch:
                end = answer.find(b"\n", position)
                if answer[position:end] != f"{entry.blob} blob {entry.size}".encode():
                    raise UsageInvalid(f"{self._ref}:{entry.name} is not in this clone", hint=INCOMPLETE)
                position = end + 1 + entry.size
                yield entry, answer[end + 1 : position]
                position += 1


def _batches(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    batch: list[_Entry] = []
    size = 0
    for entry in entries:
        if batch and (size + entry.size > _AT_ONCE or len(batch) >= 1000):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


# ------------------------------------------------------------------------------------------------- disk


def _write(entries: Sequence[_Entry], folder: Path, objects: _Objects, hints: Collection[str]) -> None:
    """Manifests first, then what they may name; links come last, so that nothing is written through one."""
    links = [entry for entry in entries if entry.mode == _LINK]
    _check_names(entries, links)
    manifests = [entry for entry in entries if _is_manifest(entry)]
    targets = list(objects.read(links))
    said = [*(text.encode("utf-8", "surrogateescape") for text in hints), *(target for _, target in targets)]
    for entry, content in _contents(manifests, folder, objects):
        _create(folder, entry.name, content)
        said.append(content)
    mentioned = _Mentioned(b"\n".join(said))
    others = [each for each in entries if each.mode in _REGULAR and not _is_manifest(each) and mentioned.names(each)]
    for entry, content in _contents(others, folder, objects):
        _create(folder, entry.name, content)
    for entry, target in targets:
        _link(folder, entry.name, target)


class _Mentioned:
    """Which files are mentioned in texts: by their suffix, because a name may be put together from variables."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[str, bool] = {}

    def names(self, entry: _Entry) -> bool:
        path = PurePosixPath(entry.name)
        word = path.suffix or path.name
        if word not in self._known:
            self._known[word] = os.fsencode(word) in self._text
        return self._known[word]


def _check_names(entries: Sequence[_Entry], links: Sequence[_Entry]) -> None:
    """Refuse what no checkout would write: a tree made by hand may lead out of the folder."""
    through = {_folded(link.name) for link in links}
    for entry in entries:
        parts = entry.name.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if any(part in ("", ".", "..") for part in parts) or any(_folded(each) in through for each in above):
            raise UsageInvalid(f"the revision holds {entry.name!r}, which cannot be a file")


def _folded(name: str) -> str:
    """One spelling for names that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_manifest(entry: _Entry) -> bool:
    path = PurePosixPath(entry.name)
    return entry.mode in _REGULAR and (path.suffix in SUFFIXES or path.name == IGNORE_FILE)


def _contents(entries: Sequence[_Entry], folder: Path, objects: _Objects) -> Iterator[tuple[_Entry, bytes]]:
    """The entries with their contents.  Of one that is too large to be read only a hole of its size is made."""
    small = [entry for entry in entries if entry.size <= MAX_CONTENT_BYTES]
    if sum(entry.size for entry in small) > MAX_BYTES:
        raise UsageInvalid(f"the files have more than {MAX_BYTES:,} bytes", hint="run this in a narrower folder")
    for entry in entries:
        if entry.size > MAX_CONTENT_BYTES:
            _create(folder, entry.name, b"")
            os.truncate(folder / entry.name, entry.size)
    return objects.read(small)


def _create(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except (OSError, ValueError) as error:
        raise UsageInvalid(f"{name} cannot be written: {error}") from error


def _link(folder: Path, name: str, target: bytes) -> None:
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(target))
    except (OSError, ValueError) as error:
        raise UsageInvalid(f"the link {name} cannot be made: {error}") from error
