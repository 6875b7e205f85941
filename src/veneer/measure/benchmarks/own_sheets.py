"""Score sheets and texts of the benchmarks that we bring along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from veneer.measure.benchmarks.own import BENCHMARKS
from veneer.measure.benchmarks.sheets import SILENT
from veneer.measure.items import item_ids
from veneer.records import Answer, ScoreSheet, Subject


def own_sheets(
    name: str,
    samples: Sequence[dict[str, Any]],
    subject: Subject,
    lost: Mapping[str, str],
    ks: Sequence[int],
) -> list[ScoreSheet]:
    """A sheet a metric of one of our benchmarks; `lost`: prompt → why it has no answer."""
    kind = BENCHMARKS[name]
    gone = [lost.get(sample["arguments"][0][0], "") for sample in samples]
    ids = item_ids(kind.identity(sample["doc"]) for sample in samples)
    categories = tuple(kind.category(sample["doc"]) for sample in samples)
    metrics = [kind.metric]
    if name == "humaneval":
        metrics = [f"pass@{k}" for k in ks]
    sheets = []
    for metric in metrics:
        values = [
            math.nan if why else sample[metric] for sample, why in zip(samples, gone, strict=True)
        ]
        reasons = [
            (why or _not_run(sample)) if math.isnan(value) else ""
            for value, sample, why in zip(values, samples, gone, strict=True)
        ]
        sheets.append(
            ScoreSheet(
                subject=subject,
                measure=name,
                metric=metric,
                items=ids,
                values=tuple(None if math.isnan(value) else float(value) for value in values),
                reasons=tuple(reasons) if any(reasons) else (),
                categories=categories if any(categories) else (),
            )
        )
    return sheets


def _not_run(sample: Mapping[str, Any]) -> str:
    """Why a program has no verdict."""
    verdicts = sample["filtered_resps"][0]
    return next((one["reason"] for one in verdicts if one["passed"] is None), "not run")


def unheard(given: dict[str, Any], subject: Subject) -> ScoreSheet:
    """MMLU for a model that can only be asked: every item unscored, with the reason."""
    kind = BENCHMARKS["mmlu"]
    docs = kind.documents(**given)["test"]
    return ScoreSheet(
        subject=subject,
        measure="mmlu",
        metric=kind.metric,
        items=item_ids(kind.identity(doc) for doc in docs),
        values=(None,) * len(docs),
        reasons=(SILENT,) * len(docs),
        categories=tuple(kind.category(doc) for doc in docs),
    )


def answers_of(
    measure: str, samples: Sequence[Mapping[str, Any]], subject: Subject
) -> list[Answer]:
    """What was said to every item, sample by sample."""
    return [
        Answer(
            prompt=sample["arguments"][0][0],
            text=text,
            model=subject.model,
            sample=number,
            outcome="answered" if text.strip() else "empty",
            category=measure,
        )
        for sample in samples
        for number, text in enumerate(sample["resps"][0])
    ]
