"""The power calculation against simulated studies, published sample sizes and other libraries."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.power import NormalIndPower

from veneer.raters.power import (
    AGREEMENT,
    Design,
    cost,
    detectable,
    moments,
    mturk_fee,
    power_of,
    prompts_needed,
    rater_hours,
    raters_needed,
    table,
    verdict,
)


def votes_of(rate, ties, agreement, prompts, ratings, rng, studies=1):
    """Counts of wins, ties and losses: (studies, prompts, 3); every prompt has its own leaning."""
    shares = np.array([rate - ties / 2, ties, 1 - rate - ties / 2])
    leaning = np.broadcast_to(shares, (studies * prompts, 3))
    if agreement:
        weights = np.maximum(shares * (1 - agreement) / agreement, 1e-12)
        leaning = rng.dirichlet(weights, studies * prompts)
    return rng.multinomial(ratings, leaning).reshape(studies, prompts, 3)


def scores_of(votes, by):
    """One number a prompt, by the rule written out."""
    wins, ties, losses = votes[..., 0], votes[..., 1], votes[..., 2]
    if by == "mean":
        return (wins + ties / 2) / votes.sum(-1)
    most = votes.max(-1)
    alone = (votes == most[..., None]).sum(-1) == 1
    return np.where(alone & (wins == most), 1.0, np.where(alone & (losses == most), 0.0, 0.5))


@pytest.mark.parametrize("by", ["majority", "mean"])
@pytest.mark.parametrize(
    ("ratings", "ties", "agreement"), [(3, 0.0, 0.42), (3, 0.2, 0.3), (5, 0.1, 0.0), (1, 0.3, 0.0)]
)
def test_so_many_prompts_tell_the_difference_in_four_of_five_simulated_studies(
    ratings, ties, agreement, by
):
    """The z test with the spread of the sample, as results are tested, on 1,500 drawn studies."""
    design = Design(ratings, ties, agreement, by)
    rate = 0.55
    prompts = prompts_needed(rate, design)
    rng = np.random.default_rng(6)
    found = {}
    for true in (0.5, rate):
        votes = votes_of(true, ties, agreement, prompts, ratings, rng, 1500)
        scores = scores_of(votes, by)
        z = (scores.mean(1) - 0.5) / (scores.std(1, ddof=1) / math.sqrt(prompts))
        found[true] = float((abs(z) > 1.959964).mean())
    assert found[rate] == pytest.approx(0.80, abs=0.035)
    assert found[0.5] == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(("ties", "agreement"), [(0.0, 0.42), (0.3, 0.6), (0.15, 0.0), (0.1, 1.0)])
def test_moments_are_those_of_drawn_votes(ties, agreement):
    rng = np.random.default_rng(1)
    drawn = votes_of(0.6, ties, min(agreement, 0.9999), 200_000, 3, rng)[0]
    for by in ("majority", "mean"):
        scores = scores_of(drawn, by)
        mean, variance = moments(0.6, Design(3, ties, agreement, by))
        assert mean == pytest.approx(scores.mean(), abs=0.004)
        assert variance == pytest.approx(scores.var(), rel=0.02)


def test_agreement_is_fleiss_kappa():
    """The kappa that another library finds in votes drawn with an agreement is that agreement."""
    drawn = votes_of(0.55, 0.2, AGREEMENT, 60_000, 3, np.random.default_rng(2))[0]
    assert fleiss_kappa(drawn) == pytest.approx(AGREEMENT, abs=0.01)


def test_one_rating_needs_what_a_single_proportion_needs():
    """783: to tell 55 % from 50 %, two-sided 5 %, power 80 %, as in tables of one proportion."""
    assert prompts_needed(0.55, Design(ratings=1)) == 783
    same = NormalIndPower(ddof=0).solve_power(0.1, alpha=0.05, power=0.8, ratio=0)
    assert prompts_needed(0.55, Design(ratings=1)) == pytest.approx(same, rel=0.01)


def test_figures_of_the_docstring():
    def needed(agreement, by):
        return prompts_needed(0.55, Design(agreement=agreement, by=by))

    assert (needed(AGREEMENT, "majority"), needed(AGREEMENT, "mean")) == (627, 480)
    assert needed(0, "majority") / needed(0, "mean") == pytest.approx(4 / 3, abs=0.01)
    assert needed(1, "majority") == needed(1, "mean") == 783
    assert moments(0.55, Design(agreement=0))[0] == pytest.approx(0.55**3 + 3 * 0.55**2 * 0.45)


def test_the_mean_varies_by_the_design_effect():
    for ratings, agreement, ties in itertools.product((1, 3, 7), (0, 0.3, 1), (0, 0.4)):
        design = Design(ratings, ties, agreement, "mean")
        effect = (1 + (ratings - 1) * agreement) / ratings
        assert moments(0.5, design)[1] == pytest.approx((1 - ties) / 4 * effect)


@given(st.lists(st.sampled_from("wtl"), min_size=1, max_size=9))
def test_the_majority_of_votes(votes):
    counts = {option: votes.count(option) for option in "wtl"}
    best = [option for option in "wtl" if counts[option] == max(counts.values())]
    expected = {"w": 1.0, "t": 0.5, "l": 0.0}[best[0]] if len(best) == 1 else 0.5
    assert verdict(counts["w"], counts["t"], counts["l"]) == expected


designs = st.builds(
    Design,
    ratings=st.integers(1, 7),
    ties=st.floats(0, 0.6),
    agreement=st.floats(0, 1),
    by=st.sampled_from(["majority", "mean"]),
)


@given(designs, st.floats(0.52, 0.9))
def test_needed_prompts_are_the_fewest_with_the_power(design, rate):
    prompts = prompts_needed(rate, design)
    assert power_of(prompts, rate, design) >= 0.8 - 1e-6
    assert prompts == 1 or power_of(prompts - 1, rate, design) < 0.8
    assert prompts_needed(1 - rate, design) == prompts


@given(designs, st.integers(20, 3000))
def test_detectable_is_the_reverse(design, prompts):
    rate = detectable(prompts, design)
    assert rate is not None
    assert 0.5 < rate <= 1
    assert prompts_needed(rate, design) <= prompts + 1
    more = detectable(2 * prompts, design)
    assert more is not None
    assert more <= rate + 1e-9


def test_too_few_prompts_tell_nothing():
    assert detectable(0) is None
    assert detectable(2) is None
    with pytest.raises(ValueError, match=r"0\.5"):
        prompts_needed(0.5)


def test_hours_and_money():
    """90 pairs, three ratings, a tenth checks: 300 views of a minute are five hours."""
    assert rater_hours(90, 3, 0.1, 60) == pytest.approx(5)
    spent = cost(90, 3, 0.1, 60, 15, mturk_fee(9))
    assert (spent.hours, spent.usd, spent.fees) == pytest.approx((5, 75, 15))
    assert spent.total == pytest.approx(90)
    assert mturk_fee(10) == pytest.approx(0.4)


def test_raters_needed():
    assert raters_needed(200, 3, 100) == 6
    assert raters_needed(201, 3, 100) == 7
    assert raters_needed(10, 3, 100) == 3  # nobody rates a pair twice


def test_the_table_says_power_at_ten_rates():
    lines = table(627)
    assert len(lines) == 11
    row = next(line.split() for line in lines if line.strip().startswith("55 %"))
    assert row[2] == "627"
    assert row[3:] == ["80", "%"]
    assert len({len(line) for line in lines[1:]}) == 1
