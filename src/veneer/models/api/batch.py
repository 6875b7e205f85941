"""The provider's batch API as a model: the same requests, within a day, at half the price."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from veneer.models.api.budget import why_stopped, worst_case
from veneer.models.api.client import ApiModel
from veneer.models.api.desk import Desk, Line
from veneer.models.api.entries import Intent, request_key, sent_top_p
from veneer.models.api.prices import priced
from veneer.models.asking import Ask, Progress, Reply
from veneer.records import Message


class BatchModel(ApiModel):
    """An `ApiModel` that asks through the batch API.

    Keys, journal and accounts are the same, so that what was answered in one way is not asked in
    the other. Ask the same again after a kill or Ctrl-C: batches that were handed in go on at the
    provider and are waited for. `poll`: seconds before the first look at a batch; later looks are
    further apart, up to a minute. Concurrency, limits, attempts and timeouts do not apply.
    """

    poll = 5.0

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

        A request that fails at the provider three times has a reply that says so and is asked
        again when you ask again; so has one whose batch was cancelled.

        Raises:
            InputError: the endpoint rejects the key, the model or a whole batch, or has no batch
                API. What came before is kept.
            VeneerError: it cannot be reached.
        """
        import openai

        options = {
            "temperature": temperature,
            "top_p": sent_top_p(top_p),
            "seed": seed,
            "logprobs": self._logprobs,
        }
        line = functools.partial(self._line, limit=max_new_tokens, options=options)
        keys = [line(ask.messages, (ask.sample,)).intent.keys[0] for ask in asks]
        known = self._journal.answers(sorted(set(keys)))
        missing = {k: ask for k, ask in zip(keys, asks, strict=True) if k not in known}
        desk = Desk(
            openai.OpenAI(api_key=self.endpoint.key(), base_url=self.endpoint.url),
            self.endpoint,
            self._journal,
            self._collection,
            limit=max_new_tokens,
            price=self.price,
            budget=self.budget,
            logprobs=self._logprobs,
            regroup=lambda one, samples: line(_messages(one), samples),
            progress=_shifted(progress, len(known)),
            tally=self._tally,
            poll=self.poll,
        )
        came: dict[str, Reply] = {}
        try:
            if missing:
                came = desk.ask([line(*group) for group in self._groups(missing.values())])
        finally:
            desk.client.close()
        for some, before in ((known, True), (came, False)):
            for reply in some.values():
                self._tally.handed_on(reply, from_journal=before)
        self.stopped = ""
        left = {key: ask for key, ask in missing.items() if key not in came}
        if left and self.budget:
            first = next(iter(left.values()))
            worst = worst_case(first.messages, max_tokens=max_new_tokens, samples=1, price=None)
            cost = priced(worst, self.price, batch=True)
            done = len(known) + len(came)
            self.stopped = why_stopped(self.budget, self.spent(), cost, done, len(left))
        replies = {**known, **came}
        return [replies.get(key) for key in keys]

    def _line(
        self,
        messages: tuple[Message, ...],
        samples: tuple[int, ...],
        *,
        limit: int,
        options: dict[str, Any],
    ) -> Line:
        """The request for samples of a conversation."""
        told = [{"role": m.role, "content": m.content} for m in messages]
        key = functools.partial(
            request_key,
            base_url=self.endpoint.url,
            model=self.endpoint.model,
            messages=told,
            max_tokens=limit,
            **options,
        )
        keys = tuple(key(sample=sample) for sample in samples)
        worst = worst_case(messages, max_tokens=limit, samples=len(samples), price=self.price)
        name = "max_completion_tokens" if self.endpoint.is_default else "max_tokens"
        body = {"model": self.endpoint.model, "messages": told, name: limit}
        given = {**options, "logprobs": self._logprobs or None}
        body |= {key: value for key, value in given.items() if value is not None}
        if len(samples) > 1:
            body["n"] = len(samples)
        return Line(Intent(keys, samples, self._collection, worst), body)


def _messages(line: Line) -> tuple[Message, ...]:
    return tuple(Message(**message) for message in line.body["messages"])


def _shifted(progress: Progress | None, known: int) -> Progress | None:
    """Progress that counts what was known before."""
    if progress is None:
        return None
    return lambda done, total: progress(done + known, total + known)
