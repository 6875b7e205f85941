"""The two bars: how much of the style gap and of the capability gap imitation closed.

0 % is the base, 100 % the teacher's ceiling. Values below 0 and above 100 % are drawn where
they are; an undefined value has no bar, only the reason.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from veneer.records import Estimate, Findings
from veneer.report import palette
from veneer.report.wording import counted, interval, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Side = Literal["style", "capability"]
SIDES: tuple[tuple[Side, str, str], ...] = (
    ("style", "Style", "how it sounds"),
    ("capability", "Capability", "what it can do"),
)
FURTHEST = 2.0  # a whisker reaches at most this far (in gaps) beyond 0 or the ceiling


@dataclass(frozen=True)
class Bar:
    """One bar as the page draws it. Positions are per cent of the track's width."""

    side: Side
    name: str
    gloss: str
    value: str
    interval: str
    counted: str
    note: str
    defined: bool
    left: float = 0.0
    width: float = 0.0
    low: float | None = None
    high: float | None = None
    cut_low: bool = False
    cut_high: bool = False


@dataclass(frozen=True)
class Bars:
    """Both bars on one track, with the places of its marks in per cent."""

    bars: tuple[Bar, ...]
    zero: float
    full: float


def two_bars(findings: Findings) -> Bars:
    """Lay out both bars on a common track that holds 0, 100 % and every value."""
    found = {side: findings.veneer.get(side) for side, _, _ in SIDES}
    low, high = _domain([e for e in found.values() if e is not None])

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 3)

    bars = []
    for side, name, gloss in SIDES:
        e = found[side] or Estimate(value=None, low=None, high=None, n=0, note="not measured")
        words = (
            percent(e.value, 0),
            interval("", e.low, e.high, 0),
            counted(e.n, e.unscored, e.value),
        )
        if e.value is None:
            bars.append(Bar(side, name, gloss, *words, e.note, defined=False))
            continue
        start, end = sorted((place(0.0), place(e.value)))
        bars.append(
            Bar(
                side, name, gloss, *words, e.note, True, start, round(end - start, 3),
                None if e.low is None else place(e.low),
                None if e.high is None else place(e.high),
                e.low is not None and e.low < low, e.high is not None and e.high > high,
            )
        )  # fmt: skip
    return Bars(tuple(bars), place(0.0), place(1.0))


def _domain(estimates: list[Estimate]) -> tuple[float, float]:
    values = [e.value for e in estimates if e.value is not None]
    lows = [max(e.low, -FURTHEST) for e in estimates if e.value is not None and e.low is not None]
    highs = [
        min(e.high, 1 + FURTHEST) for e in estimates if e.value is not None and e.high is not None
    ]
    low, high = min([0.0, *values, *lows]), max([1.0, *values, *highs])
    room = 0.03 * (high - low)
    return low - (room if low < 0 else 0.0), high + room


def bars_figure(findings: Findings) -> Figure:
    """The two bars as a picture on their own (7 × 2.3 inches), for a README or a slide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    laid = two_bars(findings)
    figure = Figure(figsize=(7, 2.3), facecolor=palette.PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.18, 0.17, 0.58, 0.66))
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, 1.6)
    axes.axis("off")
    axes.plot([0, 100], [-0.6, -0.6], color=palette.GRID, linewidth=1, clip_on=False)
    for x, label in ((laid.zero, "base\n0 %"), (laid.full, "teacher\n100 %")):
        axes.plot([x, x], [-0.6, 1.6], color=palette.MUTED, linewidth=0.8, zorder=1)
        axes.text(x, -0.68, label, ha="center", va="top", fontsize=7.5, color=palette.MUTED)
    for y, bar in zip((1, 0), laid.bars, strict=True):
        axes.text(-3, y + 0.1, bar.name, ha="right", va="center", fontsize=12, fontweight="bold")
        axes.text(-3, y - 0.27, bar.gloss, ha="right", va="center", fontsize=8, color=palette.MUTED)
        colour = palette.accent(bar.side) if bar.defined else palette.MUTED
        axes.text(103, y + 0.12, bar.value, va="center", fontsize=15 if bar.defined else 11,
                  fontweight="bold", color=colour)  # fmt: skip
        below = f"{bar.interval}\n{bar.counted}" if bar.defined else bar.counted
        axes.text(103, y - 0.1, below, va="top", fontsize=7.5, color=palette.MUTED, linespacing=1.4)
        axes.barh(y, 100, height=0.52, color=palette.GRID, alpha=0.45, zorder=0)
        if not bar.defined:
            why = textwrap.shorten(bar.note or "the records give no reason", 150, placeholder=" …")
            axes.text(2, y, textwrap.fill(why, 68), va="center", fontsize=7.5, color=palette.MUTED)
            continue
        axes.barh(y, bar.width, left=bar.left, height=0.52, color=colour, zorder=2)
        if bar.low is not None and bar.high is not None:
            for tone, width in ((palette.PAPER, 3.0), (palette.INK, 1.3)):
                axes.plot([bar.low, bar.high], [y, y], color=tone, linewidth=width, zorder=3,
                          solid_capstyle="butt")  # fmt: skip
            for x, cut, mark in ((bar.low, bar.cut_low, 4), (bar.high, bar.cut_high, 5)):
                axes.plot([x], [y], marker=mark if cut else "|", markersize=8,
                          color=palette.INK, zorder=3)  # fmt: skip
    figure.text(0.18, 0.93, "Share of the gap to the teacher that imitation closed",
                fontsize=9, color=palette.MUTED, va="center")  # fmt: skip
    return figure
