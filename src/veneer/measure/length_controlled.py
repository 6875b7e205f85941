"""The win rate at equal lengths: what is left of a preference when longer answers gain nothing.

The model is that of AlpacaEval 2 (Dubois et al. 2024, "Length-Controlled AlpacaEval", and
`alpaca_eval.metrics.glm_winrate` 0.6.6). For the probability that the model's answer wins,

    logit p = φ · tanh(Δlength / std(Δlength)) + ψ · difficulty + θ,

with Δlength = characters of the model's answer less those of the opponent's. The length-controlled
win rate is the mean of p over the prompts at Δlength = 0. Without difficulties (they are known for
AlpacaEval's 805 instructions only) this is its minimal form, logistic(θ).

Fitted as there: logistic regression on the preferences as they are (continuous ones too), with an
L1 penalty whose strength is chosen from ten by five-fold cross-validation. AlpacaEval leaves the
fit to liblinear, which stops earlier; here a proximal Newton method runs to convergence, for many
weightings of the same rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veneer.intervals import Array, drawn, estimate_of, undefined
from veneer.records import Estimate

STRENGTHS = np.logspace(-4, 4, 10)
"""Inverse strengths of the penalty that cross-validation chooses from (scikit-learn's default)."""
FOLDS = 5
RESAMPLES = 500
FEWEST = 10
ONE_SIDED = 0.95
GAMED_WEIGHT = 0.2 / 2
"""Weight of a gamed row beside a prompt's 1: AlpacaEval's λ over its two gamed baselines."""
_BLOCK = 2_000_000  # weights times rows held at once


@dataclass(frozen=True, eq=False)
class Gamed:
    """Verdicts on wordier and terser twins of the baseline, which AlpacaEval adds to every fit.

    They hold φ and ψ to values at which such twins win half. Shapes, all (rows,): `longer` is
    already over its standard deviation and positive where the twin is the longer; `difficulty`;
    `wins` in 0..1, the share of the preference that went to the twin.
    """

    longer: Array
    difficulty: Array
    wins: Array


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients (φ, [ψ,] θ), the penalty's inverse strength chosen, and the rate at Δ = 0."""

    coefficients: Array
    strength: float
    win_rate: float


def length_controlled(
    wins: Array,
    longer: Array,
    seed: Sequence[int],
    *,
    difficulty: Array | None = None,
    gamed: Gamed | None = None,
    unscored: int = 0,
) -> tuple[Estimate, Estimate]:
    """(length-controlled win rate, φ), each with its 95 % bootstrap interval over prompts.

    φ is the gain of log-odds where tanh-scaled length grows by one: above 0, longer answers win.
    The intervals come from refits under the weakest penalty, since a coefficient that the penalty
    sets to zero would otherwise look certain; they are widened to the value where it lies outside.

    Args:
        wins: (n,) in 0..1, NaN where a prompt has no verdict; it then counts in the scale of
            Δlength alone, as in AlpacaEval.
        longer: (n,) characters of the model's answer less those of the opponent's.
        seed: of the resamples.
        difficulty: (n,) one a prompt, for the full formula.
        gamed: rows to regularise with; needs `difficulty`.
        unscored: prompts left out because a length is unknown, to be told in the estimate.
    """
    scored = np.isfinite(wins)
    n, missing = int(scored.sum()), int((~scored).sum()) + unscored
    why = ""
    if n < FEWEST:
        why = f"{n} prompts with known lengths; a fit needs {FEWEST}"
    elif np.ptp(wins[scored]) == 0:
        why = "every prompt has the same verdict"
    elif np.ptp(longer) == 0:
        why = "all pairs of answers differ by the same length"
    if why:
        return undefined(why, n, missing), undefined(why, n, missing)
    rows, targets, weights = _design(wins, longer, difficulty, gamed)
    point = fit(wins, longer, difficulty=difficulty, gamed=gamed)
    counts = drawn(n, seed, RESAMPLES)
    own = len(rows) - n
    at_equal = rows[own:].copy()
    at_equal[:, 0] = 0.0
    found, rates = [], []
    step = max(1, _BLOCK // len(rows))
    for start in range(0, RESAMPLES, step):
        block = counts[start : start + step]
        full = np.concatenate([np.tile(weights[:own], (len(block), 1)), block], axis=1)
        drawn_fits = _fits(rows, targets, full, np.full(len(block), STRENGTHS[-1]))
        found.append(drawn_fits)
        rates.append((_logistic(drawn_fits @ at_equal.T) * block).sum(axis=1) / n)
    effect = estimate_of(float(point.coefficients[0]), np.concatenate(found)[:, 0], n, missing)
    note = _one_sided(longer)
    return estimate_of(point.win_rate, np.concatenate(rates), n, missing, note), effect


def fit(
    wins: Array, longer: Array, *, difficulty: Array | None = None, gamed: Gamed | None = None
) -> Fit:
    """The fit itself, without intervals; arguments as in `length_controlled`."""
    rows, targets, weights = _design(wins, longer, difficulty, gamed)
    strength = _chosen(rows, targets, weights)
    (coefficients,) = _fits(rows, targets, weights[None], np.array([strength]))
    tests = np.zeros((len(wins), rows.shape[1]))
    tests[:, -1] = 1.0
    if difficulty is not None:
        tests[:, 1] = difficulty
    return Fit(coefficients, strength, float(_logistic(tests @ coefficients).mean()))


def _one_sided(longer: Array) -> str:
    """What to say where hardly any pair reaches the equal length that the rate is told at."""
    for word, share in (("shorter", (longer < 0).mean()), ("longer", (longer > 0).mean())):
        if share > ONE_SIDED:
            return (
                f"{100 * share:.0f} % of the answers are {word} than the opponent's: the rate at "
                "equal lengths is an extrapolation"
            )
    return ""


def _design(
    wins: Array, longer: Array, difficulty: Array | None, gamed: Gamed | None
) -> tuple[Array, Array, Array]:
    """(rows (n, 2 or 3), targets (n,), weights (n,)); gamed rows first, unscored prompts left."""
    scored = np.isfinite(wins)
    scaled = np.tanh(longer / (longer.std(ddof=1) or 1.0))
    columns = [scaled, *([] if difficulty is None else [difficulty]), np.ones(len(wins))]
    rows, targets = np.column_stack(columns)[scored], wins[scored]
    if gamed is None:
        return rows, targets, np.ones(len(rows))
    twins = np.column_stack([np.tanh(gamed.longer), gamed.difficulty, np.zeros(len(gamed.wins))])
    weights = np.concatenate([np.full(len(twins), GAMED_WEIGHT), np.ones(len(rows))])
    return np.concatenate([twins, rows]), np.concatenate([gamed.wins, targets]), weights


def _chosen(rows: Array, targets: Array, weights: Array) -> float:
    """The strength with the best likelihood on rows held out: fold k holds every fifth row."""
    folds = (len(rows) - 1 - np.arange(len(rows))) % FOLDS
    kept = np.array([folds != fold for fold in range(FOLDS)], dtype=float)
    grid = np.repeat(STRENGTHS, FOLDS)
    found = _fits(rows, targets, np.tile(kept * weights, (len(STRENGTHS), 1)), grid)
    p = np.clip(_logistic(found @ rows.T), 1e-15, 1 - 1e-15)
    likelihood = weights * (targets * np.log(p) + (1 - targets) * np.log(1 - p))
    held = np.tile(1 - kept, (len(STRENGTHS), 1))
    scores = (likelihood * held).sum(axis=1) / held.sum(axis=1)
    return float(STRENGTHS[np.argmax(scores.reshape(len(STRENGTHS), FOLDS).mean(axis=1))])


def _fits(rows: Array, targets: Array, weights: Array, strengths: Array) -> Array:
    """argmin over w of |w|₁ + strength · Σ weight · log-loss, for each row of `weights`.

    Shapes: rows (n, p), targets (n,), weights (b, n), strengths (b,); result (b, p). Each Newton
    step minimises the penalised quadratic model by coordinate descent, and is halved until the
    objective falls.
    """
    scaled = weights * strengths[:, None]
    found = np.zeros((len(weights), rows.shape[1]))
    loss = _objective(rows, targets, scaled, found)
    for _ in range(100):
        p = _logistic(found @ rows.T)
        gradient = (scaled * (p - targets)) @ rows
        hessian = np.einsum("bn,ni,nj->bij", scaled * p * (1 - p), rows, rows, optimize=True)
        step = _newton_target(found, gradient, hessian) - found
        size = np.ones(len(found))
        for _ in range(30):
            tried = found + size[:, None] * step
            new = _objective(rows, targets, scaled, tried)
            worse = new > loss + 1e-12 * np.abs(loss)
            if not worse.any():
                break
            size[worse] /= 2
        tried[worse], new[worse] = found[worse], loss[worse]
        moved = np.abs(tried - found).max(initial=0.0)
        found, loss = tried, new
        if moved < 1e-9:
            break
    return found


def _newton_target(found: Array, gradient: Array, hessian: Array) -> Array:
    """argmin over v of |v|₁ + gradient·(v − w) + ½ (v − w)ᵀ hessian (v − w), for each w."""
    target = found.copy()
    diagonal = np.maximum(np.einsum("bii->bi", hessian), 1e-12)
    for _ in range(200):
        before = target.copy()
        for k in range(found.shape[1]):
            slope = gradient[:, k] + np.einsum("bj,bj->b", hessian[:, k], target - found)
            free = target[:, k] - slope / diagonal[:, k]
            target[:, k] = np.sign(free) * np.maximum(np.abs(free) - 1 / diagonal[:, k], 0)
        if np.abs(target - before).max(initial=0.0) < 1e-11:
            break
    return target


def _objective(rows: Array, targets: Array, scaled: Array, found: Array) -> Array:
    logits = found @ rows.T
    losses = scaled * (np.logaddexp(0, logits) - targets * logits)
    return np.abs(found).sum(axis=1) + losses.sum(axis=1)


def _logistic(logits: Array) -> Array:
    return np.exp(-np.logaddexp(0, -logits))
