"""How fast an endpoint may be asked: limits that are given, told by it, or learned from its 429s.

A state machine on an injected clock: nothing here sleeps or looks at the time. Requests are paced
evenly (generic cell rate algorithm), a little below the limit, which every kind of server accepts:
token buckets, sliding and fixed windows. What a server that says 429 lets through *is* its limit:

- It says nothing for a while after that, or names a long wait: a window. What went through in the
  minute before the window opens again is what a minute takes.
- It soon lets single requests through again: a bucket, or a window of a second. What goes through
  a second while it is asked slightly too fast is its rate.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from veneer.models.api.headers import number, span
from veneer.models.api.trial import SHARE, Trial, period

LOWER = 0.01
"""Share by which the rate falls at a 429 that comes though it is known; more if it comes soon."""
SOON_SECONDS = 15.0
SLACK_SECONDS, WINDOW_SLACK_SECONDS = 0.03, 0.5
"""So much lateness of a timer is caught up by sending the next ones sooner; more where a server is
known to keep windows of a minute, which does not see it."""
LONG_SECONDS = 2.0
"""A server that takes nothing for longer than this keeps windows of a minute or so."""
MINUTE = 60.0
RAISE_SECONDS, RAISE_REQUESTS, RAISE = 60.0, 3000, 1.01
"""Without a 429 for so long and so many, a learned rate is tried a little higher."""


@dataclass
class Pace:
    """Even spacing of whatever is counted, `rate` a second; None for no limit."""

    rate: float | None = None
    next: float = 0.0
    due: bool = False
    slack: float = SLACK_SECONDS

    def wait(self, now: float) -> float:
        """Seconds until the next may go."""
        wait = 0.0 if self.rate is None else max(0.0, self.next - now)
        self.due = self.due or wait > 0
        return wait

    def take(self, now: float, amount: float = 1.0) -> None:
        """One of this size goes now; lateness is caught up only where one waited for it."""
        if self.rate is not None:
            slack = self.slack if self.due else 0.0
            self.next = max(self.next, now - slack) + amount / self.rate
        self.due = False

    def hold(self, until: float) -> None:
        """None before then."""
        self.next = max(self.next, until)


FIRST_SECONDS = 0.5
"""The first request goes alone for so long, where no limit is known: a server that wants nothing
refuses one request, not as many as may be in flight."""


class Limiter:
    """When the next request may be sent.

    Args:
        requests, tokens: limits a minute; None where they are not known.
        learned: requests a second that an earlier run found to be taken.
    """

    def __init__(
        self,
        requests: float | None = None,
        tokens: float | None = None,
        learned: float | None = None,
    ) -> None:
        self._requests = Pace(requests / MINUTE * SHARE if requests else None)
        self._tokens = Pace(tokens / MINUTE * SHARE if tokens else None)
        self._most = self._requests.rate
        self._requests.rate = self._requests.rate or learned
        self._given = requests is not None, tokens is not None
        self._sent: list[float] = []
        self._began: float | None = None
        self._heard = False
        self._pause = 0.0
        self._delay = 0.25
        self._stall: float | None = None
        self._probe: float | None = None
        self._trial: Trial | None = None
        self._lowered = self._last_refusal = -MINUTE
        self._since = 0
        self._raise_after = 1.0
        self._fell: list[float] = []
        self._raised = -MINUTE
        self._step = LOWER

    @property
    def rate(self) -> float | None:
        """Requests a second that are sent at most; None while no limit is known."""
        return self._requests.rate

    @property
    def learned(self) -> float | None:
        """The rate, where it was learned from 429s and is settled."""
        return self.rate if self._known and self._most is None else None

    # -- asking ---------------------------------------------------------------------------

    def wait(self, now: float, tokens: float = 0.0) -> float:
        """Seconds until a request of so many tokens may go. At 0 it counts as sent now."""
        self._look(now)
        wait = max(self._pause - now, self._requests.wait(now), self._tokens.wait(now))
        if self._began is not None and not self._heard and self._requests.rate is None:
            wait = max(wait, self._began + FIRST_SECONDS - now)
        if self._probe is not None:
            wait = max(wait, self._probe + self._settle - now + 1e-3)
        if wait > 0:
            return wait
        if self._stall is not None:
            self._probe = now
        self._requests.take(now)
        self._tokens.take(now, tokens)
        if self._began is None:
            self._began = now
        self._sent.append(now)
        self._since += 1
        if len(self._sent) > 1000 and self._sent[len(self._sent) // 2] < now - 3 * MINUTE:
            del self._sent[: len(self._sent) // 2]
        return 0.0

    @property
    def _settle(self) -> float:
        """Seconds after which a request that was not refused has been accepted."""
        return 2 * self._delay + 0.05

    # -- what the server does -----------------------------------------------------------------

    def answered(self, now: float, sent: float) -> None:
        """A request that was sent at `sent` was let through."""
        self._heard = True
        if self._stall is not None and self._probe is not None and sent >= self._probe:
            self._resume(self._probe)

    def told(self, now: float, headers: Mapping[str, str]) -> None:
        """Take over limits a minute from a response's `x-ratelimit-limit-…` headers."""
        for pace, given, what in (
            (self._requests, self._given[0], "requests"),
            (self._tokens, self._given[1], "tokens"),
        ):
            limit = number(headers.get(f"x-ratelimit-limit-{what}"))
            reset = span(headers.get(f"x-ratelimit-reset-{what}"))
            if given or limit is None or limit <= 0 or (reset or 0.0) > MINUTE + 1:
                continue
            told = limit / MINUTE * SHARE
            if what == "requests":
                if self._most == told:
                    continue
                self._most, self._trial, self._lowered = told, None, now
            pace.rate = told if what == "requests" or pace.rate is None else pace.rate
            pace.next = max(pace.next, now)

    def refused(self, now: float, sent: float, retry_after: float | None) -> None:
        """HTTP 429 for the request that was sent at `sent`."""
        self._heard = True
        place = bisect_left(self._sent, sent - 1e-3)
        if place < len(self._sent):
            del self._sent[place]
        self._delay = min(2.0, max(0.9 * self._delay, now - sent))
        trial = self._trial
        if trial is not None and sent >= trial.start:
            trial.refused.append(sent)
            if not trial.pressed and len(trial.refused) > 20:
                trial.end = min(trial.end, now)
        self._last_refusal = now
        self._fell.append(now)
        del self._fell[:-20]
        long = retry_after is not None and retry_after > LONG_SECONDS
        if long:
            assert retry_after is not None
            whole = retry_after == int(retry_after)
            self._windowed(now, sent, now + retry_after, 1.0 if whole else 0.05)
        elif self._stall is not None:
            if sent >= (self._probe or now):
                self._probe = None
                self._hold(now + max(1.0 if now - self._stall > 1.0 else 0.3, retry_after or 0.0))
        elif self._known:
            if sent > self._lowered:
                self._lower(now)
            if self._known:
                self._stall, self._probe = sent, None
                self._hold(now + (0.2 if retry_after is None else retry_after))
        elif trial is None:
            self._begin(now, max(1.0, self._lately(now, 1.0)))

    def pausing(self, now: float) -> float:
        """Seconds for which the server wants nothing."""
        return max(0.0, self._pause - now)

    def pause(self, now: float, seconds: float) -> None:
        """The server wants nothing for so long, as an earlier run was told."""
        self._hold(now + seconds)

    def _hold(self, until: float) -> None:
        self._pause = max(self._pause, until)
        self._requests.hold(self._pause)

    @property
    def _known(self) -> bool:
        return self._requests.rate is not None and self._trial is None

    def _lately(self, now: float, seconds: float) -> float:
        """Requests let through in the last seconds."""
        return len(self._sent) - bisect_left(self._sent, now - seconds)

    def _set(self, now: float, rate: float) -> None:
        if self._most is not None:
            rate = min(rate, self._most)
        self._requests.rate = rate
        self._requests.next = max(now, min(self._requests.next, now + 1 / rate))

    # -- windows ------------------------------------------------------------------------------

    def _windowed(self, now: float, sent: float, opens: float, rounded: float) -> None:
        """The server takes nothing until `opens`; a minute before that its window began."""
        self._stall = self._probe = None
        if abs(opens - self._pause) > 1.0 + rounded:
            if not self._known:
                self._learn_window(now, opens, rounded)
            elif sent > self._lowered:
                before = self.rate or 0.0
                if self._most is None:
                    self._learn_window(now, opens, rounded)
                if (self.rate or 0.0) > before * (1 - LOWER):
                    self._lower(now)
                else:
                    self._lowered, self._step, self._since = now, LOWER, 0
        self._trial = None
        self._hold(opens)

    def _learn_window(self, now: float, opens: float, unsure: float) -> None:
        """What went through in the minute before `opens` (by `unsure` seconds too late at most)
        is what a minute takes, unless that minute began before this limiter did.

        Then an earlier run may have used it up, and what is left says nothing of the limit: the
        rate stays as it is, and where there is none, the next minute will tell.
        """
        if self._began is None or self._began > opens - MINUTE + 1.0 + unsure:
            return
        if opens - MINUTE <= now:
            first = opens - MINUTE - unsure
            if self._began < first - 0.1:
                first += unsure / 2
            rate = (len(self._sent) - bisect_left(self._sent, first)) / MINUTE
        else:
            rate = len(self._sent) / max(1.0, opens - self._began)
        rate = max(rate, 1 / MINUTE) * SHARE
        self._requests.slack = WINDOW_SLACK_SECONDS
        if self._known and self._requests.rate is not None:
            rate = min(rate, self._requests.rate)
        self._set(now, rate)

    def _resume(self, probed: float) -> None:
        """A probe went through, so the server takes requests again since then."""
        assert self._stall is not None
        stalled, self._stall, self._probe = probed - self._stall, None, None
        if stalled > LONG_SECONDS:
            self._trial = None
            self._learn_window(probed, probed, probed - self._last_refusal + 0.05)
        elif not self._known:
            self._begin(probed, max(1.0, (self._requests.rate or 1.0)))

    # -- buckets and windows of a second --------------------------------------------------------

    def _begin(self, now: float, rate: float) -> None:
        """Start to measure, from a first guess."""
        self._trial = Trial(now, now + period(rate))
        self._set(now, rate)

    def _look(self, now: float) -> None:
        """End a measurement whose time has come; find a stall; try a little higher."""
        if self._stall is not None:
            if self._probe is not None and now > self._probe + self._settle:
                self._resume(self._probe)
            return
        if self._trial is not None and now >= self._trial.end + self._settle:
            self._judge(now, self._trial)
        elif self._known and (self._most is None or self._most > (self.rate or 0.0) * 1.0001):
            self._raise(now)

    def _judge(self, now: float, trial: Trial) -> None:
        """Look at a period that has ended: go on with another rate, or know the limit."""
        rate = self._requests.rate
        assert rate is not None
        through = bisect_left(self._sent, trial.end) - bisect_left(self._sent, trial.start)
        refused = sum(trial.start <= sent < trial.end for sent in trial.refused)
        if refused and not through:
            self._stall, self._trial, self._probe = trial.start, None, None
            self._hold(now + 0.5)
            return
        going, found = trial.next(rate, through, refused)
        self._set(now, max(going, 1 / MINUTE))
        if found:
            self._trial, self._lowered = None, now
            return
        trial.start, trial.end = now, now + period(self.rate or 1.0)
        trial.refused.clear()

    # -- a rate that is known ---------------------------------------------------------------------

    def _lower(self, now: float) -> None:
        """A 429 though the rate is known: lower it, once for all 429s of one moment."""
        assert self._requests.rate is not None
        recent = [then for then in self._fell if now - then < 5.0]
        if len(recent) >= 20 and now - self._lowered > 5.0:
            self._most = None if not self._given[0] else self._most
            self._begin(now, max(1.0, self._lately(now, 1.0)))
            return
        soon = now - self._lowered < SOON_SECONDS
        self._step = min(8 * LOWER, 2 * self._step) if soon else LOWER
        self._lowered = now
        self._since = 0
        if now - self._raised < 2 * RAISE_SECONDS * self._raise_after:
            self._raise_after = min(64.0, 4 * self._raise_after)
        self._set(now, self._requests.rate * (1 - self._step))

    def _raise(self, now: float) -> None:
        quiet = now - max(self._lowered, self._last_refusal)
        enough = self._since >= RAISE_REQUESTS * self._raise_after
        if quiet >= RAISE_SECONDS * self._raise_after and enough and self._requests.rate:
            if self._lately(now, 10.0) >= 9.0 * self._requests.rate:
                self._set(now, self._requests.rate * RAISE)
                self._raised = now
            self._since, self._lowered = 0, now
