"""Which of two answers was preferred, verdict by verdict and in sum."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from veneer.records.row import Record
from veneer.records.scores import Estimate, Subject

RATERS = "human raters"
"""Who judged, where people did."""
BY_RATERS = "preference-raters"
"""The measure of what raters preferred, where a judge's verdicts are "preference"."""


class Comparison(Record):
    """One verdict on two answers to a prompt, `first` shown before `second`.

    `second_wins` is 0 (the first won) to 1 (the second won), 0.5 for a draw, None where there is
    no verdict, with the reason: it is never guessed. `scores` are two ratings, where the judge
    gives any; `lengths` those of the two answers in characters, where they are known. `text` is
    what the judge wrote, `attempt` how often it was asked before.
    """

    prompt: str
    first: str
    second: str
    second_wins: float | None
    reason: str = ""
    scores: tuple[float, float] | None = None
    lengths: tuple[int, int] | None = None
    category: str = ""
    judge: str = ""
    template: str = ""
    text: str = ""
    attempt: int = 0


class PreferenceReport(Record):
    """A model's preference over another by one judge: a line of `preferences.jsonl`.

    Counts and rates are over prompts; a prompt judged in both orders counts once, as a tie where
    they disagree. `first_position` is the share of single verdicts that went to the answer shown
    first (draws half; 0.5 where position does not matter), `orders_agree` the share of prompts
    with the same verdict in both orders. `length_effect` is the log-odds of winning for one
    standard deviation of tanh-scaled length (AlpacaEval 2's coefficient); `length_controlled` the
    win rate at equal lengths. `biases` says in words which of these leave no doubt. `agreement` is
    Krippendorff's alpha between raters, where several rated each pair.
    """

    subject: Subject
    against: str
    judge: str = ""
    template: str = ""
    orders: Literal["both", "one"] = "one"
    wins: int
    losses: int
    ties: int
    win_rate: Estimate
    standard_error: float | None
    win_or_tie_rate: Estimate
    length_controlled: Estimate | None = None
    length_effect: Estimate | None = None
    first_position: Estimate | None = None
    orders_agree: Estimate | None = None
    agreement: Estimate | None = None
    biases: tuple[str, ...] = ()
    reasons: dict[str, int] = Field(default_factory=dict)
