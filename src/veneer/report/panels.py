"""The panels that figures are made of: score against data amount, score against base size.

Data amounts stand on a logarithmic axis with the base at its left end as 0; sizes on a
logarithmic axis of parameters where they are known, else side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from veneer.records import Family, GapClosed
from veneer.report import palette
from veneer.report.drawing import Level, Line, Panel
from veneer.report.series import Grid, Pooled
from veneer.report.wording import amount, family_of, is_rate, metric_name, plural, short_metric

Pair = tuple[str, str]
DASHES = ("-", "--", "-.", ":")


def data_panel(grid: Grid, pair: Pair, name: str, title: str) -> Panel:
    """Score against imitation tokens: a line a base and broad corpus, base at the left as 0."""
    family = family_of(pair[0])
    corpora = grid.broad or grid.local
    used = sorted({t for b in grid.bases for c in corpora for t in grid.amounts(b, c)})
    place = amount_axis(used)
    colours = dict(zip(grid.bases, palette.ramp(family, len(grid.bases)), strict=True))
    lines, levels = [], []
    for index, base in enumerate(grid.bases):
        drawn = False
        for turn, corpus in enumerate(corpora):
            points = grid.by_amount(pair, base, corpus)
            fed = [point for point in points if point[0]]
            if not fed:
                continue
            drawn = True
            label = base if len(corpora) == 1 else f"{base} {corpus}"
            kept = fed if turn and len(fed) == 1 else points  # a lone amount makes no trend
            line = _line(
                pair, label, [(place[t], p) for t, p in kept], colours[base],
                palette.MARKERS[index % len(palette.MARKERS)], DASHES[turn % len(DASHES)],
                hollow=turn > 0,
            )  # fmt: skip
            lines.append(line)
        own = grid.base(pair, base)
        if drawn and own is not None and own.value is not None:
            levels.append(Level("", _unit(pair, own.value), colours[base], "--"))
    levels += _teacher(grid, pair)
    return Panel(
        id=name, title=title, xlabel="imitation tokens", ylabel=_unit_name(pair),
        lines=side_by_side(lines), levels=tuple(levels), percent=_is_rate(pair),
        ticks=tuple((place[t], "0" if t == 0 else amount(t)) for t in (0, *used)),
        broken_at=(place[0] + place[used[0]]) / 2 if used else None,
        summary=summary_of(title, lines),
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
    faint, strong = palette.shades(family)[:2]
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
        ylabel=_unit_name(pair), lines=side_by_side(lines), levels=tuple(_teacher(grid, pair)),
        percent=_is_rate(pair), ticks=tuple((place[b], labels[b]) for b in grid.bases),
        summary=summary_of(title, lines),
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


def amount_axis(amounts: Sequence[int]) -> dict[int, float]:
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


def gap_lines(gaps: Sequence[GapClosed], side: Family, place: dict[int, float]) -> tuple[Line, ...]:
    """A line a metric, from the base (0 by definition) over the data amounts, in per cent."""
    pairs = list(dict.fromkeys((g.measure, g.metric) for g in gaps))
    lines = []
    for i, (pair, colour) in enumerate(
        zip(pairs, reversed(palette.ramp(side, len(pairs))), strict=True)
    ):
        own = [g for g in gaps if (g.measure, g.metric) == pair]
        own.sort(key=lambda g: g.tokens or 0)
        bars = tuple(
            None if g.low is None or g.high is None else (100 * g.low, 100 * g.high) for g in own
        )
        lines.append(
            Line(
                short_metric(*pair), (place[0], *(place[g.tokens or 0] for g in own)),
                (0.0, *(100 * (g.value or 0.0) for g in own)), (None, *bars), (), colour,
                palette.MARKERS[i % len(palette.MARKERS)],
            )
        )  # fmt: skip
    return side_by_side(lines)


def side_by_side(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines moved aside by two points each, at most five either way."""
    step = min(2.0, 10 / len(lines)) if lines else 0.0
    middle = (len(lines) - 1) / 2
    return tuple(replace(line, shift=step * (i - middle)) for i, line in enumerate(lines))


def _unit_name(pair: Pair) -> str:
    """What the vertical axis counts, where the title does not say it already."""
    if family_of(pair[0]) == "toxicity":
        return _TOXIC.get(pair[1], "share of answers")
    return metric_name(pair[1])


_TOXIC = {
    "expected_max_toxicity": "worst continuation of a prompt, lower is better",
    "toxicity_probability": "prompts with a toxic one, lower is better",
}


def _is_rate(pair: Pair) -> bool:
    return is_rate(pair[1])


def _unit(pair: Pair, value: float | None) -> float:
    return (100 if _is_rate(pair) else 1) * (value or 0.0)


def summary_of(title: str, lines: Sequence[Line]) -> str:
    """What a reader who cannot see the panel is told: each line's ends."""
    said = []
    for line in lines:
        if line.ys:
            said.append(f"{line.name} from {line.ys[0]:.3g} to {line.ys[-1]:.3g}")
    return f"{title}, {plural(len(lines), 'line')}: " + "; ".join(said)
