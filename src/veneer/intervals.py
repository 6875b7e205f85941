"""95 % intervals of what verdicts and votes say: items drawn with replacement, the percentile
interval.

The method of the findings: `RESAMPLES` draws seeded from the items, the interval widened to the
value itself, a Jeffreys posterior where every item is 0 or every item is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np

from veneer.records import Estimate, content_id

RESAMPLES = 2000
LEVEL = 0.95
_BLOCK = 250  # resamples held as floats at once

Array = np.ndarray


def seed_of(items: Sequence[str], seed: int = 0) -> list[int]:
    """A seed from the items' names, whatever their order, and a number."""
    return [seed, int(content_id(sorted(items)), 16)]


def drawn(size: int, seed: Sequence[int], resamples: int = RESAMPLES) -> Array:
    """How often each item is drawn in each resample: (resamples, size), uint8.

    Rows sum to `size`. A count above 255 is beyond any practical chance.
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, size), dtype=np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, max(size, 1), size), minlength=size)
    return counts


def sums_of(counts: Array, columns: Array) -> Array:
    """counts @ columns, a block at a time. Shapes: (resamples, n), (n, …); (resamples, …)."""
    blocks = [
        counts[start : start + _BLOCK].astype(np.float64) @ columns
        for start in range(0, len(counts), _BLOCK)
    ]
    return np.concatenate(blocks)


def estimate_of(value: float, draws: Array, n: int, unscored: int = 0, note: str = "") -> Estimate:
    """A value with the percentile interval of its draws, of which undefined ones (NaN) are left.

    Shapes: `draws` (resamples,).
    """
    known = draws[np.isfinite(draws)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (value, value)
    return Estimate(
        value=_tidy(value),
        low=_tidy(min(float(low), value)),
        high=_tidy(max(float(high), value)),
        n=n,
        unscored=unscored,
        note=note,
    )


def mean_of(values: Array, counts: Array, unscored: int, seed: Sequence[int]) -> Estimate:
    """The mean of values in 0..1 with its interval. Shapes: values (n,), counts (resamples, n)."""
    n = len(values)
    if not n:
        return undefined("no item was scored", unscored=unscored)
    value = float(values.mean())
    if value in (0.0, 1.0):
        misses = np.random.default_rng([*seed, n]).beta(0.5, n + 0.5, len(counts))
        draws = misses if value == 0 else 1 - misses
    else:
        draws = sums_of(counts, values) / n
    return estimate_of(value, draws, n, unscored)


def wilson(hits: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of n > 0 independent items; holds its coverage at 0 and n.

    E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate = hits / n
    spread = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    middle, scale = rate + z * z / (2 * n), 1 + z * z / n
    low = 0.0 if hits == 0 else max(0.0, (middle - spread) / scale)
    return low, 1.0 if hits == n else min(1.0, (middle + spread) / scale)


def undefined(note: str, n: int = 0, unscored: int = 0) -> Estimate:
    """A number that does not exist, and why."""
    return Estimate(value=None, low=None, high=None, n=n, unscored=unscored, note=note)


def _tidy(value: float) -> float:
    """Twelve significant digits: what the order of a sum changes in the last bits is not shown."""
    return float(f"{value:.12g}") if abs(value) > 1e-14 else 0.0
