"""What a model is asked, and what comes back, whether it runs here or behind an endpoint.

One place decides how an answer ended, so that an answer means the same in imitation data and in
measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from veneer.errors import StepFailed
from veneer.records import Message, Outcome

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Ask:
    """A conversation that waits for an answer. `sample` tells repeated questions apart."""

    messages: tuple[Message, ...]
    sample: int = 0

    @classmethod
    def of(cls, text: str, sample: int = 0) -> Ask:
        """A single question."""
        return cls((Message(role="user", content=text),), sample)


@dataclass(frozen=True)
class Reply:
    """What came back: never an exception for one item, always an outcome with its reason.

    `prompt_tokens` and `completion_tokens` are as the model counts them; `logprob` is the mean
    log-probability of an answer's tokens (nats), None where it was not asked for.
    """

    text: str
    outcome: Outcome = "answered"
    reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprob: float | None = None


class Model(Protocol):
    """Whatever can be asked."""

    name: str

    def ask(
        self,
        asks: Sequence[Ask],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Sequence[Reply | None]:
        """A reply to each, in order; None for what was not asked because a budget ended.

        `top_p`: sampling keeps the likeliest tokens that have so much mass together.
        """


def out_of_budget(model: Model, answers: int, wanted: int) -> StepFailed:
    """What to raise where a budget left questions unasked that a step cannot do without."""
    why = str(getattr(model, "stopped", "") or "the budget ended").rstrip(".")
    return StepFailed(
        f"{answers:,} of {wanted:,} answers were collected: {why}.",
        "What was paid is kept: raise the budget and run again.",
    )


def ended(text: str, finish: str, limit: int) -> Reply:
    """A reply from a model's text and its finish ("stop", "length", "content_filter").

    An answer cut off at `limit` tokens is truncated, also where no text came; one without a word
    is empty.
    """
    text = text.strip()
    if finish == "length":
        return Reply(text, "truncated", f"cut off after {limit} tokens")
    if finish == "content_filter":
        return Reply(text, "filtered", "stopped by the provider's content filter")
    if not text:
        return Reply(text, "empty", "ended without a word")
    return Reply(text)
