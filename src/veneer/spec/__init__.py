"""The study file: what is asked, trained and measured. YAML in, a frozen `Study` out.

Everything here decides results and enters fingerprints, but for the budget; how a study is
executed (processes, devices, folders) is never in the file. Unknown keys are refused with the
nearest known one.
"""

from veneer.spec.loading import (
    BUILT_IN,
    check_files,
    json_schema,
    load_study,
    parse_study,
)
from veneer.spec.measures import MEASURES, NEEDS, Measure
from veneer.spec.parts import Budget, Corpus, Teacher, parse_tokens
from veneer.spec.study import Study

__all__ = [
    "BUILT_IN",
    "MEASURES",
    "NEEDS",
    "Budget",
    "Corpus",
    "Measure",
    "Study",
    "Teacher",
    "check_files",
    "json_schema",
    "load_study",
    "parse_study",
    "parse_tokens",
]
