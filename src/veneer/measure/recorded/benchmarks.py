"""Benchmark results that others computed: item scores where there are items, totals where not.

Shapes read, plain or gzipped:
- lm-eval `samples_*.jsonl`: a score an item; items meet on the document's hash;
- lm-eval `results_*.json`: totals with standard errors, no items (`Aggregate`);
- HumanEval results `{task_id, passed}`, several samples a task averaged (pass@1);
- MMLU predictions `{subject, idx, answer, prediction}`;
- `{item, answer, prediction}` with one right answer; `{item, score}`, with `measure` and
  `metric` if there are several.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row, read_object, read_rows_of
from veneer.records import Aggregate, ScoreSheet, Subject

METRICS = {"acc": "accuracy", "em": "exact_match", "pass_at_1": "pass@1"}
"""lm-eval's names for what our own measures call otherwise."""

USUAL = {"nq": "exact_match", "mmlu": "accuracy", "humaneval": "pass@1"}
"""How bare item scores of a known benchmark are called."""

_TASKS = (("mmlu", "mmlu"), ("nq_open", "nq"), ("humaneval", "humaneval"))
_LETTERS = re.compile(r"[^a-z0-9]+")

Score = ScoreSheet | Aggregate
Scored = tuple[str, float | None, str]  # item, score, reason why not


def read_benchmark(path: Path, subject: Subject) -> list[Score]:
    """All scores of one file, as sheets (with items) or totals (without).

    Raises:
        InputError: as in `files`; unknown shape; a score that is no number; an item twice.
    """
    whole = read_object(path)
    if whole is not None and isinstance(whole.get("results"), dict):
        return list(_totals(path, whole, subject))
    rows = read_rows_of(path)
    fields = rows[0].fields
    if "doc_id" in fields and "metrics" in fields:
        return list(_samples(path, rows, subject))
    if {"subject", "idx", "answer", "prediction"} <= set(fields):
        named = [("mmlu", "accuracy", _predicted(path, row, _subject_item)) for row in rows]
    elif {"task_id", "passed"} <= set(fields):
        return [_passed(path, rows, subject)]
    elif "score" in fields and _item_of(fields) is not None:
        named = [_scored(path, row) for row in rows]
    elif {"answer", "prediction"} <= set(fields) and _item_of(fields) is not None:
        measure = _measure_of(path)
        named = [(measure, "accuracy", _predicted(path, row, _own_item)) for row in rows]
    else:
        raise InputError(
            f"{path}, {rows[0].at}: no benchmark scores in the fields {', '.join(sorted(fields))}.",
            "Known shapes: lm-eval results_*.json and samples_*.jsonl, "
            '{"item", "score"}, {"subject", "idx", "answer", "prediction"}.',
        )
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for measure, metric, scored in named:
        groups[measure, metric].append(scored)
    return [_sheet(path, subject, *key, items) for key, items in groups.items()]


def merged(scores: Sequence[Score]) -> list[Score]:
    """Sheets of one model and metric as one: lm-eval writes a file for each MMLU subject."""
    groups: dict[tuple[str, str, str], list[ScoreSheet]] = defaultdict(list)
    totals: list[Score] = []
    for score in scores:
        if isinstance(score, Aggregate):
            totals.append(score)
        else:
            groups[score.subject.content_id(), score.measure, score.metric].append(score)
    for (_, measure, metric), sheets in groups.items():
        items = [item for sheet in sheets for item in sheet.items]
        if len(set(items)) != len(items):
            raise InputError(
                f"Two files score the same items of {measure} {metric} for "
                f"{sheets[0].subject.model}.",
                "Give each result once.",
            )
    joined: list[Score] = []
    for sheets in groups.values():
        first = sheets[0]
        joined.append(
            first.model_copy(
                update={
                    "items": tuple(item for sheet in sheets for item in sheet.items),
                    "values": tuple(value for sheet in sheets for value in sheet.values),
                    "reasons": tuple(reason for sheet in sheets for reason in sheet.reasons),
                }
            )
        )
    return joined + totals


def _sheet(
    path: Path, subject: Subject, measure: str, metric: str, scored: Sequence[Scored]
) -> ScoreSheet:
    items = [item for item, _, _ in scored]
    if len(set(items)) != len(items):
        twice = next(item for k, item in enumerate(items) if item in items[:k])
        raise InputError(
            f"{path}: item {twice!r} of {measure} {metric} is scored twice.", "Keep one of them."
        )
    return ScoreSheet(
        subject=subject,
        measure=measure,
        metric=metric,
        items=tuple(items),
        values=tuple(value for _, value, _ in scored),
        reasons=tuple(reason for _, _, reason in scored),
    )


# ---- one file a shape -------------------------------------------------------------------


def _totals(path: Path, whole: dict[str, Any], subject: Subject) -> list[Aggregate]:
    """lm-eval's totals. A group (mmlu) stands for its subtasks, which are then left out."""
    results = {**whole["results"], **(whole.get("groups") or {})}
    children = whole.get("group_subtasks") or {}
    counts = whole.get("n-samples") or {}
    covered = set()
    for group, below in children.items():
        if _has_numbers(results.get(group)):
            covered |= _descendants(below, children)
    found = []
    for task, scores in results.items():
        if task in covered or not isinstance(scores, dict):
            continue
        parts = _descendants(children.get(task) or [], children) or {task}
        n = sum(int((counts.get(part) or {}).get("effective") or 0) for part in parts)
        seen = set()
        for key, value in scores.items():
            name, _, _ = key.partition(",")
            if not _is_number(value) or name.endswith("_stderr") or name in ("alias", "sample_len"):
                continue
            metric = METRICS.get(name, name)
            if metric in seen:  # a further filter of the same metric
                metric = f"{metric}:{key.partition(',')[2]}"
            seen.add(metric)
            error = scores.get(key.replace(name, f"{name}_stderr", 1))
            found.append(
                Aggregate(
                    subject=subject,
                    measure=_task(task)[0],
                    metric=metric,
                    value=float(value),
                    standard_error=float(error)
                    if error is not None and _is_number(error)
                    else None,
                    n=n,
                )
            )
    if not found:
        raise InputError(
            f"{path}: its results hold no scores.", "Give the results file of a finished run."
        )
    return found


def _descendants(below: Sequence[str], children: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for name in below:
        deeper = children.get(name)
        found |= _descendants(deeper, children) | {name} if deeper else {name}
    return found


def _samples(path: Path, rows: Sequence[Row], subject: Subject) -> list[ScoreSheet]:
    stem = re.sub(r"^samples_|_\d{4}-\d\d-\d\dT.*$", "", path.name.split(".json")[0])
    measure, part = _task(stem)
    first_filter = str(rows[0].fields.get("filter") or "none")
    groups: dict[str, list[Scored]] = defaultdict(list)
    for row in rows:
        names = row.fields.get("metrics")
        if not isinstance(names, list) or "doc_id" not in row.fields:
            raise _misfit(path, row, '"doc_id" and "metrics"')
        filtered = str(row.fields.get("filter") or "none")
        item = f"{row.fields['doc_id']}:{str(row.fields.get('doc_hash') or '')[:12]}"
        for name in map(str, names):
            metric = METRICS.get(name, name)
            if filtered != first_filter:
                metric = f"{metric}:{filtered}"
            score, why = _number(path, row, name)
            groups[metric].append((f"{part}{item}", score, why))
    return [_sheet(path, subject, measure, metric, items) for metric, items in groups.items()]


def _passed(path: Path, rows: Sequence[Row], subject: Subject) -> ScoreSheet:
    """pass@1 of each task is the share of its samples that passed (Chen et al. 2021)."""
    tasks: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        task, passed = row.fields.get("task_id"), row.fields.get("passed")
        if task is None or "passed" not in row.fields:
            raise _misfit(path, row, '"task_id" and "passed"')
        tasks[str(task)] += [] if passed is None else [float(bool(passed))]
    scored: list[Scored] = [
        (task, sum(found) / len(found), "") if found else (task, None, "no sample was run")
        for task, found in tasks.items()
    ]
    return _sheet(path, subject, "humaneval", "pass@1", scored)


def _scored(path: Path, row: Row) -> tuple[str, str, Scored]:
    item = _item_of(row.fields)
    if item is None or "score" not in row.fields:
        raise _misfit(path, row, '"item" and "score"')
    measure = row.fields.get("measure") or _measure_of(path)
    metric = row.fields.get("metric") or USUAL.get(str(measure), "score")
    value, why = _number(path, row, "score")
    return str(measure), str(metric), (item, value, str(row.fields.get("reason") or why))


def _predicted(path: Path, row: Row, item_of: Callable[[Row], str | None]) -> Scored:
    item = item_of(row)
    if item is None or "answer" not in row.fields or "prediction" not in row.fields:
        raise _misfit(path, row, '"answer" and "prediction" for each item')
    prediction, answer = row.fields["prediction"], row.fields["answer"]
    if prediction is None or answer is None:
        missing = "prediction" if prediction is None else "right answer"
        return item, None, f"no {missing} was recorded"
    return item, float(str(prediction).strip() == str(answer).strip()), ""


def _subject_item(row: Row) -> str | None:
    if "subject" not in row.fields or "idx" not in row.fields:
        return None
    return f"{row.fields['subject']}/{row.fields['idx']}"


def _own_item(row: Row) -> str | None:
    return _item_of(row.fields)


def _item_of(fields: dict[str, Any]) -> str | None:
    for name in ("item", "id", "task_id", "doc_id"):
        if fields.get(name) is not None:
            return str(fields[name])
    return None


def _task(name: str) -> tuple[str, str]:
    """(our measure, prefix of its items) of an lm-eval task."""
    for prefix, measure in _TASKS:
        if name == prefix or name.startswith((prefix + "_", prefix + "-")):
            return measure, "" if name == prefix else f"{name}/"
    return name, ""


def _measure_of(path: Path) -> str:
    """A file of bare scores is called after the benchmark that its name holds, if any."""
    words = set(_LETTERS.split(path.name.lower()))
    return next((name for name in ("nq", "mmlu", "humaneval") if name in words), "benchmark")


def _number(path: Path, row: Row, name: str) -> tuple[float | None, str]:
    value = row.fields.get(name)
    if value is None or value != value:  # null, or NaN, which Python's JSON lets through
        return None, "no score was recorded"
    if isinstance(value, bool) or _is_number(value):
        return float(value), ""
    raise InputError(
        f"{path}, {row.at}: the score {name!r} is {value!r}, not a number.",
        "A score is a number, true, false, or null where there is none.",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _has_numbers(scores: Any) -> bool:
    return isinstance(scores, dict) and any(_is_number(value) for value in scores.values())


def _misfit(path: Path, row: Row, needed: str) -> InputError:
    return InputError(
        f"{path}, {row.at}: unlike the rows before it, it lacks {needed}.",
        "Mend that row, or leave it out.",
    )
