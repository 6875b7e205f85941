"""Preferences judged in this run: wins, ties and losses, and how far the judge can be trusted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from veneer.records import Estimate, Measurement, PreferenceReport
from veneer.report.drawing import Drawing
from veneer.report.series import Grid, Pooled, pooled
from veneer.report.stacks import Stack, Stacks
from veneer.report.tables import Cell, Table, cell
from veneer.report.wording import amount, counted, interval, number, percent, plural, thousands

MOST = 12
"""Bars that the figure has at most; else only each base and its fullest students."""

Reports = Sequence[PreferenceReport]


def preference_figure(grid: Grid, reports: Reports) -> Drawing | None:
    """Wins, ties and losses of every model against one opponent, a panel an opponent and judge."""
    panels = []
    for turn, (about, own) in enumerate(_by_judge(reports)):
        models = _by_model(grid, own)
        if len(models) > MOST:
            kept = _fullest([rows[0] for _, rows in models])
            models = [(name, rows) for name, rows in models if rows[0] in kept]
        bars = [bar for name, rows in models if (bar := _bar(name, rows))]
        if bars:
            said = "; ".join(f"{bar.name} {bar.label}" for bar in bars)
            panels.append(
                (Stacks(f"preferences-{turn}", *_heads(about), tuple(bars), summary=said),)
            )
    if not panels:
        return None
    caption = (
        "Share of prompts on which the answer won, tied or lost; a prompt judged in both orders "
        "counts once. The line is the 95 % interval of the share that did not lose, which is the "
        "number beside it."
    )
    return Drawing("preferences", "Judged preferences", caption, tuple(panels))


def preference_tables(grid: Grid, reports: Reports) -> list[Table]:
    """A table an opponent and judge: rates, the same at equal lengths, and the judge's biases."""
    tables = []
    for turn, (about, own) in enumerate(_by_judge(reports)):
        rows, notes = [], []
        by_raters = any(report.agreement is not None for report in own)
        for name, found in _by_model(grid, own):
            rows.append((Cell(name, kind="name"), *_cells(found, by_raters)))
            notes += [f"{name}: {bias}." for report in found for bias in report.biases]
        title, judged = _heads(about)
        tables.append(
            Table(
                f"preferences-{turn + 1}", f"{title}, {judged}" if judged else title,
                "Win rate: a tie counts half. At equal lengths: what the win rate would be if "
                "both answers were as long. Shown first: share of single verdicts that went to "
                "the answer shown first, 50 % where position does not matter. Nothing unscored "
                "counts as a loss.",
                ("model", "win rate", "won or tied", "at equal lengths", "won / tied / lost",
                 "shown first", _AGREE[by_raters], "unscored because"),
                tuple(rows), notes=tuple(dict.fromkeys(notes)),
            )
        )  # fmt: skip
    return tables


def preference_csv(reports: Reports) -> str:
    """The reports as CSV: a line a report and number, with interval, n and unscored."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ["model", "role", "base", "corpus", "tokens", "seed"]
    more = ["against", "judge", "template", "orders", "wins", "ties", "losses"]
    writer.writerow([*about, *more, "what", "value", "low", "high", "n", "unscored"])
    for report in reports:
        names = [getattr(report.subject, name) for name in about]
        names += [getattr(report, name) for name in more]
        for what in _NUMBERS:
            e = getattr(report, what)
            if e is not None:
                writer.writerow([*names, what, e.value, e.low, e.high, e.n, e.unscored])
    return out.getvalue()


_NUMBERS = (
    "win_rate", "win_or_tie_rate", "length_controlled", "length_effect", "first_position",
    "orders_agree", "agreement",
)  # fmt: skip

_AGREE = {False: "orders agree", True: "raters agree (Krippendorff's α)"}

About = tuple[str, str, str, str]


def _by_judge(reports: Reports) -> list[tuple[About, list[PreferenceReport]]]:
    groups: dict[About, list[PreferenceReport]] = {}
    for report in reports:
        about = (report.against, report.judge, report.template, report.orders)
        groups.setdefault(about, []).append(report)
    return list(groups.items())


def _heads(about: About) -> tuple[str, str]:
    against, judge, template, orders = about
    foe = "the teacher" if against == "teacher" else against
    asked = "both orders" if orders == "both" else "one order"
    how = ", ".join(x for x in (template, asked) if x)
    return f"Against {foe}", f"{judge} ({how})" if judge else how


def _by_model(grid: Grid, reports: Reports) -> list[tuple[str, list[PreferenceReport]]]:
    """The seeds of a model together; teachers, then each base and its students."""
    places = {base: at for at, base in enumerate(grid.bases)}
    corpora = {name: at for at, name in enumerate(grid.corpora)}
    roles = ("teacher", "teacher-again", "base", "student")

    def order(report: PreferenceReport) -> tuple[object, ...]:
        who = report.subject
        own = places.get(who.base or who.model, len(places)) if who.role != "teacher" else -1
        fed = corpora.get(who.corpus or "", len(corpora))
        return own, roles.index(who.role), fed, who.tokens or 0, who.model, who.seed

    groups: dict[tuple[object, ...], list[PreferenceReport]] = {}
    for report in sorted(reports, key=order):
        groups.setdefault(order(report)[:-2], []).append(report)
    return [(_name(rows[0]), rows) for rows in groups.values()]


def _name(report: PreferenceReport) -> str:
    who = report.subject
    if who.role == "student" and who.base and who.corpus and who.tokens:
        return f"{who.base} + {who.corpus}, {amount(who.tokens)} tokens"
    return f"{who.base or who.model}, before" if who.role == "base" else who.model


def _fullest(reports: Reports) -> list[PreferenceReport]:
    most: dict[tuple[str, str | None, str | None], PreferenceReport] = {}
    for report in reports:  # least data first
        who = report.subject
        most[who.role, who.base, who.corpus] = report
    return list(most.values())


def _bar(name: str, reports: Reports) -> Stack | None:
    wins, ties, losses = (
        sum(getattr(report, part) for report in reports) for part in ("wins", "ties", "losses")
    )
    whole = wins + ties + losses
    rate = _pooled(report.win_or_tie_rate for report in reports)
    if not whole or rate is None:
        return None
    said = f"{percent(rate.value, 0)} {interval('', rate.low, rate.high, 0)}"
    label = f"{said}, {counted(rate.n, rate.unscored)}"
    return Stack(name, (wins / whole, ties / whole, losses / whole), label, rate.low, rate.high)


def _cells(reports: Reports, by_raters: bool) -> list[Cell]:
    counts = " / ".join(
        thousands(sum(getattr(report, part) for report in reports))
        for part in ("wins", "ties", "losses")
    )
    judged = sum(r.wins + r.ties + r.losses for r in reports)
    why: dict[str, int] = {}
    for report in reports:
        for reason, count in report.reasons.items():
            why[reason] = why.get(reason, 0) + count
    reasons = "; ".join(
        f"{thousands(count)} {reason}" for reason, count in sorted(why.items()) if count
    )
    effects = [e for r in reports if (e := r.length_effect) is not None and e.value is not None]
    equal = cell("win_rate", _pooled(r.length_controlled for r in reports))
    if equal.kind == "number" and effects:
        e = effects[0]
        spread = "" if e.low is None or e.high is None else f" [{number(e.low)}, {number(e.high)}]"
        said = f"length effect {number(e.value)}{spread}"
        equal = Cell(equal.text, equal.interval, equal.counted, said, raw=equal.raw)
    return [
        cell("win_rate", _pooled(r.win_rate for r in reports)),
        cell("win_or_tie_rate", _pooled(r.win_or_tie_rate for r in reports)),
        equal,
        Cell(counts, counted=plural(judged, "prompt")),
        cell("first_position", _pooled(r.first_position for r in reports)),
        cell("alpha", _pooled(r.agreement for r in reports))
        if by_raters
        else cell("orders_agree", _pooled(r.orders_agree for r in reports)),
        Cell(reasons, kind="words") if reasons else Cell("–", kind="none"),
    ]


def _pooled(found: Iterable[Estimate | None]) -> Pooled | None:
    """Seeds pooled as measurements are."""
    return pooled(
        Measurement(
            model="", role="student", base=None, corpus=None, tokens=None, seed=seed,
            measure="preference", metric="", value=e.value, low=e.low, high=e.high, n=e.n,
            unscored=e.unscored,
        )
        for seed, e in enumerate(found)
        if e is not None
    )  # fmt: skip
