"""How near a corpus comes to each question of a benchmark: what the imitation data supports.

The paper finds that broad imitation improves a student on what its data covers and nowhere else
(Section 4.3). An item's support is the highest sentence BLEU of its text (the hypothesis) against
any question of the corpus (the reference), every user turn counted: the figure that
decontamination removes by, here kept for every item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from veneer.corpus.nearest import SAME, nearest_bleu, unique_queries
from veneer.errors import InputError
from veneer.records import BenchmarkItem, Dialogue, Support, read_rows, write_rows
from veneer.steps import Job

ITEMS = "items"
"""Inputs whose names begin so hold benchmark items."""
CHUNK = 20_000
"""Questions compared at once: bounds the memory of their index."""


def supported(job: Job) -> None:
    """Step: the nearest question of a corpus to each item of the benchmarks.

    inputs: `corpus`, a curated corpus (a folder with corpus.jsonl, or that file), and one or more
        whose names begin with `items`, each a file of BenchmarkItem rows or a folder with
        items.jsonl.
    Writes support.jsonl: a Support row an item, in the order of the inputs' names.

    Raises:
        InputError: an input is missing, or two items of a measure have one name.
    """
    sources = [path for name, path in sorted(job.inputs.items()) if name.startswith(ITEMS)]
    if not sources or "corpus" not in job.inputs:
        raise InputError(
            "Support needs benchmark items and a corpus.",
            f"Give inputs `{ITEMS}` (items.jsonl) and `corpus` (corpus.jsonl).",
        )
    items = [
        row
        for path in sources
        for row in read_rows(_file(Path(path), "items.jsonl"), BenchmarkItem)
    ]
    corpus = read_rows(_file(Path(job.inputs["corpus"]), "corpus.jsonl"), Dialogue)
    asked = unique_queries(
        turn.content for row in corpus for turn in row.messages if turn.role == "user"
    )
    write_rows(job.out / "support.jsonl", support(items, asked, job.progress))


def support(
    items: Sequence[BenchmarkItem],
    queries: Sequence[str],
    progress: Callable[..., None] = lambda done, total, note="": None,
) -> list[Support]:
    """A row an item, in order: highest BLEU (0..100) of any query, and the first that has it.

    Without queries nothing is supported: every BLEU is 0 and the query "".

    Raises:
        InputError: two items of a measure have one name.
    """
    named: set[tuple[str, str]] = set()
    for item in items:
        if (item.measure, item.item) in named:
            raise InputError(
                f"The item {item.item!r} of {item.measure} is there twice.", "Keep one of them."
            )
        named.add((item.measure, item.item))
    texts = list(dict.fromkeys(item.text for item in items))
    place = {text: at for at, text in enumerate(texts)}
    best, nearest = np.zeros(len(texts)), [""] * len(texts)
    starts = range(0, len(queries), CHUNK)
    for turn, start in enumerate(starts):

        def told(done: int, total: int, turn: int = turn) -> None:
            progress(turn * total + done, len(starts) * total, "comparing items with queries")

        part = queries[start : start + CHUNK]
        found = nearest_bleu(texts, part, progress=told)
        for at in np.flatnonzero(found.bleu > best + (SAME if turn else 0)).tolist():
            best[at], nearest[at] = found.bleu[at], part[int(found.index[at])]
    return [
        Support(
            measure=item.measure,
            item=item.item,
            bleu=float(best[place[item.text]]),
            query=nearest[place[item.text]],
        )
        for item in items
    ]


def _file(path: Path, name: str) -> Path:
    found = path / name if path.is_dir() else path
    if not found.is_file():
        raise InputError(f"{path} holds no {name}.", f"Give a folder with {name}, or that file.")
    return found
