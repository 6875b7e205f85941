"""What the owner's page says: from the store's counts to words and shares. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from veneer.intervals import LEVEL, undefined, wilson
from veneer.raters.quality import FAST_SECONDS, FAST_SHARE, GOLD_NEEDED, GOLD_RIGHT
from veneer.raters.store.terms import RaterState, StudyState
from veneer.records import Estimate

HOUR = 3600.0
PERCENT = "\N{NO-BREAK SPACE}%"
NONE_YET = "none yet"
PACE_NEEDS = 5
"""Votes before a pace is told: fewer say more about the first rater than about the study."""

ORIGINS = {
    "private": "own people",
    "mturk": "Mechanical Turk",
    "prolific": "Prolific",
    "recorded": "recorded",
}
_LINKS = {
    "open": "not opened yet",
    "used": "in use",
    "expired": "expired",
    "revoked": "revoked",
    "none": "none",
}


@dataclass(frozen=True)
class Spent:
    """Seconds that one's own people rated, and US cents of Mechanical Turk's ledger, with fees.

    `held_cents`: all that its HITs may come to, what is paid among it.
    """

    private_seconds: float = 0.0
    paid_cents: int = 0
    held_cents: int = 0


@dataclass(frozen=True)
class Watched:
    """One look at the study, at a moment (seconds since 1970)."""

    at: float
    state: StudyState
    raters: tuple[RaterState, ...] = ()
    agreement: tuple[Estimate, Estimate] = (undefined(""), undefined(""))
    spent: Spent = Spent()


@dataclass(frozen=True)
class Bar:
    """The bar's parts in thousandths of its width."""

    voted: int
    leased: int


@dataclass(frozen=True)
class StudyView:
    """The study in words; every field is shown as it stands."""

    status: str
    paused: bool
    finished: bool
    votes: str
    wanted: str
    share: str
    pairs: str
    leased: int
    bar: Bar
    pace: tuple[tuple[str, str], ...]
    agreement: tuple[tuple[str, str], ...]
    money: tuple[tuple[str, str], ...]
    origins: tuple[tuple[str, str, str], ...]
    checks: str


@dataclass(frozen=True)
class RaterView:
    """One rater's row. `doubts` says in words what is wrong; empty where nothing is."""

    number: int
    name: str
    label: str
    origin: str
    votes: str
    checks: str
    seconds: str
    agrees: str
    same: str
    first: str
    seen: str
    link: str
    doubts: tuple[str, ...]
    revoked: bool
    may_renew: bool


def study_view(watched: Watched, wage: float) -> StudyView:
    """What the upper part of the page shows. `wage`: USD an hour of one's own people."""
    state = watched.state
    wanted = state.pairs * state.ratings
    finished = wanted > 0 and state.votes >= wanted
    checks = state.gold_right + state.gold_wrong
    return StudyView(
        status=_status(state, finished),
        paused=state.paused,
        finished=finished,
        votes=f"{state.votes:,}",
        wanted=f"{wanted:,}",
        share=percent(state.votes, wanted),
        pairs=f"{state.done:,} of {state.pairs:,} pairs have all {state.ratings} ratings"
        if state.ratings > 1
        else f"{state.done:,} of {state.pairs:,} pairs are rated",
        leased=state.leased,
        bar=bar_of(state.votes, state.leased, wanted),
        pace=_pace(state, wanted, watched.at),
        agreement=_agreement(watched.agreement),
        money=_money(state, wanted, watched.spent, wage),
        origins=tuple(
            (ORIGINS.get(origin, origin), f"{votes:,}", percent(votes, state.votes))
            for origin, votes in sorted(state.by_origin.items())
            if votes
        ),
        checks=f"{state.gold_right:,} right, {state.gold_wrong:,} wrong "
        f"({_checks_right(state.gold_right, checks)})"
        if checks
        else NONE_YET,
    )


def bar_of(votes: int, leased: int, wanted: int) -> Bar:
    """The bar's two parts; a part that is not empty is seen, and both together fit."""
    if wanted <= 0:
        return Bar(0, 0)
    voted = min(1000, max(round(1000 * votes / wanted), 4 if votes else 0))
    return Bar(voted, min(1000 - voted, max(round(1000 * leased / wanted), 4 if leased else 0)))


def _status(state: StudyState, finished: bool) -> str:
    if finished:
        return "Finished: every pair has all its ratings."
    if state.paused:
        return "Paused: raters are told that the study stands still. Nothing is lost."
    if not state.votes:
        return "Running: waiting for the first vote."
    return "Running."


def votes_an_hour(state: StudyState, now: float) -> tuple[float | None, float | None]:
    """The pace now (over the last hour, or since the first vote) and on the whole; None: too early.

    On the whole is from the first vote to the last, nights and weekends among it.
    """
    if state.votes < PACE_NEEDS or state.first_at is None or state.last_at is None:
        return None, None
    recent = state.last_hour / min(1.0, max(now - state.first_at, 60.0) / HOUR)
    whole = state.votes / (max(state.last_at - state.first_at, 60.0) / HOUR)
    return recent, whole


def _pace(state: StudyState, wanted: int, now: float) -> tuple[tuple[str, str], ...]:
    recent, whole = votes_an_hour(state, now)
    left = max(wanted - state.votes, 0)
    if not left and wanted:
        time_left = "nothing is left"
    elif state.paused:
        time_left = "the study is paused"
    elif recent is None:
        time_left = "too early to tell"
    elif recent <= 0:
        time_left = "nobody has voted in the last hour"
    else:
        time_left = f"about {duration(left / recent * HOUR)} at the pace of now"
    said = "too early to tell"
    return (
        ("Votes an hour, now", said if recent is None else _rounded(recent)),
        ("Votes an hour, on the whole", said if whole is None else _rounded(whole)),
        ("Time left", time_left),
        (
            "One pair takes (median)",
            NONE_YET if state.median_seconds is None else seconds_of(state.median_seconds),
        ),
    )


def _agreement(agreement: tuple[Estimate, Estimate]) -> tuple[tuple[str, str], ...]:
    """The share of equal votes on a pair, and Krippendorff's alpha."""
    same, alpha = agreement
    if not same.n:
        waits = "needs two votes on one pair"
        return ("Two raters say the same", waits), ("Krippendorff’s alpha", waits)
    share = f"{_percents(same)}, n = {same.n:,} pairs"
    if alpha.value is None:
        said = "undefined: everybody chose the same"
    else:
        said = f"{alpha.value:.2f} [{alpha.low:.2f}, {alpha.high:.2f}]".replace("-", "−")
    return ("Two raters say the same", share), ("Krippendorff’s alpha", said)


def _checks_right(right: int, checks: int) -> str:
    """The share with Wilson's interval."""
    low, high = wilson(right, checks)
    return f"{percent(right, checks)} [{round(100 * low)}, {round(100 * high)}] right"


def _percents(number: Estimate) -> str:
    """`55 % [44, 66]`."""
    value, low, high = (round(100 * (x or 0)) for x in (number.value, number.low, number.high))
    return f"{value}{PERCENT} [{low}, {high}]"


def _money(
    state: StudyState, wanted: int, spent: Spent, wage: float
) -> tuple[tuple[str, str], ...]:
    """Cost so far, and at the end if one's own people give the votes that are left."""
    own, crowd = spent.private_seconds / HOUR * wage, spent.held_cents / 100
    hours = f"{_hours(spent.private_seconds)} × {usd(wage)} an hour = {usd(own)}"
    rows = [("Own people so far", hours)]
    if crowd:
        paid = f"{usd(spent.paid_cents / 100)} paid of {usd(crowd)} committed"
        rows.append(("Mechanical Turk, with fees", paid))
    if state.by_origin.get("prolific"):
        rows.append(("Prolific", "its own pages say what was paid"))
    given, left = state.by_origin.get("private", 0), max(wanted - state.votes, 0)
    if not left:
        rows.append(("In all", usd(own + crowd)))
    elif given:
        end = usd(own + crowd + left * own / given)
        rows.append(("At the end, if own people do the rest", f"about {end}"))
    else:
        rows.append(("At the end", "too early to tell"))
    return tuple(rows)


def rater_view(rater: RaterState, now: float, doubts: Sequence[str] = ()) -> RaterView:
    """One row of the table of raters; `doubts` as `doubts_about` words them."""
    checks = rater.gold_right + rater.gold_wrong
    sided = rater.votes - rater.equal
    private = rater.origin == "private"
    return RaterView(
        number=rater.rater,
        name=f"r{rater.rater}",
        label=rater.label,
        origin=ORIGINS.get(rater.origin, rater.origin),
        votes=f"{rater.votes:,}",
        checks=f"{rater.gold_right} of {checks} right" if checks else NONE_YET,
        seconds="–" if rater.median_seconds is None else seconds_of(rater.median_seconds),
        agrees="–"
        if rater.agrees is None
        else f"{round(100 * rater.agrees)}{PERCENT} of {rater.agrees_n:,}",
        same=percent(rater.equal, rater.votes),
        first=percent(rater.first, sided),
        seen="never" if rater.last_at is None else ago(now - rater.last_at),
        link=_LINKS[rater.link],
        doubts=tuple(doubts),
        revoked=rater.link == "revoked",
        may_renew=private,
    )


def doubts_about(rater: RaterState, study_seconds: float | None, raters: int) -> tuple[str, ...]:
    """What speaks against a rater's care, in words; nobody is left out for it by itself.

    Checks, pace and leaning by the rules of `veneer.raters.quality`, which the results go by:
    `FAILS`, `HASTY` (half the votes are too fast when the median is), `LEANS` over all `raters`.
    Beside them, with twenty votes or thirty comparisons: always “the same”, and agreement with
    others no better than a third, what three choices at random give.
    """
    found = []
    checks, sided = rater.gold_right + rater.gold_wrong, rater.votes - rater.equal
    if checks >= GOLD_NEEDED and (
        2 * rater.gold_right < checks or wilson(rater.gold_right, checks)[1] < GOLD_RIGHT
    ):
        found.append(f"fails attention checks ({rater.gold_wrong} of {checks} wrong)")
    pace = rater.median_seconds
    if pace is not None and pace < max(FAST_SECONDS, FAST_SHARE * (study_seconds or 0.0)):
        found.append(f"hasty: {seconds_of(pace)} a pair")
    if sided:
        low, high = wilson(rater.first, sided, 1 - (1 - LEVEL) / max(raters, 1))
        if not low <= 0.5 <= high:
            side, chosen = (1, rater.first) if low > 0.5 else (2, sided - rater.first)
            found.append(f"leans to output {side} ({chosen} of {sided})")
    if rater.votes >= 20 and rater.equal >= 0.9 * rater.votes:
        found.append("nearly always says “the same”")
    if rater.agrees is not None and rater.agrees_n >= 30 and rater.agrees <= 1 / 3:
        found.append("agrees with others no more than chance")
    return tuple(found)


def percent(part: float, whole: float) -> str:
    """`part` of `whole` as a percentage; a dash where there is no whole.

    Never 100 before all are there, never 0 where there is one.
    """
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    rounded = round(share)
    if 0 < share < 1:
        return f"under 1{PERCENT}"
    return f"{99 if rounded == 100 and share < 100 else rounded}{PERCENT}"


def usd(amount: float) -> str:
    """Dollars and cents."""
    return f"${amount:,.2f}"


def seconds_of(seconds: float) -> str:
    """A short time: seconds under two minutes, else minutes."""
    return f"{round(seconds)} s" if seconds < 120 else f"{round(seconds / 60):,} min"


def duration(seconds: float) -> str:
    """A time in the one unit that it is best told in."""
    for size, limit, one in ((60, 90 * 60, "minute"), (3600, 36 * 3600, "hour")):
        if seconds < limit:
            count = max(1, round(seconds / size))
            return f"{count} {one}{'' if count == 1 else 's'}"
    return f"{round(seconds / 86400):,} days"


def ago(seconds: float) -> str:
    """How long ago something was."""
    return "just now" if seconds < 60 else f"{duration(seconds)} ago"


def _hours(seconds: float) -> str:
    hours = seconds / HOUR
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"


def _rounded(count: float) -> str:
    return f"{count:,.0f}" if count >= 10 or not count else f"{count:.1f}"
