"""The filters of a curation that look at one row at a time, in the order of the funnel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from veneer.corpus.filters import keep_language, reject_identity, reject_keywords, reject_refusals
from veneer.corpus.pipeline.settings import Curation

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT = "split"
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
        wanted = {"language": settings.language, "confidence": settings.confidence}
        chain.append(("language", partial(keep_language, **wanted)))
    if settings.identity:
        chain.append(("identity", partial(reject_identity, extra=settings.identity_patterns)))
    if settings.refusals:
        chain.append(("refusals", reject_refusals))
    if settings.keywords or settings.keyword_patterns:
        words = {"words": settings.keywords, "patterns": settings.keyword_patterns}
        chain.append(("keywords", partial(reject_keywords, **words, where=settings.keywords_in)))
    return chain
