"""Turn the paths on the command line into the manifest files below them.  Touches: disk; only ``rewrite`` writes.

A repository may come from a stranger (a fork's pull request), so nothing outside of the root is read through a
link, and nothing but regular files is opened.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from reconciler.errors import ManifestsInvalid, Problem, UsageInvalid
from reconciler.manifests.loader import MAX_FILE_BYTES, printable, read
from reconciler.manifests.repeats import Layouts
from reconciler.model.kind import Vendor

SUFFIXES: Final = (".yaml", ".yml")
IGNORE_FILE: Final = ".reconcilerignore"
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
MAX_FILES: Final = 10_000
MAX_CONTENT_BYTES: Final = 100 * 1024 * 1024
"""What a file may have that a manifest names."""


class File(Struct, frozen=True):
    """One file.  ``name`` is relative to the root, with forward slashes; ``path`` is where it really is."""

    name: str
    path: Path


class Found(Struct):
    """What discovery brought: files sorted by name, and what could not be taken.  ``is_full``: there were too many."""

    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    is_full: bool = False


def discover(paths: Sequence[str | Path], root: Path) -> Found:
    """All ``*.yaml`` and ``*.yml`` under ``paths`` (files are taken as they are), without hidden ones.

    A file that two paths lead to is found once.  Relative paths start at ``root``.  Raises UsageInvalid for a path
    that does not exist, or leads to what can hold no manifests: a pipe, a device.
    """
    found = Found()
    seen: set[Path] = set()
    for given in paths or (".",):
        start = Path(os.path.normpath(root / given))
        if not os.path.lexists(start):
            raise UsageInvalid(f"there is no {given}", hint="name a file or folder with manifests")
        if _is_special(start):
            raise UsageInvalid(f"{given} is not a regular file", hint="name a file or folder with manifests")
        walk = _Walk(root, _boundaries(start, root), found, seen)
        walk.take(start, explicit=True)
    found.files.sort(key=lambda file: file.name)
    return found


def _is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder; a link to nowhere is left to the walk."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def scope_of(paths: Sequence[str | Path], root: Path) -> tuple[str, ...]:
    """The given paths, relative to ``root``, sorted and without repetition."""
    return tuple(sorted({_name(Path(os.path.normpath(root / given)), root) for given in paths or (".",)}))


def home_of(root: Path) -> str:
    """The way to ``root`` from the top of the git checkout that it is in; ``.`` where there is none."""
    root = Path(os.path.realpath(root))
    top = next((each for each in (root, *root.parents) if os.path.lexists(each / ".git")), root)
    return root.relative_to(top).as_posix()


def beside(named: str, manifest: str, root: Path) -> File:
    """The file that a manifest (named from ``root``) names relative to itself, links followed.

    Raises ValueError, with a message and a hint, for one outside of the root and the manifest's folder, for a hidden
    one (``.git/config``, ``.env``), and for what is no regular file.
    """
    folder = (root / manifest).parent
    try:
        real, home = Path(os.path.realpath(folder / named)), Path(os.path.realpath(folder))
    except ValueError as error:  # a NUL inside
        raise ValueError("there is no such file", "") from error
    limit = next((each for each in (home, root) if each == real or each in real.parents), None)
    if Path(named).is_absolute():
        raise ValueError("is not relative to this manifest", "keep the file beside it")
    if limit is None:
        raise ValueError("leads out of the root of this run", "keep it beside this manifest")
    if any(part.startswith(".") and not part.startswith("..") for part in real.relative_to(limit).parts):
        raise ValueError("is hidden, and hidden files are not read", "rename it")
    if not os.path.isfile(real):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise ValueError("not a regular file" if os.path.lexists(real) else "there is no such file", "")
    return File(_name(real, root), real)


def read_file(file: File, limit: int = MAX_FILE_BYTES) -> bytes:
    """Its content.  Raises OSError, also for what is no regular file, and ValueError when it is too large.

    The check is made on the open descriptor: what the name pointed to a moment ago proves nothing.
    """
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > limit:
            raise ValueError(f"the file has {status.st_size:,} bytes, more than {limit:,}")
        content = stream.read(status.st_size + 1)  # not the limit, for so much would be allocated
        return content if len(content) <= status.st_size else content + stream.read(limit - status.st_size)


class Rewritten(Struct):
    """The names of the files that were not in canonical form, and why others were left alone."""

    changed: list[str] = field(default_factory=list)
    strangers: list[Problem] = field(default_factory=list)


def rewrite(paths: Sequence[str | Path], *, root: Path, vendors: Sequence[Vendor], write: bool = True) -> Rewritten:
    """Bring the files under ``paths`` into canonical form, but for those with documents that are no manifests.

    With ``write`` unset nothing is written.  Raises ManifestsInvalid, and writes nothing, when one cannot be read, or
    is no manifest though it was named itself, and at the first that cannot be written.
    """
    root = Path(root).resolve()
    found = discover(paths, root)
    named = {os.path.realpath(root / path) for path in paths}
    problems = list(found.problems)
    rewritten = Rewritten()
    texts: list[tuple[File, str]] = []
    for file in found.files:
        try:
            text, strangers = _canonical(file, vendors)
        except ManifestsInvalid as error:
            problems += error.problems
        except (OSError, ValueError) as error:
            problems.append(Problem(file.name, 0, 0, "", getattr(error, "strerror", None) or str(error)))
        else:
            texts += [(file, text)] if text is not None else []
            (problems if str(file.path) in named else rewritten.strangers).extend(strangers)
    if problems:
        raise ManifestsInvalid(problems)
    for file, text in texts if write else ():
        try:
            _replace(file.path, text)
        except OSError as error:
            what = f"cannot be written: {error.strerror or error}"
            raise ManifestsInvalid([Problem(file.name, 0, 0, "", what)]) from error
    rewritten.changed = [file.name for file, _ in texts]
    return rewritten


def _canonical(file: File, vendors: Sequence[Vendor]) -> tuple[str | None, list[Problem]]:
    """(what to write, None where that stands there; what is said of documents that are no manifests)."""
    from reconciler.manifests.documents import strangers_in  # imports us
    from reconciler.manifests.formatter import fmt  # the rest of the program never formats

    content = read_file(file)
    parsed = read(content, file.name, layouts=Layouts())
    if parsed.problems:
        raise ManifestsInvalid(parsed.problems)
    if strangers := strangers_in(parsed, vendors):
        return None, strangers
    text = content.decode("utf-8")
    formatted = fmt(text, file.name)
    return (formatted if formatted != text else None), []


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is never half written, keeping its mode."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        shutil.copymode(path, name)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _boundaries(start: Path, root: Path) -> tuple[Path, ...]:
    """Where links may lead: into the root, and into a folder outside of it that the user named."""
    inside = start == root or root in start.parents
    real_root = Path(os.path.realpath(root))
    return (real_root,) if inside else (real_root, Path(os.path.realpath(start)))


def _name(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


class _Walk:
    """One given path and everything below it."""

    def __init__(self, root: Path, boundaries: tuple[Path, ...], found: Found, seen: set[Path]) -> None:
        self.root = root
        self.boundaries = boundaries
        self.found = found
        self.seen = seen

    def take(self, path: Path, ignored: tuple[_Ignore, ...] = (), *, explicit: bool = False) -> None:
        """Take the file or folder that ``path`` leads to; one that the user did not name must look like ours."""
        try:
            self._take(path, ignored, explicit=explicit)
        except OSError as error:  # it leads into a folder that may not be entered: who knows what is there
            hint = f"make it readable, or name it in {IGNORE_FILE}"
            self._refuse(_name(path, self.root), f"cannot be read: {error.strerror}", hint)

    def _take(self, path: Path, ignored: tuple[_Ignore, ...], *, explicit: bool) -> None:
        name, real = _name(path, self.root), Path(os.path.realpath(path))
        if any(rule.matches(path) for rule in ignored):
            return
        is_folder = real.is_dir()
        if not (explicit or is_folder or path.suffix in SUFFIXES or not real.exists()):
            return  # a link that leads nowhere may have led to a folder of manifests
        if problem := self._misleads(real):
            self._refuse(name, *problem)
        elif is_folder:
            self._take_folder(path, name, real, ignored)
        else:
            self._take_file(name, real, is_regular=real.is_file())

    def _misleads(self, real: Path) -> tuple[str, str] | None:
        """(message, hint) when this must not be where a path leads."""
        if not any(real == limit or limit in real.parents for limit in self.boundaries):
            return "a link leads out of the folder that is read", "copy the file here"
        return None if real.exists() else ("a link leads nowhere", f"remove it, or name it in {IGNORE_FILE}")

    def _take_file(self, name: str, real: Path, *, is_regular: bool) -> None:
        if real in self.seen:
            return
        if _is_hiding(name):
            self._refuse(name, *_HIDING)
        elif not is_regular:
            self._refuse(name, "not a regular file", "remove it")
        elif len(self.found.files) >= MAX_FILES:
            if not self.found.is_full:
                self._refuse(name, f"this and whatever comes after it are more than {MAX_FILES:,} files", _NARROWER)
            self.found.is_full = True
        else:
            self.seen.add(real)
            self.found.files.append(File(name, real))

    def _take_folder(self, folder: Path, name: str, real: Path, ignored: tuple[_Ignore, ...]) -> None:
        """Take what is in a folder; only links are looked up, whatever else is in it stands where it seems to."""
        if real in self.seen:
            return
        if _is_hiding(name):
            self._refuse(name, *_HIDING)
            return
        self.seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._refuse(name, f"cannot be read: {error.strerror}")
            return
        if any(entry.name == IGNORE_FILE for entry in inside):
            try:
                ignored = (*ignored, *_ignore_rules(folder))
            except OSError as error:
                self._refuse(_name(folder / IGNORE_FILE, self.root), f"cannot be read: {error.strerror}")
        for entry in inside:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                self.take(path, ignored)
                continue
            if any(rule.matches(path) for rule in ignored):
                continue
            inner = entry.name if name == "." else f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self._take_folder(path, inner, real / entry.name, ignored)
            elif entry.name.endswith(SUFFIXES):
                self._take_file(inner, real / entry.name, is_regular=entry.is_file(follow_symlinks=False))

    def _refuse(self, name: str, message: str, hint: str = "") -> None:
        self.found.problems.append(Problem(printable(name), 0, 0, "", message, hint))


_NARROWER = f"give narrower paths, or name what holds no manifests in {IGNORE_FILE}"
_HIDING = ("the name holds characters that nobody can see", "rename it")


def _is_hiding(name: str) -> bool:
    """Whether the last part of a name holds what nobody can see."""
    last = name.rpartition("/")[2]
    return printable(last) != last


class _Ignore(Struct, frozen=True):
    """One line of a ``.reconcilerignore``: a glob, relative to the folder of that file."""

    folder: Path
    pattern: re.Pattern[str]

    def matches(self, path: Path) -> bool:
        relative = path.relative_to(self.folder).as_posix()
        return self.pattern.fullmatch(relative) is not None


def _ignore_rules(folder: Path) -> Iterator[_Ignore]:
    """The rules, after gitignore: ``#`` comments, ``*``, ``?`` and ``**``; without a slash, at any depth."""
    text = (folder / IGNORE_FILE).read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        glob = line.strip()
        if glob and not glob.startswith("#"):
            yield _Ignore(folder, re.compile(_glob_pattern(glob)))


def _glob_pattern(glob: str) -> str:
    glob = glob.rstrip("/")
    anywhere = "" if "/" in glob else "(.*/)?"
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("/"))
    meaning = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return anywhere + "".join(meaning.get(part, re.escape(part)) for part in parts)
