"""Gain against support: does a student improve where its imitation data is near the question?"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from veneer.records import Estimate, SupportCurve, SupportPoint
from veneer.report import palette
from veneer.report.drawing import Drawing, Level, Line, Panel
from veneer.report.panels import side_by_side, summary_of
from veneer.report.series import Grid
from veneer.report.tables import Cell, Table
from veneer.report.wording import amount, counted, interval, measure_name, number, percent

_TICKS = tuple((float(x), str(x)) for x in (0, 20, 40, 60, 80, 100))
MOST = 3  # panels in a row


def support_figure(grid: Grid, curves: Sequence[SupportCurve]) -> Drawing | None:
    """A panel a corpus and benchmark: student − base over BLEU, a line a base."""
    rows: list[tuple[Panel, ...]] = []
    for turn, corpus in enumerate(_corpora(grid, curves)):
        panels: list[Panel] = []
        for measure in dict.fromkeys(c.measure for c in curves):
            lines = _lines(grid, [c for c in curves if (c.corpus, c.measure) == (corpus, measure)])
            if lines:
                title = f"{measure_name(measure)}, {corpus} data"
                panels.append(
                    Panel(
                        id=f"support-{turn}-{len(panels)}", title=title,
                        xlabel="support of the items (BLEU of the nearest query)",
                        ylabel="student − base, percentage points", lines=lines, ticks=_TICKS,
                        levels=(Level("base", 0.0, palette.MUTED, "--"),), percent=False,
                        summary=summary_of(title, lines),
                    )
                )  # fmt: skip
        rows += [tuple(panels[at : at + MOST]) for at in range(0, len(panels), MOST)]
    if not rows:
        return None
    caption = (
        "Items of a benchmark, binned by their nearest query in the imitation data (highest BLEU); "
        "each point is a bin, at its middle. Imitation that teaches what its data supports rises "
        "to the right; a flat line below 0 was lost everywhere. Whiskers are 95 % intervals."
    )
    return Drawing("support", "What the data supports: gain over base", caption, tuple(rows))


def support_table(grid: Grid, curves: Sequence[SupportCurve]) -> Table | None:
    """The same in numbers: bins of each curve, and its slope."""
    rows: list[tuple[Cell, ...]] = []
    for corpus in _corpora(grid, curves):
        for curve in (c for c in curves if c.corpus == corpus):
            fed = f"{corpus}, {amount(curve.tokens)} tokens" if curve.tokens else corpus or "–"
            names = (curve.base or "–", fed, measure_name(curve.measure))
            for at, point in enumerate(curve.points):
                heads = names if at == 0 else ("", "", "")
                rows.append(
                    (
                        *(Cell(name, kind="name") for name in heads),
                        Cell(f"BLEU {span(point)}", kind="name"),
                        _cell(point.base), _cell(point.student), _cell(point.gain, points=True),
                    )
                )  # fmt: skip
            rows.append(
                (
                    *(Cell("", kind="name") for _ in names),
                    Cell("slope, for 10 BLEU more", kind="name"),
                    Cell("–", kind="none"), Cell("–", kind="none"),
                    _cell(curve.slope, points=True),
                )
            )  # fmt: skip
    if not rows:
        return None
    return Table(
        "support", "Gain against support, in numbers",
        "Base and student on the same items of each bin. Bins hold at least 20 items; where the "
        "usual bounds (5, 10, 20, 40) leave too few bins, they are quantiles.",
        ("base", "imitation data", "benchmark", "support", "base’s score", "student’s score",
         "student − base, points"),
        tuple(rows), names=4,
    )  # fmt: skip


def support_csv(curves: Sequence[SupportCurve]) -> str:
    """The curves as CSV: a line a bin with base, student and gain, and a line a slope."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ["base", "corpus", "tokens", "measure", "metric"]
    writer.writerow([*about, "low", "high", "what", "value", "low_95", "high_95", "n", "unscored"])
    for curve in curves:
        names = [getattr(curve, name) for name in about]
        lines = [
            (point.low, point.high, what, getattr(point, what))
            for point in curve.points
            for what in ("base", "student", "gain")
        ]
        for low, high, what, e in [*lines, (None, None, "slope per 10 BLEU", curve.slope)]:
            writer.writerow([*names, low, high, what, e.value, e.low, e.high, e.n, e.unscored])
    return out.getvalue()


def span(point: SupportPoint) -> str:
    """The bounds of a bin: `10–20`."""
    return f"{point.low:g}–{point.high:g}"


def _corpora(grid: Grid, curves: Sequence[SupportCurve]) -> list[str | None]:
    found = list(dict.fromkeys(c.corpus for c in curves))
    return sorted(found, key=lambda c: grid.corpora.index(c) if c in grid.corpora else 99)


def _lines(grid: Grid, curves: Sequence[SupportCurve]) -> tuple[Line, ...]:
    drawn = {c.base: c for c in curves if sum(p.gain.value is not None for p in c.points) > 1}
    bases = [base for base in (*grid.bases, None) if base in drawn]
    shades = palette.ramp("capability", len(bases)) if bases else ()
    lines = []
    for turn, (base, colour) in enumerate(zip(bases, shades, strict=True)):
        kept = [p for p in drawn[base].points if p.gain.value is not None]
        bars = tuple(
            None if p.gain.low is None or p.gain.high is None
            else (100 * p.gain.low, 100 * p.gain.high)
            for p in kept
        )  # fmt: skip
        lines.append(
            Line(
                base or "student", tuple((p.low + p.high) / 2 for p in kept),
                tuple(100 * (p.gain.value or 0.0) for p in kept), bars, (), colour,
                palette.MARKERS[turn % len(palette.MARKERS)],
            )
        )  # fmt: skip
    return side_by_side(lines)


def _cell(e: Estimate, points: bool = False) -> Cell:
    said = percent(e.value)
    if points and e.value is not None:
        said = number(100 * e.value, 1)
    raw = (e.value, e.low, e.high, e.n, e.unscored, "")
    note = e.note if e.value is None else ""
    return Cell(
        said, interval("", e.low, e.high) if e.value is not None else "",
        counted(e.n, e.unscored, e.value), note, raw=raw,
    )  # fmt: skip
