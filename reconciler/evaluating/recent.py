"""Answers of a moment ago, which stand for asking again.  Touches nothing itself: how to send is given."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from reconciler.model.call import Call, Reply
from reconciler.model.flow import Send
from reconciler.model.provider import Clock

RECENT_S = 5.0
"""For how long what was read stands.  A run that somebody else starts in that time is not joined but paid twice."""


class RecentAnswers:
    """What one vendor has answered in the last seconds, to calls for which that will do (``Call.recent``).

    What was asked before a write was over is out of date.  Those who ask the same at once get one answer.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, int, Reply]] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._writes = 0

    def before(self, send: Send) -> Send:
        """How to send through ``send`` what no answer of a moment ago stands for."""

        async def sent(call: Call) -> Reply:
            if call.method != "GET":
                try:
                    return await send(call)
                finally:
                    self._writes += 1
            if not call.recent:
                return await send(call)
            key = f"{call.path} {sorted(call.query.items())}"
            async with self._asking[key]:
                return self._known(key) or await self._ask(key, call, send)

        return sent

    def _known(self, key: str) -> Reply | None:
        asked, writes, reply = self._answers.get(key, (0.0, -1, None))
        is_recent = writes == self._writes and self._clock.monotonic() - asked <= RECENT_S
        return reply if is_recent else None

    async def _ask(self, key: str, call: Call, send: Send) -> Reply:
        asked, writes = self._clock.monotonic(), self._writes
        reply = await send(call)
        self._answers[key] = asked, writes, reply
        return reply
