"""The lines that verdicts are drawn at, and how an interval stands to a line."""

from __future__ import annotations

from veneer.findings.resample import Sampled, interval
from veneer.records import Verdict

LITTLE = 0.25
""""Little to none" of the capability gap (abstract): a quarter of it at most."""

GOOD_PREFERENCE_GAP = 0.5
"""Raters are pleased when a student closes more than half of the preference gap."""

GOOD_WIN_OR_TIE = 0.5
"""... or when more than half of its answers are rated equal to or better than the teacher's
(about 70 % in the paper's Figure 1)."""


def sign(number: Sampled, line: float = 0.0) -> Verdict:
    """holds above the line, fails below it, undecided where the interval contains it."""
    bounds = interval(number)
    if bounds is None:
        return "undecided"
    return "holds" if bounds[0] > line else "fails" if bounds[1] < line else "undecided"
