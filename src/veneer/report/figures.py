"""The paper's figures from a run's own measurements: Figures 1, 3, 4 and 5.

Each function returns the figure, or one line that says why it is not drawn. Data amounts
stand on a logarithmic axis with the base at its left end as 0; sizes on a logarithmic axis of
parameters where they are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from veneer.records import Family
from veneer.report import palette
from veneer.report.drawing import Drawing, Level, Line, Panel
from veneer.report.series import Grid, Pooled
from veneer.report.wording import (
    amount,
    family_of,
    measure_name,
    metric_name,
    plural,
    short_metric,
)

Pair = tuple[str, str]
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Drawn:
    """What came of the paper's figures: those that have data, and a line for each gap."""

    figures: tuple[Drawing, ...]
    missing: tuple[str, ...]


def draw_all(grid: Grid) -> Drawn:
    """Every figure of the paper that this run's measurements support."""
    figures: list[Drawing] = []
    missing: list[str] = []
    for make in (figure1, figure3, figure4, figure5):
        drawing, lines = make(grid)
        missing += lines
        if drawing is not None:
            figures.append(drawing)
    return Drawn(tuple(figures), tuple(missing))


def figure1(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Preference against data, knowledge against data, knowledge against base size."""
    missing, panels = [], []
    preference = _preference(grid)
    if preference is None:
        missing.append("Figure 1, left: preference was not measured in this run.")
    elif grid.data_measured(preference):
        panels.append(data_panel(grid, preference, "figure1-preference", "Preference, more data"))
    else:
        missing.append("Figure 1, left: preference is known at no named data amount.")
    knowledge = next(iter(grid.metrics("capability")), None)
    if knowledge is None:
        missing.append("Figure 1, centre and right: no benchmark was measured in this run.")
    else:
        name = measure_name(knowledge[0])
        if grid.data_measured(knowledge):
            panels.append(data_panel(grid, knowledge, "figure1-data", f"{name}, more data"))
        else:
            missing.append(f"Figure 1, centre: {name} has no student at a known data amount.")
        if len(grid.bases) > 1:
            panels.append(size_panel(grid, knowledge, "figure1-size", f"{name}, better base"))
        else:
            missing.append("Figure 1, right: a trend over base size needs at least two bases.")
    caption = (
        "More imitation data against a better base. Left and centre: does more data help? "
        "Right: does a larger base help?"
    )
    return _drawing("figure1", "Figure 1 · More data, or a better base?", caption, [panels]), missing


def figure3(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Preference against data amount and against base size."""
    pairs = [p for p in grid.metrics("preference") if _any_value(grid, p)]
    if not pairs:
        return None, ["Figure 3: no preference was measured, by raters or by a judge."]
    rows = []
    for pair in pairs:
        row = []
        short = short_metric(*pair)
        if grid.data_measured(pair):
            row.append(data_panel(grid, pair, f"figure3-data-{_slug(pair)}", f"More data: {short}"))
        if len(grid.bases) > 1:
            row.append(size_panel(grid, pair, f"figure3-size-{_slug(pair)}", f"Better base: {short}"))
        rows.append(row)
    drawing = _drawing(
        "figure3",
        "Figure 3 · What raters or a judge prefer",
        "How often a student’s answer is preferred to the teacher’s, over the same prompts.",
        rows,
    )
    lines = [] if drawing else ["Figure 3: preference was measured at one point only; see the table."]
    return drawing, lines


def figure4(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Benchmarks against data amount (top) and against base size (bottom)."""
    pairs = [p for p in grid.metrics("capability") if _any_value(grid, p)]
    if not pairs:
        return None, ["Figure 4: no benchmark was measured in this run."]
    missing = []
    top = [
        data_panel(grid, pair, f"figure4-data-{_slug(pair)}", f"{measure_name(pair[0])}, more data")
        for pair in pairs
        if grid.data_measured(pair)
    ]
    bottom = []
    if len(grid.bases) > 1:
        bottom = [
            size_panel(grid, p, f"figure4-size-{_slug(p)}", f"{measure_name(p[0])}, better base")
            for p in pairs
        ]
    else:
        missing.append("Figure 4, bottom: a trend over base size needs at least two bases.")
    if not top:
        missing.append("Figure 4, top: no student was measured at a known data amount.")
    caption = (
        "Top: each line is one base, trained on more and more imitation data; its dashed level is "
        "the base itself. Bottom: the same benchmarks over base size, before imitation and after "
        "the largest data amount. Dotted: the teacher."
    )
    title = "Figure 4 · Benchmarks: more data (top), better base (bottom)"
    return _drawing("figure4", title, caption, [top, bottom]), missing


def figure5(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Non-toxicity against data amount, with refusals beside it."""
    pairs = [p for p in grid.metrics("toxicity") if _any_value(grid, p)]
    if not pairs:
        return None, ["Figure 5: toxicity was not measured in this run."]
    panels = [
        data_panel(grid, p, f"figure5-{_slug(p)}", metric_name(p[1]).capitalize())
        for p in sorted(pairs, key=lambda p: p[1] != "non_toxicity")
        if grid.data_measured(p)
    ]
    caption = (
        "Share of answers to toxic prompts that are not toxic, and share that refuse. A student "
        "can be harmless because it declines as its teacher does, or because it says little."
    )
    drawing = _drawing("figure5", "Figure 5 · The teacher’s safety style", caption, [panels])
    lines = [] if drawing else ["Figure 5: toxicity is known at no named data amount; see the table."]
    return drawing, lines


# ---- the two kinds of panel ---------------------------------------------------------------


def data_panel(grid: Grid, pair: Pair, name: str, title: str) -> Panel:
    """Score against imitation tokens: a line a base and broad corpus, base at the left as 0."""
    family = family_of(pair[0])
    corpora = grid.broad or grid.local
    used = sorted({t for b in grid.bases for c in corpora for t in grid.amounts(b, c)})
    place = _amount_axis(used)
    colours = dict(zip(grid.bases, palette.ramp(family, len(grid.bases)), strict=True))
    lines, levels = [], []
    for index, base in enumerate(grid.bases):
        drawn = False
        for turn, corpus in enumerate(corpora):
            points = grid.by_amount(pair, base, corpus)
            if not any(tokens for tokens, _ in points):
                continue
            drawn = True
            label = base if len(corpora) == 1 else f"{base} {corpus}"
            lines.append(
                _line(
                    pair, label, [(place[t], p) for t, p in points], colours[base],
                    palette.MARKERS[index % len(palette.MARKERS)], DASHES[turn % len(DASHES)],
                )
            )  # fmt: skip
        own = grid.base(pair, base)
        if drawn and own is not None and own.value is not None:
            levels.append(Level("", _unit(pair, own.value), colours[base], "--"))
    levels += _teacher(grid, pair)
    return Panel(
        id=name, title=title, xlabel="imitation tokens", ylabel=metric_name(pair[1]),
        lines=tuple(lines), levels=tuple(levels), percent=_is_rate(pair),
        ticks=tuple((place[t], "0" if t == 0 else amount(t)) for t in (0, *used)),
        broken_at=(place[0] + place[used[0]]) / 2 if used else None,
        summary=_summary(title, grid, lines),
    )  # fmt: skip


def size_panel(grid: Grid, pair: Pair, name: str, title: str) -> Panel:
    """Score against base size: the bases themselves, and each corpus at its largest amount."""
    family = family_of(pair[0])
    sizes = grid.facts.parameters
    sized = grid.sized()
    place = {
        base: math.log10(sizes[base] or 1) if sized else float(i)
        for i, base in enumerate(grid.bases)
    }
    before = [(place[b], p) for b in grid.bases if (p := grid.base(pair, b)) is not None]
    lines = []
    if any(p.value is not None for _, p in before):
        lines.append(_line(pair, "base", before, palette.MUTED, "o", "--", hollow=True))
    strong, faint = palette.shades(family)[2], palette.shades(family)[1]
    for turn, corpus in enumerate(grid.corpora):
        task = grid.facts.corpora[corpus].task if corpus in grid.facts.corpora else None
        local = corpus in grid.local
        if local and task is not None and task.split("-")[0] != pair[0].split("-")[0]:
            continue
        found = ((b, grid.most(pair, b, corpus)) for b in grid.bases)
        points = [(place[b], got[1]) for b, got in found if got is not None]
        if any(p.value is not None for _, p in points):
            mark, dash = ("D", "-.") if local else (palette.MARKERS[turn % 3], DASHES[turn % 2])
            lines.append(_line(pair, corpus, points, faint if local else strong, mark, dash))
    labels = {b: f"{b} ({amount(sizes[b])})" if sized and sizes[b] else b for b in grid.bases}
    return Panel(
        id=name, title=title, xlabel="base model (parameters)" if sized else "base model",
        ylabel=metric_name(pair[1]), lines=tuple(lines), levels=tuple(_teacher(grid, pair)),
        percent=_is_rate(pair), ticks=tuple((place[b], labels[b]) for b in grid.bases),
        summary=_summary(title, grid, lines),
    )  # fmt: skip


def _line(
    pair: Pair, name: str, points: list[tuple[float, Pooled]], colour: str, marker: str,
    dash: str, hollow: bool = False,
) -> Line:  # fmt: skip
    kept = [(x, p, p.value) for x, p in points if p.value is not None]
    bars: list[tuple[float, float] | None] = []
    for _, p, _ in kept:
        known = p.low is not None and p.high is not None
        bars.append((_unit(pair, p.low), _unit(pair, p.high)) if known else None)
    dots = [
        (x, _unit(pair, value))
        for x, p, _ in kept
        if p.seeds > 1
        for _, value in p.by_seed
        if value is not None
    ]
    return Line(
        name, tuple(x for x, _, _ in kept), tuple(_unit(pair, value) for _, _, value in kept),
        tuple(bars), tuple(dots), colour, marker, dash, hollow,
    )  # fmt: skip


def _amount_axis(amounts: list[int]) -> dict[int, float]:
    """Places of token counts: log10, and 0 set off to the left by about a sixth of the axis."""
    if not amounts:
        return {0: 0.0}
    first, last = math.log10(amounts[0]), math.log10(amounts[-1])
    gap = max(0.2 * (last - first), 0.25)
    return {0: first - gap, **{t: math.log10(t) for t in amounts}}


def _teacher(grid: Grid, pair: Pair) -> list[Level]:
    own = grid.teacher(pair)
    if own is not None and own.value is not None:
        return [Level("teacher", _unit(pair, own.value))]
    again = grid.teacher(pair, again=True)
    if again is not None and again.value is not None:
        return [Level("teacher again", _unit(pair, again.value))]
    return []


def _preference(grid: Grid) -> Pair | None:
    pairs = [p for p in grid.metrics("preference") if _any_value(grid, p)]
    return next((p for p in pairs if p[1] == "win_or_tie_rate"), pairs[0] if pairs else None)


def _any_value(grid: Grid, pair: Pair) -> bool:
    return any((r.measure, r.metric) == pair and r.value is not None for r in grid.rows)


def _is_rate(pair: Pair) -> bool:
    return not pair[1].endswith("correlation")


def _unit(pair: Pair, value: float | None) -> float:
    return (100 if _is_rate(pair) else 1) * (value or 0.0)


def _slug(pair: Pair) -> str:
    return "-".join("".join(c if c.isalnum() else "-" for c in part) for part in pair)


def _drawing(
    name: str, title: str, caption: str, rows: list[list[Panel]]
) -> Drawing | None:
    kept = tuple(tuple(row) for row in rows if row)
    return Drawing(name, title, caption, kept) if kept else None


def _summary(title: str, grid: Grid, lines: list[Line]) -> str:
    """What a reader who cannot see the panel is told: each line's ends."""
    said = []
    for line in lines:
        if line.ys:
            said.append(f"{line.name} from {line.ys[0]:.3g} to {line.ys[-1]:.3g}")
    return f"{title}, {plural(len(lines), 'line')}: " + "; ".join(said)
