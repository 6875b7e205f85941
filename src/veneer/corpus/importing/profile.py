"""What data sets hold, counted while they are read: records, queries, reasons, turns.

A query is the first user turn as it was read, before anything was trimmed; text is compared as
it stands. Memory: 16 bytes a distinct query and what a Python set needs for them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.corpus.importing.formats import AGAIN
from veneer.corpus.importing.reading import read_batches
from veneer.files import fingerprint

if TYPE_CHECKING:
    import pyarrow as pa

ROLES = ("user", "assistant", "system")


@dataclass
class _Counts:
    records: int = 0
    dialogues: int = 0
    empty_queries: int = 0
    with_answer: int = 0
    pairs: int = 0
    turns: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    trimmed: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    queries: set[bytes] = field(default_factory=set)


class Profile:
    """Counts by source, of batches as `read_batches` gives them."""

    def __init__(self) -> None:
        self._sources: dict[str, _Counts] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        names = ("source", "reason", "asked", "starts", "messages", "trimmed", "notes")
        columns = [batch.column(name).to_pylist() for name in names]
        for source, reason, asked, starts, messages, trimmed, notes in zip(*columns, strict=True):
            counts = self._sources.setdefault(source, _Counts())
            counts.notes.update(notes)
            counts.trimmed.update(cut.partition("\t")[0] for cut in trimmed)
            if AGAIN not in notes:
                counts.records += 1
                if starts:
                    counts.starts[starts] += 1
                    counts.empty_queries += not asked.strip()
                    counts.queries.add(_digest(asked))
            pairs = pairs_of(messages)
            counts.with_answer += pairs > 0
            if reason:
                counts.rejected[reason] += 1
            else:
                counts.dialogues += 1
                counts.pairs += pairs
                counts.turns += len(messages)

    def result(self) -> dict[str, dict[str, Any]]:
        """By source, in order of its name:

        records: read, of which each became one row or more (a note counts those that did).
        dialogues, rejected: rows kept, and rows rejected by reason.
        empty_queries, unique_queries, unique_nonempty_queries: over records with turns.
        starts_with: records by the role of their first turn.
        with_answer: rows in which an answer follows a question.
        pairs, turns: questions with an answer, and turns, of dialogues.
        trimmed, notes: turns cut off, by reason; changes that lost nothing.
        """
        empty = _digest("")
        return {
            source: {
                "records": counts.records,
                "dialogues": counts.dialogues,
                "rejected": dict(sorted(counts.rejected.items())),
                "empty_queries": counts.empty_queries,
                "unique_queries": len(counts.queries),
                "unique_nonempty_queries": len(counts.queries - {empty}),
                "starts_with": {role: counts.starts[role] for role in ROLES},
                "with_answer": counts.with_answer,
                "pairs": counts.pairs,
                "turns": counts.turns,
                "trimmed": dict(sorted(counts.trimmed.items())),
                "notes": dict(sorted(counts.notes.items())),
            }
            for source, counts in sorted(self._sources.items())
        }


def profile(*paths: str | Path) -> dict[str, dict[str, Any]]:
    """The profile of whole files, by source (`Profile.result`)."""
    found = Profile()
    for path in paths:
        for batch in read_batches(path):
            found.add(batch)
    return found.result()


def twins(paths: Sequence[str | Path]) -> dict[int, int]:
    """Files with the content of an earlier one: its position in `paths` to the earlier's.

    Compared unzipped, byte for byte; data sets of the hub are not compared.
    """
    first: dict[str, int] = {}
    found = {}
    for at, path in enumerate(paths):
        earlier = first.setdefault(fingerprint(path) or f"only {at}", at)
        if earlier != at:
            found[at] = earlier
    return found


def pairs_of(messages: Iterable[dict[str, str]]) -> int:
    """Question–answer pairs: answers that stand right after a question, system turns aside."""
    roles = [turn["role"] for turn in messages if turn["role"] != "system"]
    said = [bool(turn["content"].strip()) for turn in messages if turn["role"] != "system"]
    return sum(
        roles[k] == "user" and roles[k + 1] == "assistant" and said[k] and said[k + 1]
        for k in range(len(roles) - 1)
    )


def _digest(query: str) -> bytes:
    if not query.strip():
        query = ""
    return hashlib.blake2b(query.encode("utf-8", "surrogatepass"), digest_size=16).digest()
