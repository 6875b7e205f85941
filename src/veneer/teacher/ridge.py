"""Foretell where student and teacher will disagree, from where they did.

Ridge regression on standardised features; the penalty is the one with the smallest
leave-one-out error (its closed form: residual / (1 − leverage); Golub, Heath and Wahba, 1979).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veneer.errors import InputError
from veneer.records import Answer, Prompt

if TYPE_CHECKING:
    from veneer.teacher.uncertainty import Own

FEWEST = 20
"""Answered prompts that a forecast needs at least."""
PENALTIES = tuple(10.0**k for k in range(-3, 5))

_WORD = re.compile(r"[a-z0-9]+")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Foretold:
    """Expected disagreement (0..1) of every prompt; None where the student said nothing.

    `held_out_r`: Pearson correlation of the leave-one-out forecasts with the truth on the `n`
    prompts that were asked; None where either does not vary. Near 0 the ranking means nothing.
    """

    scores: tuple[float | None, ...]
    held_out_r: float | None
    mean: float
    penalty: float
    n: int

    def facts(self) -> dict[str, float | int | None]:
        """What to report of it."""
        return {
            "n": self.n,
            "mean_disagreement": round(self.mean, 6),
            "held_out_r": None if self.held_out_r is None else round(self.held_out_r, 6),
            "penalty": self.penalty,
        }


def foretell(
    asked: Sequence[Answer],
    own_asked: Sequence[Own],
    prompts: Sequence[Prompt],
    own: Sequence[Own],
) -> Foretold:
    """Disagreement expected on `prompts`, from the teacher's answers `asked` and the student's.

    Raises:
        InputError: fewer than `FEWEST` prompts were answered by both.
    """
    both = [(a, o) for a, o in zip(asked, own_asked, strict=True) if o.surprise is not None]
    if len(both) < FEWEST:
        raise InputError(
            f"{len(both)} prompts were answered by teacher and student; foretelling their "
            f"disagreement needs {FEWEST}.",
            "Ask more prompts at random first, or choose by uncertainty.",
        )
    truth = np.array([1.0 - unigram_f1(a.text, o.reply.text) for a, o in both])
    categories = sorted({a.category for a, _ in both})
    known = _features([a.prompt for a, _ in both], [o for _, o in both])
    center, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread == 0] = 1.0

    def design(numbers: Array, named: Sequence[str]) -> Array:
        flags = np.array([[float(name == c) for c in categories] for name in named])
        return np.hstack([(numbers - center) / spread, flags.reshape(len(named), -1)])

    fitted = design(known, [a.category for a, _ in both])
    penalty, held_out, weights, offset = fit_ridge(fitted, truth)
    varies = np.ptp(held_out) > 0 and np.ptp(truth) > 0
    there = [k for k, o in enumerate(own) if o.surprise is not None]
    scores: list[float | None] = [None] * len(own)
    if there:
        numbers = _features([prompts[k].text for k in there], [own[k] for k in there])
        said = design(numbers, [prompts[k].category for k in there]) @ weights + offset
        for k, value in zip(there, said, strict=True):
            scores[k] = float(value)
    return Foretold(
        tuple(scores),
        float(np.corrcoef(held_out, truth)[0, 1]) if varies else None,
        float(truth.mean()),
        penalty,
        len(both),
    )


def fit_ridge(x: Array, y: Array) -> tuple[float, Array, Array, float]:
    """(penalty, leave-one-out forecasts (n,), weights (features,), intercept).

    Shapes: x (n, features), y (n,). The intercept is not penalised.
    """
    center = x.mean(axis=0)
    inner = x - center
    best: tuple[float, float, Array, Array] | None = None
    for penalty in PENALTIES:
        gram = inner.T @ inner + penalty * np.eye(x.shape[1])
        map_ = np.linalg.solve(gram, inner.T)  # (features, n)
        weights = map_ @ (y - y.mean())
        leverage = (inner * map_.T).sum(axis=1) + 1.0 / len(y)
        residual = y - y.mean() - inner @ weights
        held_out = y - residual / np.maximum(1.0 - leverage, 1e-12)
        error = float(((y - held_out) ** 2).mean())
        if best is None or error < best[0]:
            best = (error, penalty, held_out, weights)
    assert best is not None
    _, penalty, held_out, weights = best
    return penalty, held_out, weights, float(y.mean() - center @ weights)


def unigram_f1(one: str, other: str) -> float:
    """Shared words, F1 over multisets of [a-z0-9]+ of the lowered texts; 1 where both have none."""
    first, second = (Counter(_WORD.findall(text.lower())) for text in (one, other))
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0


def _features(texts: Sequence[str], own: Sequence[Own]) -> Array:
    """(n, 4): surprise, entropy, log tokens of the student's answer, log words of the prompt."""
    return np.array(
        [
            [
                o.surprise or 0.0,
                o.entropy or 0.0,
                np.log1p(o.tokens),
                np.log1p(len(text.split())),
            ]
            for text, o in zip(texts, own, strict=True)
        ]
    )
