"""Claims, advice and forecasts as the words on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from veneer.records import Claim, Estimate, Findings, Forecast, GapClosed, StudyFacts
from veneer.report.palette import accent
from veneer.report.wording import (
    FAMILIES,
    amount,
    counted,
    interval,
    number,
    percent,
    plural,
    short_metric,
    thousands,
)

_ACTIONS = {
    "more-data": "Collect more data",
    "task-data": "Collect task-specific data",
    "better-base": "Take a better base",
    "stop": "Stop here",
    "measure-more": "Measure more",
}
MARKS = {"holds": "✓", "fails": "✕", "undecided": "?"}


@dataclass(frozen=True)
class Piece:
    """One number behind a verdict."""

    text: str
    value: str = ""
    interval: str = ""
    counted: str = ""
    note: str = ""


@dataclass(frozen=True)
class Said:
    """A claim with its verdict, and in a line what that verdict rests on."""

    id: str
    statement: str
    verdict: str
    mark: str
    rests_on: str
    pieces: tuple[Piece, ...]


def claims(findings: Findings, facts: StudyFacts) -> tuple[Said, ...]:
    """The claims in the order of the findings, which is the paper's."""
    return tuple(
        Said(
            c.id, c.statement, c.verdict, MARKS[c.verdict], _rests_on(c, facts),
            tuple(_piece(e.text, e.estimate) for e in c.evidence),
        )
        for c in findings.claims
    )  # fmt: skip


def _piece(text: str, e: Estimate | None) -> Piece:
    if e is None:
        return Piece(text)
    r = "correlation" in text.lower() or "pearson" in text.lower()
    unit = "length_correlation" if r else ""
    value = number(e.value) if r else percent(e.value)
    return Piece(text, value, interval(unit, e.low, e.high), counted_for(e), e.note)


def counted_for(e: Estimate | GapClosed) -> str:
    """n and unscored; a number taken from elsewhere may come without its n, and that is said."""
    if e.n == 0 and e.value is not None:
        return "n not given"
    return counted(e.n, e.unscored)


def _rests_on(claim: Claim, facts: StudyFacts) -> str:
    found = [e.estimate for e in claim.evidence if e.estimate is not None]
    if not found:
        return "Rests on no measurement."
    said = f"Rests on {plural(len(found), 'number')}"
    items = sorted({e.n for e in found if e.n})
    if items:
        if len(items) > 1:
            said += f", each over {thousands(items[0])} to {plural(items[-1], 'item')}"
        else:
            said += f"{', each' if len(found) > 1 else ''} over {plural(items[0], 'item')}"
    said += f", {plural(len(facts.seeds), 'seed')}, 95% intervals"
    lost = sum(e.unscored for e in found)
    return said + (f"; {thousands(lost)} items could not be scored." if lost else ".")


def advice(findings: Findings) -> tuple[tuple[str, str], ...]:
    """(what to do, why) pairs."""
    return tuple((_ACTIONS[a.action], a.text) for a in findings.advice)


@dataclass(frozen=True)
class Ahead:
    """A forecast: what, along which axis, how much is needed, and the fit behind it."""

    family: str
    subject: str
    axis: str
    needed: str
    interval: str
    outcome: str
    fit: str


def forecasts(findings: Findings) -> tuple[Ahead, ...]:
    """Forecasts in the order of the findings."""
    return tuple(_ahead(f) for f in findings.forecasts)


def _ahead(f: Forecast) -> Ahead:
    who = ", ".join(x for x in (f.base, f.corpus) if x)
    axis = "more imitation data" if f.axis == "tokens" else "a larger base"
    needed, span = "", ""
    if f.needed is not None and f.needed.value is not None:
        needed = f"{amount(f.needed.value)} {f.axis}"
        if f.needed.low is not None or f.needed.high is not None:
            ends = [
                amount(f.needed.low) if f.needed.low is not None else "no lower limit",
                amount(f.needed.high) if f.needed.high is not None else "no upper limit",
            ]
            span = " to ".join(ends)  # fmt: skip
    terms = ", ".join(f"{k} = {number(v, 4)}" for k, v in f.coefficients.items())
    fit = f"{f.formula}, fitted to {plural(f.points, 'point')}"
    if terms:
        fit += f" ({terms})"
    if f.fit_error is not None:
        fit += f"; the fit’s own error {number(f.fit_error, 3)}"
    subject = short_metric(f.measure, f.metric) + (f" ({who})" if who else "")
    return Ahead(f.family, subject, axis, needed, span, f.outcome, fit)


# ---- gap closed, metric by metric -----------------------------------------------------------


def gaps(findings: Findings) -> list[dict[str, Any]]:
    """Every gap closed, by family; `place` positions are per cent of a track from −100 to 150 %."""
    groups = []
    for family in FAMILIES:
        rows = [_gap(g) for g in findings.gap_closed if g.family == family]
        if rows:
            groups.append({"family": family, "colour": accent(family), "rows": rows})
    return groups


def _gap(g: GapClosed) -> dict[str, Any]:
    def place(value: float) -> float:
        return round((min(max(value, -1.0), 1.5) + 1.0) / 2.5 * 100, 2)

    row: dict[str, Any] = {
        "metric": short_metric(g.measure, g.metric),
        "base": g.base or "–",
        "corpus": g.corpus or "–",
        "tokens": amount(g.tokens) if g.tokens else "–",
        "value": percent(g.value if g.defined else None, 0),
        "interval": "–" if g.low is None or g.high is None else interval("", g.low, g.high),
        "counted": counted_for(g),
        "seeds": g.seeds,
        "note": g.note,
        "defined": g.defined and g.value is not None,
    }
    if row["defined"]:
        value = g.value or 0.0
        start, end = sorted((place(0.0), place(value)))
        row |= {"left": start, "width": round(end - start, 2), "over": not -1 <= value <= 1.5}
        if g.low is not None and g.high is not None:
            low, high = place(g.low), place(g.high)
            row |= {"low": low, "reach": round(high - low, 2)}
    return row
