"""The canonical order of rows: role, base, corpus, tokens, seed, model, and what was measured."""

from __future__ import annotations

from veneer.findings.resample import Score
from veneer.records import PreferenceReport, Subject


def score_order(score: Score) -> tuple[object, ...]:
    """Where a score stands in `measurements.jsonl`."""
    return (*subject_order(score.subject), score.measure, score.metric)


def report_order(report: PreferenceReport) -> tuple[object, ...]:
    """Where a report on a preference stands in `preferences.jsonl`."""
    about = (report.against, report.judge, report.template, report.orders)
    return (*subject_order(report.subject), *about)


def subject_order(who: Subject) -> tuple[object, ...]:
    """Where a model stands in a file of rows."""
    roles = ("teacher", "teacher-again", "base", "student")
    return (
        roles.index(who.role),
        who.base or "",
        who.corpus or "",
        -1 if who.tokens is None else who.tokens,
        who.seed,
        who.model,
    )
