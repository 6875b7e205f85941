"""Asking until it can be read: all questions once, then again those whose answer says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from veneer.errors import InputError
from veneer.measure.judging.on_site import as_it_can_be_asked
from veneer.models.asking import Ask, Model, Progress, Reply, out_of_budget
from veneer.records import Message

V = TypeVar("V")

FAILURES = 2
TOO_LONG = "the prompt is longer than the judge's context"


@dataclass(frozen=True)
class Attempt(Generic[V]):
    """One asking of a question. `found` is what was read; None with the reason."""

    text: str
    found: V | None
    reason: str
    number: int


def in_rounds(
    model: Model,
    conversations: Sequence[tuple[Message, ...]],
    read: Callable[[Reply], tuple[V | None, str]],
    *,
    retries: int,
    max_new_tokens: int,
    temperature: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[Attempt[V]]]:
    """Every attempt at each conversation, in order; only the last can have been read.

    A round asks for another sample of all that is still unread, up to 1 + `retries` rounds. A
    request that failed is sent once more for the same sample (no journal holds it); if it fails
    again, that is for another run. Rounds are the same however often the asking was interrupted,
    so that an endpoint's journal gives back what was paid for. A local judge without temperature
    would repeat himself and is not asked again.

    Raises:
        InputError: the judge's context has no room for a question beside the answer.
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    local = bool(getattr(model, "seeded", False))
    room = _room(model, max_new_tokens)
    conversations = as_it_can_be_asked(model, conversations)
    attempts: list[list[Attempt[V]]] = [[] for _ in conversations]
    samples, failures = [0] * len(conversations), [0] * len(conversations)
    done = 0
    for number in range(1 + retries):
        waiting = [
            i for i, tried in enumerate(attempts) if _is_open(tried) and failures[i] < FAILURES
        ]
        if not waiting or (number and local and temperature == 0):
            break
        # A local judge's draws hang on the seed, an endpoint's requests on the sample.
        options: dict[str, Any] = {"seed": seed + number} if local else {}
        replies = model.ask(
            [Ask(conversations[i], samples[i]) for i in waiting],
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            progress=_after(progress, done),
            **options,
        )
        came = sum(reply is not None for reply in replies)
        if came < len(waiting):
            raise out_of_budget(model, done + came, done + len(waiting))
        done += len(waiting)
        for i, reply in zip(waiting, replies, strict=True):
            assert reply is not None
            if room is not None and reply.prompt_tokens > room:
                found, reason = None, TOO_LONG
            else:
                found, reason = read(reply)
            text = reply.text or reply.reason
            attempts[i].append(Attempt(text, found, "" if found is not None else reason, number))
            failed = reply.outcome == "failed"
            failures[i] += failed
            samples[i] += not failed
    return attempts


def _is_open(tried: Sequence[Attempt[V]]) -> bool:
    return not tried or (tried[-1].found is None and tried[-1].reason != TOO_LONG)


def _room(model: Model, max_new_tokens: int) -> int | None:
    """Tokens that a prompt may have without losing its beginning; None where nobody knows."""
    context = getattr(model, "context", None)
    if context is None:
        return None
    room = context if getattr(model, "reads_apart", False) else context - max_new_tokens
    if room < 1:
        raise InputError(
            f"The judge {model.name} has a context of {context:,} tokens, and its answer alone may "
            f"take {max_new_tokens:,}.",
            "Give it fewer (`max_new_tokens`), or choose a judge with a longer context.",
        )
    return int(room)


def _after(progress: Progress | None, before: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(before + done, before + total)
