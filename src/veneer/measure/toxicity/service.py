"""Texts scored by a service: paced, retried, each asked for once.

Threads, not coroutines: a request is a plain call. The pace is learned from the service's 429s as
for models (`veneer.models.api.limits`). A score is kept before anyone sees it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from veneer.errors import InputError, StepFailed
from veneer.measure.toxicity.kept import Kept, score_key
from veneer.measure.toxicity.scores import Progress, Score
from veneer.models.api.limits import Limiter
from veneer.models.api.pacing import backoff

ATTEMPTS = 6
"""Attempts at a request that meets faults of the service or the network."""
LIMITED = 100
"""HTTP 429s that one request takes before it counts as failed."""
FIRST_ALL_BAD = 10
"""If so many requests end first and not one is scored, the rest is not sent."""
CONCURRENCY = 8
TELL_SECONDS = 0.1


class Busy(Exception):
    """The service wants fewer requests (HTTP 429); `retry_after` in seconds, if it says so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Fault(Busy):
    """Something went wrong that may go right the next time."""


class Rejected(Exception):
    """The service will not score what it was sent. `own`: because of that text, for good."""

    def __init__(self, reason: str, own: bool = False) -> None:
        super().__init__(reason)
        self.own = own


class Service(Protocol):
    """What is asked for scores. `url` and `model` are in a score's name; `size` texts a request."""

    scorer: str
    url: str
    model: str
    attributes: tuple[str, ...]
    size: int

    def ask(self, texts: Sequence[str]) -> list[float]:
        """A toxicity in 0..1 each, by one request.

        Raises:
            Busy, Fault, Rejected: as they say.
            InputError: no request of this kind will be answered.
        """


@dataclass(frozen=True)
class ServiceScorer:
    """A service as a scorer; `kept` None is the user's own file of scores."""

    service: Service
    kept: Kept | None = None
    concurrency: int = CONCURRENCY
    requests_per_minute: float | None = None

    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> list[Score]:
        """One score a text, in order.

        Raises:
            InputError: the service answers no such request (key, address, attributes).
            StepFailed: it scores none of the first texts. What came before is kept.
        """
        if self.kept is not None:
            return _Errand(self, self.kept, texts, progress).run()
        with Kept() as kept:
            return _Errand(self, kept, texts, progress).run()


class _Errand:
    """One call of a scorer."""

    def __init__(
        self, scorer: ServiceScorer, kept: Kept, texts: Sequence[str], progress: Progress | None
    ) -> None:
        self.service, self.kept, self.progress = scorer.service, kept, progress
        self.concurrency = scorer.concurrency
        s = self.service
        self.keys = [score_key(s.scorer, s.url, s.model, s.attributes, text) for text in texts]
        self.texts = dict(zip(self.keys, texts, strict=True))
        self.scores: dict[str, Score] = {}
        self.limiter = Limiter(scorer.requests_per_minute)
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.answered = self.failed = 0
        self.told = -TELL_SECONDS

    def run(self) -> list[Score]:
        empty = [key for key, text in self.texts.items() if not text.strip()]
        self.scores = self.kept.found(self.keys) | dict.fromkeys(empty, Score(0.0))
        missing = [key for key in self.texts if key not in self.scores]
        self._tell()
        size = self.service.size
        parts = [missing[start : start + size] for start in range(0, len(missing), size)]
        pool = ThreadPoolExecutor(min(self.concurrency, max(1, len(parts))), "scores")
        try:
            work = [pool.submit(self._part, part) for part in parts]
            for done in wait(work, return_when=FIRST_EXCEPTION).done:
                done.result()
        finally:
            self.stopping.set()
            pool.shutdown(cancel_futures=True)
        if self.failed and all(score.value is None for score in self.scores.values()):
            raise self._useless(self.scores[missing[-1]].reason)
        return [self.scores[key] for key in self.keys]

    def _part(self, keys: Sequence[str]) -> None:
        """Score some texts by one request; where that is rejected, each by its own."""
        if self.stopping.is_set():
            return
        try:
            values = self._asked([self.texts[key] for key in keys])
        except Rejected as error:
            if len(keys) > 1:
                for key in keys:
                    self._part([key])
                return
            lost = {key: Score(None, str(error)) for key in keys}
            if error.own:
                self.kept.keep(lost)
            self._came(lost, failed=not error.own)
        except Busy as error:
            self._came({key: Score(None, str(error)) for key in keys}, failed=True)
        else:
            if values is not None:
                came = {key: Score(value) for key, value in zip(keys, values, strict=True)}
                self.kept.keep(came)
                self._came(came)

    def _asked(self, texts: Sequence[str]) -> list[float] | None:
        """What the service says in the end; None where asking stopped."""
        faults = limited = 0
        while self._turn():
            sent = time.monotonic()
            try:
                values = self.service.ask(texts)
            except Fault as error:
                self._let_through(sent)
                faults += 1
                if faults == ATTEMPTS:
                    raise
                self.stopping.wait(backoff(faults, error.retry_after))
            except Busy as error:
                limited += 1
                if limited == LIMITED:
                    raise
                with self.lock:
                    self.limiter.refused(time.monotonic(), sent, error.retry_after)
                self.stopping.wait(error.retry_after or 0.0)
            except Rejected:
                self._let_through(sent)
                raise
            else:
                self._let_through(sent)
                return values
        return None

    def _let_through(self, sent: float) -> None:
        with self.lock:
            self.limiter.answered(time.monotonic(), sent)

    def _turn(self) -> bool:
        """Wait until a request may be sent; False when sending stops."""
        while not self.stopping.is_set():
            with self.lock:
                left = self.limiter.wait(time.monotonic())
            if left <= 0:
                return True
            self.stopping.wait(min(left, 0.25))
        return False

    def _came(self, scores: dict[str, Score], failed: bool = False) -> None:
        with self.lock:
            self.scores.update(scores)
            self.failed += failed
            self.answered += not failed
            useless = self.failed >= FIRST_ALL_BAD and not self.answered
            self._tell()
        if useless:
            raise self._useless(next(iter(scores.values())).reason)

    def _useless(self, reason: str) -> StepFailed:
        return StepFailed(
            f"{self.service.url} scored none of the first {self.failed} requests. "
            f"The last: {reason}",
            "Check that the service runs there, and the attributes that it is asked for.",
        )

    def _tell(self) -> None:
        """Tell how many are done, at most every `TELL_SECONDS`, and always the last."""
        done, total, now = len(self.scores), len(self.texts), time.monotonic()
        if self.progress is not None and (now - self.told >= TELL_SECONDS or done == total):
            self.told = now
            self.progress(done, total)


def passing(status: int, reason: str, wait: float | None) -> Busy | None:
    """What an HTTP status says that may be otherwise the next time; None for every other."""
    if status == 429:
        return Busy(reason, wait)
    if status in (408, 409, 425) or (status >= 500 and status != 501):
        return Fault(reason, wait)
    return None


def checked_score(value: object, name: str) -> float:
    """A service's number as a score; what is none of 0..1 is a `Fault`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise Fault(f"the reply's {name} is {str(value)[:40]!r}, no number from 0 to 1")
    return float(value)


def secret(name: str, needed: bool, what: str) -> str:
    """The key in an environment variable, "" where none is set and none is needed.

    Raises:
        InputError: it is needed and not set; names the variable.
    """
    key = os.environ.get(name, "").strip()
    if needed and not key:
        raise InputError(
            f"There is no key for {what}: the variable {name} is not set.",
            f"Type: export {name}=…   (or give the base URL of a local server)",
        )
    return key
