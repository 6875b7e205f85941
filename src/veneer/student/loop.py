"""The training loop: the tree of segments, step by step, from wherever a killed run stopped.

A step reads its batch in as many passes as memory asks for; the loss is the sum over the
labelled tokens of all passes divided by their number, so the split changes only rounding.
Peers' trainers have no tree, and none resumes bit for bit (`bench/README.md` has the price of
each).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from veneer.errors import StepFailed
from veneer.student.devices import World
from veneer.student.keeping import ALONE, Keeper, Place
from veneer.student.recipe import Amount, Recipe
from veneer.student.resources import Pace, used
from veneer.student.sharding import clip
from veneer.student.sweep import Data, Segment, cost

if TYPE_CHECKING:
    from veneer.student.losses import Loss

KEEP_EVERY = 300.0
"""Seconds between two states kept for a killed run."""


@dataclass
class Training:
    """What is trained, on what, and how.

    rows: blocks in one pass; divides this process's share of the recipe's batch.
    half: whether passes run in bf16 (weights stay fp32).
    world: the processes that train together, and the device of this one.
    after_step: called with the step's rate after every optimiser step.
    """

    model: Any
    optimiser: torch.optim.Optimizer
    data: Data
    recipe: Recipe
    loss: Loss
    rows: int
    half: bool = False
    world: World = ALONE
    after_step: list[Callable[[float], None]] = field(default_factory=list)

    def step(self, batch: int, rate: float) -> float:
        """One optimiser step on one batch; returns the mean loss of its labelled tokens."""
        recipe, device = self.recipe, self.world.device
        whole = slice(batch * recipe.batch, (batch + 1) * recipe.batch)
        mine = self.world.rows(whole)
        passes = [
            self.data.batch(slice(start, start + self.rows))
            for start in range(mine.start, mine.stop, self.rows)
        ]
        learned = max(1, self.data.learned(whole))
        summed = torch.zeros((), device=device)
        for arrays in passes:
            tensors = {name: self._tensor(array) for name, array in arrays.items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.half):
                loss = self.loss(self.model, tensors) / learned
            (loss * self.world.data).backward()  # sharding takes the mean over processes
            summed += loss.detach()
        clip(self.model.parameters(), recipe.clip, self.world)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        for after in self.after_step:
            after(rate)
        return self.world.totals([summed.item()])[0]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        kind = np.int64 if array.dtype.kind == "i" else array.dtype
        return torch.from_numpy(array.astype(kind)).to(self.world.device, non_blocking=True)


def train_tree(
    training: Training,
    segments: Sequence[Segment],
    keeper: Keeper,
    save: Callable[[Amount, Path], None],
    progress: Callable[..., None],
    keep_every: float | None = None,
) -> list[dict[str, int | float]]:
    """Train every segment; leaves each amount's student in `keeper.students`.

    Args:
        save: writes the student of an amount, which the model is now, into a folder.
        keep_every: seconds between two states kept for a killed run.

    Returns:
        A row for every step taken: `step` (from the base on), `loss` (nats a labelled token),
        `rate`.

    Raises:
        StepFailed: the loss is no number any more.
    """
    model, optimiser, recipe = training.model, training.optimiser, training.recipe
    model.train()
    total, kept_at = cost(segments), time.monotonic()
    every = KEEP_EVERY if keep_every is None else keep_every
    place = keeper.place() or Place(segment=0, taken=0, state=None, losses=())
    losses = list(place.losses)
    pace = Pace(total * recipe.tokens_per_step, len(losses) * recipe.tokens_per_step)
    if place.state:
        keeper.load(place.state, model, optimiser)
    elif segments[0].after is None and _needed_later(segments, 0, None):
        keeper.save(_end(None), model, optimiser)
    for number in range(place.segment, len(segments)):
        now, taken = segments[number], place.taken if number == place.segment else 0
        if number > place.segment and now.after != number - 1:
            keeper.load(_end(now.after), model, optimiser)
            kept = Place(segment=number, taken=0, state=_end(now.after), losses=tuple(losses))
            keeper.put(kept, _states(segments, number))
        for at in range(taken, len(now)):
            rate = recipe.learning_rate * float(now.factors[at])
            loss = training.step(int(now.batches[at]), rate)
            step = now.first + at + 1
            if not math.isfinite(loss):
                raise StepFailed(
                    f"Training diverged: the loss at step {step} is no number.",
                    "Give the recipe a smaller learning_rate or a longer warm-up.",
                )
            losses.append({"step": step, "loss": loss, "rate": rate})
            pace.step(recipe.tokens_per_step)
            progress(len(losses), total, pace.note(loss, used(training.world.device.type)))
            due = at + 1 < len(now) and time.monotonic() - kept_at > every
            if training.world.agreed(due):
                state = f"at-{number}-{at + 1}"
                keeper.save(state, model, optimiser)
                kept = Place(segment=number, taken=at + 1, state=state, losses=tuple(losses))
                keeper.put(kept, _states(segments, number + 1))
                kept_at = time.monotonic()
        for amount in now.ends:
            keeper.student(amount.folder, partial(save, amount))
        if _needed_later(segments, number, number):
            keeper.save(_end(number), model, optimiser)
            kept = Place(segment=number + 1, taken=0, state=_end(number), losses=tuple(losses))
            keeper.put(kept, _states(segments, number + 1))
            kept_at = time.monotonic()
    return losses


def _end(segment: int | None) -> str:
    """Name of the state at a segment's end; of the base before any."""
    return "base" if segment is None else f"end-{segment}"


def _needed_later(segments: Sequence[Segment], number: int, end: int | None) -> bool:
    """Whether a segment after the next goes on from this end."""
    return any(s.after == end for s in segments[number + (1 if end is None else 2) :])


def _states(segments: Sequence[Segment], number: int) -> set[str]:
    """States that segments from `number` on may go on from."""
    return {_end(segment.after) for segment in segments[number:]}
