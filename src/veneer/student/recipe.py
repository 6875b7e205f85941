"""The training recipe: everything that decides a student but its base, its data and its seed.

The defaults are the paper's (§4.1): blocks of 2,048 tokens, 32 blocks a step, a peak rate of
2e-3 after 1,000 steps of linear warm-up from 0, one epoch, loss on the model's outputs only.
Its warm-up spans 65.5M tokens, so small amounts of data are trained at a fraction of the peak
rate and data amount is confounded with learning rate; `schedule="matched"` removes that.
"""

from __future__ import annotations

from math import floor
from typing import Literal

from pydantic import Field, field_validator

from veneer.errors import InputError
from veneer.records import Record

PAPER_WARMUP = 1000
"""Steps of warm-up in the paper, §4.1."""


class Recipe(Record):
    """How a student is trained. Units: tokens for `block`, blocks for `batch`, 1 for rates.

    schedule: "faithful" warms up over `warmup_steps` (the paper's 1,000); "matched" over
        `warmup_share` of the smallest amount's steps, a whole number of them. The rate is
        constant afterwards in both, which is why the model after the first k tokens *is* the
        student of data amount k.
    precision: "fp32", "bf16" (autocast, weights stay fp32) or "auto" (see `train`).
    freeze_embeddings: word embeddings (and output rows) stay as they were, but for the new
        tokens' rows: a gentler recipe for small corpora.
    like: words whose mean embedding a new marker starts from; words that the tokenizer does
        not know are ignored. The tokenizer's own end-of-text token always joins `<|end|>`.
    """

    block: int = Field(2048, ge=8)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    schedule: Literal["faithful", "matched"] = "faithful"
    warmup_steps: int = Field(PAPER_WARMUP, ge=0)
    warmup_share: float = Field(0.1, ge=0, le=1)
    optimiser: Literal["adamw"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    freeze_embeddings: bool = False
    like: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: {
            "<|user|>": ("Q", " Q", "question", "user"),
            "<|assistant|>": ("A", " A", ":", "answer", "assistant"),
            "<|end|>": ("\n", "\n\n"),
        }
    )

    @field_validator("betas")
    @classmethod
    def _betas_are_decays(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("betas lie in [0, 1)")
        return betas

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimiser step sees."""
        return self.block * self.batch

    def warmup(self, smallest: int) -> int:
        """Warm-up steps, where `smallest` is the number of steps of the smallest amount."""
        if self.schedule == "faithful":
            return self.warmup_steps
        return floor(self.warmup_share * smallest)


def rate_factor(step: int, warmup: int, schedule: str) -> float:
    """Share of the peak rate at a step (0 is the first).

    "faithful" starts from 0 as the paper says, so its first step moves nothing; "matched"
    climbs over `warmup` steps without a step at 0, since its runs are short.
    """
    if step >= warmup:
        return 1.0
    return step / warmup if schedule == "faithful" else (step + 1) / (warmup + 1)


class Amount(Record):
    """A data amount as asked and as trained: whole optimiser steps.

    `tokens` counts all tokens seen, `learned` those with a loss.
    """

    asked: int
    tokens: int
    learned: int
    steps: int
    folder: str


def steps_of(budget: int, recipe: Recipe, blocks: int, tail: int = 0) -> int:
    """Optimiser steps of a token budget: to the nearest whole step, at least one.

    `blocks` and `tail` (tokens that fill no block) say what the corpus holds. A budget that
    asks for more is an InputError that names what there is.
    """
    there = blocks // recipe.batch
    if there == 0:
        raise InputError(
            f"The corpus fills {blocks} blocks of {recipe.block:,} tokens; one optimiser step "
            f"takes {recipe.batch} of them ({recipe.tokens_per_step:,} tokens).",
            "Give more data, or a smaller `block` or `batch` in the recipe.",
        )
    if budget <= 0:
        raise InputError(f"A data amount of {budget} tokens trains nothing.", "Give at least 1.")
    total = blocks * recipe.block + tail
    if budget > total:
        raise InputError(
            f"{budget:,} tokens are asked for, but the corpus has {total:,} "
            f"({there} whole steps of {recipe.tokens_per_step:,}).",
            f"Ask for at most {total:,} tokens, or collect more data.",
        )
    return min(max(1, floor(budget / recipe.tokens_per_step + 0.5)), there)
