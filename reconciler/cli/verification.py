"""``apply --evaluate``: measure what changed, gate on it, and with ``--rollback`` put it back when the gate fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.course import Course
    from reconciler.model.plan import Plan, Step
    from reconciler.model.resource import Address
    from reconciler.pipeline.applying import Applied
    from reconciler.pipeline.measuring import Evaluated, Inquiry
    from reconciler.pipeline.rolling_back import PutBack
    from reconciler.pipeline.session import Session

MOST_NAMED = 10
"""How many are named of the changes that were put back, and of what stays."""


class Verification:
    """Tells a verified apply as it goes on, beyond the course of one that is not."""

    def __init__(self, ask: Inquiry, course: Course, *, rollback: bool) -> None:
        self._ask, self._course, self._rollback = ask, course, rollback
        self._console, self._signals = course.console, course.signals
        self._code, self._is_applied = int(ExitCode.DONE), False

    async def run(self, here: Session, *, saved: Mapping[str, Any] | None, resumed: bool) -> int:
        """Returns INCOMPLETE where a step failed, GATE_FAILED, or DONE.  Raises RolledBack or RollbackFailed."""
        from reconciler.errors import ReconcilerError
        from reconciler.pipeline.verifying import Watch, apply_and_verify, same_command

        def rolling_back(plan: Plan) -> None:
            self._signals.gently = here.stop.set
            count = len(plan.pending) + len(_gates(plan))
            self._console.story(f"the gate failed; putting back {count} change{'' if count == 1 else 's'}")

        same = same_command(saved)
        watch = Watch(self._applied, self._judged, rolling_back)
        try:
            done = await apply_and_verify(here, self._ask, watch, saved=saved, resumed=resumed, rollback=self._rollback)
        except ReconcilerError as error:
            if self._is_applied and error.exit_code != ExitCode.NOT_ROLLED_BACK:
                self._console.story(f"warning: what was applied is not verified; {same} goes on with that")
            raise
        finally:
            self._signals.gently = None
        if done.put_back is not None:
            raise self._end(done.put_back, same)
        if done.evaluated is None and self._code == ExitCode.DONE:
            self._console.story("Nothing to evaluate: no test changed.")
        if done.unverified:
            # The last apply is now another one.
            options = "--overwrite" if done.evaluated else "--changed --overwrite"
            not_verified(self._console, len(done.unverified), f"reconciler evaluate {options}")
        # Nothing is known of what was there before.
        if self._code == ExitCode.GATE_FAILED and self._rollback and done.changed:
            self._console.story("warning: nothing was put back: what changed was applied without --rollback")
        return self._code

    def _applied(self, done: Applied) -> bool:
        self._is_applied = bool(done.outcomes)
        self._code = self._course.applied(done)
        return self._code == ExitCode.DONE

    def _judged(self, evaluated: Evaluated) -> None:
        from reconciler.cli.evaluate import report_verdicts

        self._console.end_progress()
        self._code = report_verdicts(evaluated, self._course.style, self._console, self._course.told)

    def _end(self, put_back: PutBack, same: str) -> Exception:
        """How a roll-back ends: with everything as it was, or with what is left to send, which ``same`` tries again."""
        from reconciler.errors import RollbackFailed, RolledBack

        back = put_back.plan.pending
        self._console.event(
            {"event": "rolled_back", "steps": [step.id for step in back], "left": [e.to_json() for e in put_back.left]}
        )
        if put_back.left:
            lines = [line for each in put_back.left for line in each.lines()]
            count = len(put_back.left)
            by_hand = "send these with your key" if any(each.request for each in put_back.left) else "do this by hand"
            return RollbackFailed(
                f"the gate failed, and {count} change{'' if count == 1 else 's'} could not be put back; left to do:\n"
                + "\n".join(lines),
                hint=f"{by_hand}, or run {same} again: it still knows what was there before",
            )
        told = _named([*map(_line, back), *_gates(put_back.plan)])
        told += _named(f"{step.address} stays: {step.reason}" for step in put_back.plan.steps if step.idle)
        told += _named(
            f"{address} stays, and is not verified: it was changed without --rollback" for address in put_back.earlier
        )
        return RolledBack(
            f"the gate failed, and what was changed was put back:{told}",
            hint="the manifests still ask for it: change them, or the next apply does it again; what was evaluated"
            " stays on record as it was judged then, until evaluate --overwrite",
        )


def not_verified(console: Console, count: int, command: str) -> None:
    """Say of so many tests, if any, that what an earlier apply changed was not held against its gate."""
    if count:
        tests = f"{count:,} tests" if count > 1 else "1 test"
        are = "are" if count > 1 else "is"
        verify = console.command(command)
        console.story(f"warning: {tests} that an earlier apply changed {are} not verified\n  hint: {verify}")


def _named(lines: Iterable[str]) -> str:
    told = list(lines)
    more = [f"... and {len(told) - MOST_NAMED:,} more like these"] if len(told) > MOST_NAMED else []
    return "".join(f"\n{line}" for line in [*told[:MOST_NAMED], *more])


def _line(step: Step) -> str:
    return f"{step.action.value} {step.address}{_fields(change.path for change in step.changes)}"


def _gates(plan: Plan) -> list[str]:
    """What of a plan is only remembered, a line for each resource whose results count otherwise."""
    paths: dict[Address, list[str]] = {}
    for change in plan.lifecycle:
        if change.effect is not None:
            paths.setdefault(change.address, []).append(change.path)
    return [f"gate of {address}{_fields(changed)}" for address, changed in paths.items()]


def _fields(paths: Iterable[str]) -> str:
    found = ", ".join(list(paths)[:3])
    return f" ({found})" if found else ""
