"""The paper's six claims, each with a verdict drawn from intervals and its evidence.

A verdict is `holds` or `fails` only where a 95 % interval lies wholly on one side of the
line that the claim names; everything else is `undecided`, and the evidence says what is
missing. Where a study has several broad corpora, the claims speak of the first that the
design names. Sections are those of "The False Promise of Imitating Proprietary LLMs".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from veneer.findings.grid import TEACHER, Cell, Grid, Metric, family_of
from veneer.findings.resample import Sampled, average, interval, undefined
from veneer.findings.wording import (
    data,
    evidence,
    label,
    model,
    movement,
    points,
    share,
    told,
)
from veneer.records import Claim, Evidence, Verdict

LITTLE = 0.25
""""Little to none" of the capability gap (abstract): a quarter of it at most."""

GOOD_PREFERENCE_GAP = 0.5
"""Raters are pleased when a student closes more than half of the preference gap."""

GOOD_WIN_OR_TIE = 0.5
"""... or when more than half of its answers are rated equal to or better than the teacher's
(about 70 % in the paper's Figure 1)."""

STATEMENTS = {
    "style-improves-with-data": "More imitation data brings the student's style closer to the "
    "teacher's (Table 2).",
    "broad-imitation-leaves-capability": "Broad imitation closes little to none of the "
    "capability gap (Section 4.3, Figure 4).",
    "local-imitation-works": "Imitating the teacher on one task improves the student on that "
    "task (Section 4.3, Table 1).",
    "better-base-beats-more-data": "A better base model gains more capability than more "
    "imitation data does (Section 4.3, Figure 4).",
    "raters-are-fooled-by-style": "Raters like imitation models although their capability "
    "stays far from the teacher's (Sections 4.2 and 4.4, Figure 1).",
    "safety-style-is-inherited": "Students inherit the teacher's harmlessness with its style "
    "(Section 4.4, Figure 5).",
}


def claims(grid: Grid) -> tuple[Claim, ...]:
    """All six, in the paper's order."""
    judges: dict[str, Callable[[Grid], tuple[Verdict, list[Evidence]]]] = {
        "style-improves-with-data": style_improves,
        "broad-imitation-leaves-capability": capability_is_left,
        "local-imitation-works": local_works,
        "better-base-beats-more-data": base_beats_data,
        "raters-are-fooled-by-style": raters_fooled,
        "safety-style-is-inherited": safety_inherited,
    }
    made = []
    for name, judge in judges.items():
        verdict, lines = judge(grid)
        made.append(
            Claim(id=name, statement=STATEMENTS[name], verdict=verdict, evidence=tuple(lines))
        )
    return tuple(made)


def sign(number: Sampled, line: float = 0.0) -> Verdict:
    """holds above the line, fails below it, undecided where the interval contains it."""
    bounds = interval(number)
    if bounds is None:
        return "undecided"
    return "holds" if bounds[0] > line else "fails" if bounds[1] < line else "undecided"


def style_improves(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Mean style gap closed at the largest amount − at the smallest, averaged over bases.

    Raw mean style scores take its place where a gap is undefined for some base. Needs two
    amounts of broad data for at least one base.
    """
    metrics = grid.counted("style")
    corpus = grid.broad()
    ends = {b: _ends(grid, corpus, b) for b in grid.bases()}
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
    students = [c for b in grid.bases() if (c := grid.most(corpus, b))]
    students = students or [c for c in [grid.most(corpus, None)] if c]
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
        metric = next((m for m in grid.counted("capability") if m.measure == facts.task), None)
        if metric is None:
            lines.append(told(f"{corpus}: its task {facts.task or '(unnamed)'} was not measured."))
            continue
        for base in grid.bases():
            student = grid.most(corpus, base)
            if student is None or not grid.scores(student, metric):
                continue
            gain = grid.difference(student, _base(student), metric)
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
            if gain.defined:
                found.append(gain)
    if not found:
        why = "Undecided: needs a student of task-specific data, scored on that task, and its base."
        return "undecided", [told(why), *lines]
    total = average(found)
    text = f"student − base on its own task, mean over {len(found)} student(s): {points(total)}"
    return sign(total), [evidence(text, total), *lines]


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
    ends = _ends(grid, corpus, large)
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


def raters_fooled(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Preference is good while capability stays little, for broad students of most data.

    Preference is the gap closed in win rate where teacher and base were rated against the
    same opponent, else the win-or-tie rate directly against the teacher.
    """
    corpus = grid.broad()
    students = [c for b in grid.bases() if (c := grid.most(corpus, b))]
    students = students or [c for c in [grid.most(corpus, None)] if c]
    liked: list[tuple[Sampled, float]] = []
    able: list[Sampled] = []
    lines: list[Evidence] = []
    for student in students:
        found = _preference(grid, student)
        if found is None:
            continue
        number, line, text = found
        lines.append(evidence(f"{model(grid, student)}: {text} {share(number)}", number))
        gap = grid.mean_gap(student, grid.counted("capability"))
        if grid.counted("capability"):
            text = f"{model(grid, student)}: capability gap closed {share(gap)}"
            lines.append(evidence(text, gap))
        if number.defined:
            liked.append((number, line))
            able += [gap] if gap.defined else []
    if not liked:
        why = "Undecided: needs preferences for the student against the teacher or one opponent."
        return "undecided", [told(why), *lines, *_other_preferences(grid)]
    lines += _other_preferences(grid)
    if not able or len({line for _, line in liked}) > 1:
        return "undecided", [told("Undecided: needs benchmark results beside them."), *lines]
    pleased = sign(average([n for n, _ in liked]), liked[0][1])
    left = sign(average(able), LITTLE)  # "fails" here: stays below the line
    if pleased == "holds" and left == "fails":
        return "holds", lines
    if pleased == "fails" or left == "holds":
        return "fails", lines
    return "undecided", lines


def safety_inherited(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Non-toxicity, student − base at the largest amount, where the teacher is above the base."""
    metric, refusals = Metric("toxicity", "non_toxicity"), Metric("toxicity", "refusal_rate")
    corpus = grid.broad()
    lines: list[Evidence] = []
    gains: list[Sampled] = []
    rooms: list[Sampled] = []
    for base in grid.bases():
        student = grid.most(corpus, base)
        if student is None or not grid.scores(student, metric):
            continue
        gain = grid.difference(student, _base(student), metric)
        if not gain.defined:
            continue
        room = grid.difference(TEACHER, _base(student), metric)
        gains.append(gain)
        rooms += [room] if room.defined else []
        gap = grid.gap(student, metric)
        lines.append(
            evidence(
                f"{model(grid, student)}: non-toxicity student − base {points(gain)}; "
                f"gap closed {share(gap)}",
                gain,
            )
        )
        if grid.scores(student, refusals):
            shift = grid.difference(student, _base(student), refusals)
            text = f"{base}: refusal rate, student − base {points(shift)}"
            lines.append(evidence(text, shift))
    if not gains:
        return "undecided", [
            told("Undecided: toxicity of students and their bases was not measured.")
        ]
    total = average(gains)
    head = evidence(
        f"non-toxicity, student − base, mean over {len(gains)} base(s): {points(total)}", total
    )
    if not rooms:
        return "undecided", [head, told("Undecided: the teacher's own was not measured."), *lines]
    room = average(rooms)
    lines.insert(0, evidence(f"non-toxicity, teacher − base: {points(room)}", room))
    if sign(room) != "holds":
        return "undecided", [head, told("The teacher is not safer than the bases: nothing to inherit."), *lines]  # noqa: E501  # fmt: skip
    return sign(total), [head, *lines]


# ---- parts ------------------------------------------------------------------------------


def _base(student: Cell) -> Cell:
    return Cell("base", student.base, None, 0)


def _ends(grid: Grid, corpus: str | None, base: str) -> tuple[Cell, Cell] | None:
    """The students of a base with the least and the most data, if these differ."""
    found = [c for c in grid.students(corpus, base) if c.tokens]
    return (found[0], found[-1]) if len(found) > 1 else None


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
        gain = grid.mean_difference(student, _base(student), metrics)
        gap = grid.mean_gap(student, metrics)
        if gain.defined:
            text = f"{model(grid, student)}: mean style score, student − base {points(gain)}"
            lines.append(evidence(f"{text}; style gap closed {share(gap)}", gain))
    return lines


def _benchmark_lines(grid: Grid, student: Cell, metrics: Sequence[Metric]) -> list[Evidence]:
    lines = []
    for metric in metrics:
        gain = grid.difference(student, _base(student), metric)
        if gain.defined:
            gap = grid.gap(student, metric)
            closed = f"; gap closed {share(gap)}" if gap.defined else ""
            text = f"{model(grid, student)} on {label(metric)}: student − base {points(gain)}"
            lines.append(evidence(f"{text}, {movement(gain)}{closed}", gain))
    return lines


def _trend(grid: Grid, student: Cell, metrics: Sequence[Metric]) -> list[Evidence]:
    ends = _ends(grid, student.corpus, student.base or "")
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


def _preference(grid: Grid, student: Cell) -> tuple[Sampled, float, str] | None:
    """The number that says how raters like a student, its line, and its words."""
    for metric in grid.metrics(student):
        if family_of(metric.measure) == "preference" and metric.metric == "win_rate":
            gap = grid.gap(student, metric)
            if gap.defined:
                return gap, GOOD_PREFERENCE_GAP, f"{metric.measure} gap closed"
    teachers = {s.subject.model for m in grid.metrics(TEACHER) for s in grid.scores(TEACHER, m)}
    for metric in grid.metrics(student):
        scores = grid.scores(student, metric)
        if family_of(metric.measure) != "preference" or metric.metric != "win_or_tie_rate":
            continue
        if {getattr(s, "against", "") for s in scores} <= (teachers | {"teacher"}):
            (number,) = grid.together([student], metric)
            return number, GOOD_WIN_OR_TIE, "rated equal to or better than the teacher in"
    return None


def _other_preferences(grid: Grid) -> list[Evidence]:
    lines = []
    for cell in grid.cells():
        for metric in grid.metrics(cell):
            if family_of(metric.measure) == "preference" and metric.metric == "win_rate":
                (number,) = grid.together([cell], metric)
                foe = getattr(grid.scores(cell, metric)[0], "against", "") or "its opponent"
                text = f"{model(grid, cell)}: win rate against {foe} {share(number, 1)}"
                lines.append(evidence(text, number))
    return lines
