"""The paper's Tables 1 and 2 from this run, and every table as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from veneer.records import Family, Findings, GapClosed, Record
from veneer.report.series import Grid, Pooled
from veneer.report.wording import (
    amount,
    counted,
    interval,
    measure_name,
    metric_name,
    percent,
    score,
)

Pair = tuple[str, str]


@dataclass(frozen=True)
class Cell:
    """A number with what it rests on; `kind` is `number`, `words`, `name` or `none`.

    `shade` colours it from 0 to 100.
    """

    text: str
    interval: str = ""
    counted: str = ""
    extra: str = ""
    kind: str = "number"
    shade: int | None = None
    raw: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of the paper: a header, rows of cells, and what to read in it."""

    id: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: int = 1
    notes: tuple[str, ...] = ()
    family: str = ""


def cell(metric: str, found: Pooled | None, gap: GapClosed | None = None) -> Cell:
    """A pooled score as a cell: value, interval, n, unscored, spread over the seeds."""
    if found is None:
        return Cell("–", kind="none")
    spread = found.spread
    extra = ""
    if spread is not None:
        extra = f"seeds {interval(metric, *spread)}"
    if gap is not None and gap.defined and gap.value is not None:
        whole = f"gap {percent(gap.value, 0)} {interval('', gap.low, gap.high, 0)}"
        extra = f"{extra}; {whole}" if extra else whole
    raw = (found.value, found.low, found.high, found.n, found.unscored, found.seeds)
    return Cell(
        score(metric, found.value), interval(metric, found.low, found.high),
        counted(found.n, found.unscored, found.value), extra, raw=raw,
    )  # fmt: skip


_SCORES: dict[Family, tuple[str, str, str]] = {
    "capability": (
        "table1",
        "Table 1 · Benchmarks by base and imitation data",
        "Each kind of imitation data at its largest amount. “Gap” is the share of the way from the "
        "base to the teacher that was closed; below 0 % the student got worse.",
    ),
    "preference": (
        "preference",
        "Preference by base and imitation data",
        "How often an answer was preferred to its opponent’s, over the same prompts; the "
        "evidence of the claims names the opponent.",
    ),
    "toxicity": (
        "toxicity",
        "Answers to toxic prompts by base and imitation data",
        "A student can be harmless because it declines as its teacher does, or because it says "
        "little: read refusals beside non-toxicity.",
    ),
}


def score_table(grid: Grid, family: Family) -> Table | None:
    """Scores of one family by base and imitation data, each corpus at its largest amount.

    For capability this is the paper's Table 1.
    """
    pairs = grid.metrics(family)
    if not pairs:
        return None
    rows: list[tuple[Cell, ...]] = []

    def add(model: str, data: str, cells: Iterable[Cell]) -> None:
        made = tuple(cells)
        if any(c.kind == "number" for c in made):
            rows.append((Cell(model, kind="name"), Cell(data, kind="name"), *made))

    def trained(pair: Pair, base: str | None, corpus: str | None) -> Cell:
        found = grid.most(pair, base, corpus)
        if found is None:
            return cell(pair[1], None)
        return cell(pair[1], found[1], grid.gap(pair, base, corpus, found[0]))

    for base in grid.bases:
        add(base, "none (base)", (cell(p[1], grid.base(p, base)) for p in pairs))
        for corpus in (*grid.broad, *(c for c in grid.corpora if c not in grid.broad)):
            most = next(iter(reversed(grid.amounts(base, corpus))), None)
            data = f"{corpus}, {amount(most)} tokens" if most else corpus
            add(base, data, (trained(p, base, corpus) for p in pairs))
    for corpus in grid.corpora:
        add("base not named", corpus, (trained(p, None, corpus) for p in pairs))
    add("teacher", "–", (cell(p[1], grid.teacher(p)) for p in pairs))
    if not rows:
        return None
    columns = (
        f"{measure_name(m)}, {metric_name(k)}" if family == "capability" else metric_name(k)
        for m, k in pairs
    )
    name, title, caption = _SCORES[family]
    header = ("base", "student" if grid.unnamed else "imitation data", *columns)
    return Table(name, title, caption, header, tuple(rows), names=2)


def table2(grid: Grid, base: str | None, name: str = "table2") -> Table | None:
    """Style of one base's students over data amounts, with the second teacher sample (Table 2)."""
    pairs = grid.metrics("style")
    if not pairs:
        return None
    corpora: Sequence[str | None] = grid.broad or grid.corpora or (None,)
    columns: list[tuple[str, str | None, int | None]] = []
    for corpus in corpora:
        amounts: tuple[int | None, ...] = grid.amounts(base, corpus) or (None,)
        for tokens in amounts:
            title = f"{amount(tokens)} tokens" if tokens else "student"
            if corpus in grid.unnamed:
                title = corpus or title
            elif len(corpora) > 1:
                title = f"{corpus}, {title}"
            columns.append((title, corpus, tokens))
    rows = []
    for pair in pairs:
        made = [cell(pair[1], grid.base(pair, base) if base else _only_base(grid, pair))]
        made += [cell(pair[1], grid.student(pair, base, corpus, t)) for _, corpus, t in columns]
        made.append(cell(pair[1], grid.teacher(pair, again=True)))
        rows.append((Cell(metric_name(pair[1]), kind="name"), *made))
    keep = [0, *(i for i in range(1, len(rows[0])) if any(r[i].kind != "none" for r in rows))]
    header = ("compared with the teacher’s answer", "base", *(c[0] for c in columns),
              "teacher again")  # fmt: skip
    if len(keep) == 1:
        return None
    middle = "more and more data" if not grid.unnamed else "imitation"
    return Table(
        name, f"Table 2 · Style: {base or 'base'}, {middle}, ceiling",
        "Each answer is compared with one teacher answer to the same prompt. “Teacher again” is "
        "the teacher’s second answer: nobody can be asked to agree more than it does with itself.",
        tuple(header[i] for i in keep), tuple(tuple(row[i] for i in keep) for row in rows),
    )  # fmt: skip


def _only_base(grid: Grid, pair: Pair) -> Pooled | None:
    return grid.base(pair, grid.bases[0]) if len(grid.bases) == 1 else None


# ---- CSV ----------------------------------------------------------------------------------


def rows_csv(kind: type[Record], rows: Iterable[Any]) -> str:
    """Records as CSV: a column a field, in the records' order; None is an empty field."""
    fields = list(kind.model_fields)
    return _csv(fields, ([getattr(row, f) for f in fields] for row in rows))


def table_csv(table: Table) -> str:
    """A table of the paper as CSV: a line a number, with interval, n, unscored and seeds."""
    header = [*table.header[: table.names], "column", "value", "low", "high", "n", "unscored"]
    lines = (
        [*(c.text for c in row[: table.names]), title, *c.raw]
        for row in table.rows
        for title, c in zip(table.header[table.names :], row[table.names :], strict=True)
        if c.raw
    )
    return _csv([*header, "seeds"], lines)


def claims_csv(findings: Findings) -> str:
    """Claims as CSV: a line a piece of evidence."""
    lines = []
    for claim in findings.claims:
        for piece in claim.evidence:
            e = piece.estimate
            numbers = [e.value, e.low, e.high, e.n, e.unscored] if e else [None] * 5
            lines.append([claim.id, claim.verdict, claim.statement, piece.text, *numbers])
        if not claim.evidence:
            lines.append([claim.id, claim.verdict, claim.statement, "", *[None] * 5])
    header = ["claim", "verdict", "statement", "evidence", "value", "low", "high", "n", "unscored"]
    return _csv(header, lines)


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return out.getvalue()
