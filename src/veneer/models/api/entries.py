"""What the journal keeps: names of requests, intents, claims, costs and batch jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from veneer.models.asking import Reply


def request_key(
    *,
    base_url: str,
    model: str,
    messages: Sequence[Mapping[str, str]],
    temperature: float | None,
    top_p: float | None = None,
    max_tokens: int,
    seed: int | None,
    logprobs: bool,
    sample: int,
) -> str:
    """64 hex digits that name one answer wanted: SHA-256 over the canonical JSON of its request.

    None is what is not sent; a `top_p` that is not sent is not in the name either. 0 and 0.0 are
    one temperature.
    """
    wanted = {
        "base_url": base_url.rstrip("/"),
        "model": model,
        "messages": [dict(message) for message in messages],
        "temperature": None if temperature is None else float(temperature),
        "max_tokens": max_tokens,
        "seed": seed,
        "logprobs": logprobs,
        "sample": sample,
    }
    if top_p is not None:
        wanted["top_p"] = float(top_p)
    text = json.dumps(wanted, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sent_top_p(top_p: float) -> float | None:
    """What is sent of a `top_p`: nothing of 1, which cuts nothing off."""
    return None if top_p >= 1 else top_p


def shared_key(keys: Sequence[str]) -> str:
    """The name of a request for several samples, which is its idempotency key too."""
    if len(keys) == 1:
        return keys[0]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Tokens and USD of requests; `usd` is None where the model has no price."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0


@dataclass(frozen=True)
class Spent:
    """What a collection has cost: answers paid for and, apart, what may have been billed."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    in_doubt: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Intent:
    """A request about to be sent: `keys` and `samples` have one entry an answer it will bring.

    `worst` is the most that it can cost; it is charged to `collection` where the request may
    have been billed without an answer.
    """

    keys: tuple[str, ...]
    samples: tuple[int, ...]
    collection: str
    worst: Usage

    @property
    def request(self) -> str:
        """Name and idempotency key of the request."""
        return shared_key(self.keys)


@dataclass(frozen=True)
class Claim:
    """What became of an intent.

    "mine": durable, send it. "again": likewise, and a process that is gone may have sent it.
    "found": `answers` are here already, ask for the others. "held": another live process asks
    for some of it, come back. "batched": it waits in the batch job named `batch`. "regroup":
    some of it is in doubt as part of a request for `samples`: claim that one first. "over":
    with all that runs at its worst it would exceed the budget; nothing was written.
    """

    state: Literal["mine", "again", "found", "held", "batched", "regroup", "over"]
    answers: Mapping[str, Reply] | None = None
    samples: tuple[int, ...] = ()
    batch: str = ""


@dataclass(frozen=True)
class BatchJob:
    """A provider's batch job. `name` is ours and known before the provider's id is.

    `requests` maps a request's name (the line's custom_id) to the keys of its answers; `note`
    is whatever the batch mode wants to keep (JSON).
    """

    name: str
    base_url: str
    model: str
    collection: str
    requests: Mapping[str, tuple[str, ...]]
    provider_id: str = ""
    state: str = "new"
    note: Mapping[str, Any] | None = None
