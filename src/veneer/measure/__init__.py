"""Score answers: benchmarks, style, toxicity, judged preferences, and recorded files of others."""

from veneer.measure.measuring import measured
from veneer.measure.names import MEASURES

__all__ = ["MEASURES", "measured"]
