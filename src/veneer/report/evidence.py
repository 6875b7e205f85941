"""Claims, advice and forecasts as the words on the page."""

from __future__ import annotations

from collections.abc import Callable
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
    significant,
    thousands,
)

_ACTIONS = {
    "more-data": "Collect more data",
    "task-data": "Collect task-specific data",
    "better-base": "Take a better base",
    "stop": "Stop here",
    "measure-more": "Measure more",
}
_FURTHEST = 1.5
MARKS = {"holds": "✓", "fails": "✕", "undecided": "?"}


@dataclass(frozen=True)
class Piece:
    """One number behind a verdict. `told`: the text says it already, with what it rests on.

    `place`, `low`, `reach` and `zero` are per cent of a track that a claim's numbers share.
    """

    text: str
    value: str = ""
    interval: str = ""
    counted: str = ""
    note: str = ""
    told: bool = False
    place: float | None = None
    low: float | None = None
    reach: float = 0.0
    zero: float = 0.0


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
            _pieces(c),
        )
        for c in findings.claims
    )  # fmt: skip


def _pieces(claim: Claim) -> tuple[Piece, ...]:
    seen = [0.0]
    for piece in claim.evidence:
        e = piece.estimate
        if e is not None and e.value is not None:
            seen += [e.value, *(end for end in (e.low, e.high) if end is not None)]
    low, high = max(min(seen), -_FURTHEST), min(max(seen), _FURTHEST)
    room = 0.06 * ((high - low) or 1.0)
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    return tuple(_piece(e.text, e.estimate, place) for e in claim.evidence)


def _piece(text: str, e: Estimate | None, place: Callable[[float], float]) -> Piece:
    if e is None:
        return Piece(text)
    r = "correlation" in text.lower() or "pearson" in text.lower()
    unit = "length_correlation" if r else ""
    known = e.value is not None and e.low is not None and e.high is not None
    return Piece(
        text,
        number(e.value) if r else percent(e.value),
        interval(unit, e.low, e.high),
        counted(e.n, e.unscored, e.value),
        e.note,
        told=e.value is not None and f"n {thousands(e.n)}" in text,
        place=None if e.value is None else place(e.value),
        low=place(e.low or 0.0) if known else None,
        reach=round(place(e.high or 0.0) - place(e.low or 0.0), 2) if known else 0.0,
        zero=place(0.0),
    )


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
    said += f", {plural(len(facts.seeds), 'seed')}, 95 % intervals"
    lost = sum(e.unscored for e in found)
    return said + (f"; {thousands(lost)} items could not be scored." if lost else ".")


def advice(findings: Findings) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(what to do, why) pairs; advice of one kind stands together, the first kind first."""
    kinds: dict[str, list[str]] = {}
    for piece in findings.advice:
        kinds.setdefault(_ACTIONS[piece.action], []).append(piece.text)
    return tuple((action, tuple(texts)) for action, texts in kinds.items())


@dataclass(frozen=True)
class Warned:
    """An alarm: its name and its sentence, which holds the numbers that rise and fall."""

    title: str
    text: str


_ALARMS = {
    "style-up-capability-down": "Style up, capability down",
    "preference-up-capability-down": "Preference up, capability down",
}


def alarms(findings: Findings) -> tuple[Warned, ...]:
    """The alarms in the order of the findings."""
    return tuple(Warned(_ALARMS[a.id], a.text) for a in findings.alarms)


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
    terms = ", ".join(f"{k} = {significant(v)}" for k, v in f.coefficients.items())
    fit = f"{f.formula}, fitted to {plural(f.points, 'point')}"
    if terms:
        fit += f" ({terms})"
    if f.fit_error is not None:
        fit += f"; the fit’s own error {significant(f.fit_error)}"
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
        "interval": interval("", g.low, g.high, 0) if g.defined else "–",
        "counted": counted(g.n, g.unscored, g.value),
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
