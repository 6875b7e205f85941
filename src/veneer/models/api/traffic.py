"""Requests on their way: claimed, paced, sent, retried and kept, many at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

from veneer.errors import InputError, VeneerError
from veneer.models.api.budget import Budget, likely_tokens, why_stopped, worst_case
from veneer.models.api.entries import Intent, Usage
from veneer.models.api.journal import Journal
from veneer.models.api.limits import Limiter
from veneer.models.api.pacing import Pacing, backoff
from veneer.models.api.prices import Price, priced
from veneer.models.api.report import Tally
from veneer.models.api.sending import Attempt, Sender
from veneer.models.asking import Reply
from veneer.records import Message

T = TypeVar("T")
HELD_SECONDS = 0.2
"""How often a request that another process has claimed is looked at again."""
FIRST_ALL_BAD = 10
"""If so many requests end first and not one is answered, the rest is not sent."""
UNREADABLE = 3
"""Attempts until a reply that cannot be read is what is recorded."""
LIMITED = 100
"""HTTP 429s that one request takes before it counts as failed."""


@dataclass(frozen=True)
class Settings:
    """How requests are made; `key(messages, sample, logprobs)` names an answer."""

    max_tokens: int
    temperature: float | None
    top_p: float | None
    seed: int | None
    logprobs: bool
    collection: str
    budget: Budget | None
    price: Price | None
    concurrency: int
    attempts: int
    grace: float
    key: Callable[[tuple[Message, ...], int, bool], str]
    paused: Callable[[float], None]


@dataclass
class Wanted:
    """Samples of one conversation that still wait for an answer."""

    messages: tuple[Message, ...]
    samples: tuple[int, ...]
    not_before: float = 0.0
    bodies: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bodies = [{"role": m.role, "content": m.content} for m in self.messages]


class Traffic:
    """All that one `ask` sends.

    `deliver(key, reply, from_journal)` is called for each reply, once it is durable.
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        *,
        settings: Settings,
        journal: Journal,
        sender: Sender,
        limiter: Limiter,
        tally: Tally,
        deliver: Callable[[str, Reply, bool], None],
    ) -> None:
        self.settings, self.journal, self.sender = settings, journal, sender
        self.limiter, self.tally, self.deliver = limiter, tally, deliver
        self.stopped = ""
        self.error: VeneerError | None = None
        self._queue = deque(wanted)
        self._open: dict[str, Intent] = {}
        self._ended = self._failed = 0
        self._pacing = Pacing(limiter)
        self._changed = asyncio.Event()
        self._seen: dict[tuple[str, str], str] = {}
        self._ids: set[str] = set()

    async def run(self) -> None:
        """Send all; on cancelling, send no more, wait a little for what runs, keep what came.

        Raises:
            VeneerError: the endpoint answers no such request; what came before is kept.
        """
        tasks = [asyncio.create_task(self._work()) for _ in range(self.settings.concurrency)]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            self._pacing.stopping.set()
            await asyncio.wait(tasks, timeout=self.settings.grace)
            raise
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await durable(self.journal.abandon(list(self._open.values())))
        for end in ends:
            if isinstance(end, Exception):
                raise end
        if self.error is not None:
            raise self.error

    def stop(self, error: VeneerError) -> None:
        """Send no more; what runs is finished and kept."""
        self.error = self.error or error
        self._pacing.stopping.set()

    # -- one worker -------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._queue and not self._pacing.stopping.is_set():
            wanted = self._queue.popleft()
            wait = wanted.not_before - time.monotonic()
            if wait > 0:
                self._queue.append(wanted)
                await self._pacing.sleep(min(wait, HELD_SECONDS))
                continue
            try:
                intent = await self._claim(wanted)
                if intent is not None:
                    await self._send(wanted, intent)
            except VeneerError as error:
                self.stop(error)
            except BaseException:
                self._pacing.stopping.set()
                raise
            finally:
                self._changed.set()

    async def _claim(self, wanted: Wanted) -> Intent | None:
        """An intent that is durable and ours, or None when there is nothing to send now."""
        intent = self._intent(wanted.messages, wanted.samples)
        if not await self._pacing.enter():
            self._queue.appendleft(wanted)
            return None
        self._open[intent.request] = intent
        (claim,) = await durable(self.journal.claim([intent], budget=self.settings.budget))
        if claim.state in ("mine", "again"):
            if claim.state == "again":
                self._doubt(intent.worst)
            return intent
        self._pacing.leave()
        del self._open[intent.request]
        left = set(wanted.samples)
        if claim.state == "found":
            for sample, key in zip(wanted.samples, intent.keys, strict=True):
                if key in (claim.answers or {}):
                    self._hand_on(key, (claim.answers or {})[key], from_journal=True)
                    left.discard(sample)
        elif claim.state == "held":
            wanted.not_before = time.monotonic() + HELD_SECONDS
            self._queue.append(wanted)
            return None
        elif claim.state == "batched":
            raise InputError(
                f"These requests wait in the batch job {claim.batch}.",
                "Go on in batch mode until it has ended, or cancel it there.",
            )
        elif claim.state == "regroup":
            self._queue.appendleft(Wanted(wanted.messages, claim.samples))
            left -= set(claim.samples)
        elif claim.state == "over":
            await self._over_budget(wanted, intent)
            return None
        if left:
            self._queue.appendleft(Wanted(wanted.messages, tuple(sorted(left))))
        return None

    def _intent(self, messages: tuple[Message, ...], samples: tuple[int, ...]) -> Intent:
        s = self.settings
        worst = worst_case(messages, max_tokens=s.max_tokens, samples=len(samples), price=s.price)
        keys = tuple(s.key(messages, sample, s.logprobs) for sample in samples)
        return Intent(keys, samples, s.collection, worst)

    async def _over_budget(self, wanted: Wanted, intent: Intent) -> None:
        """Wait for requests that run: they may cost less than their worst. Else, stop."""
        self._queue.appendleft(wanted)
        if self._open:
            self._changed.clear()
            await self._changed.wait()
            return
        assert self.settings.budget is not None
        left = sum(len(w.samples) for w in self._queue)
        spent = self.journal.spent(self.settings.collection)
        done = self.tally.answers + self.tally.from_journal
        self.stopped = why_stopped(self.settings.budget, spent, intent.worst, done, left)
        self._pacing.stopping.set()

    # -- one request ----------------------------------------------------------------------------

    async def _send(self, wanted: Wanted, intent: Intent) -> None:
        """Send a claimed request until it has an outcome; then its intent has ended."""
        s = self.settings
        tokens = likely_tokens(
            wanted.messages, max_tokens=s.max_tokens, samples=len(wanted.samples)
        )
        tried = unreadable = limited = 0
        while True:
            first = not (tried or unreadable or limited)
            may = await self._pacing.turn(tokens)
            if first:
                self._pacing.leave()
            if not may:
                await self._release(intent)
                return
            self.tally.requests += 1
            self.tally.retries += tried + unreadable > 0
            attempt = await self._attempt(wanted, intent)
            if attempt.fate == "limited" and (limited := limited + 1) < LIMITED:
                await self._pacing.sleep(attempt.retry_after or 0.0)
                continue
            tried += attempt.fate in ("unpaid", "doubtful")
            unreadable += attempt.fate == "unreadable"
            if attempt.fate == "read":
                await self._keep(wanted, intent, attempt)
            elif attempt.fate == "filtered":
                await self._settle(intent, Reply("", "filtered", attempt.reason), Usage())
            elif unreadable >= UNREADABLE:
                cost = self._cost(attempt, intent)
                await self._settle(intent, Reply("", "malformed", attempt.reason), cost)
            elif attempt.fate in ("rejected", "limited"):
                await self._fail(intent, attempt)
            elif await self._again(wanted, intent, attempt, tried):
                await self._pacing.sleep(backoff(tried + unreadable, attempt.retry_after))
                continue
            return

    async def _attempt(self, wanted: Wanted, intent: Intent) -> Attempt:
        """One attempt, told to the limiter."""
        s, sent = self.settings, time.monotonic()
        try:
            attempt = await self.sender.attempt(
                wanted.bodies,
                name=intent.request,
                samples=len(wanted.samples),
                max_tokens=s.max_tokens,
                temperature=s.temperature,
                top_p=s.top_p,
                seed=s.seed,
                logprobs=s.logprobs,
            )
        except VeneerError:
            await self._release(intent)
            raise
        now = time.monotonic()
        self.limiter.told(now, attempt.headers)
        if attempt.fate == "limited":
            self.tally.rate_limited += 1
            self.limiter.refused(now, sent, attempt.retry_after)
            s.paused(self.limiter.pausing(now))
        else:
            self.limiter.answered(now, sent)
        return self._of_another(intent, attempt) if attempt.fate == "read" else attempt

    def _of_another(self, intent: Intent, attempt: Attempt) -> Attempt:
        """The attempt, unreadable where the reply is one that another request had.

        Endpoints that give all replies one id are believed.
        """
        read = attempt.read
        self._ids.add(read.id)
        owner = self._seen.setdefault((read.id, read.replies[0].text), intent.request)
        if owner == intent.request or len(self._ids) < 1 + len(self._seen) // 2:
            return attempt
        reason = "the reply is the one to another request"
        return replace(attempt, fate="unreadable", reason=reason)

    async def _again(self, wanted: Wanted, intent: Intent, attempt: Attempt, tried: int) -> bool:
        """Whether to try once more; charges what may have been billed, ends the intent if not."""
        fits = True
        if attempt.fate in ("doubtful", "unreadable"):
            cost = self._cost(attempt, intent)
            self._doubt(cost)
            fits = await durable(self.journal.doubt(intent, cost, budget=self.settings.budget))
        if tried >= self.settings.attempts:
            await self._fail(intent, attempt)
            return False
        if not fits:
            await self._release(intent)
            self._queue.appendleft(wanted)
        return fits

    async def _keep(self, wanted: Wanted, intent: Intent, attempt: Attempt) -> None:
        """Keep what came; what was asked for and is lacking ends the sending."""
        read, s = attempt.read, self.settings
        self.tally.answered_by[read.model] += 1
        keys, cost = intent.keys, self._cost(attempt, intent)
        if read.without_logprobs:
            plain = (s.key(wanted.messages, sample, False) for sample in wanted.samples)
            await self._settle(intent, dict(zip(plain, read.replies, strict=False)), cost)
            raise InputError(
                f"The endpoint {self.sender.endpoint.url} ignored logprobs "
                "(an answer came back without them).",
                "Ask without logprobs; what was paid for is kept and serves then.",
            )
        await self._settle(intent, dict(zip(keys, read.replies, strict=False)), cost)
        if len(read.replies) < len(keys):
            count = len(read.replies)
            raise InputError(
                f"The endpoint {self.sender.endpoint.url} ignored n={len(keys)} "
                f"({count} answer{'s' if count > 1 else ''} came back).",
                "Ask each sample in a request of its own (--no-n).",
            )

    async def _settle(
        self, intent: Intent, replies: Reply | Mapping[str, Reply], cost: Usage
    ) -> None:
        """Make replies durable, then hand them on. One reply stands for all samples."""
        if isinstance(replies, Reply):
            replies = dict.fromkeys(intent.keys, replies)
        where = self.sender.endpoint
        replies = {
            key: replace(
                reply, text=where.without_key(reply.text), reason=where.redacted(reply.reason)
            )
            for key, reply in replies.items()
        }
        await durable(self.journal.settle(intent, replies, cost))
        del self._open[intent.request]
        self.tally.paid(cost)
        self._ended += 1
        for key, reply in replies.items():
            self._hand_on(key, reply, from_journal=False)

    async def _fail(self, intent: Intent, attempt: Attempt) -> None:
        """Hand on that a request failed. It is not in the journal and is asked again next time."""
        await self._release(intent, attempt.reason, for_good=attempt.fate == "rejected")
        self._ended += 1
        self._failed += 1
        for key in intent.keys:
            self._hand_on(key, Reply("", "failed", attempt.reason), from_journal=False)
        if self._failed == self._ended == FIRST_ALL_BAD:
            raise InputError(
                f"{self.sender.endpoint.url} answered none of the first {FIRST_ALL_BAD} requests. "
                f"The last: {attempt.reason}",
                "Check the model, the base URL and the options of the requests.",
            )

    async def _release(self, intent: Intent, reason: str = "", *, for_good: bool = False) -> None:
        await durable(self.journal.release(intent, reason=reason, for_good=for_good))
        self._open.pop(intent.request, None)

    def _cost(self, attempt: Attempt, intent: Intent) -> Usage:
        """What an attempt cost: as the endpoint counts it, or at its worst where it does not."""
        if attempt.read.usage is None:
            return intent.worst
        return priced(attempt.read.usage, self.settings.price)

    def _doubt(self, cost: Usage) -> None:
        self.tally.in_doubt += 1
        self.tally.paid(cost)

    def _hand_on(self, key: str, reply: Reply, *, from_journal: bool) -> None:
        self.tally.handed_on(reply, from_journal=from_journal)
        self.deliver(key, reply, from_journal)


async def durable(done: Future[T]) -> T:
    """Wait for the journal, also while being cancelled: what it was told, it writes."""
    return await asyncio.shield(asyncio.wrap_future(done))
