"""The categories of the paper's Table 5, by rules or by a judge model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from veneer.models.asking import Model, Progress

if TYPE_CHECKING:
    import pyarrow as pa


def tag_categories(batch: pa.RecordBatch, overwrite: bool = False) -> pa.RecordBatch:
    """Fill `category` by rules; "" where no rule fits."""
    raise NotImplementedError


def judge_categories(
    batch: pa.RecordBatch, model: Model, overwrite: bool = False, progress: Progress | None = None
) -> tuple[pa.RecordBatch, Counter[str]]:
    """Fill `category` by a judge model; the counter says why rows have none."""
    raise NotImplementedError
