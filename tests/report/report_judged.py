"""A made-up run with all optional files, concluded by `veneer.findings` as a study is."""

from __future__ import annotations

import random
from pathlib import Path

import report_samples as samples

from veneer.findings import category_measurements, conclude, measurements
from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.records import (
    Aggregate,
    Comparison,
    CorpusFacts,
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


def comparisons(who: Subject, rate: float) -> list[Comparison]:
    """Both orders of every prompt by a judge that likes what it is shown first.

    Two prompts have no verdict; the longer of two answers wins more often.
    """
    luck = random.Random(who.model)
    made = []
    for k in range(PROMPTS):
        longer = luck.randint(-200, 200)
        for order in range(2):
            chance = rate + (0.15, -0.15)[order] + 0.0005 * longer
            won = luck.random() < chance
            first, second = (who.model, "teacher")[:: 1 - 2 * order]
            lengths = (500 + longer, 500) if order == 0 else (500, 500 + longer)
            made.append(
                Comparison(
                    prompt=f"prompt {k}", first=first, second=second, lengths=lengths,
                    second_wins=None if k in (3, 7) else float(won == bool(order)),
                    reason=REASON if k in (3, 7) else "", category=CATEGORIES[k % 2],
                    judge="judge-1", template="pair-v2",
                )
            )  # fmt: skip
    return made


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
        found = comparisons(
            who, 0.04 if who.role == "base" else 0.15 + 0.4 * (who.corpus == "broad")
        )
        report = preference_report(found, who, "teacher")
        reports.append(report)
        scored += preference_sheets_of(found, who, "teacher")
        assert report.length_controlled is not None
        equal = report.length_controlled
        if equal.value is not None and equal.low is not None and equal.high is not None:
            totals.append(
                Aggregate(
                    subject=who, measure="preference", metric="length_controlled_win_rate",
                    value=equal.value, standard_error=(equal.high - equal.low) / 3.92, n=equal.n,
                )
            )  # fmt: skip
    every = [*scored, *totals]
    findings = conclude(FACTS, every, support(scored), reports)
    samples.write_run(run, measurements(every), findings, FACTS, [], {"kind": "study"})
    write_rows(run / "categories.jsonl", category_measurements(every))
    write_rows(run / "preferences.jsonl", reports)
    return run
