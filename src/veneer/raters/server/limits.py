"""How often one may ask: token buckets in memory, one a session or an address."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_MOST_KEPT = 20_000


@dataclass(frozen=True)
class Rate:
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: int


VOTES = Rate(per_second=5, burst=30)
"""Of one session: faster than any reader, slower than a program that runs wild."""
FAILED_LINKS = Rate(per_second=0.5, burst=20)
"""Of one address, and only links that are refused: raters behind one address do not share it."""


class Buckets:
    """One token bucket a key. Not shared between processes: the server is one."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._kept: dict[str, tuple[float, float]] = {}  # tokens left, at what time

    def take(self, key: str) -> bool:
        """Take one token of `key`; False when none is left."""
        now = self._clock()
        left, at = self._kept.get(key, (float(self.rate.burst), now))
        left = min(self.rate.burst, left + (now - at) * self.rate.per_second)
        if left < 1:
            return False
        if len(self._kept) >= _MOST_KEPT and key not in self._kept:
            self._make_room(now)
        self._kept[key] = (left - 1, now)
        return True

    def seconds(self) -> int:
        """After how long an empty bucket gives again, for Retry-After."""
        return max(1, round(1 / self.rate.per_second))

    def _make_room(self, now: float) -> None:
        """Forget who is idle so long that their bucket is full; else the older half."""
        full = self.rate.burst / self.rate.per_second
        busy = {key: kept for key, kept in self._kept.items() if now - kept[1] < full}
        if len(busy) >= _MOST_KEPT:
            latest = sorted(busy, key=lambda key: busy[key][1])[len(busy) // 2 :]
            busy = {key: busy[key] for key in latest}
        self._kept = busy
