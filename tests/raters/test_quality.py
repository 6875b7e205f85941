"""Raters' own figures, who fails, and how often an honest rater is called odd."""

from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from veneer.errors import InputError
from veneer.intervals import wilson
from veneer.raters.quality import qualities
from veneer.records import Vote, majority


def vote(item, rater, choice, seconds=None, **more):
    return Vote(item=item, rater=rater, choice=choice, seconds=seconds, **more)


def only(votes, gold=None):
    (one,) = qualities(votes, gold or {})
    return one


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_the_library(counts):
    assert wilson(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-9)


def checks(right, wrong):
    gold = {f"g{k}": 1 for k in range(right + wrong)}
    return only([vote(item, "r1", 1 if k < right else 2) for k, item in enumerate(gold)], gold)


@pytest.mark.parametrize(
    ("right", "wrong", "fails"),
    [
        (0, 2, False),  # two checks tell too little
        (1, 2, True), (0, 3, True), (2, 1, False), (2, 2, False), (1, 3, True),
        (5, 5, True),  # half right, but surely below 80 %
        (6, 4, False), (30, 3, False), (60, 40, True),
    ],
)  # fmt: skip
def test_who_fails(right, wrong, fails):
    one = checks(right, wrong)
    high = proportion_confint(right, right + wrong, method="wilson")[1]
    n = right + wrong
    assert bool(one.fails) is fails is (n >= 3 and (right < n / 2 or high < 0.8))
    assert (one.gold_right, one.gold_wrong, one.gold.n) == (right, wrong, n)
    if fails:
        assert f"{right} of {n}" in one.fails


def test_figures_by_loops():
    rng = np.random.default_rng(1)
    gold = {"g1": 1, "g2": 0}
    votes = [
        vote(item, f"r{r}", int(rng.choice([0, 1, 2])), float(rng.choice([1.0, 9.0, 30.0])))
        for item in [*(f"p{k}" for k in range(12)), *gold]
        for r in rng.choice(6, 4, replace=False)
    ]
    usual = median(v.seconds for v in votes)
    for one in qualities(votes, gold):
        mine = [v for v in votes if v.rater == one.rater]
        judged = [v for v in mine if v.item not in gold]
        fast = [v.seconds < max(2, usual / 4) for v in mine]
        same = []
        for v in judged:
            others = [o.choice for o in votes if o.item == v.item and o.rater != one.rater]
            tops = [c for c in (0, 1, 2) if others.count(c) == max(map(others.count, (0, 1, 2)))]
            if len(tops) == 1:
                assert majority(others) == tops[0]
                same.append(v.choice == tops[0])
        assert one.votes == len(judged)
        assert one.median_seconds == median(v.seconds for v in mine)
        assert one.fast.value == pytest.approx(np.mean(fast))
        assert one.same.value == pytest.approx(np.mean([v.choice == 0 for v in judged]))
        firsts = [v.choice == 1 for v in judged if v.choice]
        assert (one.first.n, one.first.value) == (len(firsts), pytest.approx(np.mean(firsts)))
        assert (one.agrees.n, one.agrees.n + one.agrees.unscored) == (len(same), len(judged))
        assert one.agrees.value == pytest.approx(np.mean(same))


def test_what_is_not_known_is_undefined():
    one = only([vote("p1", "r1", 0)])
    for number in (one.gold, one.fast, one.first, one.agrees):
        assert number.value is None
        assert number.note
    assert one.fast.unscored == one.first.unscored == one.agrees.unscored == 1
    assert one.median_seconds is None
    assert (one.fails, one.notes) == ("", ())


def test_a_rater_votes_once_on_a_pair():
    with pytest.raises(InputError, match="Rater r1 has two votes on p1"):
        qualities([vote("p1", "r1", 1), vote("p1", "r1", 1)], {})


def test_hasty_raters_are_named():
    votes = [vote(f"p{k}", "slow", 1 + k % 2, 40.0) for k in range(9)]
    votes += [vote(f"p{k}", "quick", 2 - k % 2, 4.0) for k in range(5)]
    found = {one.rater: one.notes for one in qualities(votes, {})}
    assert found["slow"] == ()
    assert any("hasty: 5 of 5" in note for note in found["quick"])


def study(rng, raters, pairs, leaning=()):
    """Honest raters see the better side, drawn per pair, in 60 %; a leaning one takes output 1."""
    votes = []
    for k in range(pairs):
        better = int(rng.integers(1, 3))
        for r in range(raters):
            choice = better if rng.random() < 0.6 else int(rng.integers(0, 3))
            if r in leaning and rng.random() < 0.7:
                choice = 1
            votes.append(vote(f"p{k}", f"r{r}", choice))
    return votes


def leaning(votes, **more):
    return {q.rater for q in qualities(votes, {}, **more) if any("leans" in n for n in q.notes)}


def test_a_position_bias_is_named_and_honest_raters_hardly_ever_are():
    rng = np.random.default_rng(7)
    named = [leaning(study(rng, 8, 60, leaning={3})) for _ in range(12)]
    assert sum("r3" in one for one in named) >= 11
    honest = [leaning(study(rng, 8, 60)) for _ in range(40)]
    assert sum(map(bool, honest)) <= 7  # 5 % of 40 studies are 2; 8 or more: once in 1,000
    biased = study(rng, 8, 60, leaning={3})
    assert leaning(biased)
    assert not leaning(biased, sides_drawn=False)
