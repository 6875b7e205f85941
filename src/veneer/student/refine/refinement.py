"""How a student is refined, and the rows that refining leaves on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from veneer.errors import InputError
from veneer.records import Record

RATES = {"on-policy": 1e-5, "preference": 1e-6}
"""Peak learning rates where none is given, for models of a billion parameters and more; the
embedded study's models take ten to a hundred times as much (`bench/refining.py`)."""


class Refinement(Record):
    """What is done with a student after imitation. Units: tokens, prompts, pairs; rates of 1.

    by: "on-policy" (Agarwal et al. 2024, arXiv 2306.13649): the student answers each prompt
        once, and at every token of its answers its distribution is drawn to that of the
        teacher, which must be open and share the student's vocabulary. "preference": the
        student answers each prompt `samples` times, the teacher says which answer is better,
        and the student learns to prefer it, itself being the frozen reference (DPO, Rafailov
        et al. 2023, arXiv 2305.18290).
    prompts: how many are drawn from those given.
    temperature: of the student's answers; distillation softens both distributions by it too.
    learning_rate: the peak, reached over `warmup_share` of the steps and kept; None takes the
        default of the method (`RATES`).
    batch: answers an optimiser step, or pairs of answers. epochs: how often each prompt or pair
        is trained on; distillation takes new answers every time.
    divergence: what distillation lowers: 0 the forward KL divergence, 1 the reverse one, 0.5 the
        Jensen–Shannon divergence, and what lies between (arXiv 2306.13649, §3).
    criterion: how the teacher chooses. "likelihood": by its mean log-probability of the answer's
        tokens given the prompt, each in the teacher's own words and template; the likeliest
        answer of a prompt against the least likely. "judge": it reads two answers and says which
        is better, in both orders; where the orders disagree there is no pair. "auto":
        likelihood for a model at hand (small teachers are no judges), judge for an endpoint.
    beta: of DPO; the larger, the closer the student stays to itself.
    verdict_tokens: how much a judge may say; only its last word counts.
    """

    by: Literal["on-policy", "preference"]
    prompts: int = Field(ge=1)
    samples: int = Field(4, ge=2)
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(512, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    warmup_share: float = Field(0.1, ge=0, lt=1)
    batch: int = Field(32, ge=1)
    epochs: int = Field(1, ge=1)
    divergence: float = Field(1.0, ge=0, le=1)
    criterion: Literal["auto", "likelihood", "judge"] = "auto"
    beta: float = Field(0.1, gt=0)
    verdict_tokens: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _options_belong_to_the_method(self) -> Refinement:
        others = {
            "on-policy": {"samples", "criterion", "beta", "verdict_tokens"},
            "preference": {"divergence"},
        }[self.by]
        wrong = sorted(others & self.model_fields_set)
        if wrong and any(getattr(self, n) != type(self).model_fields[n].default for n in wrong):
            raise ValueError(f"{', '.join(wrong)}: no option of {self.by}")
        return self

    @property
    def rate(self) -> float:
        """The peak learning rate."""
        return self.learning_rate or RATES[self.by]


def read_refinement(fields: Refinement | Mapping[str, Any]) -> Refinement:
    """A Refinement from a study's fields; a wrong one is named."""
    try:
        return Refinement.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in ("refine", *first["loc"]))
        raise InputError(
            f"{name}: {first['msg']}.", f"Known fields: {', '.join(Refinement.model_fields)}."
        ) from error


class Pair(Record):
    """Two answers of the student to a prompt, of which the teacher prefers the first.

    `scores`: (chosen, rejected) mean log-probabilities under the teacher, nats a token, where it
    chose by likelihood. `verdicts`: what a judge said with the chosen answer shown first, then
    with the rejected one shown first.
    """

    prompt: str
    chosen: str
    rejected: str
    scores: tuple[float, ...] = ()
    verdicts: tuple[str, ...] = ()


class Unpaired(Record):
    """A prompt, or two answers to it, of which no preference came, with the reason.

    `answers`: what was compared; empty where nothing could be. `verdicts`: what a judge said
    with `answers` in their order, then in the other.
    """

    prompt: str
    reason: str
    answers: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    verdicts: tuple[str, ...] = ()
