"""Rate limits as servers really keep them: token bucket, sliding window, fixed windows."""

from __future__ import annotations

from collections import deque


class Limit:
    """So many units a minute. `kind`: bucket, sliding, fixed60 or fixed1.

    A bucket holds `burst` seconds' worth; `window` (seconds) replaces the minute of "sliding" and
    "fixed60" so that a test need not wait for one. The unit is requests or tokens.
    """

    def __init__(self, kind: str, per_minute: float, burst: float, window: float) -> None:
        if kind not in ("bucket", "sliding", "fixed60", "fixed1"):
            raise ValueError(f"unknown kind of limit: {kind}")
        self.kind, self.per_minute = kind, per_minute
        self.rate = per_minute / 60
        self.window = 1.0 if kind == "fixed1" else window
        self.most = max(1.0, self.rate * (burst if kind == "bucket" else self.window))
        self.level, self.at = self.most, 0.0
        self.used: deque[tuple[float, float]] = deque()
        self.sum = 0.0

    def wait(self, now: float, cost: float) -> float:
        """Seconds until `cost` fits; 0 when it fits now. What is larger than all waits for all."""
        cost = min(cost, self.most)
        self._move(now)
        if self.kind == "bucket":
            return max(0.0, (cost - self.level) / self.rate)
        over = self.sum + cost - self.most
        if over <= 1e-9:
            return 0.0
        if self.kind.startswith("fixed"):
            return self.window - now % self.window
        for then, spent in self.used:
            over -= spent
            if over <= 1e-9:
                return max(1e-3, then + self.window - now)
        return self.window

    def take(self, now: float, cost: float) -> None:
        self._move(now)
        if self.kind == "bucket":
            self.level -= cost
        else:
            self.used.append((now, cost))
            self.sum += cost

    def left(self, now: float) -> float:
        self._move(now)
        return max(0.0, self.level if self.kind == "bucket" else self.most - self.sum)

    def reset(self, now: float) -> float:
        """Seconds until the limit is whole again."""
        if self.kind == "bucket":
            return (self.most - self.level) / self.rate
        if self.kind.startswith("fixed"):
            return self.window - now % self.window
        return self.used[-1][0] + self.window - now if self.used else 0.0

    def _move(self, now: float) -> None:
        if self.kind == "bucket":
            self.level = min(self.most, self.level + (now - self.at) * self.rate)
            self.at = now
            return
        start = now - self.window if self.kind == "sliding" else now - now % self.window
        while self.used and (
            self.used[0][0] <= start if self.kind == "sliding" else self.used[0][0] < start
        ):
            self.sum -= self.used.popleft()[1]
        if not self.used:
            self.sum = 0.0
