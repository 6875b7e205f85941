"""Whose turn it is: one line before the limiter, and few that are claimed long before theirs."""

from __future__ import annotations

import asyncio
import random
import time

from veneer.models.api.limits import Limiter

AHEAD_SECONDS = 0.25
"""Requests are claimed so long before their turn: a kill leaves few in doubt that never left."""
BACKOFF_SECONDS = (0.5, 60.0)
"""Wait before a second attempt, and the longest before a later one."""


class Pacing:
    """Turns to send, in the order in which they were asked for, and sleeps that stopping ends."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.stopping = asyncio.Event()
        self._line = asyncio.Lock()
        self._claimed = 0

    async def enter(self) -> bool:
        """Wait until few claimed requests wait for their turn; False when sending stops."""
        while not self.stopping.is_set():
            rate = self.limiter.rate
            if rate is None or self._claimed < 2 + rate * AHEAD_SECONDS:
                self._claimed += 1
                return True
            await self.sleep(min(0.5 / rate, 0.1))
        return False

    def leave(self) -> None:
        """A request that entered has left, or will not be sent."""
        self._claimed -= 1

    async def turn(self, tokens: float) -> bool:
        """Wait in line until a request of so many tokens may be sent; False when sending stops."""
        async with self._line:
            while not self.stopping.is_set():
                wait = self.limiter.wait(time.monotonic(), tokens)
                if wait <= 0:
                    return True
                await self.sleep(min(wait, 0.25))
        return False

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not on while sending stops."""
        if seconds <= 0.25:
            await asyncio.sleep(seconds)
            return
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return


def backoff(failures: int, retry_after: float | None) -> float:
    """Seconds before the next attempt: doubled each time, jittered by half, never less than the
    server asked for."""
    first, longest = BACKOFF_SECONDS
    wait = min(longest, first * 2 ** (failures - 1))
    return max(wait * random.uniform(0.5, 1.0), retry_after or 0.0)
