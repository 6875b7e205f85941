"""The questions of benchmarks without their shots: what the support analysis looks up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from veneer.errors import InputError, nearest
from veneer.measure.benchmarks.own import BENCHMARKS, given_files
from veneer.measure.items import item_ids
from veneer.records import BenchmarkItem


def item_texts(
    measure: str,
    data: Path,
    files: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> list[BenchmarkItem]:
    """A benchmark's items, named as in its score sheets. `category` is the subject of MMLU.

    Args:
        measure: of `BENCHMARKS`.
        data, files, limit: as in `benchmark`; `limit` items, from the first.
    """
    if measure not in BENCHMARKS:
        raise InputError(f"{measure!r} has no item texts here.", nearest(measure, BENCHMARKS))
    kind = BENCHMARKS[measure]
    docs = kind.documents(**given_files(measure, data, files or {}, limit))["test"]
    ids = item_ids(kind.identity(doc) for doc in docs)
    return [
        BenchmarkItem(measure=measure, item=name, text=kind.text(doc), category=kind.category(doc))
        for name, doc in zip(ids, docs, strict=True)
    ]
