"""All data amounts of a base and a corpus as one run, which pays only for what they do not share.

The run of an amount is a sequence of steps, each a batch of the corpus and a share of the peak
rate. Two amounts share the steps up to the first in which they differ. With a constant rate a
smaller amount is the beginning of a larger one and costs nothing; with a decay (warm-up, stable,
decay: Hu et al. 2024, MiniCPM) or a second epoch it branches off where its own begins. What is
trained is therefore a tree, walked in depth: a branch goes on from a snapshot of weights,
optimiser and random numbers, so each student equals that of a run of its own, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from veneer.errors import InputError
from veneer.student.recipe import Amount, Recipe, rate_factors, steps_of


class Data(Protocol):
    """A corpus as training reads it: `len` rows of at most `block` tokens, in one order.

    The arrays of a batch, each (rows, …), are `ids` and `labels` (−100 where there is no loss),
    and `positions` where dialogues are kept apart.
    """

    @property
    def tail(self) -> int:
        """Tokens that fill no row."""

    def __len__(self) -> int: ...

    def batch(self, rows: slice) -> dict[str, np.ndarray]:
        """Arrays of some rows, by name."""

    def seen(self, rows: slice) -> int:
        """Tokens in some rows, padding apart."""

    def learned(self, rows: slice) -> int:
        """Tokens with a loss in some rows."""


@dataclass(frozen=True)
class Run:
    """What an amount's training consists of: `batches` (steps,) ints, `factors` (steps,) shares."""

    amount: Amount
    batches: np.ndarray
    factors: np.ndarray

    def __len__(self) -> int:
        return len(self.batches)

    def shared_with(self, other: Run) -> int:
        """Steps from the first on that both have."""
        length = min(len(self), len(other))
        same = (self.batches[:length] == other.batches[:length]) & (
            self.factors[:length] == other.factors[:length]
        )
        return length if same.all() else int(same.argmin())


@dataclass(frozen=True)
class Segment:
    """Steps that some amounts share and no other.

    after: the segment whose end this one goes on from; None is the base.
    first: how many steps come before it, from the base on.
    ends: amounts whose students its end is.
    """

    after: int | None
    first: int
    batches: np.ndarray
    factors: np.ndarray
    ends: tuple[Amount, ...]

    def __len__(self) -> int:
        return len(self.batches)


def runs_of(budgets: Sequence[int], recipe: Recipe, data: Data, seed: int) -> list[Run]:
    """The run of each budget (ascending, in tokens), in whole steps.

    Raises:
        InputError: a budget that the corpus cannot fill, or two that are the same steps.
    """
    whole = [steps_of(budget, recipe, len(data), data.tail) for budget in budgets]
    for at, steps in enumerate(whole[1:], 1):
        if whole[at - 1] == steps:
            raise InputError(
                f"{budgets[at - 1]:,} and {budgets[at]:,} tokens are both {steps} optimiser "
                f"steps of {recipe.tokens_per_step:,} tokens, so both would be the same student.",
                "Leave one out, or make `batch` or `block` smaller.",
            )
    smallest = whole[0] * recipe.epochs
    runs = []
    for budget, steps in zip(budgets, whole, strict=True):
        rows = slice(steps * recipe.batch)
        amount = Amount(
            asked=budget,
            tokens=data.seen(rows),
            learned=data.learned(rows),
            steps=steps * recipe.epochs,
            folder=f"tokens-{budget}",
        )
        batches = _batches(steps, recipe.epochs, seed)
        runs.append(Run(amount, batches, rate_factors(recipe, len(batches), smallest)))
    return runs


def _batches(steps: int, epochs: int, seed: int) -> np.ndarray:
    """The first epoch in the corpus's order, which is nested; later ones each in an order drawn."""
    rng = np.random.default_rng([seed, steps])
    return np.concatenate([np.arange(steps), *(rng.permutation(steps) for _ in range(epochs - 1))])


def segments_of(runs: Sequence[Run]) -> list[Segment]:
    """The tree of all runs in the order in which it is walked, each shared step once."""
    found: list[Segment] = []

    def grow(group: list[Run], at: int, after: int | None) -> None:
        longest = max(group, key=len)
        cut = min(longest.shared_with(run) for run in group)
        ends = [run for run in group if len(run) == cut]
        if cut > at:
            steps = slice(at, cut)
            done = tuple(run.amount for run in ends)
            found.append(Segment(after, at, longest.batches[steps], longest.factors[steps], done))
            after = len(found) - 1
        going: dict[tuple[int, float], list[Run]] = {}
        for run in group:
            if len(run) > cut:
                going.setdefault((int(run.batches[cut]), float(run.factors[cut])), []).append(run)
        for branch in sorted(going.values(), key=lambda runs: max(map(len, runs))):
            grow(branch, cut, after)

    grow(list(runs), 0, None)
    return found


def cost(segments: Sequence[Segment]) -> int:
    """Optimiser steps that the tree takes."""
    return sum(map(len, segments))
