"""ROUGE-L against a pool of many texts, exact and fast.

    F = 2 · P · R / (P + R),   P = LCS / words of one text,   R = LCS / words of the other

LCS is the longest common subsequence of words (C.-Y. Lin, 2004). Words are those of the
`rouge_score` package's default tokenizer without stemming: runs of [a-z0-9] of the lowered text,
so a text without any scores 0 against everything. The LCS is at most the words that both texts
have (as multisets), which is at most the shorter text; pairs that these two bounds rule out are
not computed, and no other pair is skipped.
"""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np

MARGIN = 1e-9
"""Bounds are loosened by this, so that rounding never rules a pair out."""

_WORD = re.compile(r"[a-z0-9]+")

Array = np.ndarray[Any, Any]


def words(text: str) -> list[str]:
    """The words that ROUGE compares."""
    return _WORD.findall(text.lower())


def rouge_l(one: str, other: str) -> float:
    """ROUGE-L F of two texts, 0..1."""
    texts = Texts()
    texts.add(one)
    return texts.nearest(other)[0]


class Texts:
    """A pool that grows, asked for the text most like another."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._flat = np.empty(1024, dtype=np.int32)
        self._ends = np.zeros(256, dtype=np.int64)  # text k is flat[ends[k]:ends[k + 1]]
        self.count = 0

    def add(self, text: str) -> None:
        """Append a text; its index is the number of texts before it."""
        ids = [self._ids.setdefault(word, len(self._ids)) for word in words(text)]
        start = int(self._ends[self.count])
        self._flat = _room(self._flat, start + len(ids))
        self._ends = _room(self._ends, self.count + 2)
        self._flat[start : start + len(ids)] = ids
        self.count += 1
        self._ends[self.count] = start + len(ids)

    def nearest(self, text: str) -> tuple[float, int]:
        """(highest ROUGE-L F, index of the first text that has it); (0.0, −1) where all are 0."""
        return self._search(text, -1.0)

    def like(self, text: str, threshold: float) -> tuple[float, int] | None:
        """(F, index) of the first text whose F exceeds the threshold, or None."""
        score, index = self._search(text, threshold)
        return (score, index) if index >= 0 else None

    def _search(self, text: str, threshold: float) -> tuple[float, int]:
        found = words(text)
        if not found or not self.count:
            return 0.0, -1
        unknown = len(self._ids)  # one id for all words that no text of the pool has
        ids = np.array([self._ids.get(word, unknown) for word in found], dtype=np.int32)
        have = np.bincount(ids, minlength=unknown + 1).astype(np.int32)
        have[unknown] = 0
        score, index = _scan(ids, have, self._flat, self._ends[: self.count + 1], threshold)
        return float(score), int(index)


def _room(array: Array, wanted: int) -> Array:
    if wanted <= len(array):
        return array
    grown = np.zeros(max(wanted, 2 * len(array)), dtype=array.dtype)
    grown[: len(array)] = array
    return grown


@numba.njit(cache=True)
def _scan(  # pragma: no cover - compiled
    ids: Array, have: Array, flat: Array, ends: Array, threshold: float
) -> tuple[float, int]:
    """With a threshold of at least 0 the first text above it, else the best of all.

    Shapes: ids (words,), have (vocabulary + 1,): how often each word occurs in the text asked
    about; flat, ends: the pool.
    """
    left = have.copy()
    size = len(ids)
    row = np.zeros(size + 1, dtype=np.int32)
    best, where = 0.0, -1
    for k in range(len(ends) - 1):
        begin, end = ends[k], ends[k + 1]
        length = end - begin
        if length == 0:
            continue
        floor = threshold if threshold >= 0 else best
        if 2.0 * min(size, length) / (size + length) < floor - MARGIN:
            continue
        shared = 0
        for i in range(begin, end):
            if left[flat[i]] > 0:
                left[flat[i]] -= 1
                shared += 1
        for i in range(begin, end):
            left[flat[i]] = have[flat[i]]
        if shared == 0 or 2.0 * shared / (size + length) < floor - MARGIN:
            continue
        row[:] = 0
        for i in range(begin, end):
            diagonal = 0
            for j in range(1, size + 1):
                above = row[j]
                if flat[i] == ids[j - 1]:
                    row[j] = diagonal + 1
                elif row[j - 1] > above:
                    row[j] = row[j - 1]
                diagonal = above
        lcs = row[size]
        if lcs == 0:
            continue
        precision, recall = lcs / size, lcs / length
        score = 2.0 * precision * recall / (precision + recall)
        if threshold >= 0:
            if score > threshold:
                return score, k
        elif score > best:
            best, where = score, k
    return (best, where) if threshold < 0 else (0.0, -1)
