"""The one source of randomness behind every interval: items, and seeds, drawn with replacement.

Each score becomes a `Sampled` number: its value and what it would have been in each of
`RESAMPLES` resamples. Scores on the same items share their draws, so any arithmetic on
`Sampled` numbers (a student minus its base, a ratio of such differences, a mean over
metrics) is a *paired* bootstrap. Draws are seeded from the names of the items alone:
the same data gives the same intervals on every machine and in any order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from veneer.records import Aggregate, Estimate, ScoreSheet

RESAMPLES = 2000
LEVEL = 0.95
_BLOCK = 250  # resamples multiplied at once: bounds memory at block × items × 8 bytes
_COLUMNS = 128

Array = np.ndarray
Score = ScoreSheet | Aggregate


@dataclass(frozen=True, eq=False)
class Sampled:
    """A number with its resampled twins. `value` is NaN where it is undefined.

    Shape: `draws` is (RESAMPLES,). `n` is the fewest items behind any part of it,
    `unscored` the most that were left out of any part, `seeds` the fewest seeds.
    """

    value: float
    draws: Array
    n: int
    unscored: int = 0
    seeds: int = 1
    notes: tuple[str, ...] = ()

    @property
    def defined(self) -> bool:
        """Whether the number exists at all."""
        return bool(np.isfinite(self.value))

    def __add__(self, other: Sampled) -> Sampled:
        return self._with(other, self.value + other.value, self.draws + other.draws)

    def __sub__(self, other: Sampled) -> Sampled:
        return self._with(other, self.value - other.value, self.draws - other.draws)

    def __truediv__(self, other: Sampled) -> Sampled:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.float64(self.value) / np.float64(other.value)
            return self._with(other, float(value), self.draws / other.draws)

    def scaled(self, factor: float) -> Sampled:
        """The number times a constant."""
        return Sampled(
            self.value * factor, self.draws * factor, self.n, self.unscored, self.seeds, self.notes
        )

    def _with(self, other: Sampled, value: float, draws: Array) -> Sampled:
        return Sampled(
            value,
            draws,
            min(self.n, other.n),
            max(self.unscored, other.unscored),
            min(self.seeds, other.seeds),
            tuple(dict.fromkeys((*self.notes, *other.notes))),
        )

    def estimate(self, note: str = "") -> Estimate:
        """The number with its 95 % percentile interval."""
        notes = "; ".join(dict.fromkeys(text for text in (note, *self.notes) if text))
        if not self.defined:
            why = notes or "undefined"
            return Estimate(
                value=None, low=None, high=None, n=self.n, unscored=self.unscored, note=why
            )
        bounds = interval(self)
        if bounds is None:
            notes = "; ".join(text for text in (notes, "no interval: no items") if text)
        return Estimate(
            value=tidy(self.value),
            low=tidy(bounds[0]) if bounds else None,
            high=tidy(bounds[1]) if bounds else None,
            n=self.n,
            unscored=self.unscored,
            note=notes,
        )


def undefined(note: str, n: int = 0, unscored: int = 0) -> Sampled:
    """A number that does not exist, and why."""
    return Sampled(float("nan"), np.full(RESAMPLES, np.nan), n, unscored, 1, (note,))


def average(numbers: Sequence[Sampled]) -> Sampled:
    """Their mean, resampled together."""
    total = numbers[0]
    for number in numbers[1:]:
        total = total + number
    return total.scaled(1 / len(numbers))


def interval(number: Sampled) -> tuple[float, float] | None:
    """The 95 % percentile interval, widened to the value itself where that lies outside.

    None where the number is undefined or nothing is known of its spread.
    """
    draws = number.draws[np.isfinite(number.draws)]
    if not len(draws) or not number.defined:
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return min(float(low), number.value), max(float(high), number.value)


NOTHING = 1e-14
"""Below this a score is the rounding error of sums of numbers up to 1."""


def tidy(value: float) -> float:
    """Twelve significant digits: what a thread count may change in the last bits does not show.

    What is left of a difference of equal numbers is 0, and lies on no side of it.
    """
    return float(f"{value:.12g}") if abs(value) > NOTHING else 0.0


def seed_of(*parts: str) -> int:
    """A seed from content: 64 bits of SHA-256 over the parts."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big")


@lru_cache(maxsize=8)
def weights(items: tuple[str, ...]) -> Array:
    """How often each item is drawn in each resample: (RESAMPLES, items), uint8, rows sum to items.

    `items` must be sorted; the draws depend on their names and on nothing else. A count
    above 255 would need more than 255 items, where it is beyond any practical chance.
    """
    rng = np.random.default_rng(seed_of("items", *items))
    size = len(items)
    counts = np.empty((RESAMPLES, size), dtype=np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, size, size), minlength=size)
    return counts


@dataclass(frozen=True, eq=False)
class Column:
    """One sheet laid over its world's items. Shapes (items,); NaN where unscored or absent."""

    values: Array
    others: Array | None
    name: str

    @property
    def scored(self) -> Array:
        """Which items count: (items,) of bool."""
        there = np.isfinite(self.values)
        return there if self.others is None else there & np.isfinite(self.others)


def replicate(counts: Array, columns: Sequence[Column], masks: Sequence[Array]) -> list[Array]:
    """What each column's metric is in each resample, over the items of its mask.

    Shapes: counts (RESAMPLES, items); each result (RESAMPLES,), NaN where a resample
    leaves the metric undefined.
    """
    results: list[Array] = []
    for start in range(0, len(columns), _COLUMNS // 6):
        part = slice(start, start + _COLUMNS // 6)
        results.extend(_replicate(counts, columns[part], masks[part]))
    return results


def _replicate(counts: Array, columns: Sequence[Column], masks: Sequence[Array]) -> list[Array]:
    terms: list[Array] = []
    for column, mask in zip(columns, masks, strict=True):
        x = np.where(mask, column.values, 0.0)
        terms += [mask.astype(float), x]
        if column.others is not None:
            # Centred first: a correlation from raw sums of squares loses digits.
            y = np.where(mask, column.others, 0.0)
            count = max(int(mask.sum()), 1)
            x = np.where(mask, x - x.sum() / count, 0.0)
            y = np.where(mask, y - y.sum() / count, 0.0)
            terms[-1] = x
            terms += [y, x * x, y * y, x * y]
    stacked = np.column_stack(terms)
    sums = np.concatenate(
        [
            counts[start : start + _BLOCK].astype(np.float64) @ stacked
            for start in range(0, len(counts), _BLOCK)
        ]
    )
    results, at = [], 0
    with np.errstate(divide="ignore", invalid="ignore"):
        for column in columns:
            size, x = sums[:, at], sums[:, at + 1]
            if column.others is None:
                results.append(x / size)
                at += 2
                continue
            y, xx, yy, xy = (sums[:, at + k] for k in (2, 3, 4, 5))
            spread = (xx - x * x / size) * (yy - y * y / size)
            flat = spread <= 1e-12 * np.maximum(xx * yy, 1e-300)
            r = (xy - x * y / size) / np.sqrt(np.where(flat, 1.0, spread))
            results.append(np.where(flat, np.nan, np.clip(r, -1, 1)))
            at += 6
    return results


def point(column: Column, mask: Array) -> tuple[float, str]:
    """The metric over the items of the mask, and why it is undefined where it is (NaN)."""
    values = column.values[mask]
    if not len(values):
        return float("nan"), "no item was scored"
    if column.others is None:
        return float(values.mean()), ""
    others = column.others[mask]
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return float("nan"), "correlation undefined: one side does not vary"
    return float(np.corrcoef(values, others)[0, 1]), ""


def unvarying(column: Column, mask: Array) -> float | None:
    """The value of every item if that is 0 or 1 throughout, where a bootstrap sees no spread."""
    values = column.values[mask]
    if column.others is not None or not len(values) or values[0] not in (0.0, 1.0):
        return None
    return float(values[0]) if bool((values == values[0]).all()) else None


def posterior_draws(value: float, n: int, name: str) -> Array:
    """Draws of a rate that was 0/n or n/n, from the Jeffreys posterior Beta(½, n + ½).

    Stands in for the bootstrap where that would claim certainty from n equal items.
    """
    rng = np.random.default_rng(seed_of("unvarying", name, str(n)))
    misses = rng.beta(0.5, n + 0.5, RESAMPLES)
    return misses if value == 0 else 1 - misses


def normal_draws(aggregate: Aggregate, name: str) -> Array:
    """Draws of a total from its standard error: a parametric bootstrap, paired with nothing.

    NaN where the source gives no standard error: the spread is unknown, not zero.
    """
    if aggregate.standard_error is None:
        return np.full(RESAMPLES, np.nan)
    rng = np.random.default_rng(seed_of("aggregate", name))
    return aggregate.value + aggregate.standard_error * rng.standard_normal(RESAMPLES)


def score_name(score: Score) -> str:
    """What seeds draws that belong to one score alone."""
    who = score.subject
    parts: Iterable[Hashable] = (
        who.role, who.model, who.base, who.corpus, who.tokens, who.seed, score.measure, score.metric
    )  # fmt: skip
    return "|".join(str(part) for part in parts)
