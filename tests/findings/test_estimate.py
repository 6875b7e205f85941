"""Intervals against slow loops, scipy, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from veneer.findings import estimate, estimates
from veneer.findings.estimate import wilson
from veneer.findings.resample import RESAMPLES, Column, replicate, tidy, weights
from veneer.records import Aggregate, ScoreSheet, Subject

WHO = Subject(model="m", role="base")


def sheet(values, others=None, items=None) -> ScoreSheet:
    return ScoreSheet(
        subject=WHO,
        measure="style",
        metric="x",
        kind="mean" if others is None else "pearson",
        items=items or tuple(f"i{k:04d}" for k in range(len(values))),
        values=tuple(values),
        others=None if others is None else tuple(others),
    )


def loop(counts: np.ndarray, values, others=None) -> np.ndarray:
    """One resample after the other, items written out as often as they were drawn."""
    found = []
    for row in counts:
        drawn = [k for k, times in enumerate(row) for _ in range(times) if values[k] is not None]
        x = np.array([values[k] for k in drawn], dtype=float)
        if others is None:
            found.append(x.mean() if len(x) else np.nan)
        else:
            y = np.array([others[k] for k in drawn], dtype=float)
            found.append(np.corrcoef(x, y)[0, 1])
    return np.array(found)


def test_the_matrix_product_is_the_slow_loop() -> None:
    rng = np.random.default_rng(1)
    values = [None if k % 7 == 0 else float(v) for k, v in enumerate(rng.random(40))]
    others = [float(v) for v in rng.random(40) * 100 + 1e4]
    counts = weights(tuple(f"i{k:04d}" for k in range(40)))[:200]
    x = np.array(values, dtype=float)
    columns = [Column(x, None, "a"), Column(x, np.array(others), "b")]
    mean, r = replicate(counts, columns, [column.scored for column in columns])
    np.testing.assert_allclose(mean, loop(counts, values), rtol=1e-12)
    np.testing.assert_allclose(r, loop(counts, values, others), rtol=1e-8)


def test_every_resample_draws_as_many_items_as_there_are() -> None:
    counts = weights(tuple(f"i{k}" for k in range(300)))
    assert counts.shape == (RESAMPLES, 300)
    assert set(counts.sum(axis=1, dtype=int)) == {300}
    # Each item is drawn Binomial(300, 1/300) times: mean 1, variance 299/300.
    assert counts.mean() == pytest.approx(1)
    assert counts.var() == pytest.approx(299 / 300, abs=0.02)


@pytest.mark.parametrize("kind", ["mean", "pearson"])
def test_agrees_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    y = x + rng.normal(size=150)
    if kind == "mean":
        found = estimate(sheet(x.tolist()))
        reference = stats.bootstrap((x,), np.mean, n_resamples=9999, method="percentile", rng=3)
        value = x.mean()
    else:
        found = estimate(sheet(x.tolist(), y.tolist()))
        reference = stats.bootstrap(
            (x, y), lambda a, b: stats.pearsonr(a, b)[0], paired=True, n_resamples=4999,
            method="percentile", vectorized=False, rng=3,
        )  # fmt: skip
        value = stats.pearsonr(x, y)[0]
    assert found.value == pytest.approx(value, rel=1e-10)
    width = reference.confidence_interval.high - reference.confidence_interval.low
    assert found.low == pytest.approx(reference.confidence_interval.low, abs=0.08 * width)
    assert found.high == pytest.approx(reference.confidence_interval.high, abs=0.08 * width)
    assert found.n == 150


@pytest.mark.parametrize(("right", "n"), [(0, 20), (20, 20), (7, 30), (1, 1)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    reference = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(right, n)
    assert low == pytest.approx(reference.low, abs=1e-12)
    assert high == pytest.approx(reference.high, abs=1e-12)


def test_equal_items_get_wilsons_interval_and_say_so() -> None:
    found = estimate(sheet([0.0] * 50))
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(stats.binomtest(0, 50).proportion_ci(method="wilson").high)
    assert "Wilson" in found.note


def test_unscored_is_counted_and_never_a_zero() -> None:
    found = estimate(sheet([1.0, None, 0.0, 1.0, None]))
    assert found.value == pytest.approx(2 / 3)
    assert (found.n, found.unscored) == (3, 2)


def test_nothing_scored_is_undefined() -> None:
    for empty in (sheet([None, None]), sheet([])):
        found = estimate(empty)
        assert found.value is None
        assert found.low is None
        assert "no item" in found.note


def test_correlation_without_variance_is_undefined_not_zero() -> None:
    found = estimate(sheet([5.0] * 10, [float(k) for k in range(10)]))
    assert found.value is None
    assert "vary" in found.note


def test_a_total_has_the_interval_of_its_standard_error() -> None:
    row = Aggregate(
        subject=WHO, measure="mmlu", metric="accuracy", value=0.5, standard_error=0.01, n=9
    )
    found = estimate(row)
    assert found.high == pytest.approx(0.5 + stats.norm.ppf(0.975) * 0.01)
    bare = estimate(row.model_copy(update={"standard_error": None}))
    assert (bare.value, bare.low, bare.high) == (0.5, None, None)
    assert bare.note


numbers = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=25)


@settings(max_examples=25, deadline=None)
@given(numbers, st.floats(0.1, 10), st.floats(-5, 5))
def test_intervals_follow_affine_maps(values: list[float], scale: float, shift: float) -> None:
    mapped = [scale * v + shift for v in values]
    if set(values) <= {0.0} or set(values) <= {1.0} or set(mapped) <= {0.0} or set(mapped) <= {1.0}:
        return  # all-equal rates have another interval
    one, two = estimates([sheet(values), sheet(mapped)])
    assert two.low == pytest.approx(scale * one.low + shift, rel=1e-6, abs=1e-6)
    assert two.high == pytest.approx(scale * one.high + shift, rel=1e-6, abs=1e-6)
    assert one.low <= one.value <= one.high


@settings(max_examples=25, deadline=None)
@given(st.permutations(list(range(12))))
def test_the_order_of_items_does_not_matter(order: list[int]) -> None:
    values = [float(k % 5 == 0) for k in range(12)]
    items = [f"item {k}" for k in range(12)]
    straight = estimate(sheet(values, items=tuple(items)))
    shuffled = estimate(sheet([values[k] for k in order], items=tuple(items[k] for k in order)))
    assert straight == shuffled


def test_coverage_is_near_the_nominal() -> None:
    """Of 200 samples of a rate of 0.3, the interval should hold it about 190 times."""
    rng = np.random.default_rng(5)
    sheets = [sheet((rng.random(100) < 0.3).astype(float).tolist()) for _ in range(200)]
    held = sum(found.low <= 0.3 <= found.high for found in estimates(sheets))
    assert 178 <= held <= 199


def test_a_rounding_error_is_zero_and_lies_on_no_side_of_it() -> None:
    assert tidy(0.1 + 0.2 - 0.3) == 0.0
    assert tidy(-5.55e-17) == 0.0
    assert tidy(1e-9) == 1e-9
    assert tidy(1 / 3) == 0.333333333333
