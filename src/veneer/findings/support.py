"""Does a student gain where its imitation data is near the question, and only there?

The paper finds that broad imitation improves a model on what the data supports (Sections 4.3
and 5). Here that is a curve: the items of a benchmark are binned by their support (highest BLEU
of any question of the corpus, 0..100), with base, student and their difference in each bin, and
the least-squares slope of (student − base) over support.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from veneer.findings.estimate import laid_out, positions
from veneer.findings.grid import Cell, Grid, base_of
from veneer.findings.metrics import Metric, primary
from veneer.findings.paired import Pairing, over_seeds
from veneer.findings.resample import Array, Sampled, undefined, weights
from veneer.records import ScoreSheet, Support, SupportCurve, SupportPoint

Supports = Mapping[tuple[str, int], Sequence[Support]]
"""Support rows by (corpus, seed). Seeds that it does not name are left out of the curves."""

EDGES = (0.0, 5.0, 10.0, 20.0, 40.0, 100.0)
"""Bounds of the bins in BLEU; 20 is where decontamination draws its line."""
FEWEST = 20
"""Items that a bin must have: fewer are joined with the next."""
QUANTILES = 4
"""Bins of about equal size, where the fixed bounds leave fewer than three."""
BLOCKS = 8
"""Parts in which resamples are summed: bounds memory."""
STEP = 10.0
"""The slope is the change for so many BLEU more."""


class Pair(NamedTuple):
    """Base and student of one seed, scored on items whose support is known.

    Shapes: items (n,) names; bleu (n,); the sheets hold these items and no others.
    """

    seed: int
    items: tuple[str, ...]
    bleu: Array
    base: ScoreSheet
    student: ScoreSheet
    unsupported: int


def support_curves(grid: Grid, support: Supports) -> tuple[SupportCurve, ...]:
    """A curve for each corpus, base and benchmark: the base's student of the most data.

    Benchmarks count by their main metric, variants such as `nq-0shot` are there too. No curve
    where the support of a benchmark's items is unknown, or where base or student was scored on
    none of them.
    """
    rows: dict[tuple[str, int, str], dict[str, float]] = {}
    for (corpus, seed), found in support.items():
        for row in found:
            rows.setdefault((corpus, seed, row.measure), {})[row.item] = row.bleu
    known = {(corpus, measure) for corpus, _, measure in rows}
    students = grid.fed_most()
    curves: dict[tuple[int, int], SupportCurve] = {}
    for at, metric in enumerate(primary(grid.metrics_of("capability"))):
        # Students of one corpus in a row: they share their bins, and so the draws of these.
        for who in sorted(range(len(students)), key=lambda k: students[k].corpus or ""):
            student = students[who]
            if (student.corpus, metric.measure) in known:
                curve = _curve(grid, student, metric, rows)
                if curve is not None:
                    curves[who, at] = curve
    return tuple(curves[place] for place in sorted(curves))


def bins(bleu: Array) -> list[tuple[float, float]]:
    """Bounds (low, high) of the bins that these supports (n,) fall into, at least `FEWEST` each.

    The bounds of `EDGES` where these leave three bins or more, else quantiles rounded to a tenth,
    if they leave more. All bins together reach from 0 to 100; one bin where there are too few.
    """
    fixed = _joined(bleu, EDGES)
    if len(fixed) > 2:
        return fixed
    cuts = np.round(np.quantile(bleu, np.arange(1, QUANTILES) / QUANTILES), 1)
    edges = sorted({0.0, 100.0, *cuts.tolist()})
    spread = _joined(bleu, edges)
    return spread if len(spread) > len(fixed) else fixed


def within(bleu: Array, low: float, high: float) -> Array:
    """Which items lie in a bin: low <= BLEU < high, and 100 itself in the last."""
    return (bleu >= low) & ((bleu < high) | (high >= 100))


def _joined(bleu: Array, edges: Sequence[float]) -> list[tuple[float, float]]:
    """The bins between the edges, from below; one with too few items is joined with the next."""
    made: list[tuple[float, float]] = []
    low = edges[0]
    for high in edges[1:]:
        if within(bleu, low, high).sum() >= FEWEST:
            made.append((low, high))
            low = high
    if not made:
        return [(edges[0], edges[-1])]
    made[-1] = (made[-1][0], edges[-1])  # what is left above is too little for a bin
    return made


def _curve(
    grid: Grid,
    student: Cell,
    metric: Metric,
    rows: Mapping[tuple[str, int, str], Mapping[str, float]],
) -> SupportCurve | None:
    seeds = sorted(s for corpus, s, m in rows if (corpus, m) == (student.corpus, metric.measure))
    found = [
        _pair(grid, student, metric, seed, rows[student.corpus or "", seed, metric.measure])
        for seed in seeds
    ]
    pairs = [pair for pair in found if pair is not None]
    if not pairs:
        return None
    distinct: dict[str, float] = {}  # an item that several seeds share counts once
    for pair in pairs:
        distinct = {**dict(zip(pair.items, pair.bleu.tolist(), strict=True)), **distinct}
    points = []
    for low, high in bins(np.array(list(distinct.values()))):
        base, taught = _in_bin(pairs, low, high)
        points.append(
            SupportPoint(
                low=low,
                high=high,
                base=base.estimate(),
                student=taught.estimate(),
                gain=(taught - base).estimate(),
            )
        )
    return SupportCurve(
        base=student.base,
        corpus=student.corpus,
        tokens=student.tokens,
        measure=metric.measure,
        metric=metric.metric,
        points=tuple(points),
        slope=_slope(pairs).estimate(),
    )


def _pair(
    grid: Grid, student: Cell, metric: Metric, seed: int, bleu: Mapping[str, float]
) -> Pair | None:
    """The scores of one seed (a base with a single run serves every seed), or None."""
    both = []
    for cell in (base_of(student), student):
        runs = {s.subject.seed: s for s in grid.scores(cell, metric)}
        sheet = runs.get(seed) or (next(iter(runs.values())) if len(runs) == 1 else None)
        if not isinstance(sheet, ScoreSheet) or sheet.kind != "mean":
            return None
        both.append(sheet)
    there = set(both[0].items) & set(both[1].items)
    items = tuple(sorted(there & bleu.keys()))
    if not items:
        return None
    base, taught = (_only(sheet, items) for sheet in both)
    values = np.array([bleu[item] for item in items])
    return Pair(seed, items, values, base, taught, len(there) - len(items))


def _only(sheet: ScoreSheet, items: Sequence[str]) -> ScoreSheet:
    """The sheet over some of its items, in this order."""
    values = dict(zip(sheet.items, sheet.values, strict=True))
    return ScoreSheet(
        subject=sheet.subject,
        measure=sheet.measure,
        metric=sheet.metric,
        items=tuple(items),
        values=tuple(values[item] for item in items),
    )


def _in_bin(pairs: Sequence[Pair], low: float, high: float) -> tuple[Sampled, Sampled]:
    """Base and student on the items of a bin, paired as everywhere else."""
    groups: tuple[list[ScoreSheet], list[ScoreSheet]] = ([], [])
    for pair in pairs:
        inside = within(pair.bleu, low, high)
        items = [item for item, there in zip(pair.items, inside, strict=True) if there]
        if items:
            for group, sheet in zip(groups, (pair.base, pair.student), strict=True):
                who = sheet.subject.model_copy(update={"seed": pair.seed})
                group.append(_only(sheet.model_copy(update={"subject": who}), items))
    base, taught = Pairing([*groups[0], *groups[1]]).together(groups)
    return base, taught


def _slope(pairs: Sequence[Pair]) -> Sampled:
    """Least-squares slope of (student − base) for `STEP` BLEU more, a paired bootstrap of items."""
    numbers: dict[int, Sampled] = {}
    lost: list[str] = []
    for pair in pairs:
        number = _slope_of(pair)
        if number.defined:
            numbers[pair.seed] = number
        else:
            lost.append(f"seed {pair.seed} left out ({'; '.join(number.notes)})")
    if not numbers:
        return _slope_of(pairs[0])
    owners = [set(pair.items) for pair in pairs]
    crossed = {
        pair.seed for pair in pairs if sum(not owner.isdisjoint(pair.items) for owner in owners) > 1
    }
    return over_seeds(numbers, crossed, lost)


def _slope_of(pair: Pair) -> Sampled:
    where = positions(pair.items, {item: at for at, item in enumerate(pair.items)})
    scores = [laid_out(sheet, where, len(where)).values for sheet in (pair.base, pair.student)]
    gain = scores[1] - scores[0]
    scored = np.isfinite(gain)
    n, unscored = int(scored.sum()), int((~scored).sum())
    notes: tuple[str, ...] = ()
    if pair.unsupported:
        notes = (f"{pair.unsupported} items of unknown support left out",)
    if n < 3 or np.ptp(pair.bleu[scored]) == 0:
        return undefined("the items' support does not vary: no slope", n, unscored)
    if np.ptp(gain[scored]) == 0:
        return undefined("student − base is the same on every item: no slope", n, unscored)
    x = np.where(scored, pair.bleu - pair.bleu[scored].mean(), 0.0) / STEP
    y = np.where(scored, gain, 0.0)
    terms = np.column_stack([scored.astype(float), x, y, x * x, x * y])
    value = float(_fitted(terms.sum(axis=0, keepdims=True))[0])
    counts = weights(pair.items)
    sums = [part.astype(np.float64) @ terms for part in np.array_split(counts, BLOCKS)]
    draws = _fitted(np.concatenate(sums))
    return Sampled(value, draws, n, unscored, 1, notes)


def _fitted(sums: Array) -> Array:
    """Slopes (rows,) from weighted sums (rows, 5) of 1, x, y, xx, xy; NaN where x is flat."""
    n, x, y, xx, xy = sums.T
    spread = n * xx - x * x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            spread > 1e-9 * np.maximum(n * xx, 1e-300), (n * xy - x * y) / spread, np.nan
        )
