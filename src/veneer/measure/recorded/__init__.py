"""Read what others measured: outputs, benchmark results and preferences, from their own files."""

from veneer.measure.recorded.benchmarks import merged, read_benchmark
from veneer.measure.recorded.joining import Join, check_roles, join, of_teacher
from veneer.measure.recorded.judged import RecordedVerdicts, recorded_verdicts
from veneer.measure.recorded.naming import stem_of
from veneer.measure.recorded.outputs import Outputs, read_outputs, split_claim, with_prompts
from veneer.measure.recorded.preferences import (
    Preferences,
    preferences_of,
    read_preferences,
)

__all__ = [
    "Join",
    "Outputs",
    "Preferences",
    "RecordedVerdicts",
    "check_roles",
    "join",
    "merged",
    "of_teacher",
    "preferences_of",
    "read_benchmark",
    "read_outputs",
    "read_preferences",
    "recorded_verdicts",
    "split_claim",
    "stem_of",
    "with_prompts",
]
