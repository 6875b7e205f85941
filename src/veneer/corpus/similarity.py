"""The command `veneer nearest`: how near each query of a file comes to another, by BLEU."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veneer.corpus.decontaminate import THRESHOLD
from veneer.corpus.nearest import (
    Nearest,
    estimates_of,
    nearest_bleu,
    sample_of,
    unique_queries,
)
from veneer.corpus.pipeline.reading import Evaluation, read_evaluation
from veneer.errors import InputError


def nearest_file(
    queries: Path,
    against: Path | None = None,
    out: Path | None = None,
    *,
    sample: int | None = None,
    threshold: float = THRESHOLD,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The nearest sentence BLEU of each query of a file.

    Args:
        queries: a file in any format that importing knows; each record's query is a hypothesis.
        against: the references' file. None: the other queries of the same file, each text once
            and empty ones left out, as the paper's diversity figure is made (§3).
        out: gets a line a query: {"id", "query", "bleu" (0-100), "nearest"}.
        sample: the first so many of the different queries, sorted by their SHA-1; the mean grows
            with the size of a set, so compare equal sizes.
        threshold: BLEU points for `share_above`, strictly.

    Returns:
        n, mean_bleu with its interval (normal, over queries), share_above with its interval
        (Wilson's), against (references), records, empty, repeats, and text for people.

    Raises:
        InputError: a file cannot be read, or has no query.
    """
    if not 0 <= threshold <= 100:
        raise InputError(f"A threshold of {threshold:g} is no BLEU.", "Give 0 to 100, such as 20.")
    given = read_evaluation(queries)
    texts, ids = _hypotheses(given, sample, once=against is None)
    if not texts:
        raise InputError(f"{queries} has no query that is not empty.", "Give a file of queries.")
    others = None if against is None else unique_queries(read_evaluation(against).texts)
    found = nearest_bleu(texts, others, threads=threads, progress=progress)
    if out is not None:
        _write(out, texts, ids, found, texts if others is None else others)
    empty = sum(not text for text in given.texts)
    facts: dict[str, Any] = {
        "n": len(texts),
        **estimates_of(found.bleu, threshold),
        "threshold": threshold,
        "against": len(texts) - 1 if others is None else len(others),
        "records": len(given.texts),
        "empty": empty,
        "repeats": len(given.texts) - empty - len(unique_queries(given.texts)),
    }
    return {**facts, "text": _text(facts, queries, against, sample)}


def _hypotheses(given: Evaluation, sample: int | None, once: bool) -> tuple[list[str], list[str]]:
    """Texts that are no hypothesis twice, or all that are not empty, with their records' ids."""
    places: dict[str, int] = {}
    for at, text in enumerate(given.texts):
        if text:
            places.setdefault(text, at)
    if once or sample is not None:
        texts = list(places)
        texts = texts if sample is None else sample_of(texts, sample)
        return texts, [given.id(places[text]) for text in texts]
    kept = [at for at, text in enumerate(given.texts) if text]
    return [given.texts[at] for at in kept], [given.id(at) for at in kept]


def _write(
    out: Path, texts: Sequence[str], ids: Sequence[str], found: Nearest, others: Sequence[str]
) -> None:
    scratch = out.with_name(f".partial-{out.name}")
    rows = zip(ids, texts, found.bleu.tolist(), found.index.tolist(), strict=True)
    with scratch.open("w", encoding="utf-8") as file:
        for name, text, bleu, at in rows:
            row = {
                "id": name,
                "query": text,
                "bleu": bleu,
                "nearest": others[at] if at >= 0 else None,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    scratch.replace(out)


def _text(facts: dict[str, Any], queries: Path, against: Path | None, sample: int | None) -> str:
    low, high = facts["share_above_interval"]
    between = ""
    if facts["mean_bleu_interval"]:
        between = " [{:.2f}, {:.2f}]".format(*facts["mean_bleu_interval"])
    other = "the most similar other query" if against is None else f"the nearest in {against.name}"
    lines = [
        f"{queries.name}: mean BLEU {facts['mean_bleu']:.4f}{between} to {other} "
        f"(n {facts['n']:,} against {facts['against']:,}).",
        f"Above {facts['threshold']:g}: {facts['above']:,} of {facts['n']:,}, "
        f"{100 * facts['share_above']:.2f} % [{100 * low:.1f}, {100 * high:.1f}].",
    ]
    left_out = [f"{facts['empty']:,} empty"] * bool(facts["empty"])
    if against is None or sample is not None:
        left_out += [f"{facts['repeats']:,} repeated"] * bool(facts["repeats"])
    if left_out:
        lines.append(f"Left out of {facts['records']:,} records: {', '.join(left_out)}.")
    if sample is None and against is None:
        lines.append("The mean grows with the size of a set: compare equal sizes (--sample 300).")
    return "\n".join(lines)
