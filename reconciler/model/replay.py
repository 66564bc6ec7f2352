"""What new thresholds would have made of the past.  Frozen, no I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from reconciler.model.values import Json


class ReplayState(StrEnum):
    """Whether past results say something.

    ``CALIBRATED``   the recorded verdicts can be recomputed, so the forecast can be believed.
    ``UNCALIBRATED`` they cannot, or prove nothing: no number is better than a wrong one.
    ``REDEFINED``    something else is measured from now on; past values do not help.
    ``NOTHING``      there are no results in the time looked at.
    """

    CALIBRATED = "calibrated"
    UNCALIBRATED = "uncalibrated"
    REDEFINED = "redefined"
    NOTHING = "nothing"


class Share(Struct, frozen=True):
    """``flagged`` of ``windows``, with the Wilson interval at 95 %; all three fractions are 0 to 1, not rounded."""

    flagged: int
    windows: int
    share: float
    low: float
    high: float


class Near(Struct, frozen=True):
    """A window whose value is close to the new limit.

    ``margin`` is how far it is on the right side, negative on the wrong one; times are Unix seconds.
    """

    pipeline: str | None
    starts: int | None
    ends: int | None
    result_id: str
    measurement: str
    value: Json
    margin: float


class Replay(Struct, frozen=True):
    """Past results, judged by the old and by the new thresholds.

    ``look_back_s`` is the time looked at, in seconds.  ``why`` says why there is no forecast.  ``unknown`` windows were
    skipped, unfinished or without a value: they count neither way.  ``agreement`` is the share of recorded verdicts
    that could be recomputed, of ``checked`` ones.  ``only_before`` windows would be missed now, ``only_after`` ones are
    new.  Without a forecast ``before`` and ``after`` are None.
    """

    state: ReplayState
    look_back_s: int
    why: str = ""
    unknown: int = 0
    checked: int = 0
    agreement: float | None = None
    before: Share | None = None
    after: Share | None = None
    only_before: int = 0
    only_after: int = 0
    nearest: tuple[Near, ...] = ()
    notes: tuple[str, ...] = ()


class Suggestion(Struct, frozen=True):
    """The strictest limit within a budget of flagged windows, with its evidence; or why there is none.

    ``limit`` is None when there is none: ``why`` says what stands in the way, ``missing`` what would help.
    ``per_period`` is how many windows there are in the budget's time, ``expected`` how many of them are flagged at the
    upper end of the interval.  ``pins`` are the names of the pins that were kept.
    """

    measurement: str
    operator: str
    current: Json
    limit: Json = None
    why: str = ""
    missing: str = ""
    now: Share | None = None
    then: Share | None = None
    per_period: float = 0.0
    expected: float | None = None
    pins: tuple[str, ...] = ()


def share_to_json(share: Share | None) -> dict[str, Any] | None:
    """Plain data for a share."""
    if share is None:
        return None
    return {
        "flagged": share.flagged,
        "windows": share.windows,
        "share": share.share,
        "low": share.low,
        "high": share.high,
    }


def replay_to_json(replay: Replay) -> dict[str, Any]:
    """Plain data for the plan's JSON; every key is always there."""
    return {
        "state": replay.state.value,
        "why": replay.why,
        "look_back_s": replay.look_back_s,
        "unknown": replay.unknown,
        "checked": replay.checked,
        "agreement": replay.agreement,
        "before": share_to_json(replay.before),
        "after": share_to_json(replay.after),
        "only_before": replay.only_before,
        "only_after": replay.only_after,
        "nearest": [
            {
                "pipeline": near.pipeline,
                "starts": near.starts,
                "ends": near.ends,
                "result_id": near.result_id,
                "measurement": near.measurement,
                "value": near.value,
                "margin": near.margin,
            }
            for near in replay.nearest
        ],
        "notes": list(replay.notes),
    }
