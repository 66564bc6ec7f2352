"""Whether the state was made for the platform that a run would talk to.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import StateUnreadable
from reconciler.model.state import State
from reconciler.pipeline.session import Session


def check_origins(state: State, origins: Mapping[str, str], here: Session) -> None:
    """Raise StateUnreadable when the state was made for another platform than the one that would be changed."""
    for vendor, origin in origins.items():
        bound = state.origins.get(vendor)
        if bound is not None and bound != origin:
            raise StateUnreadable(
                f"the state of environment {here.environment} belongs to {bound}, not to {origin}",
                hint="if it is the same platform at a new address: reconciler state move-origin; else name another "
                "environment",
            )
