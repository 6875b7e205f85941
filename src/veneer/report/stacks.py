"""Wins, ties and losses as stacked bars, as in the left of the paper's Figure 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from veneer.report import palette
from veneer.report.wording import PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = ("wins", "ties", "losses")
COLOURS = (palette.SHADES["plain"][2], palette.SHADES["plain"][0], palette.GRID)
_TOP, _BOTTOM, _SIDE, _EACH = 0.58, 0.34, 0.08, 0.44  # inches


@dataclass(frozen=True)
class Stack:
    """One bar. Shapes: `shares` are those of `PARTS` and sum to 1; `low` and `high` the interval
    of the share that is no loss. `label` says that share with what it rests on."""

    name: str
    shares: tuple[float, float, float]
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Stacks:
    """A panel of stacked bars, from the top; width and height are in inches."""

    id: str
    title: str
    subtitle: str
    bars: tuple[Stack, ...]
    summary: str = ""
    width: float = 4.7

    @property
    def height(self) -> float:
        """As high as its bars need."""
        return _TOP + _BOTTOM + _EACH * len(self.bars)

    def place(self) -> tuple[float, float, float, float]:
        """Inches left, above, right and below the axes."""
        return _SIDE, _TOP, _SIDE, _BOTTOM

    def draw(self, axes: Axes) -> None:
        """Each bar under its name, a key in the head, whiskers where wins and ties end."""
        from matplotlib.transforms import ScaledTranslation

        axes.set_facecolor("none")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(self.bars), 0)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set_yticks([])
        axes.set_xticks([0, 0.5, 1], [f"0{PERCENT}", f"50{PERCENT}", f"100{PERCENT}"])
        first, _, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        axes.tick_params(length=0)
        axes.axvline(0.5, color=palette.MUTED, linewidth=0.6, linestyle=":", zorder=2.5)
        up = axes.figure.dpi_scale_trans
        head = axes.transAxes + ScaledTranslation(0, 0.36, up)
        axes.text(0, 1, self.title, transform=head, fontsize=9.6, fontweight="bold")
        below = axes.transAxes + ScaledTranslation(0, 0.18, up)
        axes.text(0, 1, self.subtitle, transform=below, color=palette.MUTED)
        for turn, (part, colour) in enumerate(zip(PARTS, COLOURS, strict=True)):
            x = 0.66 + 0.125 * turn
            axes.text(x, 1, part, transform=below, color=palette.MUTED)
            square = axes.transAxes + ScaledTranslation(-0.08, 0.22, up)
            axes.plot([x], [1], transform=square, clip_on=False, marker="s", markersize=5,
                      color=colour, linestyle="none")  # fmt: skip
        for row, bar in enumerate(self.bars):
            axes.text(0, row + 0.4, bar.name, va="bottom")
            axes.text(1, row + 0.4, bar.label, va="bottom", ha="right", color=palette.MUTED)
            left = 0.0
            for share, colour in zip(bar.shares, COLOURS, strict=True):
                axes.barh(row + 0.63, share, left=left, height=0.34, color=colour, zorder=2)
                left += share
            if bar.low is not None and bar.high is not None:
                for tone, width in ((palette.PAPER, 3.0), (palette.INK, 1.3)):
                    axes.plot([bar.low, bar.high], [row + 0.63] * 2, color=tone, linewidth=width,
                              solid_capstyle="butt", zorder=3)  # fmt: skip
