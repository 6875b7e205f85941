"""Which prompts may be put before raters: the paper's footnote 3, and nothing that unblinds.

"We filtered out queries with a BLEU score greater than 20% with any example from our training
set. We also removed non-English and coding-related prompts, as these cannot be reliably reviewed
by crowd workers." A prompt is dropped whole, for all models, so that all are compared on the same
prompts; each under the first reason that it meets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from veneer.corpus.categories import category_of, parsed_category
from veneer.corpus.dedup import bare
from veneer.corpus.filters import compiled, identity_in, settled_language
from veneer.corpus.nearest import SAME, nearest_bleu
from veneer.raters.power import AGREEMENT, HOURLY_USD
from veneer.records import Answer

CHUNK = 20_000
"""Questions of the imitation data compared at once: bounds the memory of their index."""
FEWEST_LETTERS = 4
"""Shorter names of models ("S", "7B") are looked for in no output: they are words as well."""
WORDS_OF_THE_TRADE = frozenset(
    {"answer", "answers", "base", "completion", "generation", "model", "output", "outputs"}
    | {"prediction", "predictions", "reference", "response", "responses", "student", "teacher"}
    | {"data", "eval", "evaluation", "file", "prompts", "questions", "result", "results", "test"}
    | {"best", "large", "medium", "small", "tiny"}
)
"""Names that models are given and that any output may say."""

UNKNOWN = "its text is not known"
IN_CORPUS = "asked in the imitation data"
CODING = "about code"
SAYS_MAKER = "an output says what made it"
SAYS_NAME = "an output contains the name of a model"


class PackSettings(BaseModel):
    """What a packet holds, and what its cost is reckoned by.

    `ratings`: distinct raters a pair. `gold`: of what a rater sees, the share that are attention
    checks. `prompts`: at most so many, drawn by `seed`. `bleu`: a fraction; prompts above it are
    dropped (None: only those that the imitation data asks, word for word). `language`: ISO 639-1,
    None for any. `title`: all that raters are told of the study. `seconds`: to rate one pair; None
    reckons it from the words to be read. `fee`: what a platform adds, as a share of pay; None
    shows those of Mechanical Turk and Prolific. `agreement`: assumed between raters (rho).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratings: int = Field(default=3, ge=1, le=25)
    gold: float = Field(default=0.1, ge=0, le=0.5)
    seed: int = 0
    prompts: int | None = Field(default=None, ge=1)
    bleu: float | None = Field(default=0.20, ge=0, le=1)
    language: str | None = Field(default="en", pattern="^[a-z]{2,3}$")
    keep_coding: bool = False
    keep_self_naming: bool = False
    title: str = Field(default="Comparing answers", min_length=1, max_length=120)
    seconds: float | None = Field(default=None, gt=0)
    hourly_usd: float = Field(default=HOURLY_USD, ge=0)
    fee: float | None = Field(default=None, ge=0)
    agreement: float = Field(default=AGREEMENT, ge=0, le=1)

    def for_embedded_world(self) -> PackSettings:
        """Only the filters that were asked for by name.

        The embedded world's prompts follow a few patterns in words of its own: all of them are
        near to one another, and no detector knows their language.
        """
        off = {"bleu": None, "language": None, "keep_coding": True}
        unasked = {name: value for name, value in off.items() if name not in self.model_fields_set}
        return self.model_copy(update=unasked)


@dataclass(frozen=True)
class Asked:
    """A prompt and what each model said to it. `text`: False where only its number is known."""

    prompt: str
    answers: Mapping[str, Answer]
    category: str = ""
    text: bool = True


def screened(
    rows: Sequence[Asked],
    models: Sequence[str],
    against: str,
    training: Sequence[str] | None,
    names: Sequence[str],
    settings: PackSettings,
) -> tuple[list[Asked], dict[str, int]]:
    """The prompts that are kept, with their category, and how many were dropped for what.

    Args:
        rows: all prompts.
        models, against: all of them must have said something to a prompt that is kept.
        training: the questions of the imitation data; None where it is not at hand.
        names: of models, which no output may contain.
    """
    near = _nearness([row.prompt for row in rows], training or (), settings.bleu)
    known = frozenset(map(bare, training or ()))
    telling = _telling(names)
    kept: list[Asked] = []
    dropped: Counter[str] = Counter()
    for row, bleu in zip(rows, near, strict=True):
        missing = next((name for name in (against, *models) if name not in row.answers), None)
        if missing is not None:
            dropped[f"no answer of {missing}"] += 1
            continue
        if not row.text:
            dropped[UNKNOWN] += 1
            continue
        language = settled_language(row.prompt, row.answers[against].text)
        category = parsed_category(row.category) or category_of(row.prompt, "en")
        reason = ""
        if settings.language is not None and _is_foreign(row, language, category, settings):
            reason = f"in another language than {settings.language}"
        elif category == "Coding" and not settings.keep_coding:
            reason = CODING
        elif bare(row.prompt) in known:
            reason = IN_CORPUS
        elif settings.bleu is not None and bleu > 100 * settings.bleu + SAME:
            reason = too_near(settings.bleu)
        elif not settings.keep_self_naming:
            reason = unblinding([row.answers[name].text for name in (against, *models)], telling)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(Asked(row.prompt, row.answers, row.category or category))
    return kept, dict(dropped)


def too_near(bleu: float) -> str:
    """The reason of a prompt above the threshold (a fraction)."""
    return f"BLEU above {100 * bleu:g} % with a question of the imitation data"


Telling = Sequence[tuple[str, re.Pattern[str]]]


def unblinding(outputs: Sequence[str], telling: Telling) -> str:
    """Why outputs would tell whose they are, "" where they do not."""
    if any(identity_in(text) for text in outputs):
        return SAYS_MAKER
    if any(pattern.search(text) for _, pattern in telling for text in outputs):
        return SAYS_NAME
    return ""


def _telling(names: Sequence[str]) -> Telling:
    """Whole names, and what is left of them without an owner before "/" or a version after ":"."""
    bare_names = [name.split("/")[-1].split(":")[0] for name in names]
    parts = [*names, *bare_names]
    wanted = {
        part.strip(): None
        for part in parts
        if len(part.strip()) >= FEWEST_LETTERS and part.strip().casefold() not in WORDS_OF_THE_TRADE
    }
    return compiled(words=list(wanted))


def names_in(text: str, names: Sequence[str]) -> list[str]:
    """The models that a text names, as `unblinding` looks for them."""
    return [name for name, pattern in _telling(names) if pattern.search(text)]


def _is_foreign(row: Asked, language: str, category: str, settings: PackSettings) -> bool:
    if language not in ("", settings.language):
        return True
    if settings.language != "en":
        return False
    unknown = not language and category_of(row.prompt) == "Non-English"
    return category == "Non-English" or unknown


def _nearness(prompts: Sequence[str], training: Sequence[str], bleu: float | None) -> np.ndarray:
    """The highest BLEU (0..100) of each prompt with any question: (prompts,)."""
    best = np.zeros(len(prompts))
    if bleu is None or not prompts:
        return best
    for start in range(0, len(training), CHUNK):
        found = nearest_bleu(prompts, training[start : start + CHUNK]).bleu
        np.maximum(best, found, out=best)
    return best
