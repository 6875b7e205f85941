"""From scores to conclusions: one function, no model, no clock, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from veneer.findings.advice import advice
from veneer.findings.alarms import alarms
from veneer.findings.claims import claims
from veneer.findings.estimate import estimates
from veneer.findings.forecast import forecasts
from veneer.findings.gap import gap_table
from veneer.findings.grid import AGAIN, TEACHER, Cell, Grid, base_of
from veneer.findings.order import report_order, score_order
from veneer.findings.resample import Sampled, Score, interval, undefined
from veneer.findings.support import Supports, support_curves
from veneer.findings.thresholds import LITTLE
from veneer.findings.wording import label, movement, points, rests_on, share
from veneer.records import Estimate, Findings, Measurement, PreferenceReport, StudyFacts


def conclude(
    facts: StudyFacts,
    sheets: Sequence[Score],
    support: Supports | None = None,
    preferences: Sequence[PreferenceReport] = (),
) -> Findings:
    """Everything that the study's scores allow to conclude, in the form of `findings.json`.

    `sheets` are item scores (`ScoreSheet`) and, where a source gives only totals,
    `Aggregate` rows. `support` says by (corpus, seed) how near that corpus comes to each
    benchmark item; `preferences` what the judges' verdicts say of the judges. The result
    depends on their content and on nothing else: not on their order, not on the time, not on
    the machine.
    """
    grid = Grid(facts, sorted(sheets, key=score_order), sorted(preferences, key=report_order))
    style, able = veneer_pair(grid)
    pair: dict[str, Estimate] = {"style": style.estimate(), "capability": able.estimate()}
    judged, ahead = claims(grid), forecasts(grid)
    return Findings(
        verdict=verdict(grid, style, able),
        gap_closed=tuple(gap_table(grid)),
        veneer=pair,
        claims=judged,
        forecasts=ahead,
        advice=advice(judged, ahead, pair),
        alarms=alarms(grid),
        support=support_curves(grid, support or {}),
    )


def measurements(sheets: Sequence[Score]) -> list[Measurement]:
    """The rows of `measurements.jsonl`, in canonical order: role, base, corpus, tokens, seed, …"""
    ordered = sorted(sheets, key=score_order)
    return [
        Measurement(
            model=score.subject.model,
            role=score.subject.role,
            base=score.subject.base,
            corpus=score.subject.corpus,
            tokens=score.subject.tokens,
            seed=score.subject.seed,
            measure=score.measure,
            metric=score.metric,
            value=found.value,
            low=found.low,
            high=found.high,
            n=found.n,
            unscored=found.unscored,
        )
        for score, found in zip(ordered, estimates(ordered), strict=True)
    ]


def write_findings(path: Path, findings: Findings) -> None:
    """Write `findings.json`: one canonical form, one newline at the end."""
    path.write_text(findings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def subject_of_verdict(grid: Grid) -> Cell | None:
    """The student that the verdict speaks of: broad, largest base, most data.

    A smaller base stands in where nothing can be said of the largest.
    """
    students = grid.fullest(grid.broad())[::-1]
    counted = [*grid.counted("style"), *grid.counted("capability")]
    told = (s for s in students if any(grid.gap(s, metric).defined for metric in counted))
    return next(told, students[0] if students else None)


def veneer_pair(grid: Grid) -> tuple[Sampled, Sampled]:
    """Style and capability gap closed by that student, each the mean over its family's metrics."""
    student = subject_of_verdict(grid)
    if student is None:
        why = undefined("there is no student of broad imitation")
        return why, why
    style, able = grid.counted("style"), grid.counted("capability")
    return (
        grid.mean_gap(student, style) if style else undefined("style was not measured"),
        grid.mean_gap(student, able) if able else undefined("no benchmark was measured"),
    )


def verdict(grid: Grid, style: Sampled, able: Sampled) -> str:
    """The study in one sentence, with intervals; what is undefined is said to be."""
    student = subject_of_verdict(grid)
    if student is None:
        return "No verdict: there is no student of broad imitation among the scores."
    who = _who(grid, student)
    if style.defined and able.defined:
        return (
            f"{who} closed {share(style)} of the style gap and {share(able)} of the capability "
            f"gap: {_meaning(style, able)}."
        )
    if style.defined:
        change = _changes(grid, student)
        tail = f"; {change}" if change else ""
        return (
            f"{who} closed {share(style)} of the style gap; how much of the capability gap is "
            f"undefined{_because(able)}{tail}."
        )
    if able.defined:
        return (
            f"{who} closed {share(able)} of the capability gap; how much of the style gap is "
            f"undefined{_because(style)}."
        )
    change = "; ".join(
        text for text in (_style_change(grid, student), _changes(grid, student)) if text
    )
    because = [
        f"{family} gap undefined{_because(number)}"
        for family, number in (("style", style), ("capability", able))
    ]
    no_share = f"no share of a gap can be given: {', '.join(because)}"
    return f"{who}: {change or 'nothing to compare'}; {no_share}."


def _who(grid: Grid, student: Cell) -> str:
    base = student.base or "its base"
    if student.tokens is None:
        name = grid.name_of(student) or student.corpus or "The student"
        return f"{name} (from {base})"
    return f"Broad imitation of {_teacher(grid)} by {base}"


def _teacher(grid: Grid) -> str:
    return grid.name_of(TEACHER) or grid.name_of(AGAIN) or "the teacher"


def _meaning(style: Sampled, able: Sampled) -> str:
    looks, does = interval(style), interval(able)
    if looks is None or does is None:
        return "the numbers come without intervals, so no more can be said"
    if does[1] < LITTLE and looks[0] > LITTLE:
        return "it learned to sound like its teacher, not to do what its teacher does"
    if does[0] > LITTLE and looks[0] > LITTLE:
        return "it came closer both in how the teacher sounds and in what it can do"
    if does[1] < LITTLE and looks[1] < LITTLE:
        return "it came little closer to its teacher in either"
    if does[0] > LITTLE:
        return "it came closer in what the teacher can do more surely than in how it sounds"
    return "the intervals are too wide to say how deep the imitation goes"


def _because(number: Sampled) -> str:
    """The first reason; the others stand beside the number itself."""
    return f" ({number.notes[0].split(' · ')[0]})" if number.notes else ""


def _style_change(grid: Grid, student: Cell) -> str:
    """student − base in mean style score, in words."""
    base = base_of(student)
    gain = grid.mean_difference(student, base, grid.counted("style"))
    if not gain.defined:
        return ""
    return f"mean style score, student − base = {points(gain)} ({rests_on(gain)})"


def _changes(grid: Grid, student: Cell) -> str:
    """student − base on each benchmark, in words."""
    parts = []
    for metric in grid.counted("capability"):
        gain = grid.difference(student, base_of(student), metric)
        if gain.defined:
            told = f"student − base = {points(gain)} ({rests_on(gain)}), {movement(gain)}"
            parts.append(f"on {label(metric)} {told}")
    return "; ".join(parts)
