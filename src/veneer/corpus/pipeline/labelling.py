"""Categories by a judge model, for the rows that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from veneer.corpus import rows
from veneer.corpus.categories import judge_categories
from veneer.corpus.pipeline.judging import REASONS, Judged
from veneer.corpus.pipeline.parts import as_batch, read_part
from veneer.models.asking import Model


def labelled(
    parts: Sequence[Path], judged: Judged, model: Model, tell: Callable[[float, str], None]
) -> tuple[list[list[str]], Counter[str]]:
    """The category of each row, part by part, and why rows have none, by reason.

    Rows that say their category keep it, and nothing is asked of rows that are dropped.
    """
    labels: list[list[str]] = []
    without: Counter[str] = Counter()
    for at, part in enumerate(parts):
        tell(at / len(parts), f"categories: {at:,} of {len(parts):,} parts")
        codes = judged.codes[judged.starts[at] : judged.starts[at + 1]]
        batch = as_batch(read_part(part))
        batch = rows.rejected(batch, [REASONS[code] for code in np.asarray(codes)])
        batch, why = judge_categories(batch, model)
        labels.append(batch.column("category").to_pylist())
        without += why
    return labels, without
