"""A model behind an OpenAI-compatible endpoint, asked many questions at a time and each once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from veneer.errors import InputError
from veneer.models.api.budget import Budget
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.entries import Spent, request_key, sent_top_p
from veneer.models.api.journal import Journal
from veneer.models.api.limits import Limiter
from veneer.models.api.prices import price_of, required_price
from veneer.models.api.report import ApiReport, Tally
from veneer.models.asking import Ask, Progress, Reply
from veneer.records import Message

T = TypeVar("T")
PROGRESS_SECONDS = 0.1
LONGEST_PAUSE = 3600.0
"""Seconds: a pause that an earlier run was told of and that is longer is asked about again."""


class ApiModel:
    """An endpoint as a `veneer.models.asking.Model`.

    Each answer is in the journal before it is returned, and is never paid for again: not in
    another run or study, not after a kill, not by another process at the same time.

    Args:
        endpoint: where, which model, and the name of the key's variable.
        journal: its path, or one that is open (and stays so); None for the user's.
        collection: what spending is added up under, over all runs.
        budget: a hard end to the collection's spending.
        prices: a price table that goes before ours.
        concurrency: requests in flight at most.
        requests_per_minute, tokens_per_minute: limits where they are known; else they are learned.
        samples_per_request: answers to one prompt that are asked in one request (`n`); None for
            all of them, 1 for endpoints that ignore `n`.
        logprobs: also ask for log-probabilities; a reply's is the mean over its tokens.
        attempts: attempts at a request that meets faults of the server or the network.
        timeout: seconds without a byte until a request counts as lost. Long: a request that is
            given up may be billed all the same.
        grace: seconds that running requests have to finish when the process is asked to end.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        journal: Journal | Path | None = None,
        collection: str = "",
        budget: Budget | None = None,
        prices: Path | None = None,
        concurrency: int = 64,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        samples_per_request: int | None = None,
        logprobs: bool = False,
        attempts: int = 6,
        timeout: float = 600.0,
        grace: float = 5.0,
    ) -> None:
        if concurrency < 1 or (samples_per_request or 1) < 1:
            raise InputError("Nothing can be asked 0 at a time.", "Give 1 or more.")
        endpoint.key()
        self.endpoint = endpoint
        self.name = endpoint.model
        self.budget = budget
        self.price = price_of(endpoint.model, prices)
        if budget is not None and budget.usd is not None:
            self.price = required_price(endpoint.model, prices)
        self._own_journal = not isinstance(journal, Journal)
        self._journal = journal if isinstance(journal, Journal) else Journal(journal)
        self._collection = collection or endpoint.model
        self._concurrency, self._attempts = concurrency, attempts
        self._samples_per_request, self._logprobs = samples_per_request, logprobs
        self._timeout, self._grace = timeout, grace
        self._limit_note = f"rate {endpoint.url} {endpoint.model} {self._collection}"
        learned = self._journal.noted(self._limit_note)
        self._learned = float(learned) if learned else None
        self._limiter = Limiter(requests_per_minute, tokens_per_minute, self._learned)
        self._pause_note = f"pause {endpoint.url} {endpoint.model}"
        self._paused_until = float(self._journal.noted(self._pause_note) or 0.0)
        if 0.0 < (left := self._paused_until - time.time()) < LONGEST_PAUSE:
            self._limiter.pause(time.monotonic(), left)
        self._tally = Tally()
        self._began: float | None = None
        self.stopped = ""
        """Why the last `ask` left something unasked, in words; empty where it did not."""

    def __enter__(self) -> ApiModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal, where it was opened here."""
        if self._own_journal:
            self._journal.close()

    def ask(
        self,
        asks: Sequence[Ask],
        *,
        max_new_tokens: int,
        temperature: float | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> list[Reply | None]:
        """A reply to each, in order; None for what a budget left unasked (`stopped` says why).

        `temperature` and `seed` are sent only where they are given, `top_p` only below 1. Two
        asks for the same sample of the same conversation are one request.

        Raises:
            InputError: the endpoint takes no such request (key, model, credit, an option that it
                ignores), or the journal cannot be used. What came before is kept.
        """
        from veneer.models.api.traffic import Settings, Traffic, Wanted

        nucleus = sent_top_p(top_p)

        def key(messages: tuple[Message, ...], sample: int, logprobs: bool) -> str:
            return request_key(
                base_url=self.endpoint.url,
                model=self.endpoint.model,
                messages=[{"role": m.role, "content": m.content} for m in messages],
                temperature=temperature,
                top_p=nucleus,
                max_tokens=max_new_tokens,
                seed=seed,
                logprobs=logprobs,
                sample=sample,
            )

        keys = [key(ask.messages, ask.sample, self._logprobs) for ask in asks]
        replies = self._journal.answers(sorted(set(keys)))
        for reply in replies.values():
            self._tally.handed_on(reply, from_journal=True)
        missing = {k: ask for k, ask in zip(keys, asks, strict=True) if k not in replies}
        wanted = [Wanted(*group) for group in self._groups(missing.values())]
        report = _throttled(progress, len(set(keys)))
        done = len(replies)
        report(done)

        def deliver(name: str, reply: Reply, from_journal: bool) -> None:
            nonlocal done
            done += name in missing and name not in replies
            replies[name] = reply
            report(done)
            self._remember_limit()

        settings = Settings(
            max_tokens=max_new_tokens,
            temperature=temperature,
            top_p=nucleus,
            seed=seed,
            logprobs=self._logprobs,
            collection=self._collection,
            budget=self.budget,
            price=self.price,
            concurrency=min(self._concurrency, max(1, len(wanted))),
            attempts=self._attempts,
            grace=self._grace,
            key=key,
            paused=self._remember_pause,
        )
        self.stopped = ""
        if wanted:
            self._began = self._began or time.monotonic()
            _synchronously(lambda: self._traffic(Traffic, wanted, settings, deliver))
        return [replies.get(name) for name in keys]

    async def _traffic(self, kind: Any, wanted: Any, settings: Any, deliver: Any) -> None:
        from veneer.models.api.sending import Sender

        sender = Sender(self.endpoint, timeout=self._timeout)
        traffic = kind(
            wanted,
            settings=settings,
            journal=self._journal,
            sender=sender,
            limiter=self._limiter,
            tally=self._tally,
            deliver=deliver,
        )
        try:
            await traffic.run()
        finally:
            self.stopped = traffic.stopped
            await sender.close()

    def _remember_pause(self, seconds: float) -> None:
        """That the endpoint wants nothing for so long, for a run that comes before it is over."""
        until = time.time() + seconds
        if seconds > 1.0 and abs(until - self._paused_until) > 1.0:
            self._paused_until = until
            self._journal.note(self._pause_note, f"{until:.1f}")

    def _remember_limit(self) -> None:
        """A limit that was learned, for this collection's next run."""
        learned, before = self._limiter.learned, self._learned
        if learned is not None and (before is None or abs(learned / before - 1) > 0.002):
            self._learned = learned
            self._journal.note(self._limit_note, f"{learned:.6g}")

    def _groups(self, asks: Any) -> Iterator[tuple[tuple[Message, ...], tuple[int, ...]]]:
        """Samples of equal conversations together, as many as one request may ask for."""
        samples: dict[tuple[Message, ...], list[int]] = {}
        for ask in asks:
            samples.setdefault(ask.messages, []).append(ask.sample)
        for messages, wanted in samples.items():
            size = self._samples_per_request or len(wanted)
            ordered = sorted(set(wanted))
            for start in range(0, len(ordered), size):
                yield messages, tuple(ordered[start : start + size])

    # -- what it took -----------------------------------------------------------------------

    def report(self) -> ApiReport:
        """What this object asked, found and spent so far."""
        return self._tally.frozen(priced=self.price is not None, stopped=self.stopped)

    def spent(self) -> Spent:
        """What the collection has cost over all its runs."""
        return self._journal.spent(self._collection)

    def note(self) -> str:
        """A few words for a progress line: USD so far, requests a second, 429s."""
        tally = self._tally
        cost = "no price known" if self.price is None else f"{tally.usd:.4f} USD"
        seconds = time.monotonic() - self._began if self._began else 0.0
        pace = f", {tally.requests / seconds:.1f} requests/s" if seconds > 1 else ""
        limited = f", {tally.rate_limited} times told to slow down" if tally.rate_limited else ""
        return f"{cost}{pace}{limited}"


def _throttled(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Tell how many are done, at most every PROGRESS_SECONDS, and always the last."""
    last = [-PROGRESS_SECONDS]

    def tell(done: int) -> None:
        now = time.monotonic()
        if progress is not None and (now - last[0] >= PROGRESS_SECONDS or done == total):
            last[0] = now
            progress(done, total)

    return tell


def _synchronously(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop runs already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _to_the_end(work)
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(_to_the_end(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _to_the_end(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine. SIGTERM cancels it as Ctrl-C does, and then does what it does else."""
    came: list[int] = []

    async def watched() -> T:
        task = asyncio.create_task(work())
        if threading.current_thread() is not threading.main_thread():
            return await task
        before = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def end() -> None:
            came.append(signal.SIGTERM)
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, end)
        try:
            return await task
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if came:
            os.kill(os.getpid(), signal.SIGTERM)
        raise KeyboardInterrupt from None
