"""Measurements as the points of a figure: pooled over seeds, laid out by data amount and base."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from veneer.records import Family, GapClosed, Measurement, StudyFacts
from veneer.report.wording import family_of

_ORDER = (
    "nq", "mmlu", "humaneval", "nq-0shot", "list_agreement", "summary_agreement", "unigram_f1",
    "unigram_recall", "length_correlation", "authoritative_tone", "non_toxicity", "refusal_rate",
    "win_or_tie_rate", "win_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Pooled:
    """One model's score on one metric over all seeds.

    `value` is the mean over the seeds that have a value. With one seed `low` and `high` are
    its 95 % interval; with several they run from the lowest lower end to the highest upper
    end of the seeds' intervals. `n` and `unscored` count items of all seeds together.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int
    by_seed: tuple[tuple[int, float | None], ...]

    @property
    def seeds(self) -> int:
        """How many seeds have a value."""
        return sum(value is not None for _, value in self.by_seed)

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest seed, where there are at least two."""
        values = [value for _, value in self.by_seed if value is not None]
        return (min(values), max(values)) if len(values) > 1 else None


def pooled(rows: Iterable[Measurement]) -> Pooled | None:
    """Pool the seeds of one model on one metric; None where there are no rows at all."""
    kept = sorted(rows, key=lambda row: row.seed)
    if not kept:
        return None
    values = [row.value for row in kept if row.value is not None]
    lows = [row.low for row in kept if row.low is not None]
    highs = [row.high for row in kept if row.high is not None]
    return Pooled(
        value=sum(values) / len(values) if values else None,
        low=min(lows) if lows else None,
        high=max(highs) if highs else None,
        n=sum(row.n for row in kept),
        unscored=sum(row.unscored for row in kept),
        by_seed=tuple((row.seed, row.value) for row in kept),
    )


class Grid:
    """The measurements of a run by (base, corpus, tokens), ready to be drawn.

    Bases are ordered by parameters (unknown ones last, by name), corpora as the study names
    them, amounts ascending. A base's own rows have tokens 0 and no corpus. A student whose
    imitation data has no name, as in an audit, goes by its own name: `unnamed` holds these.
    """

    def __init__(
        self,
        measurements: tuple[Measurement, ...],
        facts: StudyFacts,
        gaps: tuple[GapClosed, ...] = (),
    ) -> None:
        self.facts = facts
        students = [row for row in measurements if row.role == "student"]
        self.unnamed = {row.model for row in students if row.corpus in (None, "", row.model)}
        self.rows = tuple(
            row.model_copy(update={"corpus": row.model})
            if row.role == "student" and not row.corpus
            else row
            for row in measurements
        )
        self.gaps = gaps
        names = {row.base or row.model for row in measurements if row.role == "base"}
        names |= {row.base for row in measurements if row.role == "student" and row.base}
        sizes = facts.parameters
        self.bases: tuple[str, ...] = tuple(
            sorted(names, key=lambda name: (sizes.get(name) or float("inf"), name))
        )
        used = {row.corpus for row in self.rows if row.role == "student" and row.corpus}
        known = [name for name in facts.corpora if name in used]
        self.corpora: tuple[str, ...] = (*known, *sorted(used - set(known)))

    # ---- what there is

    def kind(self, corpus: str | None) -> str:
        """`broad`, `local`, or `` where the study does not say."""
        found = self.facts.corpora.get(corpus or "")
        return found.kind if found else ""

    @property
    def broad(self) -> tuple[str, ...]:
        """Corpora that imitate everything; all corpora where none is known to be broad."""
        found = tuple(name for name in self.corpora if self.kind(name) == "broad")
        return found or tuple(name for name in self.corpora if self.kind(name) != "local")

    @property
    def local(self) -> tuple[str, ...]:
        """Corpora that imitate one task."""
        return tuple(name for name in self.corpora if self.kind(name) == "local")

    @property
    def largest(self) -> str | None:
        """The base that headline figures are about."""
        return self.bases[-1] if self.bases else None

    def metrics(self, family: Family) -> tuple[tuple[str, str], ...]:
        """(measure, metric) pairs of a family, in the paper's order."""
        pairs = {(r.measure, r.metric): None for r in self.rows if family_of(r.measure) == family}

        def order(pair: tuple[str, str]) -> tuple[int, int]:
            places = [_ORDER.index(name) for name in pair if name in _ORDER]
            return min(places, default=len(_ORDER)), list(pairs).index(pair)

        return tuple(sorted(pairs, key=order))

    def sized(self) -> bool:
        """True where every base's parameters are known, so that a size axis means something."""
        return bool(self.bases) and all(self.facts.parameters.get(name) for name in self.bases)

    # ---- what was scored

    def teacher(self, pair: tuple[str, str], again: bool = False) -> Pooled | None:
        """The teacher's own score, or its second sample's."""
        role = "teacher-again" if again else "teacher"
        return pooled(r for r in self.rows if r.role == role and (r.measure, r.metric) == pair)

    def base(self, pair: tuple[str, str], base: str) -> Pooled | None:
        """A base's score before any imitation."""
        return pooled(
            r
            for r in self.rows
            if r.role == "base" and (r.base or r.model) == base and (r.measure, r.metric) == pair
        )

    def student(
        self, pair: tuple[str, str], base: str | None, corpus: str | None, tokens: int | None
    ) -> Pooled | None:
        """A student's score, seeds pooled."""
        return pooled(
            r
            for r in self.rows
            if r.role == "student"
            and (r.base, r.corpus, r.tokens) == (base, corpus, tokens)
            and (r.measure, r.metric) == pair
        )

    def gap(
        self, pair: tuple[str, str], base: str | None, corpus: str | None, tokens: int | None
    ) -> GapClosed | None:
        """The gap that a student closed; None where the findings do not tell whose it is."""
        names = (corpus, None) if self.unnamed == {corpus} else (corpus,)
        for gap in self.gaps:
            key = (gap.base, gap.tokens, gap.measure, gap.metric)
            if gap.corpus in names and key == (base, tokens, *pair):
                return gap
        return None

    def amounts(self, base: str | None, corpus: str | None) -> tuple[int, ...]:
        """The data amounts (tokens) that students of this base and corpus were trained on."""
        found = {
            r.tokens
            for r in self.rows
            if r.role == "student" and (r.base, r.corpus) == (base, corpus) and r.tokens
        }
        return tuple(sorted(found))

    def most(
        self, pair: tuple[str, str], base: str | None, corpus: str | None
    ) -> tuple[int | None, Pooled] | None:
        """The score at the largest amount that has one, with the amount (None where unknown)."""
        for tokens in (*reversed(self.amounts(base, corpus)), None):
            found = self.student(pair, base, corpus, tokens)
            if found is not None:
                return tokens, found
        return None

    def by_amount(self, pair: tuple[str, str], base: str, corpus: str) -> list[tuple[int, Pooled]]:
        """(tokens, score) from the base (tokens 0) upwards, without what is undefined."""
        points: list[tuple[int, Pooled | None]] = [(0, self.base(pair, base))]
        for tokens in self.amounts(base, corpus):
            points.append((tokens, self.student(pair, base, corpus, tokens)))
        return [(t, p) for t, p in points if p is not None and p.value is not None]

    def data_measured(self, pair: tuple[str, str]) -> bool:
        """True where a student has a value at a known amount, so that a data axis has points."""
        return any(
            r.tokens and r.value is not None
            for r in self.rows
            if r.role == "student" and (r.measure, r.metric) == pair
        )
