"""What `veneer measure` tells of one model: every score with its interval, and what has none.

The same for a model that was asked and for outputs that were recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.findings import estimates
from veneer.records import Aggregate, Estimate, ScoreSheet

CORRELATIONS = ("length_correlation",)
"""Metrics that are no rates, and so are not told in percent."""

Texts = Mapping[str, Mapping[str, str]]
"""What a person knows an item by: measure → item → its question, task or prompt."""


def summary(
    model: str,
    sheets: Sequence[ScoreSheet | Aggregate],
    out: Path,
    *,
    texts: Texts | None = None,
    ceiling: Sequence[ScoreSheet] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What `--json` prints, with "text" for people.

    Args:
        sheets: the model's scores, measures in the order to tell them.
        ceiling: those of the teacher's second sample, if there is one.
        notes: what else is to be known; undefined scores add theirs.

    Returns:
        "model", "measures" {measure: {metric: {"value", "low", "high", "n", "unscored"}}},
        "unscored_reasons" {measure: {reason: items}}, "notes", "out", "text"; with a ceiling
        "ceiling" {"model", "measures"}. Rates are fractions, in "text" percent.
    """
    found = estimates(sheets)
    undefined = [
        f"{sheet.measure} {sheet.metric} is undefined: {one.note}"
        for sheet, one in zip(sheets, found, strict=True)
        if one.value is None
    ]
    reasons: dict[str, Counter[str]] = {}
    for row in unscored_items(sheets, texts or {}):
        reasons.setdefault(row["measure"], Counter())[row["reason"]] += 1
    result: dict[str, Any] = {
        "model": model,
        "measures": _by_measure(sheets, found),
        "unscored_reasons": {measure: dict(count) for measure, count in reasons.items()},
        "notes": [*notes, *undefined],
        "out": str(out),
    }
    if ceiling:
        result["ceiling"] = {
            "model": ceiling[0].subject.model,
            "measures": _by_measure(ceiling, estimates(ceiling)),
        }
    return {**result, "text": _text(result)}


def unscored_items(sheets: Sequence[ScoreSheet | Aggregate], texts: Texts) -> list[dict[str, Any]]:
    """A row an item and reason: {"model", "measure", "item", "text", "reason", "metrics"}.

    `metrics` are those that the item is missing from.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for sheet in (one for one in sheets if isinstance(one, ScoreSheet)):
        who, known = sheet.subject, texts.get(sheet.measure, {})
        for item, value, reason in zip(
            sheet.items, sheet.values, sheet.reasons or ("",) * len(sheet.items), strict=True
        ):
            if value is None:
                row = rows.setdefault(
                    (who.model, who.role, sheet.measure, item, reason),
                    {
                        "model": who.model,
                        "measure": sheet.measure,
                        "item": item,
                        "text": known.get(item, item),
                        "reason": reason or "no reason given",
                        "metrics": [],
                    },
                )
                row["metrics"].append(sheet.metric)
    return list(rows.values())


def _by_measure(
    sheets: Sequence[ScoreSheet | Aggregate], found: Sequence[Estimate]
) -> dict[str, dict[str, dict[str, Any]]]:
    measures: dict[str, dict[str, dict[str, Any]]] = {}
    for sheet, one in zip(sheets, found, strict=True):
        measures.setdefault(sheet.measure, {})[sheet.metric] = one.model_dump(exclude={"note"})
    return measures


def _text(result: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("measure", "metric", "value", "95 % interval", "n", "unscored")]
    parts = [("", result["measures"])]
    if "ceiling" in result:
        parts.append((" (ceiling)", result["ceiling"]["measures"]))
    for mark, measures in parts:
        for measure, metrics in measures.items():
            rows += [_line(measure + mark, metric, one) for metric, one in metrics.items()]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    table = [
        "  ".join(
            cell.ljust(width) if k < 2 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    told = [
        f"{measure}, unscored: {count} × {reason}"
        for measure, reasons in result["unscored_reasons"].items()
        for reason, count in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return "\n".join([result["model"], *table, *told, *result["notes"], f"In {result['out']}."])


def _line(measure: str, metric: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    value, low, high = (_shown(metric, one[key]) for key in ("value", "low", "high"))
    between = "–" if one["low"] is None else f"[{low}, {high}]"
    return measure, metric, value, between, str(one["n"]), str(one["unscored"])


def _shown(metric: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    is_rate = metric not in CORRELATIONS and 0 <= value <= 1
    return f"{100 * value:.2f} %" if is_rate else f"{value:.3f}"
