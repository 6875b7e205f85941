"""What asking an endpoint took: counted while it runs, frozen when it is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from veneer.models.api.entries import Usage
from veneer.models.asking import Reply


@dataclass(frozen=True)
class ApiReport:
    """What an `ApiModel` did so far.

    `requests`: attempts sent. `answers`: replies that came from the endpoint now (any outcome);
    `from_journal`: replies that were paid for before. `retries`: attempts after a first one that
    failed; `rate_limited`: HTTP 429s. `in_doubt`: attempts that may have been billed and brought
    nothing, those of killed processes too. `usd`: None where the model has no price (`unpriced`).
    `outcomes`: replies handed on, by outcome. `answered_by`: the model names that the endpoint
    gave, with how often.
    """

    requests: int
    answers: int
    from_journal: int
    retries: int
    rate_limited: int
    in_doubt: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    unpriced: bool
    outcomes: Mapping[str, int]
    answered_by: Mapping[str, int]
    stopped: str = ""


@dataclass
class Tally:
    """The running counts behind an `ApiReport`."""

    requests: int = 0
    answers: int = 0
    from_journal: int = 0
    retries: int = 0
    rate_limited: int = 0
    in_doubt: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    answered_by: Counter[str] = field(default_factory=Counter)

    def paid(self, cost: Usage) -> None:
        """Tokens and USD of a request."""
        self.prompt_tokens += cost.prompt_tokens
        self.completion_tokens += cost.completion_tokens
        self.usd += cost.usd or 0.0

    def handed_on(self, reply: Reply, *, from_journal: bool) -> None:
        """A reply for one who asked."""
        self.outcomes[reply.outcome] += 1
        if from_journal:
            self.from_journal += 1
        else:
            self.answers += 1

    def frozen(self, *, priced: bool, stopped: str) -> ApiReport:
        """The report as of now."""
        return ApiReport(
            requests=self.requests,
            answers=self.answers,
            from_journal=self.from_journal,
            retries=self.retries,
            rate_limited=self.rate_limited,
            in_doubt=self.in_doubt,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            usd=self.usd if priced else None,
            unpriced=not priced,
            outcomes=dict(sorted(self.outcomes.items())),
            answered_by=dict(sorted(self.answered_by.items())),
            stopped=stopped,
        )
