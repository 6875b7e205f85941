"""The filters of a curation that look at one row at a time, in the order of the funnel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from veneer.corpus.categories import tag_categories
from veneer.corpus.filters import (
    keep_language,
    reject_identity,
    reject_keywords,
    reject_refusals,
    tag_language,
)
from veneer.corpus.pipeline.settings import Curation
from veneer.corpus.splitting import split

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SIGNATURE = "signature"
FUNNEL = (
    "import",
    "language",
    "identity",
    "refusals",
    "keywords",
    "deduplication",
    "near-duplicates",
    "decontamination",
)
"""Where a row can be dropped, in order."""


def filters(settings: Curation) -> list[tuple[str, Callable[[pa.RecordBatch], Any]]]:
    """Name and function of each row filter that is on."""
    chain: list[tuple[str, Callable[[pa.RecordBatch], Any]]] = []
    if settings.language is not None:
        wanted, sure = settings.language, settings.confidence
        chain.append(("language", partial(keep_language, language=wanted, confidence=sure)))
    elif settings.categories:  # "Non-English" is one of them
        chain.append(("language", partial(tag_language, confidence=settings.confidence)))
    if settings.identity:
        chain.append(("identity", partial(reject_identity, extra=settings.identity_patterns)))
    if settings.refusals:
        chain.append(("refusals", reject_refusals))
    if settings.keywords or settings.keyword_patterns:
        words = {"words": settings.keywords, "patterns": settings.keyword_patterns}
        chain.append(("keywords", partial(reject_keywords, **words, where=settings.keywords_in)))
    if settings.categories:
        chain.append(("categories", tag_categories))
    return chain


def pieces(batch: pa.RecordBatch, settings: Curation) -> pa.RecordBatch:
    """The batch with conversations of more words than `settings.split` in pieces."""
    if settings.split is None:
        return batch
    return split(batch, settings.split)


def signature_column(texts: list[str]) -> pa.Array:
    """MinHash signatures of queries, as fixed-size binary."""
    import pyarrow as pa

    from veneer.corpus.near_duplicates import BANDS, ROWS, shingled, signatures

    width = 4 * BANDS * ROWS
    signs = signatures(shingled(texts))
    return pa.Array.from_buffers(pa.binary(width), len(texts), [None, pa.py_buffer(signs)])


def signatures_in(column: pa.ChunkedArray) -> np.ndarray:
    """The signatures of a column that `signature_column` made: uint32 (rows, values)."""
    import numpy as np

    from veneer.corpus.near_duplicates import BANDS, ROWS

    packed = b"".join(column.to_pylist())
    return np.frombuffer(packed, np.uint32).reshape(-1, BANDS * ROWS)
