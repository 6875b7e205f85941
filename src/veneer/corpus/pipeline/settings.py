"""What decides the result of a curation: plain options, the same in a study file and a command."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from veneer.corpus.dedup import Dedup, Sameness
from veneer.errors import InputError, nearest


class Options(BaseModel):
    """Frozen; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Decontamination(Options):
    """How evaluation text is kept apart.

    A question equal to an evaluation query (up to case, width, spacing and punctuation) is always
    contaminated; beyond that, one against which an evaluation query has a sentence BLEU above
    `bleu` (a fraction; None: equality only). `remove`: the "corpus" loses its contaminated
    dialogues, or the "evaluation" its contaminated queries (the paper's footnote 3).
    """

    bleu: float | None = Field(default=0.20, ge=0, lt=1)
    remove: Literal["corpus", "evaluation"] = "corpus"


class Curation(Options):
    """The filters of a curation, in the order in which they are applied.

    teacher, licence: who wrote the answers, and the terms, of records that do not say.
    split: conversations of more than so many words are split between exchanges; None: never.
    language: drop dialogues in another one (ISO 639-1); None: none, and languages are
        determined only for `categories`. Below the score `confidence` a language counts as
        unknown, which is kept.
    identity: drop answers in which a model says what made it; `identity_patterns` (regular
        expressions) are added to the built-in ones. refusals: drop answers that begin as
        refusals do.
    keywords, keyword_patterns: drop dialogues with one of these words, or of these regular
        expressions, in `keywords_in` them.
    dedup: keep the first dialogue of each "query" or each "pair" (the whole dialogue); "none".
    sameness: duplicates are equal texts ("exact"), or equal up to case, width and spacing.
    near_duplicates: drop what resembles an earlier query by this Jaccard similarity; None: never.
    decontaminate: see `Decontamination`.
    categories: tag queries with the categories of the paper's Table 5, by rules.
    diversity: queries in the sample for the diversity figure; 0: none.
    """

    teacher: str = ""
    licence: str = ""
    split: int | None = Field(default=None, ge=1)
    language: str | None = None
    confidence: float = Field(default=0.5, ge=0, le=1)
    identity: bool = False
    identity_patterns: tuple[str, ...] = ()
    refusals: bool = False
    keywords: tuple[str, ...] = ()
    keyword_patterns: tuple[str, ...] = ()
    keywords_in: Literal["queries", "answers", "both"] = "both"
    dedup: Dedup = "query"
    sameness: Sameness = "exact"
    near_duplicates: float | None = Field(default=None, gt=0, le=1)
    decontaminate: Decontamination = Decontamination()
    categories: bool = True
    diversity: int = Field(default=300, ge=0)


def curation_of(options: dict[str, Any]) -> Curation:
    """Options as read from a file.

    Raises:
        InputError: one of them is unknown or has a value that it cannot have.
    """
    try:
        return Curation.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = Decontamination if len(first["loc"]) > 1 else Curation
            hint = nearest(str(first["loc"][-1]), known.model_fields)
            raise InputError(f"Curation has no option {name!r}.", hint) from error
        raise InputError(
            f"Curation: {name} cannot be {first['input']!r} ({first['msg']}).",
            "See `veneer curate --help` for what it may be.",
        ) from error
