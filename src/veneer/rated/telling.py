"""What raters preferred, told: one JSON-able object for programs, lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from veneer.judging import said, text_of
from veneer.measure.recorded.judged import facts_of
from veneer.rated.beside import BesideJudge
from veneer.rated.pairs import SETTLED
from veneer.rated.rates import ModelRates, Rated
from veneer.raters.agreement import SCALE, Agreement
from veneer.raters.quality import FAILS, HASTY, LEANS, RaterQuality
from veneer.records import RULE, Estimate

OUTCOMES = ("won", "tied", "lost")
CATEGORIES_SHOWN = 12
_ALPHA = "α"
_KAPPA = "κ"


def results_json(rated: Rated) -> dict[str, Any]:
    """Everything as plain values: rates are fractions, numbers {value, low, high, n, unscored}."""
    study = rated.study
    raters = [one.model_dump(mode="json") for one in rated.raters]
    return {
        "title": study.title,
        **study.made_of,
        "rule": RULE,
        **_counts(rated),
        "partial": rated.partial,
        "without_failing": rated.without_failing,
        "failing": list(rated.failing),
        "models": [_model_json(one) for one in rated.models],
        **agreement_json(rated, pairs=False),
        "judges": [_judge_json(one) for one in rated.judges],
        "raters": raters,
        "rules_of_raters": {"fails": FAILS, "hasty": HASTY, "leans": LEANS},
        "dropped": dict(study.dropped),
        "notes": list(rated.notes),
    }


def agreement_json(rated: Rated, *, pairs: bool = True) -> dict[str, Any]:
    """How raters agree: all of them, within and across origins, and on each two models.

    `pairs`: list every two raters, too.
    """

    def told(one: Agreement) -> dict[str, Any]:
        return one.model_dump(mode="json", exclude=set() if pairs else {"pairs"})

    return {
        "agreement": told(rated.agreement),
        "within_origins": {one.origin: told(one.agreement) for one in rated.within},
        "across_origins": [one.model_dump(mode="json") for one in rated.across],
        "by_models": [
            {
                "model": one.report.subject.model,
                "against": one.report.against,
                **told(one.agreement),
            }
            for one in rated.models
        ],
    }


def results_text(rated: Rated) -> str:
    """The same in lines for people: percent, intervals, n and what is unscored."""
    counts = _counts(rated)
    wanted = f" with all {rated.study.ratings} ratings" if rated.study.ratings else " with votes"
    lines = [
        f"{rated.study.title}: {counts['votes']:,} votes of {counts['raters']:,} raters"
        f" ({_listed(counts['origins'])}); {counts['complete']:,} of {counts['pairs']:,}"
        f" pairs{wanted}.",
        f"A pair goes to the majority: {RULE}.",
        "Majority: " + ", ".join(f"{name} {n:,}" for name, n in counts["majority"].items()) + ".",
        *_beyond_votes(rated, counts),
        *_left_out(rated),
        "",
    ]
    for one in rated.models:
        lines += [*_model_lines(one, bool(rated.failing)), ""]
    lines += ["Agreement of raters", *_agreement_lines(rated.agreement)]
    if len(rated.within) > 1:
        lines += [f"  {one.origin:<18} {_coefficient(_ALPHA, one.agreement.alpha)}" for one in rated.within]  # noqa: E501  # fmt: skip
        lines += [
            f"  {one.one} and {one.other}: same on {said(one.agreement.agree)}; "
            f"{_coefficient(_KAPPA, one.agreement.kappa)}"
            for one in rated.across
        ]
    if len(rated.models) > 1:
        lines += [line for one in rated.judges for line in _judge_lines(one)]
    lines += ["", *_rater_lines(rated), *rated.notes]
    return "\n".join(lines).strip()


def _counts(rated: Rated) -> dict[str, Any]:
    """Votes, pairs and raters; `complete` are pairs with all the ratings that they need."""
    study = rated.study
    checks = {item for item, one in study.shown.items() if one.gold is not None}
    had = Counter(vote.item for vote in rated.votes if vote.item not in checks)
    outcomes = Counter(one.second_wins for one in rated.comparisons if one.text != SETTLED)
    return {
        "votes": sum(had.values()),
        "votes_on_checks": len(rated.votes) - sum(had.values()),
        "raters": len({vote.rater for vote in rated.votes}),
        "origins": dict(sorted(Counter(v.origin for v in rated.votes if v.item in had).items())),
        "pairs": len(study.shown) - len(checks),
        "ratings": study.ratings,
        "complete": sum(count >= (study.ratings or 1) for count in had.values()),
        "more_than_wanted": sum(count > (study.ratings or count) for count in had.values()),
        "settled": len(study.settled),
        "majority": {"tie": outcomes[0.5], "first": outcomes[0.0], "second": outcomes[1.0]},
        "unanimous": rated.agreement.unanimous,
    }


def _beyond_votes(rated: Rated, counts: Mapping[str, Any]) -> list[str]:
    lines = []
    if counts["votes_on_checks"]:
        lines.append(f"Attention checks: {counts['votes_on_checks']:,} votes, told below.")
    if counts["more_than_wanted"]:
        lines.append(f"{counts['more_than_wanted']:,} pairs have more ratings than wanted.")
    if counts["settled"]:
        ties = sum(one.second_wins is not None for one in rated.study.settled)
        lines.append(
            f"Settled without raters: {ties:,} pairs of equal answers (ties), "
            f"{counts['settled'] - ties:,} that could not be shown (unscored)."
        )
    dropped = sorted(rated.study.dropped.items())
    return lines + [f"{n:,} prompts left out when packed: {reason}" for reason, n in dropped if n]


# ---- one model ------------------------------------------------------------------------------


def _model_json(one: ModelRates) -> dict[str, Any]:
    rate = one.report.win_rate
    return {
        **facts_of(one.report),
        "mean": rate.value,
        "sd": one.sd,
        "votes": one.votes,
        "votes_win_rate": one.votes_rate.model_dump(),
        "position": {
            "majorities": _dumped(one.report.first_position),
            "votes": _dumped(one.votes_first),
        },
        "with_failing": one.with_failing.model_dump(),
        "without_failing": one.without_failing.model_dump(),
        "categories": {
            row.category: {k: getattr(row, k) for k in ("value", "low", "high", "n", "unscored")}
            for row in one.categories
        },
        "origins": [origin.model_dump(mode="json") for origin in one.origins],
        "origin_differences": [gap.model_dump(mode="json") for gap in one.differences],
        "judges": [_judge_json(judge) for judge in one.judges],
    }


def _model_lines(one: ModelRates, failing: bool) -> list[str]:
    rate, sd = one.report.win_rate, one.sd
    lines = text_of(one.report)
    if rate.value is not None and sd is not None:
        mean = f"{100 * rate.value:.1f} ± {100 * sd:.1f} %"
        lines.insert(2, f"mean ± sd            {mean} (standard deviation over prompts)")
    lines.append(f"by single votes      {said(one.votes_rate)}")
    if one.votes_first is not None:
        lines.append(f"votes for output 1   {said(one.votes_first)}")
    if failing:
        lines.append(f"with all raters      {said(one.with_failing)}")
        lines.append(f"without failing ones {said(one.without_failing)}")
    shown = one.categories if len(one.categories) <= CATEGORIES_SHOWN else ()
    if one.categories and not shown:
        lines.append(f"{len(one.categories):,} categories of prompts: see results.json")
    for row in shown:
        number = Estimate(**{k: getattr(row, k) for k in ("value", "low", "high", "n", "unscored")})
        lines.append(f"  {row.category:<18} {said(number)}")
    if len(one.origins) > 1:
        lines += [
            f"  by {origin.origin:<15} {said(origin.rate)}; {origin.votes:,} votes of "
            f"{origin.raters:,} raters"
            for origin in one.origins
        ]
        lines += [
            f"  {gap.one} − {gap.other}: {_points(gap.difference)}" for gap in one.differences
        ]
    lines.append(f"agreement            {_coefficient(_ALPHA, one.agreement.alpha)}")
    return lines + [line for judge in one.judges for line in _judge_lines(judge)]


# ---- beside a judge -------------------------------------------------------------------------


def _judge_json(one: BesideJudge) -> dict[str, Any]:
    table = one.between.table
    return {
        "judge": one.judge,
        "agree": one.between.agree.model_dump(),
        "kappa": one.between.kappa.model_dump(),
        "table": {
            f"raters {mine}": dict(zip((f"judge {its}" for its in OUTCOMES), row, strict=True))
            for mine, row in zip(OUTCOMES, table, strict=True)
        },
        "raters_win_rate": one.by_raters.model_dump(),
        "judge_win_rate": one.by_judge.model_dump(),
        "raters_minus_judge": one.difference.model_dump(),
    }


def _judge_lines(one: BesideJudge) -> list[str]:
    rows = [f"  {'raters':<8}" + "".join(f"{'judge ' + its:>12}" for its in OUTCOMES)]
    for mine, row in zip(OUTCOMES, one.between.table, strict=True):
        rows.append(f"  {mine:<8}" + "".join(f"{count:>12,.10g}" for count in row))
    return [
        f"Beside the judge {one.judge}: same on {said(one.between.agree)}; "
        f"{_coefficient(_KAPPA, one.between.kappa)}",
        *rows,
        f"  win rate by raters {said(one.by_raters)}, by the judge {said(one.by_judge)}",
        f"  raters − judge     {_points(one.difference)}",
    ]


# ---- raters ---------------------------------------------------------------------------------


def _agreement_lines(one: Agreement) -> list[str]:
    steps = " < ".join({1: "output 1", 0: "same", 2: "output 2"}[choice] for choice in SCALE)
    return [
        f"  Krippendorff's {_coefficient(_ALPHA, one.alpha)}",
        f"  on the scale {steps}: {_coefficient(_ALPHA, one.alpha_interval)}",
        f"  Fleiss' {_coefficient(_KAPPA, one.fleiss_kappa)}",
        f"  Cohen's {_coefficient(_KAPPA, one.cohen_kappa)}",
        f"  two ratings of a pair are the same on {said(one.agree)}",
        f"  unanimous on {one.unanimous:,} of {one.agree.n:,} pairs with two ratings or more",
    ]


def _left_out(rated: Rated) -> list[str]:
    if not rated.failing:
        return []
    names = ", ".join(rated.failing)
    if rated.without_failing:
        return [f"Left out: the votes of {names}, who failed attention checks."]
    return [f"Counted, although they failed attention checks: the votes of {names}."]


def _rater_lines(rated: Rated) -> list[str]:
    checked = [one for one in rated.raters if one.gold.n]
    lines = []
    if checked:
        lines.append(
            f"{len(rated.failing):,} of {len(checked):,} raters with attention checks fail:"
        )
        lines[-1] += f" {FAILS}."
    elif rated.raters:
        lines.append("No attention check was shown, so no rater can fail one.")
    odd: list[RaterQuality] = [one for one in rated.raters if one.fails or one.notes]
    lines += [f"  rater {one.rater}: {'; '.join(filter(None, (one.fails, *one.notes)))}" for one in odd]  # noqa: E501  # fmt: skip
    if any(note.startswith("hasty") for one in odd for note in one.notes):
        lines.append(f"Hasty: {HASTY}.")
    if any(note.startswith("leans") for one in odd for note in one.notes):
        lines.append(f"Leans: {LEANS}.")
    return lines


def _coefficient(symbol: str, number: Estimate) -> str:
    note = f" ({number.note})" if number.note else ""
    lost = f", {number.unscored:,} unscored" if number.unscored else ""
    if number.value is None:
        return f"{symbol} undefined{note}"
    return f"{symbol} {number.value:.3f} [{number.low:.3f}, {number.high:.3f}]  n {number.n:,}{lost}{note}"  # noqa: E501  # fmt: skip


def _points(number: Estimate) -> str:
    """A difference of two shares, in percentage points."""
    if number.value is None or number.low is None or number.high is None:
        return f"undefined ({number.note})"
    lost = f", {number.unscored:,} unscored" if number.unscored else ""
    value, low, high = (100 * part for part in (number.value, number.low, number.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]  n {number.n:,}{lost}"


def _dumped(number: Estimate | None) -> dict[str, Any] | None:
    return None if number is None else number.model_dump()


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
