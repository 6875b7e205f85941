"""Each rater's own figures, and which raters do not read what they judge.

Intervals of shares are Wilson's (1927, "Probable inference, the law of succession, and
statistical inference"). Rules are told with every result (`FAILS`, `HASTY`, `LEANS`); a rater
fails by attention checks alone, because there is no right choice on a pair of the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from veneer.errors import InputError
from veneer.intervals import LEVEL, undefined, wilson
from veneer.raters.agreement import in_order
from veneer.records import Choice, Estimate, Record, Vote, most_votes

GOLD_NEEDED = 3
GOLD_RIGHT = 0.8
FAST_SECONDS = 2.0
FAST_SHARE = 0.25
FAILS = (
    f"of {GOLD_NEEDED} attention checks or more, fewer than half right, or surely fewer than "
    f"{100 * GOLD_RIGHT:.0f} % (upper end of the 95 % interval)"
)
HASTY = (
    f"more than half of the votes took less than {FAST_SECONDS:g} seconds, or less than a quarter "
    "of the study's median"
)
LEANS = (
    "the share of output 1 among choices of 1 or 2 is not a half, at 5 % over all raters together "
    "(sides are drawn at random)"
)


class RaterQuality(Record):
    """One rater. `votes` are on pairs of the study, without attention checks.

    `gold` is the share of attention checks right; `fast` of all votes with a known time that were
    too fast; `same` of votes for 0; `first` of votes for 1 among those for 1 or 2; `agrees` of
    votes equal to what most others chose on that pair, where one choice had most of their votes.
    `fails` says why the rater fails, by the rule `FAILS`; `notes` what else is odd.
    """

    rater: str
    origin: str
    votes: int
    gold_right: int
    gold_wrong: int
    gold: Estimate
    median_seconds: float | None
    fast: Estimate
    same: Estimate
    first: Estimate
    agrees: Estimate
    fails: str = ""
    notes: tuple[str, ...] = ()


def qualities(
    votes: Sequence[Vote], gold: Mapping[str, Choice], *, sides_drawn: bool = True
) -> list[RaterQuality]:
    """Every rater's figures, in the order of their numbers.

    Args:
        votes: all votes, those on attention checks among them.
        gold: the right choice of each attention check, by item.
        sides_drawn: whether sides were drawn at random; else nobody can be told to lean.

    Raises:
        InputError: a rater voted twice on one item.
    """
    by_rater: dict[str, list[Vote]] = {}
    by_item: dict[str, dict[str, Choice]] = {}
    for vote in votes:
        others = by_item.setdefault(vote.item, {})
        if vote.rater in others:
            raise InputError(
                f"Rater {vote.rater} has two votes on {vote.item}.", "Give each vote once."
            )
        others[vote.rater] = vote.choice
        by_rater.setdefault(vote.rater, []).append(vote)
    usual = _median(vote.seconds for vote in votes)
    too_fast = max(FAST_SECONDS, FAST_SHARE * (usual or 0.0))
    level = 1 - (1 - LEVEL) / max(len(by_rater), 1) if sides_drawn else None
    return [
        _quality(rater, by_rater[rater], by_item, gold, too_fast, level)
        for rater in in_order(list(by_rater))
    ]


def _quality(
    rater: str,
    given: Sequence[Vote],
    by_item: Mapping[str, Mapping[str, Choice]],
    gold: Mapping[str, Choice],
    too_fast: float,
    level: float | None,
) -> RaterQuality:
    """`level` of the interval that tells who leans, None where nothing can."""
    checks = [vote.choice == gold[vote.item] for vote in given if vote.item in gold]
    judged = [vote for vote in given if vote.item not in gold]
    times = [vote.seconds for vote in given if vote.seconds is not None]
    decided = [vote.choice == 1 for vote in judged if vote.choice]
    same, alone = _with_others(rater, judged, by_item)
    quick = sum(seconds < too_fast for seconds in times)
    right = sum(checks)
    return RaterQuality(
        rater=rater,
        origin=", ".join(sorted({vote.origin for vote in given})),
        votes=len(judged),
        gold_right=right,
        gold_wrong=len(checks) - right,
        gold=_share(right, len(checks), note="no attention check was shown"),
        median_seconds=_median(times),
        fast=_share(quick, len(times), len(given) - len(times), "no time is known"),
        same=_share(sum(vote.choice == 0 for vote in judged), len(judged), note="no vote"),
        first=_share(sum(decided), len(decided), len(judged) - len(decided), "no vote for 1 or 2"),
        agrees=_share(sum(same), len(same), alone, "nobody else's majority on these pairs"),
        fails=_fails(right, len(checks)),
        notes=tuple(_odd(quick, len(times), sum(decided), len(decided), level)),
    )


def _with_others(
    rater: str, judged: Sequence[Vote], by_item: Mapping[str, Mapping[str, Choice]]
) -> tuple[list[bool], int]:
    """(whether each vote is what most others chose, votes where no choice had most)."""
    same, alone = [], 0
    for vote in judged:
        others = [choice for who, choice in by_item[vote.item].items() if who != rater]
        winners = most_votes(others)
        if len(winners) == 1:
            same.append(vote.choice == winners[0])
        else:
            alone += 1
    return same, alone


def _fails(right: int, n: int) -> str:
    if n < GOLD_NEEDED:
        return ""
    told = f"{right} of {n} attention checks right"
    if 2 * right < n:
        return told
    high = wilson(right, n)[1]
    return f"{told}: at most {100 * high:.0f} %" if high < GOLD_RIGHT else ""


def _odd(quick: int, timed: int, first: int, decided: int, level: float | None) -> list[str]:
    notes = []
    if 2 * quick > timed:
        notes.append(f"hasty: {quick} of {timed} votes too fast")
    if decided and level is not None:
        low, high = wilson(first, decided, level)
        if not low <= 0.5 <= high:
            side, count = ("1", first) if low > 0.5 else ("2", decided - first)
            notes.append(f"leans to output {side}: {count} of {decided} choices of 1 or 2")
    return notes


def _share(hits: int, n: int, unscored: int = 0, note: str = "") -> Estimate:
    if not n:
        return undefined(note, unscored=unscored)
    low, high = (float(f"{end:.12g}") for end in wilson(hits, n))
    value = float(f"{hits / n:.12g}")
    return Estimate(value=value, low=low, high=high, n=n, unscored=unscored)


def _median(seconds: Iterable[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return median(known) if known else None
