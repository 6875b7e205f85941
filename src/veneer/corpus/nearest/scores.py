"""What a search answers, and when two scores are the same."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

SAME = 1e-9
"""BLEU points (0-100): scores that differ by no more are the same, whatever their rounding."""
Z = 1.959963984540054
"""Two-sided 95 %."""


@dataclass(frozen=True)
class Nearest:
    """The most similar reference of each query.

    bleu: (n,) sentence BLEU, 0-100, of the query as hypothesis against that reference alone.
    index: (n,) int64, its place; of several within 1e-9 the first. -1 where there is none: an
        empty query (no token), a query with no other, no references.
    """

    bleu: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class Above:
    """Pairs above a threshold, ordered by query, then reference.

    query, reference: (pairs,) int64 places; bleu: (pairs,) sentence BLEU, 0-100.
    """

    query: np.ndarray
    reference: np.ndarray
    bleu: np.ndarray


def estimates_of(bleu: np.ndarray, threshold: float) -> dict[str, Any]:
    """Mean and share above a threshold of nearest scores (n,), with their 95 % intervals.

    The mean's is normal over queries, the share's Wilson's; each None or whole for a lone query.
    """
    n, mean = len(bleu), float(bleu.mean())
    reach = Z * float(bleu.std(ddof=1)) / sqrt(n) if n > 1 else None
    above = int((bleu > threshold + SAME).sum())
    share, z2 = above / n, Z * Z / n
    middle = (share + z2 / 2) / (1 + z2)
    spread = Z * sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2)
    return {
        "mean_bleu": mean,
        "mean_bleu_interval": None if reach is None else [mean - reach, mean + reach],
        "above": above,
        "share_above": share,
        "share_above_interval": [max(0.0, middle - spread), min(1.0, middle + spread)],
    }
