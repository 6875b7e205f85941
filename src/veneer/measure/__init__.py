"""Score answers: benchmarks, style, toxicity, judged preferences, and recorded files of others."""

from veneer.measure.measuring import MEASURES, measured

__all__ = ["MEASURES", "measured"]
