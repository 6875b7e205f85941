"""Filters of one batch: each marks what it rejects in `reason`, none removes or moves a row."""

from veneer.corpus.filters.answers import (
    answers_with_identity,
    answers_with_refusal,
    identity_in,
    refusal_in,
    reject_identity,
    reject_refusals,
)
from veneer.corpus.filters.keywords import compiled, reject_keywords
from veneer.corpus.filters.language import (
    keep_language,
    language_of,
    settled_language,
    tag_language,
)

__all__ = [
    "answers_with_identity",
    "answers_with_refusal",
    "compiled",
    "identity_in",
    "keep_language",
    "language_of",
    "refusal_in",
    "reject_identity",
    "reject_keywords",
    "reject_refusals",
    "settled_language",
    "tag_language",
]
