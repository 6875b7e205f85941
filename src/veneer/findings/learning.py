"""Four claims on what imitation teaches: style, capability, a task, and what a base adds."""

from __future__ import annotations

from collections.abc import Sequence

from veneer.findings.grid import Cell, Grid, base_of
from veneer.findings.metrics import Metric
from veneer.findings.resample import Sampled, average, interval, undefined
from veneer.findings.thresholds import LITTLE, sign
from veneer.findings.wording import data, evidence, label, model, movement, points, share, told
from veneer.records import Evidence, Verdict


def style_improves(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Mean style gap closed at the largest amount − at the smallest, averaged over bases.

    Raw mean style scores take its place where a gap is undefined for some base. Needs two
    amounts of broad data for at least one base.
    """
    metrics = grid.counted("style")
    corpus = grid.broad()
    ends = {b: grid.ends(corpus, b) for b in grid.bases()}
    pairs = {b: pair for b, pair in ends.items() if pair and _measured(grid, pair, metrics)}
    if not metrics:
        return "undecided", [told("Style was not measured.")]
    if not pairs:
        lines = [told("Undecided: needs students of two amounts of broad data, and there are not.")]
        return "undecided", lines + _style_of_single_students(grid, corpus, metrics)
    by_base: dict[str, tuple[Sampled, Sampled]] = {}
    for base, (least, most) in pairs.items():
        both = [m for m in metrics if grid.gap(least, m).defined and grid.gap(most, m).defined]
        if both:
            by_base[base] = grid.mean_gap(least, both), grid.mean_gap(most, both)
    what = "mean style gap closed"
    if len(by_base) < len(pairs) or any(not n.defined for two in by_base.values() for n in two):
        what = "mean style score"
        by_base = {
            b: (_raw_mean(grid, least, metrics, most), _raw_mean(grid, most, metrics, least))
            for b, (least, most) in pairs.items()
        }
    total = average([most - least for least, most in by_base.values()])
    lines = [
        evidence(
            f"{what}, largest − smallest amount of {corpus or 'broad'} data, mean over "
            f"{len(pairs)} base(s): {points(total)}",
            total,
        )
    ]
    for base, (first, last) in by_base.items():
        few, much = (cell.tokens for cell in pairs[base])
        lines.append(
            evidence(
                f"{base}: {what} {share(first)} with {data(few)}, {share(last)} with "
                f"{data(much)}; difference {points(last - first)}",
                last - first,
            )
        )
    return sign(total), lines


def capability_is_left(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Mean capability gap closed by broad students of the largest amount, against `LITTLE`."""
    metrics = grid.counted("capability")
    corpus = grid.broad()
    students = grid.fullest(corpus)
    if not metrics:
        return "undecided", [told("No benchmark was measured: the capability gap is unknown.")]
    if not students:
        return "undecided", [told("There is no student of broad imitation.")]
    gaps = {s: grid.mean_gap(s, metrics) for s in students}
    defined = [g for g in gaps.values() if g.defined]
    lines = []
    total = average(defined) if defined else undefined("no capability gap is defined")
    if defined:
        lines.append(
            evidence(
                f"mean capability gap closed by broad imitation, {len(defined)} base(s): "
                f"{share(total)}; little means at most {100 * LITTLE:.0f} %",
                total,
            )
        )
    else:
        whys = dict.fromkeys(note for g in gaps.values() for note in g.notes)
        lines.append(told(f"The capability gap closed is undefined: {' · '.join(whys)}."))
    for student, gap in gaps.items():
        if len(gaps) > 1:
            lines.append(evidence(f"{student.base}: capability gap closed {share(gap)}", gap))
        lines += _benchmark_lines(grid, student, metrics)
        lines += _trend(grid, student, metrics)
    bounds = interval(total)
    if bounds is None:
        return "undecided", lines
    if bounds[1] < LITTLE:
        return "holds", lines
    return ("fails" if bounds[0] > LITTLE else "undecided"), lines


def local_works(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Local student − its base on the local corpus's own task, averaged over bases."""
    lines: list[Evidence] = []
    found: list[Sampled] = []
    for corpus, facts in grid.facts.corpora.items():
        if facts.kind != "local":
            continue
        on_task = [m for m in grid.metrics() if m.measure == facts.task]
        counted = [m for m in on_task if m in grid.counted("capability")]
        metric = next(iter(counted or on_task), None)
        if metric is None:
            lines.append(told(f"{corpus}: its task {facts.task or '(unnamed)'} was not measured."))
            continue
        for base in grid.bases():
            student = grid.most(corpus, base)
            if student is None or not grid.scores(student, metric):
                continue
            gain = grid.difference(student, base_of(student), metric)
            gap = grid.gap(student, metric)
            lines.append(
                evidence(
                    f"{model(grid, student)} on {label(metric)}: student − base {points(gain)}, "
                    f"{movement(gain)}; gap closed {share(gap)}",
                    gain,
                )
            )
            broad = grid.most(grid.broad(), base)
            if broad and grid.scores(broad, metric):
                ahead = grid.difference(student, broad, metric)
                text = f"{base}: local − broad imitation on {label(metric)} {points(ahead)}"
                lines.append(evidence(text, ahead))
            lines += _other_forms(grid, student, metric)
            if gain.defined:
                found.append(gain)
    if not found:
        why = "Undecided: needs a student of task-specific data, scored on that task, and its base."
        return "undecided", [told(why), *lines]
    total = average(found)
    text = f"student − base on its own task, mean over {len(found)} student(s): {points(total)}"
    return sign(total), [evidence(text, total), *lines]


def _other_forms(grid: Grid, student: Cell, metric: Metric) -> list[Evidence]:
    """The same student on other forms of its task (`nq` beside `nq-0shot`): shown, not judged."""
    stem = metric.measure.split("-")[0]
    lines = []
    for other in grid.metrics():
        if other.measure.split("-")[0] == stem and other != metric and grid.scores(student, other):
            gain = grid.difference(student, base_of(student), other)
            text = f"{model(grid, student)} on {label(other)}: student − base {points(gain)}"
            lines.append(evidence(f"{text}, {movement(gain)}", gain))
    return lines


def base_beats_data(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Gain of the largest over the smallest base − gain of the most over the least data.

    Raw mean capability score; the bases are compared at the largest broad amount, the
    amounts on the largest base, over benchmarks that all of them were measured on.
    """
    corpus, bases = grid.broad(), grid.bases()
    known = [b for b in bases if grid.size(b) > 0 and grid.students(corpus, b)]
    if len(known) < 2:
        need = "students of two bases whose sizes are known"
        return "undecided", [told(f"Undecided: needs {need}; there are {len(known)}.")]
    small, large = known[0], known[-1]
    ends = grid.ends(corpus, large)
    if ends is None:
        return "undecided", [told(f"Undecided: needs two amounts of broad data on {large}.")]
    least, most = ends
    smaller = grid.most(corpus, small)
    assert smaller is not None  # `known` holds only bases with students
    metrics = [
        m
        for m in grid.counted("capability")
        if all(grid.scores(cell, m) for cell in (least, most, smaller))
    ]
    if not metrics:
        return "undecided", [told("Undecided: no benchmark was measured on all of them.")]
    if grid.size(small) == grid.size(large):
        return "undecided", [told("Undecided: the bases are of one size.")]
    by_base = grid.mean_difference(most, smaller, metrics)
    by_data = grid.mean_difference(most, least, metrics)
    total = by_base - by_data
    over = ", ".join(label(m) for m in metrics)
    times = grid.size(large) / grid.size(small)
    more = (most.tokens or 0) / (least.tokens or 1)
    unequal = most.tokens != smaller.tokens
    lines = [
        evidence(f"gain of the better base − gain of more data ({over}): {points(total)}", total),
        evidence(
            f"{small} → {large} (×{times:.3g} parameters) with the most data: {points(by_base)}",
            by_base,
        ),
        evidence(
            f"{data(least.tokens)} → {data(most.tokens)} (×{more:.3g} tokens) on {large}: "
            f"{points(by_data)}",
            by_data,
        ),
    ]
    if unequal:
        lines.append(told(f"The bases' largest amounts differ: {data(smaller.tokens)} on {small}."))
    if len(metrics) > 1:
        for m in metrics:
            one = grid.difference(most, smaller, m) - grid.difference(most, least, m)
            lines.append(evidence(f"{label(m)} alone: {points(one)}", one))
    return sign(total), lines


# ---- parts ------------------------------------------------------------------------------


def _measured(grid: Grid, pair: Sequence[Cell], metrics: Sequence[Metric]) -> bool:
    return any(all(grid.scores(cell, m) for cell in pair) for m in metrics)


def _raw_mean(grid: Grid, cell: Cell, metrics: Sequence[Metric], beside: Cell) -> Sampled:
    """Mean raw score over the metrics that both cells have, on the items that both have."""
    both = [m for m in metrics if grid.scores(cell, m) and grid.scores(beside, m)]
    found = [grid.together([cell, beside], m) for m in both]
    good = [one for one, two in found if one.defined and two.defined]
    return average(good) if good else undefined("no style metric is defined on both")


def _style_of_single_students(
    grid: Grid, corpus: str | None, metrics: Sequence[Metric]
) -> list[Evidence]:
    lines = []
    for student in grid.students(corpus):
        gain = grid.mean_difference(student, base_of(student), metrics)
        gap = grid.mean_gap(student, metrics)
        if gain.defined:
            text = f"{model(grid, student)}: mean style score, student − base {points(gain)}"
            lines.append(evidence(f"{text}; style gap closed {share(gap)}", gain))
    return lines


def _benchmark_lines(grid: Grid, student: Cell, metrics: Sequence[Metric]) -> list[Evidence]:
    lines = []
    for metric in metrics:
        gain = grid.difference(student, base_of(student), metric)
        if gain.defined:
            gap = grid.gap(student, metric)
            closed = f"; gap closed {share(gap)}" if gap.defined else ""
            text = f"{model(grid, student)} on {label(metric)}: student − base {points(gain)}"
            lines.append(evidence(f"{text}, {movement(gain)}{closed}", gain))
    return lines


def _trend(grid: Grid, student: Cell, metrics: Sequence[Metric]) -> list[Evidence]:
    ends = grid.ends(student.corpus, student.base)
    if ends is None:
        return []
    change = grid.mean_difference(ends[1], ends[0], metrics)
    if not change.defined:
        return []
    text = (
        f"{student.base}: mean capability score from {data(ends[0].tokens)} to "
        f"{data(ends[1].tokens)} {points(change)}"
    )
    return [evidence(text, change)]
