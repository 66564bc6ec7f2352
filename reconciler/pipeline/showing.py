"""Look at one thing at a platform.  Touches: network (reads only)."""

from __future__ import annotations

from reconciler.errors import NotFound, UsageInvalid
from reconciler.model.flow import drive
from reconciler.model.values import Fields
from reconciler.pipeline.session import Session
from reconciler.providers import VENDORS


async def show_run(here: Session, run_id: str) -> Fields:
    """The evaluation run with this id, as its platform shows it.

    Asks every platform that has such a thing and that a credential is set or named for.  Raises UsageInvalid when none
    of them knows it, SettingsInvalid when no credential is set.
    """
    able = [vendor for vendor in VENDORS if vendor.show_run is not None]
    for vendor in [vendor for vendor in able if here.is_in_use(vendor)] or able:
        provider = await here.provider(vendor)
        assert vendor.show_run is not None
        try:
            return await drive(vendor.show_run(run_id), provider.send, here.clock.sleep)
        except NotFound:
            continue
    raise UsageInvalid(f"there is no evaluation run {run_id}", hint="reconciler status --format json tells ids")
