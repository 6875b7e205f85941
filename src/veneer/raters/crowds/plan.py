"""How many assignments a study still needs, in HITs of how many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from veneer.errors import InputError
from veneer.raters.crowds.pay import HIT_ASSIGNMENTS
from veneer.raters.packet import Packet
from veneer.raters.store.terms import StudyState


@dataclass(frozen=True)
class Need:
    """What is still missing. `missing`: votes that nobody gives yet; `coming`: those that open
    assignments will bring; `assignments`: for the rest, with `reserve` of them for lost work."""

    missing: int
    coming: int
    assignments: int
    reserve: int


def votes_each(packet: Packet, pairs: int) -> Fraction:
    """Votes on pairs of the study in an assignment of `pairs`, attention checks taken off."""
    return Fraction(pairs * packet.facts.pairs, packet.facts.pairs + packet.facts.gold)


def need(
    packet: Packet,
    state: StudyState,
    pairs: int,
    *,
    available: int = 0,
    pending: int = 0,
    reserve: float = 0.1,
) -> Need:
    """Assignments of `pairs` comparisons that are missing.

    Args:
        packet: the study.
        state: its votes, and pairs in hand.
        pairs: comparisons in an assignment, attention checks among them.
        available: assignments that wait for a worker already.
        pending: those that workers have accepted; each has a pair in hand, the rest to come.
        reserve: more assignments, as a share, for work that is begun and not finished.
    """
    if not 0 <= reserve <= 1:
        raise InputError(
            f"A reserve of {reserve:g} is no share of the assignments.", "Give 0 to 1, such as 0.1."
        )
    each = votes_each(packet, pairs)
    missing = state.pairs * state.ratings - state.votes - state.leased
    coming = available * each + pending * max(Fraction(0), each - 1)
    wanted = math.ceil(max(Fraction(0), missing - coming) / each)
    more = math.ceil(wanted * Fraction(str(reserve)))
    return Need(missing, math.floor(coming), wanted + more, more)


def split(assignments: int) -> list[int]:
    """Assignments of each HIT: at most nine, for a tenth doubles the fee of all."""
    full, rest = divmod(assignments, HIT_ASSIGNMENTS)
    return [HIT_ASSIGNMENTS] * full + ([rest] if rest else [])
