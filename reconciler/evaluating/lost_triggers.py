"""Looks for a trigger whose reply was lost: whether it was started after all.  Touches nothing itself.

One that has a name of its own (``Measuring.lost``) is looked for by that, and certainly did not start when the
uncertainty window is over without it; the next run sends it anew.  Without a name it is looked for in the results,
which prove nothing, and not sent again as long as it is noted.
"""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.errors import ApiError, NotAuthorized
from reconciler.evaluating.asking import DOUBT_S, Note, Run
from reconciler.evaluating.notes import Started
from reconciler.model.measuring import Measuring, Task


class LostTrigger:
    """One trigger whose reply was lost, by this process or an earlier one."""

    def __init__(self, run: Run, measuring: Measuring, note: Note) -> None:
        self._run, self._measuring, self._note = run, measuring, note

    async def taken_up(self, known: Started) -> Started | None:
        """What an earlier run has started; None where it turns out that it has not, and somebody may send it."""
        if known.sure or known.over or not self.has_name(known):
            return known
        try:
            sought = await self.sought(known)
        except NotAuthorized:
            raise
        except ApiError:
            return known
        if sought is None and not self._run.resumed:
            await self._note.remove()
            return None
        return sought or known

    def has_name(self, started: Started) -> bool:
        """Whether what it started can be told from everything else."""
        return self._measuring.lost is not None and bool(started.trigger.op)

    async def sought(self, started: Started) -> Started | None:
        """With its task where that was found, as it was at the deadline; None where it certainly did not start."""
        lost, until = self._measuring.lost, self.doubt_ends(started)
        assert lost is not None
        sent = replace(started.sent, about=started.about)

        async def found() -> tuple[Task, ...] | None:
            began = self._run.now  # only a look that was begun after the window proves anything
            tasks = await self._run.read(lost(sent, self._run.wire))
            return tasks if tasks or began >= until else None

        tasks = await self._run.ask_until(self._run.deadline, found)
        if tasks is None:
            return await self.still_in_doubt(started)
        if not tasks:
            return None
        started = replace(started, tasks=tasks, sure=True)
        await self._note.say(started)
        return started

    def doubt_ends(self, started: Started) -> float:
        """From when on it cannot turn up any more.  Results take longer than what is in a list."""
        window = self._run.doubt_s if self.has_name(started) else max(self._run.doubt_s, DOUBT_S)
        return self._since(started) + window - started.looked_s

    def _since(self, started: Started) -> float:
        return self._run.began if started.since is None else started.since

    async def still_in_doubt(self, started: Started) -> Started:
        """Note how long it was looked for, so that the next run need not begin again."""
        now = self._run.now
        started = replace(started, since=now, looked_s=started.looked_s + now - self._since(started))
        await self._note.say(started)
        return started
