"""Scores by category of item: the same measurements, over the items of one category each."""

from __future__ import annotations

from collections.abc import Sequence

from veneer.findings.estimate import estimates
from veneer.findings.order import score_order
from veneer.findings.resample import Score
from veneer.records import CategoryMeasurement, ScoreSheet

NONE = "(none)"
"""Name of the category of items that have none, where others have one."""


def category_measurements(sheets: Sequence[Score]) -> list[CategoryMeasurement]:
    """The rows of `categories.jsonl`: one a sheet and category, seeds apart.

    In the order of `measurements.jsonl`, the categories of a sheet by name. Only of sheets whose
    items have two categories or more; totals (`Aggregate`) have no items and so no rows.
    """
    parts = [
        (sheet, category, _of_category(sheet, category))
        for sheet in sorted(sheets, key=score_order)
        if isinstance(sheet, ScoreSheet)
        for category in _categories(sheet)
    ]
    found = estimates([part for _, _, part in parts])
    return [
        CategoryMeasurement(
            **sheet.subject.model_dump(),
            measure=sheet.measure,
            metric=sheet.metric,
            category=category or NONE,
            value=number.value,
            low=number.low,
            high=number.high,
            n=number.n,
            unscored=number.unscored,
        )
        for (sheet, category, _), number in zip(parts, found, strict=True)
    ]


def _categories(sheet: ScoreSheet) -> list[str]:
    found = sorted(set(sheet.categories))
    return found if len(found) > 1 else []


def _of_category(sheet: ScoreSheet, category: str) -> ScoreSheet:
    kept = [at for at, name in enumerate(sheet.categories) if name == category]

    def of(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return tuple(values[at] for at in kept)

    return ScoreSheet(
        subject=sheet.subject,
        measure=sheet.measure,
        metric=sheet.metric,
        kind=sheet.kind,
        items=tuple(sheet.items[at] for at in kept),
        values=of(sheet.values),
        others=None if sheet.others is None else of(sheet.others),
    )
