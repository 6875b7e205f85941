"""What to do next, read off the claims and the forecasts: every piece names its ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from veneer.findings.thresholds import LITTLE
from veneer.findings.wording import share
from veneer.records import Advice, Claim, Estimate, Forecast, Verdict

CLOSED = 0.8
"""A style gap is as good as closed when its interval lies above this share."""


def advice(
    claims: Sequence[Claim], forecasts: Sequence[Forecast], veneer: Mapping[str, Estimate]
) -> tuple[Advice, ...]:
    """Most useful first: what helps, what to stop, what to measure before deciding."""
    verdicts: dict[str, Verdict] = {claim.id: claim.verdict for claim in claims}
    left = verdicts["broad-imitation-leaves-capability"]
    style, able = veneer["style"], veneer["capability"]
    made: list[Advice] = []
    if verdicts["better-base-beats-more-data"] == "holds":
        text = "Start from a better base: it gained more capability than more imitation data did."
        made.append(Advice(action="better-base", text=text))
    elif left == "holds":
        text = (
            f"Look for a better base: broad imitation closed {share(able)} of the capability "
            f"gap, below the {100 * LITTLE:.0f} % that counts as little."
        )
        made.append(Advice(action="better-base", text=text))
    if verdicts["local-imitation-works"] == "holds":
        text = "Where one task matters, collect data for that task: it improved the student there."
        made.append(Advice(action="task-data", text=text))
    if style.low is not None and style.low > CLOSED and left == "holds":
        text = (
            f"Stop collecting broad data: {share(style)} of the style gap is closed and "
            "capability does not follow."
        )
        made.append(Advice(action="stop", text=text))
    elif verdicts["style-improves-with-data"] == "holds" and _is_open(style):
        ahead = [f.outcome for f in forecasts if f.family == "style" and _reachable(f)]
        tail = f" Forecast: {ahead[0]}." if ahead else ""
        text = f"For the teacher's style, collect more broad data: {share(style)} is closed so far."
        made.append(Advice(action="more-data", text=text + tail))
    if left == "fails":
        reach = [f.outcome for f in forecasts if f.family == "capability" and _reachable(f)]
        tail = f" Forecast: {reach[0]}." if reach else ""
        text = f"More broad data may pay: it closed {share(able)} of the capability gap so far."
        made.append(Advice(action="more-data", text=text + tail))
    made += _to_measure(claims, style, able)
    return tuple(made)


_MISSING = {
    "style-improves-with-data": "students of two amounts of broad data",
    "local-imitation-works": "a student of task-specific data, scored on its task",
    "better-base-beats-more-data": "students of two bases of known size and of two amounts of data",
    "raters-are-fooled-by-style": "preferences of raters or a judge, beside benchmark results",
    "safety-style-is-inherited": "toxicity of teacher, bases and students",
}


def _to_measure(claims: Sequence[Claim], style: Estimate, able: Estimate) -> list[Advice]:
    made = []
    if able.value is None:
        text = (
            "Measure capability: benchmark results of teacher, base and student on the same items; "
            "without them nothing says what the student can do."
        )
        made.append(Advice(action="measure-more", text=text))
    if style.value is None:
        text = (
            "Measure style: answers of teacher, base and student to the same prompts, and a "
            "second answer of the teacher as the ceiling."
        )
        made.append(Advice(action="measure-more", text=text))
    lacking = []
    for claim in (c for c in claims if c.verdict == "undecided"):
        main = claim.evidence[0]
        if main.estimate is not None and main.estimate.value is not None:
            text = f"{claim.id} is undecided ({main.text}): more items or seeds would narrow it."
            made.append(Advice(action="measure-more", text=text))
        elif claim.id in _MISSING:
            lacking.append(f"{claim.id} needs {_MISSING[claim.id]}")
    if lacking:
        made.append(Advice(action="measure-more", text=f"Undecided: {'; '.join(lacking)}."))
    return made


def _is_open(style: Estimate) -> bool:
    return style.value is not None and (style.high is None or style.high < 1.0)


def _reachable(forecast: Forecast) -> bool:
    return forecast.axis == "tokens" and forecast.needed is not None
