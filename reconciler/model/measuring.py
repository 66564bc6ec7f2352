"""How results of a kind come about: what is triggered, waited for and read, as flows.  No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from reconciler.model.call import Flow, Wire
from reconciler.model.outcome import Evaluation, TaskState, TimeRange
from reconciler.model.resource import Address
from reconciler.model.values import Fields


class Task(Struct, frozen=True):
    """An evaluation that was triggered and runs at the vendor.  ``pipeline`` is the vendor's id, or None."""

    task_id: str
    pipeline: str | None = None


class Trigger(Struct, frozen=True):
    """One evaluation to be started: what, where (vendor's id of the place, None for all), over which range.

    ``op`` is an unguessable name for it, so that one whose answer was lost can be found again.  ``runs`` times it is
    measured, one after another, over the same range; ``number`` says which of these it is, from 1.  ``about`` are the
    versions that it measures, as ``Measuring.about`` tells them; empty where results are about the range alone.
    """

    address: Address
    remote_id: str
    pipeline: str | None
    range: TimeRange
    overwrite: bool = False
    op: str = ""
    runs: int = 1
    number: int = 1
    about: tuple[str, ...] = ()


class Version(Struct, frozen=True):
    """A version (commit) of what is developed, whose push makes the vendor evaluate it.

    ``root_id`` is the remote id of the project.  ``message`` and ``created`` are for a person.  ``state`` says how its
    evaluation is doing.
    """

    version_id: str
    root_id: str
    message: str
    created: str
    state: TaskState


class Versions(Struct, frozen=True):
    """How results of versions are read.

    ``named``    the version with this id; raises NotFound.
    ``latest``   the newest version of the root with this remote id; None when there is none.
    ``results``  (version's id, addresses by the remote id of what is measured) -> what was recorded for them.
    """

    named: Callable[[str, Wire], Flow[Version]]
    latest: Callable[[str, Wire], Flow[Version | None]]
    results: Callable[[str, Mapping[str, Address], Wire], Flow[tuple[Evaluation, ...]]]


class Past(Struct, frozen=True):
    """Recorded results; not ``whole`` when there are more than were asked for."""

    results: tuple[Evaluation, ...]
    whole: bool = True


class Measuring(Struct, frozen=True):
    """How a kind is evaluated.

    ``place``    the kind of the places that it runs on: a result belongs to one of them.
    ``possible`` "" when the API can evaluate it on demand, else the reason why not.
    ``targets``  the places to trigger one by one; an empty tuple means one trigger for all of them.
    ``places``   all places that it runs on, of the given siblings: each must have a result.
    ``subject``  the address whose object is triggered and asked for results: mostly the resource itself.
    ``trigger``  starts an evaluation; not repeatable.  The vendor's tasks, of which it need not tell any; None where
                 it says that there is nothing to evaluate.  Where each task is one run (``of_tasks``), those that are
                 there already may be joined, as many as are still wanted.
    ``poll``     asks how a task is doing; raises NotFound or MethodMissing where the route does not exist.
    ``results``  (address, subject's remote id, range or None, remote ids of places, wire) -> what was recorded, newest
                 first.  It need not read those of other places; with none given, it reads those of all.
    ``window``   the seconds of a window: a range is widened to whole ones, and results belong to windows.  None where
                 ranges mean nothing, and results belong to a version of what is measured.
    ``repeated`` (address, subject's id, how many, remote ids of places as above) -> the latest results on each place
                 for what is measured as it is now.  None where ``results`` tells as much: results belong to windows.
    ``of_tasks`` (trigger, tasks of it that are over) -> the result of each, whatever else was measured meanwhile; it is
                 MISSING where it is about other versions than the trigger.  None where a task is no run with a result
                 of its own: then results are read as ``results`` tells them.
    ``explained`` (subject's remote id, results of tasks) -> the same, with more of why they are what they are where the
                 platform tells.  Asked for only when these stand: who waits for it in vain has the verdicts.  None
                 where ``of_tasks`` tells everything.
    ``lost``     the task of a trigger whose answer was lost, found by its ``op``; empty as long as there is none.  None
                 where nothing tells it from others: then it is never known not to have started.
    ``about``    the versions of what a trigger measures, as they are now.  None where results belong to windows.
    ``there``    how many of the runs that a trigger asks for are there already, and would not be started.  None where
                 nobody can tell before.
    ``versions`` how what is not possible on demand is measured instead.
    ``latest``   (place's remote id, addresses by the remote id of what is measured) -> the latest result of each there,
                 from one list; nothing where the platform's list is none of the latest.  None where there is no such.
    ``past``     (address, subject's remote id, range or None for ever, how many) -> what was recorded; pages are read
                 until there are so many.
    """

    place: str
    possible: Callable[[Fields], str]
    targets: Callable[[Address, Fields], tuple[Address, ...]]
    places: Callable[[Fields, Sequence[Address]], tuple[Address, ...]]
    trigger: Callable[[Trigger, Wire], Flow[tuple[Task, ...] | None]]
    poll: Callable[[Task, Wire], Flow[TaskState]]
    results: Callable[[Address, str, TimeRange | None, Collection[str], Wire], Flow[tuple[Evaluation, ...]]]
    subject: Callable[[Address, Fields], Address] = lambda address, _: address
    window: Callable[[Fields], int] | None = None
    repeated: Callable[[Address, str, int, Collection[str]], Flow[tuple[Evaluation, ...]]] | None = None
    of_tasks: Callable[[Trigger, Sequence[Task], Wire], Flow[tuple[Evaluation, ...]]] | None = None
    explained: Callable[[str, Sequence[Evaluation]], Flow[tuple[Evaluation, ...]]] | None = None
    lost: Callable[[Trigger, Wire], Flow[tuple[Task, ...]]] | None = None
    about: Callable[[Trigger, Wire], Flow[tuple[str, ...]]] | None = None
    there: Callable[[Trigger, Wire], Flow[int]] | None = None
    versions: Versions | None = None
    latest: Callable[[str, Mapping[str, Address], Wire], Flow[tuple[Evaluation, ...]]] | None = None
    past: Callable[[Address, str, TimeRange | None, int], Flow[Past]] | None = None
