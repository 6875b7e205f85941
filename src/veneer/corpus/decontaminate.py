"""What evaluation and training texts have in common, by sentence BLEU, and what must go.

The paper removes "any evaluation prompt whose BLEU score against any training example exceeds
20 %" (footnote 3); `contaminated` finds those. Where the evaluation set must stay whole, the
training side gives way instead: `leaking` finds the training queries, `decontaminated` marks the
rows of a batch. The evaluation text is the hypothesis throughout; thresholds are BLEU points,
0-100, and only what is strictly above counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veneer.corpus.nearest import SAME, above, nearest_bleu
from veneer.corpus.rows import rejected

if TYPE_CHECKING:
    import pyarrow as pa

THRESHOLD = 20.0
"""BLEU points; the paper's footnote 3."""

LEAKS = "too near an evaluation query"
"""Reason in a rejected row."""


@dataclass(frozen=True)
class Overlap:
    """The training query nearest to one evaluation query.

    query: place of the evaluation query. bleu: 0-100, it as hypothesis. nearest: place of the
    training query, -1 where there is none. identical: the same string is a training query.
    """

    query: int
    bleu: float
    nearest: int
    identical: bool


@dataclass(frozen=True)
class Leak:
    """A training query that is above the threshold for some evaluation query.

    training: its place. bleu: the highest over the evaluation queries. query: place of the first
    evaluation query that gives it.
    """

    training: int
    bleu: float
    query: int


def overlap(
    evaluation: Sequence[str],
    training: Sequence[str],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Overlap]:
    """One row per evaluation query, in order."""
    found = nearest_bleu(evaluation, training, threads=threads, progress=progress)
    known = set(training)
    return [
        Overlap(place, float(bleu), int(index), text in known)
        for place, (text, bleu, index) in enumerate(
            zip(evaluation, found.bleu, found.index, strict=True)
        )
    ]


def contaminated(rows: Sequence[Overlap], threshold: float = THRESHOLD) -> list[Overlap]:
    """The evaluation queries to remove: those above the threshold (paper, footnote 3)."""
    return [row for row in rows if row.bleu > threshold + SAME]


def leaking(
    evaluation: Sequence[str],
    training: Sequence[str],
    threshold: float = THRESHOLD,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Leak]:
    """The training queries to remove so that no evaluation query is above the threshold.

    That is each one above it for any evaluation query, not only the nearest ones.
    """
    pairs = above(evaluation, training, threshold, threads=threads, progress=progress)
    worst: dict[int, Leak] = {}
    for query, place, bleu in zip(
        pairs.query.tolist(), pairs.reference.tolist(), pairs.bleu.tolist(), strict=True
    ):
        if place not in worst or bleu > worst[place].bleu:
            worst[place] = Leak(place, bleu, query)
    return [worst[place] for place in sorted(worst)]


def decontaminated(
    batch: pa.RecordBatch, evaluation: Sequence[str], threshold: float = THRESHOLD
) -> pa.RecordBatch:
    """The batch with the rows rejected (`LEAKS`) that ask what the evaluation asks.

    A row is rejected where any of its user turns is above the threshold for any evaluation query;
    rows rejected before keep their reason. One thread: batches are what runs in parallel.
    """
    rows = batch.column("messages").to_pylist()
    before = batch.column("reason").to_pylist()
    asked = [
        (row, turn["content"])
        for row, turns in enumerate(rows)
        if not before[row]
        for turn in turns
        if turn["role"] == "user"
    ]
    found = leaking(evaluation, [text for _, text in asked], threshold, threads=1)
    gone = {asked[leak.training][0] for leak in found}
    return rejected(batch, [LEAKS if row in gone else "" for row in range(len(rows))])
