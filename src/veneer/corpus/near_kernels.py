"""Compiled loops of `near_duplicates`: hashes of shingles, their minima, exact verification.

Imported only by code that runs them: it loads numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_27, _30, _31, _32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)


@njit(cache=True)
def _mixed(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64-bit numbers."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@njit(cache=True)
def shingle_hashes(letters, ends, width):
    """(offsets, values) of `Shingles`.

    letters: uint32, the code points of all texts; ends: int64 (texts + 1), where each begins.
    """
    texts = len(ends) - 1
    offsets = np.zeros(texts + 1, np.int64)
    values = np.empty(len(letters), np.uint64)
    filled = 0
    for text in range(texts):
        start, end = ends[text], ends[text + 1]
        if end > start:
            span = min(width, end - start)
            found = np.empty(end - start - span + 1, np.uint64)
            for at in range(len(found)):
                mixed = np.uint64(0)
                for letter in letters[start + at : start + at + span]:
                    mixed = _mixed(mixed + _STEP + np.uint64(letter))
                found[at] = mixed
            found.sort()
            for at in range(len(found)):
                if at == 0 or found[at] != found[at - 1]:
                    values[filled] = found[at]
                    filled += 1
        offsets[text + 1] = filled
    return offsets, values[:filled].copy()


def multipliers(count: int, seed: int) -> np.ndarray:
    """uint64 (count, 2): an odd factor and a summand for each hash function."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(
        0, 2**64, size=(count, 2), dtype=np.uint64
    )
    drawn[:, 0] |= np.uint64(1)
    return drawn


@njit(cache=True)
def minima(offsets, values, functions):
    """uint32 (texts, functions): the smallest of (a·x + b) / 2³² over each text's hashes x.

    Multiply-shift hashing (Dietzfelbinger et al. 1997) of hashes that are mixed already. A text
    without shingles has the largest value everywhere.
    """
    texts, count = len(offsets) - 1, len(functions)
    signs = np.full((texts, count), 0xFFFFFFFF, np.uint32)
    lowest = np.empty(count, np.uint64)
    for text in range(texts):
        start, end = offsets[text], offsets[text + 1]
        if start == end:
            continue
        lowest[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
        for value in values[start:end]:
            for i in range(count):
                hashed = functions[i, 0] * value + functions[i, 1]
                lowest[i] = min(lowest[i], hashed)
        for i in range(count):
            signs[text, i] = lowest[i] >> _32
    return signs


@njit(cache=True)
def band_keys(signs, rows):
    """uint64 (bands, texts): one number for the `rows` values of each band."""
    texts, count = signs.shape
    bands = count // rows
    keys = np.empty((bands, texts), np.uint64)
    for text in range(texts):
        for band in range(bands):
            mixed = np.uint64(band)
            for i in range(band * rows, (band + 1) * rows):
                mixed = _mixed(mixed + _STEP + np.uint64(signs[text, i]))
            keys[band, text] = mixed
    return keys


@njit(cache=True)
def first_kept(links, offsets, values, threshold):
    """int64 (texts,): the first kept text at `threshold` or above, or -1.

    links: int64 (bands, texts), the text before in each bucket; rejected texts are cut out of the
    chains as they are met, so that a thousand copies cost a thousand looks and not a million.
    """
    bands, texts = links.shape
    first = np.full(texts, -1, np.int64)
    seen = np.full(texts, -1, np.int64)
    for text in range(texts):
        if offsets[text] == offsets[text + 1]:
            continue
        best = np.int64(-1)
        for band in range(bands):
            other = links[band, text]
            while other >= 0 and first[other] >= 0:
                other = links[band, other]
            links[band, text] = other
            while other >= 0:
                if seen[other] != text:
                    seen[other] = text
                    if (best < 0 or other < best) and _similar(
                        values[offsets[text] : offsets[text + 1]],
                        values[offsets[other] : offsets[other + 1]],
                        threshold,
                    ):
                        best = other
                before = links[band, other]
                while before >= 0 and first[before] >= 0:
                    before = links[band, before]
                links[band, other] = before
                other = before
        first[text] = best
    return first


@njit(cache=True)
def _similar(a, b, threshold):
    """Whether |A ∩ B| / |A ∪ B| ≥ threshold, for ascending sets; ends as soon as that is out."""
    total = len(a) + len(b)
    possible = min(len(a), len(b))
    if possible / (total - possible) < threshold:
        return False
    i = j = common = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            common += 1
            i += 1
            j += 1
            continue
        if a[i] < b[j]:
            i += 1
        else:
            j += 1
        possible = common + min(len(a) - i, len(b) - j)
        if possible / (total - possible) < threshold:
            return False
    return True  # what is possible by now is what is common
