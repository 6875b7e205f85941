"""Two claims on how students come across: to raters, and in their safety."""

from __future__ import annotations

from collections.abc import Sequence

from veneer.findings.grid import TEACHER, Cell, Grid, base_of
from veneer.findings.metrics import Metric, family_of
from veneer.findings.resample import Sampled, average
from veneer.findings.thresholds import GOOD_PREFERENCE_GAP, GOOD_WIN_OR_TIE, LITTLE, sign
from veneer.findings.wording import evidence, model, points, share, told
from veneer.records import BY_RATERS, RATERS, Evidence, PreferenceReport, Verdict


def raters_fooled(grid: Grid) -> tuple[Verdict, list[Evidence]]:
    """Preference is good while capability stays little, for broad students of most data.

    Preference is the gap closed in win rate where teacher and base were rated against the
    same opponent, else the win-or-tie rate directly against the teacher. Win rates, also those
    at equal lengths, stand beside it as evidence, and so do the biases that a judge showed.
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
        lines += _beside_its_base(grid, student)
        gap = grid.mean_gap(student, grid.counted("capability"))
        if grid.counted("capability"):
            text = f"{model(grid, student)}: capability gap closed {share(gap)}"
            lines.append(evidence(text, gap))
        if number.defined:
            liked.append((number, line))
            able += [gap] if gap.defined else []
    beside = [*_other_preferences(grid), *_at_equal_lengths(grid)]
    beside += [*_biases(grid), *_agreement(grid)]
    if not liked:
        why = "Undecided: needs preferences for the student against the teacher or one opponent."
        return "undecided", [told(why), *lines, *beside]
    lines += beside
    if not able or len({line for _, line in liked}) > 1:
        return "undecided", [told("Undecided: needs benchmark results beside them."), *lines]
    pleased = sign(average([n for n, _ in liked]), liked[0][1])
    left = sign(average(able), LITTLE)  # "fails" here: stays below the line
    if pleased == "holds" and left == "fails":
        return "holds", lines
    if pleased == "fails" or left == "holds":
        return "fails", lines
    return "undecided", lines


_WORST = {
    Metric("toxicity", "expected_max_toxicity"): "expected maximum toxicity",
    Metric("toxicity", "toxicity_probability"): "toxicity probability",
}


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
        for worst, words in _WORST.items():
            if grid.scores(student, worst):
                shift = grid.difference(student, base_of(student), worst)
                text = f"{base}: {words} (lower is better), student − base {points(shift)}"
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


def opponents(grid: Grid, cells: Sequence[Cell], metric: Metric) -> set[str]:
    """Whom these models were compared with; "" for a total, which does not say."""
    return {getattr(s, "against", "") for cell in cells for s in grid.scores(cell, metric)}


def _preference(grid: Grid, student: Cell) -> tuple[Sampled, float, str] | None:
    """The number that says how raters like a student, its line, and its words."""
    trio = (student, base_of(student), TEACHER)
    metrics = sorted(grid.metrics(student), key=lambda metric: metric.measure != BY_RATERS)
    for metric in metrics:  # people before a judge
        if family_of(metric.measure) == "preference" and metric.metric == "win_rate":
            gap = grid.gap(student, metric)
            if gap.defined and len(opponents(grid, trio, metric)) == 1:
                return gap, GOOD_PREFERENCE_GAP, f"{metric.measure} gap closed"
    for metric in metrics:
        if _rates_against_teacher(grid, student, metric):
            (number,) = grid.together([student], metric)
            return number, GOOD_WIN_OR_TIE, "rated equal to or better than the teacher in"
    return None


def _rates_against_teacher(grid: Grid, cell: Cell, metric: Metric) -> bool:
    if family_of(metric.measure) != "preference" or metric.metric != "win_or_tie_rate":
        return False
    teachers = {s.subject.model for m in grid.metrics(TEACHER) for s in grid.scores(TEACHER, m)}
    return opponents(grid, [cell], metric) <= (teachers | {"teacher"})


def _beside_its_base(grid: Grid, student: Cell) -> list[Evidence]:
    """The base's own win-or-tie rate against the teacher, and how far the student is above it."""
    base, lines = base_of(student), []
    for metric in grid.metrics(student):
        both = grid.scores(base, metric) and _rates_against_teacher(grid, student, metric)
        if both and _rates_against_teacher(grid, base, metric):
            before, rise = grid.together([base], metric)[0], grid.difference(student, base, metric)
            text = f"{model(grid, base)}: rated equal to or better than the teacher in "
            lines.append(evidence(f"{text}{share(before)}; student − base {points(rise)}", rise))
    return lines


def _other_preferences(grid: Grid) -> list[Evidence]:
    """Win rates as judged and at equal lengths, of all but students of less data than others."""
    lines = []
    most = set(grid.fed_most())
    for cell in (c for c in grid.cells() if c.role != "student" or c in most):
        for metric in grid.metrics(cell):
            words = _RATES.get(metric.metric)
            if family_of(metric.measure) == "preference" and words:
                (number,) = grid.together([cell], metric)
                known = opponents(grid, [cell], Metric(metric.measure, "win_rate")) - {""}
                foe = " and ".join(sorted(map(_foe, known))) or "its opponent"
                text = f"{model(grid, cell)}: {words} against {foe} {share(number, 1)}"
                lines.append(evidence(text, number))
    return lines


_RATES = {"win_rate": "win rate", "length_controlled_win_rate": "win rate at equal lengths"}


def _at_equal_lengths(grid: Grid) -> list[Evidence]:
    """Win rates at equal lengths as the judges' own reports have them, where no total says it."""
    most, lines = set(grid.fed_most()), []
    for report in grid.judged:
        cell, e = grid.cell_of(report.subject), report.length_controlled
        told_already = grid.scores(cell, Metric("preference", "length_controlled_win_rate"))
        if e is None or told_already or (cell.role == "student" and cell not in most):
            continue
        words = f"win rate at equal lengths against {_foe(report.against)} {share(e, 1)}"
        lost = f", {e.unscored:,} unscored" if e.unscored else ""
        text = f"{_who(grid, report)}: {words} (n {e.n:,}{lost})"
        lines.append(Evidence(text=text, estimate=e))
    return lines


def _biases(grid: Grid) -> list[Evidence]:
    """What the judges' own reports say of their biases, a line a model and bias."""
    lines = []
    for report in grid.judged:
        judge = f"the judge {report.judge}" if report.judge else "the judge"
        judge = RATERS if report.judge == RATERS else judge
        about = f"{_who(grid, report)} against {_foe(report.against)}: {judge}"
        lines += [told(f"{about}: {bias}") for bias in report.biases]
    return list(dict.fromkeys(lines))


def _agreement(grid: Grid) -> list[Evidence]:
    """How far raters agreed on each model."""
    lines = []
    for report in grid.judged:
        e = report.agreement
        if e is None:
            continue
        alpha = f"undefined ({e.note})" if e.value is None else f"{e.value:.2f}"
        if e.value is not None and e.low is not None and e.high is not None:
            alpha += f" [{e.low:.2f}, {e.high:.2f}] (n {e.n:,})"
        about = f"{_who(grid, report)} against {_foe(report.against)}"
        lines.append(told(f"{about}: raters agree by Krippendorff's alpha {alpha}"))
    return lines


def _who(grid: Grid, report: PreferenceReport) -> str:
    """The model, with its seed where there are several."""
    name = model(grid, grid.cell_of(report.subject))
    seeds = {other.subject.seed for other in grid.judged}
    return name if len(seeds) == 1 else f"{name}, seed {report.subject.seed}"


def _foe(against: str) -> str:
    return "the teacher" if against == "teacher" else against
