"""Score answers: benchmarks, style, toxicity, and recorded files of others."""

from veneer.measure.measuring import MEASURES, measured

__all__ = ["MEASURES", "measured"]
