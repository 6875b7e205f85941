"""What comes after imitation: the student answers, and the teacher says what is better.

On-policy distillation holds the student's own answers against an open teacher's distributions;
preference imitation lets the teacher choose between the student's answers and trains by DPO.
"""

from veneer.student.refine.refinement import Pair, Refinement, Unpaired, read_refinement
from veneer.student.refine.step import refine

__all__ = ["Pair", "Refinement", "Unpaired", "read_refinement", "refine"]
