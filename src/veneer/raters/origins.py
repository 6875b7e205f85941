"""One's own people beside a crowd: each origin's own rate, the difference, how far they agree.

An origin's rate is the mean over pairs of the mean of its votes (won 1, same 0.5, lost 0), not of
its majorities: a majority of three is more decided than a single vote, so that origins with
different numbers of votes a pair would seem to differ although their raters do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from veneer.intervals import Array, drawn, estimate_of, mean_of, seed_of, sums_of, undefined
from veneer.raters.agreement import Agreement, Between, agreement, between
from veneer.records import Choice, Estimate, Origin, Record, Vote


class OriginRate(Record):
    """How one origin's raters liked a model: `rate` over the pairs that they rated."""

    origin: Origin
    votes: int
    raters: int
    rate: Estimate


class OriginDifference(Record):
    """The rate by one origin less that by another, on the pairs that both rated."""

    one: Origin
    other: Origin
    difference: Estimate


class OriginAgreement(Record):
    """How raters of one origin agree with each other."""

    origin: Origin
    agreement: Agreement


class AcrossOrigins(Record):
    """How raters of two origins agree with each other on the pairs that both rated."""

    one: Origin
    other: Origin
    agreement: Between


def origin_rates(
    votes: Sequence[Vote], mine: Mapping[str, Choice], seed: int = 0
) -> tuple[tuple[OriginRate, ...], tuple[OriginDifference, ...]]:
    """A model's rate by each origin, and the differences between origins.

    Args:
        votes: on pairs of that model.
        mine: which output of each pair is the model's, 1 or 2; all pairs, voted on or not.
        seed: of the bootstrap, beside the items' names.
    """
    values: dict[Origin, dict[str, list[float]]] = {}
    people: dict[Origin, set[str]] = {}
    for vote in votes:
        value = 0.5 if vote.choice == 0 else float(vote.choice == mine[vote.item])
        values.setdefault(vote.origin, {}).setdefault(vote.item, []).append(value)
        people.setdefault(vote.origin, set()).add(vote.rater)
    rates, differences = [], []
    for origin in sorted(values):
        items = sorted(values[origin])
        means = np.array([np.mean(values[origin][item]) for item in items])
        key = seed_of(items, seed)
        rates.append(
            OriginRate(
                origin=origin,
                votes=sum(map(len, values[origin].values())),
                raters=len(people[origin]),
                rate=mean_of(means, drawn(len(items), key), len(mine) - len(items), key),
            )
        )
    for one, other in combinations(sorted(values), 2):
        both = sorted(values[one].keys() & values[other].keys())
        gaps = [np.mean(values[one][item]) - np.mean(values[other][item]) for item in both]
        found = mean_difference(np.array(gaps), both, len(mine) - len(both), seed)
        differences.append(OriginDifference(one=one, other=other, difference=found))
    return tuple(rates), tuple(differences)


def origin_agreement(
    votes: Sequence[Vote], seed: int = 0
) -> tuple[tuple[OriginAgreement, ...], tuple[AcrossOrigins, ...]]:
    """How raters agree within each origin, and across each two of them."""
    choices: dict[Origin, dict[str, dict[str, Choice]]] = {}
    for vote in votes:
        choices.setdefault(vote.origin, {}).setdefault(vote.item, {})[vote.rater] = vote.choice
    flat = {
        origin: {item: list(given.values()) for item, given in items.items()}
        for origin, items in choices.items()
    }
    return (
        tuple(
            OriginAgreement(origin=origin, agreement=agreement(choices[origin], seed=seed))
            for origin in sorted(choices)
        ),
        tuple(
            AcrossOrigins(
                one=one, other=other, agreement=between(flat[one], flat[other], seed=seed)
            )
            for one, other in combinations(sorted(choices), 2)
        ),
    )


def mean_difference(gaps: Array, items: Sequence[str], unscored: int, seed: int = 0) -> Estimate:
    """The mean of differences in −1..1 with its interval over items. Shape: gaps (n,).

    Where no item differs at all, the share that would is drawn from its Jeffreys posterior, with
    either sign.
    """
    n = len(gaps)
    if not n:
        return undefined("no item was rated by both", unscored=unscored)
    key = seed_of(items, seed)
    if not gaps.any():
        might = np.random.default_rng([*key, n]).beta(0.5, n + 0.5, 2000)
        return estimate_of(0.0, np.concatenate([might, -might]), n, unscored)
    return estimate_of(float(gaps.mean()), sums_of(drawn(n, key), gaps) / n, n, unscored)
