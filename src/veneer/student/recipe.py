"""The training recipe: everything that decides a student but its base, its data and its seed.

The defaults are the paper's (§4.1): blocks of 2,048 tokens, 32 blocks a step, a peak rate of
2e-3 after 1,000 steps of linear warm-up from 0, updates scaled by each weight's magnitude, one
epoch, loss on the model's outputs only. Its warm-up spans 65.5M tokens, so small amounts of data
are trained at a fraction of the peak rate and data amount is confounded with learning rate;
`schedule="matched"` removes that.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from veneer.errors import InputError
from veneer.records import Record

PAPER_WARMUP = 1000
"""Steps of warm-up in the paper, §4.1."""


class Lora(Record):
    """Low-rank adapters (Hu et al. 2021): W + alpha/rank · B·A on the linear layers.

    targets: names of modules (as peft takes them), or none for every linear layer.
    """

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()


class Distillation(Record):
    """Learning an open teacher's whole distribution (Hinton et al. 2015), beside its words.

    weight: share of the distillation term; 1 − weight is left to the words themselves.
    """

    weight: float = Field(0.5, gt=0, le=1)
    temperature: float = Field(2.0, gt=0)


class Recipe(Record):
    """How a student is trained. Units: tokens for `block`, blocks for `batch`, 1 for rates.

    preset: "paper", "koala", "vicuna" or "alpaca" (`veneer.student.presets`): starts from what
        was published; other keys beside it change that. Only the values it stands for are kept.
    packing: "chunk" cuts the stream of dialogues every `block` tokens, as the paper does;
        "best-fit" keeps dialogues whole and apart.
    schedule: "faithful" warms up over `warmup_steps` (the paper's 1,000; without them, over
        `warmup_share` of each run); "matched" over `warmup_share` of the smallest amount's
        steps, a whole number of them.
    decay: after the warm-up the rate is constant ("none"), which is why the model after the
        first k tokens *is* the student of data amount k; or it falls to 0 over the last
        `decay_share` of each amount's steps, which every amount pays for itself.
    epochs: passes over an amount; those after the first are each amount's own.
    optimiser: "adamw"; "adamw-rms", whose updates are scaled by each weight's magnitude (the
        paper's words); "easylm", the variant in the paper's code base.
    precision: "fp32", "bf16" (autocast, weights stay fp32) or "auto" (see `bases`).
    freeze_embeddings: word embeddings (and output rows) stay as they were, but for the new
        tokens' rows: a gentler recipe for small corpora.
    method: "full", "lora", or "qlora" (LoRA over a base in 4 bits).
    pull: decoupled pull of each weight toward the base's, as weight decay is toward 0.
    kl: weight of the divergence from the base's distribution beside the loss.
    distil: the teacher's distribution beside its words; the teacher must be open.
    like: words whose mean embedding a new marker starts from; words that the tokenizer does
        not know are ignored. The tokenizer's own end-of-text token always joins `<|end|>`.
    """

    preset: str | None = Field(None, exclude=True)
    block: int = Field(2048, ge=8)
    batch: int = Field(32, ge=1)
    epochs: int = Field(1, ge=1)
    packing: Literal["chunk", "best-fit"] = "chunk"
    learning_rate: float = Field(2e-3, gt=0)
    schedule: Literal["faithful", "matched"] = "faithful"
    warmup_steps: int | None = Field(PAPER_WARMUP, ge=0)
    warmup_share: float = Field(0.1, ge=0, le=1)
    decay: Literal["none", "linear", "cosine"] = "none"
    decay_share: float = Field(0.2, gt=0, le=1)
    optimiser: Literal["adamw", "adamw-rms", "easylm"] = "adamw-rms"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    freeze_embeddings: bool = False
    method: Literal["full", "lora", "qlora"] = "full"
    lora: Lora = Lora()
    pull: float = Field(0.0, ge=0)
    kl: float = Field(0.0, ge=0)
    distil: Distillation | None = None
    like: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: {
            "<|user|>": ("Q", " Q", "question", "user"),
            "<|assistant|>": ("A", " A", ":", "answer", "assistant"),
            "<|end|>": ("\n", "\n\n"),
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        return unfolded(given)

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

    def warmup(self, steps: int, smallest: int) -> int:
        """Warm-up steps of a run of `steps`, beside a smallest run of `smallest` steps."""
        if self.schedule == "matched":
            return floor(self.warmup_share * smallest)
        if self.warmup_steps is None:
            return ceil(self.warmup_share * steps)  # as transformers rounds it
        return self.warmup_steps


def unfolded(given: Any) -> Any:
    """A recipe's fields where a preset is named, alone or as the key `preset`; others as given."""
    from veneer.student.presets import preset

    if isinstance(given, str):
        return preset(given)
    if isinstance(given, dict) and "preset" in given:
        changes = {name: value for name, value in given.items() if name != "preset"}
        return {**preset(given["preset"]), **changes}
    return given


def rate_factors(recipe: Recipe, steps: int, smallest: int) -> np.ndarray:
    """Shares of the peak rate at each step of a run, (steps,) float64.

    "faithful" starts from 0 as the paper says, so its first step moves nothing; "matched"
    climbs over its warm-up without a step at 0, since its runs are short. A decay follows
    1 − x or (1 + cos πx)/2 over the last steps, x from 0 toward 1.
    """
    at = np.arange(steps, dtype=np.float64)
    warmup = recipe.warmup(steps, smallest)
    rising = at / max(warmup, 1) if recipe.schedule == "faithful" else (at + 1) / (warmup + 1)
    factors = np.where(at < warmup, rising, 1.0)
    if recipe.decay != "none":
        start = max(warmup, steps - floor(recipe.decay_share * steps + 0.5))
        x = np.clip((at - start) / max(steps - start, 1), 0.0, 1.0)
        falling = 1 - x if recipe.decay == "linear" else (1 + np.cos(np.pi * x)) / 2
        factors = np.where(at >= start, falling, factors)
    return factors


class Amount(Record):
    """A data amount as asked and as trained: whole optimiser steps.

    `tokens` counts the tokens of its data (padding apart), `learned` those with a loss;
    `steps` counts optimiser steps over all epochs.
    """

    asked: int
    tokens: int
    learned: int
    steps: int
    folder: str


def steps_of(budget: int, recipe: Recipe, blocks: int, tail: int = 0) -> int:
    """Optimiser steps over the data of a token budget: to the nearest whole, at least one.

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
