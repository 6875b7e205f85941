"""Where the trends lead: quality against log tokens and √parameters.

quality = a + b·log10(tokens) + c·√parameters, the form of performance ∝ log(data) +
√(model size) in the scaling literature that the study follows, fitted by least squares
over the students of the main broad corpus. The fit's own error goes with it, and "never
at this slope" is an answer like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10, sqrt

import numpy as np

from veneer.findings.grid import Cell, Grid, ceiling_of
from veneer.findings.metrics import Metric, family_of
from veneer.findings.resample import LEVEL, Array, Sampled, tidy
from veneer.findings.wording import amount, data, label
from veneer.records import Estimate, Forecast

BEYOND = 18.0
"""log10 of the amount (tokens, parameters) beyond which a forecast is "never in practice"."""


def forecasts(grid: Grid) -> tuple[Forecast, ...]:
    """For each counted style and capability metric: tokens needed, and parameters needed."""
    made = []
    for family in ("style", "capability"):
        for metric in grid.counted(family):
            made += _of_metric(grid, metric)
    return tuple(made)


class Fit:
    """Least squares of quality on the grid, for the data and for each of its resamples.

    Shapes: design (points, terms); quality (points,); draws (RESAMPLES, points).
    Terms are 1, log10(tokens) and, with `sized`, √parameters.
    """

    def __init__(self, design: Array, quality: Array, draws: Array, sized: bool) -> None:
        self.rank = int(np.linalg.matrix_rank(design / np.abs(design).max(axis=0)))
        solve = np.linalg.pinv(design)  # (terms, points)
        self.coefficients = solve @ quality
        self.resampled = draws @ solve.T  # (RESAMPLES, terms)
        self.sized = sized
        residuals = quality - design @ self.coefficients
        self.rmse = float(np.sqrt(np.mean(residuals**2)))
        # Leave-one-out residuals of least squares are e / (1 − leverage).
        leverage = np.clip(np.sum(design * solve.T, axis=1), None, 1 - 1e-9)
        self.left_out = float(np.sqrt(np.mean((residuals / (1 - leverage)) ** 2)))

    def named(self) -> dict[str, float]:
        """Coefficients by letter: a, b per tenfold of tokens, c per √parameter."""
        return {k: tidy(float(v)) for k, v in zip("abc", self.coefficients, strict=False)}


def _of_metric(grid: Grid, metric: Metric) -> list[Forecast]:
    corpus = grid.broad()
    found: list[tuple[Cell, Sampled]] = []
    for cell in grid.students(corpus):
        if cell.tokens and grid.scores(cell, metric):
            (number,) = grid.together([cell], metric)
            if number.defined:
                found.append((cell, number))
    if not found:
        return []
    sized = (
        all(grid.size(c.base) > 0 for c, _ in found)
        and len({grid.size(c.base) for c, _ in found}) > 1
    )
    if not sized:  # one base at a time: the largest, or the only one
        largest = found[-1][0].base
        found = [(c, n) for c, n in found if c.base == largest]
    top = found[-1][0]
    amounts = {c.tokens for c, _ in found}
    terms = 3 if sized else 2
    formula = "quality = a + b·log10(tokens)" + (" + c·√parameters" if sized else "")

    def row(axis: str, fit: Fit | None, needed: Estimate | None, outcome: str) -> Forecast:
        return Forecast(
            family=family_of(metric.measure),
            measure=metric.measure,
            metric=metric.metric,
            axis=axis,
            base=top.base,
            corpus=corpus,
            formula=formula,
            coefficients=fit.named() if fit else {},
            fit_error=tidy(fit.rmse) if fit else None,
            points=len(found),
            needed=needed,
            outcome=outcome,
        )

    if len(found) < 3 or len(found) <= terms or len(amounts) < 2:
        need = max(3, terms + 1)
        why = (
            f"undecidable: {len(found)} point(s) of {len(amounts)} amount(s); "
            f"a fit with an error of its own needs {need} points of at least two amounts"
        )
        return [row("tokens", None, None, why)]
    fit = _fit(grid, found, sized)
    if fit.rank < terms:
        why = "undecidable: amounts and sizes vary together, so their effects cannot be told apart"
        return [row("tokens", None, None, why)]
    ceiling_cell = ceiling_of(metric.measure)
    if not grid.scores(ceiling_cell, metric):
        return [row("tokens", fit, None, "undecidable: the ceiling was not measured")]
    ceiling = grid.together([top, ceiling_cell], metric)[1]
    if not ceiling.defined:
        return [row("tokens", fit, None, "undecidable: the ceiling is undefined")]
    error = f"fit error {fit.rmse:.3f}, leave-one-out {fit.left_out:.3f}"
    root = sqrt(grid.size(top.base)) if sized else 0.0
    least = log10(top.tokens or 1)
    fixed = (fit.coefficients[0] + (fit.coefficients[2] * root if sized else 0.0))  # fmt: skip
    fixed_draws = fit.resampled[:, 0] + (fit.resampled[:, 2] * root if sized else 0.0)
    tokens, said = _solve(
        ceiling.value - fixed,
        ceiling.draws - fixed_draws,
        (fit.coefficients[1], fit.resampled[:, 1]),
        least,
        len(found),
    )
    where = f"{label(metric)} on {top.base or 'the base'}"
    rows = [row("tokens", fit, tokens, f"{where}: {_tokens_told(tokens, said)} ({error})")]
    if sized:
        fixed = fit.coefficients[0] + fit.coefficients[1] * least
        fixed_draws = fit.resampled[:, 0] + fit.resampled[:, 1] * least
        needed, said = _solve(
            ceiling.value - fixed,
            ceiling.draws - fixed_draws,
            (fit.coefficients[2], fit.resampled[:, 2]),
            root,
            len(found),
            power=True,
        )
        text = f"{label(metric)} with {data(top.tokens)}: {_parameters_told(needed, said)}"
        rows.append(row("parameters", fit, needed, f"{text} ({error})"))
    return rows


def _fit(grid: Grid, found: Sequence[tuple[Cell, Sampled]], sized: bool) -> Fit:
    columns = [np.ones(len(found)), np.array([log10(c.tokens or 1) for c, _ in found])]
    if sized:
        columns.append(np.array([sqrt(grid.size(c.base)) for c, _ in found]))
    quality = np.array([n.value for _, n in found])
    draws = np.stack([n.draws for _, n in found], axis=1)
    return Fit(np.stack(columns, axis=1), quality, draws, sized)


def _solve(
    rest: float,
    rest_draws: Array,
    slope: tuple[float, Array],
    now: float,
    points: int,
    power: bool = False,
) -> tuple[Estimate | None, str]:
    """Where slope·x = rest, and what to say where that is nowhere ahead of `now`.

    x is log10 of tokens, or √parameters with `power`. A resample whose slope does not
    rise needs infinitely much, so an interval may be open above (`high` None).
    """
    value, drawn = slope
    if value <= 0:
        return None, "never"
    at = rest / value
    if at <= now:
        return None, "closed"
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(drawn > 0, rest_draws / drawn, np.inf)
    draws = np.where(draws <= now, now, draws)[np.isfinite(rest_draws) & np.isfinite(drawn)]
    size = (lambda x: 2 * np.log10(max(x, 1e-9))) if power else (lambda x: x)
    if size(at) > BEYOND:
        return None, "beyond"
    tail = (1 - LEVEL) / 2
    if not len(draws):
        note = "no interval: the scores are totals without standard errors"
        value = tidy(10 ** size(at))
        return Estimate(value=value, low=None, high=None, n=points, note=note), "ahead"
    low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")
    low, high = min(low, at), max(high, at)
    is_open = not np.isfinite(high) or size(high) > BEYOND
    estimate = Estimate(
        value=tidy(10 ** size(at)),
        low=tidy(10 ** size(low)),
        high=None if is_open else tidy(10 ** size(high)),
        n=points,
        note="the interval is open above: the slope may be flat" if is_open else "",
    )
    return estimate, "open" if is_open else "ahead"


def _tokens_told(needed: Estimate | None, said: str) -> str:
    return _told(needed, said, "tokens", "with the largest amount already")


def _parameters_told(needed: Estimate | None, said: str) -> str:
    return _told(needed, said, "parameters", "at the largest base already")


def _told(needed: Estimate | None, said: str, unit: str, closed: str) -> str:
    if said == "never":
        return f"the gap never closes at this slope: more {unit} do not help"
    if said == "closed":
        return f"the fit puts the gap as closed {closed}"
    if said == "beyond" or needed is None or needed.value is None:
        return f"the gap does not close before 10^{BEYOND:.0f} {unit}: never in practice"
    if needed.low is None:
        return f"the gap closes at about {amount(needed.value)} {unit}"
    high = "∞" if needed.high is None else amount(needed.high)
    spread = f"[{amount(needed.low)}, {high}]"
    return f"the gap closes at about {amount(needed.value)} {unit} {spread}"
