"""The paper's six claims, each with a verdict drawn from intervals and its evidence.

A verdict is `holds` or `fails` only where a 95 % interval lies wholly on one side of the
line that the claim names; everything else is `undecided`, and the evidence says what is
missing. Where a study has several broad corpora, the claims speak of the first that the
design names. Sections are those of "The False Promise of Imitating Proprietary LLMs".
"""

from __future__ import annotations

from collections.abc import Callable

from veneer.findings.grid import Grid
from veneer.findings.learning import (
    base_beats_data,
    capability_is_left,
    local_works,
    style_improves,
)
from veneer.findings.perception import raters_fooled, safety_inherited
from veneer.records import Claim, Evidence, Verdict

STATEMENTS = {
    "style-improves-with-data": "More imitation data brings the student's style closer to the "
    "teacher's (Table 2).",
    "broad-imitation-leaves-capability": "Broad imitation closes little to none of the "
    "capability gap (Section 4.3, Figure 4).",
    "local-imitation-works": "Imitating the teacher on one task improves the student on that "
    "task (Section 4.3, Table 1).",
    "better-base-beats-more-data": "A better base model gains more capability than more "
    "imitation data does (Section 4.3, Figure 4).",
    "raters-are-fooled-by-style": "Raters like imitation models although their capability "
    "stays far from the teacher's (Sections 4.2 and 4.4, Figure 1).",
    "safety-style-is-inherited": "Students inherit the teacher's harmlessness with its style "
    "(Section 4.4, Figure 5).",
}


def claims(grid: Grid) -> tuple[Claim, ...]:
    """All six, in the paper's order."""
    judges: dict[str, Callable[[Grid], tuple[Verdict, list[Evidence]]]] = {
        "style-improves-with-data": style_improves,
        "broad-imitation-leaves-capability": capability_is_left,
        "local-imitation-works": local_works,
        "better-base-beats-more-data": base_beats_data,
        "raters-are-fooled-by-style": raters_fooled,
        "safety-style-is-inherited": safety_inherited,
    }
    made = []
    for name, judge in judges.items():
        verdict, lines = judge(grid)
        made.append(
            Claim(id=name, statement=STATEMENTS[name], verdict=verdict, evidence=tuple(lines))
        )
    return tuple(made)
