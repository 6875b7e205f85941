"""Forecasts: exact on noiseless grids, honest about their error, and about "never"."""

from __future__ import annotations

from itertools import product
from math import isqrt, log10, sqrt

import numpy as np
import pytest

from veneer.findings import conclude
from veneer.findings.forecast import Fit
from veneer.records import Aggregate, CorpusFacts, StudyFacts, Subject

SIZES = {"S": 10_000, "M": 90_000, "L": 160_000}
AMOUNTS = (1_000, 10_000, 100_000)


def totals(quality, ceiling: float, bases=tuple(SIZES), amounts=AMOUNTS, error=0.002):
    def row(value: float, **who) -> Aggregate:
        return Aggregate(
            subject=Subject(**who), measure="mmlu", metric="accuracy", value=value,
            standard_error=error, n=500,
        )  # fmt: skip

    rows = [row(ceiling, model="t", role="teacher")]
    rows += [row(0.05, model=b, role="base", base=b, tokens=0) for b in bases]
    for base, tokens in product(bases, amounts):
        value = quality(tokens, SIZES[base])
        rows.append(
            row(
                value,
                model=f"{base}{tokens}",
                role="student",
                base=base,
                corpus="broad",
                tokens=tokens,
            )
        )
    facts = StudyFacts(
        name="x", parameters=dict(SIZES), corpora={"broad": CorpusFacts(kind="broad")}
    )
    return {f.axis: f for f in conclude(facts, rows).forecasts}


def test_a_noiseless_plane_is_found_again() -> None:
    """0.1 + 0.05 log10(tokens) + 0.0005 √parameters meets 0.65 at 10^7 tokens for √P = 400."""
    found = totals(lambda t, p: 0.1 + 0.05 * log10(t) + 0.0005 * sqrt(p), 0.65)
    tokens = found["tokens"]
    assert tokens.coefficients == pytest.approx({"a": 0.1, "b": 0.05, "c": 0.0005})
    assert tokens.fit_error == pytest.approx(0, abs=1e-9)
    assert tokens.needed.value == pytest.approx(10**7, rel=1e-6)
    assert tokens.needed.low < 10**7 < tokens.needed.high
    assert (tokens.base, tokens.corpus, tokens.points) == ("L", "broad", 9)
    # At 100,000 tokens: 0.35 + 0.0005 √P = 0.65 at √P = 600.
    assert found["parameters"].needed.value == pytest.approx(360_000, rel=1e-6)


def test_never_at_this_slope() -> None:
    found = totals(lambda t, p: 0.5 - 0.02 * log10(t) + 0.0005 * sqrt(p), 0.9)
    assert found["tokens"].needed is None
    assert "never closes at this slope" in found["tokens"].outcome
    assert found["parameters"].needed is not None


def test_out_of_reach_is_never_in_practice() -> None:
    found = totals(lambda t, p: 0.3 + 0.001 * log10(t) + 0.0005 * sqrt(p), 0.9, error=1e-5)
    assert found["tokens"].needed is None
    assert "never in practice" in found["tokens"].outcome


def test_a_slope_that_may_be_flat_leaves_the_interval_open() -> None:
    found = totals(lambda t, p: 0.3 + 0.02 * log10(t) + 0.0005 * sqrt(p), 0.7, error=0.03)
    assert found["tokens"].needed.value is not None
    assert found["tokens"].needed.high is None
    assert "∞" in found["tokens"].outcome


def test_closed_already() -> None:
    found = totals(lambda t, p: 0.1 + 0.1 * log10(t) + 0.0005 * sqrt(p), 0.6)
    assert found["tokens"].needed is None
    assert "closed" in found["tokens"].outcome


def test_one_base_has_no_size_term() -> None:
    found = totals(lambda t, p: 0.1 + 0.05 * log10(t), 0.5, bases=("L",))
    assert set(found) == {"tokens"}
    assert set(found["tokens"].coefficients) == {"a", "b"}
    assert found["tokens"].needed.value == pytest.approx(10**8, rel=1e-6)


@pytest.mark.parametrize(
    ("bases", "amounts"), [(("L",), AMOUNTS[:2]), (("S", "M", "L"), AMOUNTS[:1])]
)
def test_too_few_points_are_said_to_be(bases, amounts) -> None:
    found = totals(lambda t, p: 0.1 * log10(t), 0.9, bases=bases, amounts=amounts)
    assert set(found) == {"tokens"}
    assert found["tokens"].outcome.startswith("undecidable")
    assert found["tokens"].fit_error is None


def test_sizes_and_amounts_that_vary_together_are_not_told_apart() -> None:
    """√parameters of 100, 300, 400, 300 and amounts in step with them: one line, not a plane."""
    sizes = {"S": 10_000, "M": 90_000, "L": 160_000, "M2": 90_000}
    rows = [
        Aggregate(
            subject=Subject(
                model=b, role="student", base=b, corpus="broad", tokens=10 ** (isqrt(p) // 100)
            ),
            measure="mmlu", metric="accuracy", value=0.1, standard_error=0.01, n=99,
        )
        for b, p in sizes.items()
    ]  # fmt: skip
    (found,) = conclude(StudyFacts(name="x", parameters=dict(sizes), corpora={}), rows).forecasts
    assert "vary together" in found.outcome


def test_totals_without_errors_have_a_forecast_without_interval() -> None:
    found = totals(lambda t, p: 0.1 + 0.05 * log10(t), 0.5, bases=("L",), error=None)
    assert found["tokens"].needed.value == pytest.approx(10**8, rel=1e-6)
    assert (found["tokens"].needed.low, found["tokens"].needed.high) == (None, None)


def test_errors_of_the_fit_are_brute_force() -> None:
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(7), rng.random(7), rng.random(7)])
    quality = rng.random(7)
    fit = Fit(design, quality, quality[None, :], sized=True)
    best = np.linalg.lstsq(design, quality, rcond=None)[0]
    np.testing.assert_allclose(fit.coefficients, best)
    np.testing.assert_allclose(fit.resampled[0], best)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((quality - design @ best) ** 2)))
    out = []
    for k in range(7):
        keep = [i for i in range(7) if i != k]
        without = np.linalg.lstsq(design[keep], quality[keep], rcond=None)[0]
        out.append(quality[k] - design[k] @ without)
    assert fit.left_out == pytest.approx(np.sqrt(np.mean(np.square(out))))
