"""Scores by category of item: a table a metric, categories down, models across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from veneer.records import CategoryMeasurement
from veneer.report.series import Grid, Pooled, pooled
from veneer.report.tables import Cell, Table, cell
from veneer.report.wording import FAMILIES, amount, falls, family_of, measure_name, metric_name

MOST = 16
"""Categories that a table of the page has at most."""

Rows = tuple[CategoryMeasurement, ...]


def category_tables(grid: Grid, rows: Rows) -> tuple[list[Table], list[str]]:
    """A table a metric for the largest base, its fullest students and the teacher.

    Where there are more than `MOST` categories there is a line that says where they are.
    """
    tables: list[Table] = []
    lines: list[str] = []
    pairs = list(dict.fromkeys((row.measure, row.metric) for row in rows))
    for family in FAMILIES:
        for pair in (p for p in grid.metrics(family) if p in pairs):
            own = tuple(row for row in rows if (row.measure, row.metric) == pair)
            names = sorted({row.category for row in own})
            said = _title(pair)
            if len(names) > MOST:
                lines.append(
                    f"{said} by category: {len(names)} categories, in tables/categories.csv."
                )
            elif table := _table(grid, pair, own, names):
                tables.append(table)
    return tables, lines


def _table(
    grid: Grid, pair: tuple[str, str], rows: Rows, names: Sequence[str]
) -> Table | None:  # fmt: skip
    models = [(title, found) for title, found in _models(grid, rows) if found]
    if not models:
        return None
    body = []
    for name in names:
        found = [pooled(r for r in own if r.category == name) for _, own in models]
        body.append((Cell(name, kind="name"), *(_shaded(pair[1], one) for one in found)))
    about = {
        "style": "Each answer compared with the teacher’s; the teacher’s second answer is the "
        "ceiling.",
        "preference": "Over the prompts of one category each.",
    }.get(family_of(pair[0]), "Over the items of one category each.")
    return Table(
        f"categories-{_slug(pair)}", f"{_title(pair)}, by category",
        f"{about} Darker is higher{'; lower is better here' if falls(pair[1]) else ''}. Few items "
        "a category: read the intervals. All models are in tables/categories.csv.",
        ("category", *(title for title, _ in models)), tuple(body),
        family=family_of(pair[0]),
    )  # fmt: skip


def _models(grid: Grid, rows: Rows) -> list[tuple[str, Rows]]:
    """The columns: base, its students of each corpus at the largest amount, teacher, again."""
    base = grid.largest
    found: list[tuple[str, Rows]] = []
    if base is not None:
        own = tuple(r for r in rows if r.role == "base" and (r.base or r.model) == base)
        found.append((f"{base}, before", own))
    students = [r for r in rows if r.role == "student"]
    for name in dict.fromkeys(r.corpus or r.model for r in students if r.base == base):
        fed = [r for r in students if r.base == base and (r.corpus or r.model) == name]
        most = max(r.tokens or 0 for r in fed)
        title = f"{name}, {amount(most)} tokens" if most else name
        found.append((title, tuple(r for r in fed if (r.tokens or 0) == most)))
    for role, title in (("teacher", "teacher"), ("teacher-again", "teacher again")):
        found.append((title, tuple(r for r in rows if r.role == role)))
    return found


def _shaded(metric: str, found: Pooled | None) -> Cell:
    made = cell(metric, found)
    if found is None or found.value is None:
        return made
    return replace(made, shade=round(100 * min(max(found.value, 0.0), 1.0)))


def _title(pair: tuple[str, str]) -> str:
    if family_of(pair[0]) == "capability":
        return f"{measure_name(pair[0])}, {metric_name(pair[1])}"
    said = metric_name(pair[1])
    return said[0].upper() + said[1:]


def _slug(pair: tuple[str, str]) -> str:
    return "-".join("".join(c if c.isalnum() else "-" for c in part) for part in pair)
