"""What a search answers, and when two scores are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAME = 1e-9
"""BLEU points (0-100): scores that differ by no more are the same, whatever their rounding."""


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
