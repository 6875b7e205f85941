"""Measuring a limit that a server tells only by refusing: how fast it lets requests through."""

from __future__ import annotations

from dataclasses import dataclass, field

SHARE = 0.985
"""Of a limit, what is used."""
REQUESTS = 100
SECONDS = 5.0, 20.0
"""A rate is measured over so many requests that went through, and at least and at most so long."""
PERIOD_SECONDS, PERIOD_REQUESTS = 2.0, 20
"""A period holds whole windows of a second, two at least, and enough requests to count."""
MANY, FEW = 0.25, 0.06
"""Shares refused: above the first the pace was far too fast to measure by, below the second it
may have been none but the change of pace."""
OVERDRIVE = 1.1
"""While a rate is measured, so much more is sent."""


def period(rate: float) -> float:
    """How long one rate is held, in seconds."""
    return max(PERIOD_SECONDS, PERIOD_REQUESTS / rate)


@dataclass
class Trial:
    """A measurement by periods, each from `start` to `end` at one rate.

    `through` requests went through in `seconds` since the server first refused some (`pressed`).
    `refused`: when those of the present period were sent. With `low` and `high` the rate is
    searched between them instead.
    """

    start: float
    end: float
    refused: list[float] = field(default_factory=list)
    pressed: bool = False
    through: int = 0
    seconds: float = 0.0
    before: float = 0.0
    clean: float = 0.0
    rose: bool = False
    fell: bool = False
    low: float = 0.0
    high: float = 0.0

    def next(self, rate: float, through: int, refused: int) -> tuple[float, bool]:
        """The rate to hold next, and whether that is the limit found.

        Args:
            rate: what the period that has ended was sent at, requests a second.
            through, refused: what became of its requests.
        """
        if self.high:
            return self._halve(rate, refused)
        many = refused > MANY * (through + refused)
        few = refused <= FEW * (through + refused)
        if few and self.before > 1.02 * rate:
            return self._between(rate, self.before)
        if many and rate < 1.2 * self.clean:
            return self._between(self.clean, rate)
        self.clean = 0.0 if refused else rate
        return self._measure(rate, through, refused, many)

    def _measure(self, rate: float, through: int, refused: int, many: bool) -> tuple[float, bool]:
        """What goes through while slightly too much is sent is the limit."""
        seconds = max(self.end - self.start, 1e-3)
        if not refused:
            if through >= 0.8 * rate * seconds:
                rate *= OVERDRIVE if self.pressed else 1.5
            self.through, self.seconds = 0, 0.0
        elif not self.pressed or many:
            self.before = rate if self.pressed else 0.0
            self.pressed, self.through, self.seconds = True, 0, 0.0
            rate = OVERDRIVE * through / seconds
        else:
            self.before = 0.0
            self.through += through
            self.seconds += seconds
            rate = OVERDRIVE * self.through / self.seconds
        enough = self.through >= REQUESTS and self.seconds >= SECONDS[0]
        if enough or self.seconds >= SECONDS[1]:
            return self.through / self.seconds * SHARE, True
        return rate, False

    def _between(self, low: float, high: float) -> tuple[float, bool]:
        """A little faster and far more is refused: search the highest rate without refusals.

        A bucket that holds one request does this. It takes only every second of those that come
        a little too soon, and all once they come a little slower.
        """
        self.low, self.high = low, high
        return (low * high) ** 0.5, False

    def _halve(self, rate: float, refused: int) -> tuple[float, bool]:
        if refused:
            self.high, self.fell = rate, True
        else:
            self.low, self.rose = rate, True
        if self.high >= 1.02 * self.low:
            return (self.low * self.high) ** 0.5, False
        if self.rose and self.fell:
            return self.low, True
        rate = self.low / OVERDRIVE if self.fell else self.high * OVERDRIVE
        self.low = self.high = self.before = self.clean = 0.0
        self.rose = self.fell = False
        return rate, False
