"""Raters beside a judge on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from veneer.errors import InputError
from veneer.intervals import drawn, mean_of, seed_of
from veneer.measure.preference import judged
from veneer.rated.pairs import Counted, Shown, Study
from veneer.raters.agreement import Between, between
from veneer.raters.origins import mean_difference
from veneer.records import Choice, Comparison, Estimate

Verdicts = Mapping[str, Mapping[str, float | None]]
"""How far each pair's second output won, by judge and item."""


@dataclass(frozen=True)
class BesideJudge:
    """Raters' majority and a judge on the same pairs: won (1), tied (0) or lost (2) by the model.

    Rates are over the pairs that both decided; `difference` is the raters' less the judge's.
    """

    judge: str
    between: Between
    by_raters: Estimate
    by_judge: Estimate
    difference: Estimate


def beside(
    study: Study, counted: Counted, items: Sequence[str], verdicts: Verdicts, seed: int
) -> tuple[BesideJudge, ...]:
    """Each judge beside the raters on these pairs, those that either left undecided unscored."""
    found = []
    for judge, values in sorted(verdicts.items()):
        people, machine = {}, {}
        for item in items:
            one = study.shown[item]
            first_is_me = study.sides(one.first, one.second)[0] == one.first
            people[item] = _won(counted.by_item[item].second_wins, first_is_me)
            machine[item] = _won(values.get(item), first_is_me)
        both = [i for i in sorted(items) if people[i] is not None and machine[i] is not None]
        if not any(item in values for item in items):
            continue
        won = np.array([(people[item], machine[item]) for item in both], dtype=float).reshape(-1, 2)
        key, missing = seed_of(both, seed), len(items) - len(both)
        rates = [mean_of(side, drawn(len(both), key), missing, key) for side in won.T]
        found.append(
            BesideJudge(
                judge=judge,
                between=between(_outcomes(people), _outcomes(machine), seed=seed),
                by_raters=rates[0],
                by_judge=rates[1],
                difference=mean_difference(won[:, 0] - won[:, 1], both, missing, seed),
            )
        )
    return tuple(found)


def _won(second_wins: float | None, first_is_me: bool) -> float | None:
    return None if second_wins is None else 1 - second_wins if first_is_me else second_wins


def _outcomes(won: Mapping[str, float | None]) -> dict[str, list[Choice]]:
    """Won 1, tied 0, lost 2; a preference in between goes to the nearer side of a tie."""
    found: dict[str, list[Choice]] = {}
    for item, value in won.items():
        outcome: Choice = 0 if value == 0.5 else 1 if value is not None and value > 0.5 else 2
        found[item] = [] if value is None else [outcome]
    return found


def verdicts_of(study: Study, judge: Sequence[Comparison]) -> tuple[Verdicts, tuple[str, ...]]:
    """A judge's verdicts on the study's pairs, and what to say of those on others.

    Models go by the names of the study, or by their own; "teacher" is the study's.

    Raises:
        InputError: no verdict is on a pair that was shown; two are on one pair in one order, as
            where a run judged the same model of several seeds.
    """
    names = _names(study)
    shown: dict[tuple[str, frozenset[str]], list[Shown]] = {}
    for pair in study.shown.values():
        if pair.gold is None:
            shown.setdefault((pair.prompt, frozenset((pair.first, pair.second))), []).append(pair)
    told = []
    for one in judge:
        first, second = (names.get(name, name) for name in (one.first, one.second))
        told.append(one.model_copy(update={"first": first, "second": second}))
    on_pairs = [one for one in told if (one.prompt, frozenset((one.first, one.second))) in shown]
    if judge and not on_pairs:
        raise InputError(
            "The judge's verdicts are on none of the pairs that raters were shown.",
            "Give a judge's comparisons.jsonl on the same prompts and models.",
        )
    _check_once(on_pairs)

    def key(one: Comparison) -> tuple[str, str, str]:
        return one.judge or "judge", *study.sides(one.first, one.second)

    found: dict[str, dict[str, float | None]] = {}
    for (name, me, foe), group in groupby(sorted(on_pairs, key=key), key):
        for verdict in judged(list(group), me)[0]:
            for pair in shown[verdict.prompt, frozenset((me, foe))]:
                value = _won(verdict.value, pair.first == me)
                found.setdefault(name, {})[pair.item] = value
    left = len(told) - len(on_pairs)
    note = f"{left:,} verdicts of the judge are on pairs that raters were not shown"
    return found, (note,) * bool(left)


def _check_once(verdicts: Sequence[Comparison]) -> None:
    seen = set()
    for one in verdicts:
        verdict = (one.judge, one.template, one.prompt, one.first, one.second, one.attempt)
        if verdict in seen:
            raise InputError(
                f"Two verdicts of the judge are on {one.first} and {one.second}, in that order, "
                f"on one prompt ({one.prompt[:60]!r}): they are on different answers.",
                "Give the judge's comparisons.jsonl on the answers that raters were shown alone.",
            )
        seen.add(verdict)


def _names(study: Study) -> dict[str, str]:
    """The study's name of each model, by all names that mean one of them alone."""
    claims: dict[str, set[str]] = {}
    for name, who in study.subjects.items():
        for said in {who.model, "teacher" if who.role == "teacher" else name}:
            claims.setdefault(said, set()).add(name)
    alone = {said: names.pop() for said, names in claims.items() if len(names) == 1}
    return alone | {name: name for name in study.subjects}
