"""The study as a grid: which models there are, what each was scored on, which scores count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from veneer.errors import InputError
from veneer.findings.metrics import (
    STYLE,
    VARIANTS,
    Metric,
    falls,
    family_of,
    primary,
)
from veneer.findings.paired import Pairing
from veneer.findings.resample import Sampled, Score, average, interval, undefined
from veneer.records import Family, PreferenceReport, Role, StudyFacts, Subject


class Cell(NamedTuple):
    """A model of the grid, whatever its seed. `tokens` is the imitation data, 0 for a base."""

    role: Role
    base: str | None = None
    corpus: str | None = None
    tokens: int | None = None


def base_of(student: Cell) -> Cell:
    """The cell of a student's base."""
    return Cell("base", student.base, None, 0)


TEACHER = Cell("teacher")
AGAIN = Cell("teacher-again")


def ceiling_of(measure: str) -> Cell:
    """The teacher; for style, where it agrees with itself by definition, its second sample."""
    return AGAIN if family_of(measure) == "style" else TEACHER


class Grid:
    """Scores by model and metric, with the facts of the design, ready to be compared."""

    def __init__(
        self,
        facts: StudyFacts,
        scores: Sequence[Score],
        judged: Sequence[PreferenceReport] = (),
    ) -> None:
        self.facts = facts
        self.judged = tuple(judged)
        self.pairing = Pairing(scores)
        self._scores: dict[tuple[Cell, Metric], list[Score]] = defaultdict(list)
        bases = {_base_name(s.subject) for s in scores if s.subject.role == "base"}
        lone = next(iter(bases)) if len(bases) == 1 else None
        self._lone_base = lone
        for score in sorted(scores, key=lambda s: s.subject.seed):
            key = (self.cell_of(score.subject), Metric(score.measure, score.metric))
            if any(known.subject.seed == score.subject.seed for known in self._scores[key]):
                who = score.subject
                raise InputError(
                    f"{who.model} ({who.role}, seed {who.seed}) has two scores for "
                    f"{score.measure} {score.metric}.",
                    "Give each model's score on a metric once.",
                )
            self._scores[key].append(score)
        self._known: dict[tuple[tuple[Cell, ...], Metric], list[Sampled]] = {}

    # ---- what there is --------------------------------------------------------------

    def cells(self, role: Role | None = None) -> list[Cell]:
        """Every model, bases from small to large, data from little to much."""
        found = {cell for cell, _ in self._scores if role is None or cell.role == role}
        return sorted(found, key=self._order)

    def cell_of(self, subject: Subject) -> Cell:
        """Where a model stands in the grid; a student of no named base belongs to the only one."""
        return _cell(subject, self._lone_base)

    def metrics(self, cell: Cell | None = None) -> list[Metric]:
        """What was measured, of this model or of any."""
        return sorted({m for c, m in self._scores if cell is None or c == cell})

    def metrics_of(self, family: Family) -> list[Metric]:
        """What was measured of a family, variants and all."""
        return [m for m in self.metrics() if family_of(m.measure) == family]

    def counted(self, family: Family) -> list[Metric]:
        """The metrics that enter the family's mean: no variants, one metric a benchmark."""
        there = self.metrics_of(family)
        if family == "style":
            return [m for name in STYLE for m in there if m.metric == name]
        return primary(m for m in there if m.measure not in VARIANTS)

    def bases(self) -> list[str]:
        """Names of the bases, smallest first; those of unknown size by name, before the known."""
        names = {c.base for c, _ in self._scores if c.role in ("base", "student") and c.base}
        return sorted(names, key=lambda name: (self.size(name), name))

    def size(self, base: str | None) -> int:
        """Parameters of a base; −1 where unknown."""
        found = self.facts.parameters.get(base) if base is not None else None
        return -1 if found is None else found

    def kind(self, corpus: str | None) -> str:
        """Broad unless the design says local."""
        found = self.facts.corpora.get(corpus) if corpus is not None else None
        return found.kind if found else "broad"

    def broad(self) -> str | None:
        """The main broad corpus: the first that the design names and a student learned from."""
        there = {c.corpus for c in self.cells("student") if self.kind(c.corpus) == "broad"}
        for name in self.facts.corpora:
            if name in there:
                return name
        return sorted(there, key=str)[0] if there else None

    def students(self, corpus: str | None, base: str | None = None) -> list[Cell]:
        """Students of a corpus (of one base), least data first."""
        return [
            c
            for c in self.cells("student")
            if c.corpus == corpus and (base is None or c.base == base)
        ]

    def most(self, corpus: str | None, base: str | None) -> Cell | None:
        """The student of a base with the most of a corpus."""
        found = self.students(corpus, base)
        return found[-1] if found else None

    def ends(self, corpus: str | None, base: str | None) -> tuple[Cell, Cell] | None:
        """A base's students of the least and of the most data, where these differ."""
        found = [c for c in self.students(corpus, base) if c.tokens]
        return (found[0], found[-1]) if len(found) > 1 else None

    def fullest(self, corpus: str | None) -> list[Cell]:
        """The student of the most data for each base, or of no known base."""
        found = [student for b in self.bases() if (student := self.most(corpus, b))]
        return found or [student for student in [self.most(corpus, None)] if student]

    def fed_most(self) -> list[Cell]:
        """The student of the most data for each base and corpus, bases from small to large."""
        found = {(cell.base, cell.corpus): cell for cell in self.cells("student")}
        return list(found.values())

    def name_of(self, cell: Cell) -> str:
        """The model's own name, where the cell has one (runs over seeds share it or have none)."""
        names = {
            s.subject.model for (c, _), held in self._scores.items() if c == cell for s in held
        }
        return next(iter(names)) if len(names) == 1 else ""

    def scores(self, cell: Cell, metric: Metric) -> list[Score]:
        """A model's scores on a metric, a seed each; empty if it was not measured."""
        return self._scores.get((cell, metric), [])

    # ---- numbers ----------------------------------------------------------------------

    def together(self, cells: Sequence[Cell], metric: Metric) -> list[Sampled]:
        """Each model's score, on the items and seeds that all of them have."""
        key = (tuple(cells), metric)
        if key not in self._known:
            self._known[key] = self.pairing.together([self.scores(c, metric) for c in cells])
        return self._known[key]

    def difference(self, cell: Cell, other: Cell, metric: Metric) -> Sampled:
        """cell − other, paired."""
        one, two = self.together([cell, other], metric)
        return one - two

    def mean_difference(self, cell: Cell, other: Cell, metrics: Iterable[Metric]) -> Sampled:
        """Mean over the metrics that both have of cell − other."""
        found = [self.difference(cell, other, m) for m in metrics]
        found = [d for d in found if d.defined]
        return average(found) if found else undefined("no metric measured on both")

    def gap(self, student: Cell, metric: Metric) -> Sampled:
        """Gap closed by a student on a metric; undefined by the rule of `ratio`."""
        base, ceiling = base_of(student), ceiling_of(metric.measure)
        for cell, name in ((base, "the base"), (ceiling, _NAMES[ceiling])):
            if not self.scores(cell, metric):
                return undefined(f"{name} was not measured")
        if not self.scores(student, metric):
            return undefined("the student was not measured")
        numbers = self.together([student, base, ceiling], metric)
        return ratio(*numbers, lower=falls(metric.metric))

    def mean_gap(self, student: Cell, metrics: Iterable[Metric]) -> Sampled:
        """Gap closed over a family: Σ (student − base) / Σ (ceiling − base).

        The sums run over the metrics where the gap is defined and the ceiling above the base.
        A mean of the metrics' own ratios would be ruled by the metric with the smallest gap.
        """
        asked = list(metrics)
        found = {m: self.gap(student, m) for m in asked if self.scores(student, m)}
        good = {m: g for m, g in found.items() if g.defined and not {BELOW, WORSE} & set(g.notes)}
        if not good:
            return undefined(_grouped(found) or _unmeasured(asked))
        trios = [self.together([student, base_of(student), ceiling_of(m.measure)], m) for m in good]
        gained = average([learnt - start for learnt, start, _ in trios])
        pooled = gained / average([top - start for _, start, top in trios])
        rest = _grouped({m: g for m, g in found.items() if m not in good})
        left = (f"left out: {rest}",) if rest else ()
        over = ", ".join(m.metric if m.measure == "style" else m.measure for m in good)
        notes = (f"pooled over {over}", *left)
        return Sampled(pooled.value, pooled.draws, pooled.n, pooled.unscored, pooled.seeds, notes)

    def _order(self, cell: Cell) -> tuple[object, ...]:
        roles = ("teacher", "teacher-again", "base", "student")
        corpora = list(self.facts.corpora)
        at = corpora.index(cell.corpus) if cell.corpus in corpora else len(corpora)
        return (
            roles.index(cell.role),
            self.size(cell.base),
            cell.base or "",
            at,
            cell.corpus or "",
            -1 if cell.tokens is None else cell.tokens,
        )


BELOW = "the ceiling is below the base: closing this gap means scoring lower"
WORSE = "lower is better and the ceiling is above the base: closing this gap means scoring worse"
_NAMES = {TEACHER: "the teacher", AGAIN: "a second sample of the teacher"}


def ratio(student: Sampled, base: Sampled, ceiling: Sampled, *, lower: bool = False) -> Sampled:
    """(student − base) / (ceiling − base), undefined where the gap's own interval includes 0.

    `lower`: a lower score is the better one. The ratio is the same: a student that falls as far
    as its teacher has closed the gap.
    """
    gap = ceiling - base
    if not (student.defined and gap.defined):
        why = next((x.notes for x in (student, base, ceiling) if not x.defined), ())
        return undefined("; ".join(why) or "not measured", gap.n, gap.unscored)
    bounds = interval(gap)
    if gap.value == 0 or (bounds and bounds[0] <= 0 <= bounds[1]):
        spread = f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else ""
        note = f"no gap to close: ceiling − base = {gap.value:.2f}{spread} includes 0"
        note = note.replace("-", "−")
        return undefined(note, gap.n, gap.unscored)
    closed = (student - base) / gap
    if (gap.value > 0) == lower:
        notes = (*closed.notes, WORSE if lower else BELOW)
        return Sampled(closed.value, closed.draws, closed.n, closed.unscored, closed.seeds, notes)
    return closed


def _grouped(found: Mapping[Metric, Sampled]) -> str:
    """Why these are not counted, each reason once with its metrics."""
    by_reason: dict[str, list[str]] = {}
    for metric, number in found.items():
        name = metric.metric if metric.measure == "style" else metric.measure
        by_reason.setdefault("; ".join(number.notes) or "undefined", []).append(name)
    if len(by_reason) == 1 and len(found) > 1:
        return next(iter(by_reason))
    return " · ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


def _unmeasured(asked: Sequence[Metric]) -> str:
    return "the student was not measured" if asked else "nothing of this kind was measured"


def _base_name(subject: Subject) -> str:
    return subject.base or subject.model


def _cell(subject: Subject, lone_base: str | None) -> Cell:
    if subject.role == "base":
        return Cell("base", _base_name(subject), None, 0)
    if subject.role == "student":
        return Cell("student", subject.base or lone_base, subject.corpus, subject.tokens)
    return Cell(subject.role)
