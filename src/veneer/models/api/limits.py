"""stub"""

from __future__ import annotations

from collections.abc import Mapping


class Limiter:
    def __init__(self, requests: float | None = None, tokens: float | None = None) -> None:
        self.rate = requests / 60 * 0.985 if requests else None
        self.next = self.until = 0.0

    def wait(self, now: float, tokens: float) -> float:
        if now < self.until:
            return self.until - now
        if self.rate is None:
            return 0.0
        if now < self.next:
            return self.next - now
        self.next = max(self.next, now - 0.025) + 1 / self.rate
        return 0.0

    def answered(self, now: float, sent: float) -> None:
        pass

    def told(self, now: float, headers: Mapping[str, str]) -> None:
        pass

    def refused(self, now: float, sent: float, retry_after: float | None) -> None:
        self.until = max(self.until, now + (retry_after or 0.5))
