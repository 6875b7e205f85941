"""Numbers in words: always with their interval, in percent, with what they rest on."""

from __future__ import annotations

from veneer.findings.grid import Cell, Grid
from veneer.findings.metrics import Metric
from veneer.findings.resample import Sampled, interval
from veneer.records import Estimate, Evidence

MINUS = "\N{MINUS SIGN}"


def signed(value: float, digits: int = 0) -> str:
    """A number with a true minus sign, and never a negative zero."""
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def share(number: Sampled | Estimate, digits: int = 0) -> str:
    """ "92 % [85, 99]"; "undefined" with the reason where it has no value."""
    return _spread(number, " %", digits)


def points(number: Sampled | Estimate, digits: int = 1) -> str:
    """A difference of rates in percentage points: "−0.5 pp [−1.6, 0.5]"."""
    return _spread(number, " pp", digits)


def _spread(number: Sampled | Estimate, unit: str, digits: int) -> str:
    estimate = number.estimate() if isinstance(number, Sampled) else number
    if estimate.value is None:
        return f"undefined ({estimate.note})" if estimate.note else "undefined"
    text = f"{signed(100 * estimate.value, digits)}{unit}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{signed(100 * estimate.low, digits)}, {signed(100 * estimate.high, digits)}]"


def rests_on(number: Sampled) -> str:
    """ "n 805" or "n 1,512, 3 seeds, 4 unscored"."""
    parts = [f"n {number.n:,}"]
    if number.seeds > 1:
        parts.append(f"{number.seeds} seeds")
    if number.unscored:
        parts.append(f"{number.unscored:,} unscored")
    return ", ".join(parts)


def evidence(text: str, number: Sampled) -> Evidence:
    """A line of evidence: the words, what the number rests on, and the number."""
    tail = f" ({rests_on(number)})" if number.defined else ""
    return Evidence(text=text + tail, estimate=number.estimate())


def told(text: str) -> Evidence:
    """A line of evidence without a number: why something cannot be decided."""
    return Evidence(text=text)


def movement(number: Sampled) -> str:
    """What a student − base difference amounts to: improvement, none, or a loss."""
    bounds = interval(number)
    if bounds is None:
        return "no interval, so nothing to conclude"
    if bounds[0] > 0:
        return "an improvement"
    return "no improvement: worse" if bounds[1] < 0 else "no improvement"


def data(tokens: int | None) -> str:
    """An amount of imitation data: "158k tokens"."""
    return "an unknown amount of data" if tokens is None else f"{amount(tokens)} tokens"


def amount(count: float) -> str:
    """A count that is read at a glance: "158k", "1.5M"."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def model(grid: Grid, cell: Cell) -> str:
    """A model of the grid in a few words: "L + broad, 158k tokens"."""
    if cell.role == "base":
        return cell.base or "the base"
    if cell.role != "student":
        return "the teacher" if cell.role == "teacher" else "the teacher's second sample"
    if cell.tokens is None:
        return grid.name_of(cell) or cell.corpus or "the student"
    return f"{cell.base or 'the base'} + {cell.corpus or 'imitation'}, {data(cell.tokens)}"


def label(metric: Metric) -> str:
    """A metric as readers know it: its own name for style, the benchmark's otherwise."""
    return metric.metric.replace("_", " ") if metric.measure == "style" else metric.measure
