"""The stages that look at all rows: duplicates, near-duplicates, evaluation text, diversity.

They read small keys of all parts, and text only part by part. Each row gets a code: 0 leaves it
as its part has it, another number is the place of its reason in `REASONS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from veneer.corpus.dedup import DUPLICATE, as_numbers, first_met
from veneer.corpus.near_duplicates import missed
from veneer.corpus.pipeline.filtering import SIGNATURE, signatures_in
from veneer.corpus.pipeline.overlap import Overlap, diversity_of
from veneer.corpus.pipeline.parts import keys_in, questions, read_part
from veneer.corpus.pipeline.reading import Evaluation
from veneer.corpus.pipeline.settings import Curation
from veneer.corpus.stats import merged

REPEATED_QUERY, REPEATED_DIALOGUE, NEAR, TESTED, TESTED_NEARLY = range(1, 6)
REASONS = (
    "",
    DUPLICATE["query"],
    DUPLICATE["pair"],
    "resembles a query met before",
    "asks a question of the evaluation",
    "asks nearly a question of the evaluation",
)
STAGES = (
    "",
    "deduplication",
    "deduplication",
    "near-duplicates",
    "decontamination",
    "decontamination",
)
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
    """Small columns of all rows.

    answerless: dropped because nobody answers the query. later, piece: see `parts.filtered`.
    profile: what importing counted, by source.
    """

    kept: np.ndarray
    answerless: np.ndarray
    later: np.ndarray
    piece: np.ndarray
    key: np.ndarray
    query: np.ndarray
    source: np.ndarray
    names: list[str]
    starts: np.ndarray
    profile: dict[str, Any]

    def heads(self) -> np.ndarray:
        """For each row the first piece of its conversation, mostly itself: (rows,) int64."""
        rows = np.arange(len(self.kept), dtype=np.int64)
        return np.maximum.accumulate(np.where(self.piece, 0, rows))


def keys_of(parts: Sequence[Path]) -> Keys:
    """Gather the keys of all parts, in order."""
    names = ("kept", "answerless", "later", "piece", "key", "query", "source")
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    numbers: dict[str, int] = {}
    profile: dict[str, Any] = {}
    lengths = [0]
    for path in parts:
        table = read_part(path, ("reason", "later", "piece", "key", "query", "source", "profile"))
        reasons = table.column("reason").to_pylist()
        found["kept"].append(np.array([not each for each in reasons], bool))
        found["answerless"].append(np.array([each == NO_ANSWER for each in reasons], bool))
        for name in ("later", "piece"):
            found[name].append(np.array(table.column(name).to_pylist(), bool))
        for name in ("key", "query"):
            found[name].append(as_numbers(keys_in(table, name)))
        sources = table.column("source").to_pylist()
        places = [numbers.setdefault(each, len(numbers)) for each in sources]
        found["source"].append(np.array(places, np.int32))
        for counted in filter(None, table.column("profile").to_pylist()):
            profile = merged([profile, json.loads(counted)])
        lengths.append(table.num_rows)
    empty = np.zeros((0, 2), np.uint64)
    blanks = {"key": empty, "query": empty, "source": np.zeros(0, np.int32)}
    joined = {n: np.concatenate([blanks.get(n, np.zeros(0, bool)), *v]) for n, v in found.items()}
    return Keys(**joined, names=list(numbers), starts=np.cumsum(lengths), profile=profile)


def judge(
    parts: Sequence[Path], settings: Curation, evaluations: Sequence[Evaluation], tell: Tell
) -> Judged:
    """Decide over all rows; `tell` is told how far it is (0 to 1) and with what."""
    keys = keys_of(parts)
    judged = Judged(np.zeros(len(keys.kept), np.uint8), keys.starts)
    asking = keys.answerless & keys.query.any(axis=1)
    query_set = not keys.kept.any() and bool(asking.any())
    taking_part = asking if query_set else keys.kept.copy()
    heads = keys.heads()
    judged.facts["query_set"] = query_set
    judged.facts["queries"] = _query_counts(keys)
    judged.facts["profile"] = _profile(keys)
    tell(0.05, "looking for duplicates")
    first = first_met(keys.query if query_set else keys.key, taking_part & ~keys.piece)
    repeats = (first != np.arange(len(first)))[heads] & taking_part
    if not query_set:
        judged.codes[repeats] = REPEATED_QUERY if settings.dedup == "query" else REPEATED_DIALOGUE
    judged.facts["repeats"] = _between(keys, first, repeats & ~keys.piece)
    taking_part &= ~repeats
    if settings.near_duplicates is not None:
        tell(0.1, "looking for near-duplicates")
        whole = taking_part & ~keys.piece
        near = _near_duplicates(parts, keys, whole, settings.near_duplicates)[heads] & taking_part
        judged.facts["near_duplicates"] = {
            "threshold": settings.near_duplicates,
            "found": int((near & ~keys.piece).sum()),
            "missed_at_threshold": missed(settings.near_duplicates),
        }
        if not query_set:
            judged.codes[near] = NEAR
        taking_part &= ~near
    if evaluations:
        overlap = Overlap(evaluations, settings.decontaminate.bleu)
        for at, path in enumerate(parts):
            tell(0.2 + 0.6 * at / len(parts), "keeping evaluation text out")
            rows = keys.starts[at] + np.flatnonzero(
                taking_part[keys.starts[at] : keys.starts[at + 1]]
            )
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
        asked = _queries(parts, keys.starts, taking_part & ~keys.piece)
        judged.facts["diversity"] = diversity_of(asked, settings.diversity)
    tell(1.0, "judged")
    return judged


def _look(overlap: Overlap, path: Path, rows: np.ndarray, places: np.ndarray) -> None:
    table = read_part(path, ("messages", "asked_keys")).take(places)
    asked = table.column("asked_keys").to_pylist()
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


def _profile(keys: Keys) -> dict[str, Any]:
    """What importing counted in each source, with the queries that are different over all of it."""
    found = dict(keys.profile)
    for number, name in enumerate(keys.names):
        if name not in found:
            continue
        mine = (keys.source == number) & ~keys.later & keys.query.any(axis=1)
        queries = len(np.unique(keys.query[mine], axis=0))
        empty = found[name]["empty_queries"] > 0
        found[name] |= {"unique_queries": queries + empty, "unique_nonempty_queries": queries}
    return found


def _between(keys: Keys, first: np.ndarray, repeats: np.ndarray) -> list[dict[str, Any]]:
    """How many rows of one source repeat a row of another, or of the same."""
    again = np.flatnonzero(repeats)
    pairs = Counter(
        zip(keys.source[again].tolist(), keys.source[first[again]].tolist(), strict=True)
    )
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
