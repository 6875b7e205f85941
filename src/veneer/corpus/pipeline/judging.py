"""The stages that look at all rows: duplicates, near-duplicates, evaluation text, diversity.

They read small keys of all parts, and text only part by part. Each row gets a code: 0 leaves it
as its part has it, another number is the place of its reason in `REASONS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from veneer.corpus.dedup import DUPLICATE, as_numbers, first_met
from veneer.corpus.near_duplicates import missed
from veneer.corpus.pipeline.filtering import SIGNATURE, signatures_in
from veneer.corpus.pipeline.overlap import Evaluation, Overlap, diversity_of
from veneer.corpus.pipeline.parts import keys_in, questions, read_part
from veneer.corpus.pipeline.settings import Curation

REPEATED_QUERY, REPEATED_DIALOGUE, NEAR, TESTED, TESTED_NEARLY = range(1, 6)
REASONS = (
    "",
    DUPLICATE["query"],
    DUPLICATE["pair"],
    "resembles a query met before",
    "asks a question of the evaluation",
    "asks nearly a question of the evaluation",
)
STAGES = ("", "deduplication", "deduplication", "near-duplicates", "decontamination", "decontamination")
NO_ANSWER = "no answer"
Tell = Callable[[float, str], None]


@dataclass
class Judged:
    """What was decided over all rows.

    codes: (rows,) uint8. starts: (parts + 1,) where each part's rows begin. `facts` go into
    stats.json. contaminated: the rows of each evaluation that are, by file.
    """

    codes: np.ndarray
    starts: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)
    contaminated: list[list[dict[str, Any]]] = field(default_factory=list)


@dataclass
class Keys:
    """Small columns of all rows. `answerless`: dropped only because nobody answers the query."""

    kept: np.ndarray
    answerless: np.ndarray
    later: np.ndarray
    key: np.ndarray
    query: np.ndarray
    source: np.ndarray
    names: list[str]
    starts: np.ndarray


def keys_of(parts: Sequence[Path]) -> Keys:
    """Gather the keys of all parts, in order."""
    columns = ("reason", "later", "key", "query", "source")
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*columns, "answerless")}
    numbers: dict[str, int] = {}
    lengths = [0]
    for path in parts:
        table = read_part(path, columns)
        reasons = table.column("reason").to_pylist()
        found["reason"].append(np.array([not each for each in reasons], bool))
        found["answerless"].append(np.array([each == NO_ANSWER for each in reasons], bool))
        found["later"].append(np.array(table.column("later").to_pylist(), bool))
        for name in ("key", "query"):
            found[name].append(as_numbers(keys_in(table, name)))
        sources = table.column("source").to_pylist()
        found["source"].append(
            np.array([numbers.setdefault(each, len(numbers)) for each in sources], np.int32)
        )
        lengths.append(table.num_rows)
    empty = {"key": np.zeros((0, 2), np.uint64), "query": np.zeros((0, 2), np.uint64)}
    joined = {n: np.concatenate([empty.get(n, np.zeros(0, bool)), *v]) for n, v in found.items()}
    return Keys(
        joined["reason"].astype(bool),
        joined["answerless"].astype(bool),
        joined["later"].astype(bool),
        joined["key"].astype(np.uint64),
        joined["query"].astype(np.uint64),
        joined["source"].astype(np.int32),
        list(numbers),
        np.cumsum(lengths),
    )


def judge(
    parts: Sequence[Path], settings: Curation, evaluations: Sequence[Evaluation], tell: Tell
) -> Judged:
    """Decide over all rows; `tell` is told how far it is (0 to 1) and with what."""
    keys = keys_of(parts)
    judged = Judged(np.zeros(len(keys.kept), np.uint8), keys.starts)
    query_set = not keys.kept.any() and bool((keys.answerless & keys.query.any(axis=1)).any())
    taking_part = keys.answerless & keys.query.any(axis=1) if query_set else keys.kept.copy()
    judged.facts["query_set"] = query_set
    judged.facts["queries"] = _query_counts(keys)
    tell(0.05, "looking for duplicates")
    first = first_met(keys.query if query_set else keys.key, taking_part)
    repeats = first != np.arange(len(first))
    if not query_set:
        again = REPEATED_QUERY if settings.dedup == "query" else REPEATED_DIALOGUE
        judged.codes[repeats] = again
    judged.facts["repeats"] = _between(keys, first, repeats)
    taking_part &= ~repeats
    if settings.near_duplicates is not None:
        tell(0.1, "looking for near-duplicates")
        near = _near_duplicates(parts, keys, taking_part, settings.near_duplicates)
        judged.facts["near_duplicates"] = {
            "threshold": settings.near_duplicates,
            "found": int(near.sum()),
            "missed_at_threshold": missed(settings.near_duplicates),
        }
        if not query_set:
            judged.codes[near] = NEAR
        taking_part &= ~near
    if evaluations:
        overlap = Overlap(evaluations, settings.decontaminate.bleu)
        for at, path in enumerate(parts):
            tell(0.2 + 0.6 * at / len(parts), "keeping evaluation text out")
            rows = keys.starts[at] + np.flatnonzero(taking_part[keys.starts[at] : keys.starts[at + 1]])
            _look(overlap, path, rows, rows - keys.starts[at])
        overlap.settle()
        judged.facts["decontamination"] = overlap.figures()
        judged.contaminated = overlap.contaminated()
        if settings.decontaminate.remove == "corpus" and not query_set:
            for code, found in ((TESTED_NEARLY, overlap.nearly), (TESTED, overlap.equal)):
                rows = np.array(sorted(found), np.int64)
                judged.codes[rows] = code
                taking_part[rows] = False
    if settings.diversity:
        tell(0.8, "measuring diversity")
        asked = _queries(parts, keys.starts, taking_part)
        judged.facts["diversity"] = diversity_of(asked, settings.diversity)
    tell(1.0, "judged")
    return judged


def _look(overlap: Overlap, path: Path, rows: np.ndarray, places: np.ndarray) -> None:
    table = read_part(path, ("messages", "asked")).take(places)
    asked = table.column("asked").to_pylist()
    for row, texts, keys in zip(rows.tolist(), questions(table), asked, strict=True):
        overlap.add(row, texts, keys)


def _queries(parts: Sequence[Path], starts: np.ndarray, wanted: np.ndarray) -> Iterator[str]:
    """The first questions of some rows, part by part."""
    for at, path in enumerate(parts):
        places = np.flatnonzero(wanted[starts[at] : starts[at + 1]])
        for texts in questions(read_part(path, ("messages",)).take(places)):
            yield texts[0] if texts else ""


def _query_counts(keys: Keys) -> dict[str, int]:
    """Records, those without a query, and different queries (texts as they are)."""
    whole = ~keys.later
    asked = keys.query.any(axis=1) & whole
    first = first_met(keys.query, asked)
    unique = int((asked & (first == np.arange(len(first)))).sum())
    return {"records": int(whole.sum()), "empty": int((whole & ~asked).sum()), "unique": unique}


def _between(keys: Keys, first: np.ndarray, repeats: np.ndarray) -> list[dict[str, Any]]:
    """How many rows of one source repeat a row of another, or of the same."""
    again = np.flatnonzero(repeats)
    pairs = Counter(zip(keys.source[again].tolist(), keys.source[first[again]].tolist(), strict=True))
    return [
        {"source": keys.names[source], "repeats": keys.names[other], "rows": count}
        for (source, other), count in sorted(pairs.items())
    ]


def _near_duplicates(
    parts: Sequence[Path], keys: Keys, taking_part: np.ndarray, threshold: float
) -> np.ndarray:
    """Which rows repeat an earlier query nearly: (rows,) bool.

    Only rows that share a band with another are compared; of the others nothing is read but
    their signatures.
    """
    from veneer.corpus.near_duplicates import ROWS, near_duplicates, shingled, signatures
    from veneer.corpus.near_kernels import band_keys

    rows = np.flatnonzero(taking_part)
    bands: list[np.ndarray] = []
    for at, path in enumerate(parts):
        places = np.flatnonzero(taking_part[keys.starts[at] : keys.starts[at + 1]])
        column = read_part(path, (SIGNATURE,)).take(places).column(SIGNATURE)
        if len(places):
            bands.append(band_keys(signatures_in(column), ROWS))
    near = np.zeros(len(taking_part), bool)
    if not bands:
        return near
    linked = np.zeros(len(rows), bool)
    for band in range(len(bands[0])):
        _, place, times = np.unique(
            np.concatenate([part[band] for part in bands]), return_inverse=True, return_counts=True
        )
        linked |= times[place] > 1
    chosen = np.zeros(len(taking_part), bool)
    chosen[rows[linked]] = True
    texts = list(_queries(parts, keys.starts, chosen))
    if texts:
        prints = shingled(texts)
        first = near_duplicates(signatures(prints), prints, threshold)
        near[np.flatnonzero(chosen)[first >= 0]] = True
    return near
