"""``reconciler state``: look into the memory, and mend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, events_option, example, lock_option, output_format, select_option

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.running import Signals
    from reconciler.pipeline.mending import Moved
    from reconciler.pipeline.session import Session


@click.group(
    "state",
    epilog=example("reconciler state list --env production\nreconciler state rm 'support-bot/*' --env production"),
)
def command() -> None:
    """Look into what we remember of an environment, and mend it.

    Nothing here changes the platform; only import and move-origin read it.
    """


def _with_session(common: Common, work: Callable[[Session, Console], Awaitable[None]], *, mends: bool = True) -> None:
    """Open a session that reads no manifests, and do the work in it."""
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.running import in_session
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    in_session(lambda here: work(here, console), common.request(), settings, console, manifests=False, mends=mends)


@command.command(
    "list",
    short_help="List what is ours, and what is in doubt.",
    epilog=example("reconciler state list --env production --select 'support-bot/*'"),
)
@common(select_option, paths=False)
@output_format("text", "json")
def list_(common: Common, style: str) -> None:
    """List what is ours, and what is in doubt."""

    async def work(here: Session, console: Console) -> None:
        from reconciler.model.state import state_to_json
        from reconciler.pipeline.mending import selected_state

        state = selected_state(here)
        if style == "json":
            from reconciler.reporting.machine import to_json

            console.answer(to_json(state_to_json(state)))
            return
        from reconciler.reporting.tables import state_table

        console.answer(state_table(state, width=console.answer_width, color=console.answer_color))

    _with_session(common, work)


@command.command(
    "show",
    short_help="Show all that we remember of ADDRESS.",
    epilog=example("reconciler state show openlayer.Project/support-bot"),
)
@click.argument("address")
@common(paths=False)
def show(common: Common, address: str) -> None:
    """Show everything that we remember of ADDRESS, as JSON."""

    async def work(here: Session, console: Console) -> None:
        from msgspec.structs import replace

        from reconciler.cli.streams import speak_utf8
        from reconciler.model.secrecy import masked_fields
        from reconciler.model.state import entry_to_json
        from reconciler.pipeline.mending import remembered_at
        from reconciler.providers import KINDS
        from reconciler.reporting.machine import to_json

        found, entry = remembered_at(here, address)
        speak_utf8()
        kind = KINDS.get(found.kind)
        applied = masked_fields(entry.applied, kind.sensitive) if kind else entry.applied
        console.answer(to_json({"address": str(found), **entry_to_json(replace(entry, applied=applied))}))

    _with_session(common, work)


@command.command(
    "rm",
    short_help="Forget what PATTERN names; the objects stay.",
    epilog=example("reconciler state rm 'openlayer.Test/support-bot/*'"),
)
@click.argument("pattern")
@common(lock_option, paths=False)
def rm(common: Common, pattern: str) -> None:
    """Forget what PATTERN (an address or a glob) names; the objects stay at the platform and are not ours any more.

    A project takes along what is inside it.
    """

    async def work(here: Session, console: Console) -> None:
        from reconciler.pipeline.mending import forget
        from reconciler.reporting.escape import terminal

        forgotten = await forget(here, pattern)
        console.answer("\n".join(terminal(f". {address}") for address in forgotten))
        console.answer(f"Forgotten: {len(forgotten)}.  At the platform nothing changed.")

    _with_session(common, work)


@command.command(
    "mv",
    short_help="Remember OLD under the address NEW.",
    epilog=example("reconciler state mv openlayer.Project/old openlayer.Project/new"),
)
@click.argument("old")
@click.argument("new")
@common(lock_option, paths=False)
def mv(common: Common, old: str, new: str) -> None:
    """Remember OLD under the address NEW; a project takes along what is inside it."""

    async def work(here: Session, console: Console) -> None:
        from reconciler.pipeline.mending import move
        from reconciler.reporting.escape import terminal

        former, address = await move(here, old, new)
        console.answer(terminal(f"> {address}  (was {former})"))

    _with_session(common, work)


@command.command(
    "import",
    short_help="Make the live object ID ours.",
    epilog=example("reconciler state import openlayer.Project/support-bot 3c90c3cc-0d44-..."),
)
@click.argument("address")
@click.argument("remote_id", metavar="ID")
@common(events_option, lock_option, paths=False)
def import_(common: Common, address: str, remote_id: str) -> None:
    """Make the live object ID ours, under ADDRESS."""

    async def work(here: Session, console: Console) -> None:
        from reconciler.pipeline.mending import take_in
        from reconciler.reporting.escape import terminal

        await take_in(here, address, remote_id)
        console.answer(terminal(f"= {address}  ({remote_id})"))

    _with_session(common, work, mends=False)


@command.command(
    "move-origin",
    short_help="Follow a platform to a new address.",
    epilog=example("reconciler state move-origin --env production"),
)
@common(events_option, lock_option, paths=False)
@click.option("--yes", is_flag=True, help="Do not ask whether it is the same platform.")
def move_origin(common: Common, yes: bool) -> None:
    """Keep what is ours when a platform has a new address: the one that the environment variables name now.

    Looks there for our objects, says how many it finds, and asks.  Refuses an address that has none of them.
    """
    import os

    from reconciler.cli.asking import require_agreement, require_terminal
    from reconciler.cli.console import Console
    from reconciler.cli.running import run
    from reconciler.pipeline.mending import move_origins
    from reconciler.pipeline.session import Hooks, session
    from reconciler.reporting.escape import terminal
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)

    async def main(signals: Signals) -> None:
        def confirm(moved: Sequence[Moved]) -> None:
            console.answer("\n".join(terminal(f"> {each}") for each in moved))
            if not yes:
                require_terminal("pass --yes if it is the same platform")
                require_agreement("\nIs it the same platform? [y/N]: ", signals)

        hooks = Hooks(event=console.event, note=console.story)
        async with session(common.request(), settings, hooks, manifests=False) as here:
            if not await move_origins(here, confirm):
                console.answer("Nothing has moved: the state belongs to the platforms that are set up.")

    run(main, console.story)


@command.command(
    "migrate",
    short_help="Bring the state from another PLACE.",
    epilog=example("reconciler state migrate .reconciler --env production"),
)
@click.argument("place")
@common(lock_option, paths=False)
def migrate(common: Common, place: str) -> None:
    """Bring the state, and its history, from PLACE to where the environment keeps it now.

    PLACE is a folder or an address, as in state.url.  It cannot be used any more afterwards, so that a branch that is
    behind does not go on there.  Refused where the new place has a state already.
    """

    async def work(here: Session, console: Console) -> None:
        from reconciler.model.values import counted
        from reconciler.pipeline.migrating import migrate
        from reconciler.reporting.escape import terminal

        moved = await migrate(here, place)
        what = [counted(moved.resources, "resource")]
        what += [f"{counted(moved.in_doubt, 'create')} in doubt"] if moved.in_doubt else []
        what += [counted(moved.observations, "observation")] if moved.observations else []
        console.answer(terminal(f"> {moved.place}  (was {moved.former})"))
        console.answer(f"Moved: {', '.join(what)}.  At the platform nothing changed.")

    _with_session(common, work)


@command.command(
    "unlock", short_help="Break the lock ID.", epilog=example("reconciler state unlock 5f0c... --env production")
)
@click.argument("lock_id", metavar="ID")
@common(paths=False)
def unlock(common: Common, lock_id: str) -> None:
    """Break the lock ID, which the error message of the run that waits for it shows.

    The run that holds it, should it still live, cannot write any more.
    """

    async def work(here: Session, console: Console) -> None:
        here.store.unlock(lock_id)
        console.answer(f"Lock {lock_id} is broken.")

    _with_session(common, work)
