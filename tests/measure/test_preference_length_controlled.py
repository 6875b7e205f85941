"""The length-controlled win rate: against brute force, against figures of alpaca_eval, and truth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from veneer.measure.length_controlled import FOLDS, STRENGTHS, Gamed, fit, length_controlled


def logistic(x):
    return 1 / (1 + np.exp(-x))


def drawn(seed: int, n: int, theta: float, phi: float):
    rng = np.random.default_rng(seed)
    longer = rng.normal(250, 400, n).round()
    chance = logistic(theta + phi * np.tanh(longer / longer.std(ddof=1)))
    return (rng.random(n) < chance).astype(float), longer


def brute(rows, targets, weights, strength):
    """The same objective by a general optimiser: w = positive part less negative part."""

    def objective(v):
        k = len(v) // 2
        logits = rows @ (v[:k] - v[k:])
        losses = weights * (np.logaddexp(0, logits) - targets * logits)
        slope = (weights * (logistic(logits) - targets)) @ rows
        pull = 1 / strength
        return pull * v.sum() + losses.sum(), np.concatenate([pull + slope, pull - slope])

    k = rows.shape[1]
    found = minimize(
        objective, np.full(2 * k, 0.5), jac=True, method="SLSQP", bounds=[(0, None)] * (2 * k),
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    return found.x[:k] - found.x[k:]


@pytest.mark.parametrize("full", [False, True])
def test_the_fit_is_that_of_a_general_optimiser(full) -> None:
    wins, longer = drawn(0, 200, -0.4, 1.0)
    wins[:20] = 0.5
    wins[20:40] = np.linspace(0, 1, 20)
    rng = np.random.default_rng(1)
    difficulty, gamed = None, None
    rows = np.column_stack([np.tanh(longer / longer.std(ddof=1)), np.ones(200)])
    targets, weights = wins, np.ones(200)
    if full:
        difficulty = rng.normal(size=200)
        gamed = Gamed(rng.normal(size=60), rng.normal(size=60), rng.random(60))
        rows = np.insert(rows, 1, difficulty, axis=1)
        twins = np.column_stack([np.tanh(gamed.longer), gamed.difficulty, np.zeros(60)])
        rows = np.concatenate([twins, rows])
        targets = np.concatenate([gamed.wins, wins])
        weights = np.concatenate([np.full(60, 0.1), np.ones(200)])
    found = fit(wins, longer, difficulty=difficulty, gamed=gamed)

    scores = []
    folds = (len(rows) - 1 - np.arange(len(rows))) % FOLDS
    for strength in STRENGTHS:
        held = []
        for fold in range(FOLDS):
            kept = folds != fold
            p = logistic(rows @ brute(rows[kept], targets[kept], weights[kept], strength))
            told = weights * (targets * np.log(p) + (1 - targets) * np.log(1 - p))
            held.append(told[~kept].mean())
        scores.append(np.mean(held))
    # Weak penalties are all but equal: the choice may differ where the optimisers do.
    assert scores[list(STRENGTHS).index(found.strength)] == pytest.approx(max(scores), abs=1e-6)
    assert max(scores) - min(scores) > 1e-3
    expected = brute(rows, targets, weights, found.strength)
    assert found.coefficients == pytest.approx(expected, abs=1e-5)
    at_equal = expected[-1] + (difficulty * expected[1] if full else 0)
    assert found.win_rate == pytest.approx(np.mean(logistic(at_equal)), abs=1e-6)


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("alpaca-7b", 25.7728), ("gpt-3.5-turbo-0301", 77.2217), ("guanaco-65b", 53.4146),
        ("text_davinci_001", 21.1429), ("vicuna-13b", 50.3048),
    ],
)  # fmt: skip
def test_minimal_form_beside_alpaca_eval(model, rate) -> None:
    """alpaca_eval 0.6.6, length_controlled_minimal with tol=1e-10: bench/length_controlled.py."""
    home = Path(__file__).resolve().parents[2].parent / "shared/data/alpaca_eval"
    if not home.is_dir():
        pytest.skip("the shared data are not here")

    def rows(name):
        with gzip.open(home / name, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    with gzip.open(home / "annotations_gpt4_full_vicuna-13b.json.gz", "rt") as file:
        theirs = {row["instruction"]: len(row["output_1"]) for row in json.load(file)}
    mine = {row["instruction"]: len(row["output"]) for row in rows(f"outputs/{model}.jsonl.gz")}
    found = [r for r in rows(f"annotations_gpt4/{model}.jsonl.gz") if r["instruction"] in mine]
    coded = {None: np.nan, 0: 0.5, 1: 0.0, 1.5: 0.5, 2: 1.0}
    wins = np.array([coded[row["preference"]] for row in found])
    longer = np.array([mine[r["instruction"]] - theirs[r["instruction"]] for r in found], float)
    assert 100 * fit(wins, longer).win_rate == pytest.approx(rate, abs=1e-3)


def test_the_truth_is_recovered_where_the_raw_rate_misses_it() -> None:
    truth, caught, missed = logistic(-0.4), 0, 0
    for seed in range(12):
        wins, longer = drawn(seed, 400, -0.4, 1.5)
        rate, effect = length_controlled(wins, longer, [seed])
        caught += rate.low <= truth <= rate.high
        missed += abs(wins.mean() - truth) > 1.96 * (wins.var() / 400) ** 0.5
        assert effect.low > 0
    assert caught >= 10  # 95 % intervals: 11.4 of 12 on average
    assert missed == 12


def test_no_length_effect_changes_nothing() -> None:
    wins, longer = drawn(3, 800, 0.3, 0.0)
    rate, effect = length_controlled(wins, longer, [3])
    assert rate.value == pytest.approx(wins.mean(), abs=0.05)
    assert effect.low <= 0 <= effect.high


def test_a_fit_that_the_penalty_sets_to_zero_is_not_certain() -> None:
    wins = np.tile([0.0, 1.0], 30)
    rng = np.random.default_rng(0)
    rate, effect = length_controlled(wins, rng.normal(0, 100, 60).round(), [0])
    assert rate.high - rate.low > 0.15
    assert effect.high - effect.low > 0.5


def test_swapping_the_models_mirrors_the_rate() -> None:
    wins, longer = drawn(5, 300, -0.4, 1.0)
    one, effect = length_controlled(wins, longer, [5])
    two, mirrored = length_controlled(1 - wins, -longer, [5])
    assert one.value == pytest.approx(1 - two.value, abs=1e-9)
    assert one.low == pytest.approx(1 - two.high, abs=1e-6)
    assert effect.value == pytest.approx(mirrored.value, abs=1e-8)


def test_what_cannot_be_fitted_says_why() -> None:
    wins, longer = drawn(0, 40, 0.0, 0.0)
    for told, why in (
        (length_controlled(wins[:5], longer[:5], [0]), "5 prompts"),
        (length_controlled(np.ones(40), longer, [0]), "the same verdict"),
        (length_controlled(wins, np.full(40, 7.0), [0]), "the same length"),
    ):
        for estimate in told:
            assert estimate.value is None
            assert why in estimate.note
    wins[:3] = np.nan
    rate, _ = length_controlled(wins, longer, [0], unscored=2)
    assert (rate.n, rate.unscored) == (37, 5)
    assert length_controlled(wins, np.abs(longer) + 1, [0])[0].note.startswith("100 % of the")
