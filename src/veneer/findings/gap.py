"""How much of the way from base to teacher a student has gone, on one metric.

gap closed = (student − base) / (ceiling − base). The ceiling is the teacher's score;
for style, where the teacher agrees with itself by definition, it is the score of the
teacher's second sample (the paper's "ChatGPT #2", Table 2).
"""

from __future__ import annotations

from collections.abc import Sequence

from veneer.findings.grid import Cell, Grid, ratio
from veneer.findings.metrics import falls, family_of
from veneer.findings.paired import Pairing
from veneer.findings.resample import Sampled, Score
from veneer.records import GapClosed


def gap_closed_point(student: float, base: float, ceiling: float) -> float | None:
    """The bare ratio; None where ceiling and base are equal."""
    return None if ceiling == base else (student - base) / (ceiling - base)


def gap_closed(
    student: Sequence[Score], base: Sequence[Score], ceiling: Sequence[Score]
) -> GapClosed:
    """Gap closed on one metric, from the scores of the three models, a seed each.

    Paired bootstrap: the three are resampled together over the items that all of them
    were scored on (the rest is counted as unscored). With two seeds or more, seeds are
    resampled first and items within each; the statistic is the ratio of the mean
    differences, steadier than the mean of a ratio a seed. Value None and `defined`
    False where the interval of (ceiling − base) includes 0; the note says so.
    """
    numbers = Pairing([*student, *base, *ceiling]).together([student, base, ceiling])
    return _row(student[0], ratio(*numbers, lower=falls(student[0].metric)))


def gap_table(grid: Grid) -> list[GapClosed]:
    """Gap closed by every student on every metric that it was measured on."""
    rows = []
    for cell in grid.cells("student"):
        for metric in grid.metrics(cell):
            rows.append(_row(grid.scores(cell, metric)[0], grid.gap(cell, metric), cell))
    return rows


def _row(score: Score, number: Sampled, cell: Cell | None = None) -> GapClosed:
    estimate = number.estimate()
    return GapClosed(
        base=cell.base if cell else score.subject.base,
        corpus=score.subject.corpus,
        tokens=score.subject.tokens,
        family=family_of(score.measure),
        measure=score.measure,
        metric=score.metric,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        defined=number.defined,
        n=number.n,
        unscored=number.unscored,
        seeds=number.seeds,
        note=estimate.note,
    )
