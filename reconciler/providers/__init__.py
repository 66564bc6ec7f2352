"""The vendors, by the name in front of their kinds."""

from __future__ import annotations

from reconciler.model.kind import AnyKind, Vendor
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

VENDORS: tuple[Vendor, ...] = (OPENLAYER, DIGITALOCEAN)

KINDS: dict[str, AnyKind] = {kind.id: kind for vendor in VENDORS for kind in vendor.kinds}
