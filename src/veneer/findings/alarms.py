"""The divergence alarm: imitation makes a student look better while it becomes less able.

Two comparisons a base and corpus: the student of the most data with its base, and with the
student of the least data. An alarm stands where style (mean over its metrics) or preference rises
with its 95 % interval above 0, and some benchmark falls with its interval below 0. Looking at
many benchmarks finds a fall by chance, so falls are corrected for their number by Holm's method
(S. Holm, 1979), at 5 % a comparison, with the bootstrap's own p-values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from veneer.findings.grid import Cell, Grid, base_of
from veneer.findings.perception import opponents
from veneer.findings.resample import LEVEL, Sampled, interval
from veneer.findings.wording import data, evidence, label, model, points, rests_on
from veneer.records import Alarm

Kind = Literal["style-up-capability-down", "preference-up-capability-down"]


def alarms(grid: Grid) -> tuple[Alarm, ...]:
    """Every alarm, the largest base first; within it the corpora as the design names them."""
    made: list[Alarm] = []
    places = {base: at for at, base in enumerate(grid.bases())}
    for student in sorted(grid.fed_most(), key=lambda s: -places.get(s.base or "", -1)):
        made += _between(grid, student, base_of(student), "compared with its base")
        ends = grid.ends(student.corpus, student.base)
        if ends and ends[1] == student:
            made += _between(grid, student, ends[0], f"compared with {data(ends[0].tokens)}")
    return tuple(made)


def _between(grid: Grid, student: Cell, start: Cell, words: str) -> Iterator[Alarm]:
    """The alarms of one comparison, student − start."""
    looked = {m: grid.difference(student, start, m) for m in grid.counted("capability")}
    looked = {m: change for m, change in looked.items() if change.defined}
    fallen = [m for m, lost in zip(looked, falls_of(list(looked.values())), strict=True) if lost]
    if not fallen:
        return
    losses = [
        f"{label(m)} falls by {points(lost)} ({rests_on(lost)})"
        for m, lost in ((m, looked[m].scaled(-1)) for m in fallen)
    ]
    for kind, what, rise in _risen(grid, student, start):
        text = (
            f"{model(grid, student)}, {words}: {what} rises by {points(rise)} "
            f"({rests_on(rise)}) while {_listed(losses)}; {len(fallen)} of {len(looked)} "
            "benchmarks looked at, corrected for their number."
        )
        yield Alarm(
            id=kind,
            base=student.base,
            corpus=student.corpus,
            tokens=student.tokens,
            text=text,
            rising=(evidence(f"{what}: {points(rise)}", rise),),
            falling=tuple(evidence(f"{label(m)}: {points(looked[m])}", looked[m]) for m in fallen),
        )


def _risen(grid: Grid, student: Cell, start: Cell) -> Iterator[tuple[Kind, str, Sampled]]:
    """Style and preference, where they rise with the whole interval above 0."""
    style = grid.mean_difference(student, start, grid.counted("style"))
    if _above(style):
        yield "style-up-capability-down", "the mean style score", style
    for metric in grid.metrics_of("preference"):
        if metric.metric != "win_rate" or len(opponents(grid, (student, start), metric)) != 1:
            continue
        liked = grid.difference(student, start, metric)
        if _above(liked):
            (foe,) = opponents(grid, (student,), metric)
            against = "the teacher" if foe == "teacher" else foe or "its opponent"
            yield "preference-up-capability-down", f"the win rate against {against}", liked


def falls_of(changes: Sequence[Sampled]) -> list[bool]:
    """Which changes are below 0 beyond their interval and after Holm's correction for all."""
    tested = [(p_below(change), at) for at, change in enumerate(changes)]
    lost = [False] * len(changes)
    for turn, (p, at) in enumerate(sorted(tested)):
        bounds = interval(changes[at])
        if p > (1 - LEVEL) / (len(changes) - turn) or bounds is None or bounds[1] >= 0:
            break
        lost[at] = True
    return lost


def p_below(change: Sampled) -> float:
    """Two-sided bootstrap p-value of a change below 0: twice the share of resamples at or above.

    Counted with one resample more than there are on either side, so that it is never 0; 1 where
    the spread is unknown.
    """
    draws = change.draws[np.isfinite(change.draws)]
    if not len(draws):
        return 1.0
    return min(1.0, 2 * (1 + int((draws >= 0).sum())) / (1 + len(draws)))


def _above(change: Sampled) -> bool:
    bounds = interval(change)
    return bounds is not None and bounds[0] > 0


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
