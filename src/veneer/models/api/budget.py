"""How much a collection may spend, and the most that a request can cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from veneer.errors import InputError
from veneer.models.api.entries import Spent, Usage
from veneer.models.api.prices import Price, priced
from veneer.records import Message

PER_MESSAGE = 8
PER_REQUEST = 16
"""Tokens that a chat format adds at most to a message and to a request."""


@dataclass(frozen=True)
class Budget:
    """A hard end to a collection's spending, over all its runs: USD, tokens or both."""

    usd: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("USD", self.usd), ("tokens", self.tokens)):
            if value is not None and not value > 0:
                raise InputError(
                    f"A budget of {value} {name} asks for nothing.", "Give more than 0."
                )

    def allows(self, tokens: int, usd: float) -> bool:
        """Whether so much in all stays within it."""
        usd_fits = self.usd is None or usd <= self.usd + 1e-12
        return usd_fits and (self.tokens is None or tokens <= self.tokens)


def worst_case(
    messages: Sequence[Message], *, max_tokens: int, samples: int, price: Price | None
) -> Usage:
    """The most that a request can cost.

    A byte-level tokenizer never makes more tokens than a text has bytes, and answers end at
    `max_tokens`; the prompt is paid once for all samples.
    """
    prompt = PER_REQUEST + sum(
        PER_MESSAGE + len(message.content.encode("utf-8", "surrogatepass")) for message in messages
    )
    return priced(Usage(prompt, max_tokens * samples), price)


def likely_tokens(messages: Sequence[Message], *, max_tokens: int, samples: int) -> float:
    """What a provider counts against a limit on tokens before it answers: four characters a
    token, and all the tokens that the answers may have."""
    return 3 + sum(4 + len(m.content) / 4 for m in messages) + max_tokens * samples


def why_stopped(budget: Budget, spent: Spent, next_costs: Usage, asked: int, left: int) -> str:
    """In words: what was spent, what is left unasked, and what the next request could cost."""
    parts = []
    if budget.usd is not None:
        parts.append(
            f"{spent.usd:.4f} of {budget.usd:g} USD are spent, the next request may cost "
            f"{next_costs.usd or 0:.4f}"
        )
    if budget.tokens is not None:
        worst = next_costs.prompt_tokens + next_costs.completion_tokens
        parts.append(
            f"{spent.tokens:,} of {budget.tokens:,} tokens are spent, the next request may take "
            f"{worst:,}"
        )
    one = spent.in_doubt == 1
    doubt = (
        f" ({spent.in_doubt} {'request' if one else 'requests'} in doubt, at the most it can cost)"
    )
    return (
        f"The budget ends here: {' and '.join(parts)}{doubt if spent.in_doubt else ''}. "
        f"{asked:,} are answered, {left:,} are left. Raise the budget to go on."
    )
