"""One score and its 95 % interval, from the items behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from veneer.findings.resample import (
    Array,
    Column,
    Sampled,
    Score,
    point,
    replicate,
    score_name,
    tidy,
    undefined,
    unvarying,
    weights,
)
from veneer.intervals import wilson
from veneer.records import Aggregate, Estimate, ScoreSheet

Z = 1.959963984540054  # two-sided 95 %


def estimate(score: Score) -> Estimate:
    """The score with its 95 % percentile bootstrap interval over items.

    Where every item has the same 0/1 value a bootstrap is blind, so the interval is
    Wilson's (E. B. Wilson, 1927); where nothing was scored, or a correlation has no
    variance, the value is None and the note says why. An `Aggregate` has no items: its
    interval is value ± 1.96 standard errors.
    """
    return estimates([score])[0]


def estimates(scores: Sequence[Score]) -> list[Estimate]:
    """`estimate` of each, in order; sheets over the same items share one set of draws."""
    results: dict[int, Estimate] = {}
    groups: dict[tuple[str, ...], list[tuple[int, ScoreSheet]]] = defaultdict(list)
    for at, score in enumerate(scores):
        if isinstance(score, Aggregate):
            results[at] = _from_aggregate(score)
        else:
            groups[score.items].append((at, score))
    for items, members in groups.items():
        ordered = tuple(sorted(items))
        where = positions(items, {item: k for k, item in enumerate(ordered)})
        columns = [laid_out(sheet, where, len(items)) for _, sheet in members]
        masks = [column.scored for column in columns]
        draws = replicate(weights(ordered), columns, masks) if items else [np.empty(0)] * len(masks)
        for (at, _), column, mask, drawn in zip(members, columns, masks, draws, strict=True):
            results[at] = _from_items(column, mask, drawn)
    return [results[at] for at in range(len(scores))]


def positions(items: Sequence[str], index: dict[str, int]) -> Array:
    """Where each item stands in its world: (items,) of int."""
    return np.fromiter((index[item] for item in items), dtype=np.int64, count=len(items))


def laid_out(sheet: ScoreSheet, where: Array, size: int) -> Column:
    """The sheet's values over a world of `size` items; `where` comes from `positions`."""
    values = np.full(size, np.nan)
    values[where] = np.array(sheet.values, dtype=float)  # None becomes NaN
    others = None
    if sheet.others is not None:
        others = np.full(size, np.nan)
        others[where] = np.array(sheet.others, dtype=float)
    return Column(values, others, score_name(sheet))


def _from_items(column: Column, mask: Array, draws: Array) -> Estimate:
    n = int(mask.sum())
    unscored = len(mask) - n
    value, why = point(column, mask)
    if why:
        return undefined(why, n, unscored).estimate()
    constant = unvarying(column, mask)
    if constant is not None:
        low, high = wilson(constant * n, n)
        note = f"every item scored {constant:g}: Wilson interval"
        return Estimate(
            value=constant, low=tidy(low), high=tidy(high), n=n, unscored=unscored, note=note
        )
    note = "one item: the interval knows no spread" if n == 1 else ""
    return Sampled(value, draws, n, unscored).estimate(note)


def _from_aggregate(score: Aggregate) -> Estimate:
    if score.standard_error is None:
        return Estimate(
            value=tidy(score.value),
            low=None,
            high=None,
            n=score.n,
            note="a total without items or standard error: no interval",
        )
    reach = Z * score.standard_error
    return Estimate(
        value=tidy(score.value),
        low=tidy(score.value - reach),
        high=tidy(score.value + reach),
        n=score.n,
        note="from the source's standard error, not from items",
    )


__all__ = ["estimate", "estimates", "wilson"]
