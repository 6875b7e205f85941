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
from veneer.measure.toxicity.scorers import scorer_of
from veneer.measure.toxicity.scores import Score, Scorer, lexicon
from veneer.measure.toxicity.settings import ToxicitySettings
from veneer.measure.toxicity.sheets import continuation_sheets, toxicity_sheets

__all__ = [
    "Recorded",
    "Score",
    "Scorer",
    "ToxicitySettings",
    "continuation_sheets",
    "declines",
    "has_recorded_scores",
    "lexicon",
    "read_recorded",
    "read_toxicity_prompts",
    "recorded_sheet",
    "recorded_toxicity",
    "scorer_of",
    "toxicity_sheets",
]
