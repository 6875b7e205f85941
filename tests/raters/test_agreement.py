"""Agreement beyond chance, against independent libraries and loops."""

import gzip
import json
from itertools import combinations
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from veneer.intervals import drawn, seed_of
from veneer.raters.agreement import agreement, between, in_order

PANDALM = Path(__file__).parents[2].parent / "shared/data/human/pandalm_3raters_part.jsonl.gz"
PLACES = {1: -1.0, 0: 0.0, 2: 1.0}

choice = st.sampled_from([0, 1, 2])
incomplete = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.none() | choice, min_size=raters, max_size=raters), min_size=1, max_size=14
    )
)


def ratings_of(rows):
    return {
        f"item {k}": {f"r{n}": vote for n, vote in enumerate(row, 1) if vote is not None}
        for k, row in enumerate(rows)
    }


def matrix(rows, values=None):
    """(raters, items), NaN where nobody rated."""
    values = values or {0: 0.0, 1: 1.0, 2: 2.0}
    return np.array([[np.nan if v is None else values[v] for v in row] for row in rows]).T


def pairable(rows):
    return [vote for row in rows if sum(v is not None for v in row) > 1 for vote in row]


@settings(max_examples=50, deadline=None)
@given(incomplete)
def test_alpha_equals_the_library(rows):
    found = agreement(ratings_of(rows))
    if len({vote for vote in pairable(rows) if vote is not None}) < 2:
        assert found.alpha.value is None
        assert found.alpha_interval.value is None
        assert found.alpha.note
        return
    for number, level, values in (
        (found.alpha, "nominal", None),
        (found.alpha_interval, "interval", PLACES),
    ):
        theirs = krippendorff.alpha(matrix(rows, values), level_of_measurement=level)
        assert number.value == pytest.approx(theirs, abs=1e-12)
        assert number.low <= number.value <= number.high
    several = sum(sum(v is not None for v in row) > 1 for row in rows)
    assert (found.alpha.n, found.alpha.unscored) == (several, len(rows) - several)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(choice, min_size=3, max_size=3), min_size=1, max_size=14), st.integers(0, 5)
)
def test_fleiss_equals_the_library_and_says_what_it_leaves_out(rows, shorter):
    table = np.array([[row.count(option) for option in (0, 1, 2)] for row in rows])
    ratings = ratings_of([*rows, *[[1, 2]] * min(shorter, len(rows) - 1)])
    found = agreement(ratings).fleiss_kappa
    assert (found.n, found.unscored) == (len(rows), len(ratings) - len(rows))
    assert "exactly 3 ratings" in found.note
    if (table.sum(axis=0) > 0).sum() == 1:
        assert found.value is None
    else:
        assert found.value == pytest.approx(fleiss_kappa(table), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(incomplete)
def test_cohen_equals_the_library_pair_by_pair(rows):
    found = agreement(ratings_of(rows), fewest=3)
    raters = matrix(rows)
    expected, weights = [], []
    for one, two in combinations(range(len(raters)), 2):
        both = np.isfinite(raters[one]) & np.isfinite(raters[two])
        if both.sum() < 3:
            continue
        a, b = raters[one][both].astype(int), raters[two][both].astype(int)
        pair = next(
            p for p in found.pairs if (p.rater_1, p.rater_2) == (f"r{one + 1}", f"r{two + 1}")
        )
        assert pair.agree.value == pytest.approx((a == b).mean(), abs=1e-12)
        assert pair.kappa.n == both.sum()
        if len({*a, *b}) == 1:
            assert pair.kappa.value is None
            continue
        kappa = cohen_kappa_score(a, b)
        assert pair.kappa.value == pytest.approx(kappa, abs=1e-12)
        expected.append(kappa)
        weights.append(both.sum())
    if expected:
        mean = np.average(expected, weights=weights)
        assert found.cohen_kappa.value == pytest.approx(mean, abs=1e-12)
    else:
        assert found.cohen_kappa.value is None
        assert found.cohen_kappa.note


def test_raw_agreement_and_unanimity_by_loops():
    rows = [[1, 1, 2], [0, 0, 0], [1, 2, None], [2, None, None], [2, 2, 2]]
    found = agreement(ratings_of(rows))
    pairs = [a == b for row in rows for a, b in combinations([v for v in row if v is not None], 2)]
    assert found.agree.value == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert (found.unanimous, found.agree.n, found.agree.unscored) == (2, 4, 1)
    assert (found.items, found.ratings, found.raters) == (5, 12, 3)


def kappa_of(a, b):
    seen = np.mean([x == y for x, y in zip(a, b, strict=True)])
    chance = sum(np.mean([x == c for x in a]) * np.mean([y == c for y in b]) for c in (0, 1, 2))
    return (seen - chance) / (1 - chance) if chance < 1 else np.nan


def test_intervals_are_those_of_items_drawn_one_by_one():
    rng = np.random.default_rng(4)
    truth = rng.choice([0, 1, 2], 25, p=[0.2, 0.3, 0.5])
    rows = [
        [int(t) if rng.random() < 0.7 else int(rng.choice([0, 1, 2])) for _ in range(3)]
        for t in truth
    ]
    rows = [[*row[:2], None] if k % 5 == 0 else row for k, row in enumerate(rows)]
    ratings = ratings_of(rows)
    found = agreement(ratings)
    items = sorted(ratings)
    order = [int(item.split()[1]) for item in items]
    alphas, kappas = [], []
    for times in drawn(len(items), seed_of(items)):
        again = [rows[k] for k, count in zip(order, times, strict=True) for _ in range(count)]
        alphas.append(krippendorff.alpha(matrix(again), level_of_measurement="nominal"))
        weighted = []
        for one, two in combinations(range(3), 2):
            both = [(r[one], r[two]) for r in again if r[one] is not None and r[two] is not None]
            weighted.append((kappa_of(*zip(*both, strict=True)), len(both)))
        values, weights = zip(*weighted, strict=True)
        kappas.append(np.average(values, weights=weights))
    for number, draws in ((found.alpha, alphas), (found.cohen_kappa, kappas)):
        assert [number.low, number.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_no_disagreement_is_not_certainty():
    found = agreement(ratings_of([[1, 1], [2, 2]] * 10))
    for number in (
        found.agree,
        found.alpha,
        found.alpha_interval,
        found.fleiss_kappa,
        found.cohen_kappa,
    ):
        assert number.value == number.high == 1
        assert 0.5 < number.low < 0.95
    fewer = agreement(ratings_of([[1, 1], [2, 2]] * 5))
    assert fewer.alpha.low < found.alpha.low


@pytest.mark.parametrize("ratings", [{}, {"a": {}}, {"a": {"r1": 1}, "b": {"r2": 2}}])
def test_nothing_to_compare_is_said(ratings):
    found = agreement(ratings)
    for number in (
        found.agree,
        found.alpha,
        found.alpha_interval,
        found.fleiss_kappa,
        found.cohen_kappa,
    ):
        assert (number.value, number.n, number.unscored) == (None, 0, len(ratings))
        assert number.note
    assert found.pairs == ()
    assert between({}, {"a": [1]}).agree.unscored == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(choice, choice), min_size=1, max_size=20))
def test_between_single_choices_is_cohens_kappa(rows):
    found = between(
        {str(k): [a] for k, (a, _) in enumerate(rows)},
        {str(k): [b] for k, (_, b) in enumerate(rows)} | {"more": [1], "none": []},
    )
    a, b = zip(*rows, strict=True)
    assert found.agree.value == pytest.approx(np.mean(np.array(a) == np.array(b)))
    assert (found.agree.n, found.agree.unscored) == (len(rows), 2)
    table = [[sum((x, y) == (i, j) for x, y in rows) for j in (1, 0, 2)] for i in (1, 0, 2)]
    assert np.array(found.table) == pytest.approx(np.array(table))
    if len({*a, *b}) == 1:
        assert found.kappa.value is None
    else:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_between_groups_counts_shares():
    found = between({"a": [1, 1, 2], "b": [0]}, {"a": [1, 2], "b": [0, 0]})
    assert found.agree.value == pytest.approx((2 / 3 * 1 / 2 + 1 / 3 * 1 / 2 + 1) / 2)
    assert found.table[0] == pytest.approx((1 / 3, 0, 1 / 3))


@given(st.lists(st.integers(0, 120), unique=True), st.randoms())
def test_raters_stand_in_the_order_of_their_numbers(numbers, random):
    names = [f"r{n}" for n in numbers]
    random.shuffle(names)
    assume(names)
    assert in_order(names) == [f"r{n}" for n in sorted(numbers)]
    assert in_order([*names, "annotator", "1-r2"])[0] == "1-r2"


@pytest.mark.skipif(not PANDALM.exists(), reason="the shared data are not here")
def test_real_votes():
    with gzip.open(PANDALM, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    votes = [[row[f"annotator{k}"] for k in (1, 2, 3)] for row in rows]
    found = agreement(ratings_of(votes))
    assert (found.items, found.unanimous) == (517, 465)
    theirs = krippendorff.alpha(matrix(votes), level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(theirs, abs=1e-12)
    table = [[row.count(option) for option in (0, 1, 2)] for row in votes]
    assert found.fleiss_kappa.value == pytest.approx(fleiss_kappa(table), abs=1e-12)
    columns = list(zip(*votes, strict=True))
    kappas = [cohen_kappa_score(a, b) for a, b in combinations(columns, 2)]
    assert [p.kappa.value for p in found.pairs] == pytest.approx(kappas, abs=1e-12)
    assert found.cohen_kappa.value == pytest.approx(np.mean(kappas), abs=1e-12)
