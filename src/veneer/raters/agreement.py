"""How far raters agree with each other, and how much of that is more than chance.

What is compared are choices between the two outputs as they were shown: 1, 2, or 0 for the same.
Every chance-corrected number here is 1 − (disagreement seen) / (disagreement expected), and is
undefined where none is expected, because every rating is the same. Intervals: items drawn with
replacement (`veneer.intervals`); where no two ratings differ at all, the share of items that
would is drawn from its Jeffreys posterior instead, since resampling would call that certain.

Sources: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; Fleiss 1971, "Measuring
nominal scale agreement among many raters"; Cohen 1960, "A coefficient of agreement for nominal
scales".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from veneer.intervals import (
    RESAMPLES,
    Array,
    drawn,
    estimate_of,
    mean_of,
    seed_of,
    sums_of,
    undefined,
)
from veneer.records import Choice, Estimate, Record

Ratings = Mapping[str, Mapping[str, Choice]]
"""Choices by item and rater."""
SCALE: tuple[Choice, ...] = (1, 0, 2)
"""The choices from output 1 to output 2: one step apart, for the alpha that knows an order."""
FEWEST = 10
"""Items that two raters must have in common to be compared with each other."""

_STEPS = np.arange(3.0)
NOMINAL = (_STEPS[:, None] != _STEPS).astype(float)
INTERVAL = (_STEPS[:, None] - _STEPS) ** 2
_NO_VARIANCE = "every rating is the same choice: no disagreement could be expected"


class RaterPair(Record):
    """Two raters on the items that both judged."""

    rater_1: str
    rater_2: str
    agree: Estimate
    kappa: Estimate


class Agreement(Record):
    """How raters agree. In each estimate `n` are items, `unscored` items that cannot tell.

    `alpha` is Krippendorff's, nominal; `alpha_interval` the same on the scale of `SCALE`, where
    1 and 2 are twice as far apart as either from 0. `fleiss_kappa` needs one number of ratings an
    item: the commonest. `cohen_kappa` is the mean over `pairs`, weighted by their common items.
    `agree` is the share of pairs of ratings on one item that are equal, and `unanimous` counts
    the items, of `agree.n`, where all are.
    """

    items: int
    ratings: int
    raters: int
    unanimous: int
    agree: Estimate
    alpha: Estimate
    alpha_interval: Estimate
    fleiss_kappa: Estimate
    cohen_kappa: Estimate
    pairs: tuple[RaterPair, ...] = ()


class Between(Record):
    """How two groups of raters, or raters and a judge, agree on the items that both rated.

    `table` counts items by the first's choice (rows) and the other's (columns) in the order of
    `SCALE`; an item on which a group is divided counts in shares. With one choice a side `kappa`
    is Cohen's; else the expectation is of each group's mean shares.
    """

    agree: Estimate
    kappa: Estimate
    table: tuple[tuple[float, ...], ...]


def agreement(ratings: Ratings, *, fewest: int = FEWEST, seed: int = 0) -> Agreement:
    """How far the raters agree, by each of the measures.

    Args:
        ratings: choices by item and rater; raters need not have rated every item.
        fewest: items in common that two raters need for a Cohen's kappa.
        seed: of the bootstrap, beside the items' names.
    """
    counts = _counts({item: list(given.values()) for item, given in ratings.items()})
    several = sorted(item for item, row in counts.items() if row.sum() > 1)
    unscored = len(ratings) - len(several)
    table = np.array([counts[item] for item in several]).reshape(-1, 3)
    key = seed_of(several, seed)
    sample = _Sample(table, np.ones(len(table)), drawn(len(several), key), key, unscored)
    pairs, cohen = _cohen(ratings, several, sample, fewest)
    return Agreement(
        items=sum(bool(given) for given in ratings.values()),
        ratings=sum(map(len, ratings.values())),
        raters=len({rater for given in ratings.values() for rater in given}),
        unanimous=int((table.max(axis=1) == table.sum(axis=1)).sum()) if len(table) else 0,
        agree=_agree(sample),
        alpha=_alpha(sample, NOMINAL),
        alpha_interval=_alpha(sample, INTERVAL),
        fleiss_kappa=_fleiss(sample),
        cohen_kappa=cohen,
        pairs=pairs,
    )


def by_patterns(patterns: Mapping[tuple[int, int, int], int]) -> tuple[Estimate, Estimate]:
    """(share of equal pairs of ratings, Krippendorff's alpha) of many items at once.

    `patterns`: how many items have so many ratings for each of three choices. There are few, so
    that this is quick however many items there are: drawing items is drawing patterns, each as
    often as it occurs.
    """
    several = sorted(row for row, items in patterns.items() if sum(row) > 1 and items)
    unscored = sum(patterns.values()) - sum(patterns[row] for row in several)
    weight = np.array([patterns[row] for row in several], dtype=float)
    key = [int(weight.sum())]
    rng = np.random.default_rng(key)
    shares = weight / max(weight.sum(), 1)
    times = rng.multinomial(key[0], shares, RESAMPLES) if several else np.zeros((RESAMPLES, 0))
    counts = np.array(several, dtype=float).reshape(-1, 3)
    sample = _Sample(counts, weight, times, key, unscored)
    return _agree(sample), _alpha(sample, NOMINAL)


def between(
    one: Mapping[str, Sequence[Choice]], other: Mapping[str, Sequence[Choice]], *, seed: int = 0
) -> Between:
    """How two groups agree on the items that both rated; those of one alone are unscored."""
    first, second = _counts(one), _counts(other)
    known = {item for item, row in first.items() if row.sum()}
    rated = {item for item, row in second.items() if row.sum()}
    items = sorted(known & rated)
    unscored = len(first.keys() | second.keys()) - len(items)
    if not items:
        nothing = undefined("no item was rated by both", unscored=unscored)
        return Between(agree=nothing, kappa=nothing, table=((0.0,) * 3,) * 3)
    shares = [
        np.outer(first[item] / first[item].sum(), second[item] / second[item].sum()).ravel()
        for item in items
    ]
    cells, key = np.array(shares), seed_of(items, seed)
    times = drawn(len(items), key)
    table = cells.sum(axis=0)
    values = _by_table(table), _by_table(sums_of(times, cells))
    return Between(
        agree=mean_of(cells[:, [0, 4, 8]].sum(axis=1), times, unscored, key),
        kappa=_beyond_chance(*values, n=len(items), unscored=unscored, key=key),
        table=tuple(tuple(float(f"{x:.12g}") for x in row) for row in table.reshape(3, 3)),
    )


def in_order(raters: Sequence[str]) -> list[str]:
    """Raters' names with their numbers in order: r2 before r10."""
    return sorted(raters, key=_natural)


def _natural(rater: str) -> list[tuple[int, str]]:
    parts = re.split("([0-9]+)", rater)
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


@dataclass(frozen=True, eq=False)
class _Sample:
    """Items of two ratings or more, or patterns of ratings that several items have.

    Shapes: `counts` (n, 3) by `SCALE`; `weight` (n,), how many items each row stands for; `times`
    (resamples, n), how often they are drawn.
    """

    counts: Array
    weight: Array
    times: Array
    key: list[int]
    unscored: int

    @property
    def items(self) -> int:
        """How many there are."""
        return int(self.weight.sum())

    def of(self, mask: Array) -> _Sample:
        left = int(self.weight[~mask].sum())
        counts, weight, times = self.counts[mask], self.weight[mask], self.times[:, mask]
        return _Sample(counts, weight, times, self.key, self.unscored + left)


def _counts(choices: Mapping[str, Sequence[Choice]]) -> dict[str, Array]:
    """How often each choice of `SCALE` was made, by item: (3,) each."""
    return {
        item: np.array([sum(choice == option for choice in given) for option in SCALE], dtype=float)
        for item, given in choices.items()
    }


def _alpha(sample: _Sample, distance: Array) -> Estimate:
    """Krippendorff's alpha = 1 − D_o / D_e for a squared distance between choices, (3, 3).

    An item of m ratings brings n_c (n_k − [c = k]) / (m − 1) coincidences of the choices c and k;
    D_o is their mean distance, D_e that of all Σ n_c (Σ n_c − 1) ordered pairs of ratings.
    """
    counts, n = sample.counts, sample.items
    if not n:
        return undefined("no item has two ratings", unscored=sample.unscored)
    apart = np.einsum("ic,ik,ck->i", counts, counts, distance) / (counts.sum(axis=1) - 1)
    columns = np.column_stack([apart, counts])

    def parts(sums: Array) -> tuple[Array, Array]:
        totals = sums[..., 1:]
        size = totals.sum(axis=-1)
        expected = np.einsum("...c,...k,ck->...", totals, totals, distance)
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., 0] / size, expected / (size * (size - 1))

    sums = sample.weight @ columns, sums_of(sample.times, columns)
    return _beyond_chance(
        parts(sums[0]), parts(sums[1]), n=n, unscored=sample.unscored, key=sample.key
    )


def _fleiss(sample: _Sample) -> Estimate:
    """Fleiss' kappa over the items with the commonest number of ratings (the larger of two)."""
    sizes = Counter(int(size) for size in sample.counts.sum(axis=1))
    if not sizes:
        return undefined("no item has two ratings", unscored=sample.unscored)
    size = max(sizes, key=lambda number: (sizes[number], number))
    part = sample.of(sample.counts.sum(axis=1) == size)
    counts, n = part.counts, len(part.counts)
    apart = 1 - ((counts**2).sum(axis=1) - size) / (size * (size - 1))
    columns = np.column_stack([apart, np.ones(n), counts])

    def parts(sums: Array) -> tuple[Array, Array]:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = sums[..., 2:] / (size * sums[..., 1:2])
            return sums[..., 0] / sums[..., 1], 1 - (shares**2).sum(axis=-1)

    sums = columns.sum(axis=0), sums_of(part.times, columns)
    found = _beyond_chance(
        parts(sums[0]), parts(sums[1]), n=n, unscored=part.unscored, key=sample.key
    )
    left = f"; {part.unscored:,} items with another number left out" if part.unscored else ""
    note = f"items with exactly {size} ratings{left}"
    return found.model_copy(update={"note": f"{found.note}; {note}" if found.note else note})


def _agree(sample: _Sample) -> Estimate:
    """The share of pairs of ratings of one item that are equal."""
    counts, n = sample.counts, sample.items
    if not n:
        return undefined("no item has two ratings", unscored=sample.unscored)
    size = counts.sum(axis=1)
    columns = np.column_stack([(counts * (counts - 1)).sum(axis=1), size * (size - 1)])
    if (columns[:, 0] / columns[:, 1]).min() == 1 or not columns[:, 0].any():
        same = np.full(n, float(columns[:, 0].any()))
        return mean_of(same, sample.times, sample.unscored, sample.key)
    sums = sums_of(sample.times, columns)
    same, pairs = sample.weight @ columns
    return estimate_of(float(same / pairs), sums[:, 0] / sums[:, 1], n, sample.unscored)


def _cohen(
    ratings: Ratings, items: Sequence[str], sample: _Sample, fewest: int
) -> tuple[tuple[RaterPair, ...], Estimate]:
    """Every two raters with `fewest` common items, and the mean of their kappas."""
    place = {choice: at for at, choice in enumerate(SCALE)}
    met: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for at, item in enumerate(items):
        given = ratings[item]
        for one, two in combinations(in_order(list(given)), 2):
            cell = 3 * place[given[one]] + place[given[two]]
            met.setdefault((one, two), []).append((at, cell))
    known = {pair: found for pair, found in met.items() if len(found) >= fewest}
    if not known:
        why = f"no two raters have {fewest} items in common"
        return (), undefined(why, unscored=len(ratings))
    names = sorted(known, key=lambda pair: [_natural(rater) for rater in pair])
    row = np.array([at for name in names for at, _ in known[name]])
    cells = np.array([9 * p + c for p, name in enumerate(names) for _, c in known[name]])
    size = 9 * len(names)
    table = np.bincount(cells, minlength=size).reshape(-1, 9).astype(float)
    tables = (np.bincount(cells, times[row], size).reshape(-1, 9) for times in sample.times)
    seen, chance, weight = map(np.array, zip(*map(_drawn_pairs, tables), strict=True))
    found = []
    for p, (one, two) in enumerate(names):
        n, key, value = len(known[one, two]), [*sample.key, p], _by_table(table[p])
        draws = seen[:, p], chance[:, p]
        kappa = _beyond_chance(value, draws, n=n, unscored=0, key=key)
        agree = _share(float(1 - value[0]), 1 - draws[0], n, key)
        found.append(RaterPair(rater_1=one, rater_2=two, agree=agree, kappa=kappa))
    common = len(np.unique(row))
    mean = _mean_kappa(table, (seen, chance, weight), common, sample.key)
    note = f"mean over {len(names):,} pairs of raters with {fewest} items or more in common"
    if mean is None:
        return tuple(found), undefined(f"{_NO_VARIANCE}; {note}", common, len(ratings) - common)
    return tuple(found), estimate_of(*mean, common, len(ratings) - common, note)


def _drawn_pairs(table: Array) -> tuple[Array, Array, Array]:
    """(disagreement seen, expected, items) of each pair of raters in one resample: (pairs,)."""
    return (*_by_table(table), table.sum(axis=1))


def _mean_kappa(
    table: Array, draws: tuple[Array, Array, Array], common: int, key: Sequence[int]
) -> tuple[float, Array] | None:
    """(mean weighted by items over the pairs that have a kappa, its draws), None without any.

    Shapes: table (pairs, 9); draws (resamples, pairs) each, see `_drawn_pairs`.
    """
    seen, expected = _by_table(table)
    there = expected > 0
    if not there.any():
        return None
    items = table.sum(axis=1)[there]
    value = float(((1 - seen[there] / expected[there]) * items).sum() / items.sum())
    if not seen.any():
        might = np.random.default_rng([*key, common]).beta(0.5, common + 0.5, len(draws[0]))
        typical = float((expected[there] * items).sum() / items.sum())
        return 1.0, np.maximum(1 - might / typical, -1.0)
    drawn_seen, chance, weight = (part[:, there] for part in draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappas = np.where(chance > 0, 1 - drawn_seen / chance, 0.0)
        weight = np.where(chance > 0, weight, 0.0)
        return value, (kappas * weight).sum(axis=1) / weight.sum(axis=1)


def _by_table(table: Array) -> tuple[Array, Array]:
    """(disagreement seen, expected of the margins) as shares, of 3 × 3 tables. Shape: (…, 9)."""
    square = table.reshape(*table.shape[:-1], 3, 3)
    size = square.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (size - np.einsum("...cc->...", square)) / size
        margins = (square.sum(axis=-1) * square.sum(axis=-2)).sum(axis=-1)
        return seen, (size**2 - margins) / size**2


def _share(value: float, draws: Array, n: int, key: Sequence[int]) -> Estimate:
    if value in (0.0, 1.0):
        return mean_of(np.full(n, value), np.zeros((len(draws), n), np.uint8), 0, key)
    return estimate_of(value, draws, n)


def _beyond_chance(
    value: tuple[Array, Array],
    draws: tuple[Array, Array],
    *,
    n: int,
    unscored: int,
    key: Sequence[int],
) -> Estimate:
    """1 − seen / expected with its interval; `value` and `draws` are (seen, expected) shares."""
    seen, expected = float(value[0]), float(value[1])
    if expected <= 0:
        return undefined(_NO_VARIANCE, n, unscored)
    if seen == 0:
        might = np.random.default_rng([*key, n]).beta(0.5, n + 0.5, len(draws[0]))
        return estimate_of(1.0, np.maximum(1 - might / expected, -1.0), n, unscored)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(draws[1] > 0, 1 - draws[0] / draws[1], np.nan)
    return estimate_of(1 - seen / expected, found, n, unscored)
