"""Nearest sentence BLEU of many texts: the work is shared out over threads here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np

from veneer.corpus.nearest.scores import Above, Nearest
from veneer.errors import InputError

Progress = Callable[[int, int], None]

SMALL = 512
"""Queries up to which one thread does them: starting others would take longer."""


def nearest_bleu(
    queries: Sequence[str],
    against: Sequence[str] | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Nearest:
    """For each query the highest sentence BLEU against any one reference, and which it is.

    Equal to `sacrebleu.sentence_bleu(query, [reference]).score` with its defaults (13a,
    exponential smoothing, effective order, case-sensitive) to 1e-9, for all pairs.

    Args:
        queries: hypotheses.
        against: references; None for the other queries (each but the one in the same place).
        threads: how many to use; None for as many as the process may use processors.
        progress: called with (queries done, queries) from the calling thread.

    Raises:
        InputError: fewer than one thread, or a text that is longer than the kernel's counters hold
            (2,097,151 tokens).
    """
    bleu = np.zeros(len(queries))
    index = np.full(len(queries), -1, np.int64)
    for low, high, part in _searched(queries, against, -1.0, threads, progress):
        bleu[low:high], index[low:high] = part[0], part[1]
    return Nearest(bleu, index)


def above(
    queries: Sequence[str],
    against: Sequence[str] | None,
    threshold: float,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Above:
    """All pairs whose sentence BLEU (query as hypothesis) is strictly above `threshold`.

    Strictly up to rounding: by more than `SAME`.

    Arguments, scores and errors as in `nearest_bleu`; threshold in BLEU points, 0-100. A low
    threshold can mean as many pairs as there are; each takes 24 bytes.
    """
    if not 0 <= threshold <= 100:
        raise InputError(
            f"A threshold of {threshold} is no BLEU.", "Give a number from 0 to 100, such as 20."
        )
    parts = sorted(
        (low, [column[: part[3]] for column in part[2]])
        for low, _, part in _searched(queries, against, float(threshold), threads, progress)
    )
    query, reference, bleu = (
        np.concatenate([part[k] for _, part in parts] or [np.empty(0)]) for k in range(3)
    )
    order = np.lexsort((reference, query))
    return Above(query[order].astype(np.int64), reference[order].astype(np.int64), bleu[order])


def unique_queries(texts: Iterable[str]) -> list[str]:
    """The non-empty texts, the first of each, in order."""
    return [text for text in dict.fromkeys(texts) if text]


def sample_of(texts: Iterable[str], n: int) -> list[str]:
    """The first n of the texts sorted by the SHA-1 of their UTF-8, in hexadecimal."""
    return sorted(texts, key=lambda text: hashlib.sha1(_utf8(text)).hexdigest())[:n]


def _processors() -> int:
    """Processors that this process may use; all of them where the system does not say."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _searched(
    queries: Sequence[str],
    against: Sequence[str] | None,
    threshold: float,
    threads: int | None,
    progress: Progress | None,
) -> Iterator[tuple[int, int, Any]]:
    """Blocks (low, high, what `kernel.search` found), in whatever order they are done."""
    from veneer.corpus.nearest.index import indexed
    from veneer.corpus.nearest.kernel import search

    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads cannot search.", "Give 1 or more, or none to use all.")
    total = len(queries)
    if progress:
        progress(0, total)
    if not total or (against is not None and not len(against)):
        return
    index = indexed(queries, against)
    orders = tuple((o.begins, o.ids, o.counts, o.starts, o.texts, o.times) for o in index.orders)
    logs = np.log(np.maximum(np.arange(int(index.lengths.max(initial=0)) + 3), 1))

    def block(low: int) -> tuple[int, int, Any]:
        high = min(low + size, total)
        alike = against is None
        found = search(
            low, high, index.first, alike, index.lengths, index.references, orders, logs, threshold
        )
        return low, high, found

    workers = 1 if total <= SMALL else (threads or _processors())
    size = total if total <= SMALL else max(128, min(4096, total // (16 * workers)))
    lows = range(0, total, size)
    done = 0
    if workers == 1:
        for low in lows:
            part = block(low)
            done += part[1] - low
            if progress:
                progress(done, total)
            yield part
        return
    with ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(block, low) for low in lows]
        try:
            for task in as_completed(tasks):
                part = task.result()
                done += part[1] - part[0]
                if progress:
                    progress(done, total)
                yield part
        finally:
            for task in tasks:
                task.cancel()
