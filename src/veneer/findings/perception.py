"""Two claims on how students come across: to raters, and in their safety."""

from __future__ import annotations

from veneer.findings.grid import TEACHER, Cell, Grid, Metric, base_of, family_of
from veneer.findings.resample import Sampled, average
from veneer.findings.thresholds import GOOD_PREFERENCE_GAP, GOOD_WIN_OR_TIE, LITTLE, sign
from veneer.findings.wording import evidence, model, points, share, told
from veneer.records import Evidence, Verdict


def raters_fooled(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Preference is good while capability stays little, for broad students of most data.

    Preference is the gap closed in win rate where teacher and base were rated against the
    same opponent, else the win-or-tie rate directly against the teacher.
    """
    corpus = grid.broad()
    students = grid.fullest(corpus)
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
        gain = grid.difference(student, base_of(student), metric)
        if not gain.defined:
            continue
        room = grid.difference(TEACHER, base_of(student), metric)
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
            shift = grid.difference(student, base_of(student), refusals)
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
                foe = "the teacher" if foe == "teacher" else foe
                text = f"{model(grid, cell)}: win rate against {foe} {share(number, 1)}"
                lines.append(evidence(text, number))
    return lines
