"""What raters preferred: their votes as verdicts, rates, agreement, and beside a judge.

Wiring of `veneer.raters` and `veneer.measure`. Votes on a pair become one `Comparison` by the
majority rule (`veneer.records.RULE`), and comparisons become what a judge's verdicts become. A
pair counts when it has all its ratings, else it is unscored with the reason. Raters who fail
attention checks are named, and each model's rate is told with and without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from veneer.findings import category_measurements
from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.rated.beside import BesideJudge, Verdicts, beside, verdicts_of
from veneer.rated.pairs import (
    Counted,
    Shown,
    Study,
    choices_of,
    comparisons_of,
    study_of,
    votes_in_order,
    which,
)
from veneer.raters.agreement import Agreement, agreement, in_order
from veneer.raters.origins import (
    AcrossOrigins,
    OriginAgreement,
    OriginDifference,
    OriginRate,
    origin_agreement,
    origin_rates,
)
from veneer.raters.packet import Packet
from veneer.raters.quality import RaterQuality, qualities
from veneer.records import (
    SECOND_WINS,
    CategoryMeasurement,
    Comparison,
    Estimate,
    PreferenceReport,
    ScoreSheet,
    Subject,
    Vote,
)


@dataclass(frozen=True)
class ModelRates:
    """How raters liked one model beside another.

    `sd` is the standard deviation over prompts, which the paper gives beside the mean (App. B).
    `votes_rate` and `votes_first` are win rate and share of output 1 over single votes, prompts
    counting alike; `report.first_position` is that of the majorities on pairs that were shown.
    """

    report: PreferenceReport
    sheets: tuple[ScoreSheet, ...]
    sd: float | None
    votes: int
    votes_rate: Estimate
    votes_first: Estimate | None
    with_failing: Estimate
    without_failing: Estimate
    categories: tuple[CategoryMeasurement, ...]
    agreement: Agreement
    origins: tuple[OriginRate, ...]
    differences: tuple[OriginDifference, ...]
    judges: tuple[BesideJudge, ...]


@dataclass(frozen=True)
class Rated:
    """All that votes say. `votes` are all of them, in the order of pairs and raters.

    With `without_failing`, every number but those of `raters` leaves out the raters in `failing`.
    """

    study: Study
    votes: tuple[Vote, ...]
    comparisons: tuple[Comparison, ...]
    models: tuple[ModelRates, ...]
    agreement: Agreement
    within: tuple[OriginAgreement, ...]
    across: tuple[AcrossOrigins, ...]
    judges: tuple[BesideJudge, ...]
    raters: tuple[RaterQuality, ...]
    failing: tuple[str, ...]
    without_failing: bool
    partial: bool
    notes: tuple[str, ...]


def rated(
    packet: Packet,
    votes: Sequence[Vote],
    *,
    judge: Sequence[Comparison] = (),
    without_failing: bool = False,
    partial: bool = False,
    seed: int = 0,
) -> Rated:
    """What votes on a packet say.

    Args:
        packet: what was shown, and the key.
        votes: all of them, those on attention checks too, in any order.
        judge: a judge's verdicts on the same prompts and models, in either or both orders.
        without_failing: leave out raters who fail attention checks (`quality.FAILS`). A pair
            that had all its ratings then counts with those that are left.
        partial: count pairs that do not have all their ratings yet.
        seed: of the bootstraps.

    Raises:
        InputError: a vote on what the packet does not show, two votes of a rater on one pair, or
            a judge that judged none of the pairs.
    """
    study = study_of(packet)
    verdicts, notes = verdicts_of(study, judge)
    study = replace(study, notes=notes)
    return summed(
        study, votes, verdicts, without_failing=without_failing, partial=partial, seed=seed
    )


def summed(
    study: Study,
    votes: Sequence[Vote],
    verdicts: Verdicts,
    *,
    without_failing: bool = False,
    partial: bool = False,
    seed: int = 0,
) -> Rated:
    """What votes on any study say; arguments as in `rated`.

    Raises:
        InputError: as in `rated`.
    """
    votes = votes_in_order(study, votes)
    gold = {item: one.gold for item, one in study.shown.items() if one.gold is not None}
    raters = qualities(votes, gold, sides_drawn=study.sides_drawn)
    failing = {one.rater for one in raters if one.fails}
    on_study = [vote for vote in votes if vote.item not in gold]
    trusted = [vote for vote in on_study if vote.rater not in failing]
    kept = trusted if without_failing else on_study
    every, left = (comparisons_of(study, on_study, some, partial) for some in (on_study, trusted))
    counted = left if without_failing else every
    models = [
        _model(study, me, foe, items, kept, (counted, every, left), verdicts, seed)
        for (me, foe), items in study.by_models.items()
    ]
    if len({foe for _, foe in study.by_models}) > 1:
        models = [_apart(one) for one in models]
    within, across = origin_agreement(kept, seed)
    return Rated(
        study=study,
        votes=tuple(votes),
        comparisons=tuple(counted.all),
        models=tuple(models),
        agreement=agreement(choices_of(kept), seed=seed),
        within=within,
        across=across,
        judges=beside(study, counted, list(counted.by_item), verdicts, seed),
        raters=tuple(raters),
        failing=tuple(in_order(list(failing))),
        without_failing=without_failing,
        partial=partial,
        notes=study.notes,
    )


def _model(
    study: Study,
    me: str,
    foe: str,
    items: Sequence[str],
    votes: Sequence[Vote],
    ways: tuple[Counted, Counted, Counted],
    verdicts: Verdicts,
    seed: int,
) -> ModelRates:
    """`ways`: comparisons as they count, with every rater, and without those who fail."""
    subject = study.subjects.get(me) or Subject(model=me, role="student")
    known = study.subjects.get(foe)
    against = "teacher" if known and known.role == "teacher" else foe
    counted = ways[0]
    looked = [counted.by_item[item] for item in items]
    settled = [one for one in counted.settled if {one.first, one.second} == {me, foe}]
    mine = {item: which(study.shown[item], me) for item in items}
    own = [vote for vote in votes if vote.item in mine]
    shown = {item: study.shown[item] for item in items}

    def told(rows: Sequence[Comparison], bare: bool = True) -> PreferenceReport:
        rows = [one.model_copy(update={"lengths": None}) for one in rows] if bare else rows
        return preference_report(rows, subject, against, me=me, seed=seed)

    whole = told([*looked, *settled], bare=bool(settled))
    if settled and looked:
        whole = _as_looked_at(whole, told(looked, bare=False), len(settled))
    alone = told([_alone(shown[vote.item], vote) for vote in own])
    rates = [told([*(way.by_item[item] for item in items), *settled]).win_rate for way in ways[1:]]
    sheets = preference_sheets_of([*looked, *settled], subject, against, me=me)
    values = [value for value in sheets[0].values if value is not None]
    by_origin, differences = origin_rates(own, mine, seed)
    agreed = agreement(choices_of(own, items), seed=seed)
    return ModelRates(
        report=whole.model_copy(update={"agreement": agreed.alpha}),
        sheets=tuple(sheets),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        votes=len(own),
        votes_rate=alone.win_rate,
        votes_first=alone.first_position,
        with_failing=rates[0],
        without_failing=rates[1],
        categories=tuple(category_measurements(sheets[:1])),
        agreement=agreed,
        origins=by_origin,
        differences=differences,
        judges=beside(study, counted, items, verdicts, seed),
    )


def _as_looked_at(
    whole: PreferenceReport, looked: PreferenceReport, settled: int
) -> PreferenceReport:
    """Position and length as in the pairs that were shown: nobody saw the settled ones."""
    changes: dict[str, Any] = {"first_position": looked.first_position, "biases": looked.biases}
    for name in ("length_controlled", "length_effect"):
        number = getattr(looked, name)
        if number is not None:
            update = {"unscored": number.unscored + settled}
            changes[name] = number.model_copy(update=update)
    return whole.model_copy(update=changes)


def _alone(one: Shown, vote: Vote) -> Comparison:
    wins = SECOND_WINS[vote.choice]
    return Comparison(prompt=one.prompt, first=one.first, second=one.second, second_wins=wins)


def _apart(model: ModelRates) -> ModelRates:
    """With several opponents, each is a measure of its own."""
    measure = f"preference-vs-{model.report.against}"
    sheets = [sheet.model_copy(update={"measure": measure}) for sheet in model.sheets]
    return replace(model, sheets=tuple(sheets))
