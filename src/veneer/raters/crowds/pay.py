"""What a crowd's work costs, in whole US cents."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from veneer.errors import InputError

HOURLY_CENTS = 1500
"""What a rater earns in an hour: the paper's App. B, about $15."""
HIT_ASSIGNMENTS = 9
"""Assignments in a HIT: with ten or more Mechanical Turk takes twice the fee."""
MTURK_FEES = Fraction(20, 100), Fraction(40, 100)
"""Mechanical Turk's share of the reward, and that of HITs with ten assignments or more; at least
a cent an assignment (https://www.mturk.com/pricing)."""
PROLIFIC_FEES = {"corporate": Fraction(428, 1000), "academic": Fraction(333, 1000)}
"""Prolific's share of the reward (https://www.prolific.com/pricing, read in September 2026):
42.8 %, and 33.3 % for universities and non-profits."""
PROLIFIC_LOWEST_CENTS = 800
"""The least that Prolific lets one pay for an hour (the same page)."""


def cents(usd: str | float | Decimal, what: str) -> int:
    """An amount of US dollars that a person typed, in cents.

    Raises:
        InputError: not a number, below a cent, or a fraction of a cent.
    """
    try:
        amount = Decimal(str(usd).strip().removeprefix("$")) * 100
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount != amount.to_integral_value() or amount < 1:
        raise InputError(
            f"{what} is {usd}: not an amount of money.", "Give US dollars, such as 250 or 12.50."
        )
    return int(amount)


def budget_cents(budget_usd: str | float | Decimal | None) -> int:
    """The most that a crowd may cost, in cents.

    Raises:
        InputError: none was typed, or it is no amount.
    """
    if budget_usd is None:
        raise InputError(
            "No budget was given, and nothing is asked of a crowd without one.",
            "Type the most that all HITs of this study may cost, fees included: --budget-usd 250",
        )
    return cents(budget_usd, "The budget")


def usd(amount: int) -> str:
    """Cents as people read them."""
    return f"{'-' if amount < 0 else ''}${abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def some(count: int, noun: str, verb: tuple[str, str] = ("", "")) -> str:
    """A count as people read it: "1 HIT", "2 HITs"; with a verb "1 HIT was", "2 HITs were"."""
    one = count == 1
    doing = verb[0] if one else verb[1]
    return f"{count:,} {noun}{'' if one else 's'}{' ' if doing else ''}{doing}"


WAS = ("was", "were")


def reward(pairs: int, seconds_per_pair: float, hourly_cents: int = HOURLY_CENTS) -> int:
    """Cents for an assignment of `pairs` pairs, rounded up to a cent.

    Seconds count to the millisecond, so that a float's last digits cost no cent.
    """
    if not math.isfinite(seconds_per_pair) or seconds_per_pair <= 0:
        raise InputError(
            f"{seconds_per_pair} seconds a pair cannot be paid for.",
            "Give the seconds that a rater takes for one pair, such as 45.",
        )
    milliseconds = round(seconds_per_pair * 1000)
    return max(1, math.ceil(Fraction(pairs * milliseconds * hourly_cents, 3_600_000)))


def mturk_fee(reward_cents: int, assignments: int) -> int:
    """Mechanical Turk's fee for one assignment of a HIT that has `assignments`, in cents.

    Rounded up: Amazon rounds to the nearest cent, and a budget must hold either way.
    """
    share = MTURK_FEES[assignments > HIT_ASSIGNMENTS]
    return max(1, math.ceil(reward_cents * share))


def prolific_fee(reward_cents: int, participants: int, plan: str) -> int:
    """Prolific's fee for all participants, in cents, rounded up."""
    if plan not in PROLIFIC_FEES:
        raise InputError(
            f"Prolific has no plan {plan!r}.", f"Known: {', '.join(sorted(PROLIFIC_FEES))}."
        )
    return math.ceil(reward_cents * participants * PROLIFIC_FEES[plan])
