"""The paper's figures from a run's own measurements: Figures 1, 3, 4 and 5.

Each function returns the figure, or None, and a line for each part that is not drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from veneer.records import Family, PreferenceReport, SupportCurve
from veneer.report import palette
from veneer.report.drawing import Drawing, Level, Panel
from veneer.report.gains import support_figure
from veneer.report.panels import (
    Pair,
    amount_axis,
    data_panel,
    gap_lines,
    size_panel,
    summary_of,
)
from veneer.report.series import Grid
from veneer.report.verdicts import preference_figure
from veneer.report.wording import amount, falls, measure_name, metric_name, short_metric

_PAIR: tuple[Family, ...] = ("style", "capability")


@dataclass(frozen=True)
class Drawn:
    """What came of the paper's figures: those that have data, and a line for each gap."""

    figures: tuple[Drawing, ...]
    missing: tuple[str, ...]


def draw_all(
    grid: Grid,
    preferences: Sequence[PreferenceReport] = (),
    support: Sequence[SupportCurve] = (),
) -> Drawn:
    """Every figure that this run's records support: the paper's, and those of what it only says."""
    made: list[tuple[Drawing | None, list[str]]] = [
        gap_figure(grid),
        figure1(grid),
        (preference_figure(grid, preferences), []),
        figure3(grid),
        figure4(grid),
        (support_figure(grid, support), []),
        figure5(grid),
    ]
    return Drawn(
        tuple(drawing for drawing, _ in made if drawing is not None),
        tuple(line for _, lines in made for line in lines),
    )


def gap_figure(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Style and capability gap closed against data for the largest base: the study in a glance.

    Every line starts at the base, where the gap closed is 0 by definition. Both panels have
    one scale, so that they can be compared by eye.
    """
    base = grid.largest
    found = {
        (corpus, side): [
            g
            for g in grid.gaps
            if g.base == base and g.corpus == corpus and g.family == side and g.tokens
            and g.defined and g.value is not None
        ]
        for corpus in grid.broad
        for side in _PAIR
    }  # fmt: skip
    corpora = [c for c in grid.broad if len({g.tokens for s in _PAIR for g in found[c, s]}) > 1]
    untold = _undefined_gaps(grid, base)
    if not corpora:
        why = "no gap is defined at two known data amounts or more."
        return None, [f"Gap closed against data: {why}", *untold]
    found = {key: gaps for key, gaps in found.items() if key[0] in corpora}
    used = sorted({g.tokens or 0 for gaps in found.values() for g in gaps})
    seen = [0.0, 1.0, *(g.value or 0.0 for gaps in found.values() for g in gaps)]
    limits = (100 * max(min(seen) - 0.1, -1.6), 100 * min(max(seen) + 0.15, 1.75))
    place = amount_axis(used)
    rows = []
    for corpus in corpora:
        row = []
        for side in _PAIR:
            if not found[corpus, side]:
                continue
            lines = gap_lines(found[corpus, side], side, place)
            title = f"{side.capitalize()} gap closed"
            row.append(
                Panel(
                    id=f"gap-{side}-{grid.corpora.index(corpus)}", title=title,
                    xlabel="imitation tokens", ylabel=f"{base}, {corpus} data", lines=lines,
                    ticks=tuple((place[t], "0" if t == 0 else amount(t)) for t in (0, *used)),
                    levels=(Level("teacher", 100.0), Level("base", 0.0, palette.MUTED, "--")),
                    broken_at=(place[0] + place[used[0]]) / 2, limits=limits,
                    summary=summary_of(title, lines),
                )
            )  # fmt: skip
        rows.append(row)
    caption = (
        f"The largest base, {base}, trained on more and more data: one line a metric, whiskers are "
        "95 % intervals. What leaves the frame is in the table of gaps closed."
    )
    title = "What more data buys: style beside capability"
    return _drawing("gap", title, caption, rows), untold


def _undefined_gaps(grid: Grid, base: str | None) -> list[str]:
    """A line a metric of the gap figure that has an undefined gap, with the reason."""
    found: dict[str, str] = {}
    for g in grid.gaps:
        ours = g.base == base and g.corpus in grid.broad and g.family in _PAIR and g.tokens
        if ours and not (g.defined and g.value is not None):
            why = f" ({g.note})" if g.note else ""
            subject = f"Gap closed on {short_metric(g.measure, g.metric)}, {base}"
            found.setdefault(subject, f"{subject}: undefined{why}.")
    return list(found.values())


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
    title = "Figure 1 · More data, or a better base?"
    caption = (
        "Against data, each line is one base; its dashed level is the base before imitation. "
        "Against size, “base” is before imitation, the others are after the largest data amount. "
        "Dotted: the teacher."
    )
    return _drawing("figure1", title, caption, [panels]), missing


def figure3(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Preference against data amount and against base size."""
    pairs = [p for p in grid.metrics("preference") if _any_value(grid, p)]
    if not pairs:
        return None, ["Figure 3: no preference was measured, by raters or by a judge."]
    rows = []
    for pair in pairs:
        row = []
        short = short_metric(*pair).capitalize()
        if grid.data_measured(pair):
            row.append(data_panel(grid, pair, f"figure3-data-{_slug(pair)}", f"{short}, more data"))
        if len(grid.bases) > 1:
            name = f"figure3-size-{_slug(pair)}"
            row.append(size_panel(grid, pair, name, f"{short}, better base"))
        rows.append(row)
    drawing = _drawing(
        "figure3",
        "Figure 3 · What raters or a judge prefer",
        "How often a student’s answer is preferred to its opponent’s, over the same prompts.",
        rows,
    )
    lines = ["Figure 3: preference was measured at one point only; it is in the table."]
    return drawing, [] if drawing else lines


def figure4(grid: Grid) -> tuple[Drawing | None, list[str]]:
    """Benchmarks against data amount (top) and against base size (bottom)."""
    pairs = [p for p in grid.metrics("capability") if _any_value(grid, p)]
    if not pairs:
        return None, ["Figure 4: no benchmark was measured in this run."]
    missing = []
    names = {pair: _benchmark(pair, pairs) for pair in pairs}
    top = [
        data_panel(grid, pair, f"figure4-data-{_slug(pair)}", f"{names[pair]}, more data")
        for pair in pairs
        if grid.data_measured(pair)
    ]
    bottom = []
    if len(grid.bases) > 1:
        bottom = [
            size_panel(grid, p, f"figure4-size-{_slug(p)}", f"{names[p]}, better base")
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
    return _drawing("figure4", title, caption, [*_balanced(top), *_balanced(bottom)]), missing


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
    if any(falls(pair[1]) for pair in pairs):
        caption += (
            " Expected maximum toxicity: the worst of a prompt’s continuations, averaged; toxicity "
            "probability: prompts with at least one toxic continuation. In both, lower is better."
        )
    title = "Figure 5 · The teacher’s safety style"
    drawing = _drawing("figure5", title, caption, _balanced(panels))
    lines = ["Figure 5: toxicity is known at no named data amount; it is in the table."]
    return drawing, [] if drawing else lines


def _benchmark(pair: Pair, among: Sequence[Pair]) -> str:
    """A benchmark's name, with the metric where it was scored by several."""
    several = sum(other[0] == pair[0] for other in among) > 1
    name = measure_name(pair[0])
    return f"{name}, {metric_name(pair[1])}" if several else name


def _balanced(panels: list[Panel]) -> list[list[Panel]]:
    """One row of up to four panels, else rows of at most three, as equally long as can be."""
    rows = 1 if len(panels) <= 4 else -(-len(panels) // 3)
    ends = [len(panels) * row // rows for row in range(rows + 1)]
    return [panels[start:end] for start, end in pairwise(ends)]


def _preference(grid: Grid) -> Pair | None:
    pairs = [p for p in grid.metrics("preference") if _any_value(grid, p)]
    return next((p for p in pairs if p[1] == "win_or_tie_rate"), pairs[0] if pairs else None)


def _any_value(grid: Grid, pair: Pair) -> bool:
    return any((r.measure, r.metric) == pair and r.value is not None for r in grid.rows)


def _slug(pair: Pair) -> str:
    return "-".join("".join(c if c.isalnum() else "-" for c in part) for part in pair)


def _drawing(name: str, title: str, caption: str, rows: list[list[Panel]]) -> Drawing | None:
    kept = tuple(tuple(row) for row in rows if row)
    return Drawing(name, title, caption, kept) if kept else None
