"""A made-up run with all optional files, concluded by `veneer.findings` as a study is."""

from __future__ import annotations

import random
from pathlib import Path

import report_samples as samples

from veneer.findings import category_measurements, conclude, estimate, measurements
from veneer.records import (
    Aggregate,
    CorpusFacts,
    Estimate,
    PreferenceReport,
    ScoreSheet,
    StudyFacts,
    Subject,
    Support,
    write_rows,
)

CATEGORIES = ("chat", "coding", "<b>rewrite</b>")
FACTS = StudyFacts(
    name="judged", parameters=samples.PARAMETERS,
    corpora={"broad": CorpusFacts(kind="broad"), "local": CorpusFacts(kind="local", task="nq")},
)  # fmt: skip
BIAS = "goes to the answer shown first in 62 % [55, 70] of single verdicts"
REASON = "no verdict in the text"
PROMPTS = 80


def sheets() -> list[ScoreSheet]:
    """The samples' sheets of style and two benchmarks; style and MMLU items have categories."""
    made = []
    for sheet in samples.sheets((0,)):
        if sheet.measure not in ("style", "nq", "mmlu"):
            continue
        names: tuple[str, ...] = ()
        if sheet.measure == "style":
            names = tuple(CATEGORIES[k % 3] for k in range(len(sheet.items)))
        if sheet.measure == "mmlu":  # more subjects than a table of the page has
            names = tuple(f"subject {k % 20}" for k in range(len(sheet.items)))
        made.append(sheet.model_copy(update={"categories": names}))
    return made


def preference(who: Subject, rate: float) -> tuple[ScoreSheet, ScoreSheet]:
    """Win rate and win-or-tie rate against the teacher; two prompts without a verdict."""
    luck = random.Random(who.model)
    values: list[float | None] = [
        1.0 if (u := luck.random()) < rate else 0.5 if u < 1.5 * rate else 0.0
        for _ in range(PROMPTS)
    ]
    values[3] = values[7] = None
    more = {
        "subject": who, "measure": "preference", "against": "teacher",
        "items": tuple(f"prompt {k}" for k in range(PROMPTS)),
        "reasons": tuple(REASON if v is None else "" for v in values),
        "categories": tuple(CATEGORIES[k % 2] for k in range(PROMPTS)),
    }  # fmt: skip
    kept = tuple(None if v is None else float(v > 0) for v in values)
    return (
        ScoreSheet(metric="win_rate", values=tuple(values), **more),
        ScoreSheet(metric="win_or_tie_rate", values=kept, **more),
    )


def report(win: ScoreSheet, tie: ScoreSheet, total: Aggregate) -> PreferenceReport:
    values = [v for v in win.values if v is not None]
    biased = win.subject.tokens == samples.AMOUNTS[-1]
    return PreferenceReport(
        subject=win.subject, against="teacher", judge="judge-1", template="pair-v2", orders="both",
        wins=values.count(1.0), ties=values.count(0.5), losses=values.count(0.0),
        win_rate=estimate(win), standard_error=0.05, win_or_tie_rate=estimate(tie),
        length_controlled=estimate(total),
        length_effect=Estimate(value=0.8, low=0.4, high=1.2, n=78, unscored=2),
        first_position=Estimate(value=0.62, low=0.55, high=0.7, n=156, unscored=4),
        orders_agree=Estimate(value=0.7, low=0.6, high=0.79, n=78, unscored=2),
        biases=(BIAS,) if biased else (), reasons={REASON: 2, "refused": 0},
    )  # fmt: skip


def support(scored: list[ScoreSheet]) -> dict[tuple[str, int], list[Support]]:
    """Every benchmark item at some support; harder items (later names) no nearer than others."""
    found: dict[str, tuple[str, ...]] = {
        s.measure: s.items for s in scored if s.measure in ("nq", "mmlu")
    }
    rows = [
        Support(measure=measure, item=item, bleu=100 * random.Random(item).random() ** 2)
        for measure, items in found.items()
        for item in items
    ]
    return {("broad", 0): rows}


def judged_run(run: Path) -> Path:
    scored: list[ScoreSheet] = sheets()
    totals, reports = [], []
    people = {s.subject.model: s.subject for s in scored if s.subject.role in ("base", "student")}
    for who in people.values():
        rate = 0.04 if who.role == "base" else 0.1 + 0.4 * (who.corpus == "broad")
        win, tie = preference(who, rate)
        total = Aggregate(
            subject=who, measure="preference", metric="length_controlled_win_rate",
            value=0.9 * rate, standard_error=0.03, n=PROMPTS - 2,
        )  # fmt: skip
        scored += [win, tie]
        totals.append(total)
        reports.append(report(win, tie, total))
    every = [*scored, *totals]
    findings = conclude(FACTS, every, support(scored), reports)
    samples.write_run(run, measurements(every), findings, FACTS, [], {"kind": "study"})
    write_rows(run / "categories.jsonl", category_measurements(every))
    write_rows(run / "preferences.jsonl", reports)
    return run
