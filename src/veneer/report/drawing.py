"""Panels on matplotlib axes, and figures as SVG and PNG bytes that never change by themselves.

A panel is drawn twice: alone, inline in the page (so that panels stack on a phone), and in
its figure's file. matplotlib is imported where it is used; the front door does not load it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from veneer.report import palette
from veneer.report.stacks import Stacks
from veneer.report.wording import MINUS, PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.5, 2.75  # inches, of one panel
_LEFT, _TOP, _BOTTOM = 0.46, 0.5, 0.46  # inches around the axes
_NARROWEST = 1.84  # inches that axes have at least
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "veneer",
    "axes.edgecolor": palette.MUTED,
    "axes.labelcolor": palette.MUTED,
    "axes.linewidth": 0.7,
    "text.color": palette.INK,
    "xtick.color": palette.MUTED,
    "ytick.color": palette.MUTED,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Line:
    """A named series. Shapes: `xs`, `ys` and `bars` (low, high) have one entry a point;
    `dots` are the single seeds (x, y) behind the means. Values are in the panel's unit; `shift`
    moves the line aside by so many points, so that whiskers do not hide one another."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    bars: tuple[tuple[float, float] | None, ...]
    dots: tuple[tuple[float, float], ...] = ()
    colour: str = palette.INK
    marker: str = "o"
    dash: str = "-"
    hollow: bool = False
    shift: float = 0.0


@dataclass(frozen=True)
class Level:
    """A horizontal reference: the teacher's score, or a base's before imitation."""

    name: str
    y: float
    colour: str = palette.INK
    dash: str = ":"


@dataclass(frozen=True)
class Panel:
    """One set of axes. `ticks` are (x, label); `broken_at` marks where the axis is cut."""

    id: str
    title: str
    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    levels: tuple[Level, ...] = ()
    percent: bool = True
    broken_at: float | None = None
    limits: tuple[float, float] | None = None
    summary: str = ""

    @property
    def width(self) -> float:
        """Inches: as wide as others, or wider where the names at the right edge need the room."""
        left, _, right, _ = self.place()
        return max(WIDTH, left + _NARROWEST + right)

    @property
    def height(self) -> float:
        """Inches."""
        return HEIGHT

    def place(self) -> tuple[float, float, float, float]:
        """Inches left, above, right and below the axes."""
        right = 0.24 + 0.066 * max((len(name) for name in _names(self)), default=0)
        return _LEFT, _TOP, max(right, 0.3), _BOTTOM

    def draw(self, axes: Axes) -> None:
        """Lines with whiskers and seeds, references, names at the right edge."""
        draw(axes, self)


@dataclass(frozen=True)
class Drawing:
    """A figure of the paper: its panels in rows, and what to read in it."""

    id: str
    title: str
    caption: str
    rows: tuple[tuple[Panel | Stacks, ...], ...]

    @property
    def columns(self) -> int:
        """Panels in the widest row."""
        return max(len(row) for row in self.rows)


def panel_svg(panel: Panel | Stacks, width: float = 0.0) -> str:
    """A panel as inline SVG: colours as CSS variables, the page's own font, unique ids.

    At least `width` inches wide, so that panels of a row can be of one size.
    """
    return inline(_render(lambda: _figure(((panel,),), width=width), "svg").decode(), panel.id)


def figure_files(drawing: Drawing) -> dict[str, bytes]:
    """A figure's files: `<id>.svg` and `<id>.png` (200 dots an inch, on white)."""
    return files(drawing.id, lambda: _figure(drawing.rows, margin=0.15))


def files(name: str, make: Callable[[], Figure]) -> dict[str, bytes]:
    """SVG and PNG bytes of whatever `make` draws, without dates or version names."""
    return {f"{name}.{kind}": _render(make, kind) for kind in ("svg", "png")}


def _render(make: Callable[[], Figure], kind: str) -> bytes:
    import matplotlib

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_RC}):
        figure = make()
        out = io.BytesIO()
        empty: dict[str, Any] = {"Software": None}
        if kind == "svg":
            empty = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format=kind, dpi=200, metadata=empty)
    return out.getvalue()


def inline(svg: str, name: str) -> str:
    """Make a file's SVG part of a page: no headers, no fixed size, no fixed colours or ids."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', body)
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r"font-family: [^;\"]+;?", "", body)
    for colour, variable in palette.variables().items():
        body = body.replace(colour, f"var({variable})")
    view = box.group(1) if box else ""
    return f'<svg viewBox="{view}" aria-hidden="true">{body.strip()}'


# ---- one panel ----------------------------------------------------------------------------


def _figure(
    rows: Sequence[Sequence[Panel | Stacks]], margin: float = 0.0, width: float = 0.0
) -> Figure:
    """The panels on a grid: each column as wide, each row as high as its largest panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [[panel for panel in column if panel] for column in zip_longest(*rows)]
    widths = [max(width, *(panel.width for panel in column)) for column in columns]
    heights = [max(panel.height for panel in row) for row in rows]
    wide, high = sum(widths) + 2 * margin, sum(heights) + 2 * margin
    figure = Figure(figsize=(wide, high), facecolor=palette.PAPER)
    FigureCanvasAgg(figure)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            left, above, right, below = panel.place()
            axes = figure.add_axes(
                (
                    (margin + sum(widths[:j]) + left) / wide,
                    1 - (margin + sum(heights[:i]) + panel.height - below) / high,
                    (widths[j] - left - right) / wide,
                    (panel.height - above - below) / high,
                )
            )
            panel.draw(axes)
    return figure


def _offset(axes: Axes, up: float) -> Any:
    """From a corner of the axes to the panel's left edge, `up` inches higher."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(-_LEFT, up, axes.figure.dpi_scale_trans)


def _names(panel: Panel) -> list[str]:
    return [line.name for line in panel.lines if line.ys] + [lev.name for lev in panel.levels]


def draw(axes: Axes, panel: Panel) -> None:
    """Draw a panel: lines with whiskers and seeds, references, names at the right edge."""
    axes.set_facecolor("none")
    left = axes.transAxes
    axes.text(0, 1, panel.title, transform=left + _offset(axes, 0.28), fontsize=9.6,
              fontweight="bold")  # fmt: skip
    axes.text(0, 1, panel.ylabel, transform=left + _offset(axes, 0.12), color=palette.MUTED)
    axes.set_xlabel(panel.xlabel, labelpad=3)
    low, high = panel.limits or _limits(panel)
    axes.set_ylim(low, high)
    xs = [x for x, _ in panel.ticks]
    room = 0.06 * ((max(xs) - min(xs)) or 1.0)
    axes.set_xlim(min(xs) - room, max(xs) + room)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color=palette.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, axis="y")
    axes.tick_params(length=3, width=0.7, axis="x")
    axes.yaxis.set_major_formatter(
        lambda y, _: f"{y:g}".replace("-", MINUS) + panel.percent * PERCENT
    )
    _ticks(axes, panel.ticks)
    if panel.broken_at is not None:
        _break(axes, panel.broken_at)
    for level in panel.levels:
        width, alpha = (1.1, 1.0) if level.name else (0.8, 0.6)
        axes.axhline(level.y, color=level.colour, linestyle=level.dash, linewidth=width,
                     alpha=alpha, zorder=1.5)  # fmt: skip
    for line in panel.lines:
        _line(axes, line)
    _label(axes, panel, low, high)


def _limits(panel: Panel) -> tuple[float, float]:
    """From 0 (or below, where a value is) to just above the highest thing drawn."""
    seen = [level.y for level in panel.levels]
    for line in panel.lines:
        seen += [*line.ys, *(end for bar in line.bars if bar for end in bar)]
    low, high = min([0.0, *seen]), max([*seen, 0.0])
    span = (high - low) or 1.0
    return low - (0.05 * span if low < 0 else 0), high + 0.07 * span


def _ticks(axes: Axes, ticks: Sequence[tuple[float, str]]) -> None:
    """Every tick is drawn; labels that would touch their neighbours are left out."""
    xs = [x for x, _ in ticks]
    span = (max(xs) - min(xs)) or 1.0
    fits, labels = 46, [""] * len(ticks)  # characters that fit along the axis
    last = -1e9
    order = sorted(range(len(ticks)), key=lambda i: xs[i])
    for place, i in enumerate(order):
        half, end = len(ticks[i][1]) / 2 / fits * span, order[-1]
        room = half + (len(ticks[end][1]) + 2) / 2 / fits * span
        if xs[i] - half > last and (i == end or place == 0 or xs[end] - xs[i] > room):
            labels[i] = ticks[i][1]
            last = xs[i] + half + span / fits
    axes.set_xticks(xs, labels)


def _break(axes: Axes, x: float) -> None:
    """Two strokes where the axis jumps from 0 to a logarithmic scale."""
    axes.text(
        x, 0, "//", transform=axes.get_xaxis_transform(), ha="center", va="center",
        color=palette.MUTED, fontsize=7, zorder=5,
    )  # fmt: skip


def _line(axes: Axes, line: Line) -> None:
    aside = axes.transData + _beside(axes, line.shift)
    fill = palette.PAPER if line.hollow else line.colour
    for x, y, bar in zip(line.xs, line.ys, line.bars, strict=True):
        if bar is not None:
            axes.plot([x, x], [min(bar[0], y), max(bar[1], y)], color=line.colour, linewidth=1.0,
                      alpha=0.75, solid_capstyle="butt", zorder=2, transform=aside)  # fmt: skip
    for x, y in line.dots:
        axes.plot([x], [y], marker="_", markersize=5, color=line.colour, alpha=0.9, zorder=2.2,
                  transform=aside)  # fmt: skip
    axes.plot(
        line.xs, line.ys, color=line.colour, linestyle=line.dash, linewidth=1.6, zorder=3,
        marker=line.marker, markersize=4.6, markerfacecolor=fill, markeredgecolor=line.colour,
        markeredgewidth=1.1, transform=aside,
    )  # fmt: skip


def _beside(axes: Axes, points: float) -> Any:
    """So many points to the right."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def _label(axes: Axes, panel: Panel, low: float, high: float) -> None:
    """Names at the right edge, each near its line's last point and none on another."""
    named: list[tuple[float, str, str, Line | None]] = []
    named += [(line.ys[-1], line.name, line.colour, line) for line in panel.lines if line.ys]
    named += [(level.y, level.name, level.colour, None) for level in panel.levels if level.name]
    named.sort(key=lambda item: item[0])
    gap = 0.078 * (high - low)
    places = spaced([min(max(y, low), high) for y, *_ in named], gap, low + gap / 2, high - gap / 2)
    right = axes.get_xlim()[1]
    for (_, name, colour, line), y in zip(named, places, strict=True):
        axes.annotate(
            name, (right, y), (13 if line else 4, 0), textcoords="offset points", va="center",
            color=palette.INK if line else colour, annotation_clip=False,
        )  # fmt: skip
        if line is not None:
            _mark(axes, line, right, y)


def _mark(axes: Axes, line: Line, x: float, y: float) -> None:
    """The line's marker before its name, so that names can be read in ink."""
    beside = axes.transData + _beside(axes, 7)
    fill = palette.PAPER if line.hollow else line.colour
    axes.plot([x], [y], transform=beside, clip_on=False, marker=line.marker, markersize=4.6,
              markerfacecolor=fill, markeredgecolor=line.colour, linestyle="none")  # fmt: skip


def spaced(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending positions as little as can be (least squares) so that they stand `gap`
    apart within [low, high]; where they cannot all fit, the gap shrinks.

    With the gaps taken off, this is isotonic regression: neighbours in the wrong order are
    pooled at their mean until none are left.
    """
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    blocks: list[tuple[float, int]] = []  # (mean, members)
    for i, y in enumerate(wanted):
        mean, members = y - i * gap, 1
        while blocks and blocks[-1][0] >= mean:
            other, count = blocks.pop()
            mean = (mean * members + other * count) / (members + count)
            members += count
        blocks.append((mean, members))
    flat = [mean for mean, members in blocks for _ in range(members)]
    top = high - (len(wanted) - 1) * gap
    return [min(max(y, low), top) + i * gap for i, y in enumerate(flat)]
