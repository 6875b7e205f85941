"""When a rater is shown an attention check."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """One rater's attention checks. The k-th is `order[k]`, shown after `after[k]` judgements."""

    after: tuple[int, ...]
    order: tuple[int, ...]

    def due(self, judged: int) -> int | None:
        """The attention check (its position in the packet) that comes after so many judgements."""
        k = bisect_right(self.after, judged) - 1
        return self.order[k] if k >= 0 and self.after[k] == judged else None

    def among(self, judged: int, checked: int, more: int) -> int:
        """Attention checks that come with `more` pairs after `judged`, of which `checked` were."""
        end = judged - checked + more
        coming = 0
        for k in range(bisect_right(self.after, judged - 1), len(self.after)):
            if self.after[k] - checked - coming > end:
                break
            coming += 1
        return coming


def schedule(secret: bytes, rater: int, pairs: int, gold: Sequence[int]) -> Schedule:
    """The attention checks of a rater: one in each of len(gold) equal stretches of all there is.

    So any stretch of what a rater sees holds about gold / (pairs + gold) of them, and nobody
    without the secret can tell where.
    """
    draw = random.Random(f"{secret.hex()}/{rater}")
    order = list(gold)
    draw.shuffle(order)
    total, n = pairs + len(gold), len(gold)
    after = tuple(draw.randrange(k * total // n, (k + 1) * total // n) for k in range(n))
    return Schedule(after, tuple(order))
