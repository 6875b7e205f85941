"""How many prompts and raters a study needs, what difference it can tell, what it costs.

The model: a rater gives a pair 1 (the model is better), 0 or 1/2 (they are equal). Of all ratings
the mean is the win rate w and a share t are ties; of two ratings of one prompt the intraclass
correlation is rho. Then one rating has the variance w(1 - w) - t/4 (at w = 1/2: (1 - t)/4), and
the mean of k ratings of a prompt that times rho + (1 - rho)/k: Kish's design effect (Survey
Sampling, 1965, section 5.4), divided by k.

The paper takes the majority of k ratings instead (App. B). Its moments are those of votes drawn
from a Dirichlet-multinomial distribution with these w, t and rho (Mosimann, Biometrika 49, 1962),
counted out exactly, with the rule of `verdict`. How far the two differ, at three ratings without
ties: independent raters (rho 0) who prefer a model in 55 % give it a majority in 57.5 %; a
majority is farther from 1/2 but varies more, so that it needs a third more prompts for the same
power (rho 0), 31 % more at the agreement assumed here (627 for 480, to tell 55 %), and no more
where raters are of one mind (rho 1).

Prompts for a two-sided test of w = 1/2 against w = w1 (Fleiss, Levin and Paik, Statistical Methods
for Rates and Proportions, 3rd edition 2003, chapter 2, sample size for one proportion):
n = ((z(1 - level/2) sqrt(v0) + z(power) sqrt(v1)) / difference)^2, with v0 and v1 a prompt's
variance under either. Prompts are taken as independent; nothing is added for several models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

from veneer.records import SECOND_WINS, Choice, majority

By = Literal["majority", "mean"]
"""What stands for a prompt: the majority of its ratings, as in the paper, or their mean."""

AGREEMENT = 0.42
"""Between raters, as an intraclass correlation: Fleiss' kappa of crowd workers who compared chat
models on Vicuna's prompts with three options (Dettmers et al. 2023, QLoRA, section 6.2). In the
model above the two are the same number."""

HOURLY_USD = 15.0
"""The paper's footnote 3."""

MTURK_FEE, MTURK_MANY = 0.20, 0.20
"""Of the reward; the second on top for tasks of ten or more assignments (mturk.com/pricing)."""

PROLIFIC_FEE, PROLIFIC_ACADEMIC = 0.428, 0.333
"""Of the reward, for companies, and for universities and charities (prolific.com/pricing, 2026)."""

WORDS_A_MINUTE = 238.0
"""Silent reading of English non-fiction, the mean of 190 studies; most adults 175 to 300
(Brysbaert, Journal of Memory and Language 109, 2019)."""

DECIDING = 10.0
"""Seconds beside reading; an assumption."""


@dataclass(frozen=True)
class Design:
    """How prompts are rated: ratings a prompt, share of ties, agreement between raters (rho)."""

    ratings: int = 3
    ties: float = 0.0
    agreement: float = AGREEMENT
    by: By = "majority"

    def __post_init__(self) -> None:
        if self.ratings < 1 or not 0 <= self.ties < 1 or not 0 <= self.agreement <= 1:
            raise ValueError(
                "at least one rating a prompt, ties from 0 to below 1, agreement 0 to 1"
            )


DESIGN = Design()


@dataclass(frozen=True)
class Cost:
    """Hours that raters work, what they earn, and what a platform takes on top; USD."""

    hours: float
    usd: float
    fees: float

    @property
    def total(self) -> float:
        """All that is paid, USD."""
        return self.usd + self.fees


def verdict(wins: int, ties: int, losses: int) -> float:
    """What most ratings of a pair say, at least one, by `veneer.records.RULE`: 1, 1/2 or 0."""
    options: tuple[tuple[Choice, int], ...] = ((2, wins), (0, ties), (1, losses))
    said = majority([option for option, times in options for _ in range(times)])
    assert said is not None
    return SECOND_WINS[said]


@lru_cache(maxsize=4096)
def moments(rate: float, design: Design = DESIGN) -> tuple[float, float]:
    """Mean and variance of what stands for one prompt, where single ratings have the mean `rate`.

    A share of ties that such a rate leaves no room for is cut to what it leaves.
    """
    ties = min(design.ties, 2 * (1 - rate), 2 * rate)
    if design.by == "mean":
        one = max(rate * (1 - rate) - ties / 4, 0.0)
        return rate, one * (design.agreement + (1 - design.agreement) / design.ratings)
    mean = square = 0.0
    for wins in range(design.ratings + 1):
        for tied in range(design.ratings + 1 - wins):
            votes = (wins, tied, design.ratings - wins - tied)
            chance = _chance(votes, (rate - ties / 2, ties, 1 - rate - ties / 2), design.agreement)
            score = verdict(*votes)
            mean, square = mean + chance * score, square + chance * score**2
    return mean, max(square - mean**2, 0.0)


def prompts_needed(
    rate: float, design: Design = DESIGN, *, level: float = 0.05, power: float = 0.8
) -> int:
    """Prompts with which a win rate of `rate` is told from 1/2.

    Args:
        rate: of single ratings, not 1/2.
        level: of the two-sided test.
        power: how probably the study tells the difference where there is one.
    """
    if rate == 0.5 or not 0 <= rate <= 1:
        raise ValueError(f"a win rate of {rate} cannot be told from 0.5 by any number of prompts")
    _, before = moments(0.5, design)
    mean, after = moments(rate, design)
    spread = _z(1 - level / 2) * math.sqrt(before) + _z(power) * math.sqrt(after)
    return max(math.ceil((spread / (mean - 0.5)) ** 2 - 1e-9), 1)


def power_of(prompts: int, rate: float, design: Design = DESIGN, *, level: float = 0.05) -> float:
    """How probably so many prompts tell a win rate of `rate` from 1/2; inverts `prompts_needed`."""
    _, before = moments(0.5, design)
    mean, after = moments(rate, design)
    room = abs(mean - 0.5) * math.sqrt(prompts) - _z(1 - level / 2) * math.sqrt(before)
    if after == 0:
        return float(room >= 0)
    return NormalDist().cdf(room / math.sqrt(after))


def detectable(
    prompts: int, design: Design = DESIGN, *, level: float = 0.05, power: float = 0.8
) -> float | None:
    """The win rate above 1/2 from which on so many prompts tell it; None: they tell none."""
    if prompts < 1 or prompts_needed(1.0, design, level=level, power=power) > prompts:
        return None
    low, high = 0.5, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        enough = power_of(prompts, middle, design, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def table(prompts: int, design: Design = DESIGN) -> list[str]:
    """For win rates of 51 to 60 %: prompts needed, and the power of the prompts at hand."""
    lines = [f"win rate   prompts for 80 % power   power with {prompts:,} prompts"]
    for percent in range(51, 61):
        rate = percent / 100
        needed, power = prompts_needed(rate, design), power_of(prompts, rate, design)
        lines.append(
            f"{percent:>6} %   {needed:>22,}   {100 * power:>{18 + len(f'{prompts:,}')}.0f} %"
        )
    return lines


# ---- hours and money -------------------------------------------------------------------------


def views(pairs: int, ratings: int, gold_share: float) -> float:
    """How many times a pair is shown, attention checks among them.

    `gold_share`: of what a rater sees, the share that are checks.
    """
    return pairs * ratings / (1 - gold_share)


def rater_hours(pairs: int, ratings: int, gold_share: float, seconds_per_pair: float) -> float:
    """Hours of work of all raters together."""
    return views(pairs, ratings, gold_share) * seconds_per_pair / 3600


def cost(
    pairs: int,
    ratings: int = 3,
    gold_share: float = 0.1,
    seconds_per_pair: float = 60.0,
    hourly_usd: float = HOURLY_USD,
    fee: float = 0.0,
) -> Cost:
    """What a study costs; `fee` is what a platform adds, as a share of what raters earn."""
    hours = rater_hours(pairs, ratings, gold_share, seconds_per_pair)
    return Cost(hours, hours * hourly_usd, hours * hourly_usd * fee)


def mturk_fee(assignments: int) -> float:
    """Mechanical Turk's fee as a share of the reward, for tasks of so many assignments."""
    return MTURK_FEE + (MTURK_MANY if assignments >= 10 else 0.0)


def raters_needed(pairs: int, ratings: int, pairs_each: int) -> int:
    """People needed where each rates up to `pairs_each` pairs; never fewer than a pair's ratings.

    Attention checks come on top of `pairs_each`.
    """
    return max(ratings, math.ceil(pairs * ratings / min(pairs_each, max(pairs, 1))))


def seconds_for(words: float) -> float:
    """Seconds to read so many words and to decide."""
    return 60 * words / WORDS_A_MINUTE + DECIDING


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _chance(votes: tuple[int, ...], shares: tuple[float, ...], agreement: float) -> float:
    """Of so many votes an option: Dirichlet-multinomial; all alike at 1, multinomial at 0."""
    total = sum(votes)
    if agreement >= 1:
        return sum(share for count, share in zip(votes, shares, strict=True) if count == total)
    chance = float(math.factorial(total))
    for count, share in zip(votes, shares, strict=True):
        for at in range(count):
            chance *= max(share, 0.0) * (1 - agreement) + at * agreement
        chance /= math.factorial(count)
    for at in range(total):
        chance /= 1 - agreement + at * agreement
    return chance
