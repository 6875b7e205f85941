"""From what lm-eval found to score sheets: a value an item, or a total where items have none.

A task's metric that is the mean of its items becomes a ScoreSheet; any other (perplexity, F1 over
the corpus) an Aggregate with lm-eval's own standard error. A group's or tag's items stand in one
sheet a metric, whose categories are the subtasks; where the group weighs its subtasks by anything
but their sizes, its own total is an Aggregate beside the sheet. A metric is called as in lm-eval,
with the filter behind a comma unless that is "none": "exact_match,strict-match".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from veneer.measure.items import item_ids
from veneer.records import Aggregate, ScoreSheet, Subject

SILENT = "the endpoint gives no log-probabilities of given texts"


@dataclass
class _Column:
    """One metric's items over all tasks of a name."""

    docs: list[tuple[str, str]] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def sheets_of(
    measure: str,
    tasks: Mapping[str, Any],
    found: Mapping[str, Any],
    subject: Subject,
    lost: Mapping[str, str],
) -> tuple[list[ScoreSheet], list[Aggregate]]:
    """Sheets and totals of the tasks that one name stands for.

    Args:
        measure: "lm_eval:" and the name.
        found: what `lm_eval.evaluator.evaluate` returned for these tasks.
        lost: prompt → why nothing is known of what the model says to it.
    """
    columns: dict[str, _Column] = {}
    totals: list[Aggregate] = []
    for name, task in tasks.items():
        samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
        means: set[str] = set()
        for sample in samples:
            gone = next(
                (lost[args[0]] for args in sample["arguments"] if args and args[0] in lost), ""
            )
            for metric in sample["metrics"]:
                if not _is_mean(task, metric):
                    continue
                label = _metric(metric, sample["filter"])
                means.add(label)
                column = columns.setdefault(label, _Column())
                value = None if gone else _number(sample[metric])
                column.docs.append((name, sample["doc_hash"]))
                column.values.append(value)
                column.reasons.append(
                    "" if value is not None else gone or f"{metric} is not a number"
                )
        own = measure if len(tasks) == 1 else f"lm_eval:{name}"
        totals += [
            total
            for total in _totals(own, found["results"][name], subject)
            if total.metric not in means
        ]
    is_group = len(tasks) > 1 or [f"lm_eval:{name}" for name in tasks] != [measure]
    sheets = [
        _sheet(measure, metric, column, subject, is_group) for metric, column in columns.items()
    ]
    group = found["results"].get(measure.removeprefix("lm_eval:"))
    if is_group and group is not None:
        totals += [
            total
            for total in _totals(measure, group, subject)
            if not any(s.metric == total.metric and _agrees(s, total.value) for s in sheets)
        ]
    return sheets, totals


def silent_sheets(
    measure: str, tasks: Mapping[str, Any], subject: Subject, limit: int | None
) -> list[ScoreSheet]:
    """Sheets without a value: what an endpoint cannot be measured by, item by item."""
    columns: dict[str, _Column] = {}
    for name, task in tasks.items():
        hashes = [doc_hash(doc) for _, doc in task.doc_iterator(limit=limit)]
        for metric in task.aggregation():
            if _is_mean(task, metric):
                column = columns.setdefault(metric, _Column())
                column.docs += [(name, one) for one in hashes]
                column.values += [None] * len(hashes)
                column.reasons += [SILENT] * len(hashes)
    is_group = len(tasks) > 1 or [f"lm_eval:{name}" for name in tasks] != [measure]
    return [_sheet(measure, metric, c, subject, is_group) for metric, c in columns.items()]


def doc_hash(doc: Any) -> str:
    """lm-eval's own name of a document, as in its samples' `doc_hash`."""
    from lm_eval.utils import handle_non_serializable, hash_string

    return str(
        hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False))
    )


def _sheet(
    measure: str, metric: str, column: _Column, subject: Subject, is_group: bool
) -> ScoreSheet:
    return ScoreSheet(
        subject=subject,
        measure=measure,
        metric=metric,
        items=item_ids([list(doc) for doc in column.docs]),
        values=tuple(column.values),
        reasons=tuple(column.reasons) if any(column.reasons) else (),
        categories=tuple(task for task, _ in column.docs) if is_group else (),
    )


def _is_mean(task: Any, metric: str) -> bool:
    """Whether a metric is the plain mean of its items; lm-eval takes it where none is given."""
    from lm_eval.api.metrics import mean, nanmean

    return task.aggregation().get(metric, mean) in (mean, nanmean)


def _metric(metric: str, filtered: str) -> str:
    return metric if filtered == "none" else f"{metric},{filtered}"


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _totals(measure: str, result: Mapping[str, Any], subject: Subject) -> list[Aggregate]:
    """Every metric of one entry of lm-eval's results."""
    totals = []
    for key, given in result.items():
        metric, comma, filtered = key.partition(",")
        value = _number(given) if comma and not metric.endswith("_stderr") else None
        if value is not None:
            totals.append(
                Aggregate(
                    subject=subject,
                    measure=measure,
                    metric=_metric(metric, filtered),
                    value=value,
                    standard_error=_number(result.get(f"{metric}_stderr,{filtered}")),
                    n=int(result.get("sample_len") or 0),
                )
            )
    return totals


def _agrees(sheet: ScoreSheet, total: float) -> bool:
    scored: Sequence[float] = [value for value in sheet.values if value is not None]
    return bool(scored) and math.isclose(sum(scored) / len(scored), total, rel_tol=1e-9)
