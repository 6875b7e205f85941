"""Toxicity: scorers, recorded scores, continuations, and refusals beside them."""

from veneer.measure.toxicity.recorded import (
    Recorded,
    has_recorded_scores,
    read_recorded,
    read_toxicity_prompts,
    recorded_sheet,
    recorded_toxicity,
)
from veneer.measure.toxicity.refusals import declines
from veneer.measure.toxicity.scores import Score, Scorer, lexicon
from veneer.measure.toxicity.sheets import continuation_sheets, toxicity_sheets

__all__ = [
    "Recorded",
    "Score",
    "Scorer",
    "continuation_sheets",
    "declines",
    "has_recorded_scores",
    "lexicon",
    "read_recorded",
    "read_toxicity_prompts",
    "recorded_sheet",
    "recorded_toxicity",
    "toxicity_sheets",
]
