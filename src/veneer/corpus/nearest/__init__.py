"""Exact nearest sentence BLEU: for each text the most similar other one, as sacrebleu scores it."""

from veneer.corpus.nearest.scores import SAME, Above, Nearest, estimates_of
from veneer.corpus.nearest.search import above, nearest_bleu, sample_of, unique_queries

__all__ = [
    "SAME",
    "Above",
    "Nearest",
    "above",
    "estimates_of",
    "nearest_bleu",
    "sample_of",
    "unique_queries",
]
