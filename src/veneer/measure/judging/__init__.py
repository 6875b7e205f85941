"""The judge: which of two answers is better, and in what tone a model speaks, asked of a model."""

from veneer.measure.judging.asking import Pair, Side, judge_pairs, last_attempts, pairs_of
from veneer.measure.judging.settings import JudgeSettings
from veneer.measure.judging.step import judged
from veneer.measure.judging.tone import tone_sheet

__all__ = [
    "JudgeSettings",
    "Pair",
    "Side",
    "judge_pairs",
    "judged",
    "last_attempts",
    "pairs_of",
    "tone_sheet",
]
