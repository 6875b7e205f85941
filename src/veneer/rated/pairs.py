"""What was voted on, and votes as one comparison a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from veneer.errors import InputError
from veneer.raters.agreement import in_order
from veneer.raters.packet import Packet
from veneer.records import (
    RATERS,
    SECOND_WINS,
    Choice,
    Comparison,
    Settled,
    Subject,
    Vote,
    majority,
)

SETTLED = "settled without raters"
"""The text of a comparison that nobody looked at."""


@dataclass(frozen=True)
class Shown:
    """A pair as it was shown. `lengths` in characters; `gold`: the right choice of a check."""

    item: str
    prompt: str
    first: str
    second: str
    lengths: tuple[int, int] | None = None
    category: str = ""
    gold: Choice | None = None


@dataclass(frozen=True)
class Study:
    """What was voted on. `made_of` is what its results are known by.

    `against`: the model that the others are compared with, "" where each pair has its own.
    `ratings`: raters that a pair needs to count, None where any number will do.
    """

    title: str
    made_of: Mapping[str, Any]
    shown: Mapping[str, Shown]
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    against: str = ""
    ratings: int | None = None
    settled: tuple[Settled, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def sides(self, first: str, second: str) -> tuple[str, str]:
        """(whose rates are told, the opponent) of two models.

        Where neither is `against`, the second model of their first pair.
        """
        if self.against in (first, second):
            return (second if first == self.against else first), self.against
        return self._met[frozenset((first, second))]

    @cached_property
    def by_models(self) -> dict[tuple[str, str], list[str]]:
        """Items by `sides`, without attention checks."""
        found: dict[tuple[str, str], list[str]] = {}
        for one in self.shown.values():
            if one.gold is None:
                found.setdefault(self.sides(one.first, one.second), []).append(one.item)
        for done in self.settled:
            found.setdefault(self.sides(done.first, done.second), [])
        return dict(sorted(found.items()))

    @property
    def sides_drawn(self) -> bool:
        """Whether each model was shown on either side."""
        return all(
            len({self.shown[item].first for item in items}) > 1
            for items in self.by_models.values()
            if items
        )

    @cached_property
    def _met(self) -> dict[frozenset[str], tuple[str, str]]:
        met: dict[frozenset[str], tuple[str, str]] = {}
        pairs = [(one.first, one.second) for one in self.shown.values()]
        for first, second in (*pairs, *((one.first, one.second) for one in self.settled)):
            met.setdefault(frozenset((first, second)), (second, first))
        return met


def study_of(packet: Packet) -> Study:
    """A packet as what was voted on."""
    shown = {}
    for pair in packet.pairs:
        key = packet.keys[pair.item]
        lengths = (len(pair.output_1), len(pair.output_2))
        shown[pair.item] = Shown(
            pair.item, pair.prompt, key.first, key.second, lengths, key.category, key.gold
        )
    facts = packet.facts
    return Study(
        title=facts.title,
        made_of={"packet": facts.digest},
        shown=shown,
        subjects=facts.subjects,
        against=facts.against,
        ratings=facts.ratings,
        settled=packet.settled,
        dropped=facts.dropped,
    )


@dataclass(frozen=True)
class Counted:
    """One comparison a pair that was shown, by item; and what was settled without raters."""

    by_item: Mapping[str, Comparison]
    settled: tuple[Comparison, ...]

    @property
    def all(self) -> list[Comparison]:
        """Those and these."""
        return [*self.by_item.values(), *self.settled]


def comparisons_of(
    study: Study, given: Sequence[Vote], kept: Sequence[Vote], partial: bool
) -> Counted:
    """Each pair's majority of the votes kept, if enough were given."""
    had, have = choices_of(given), choices_of(kept)
    found = {}
    for item, one in study.shown.items():
        if one.gold is not None:
            continue
        choices = list(have.get(item, {}).values())
        winner, reason, votes = majority(choices), "", len(had.get(item, {}))
        if study.ratings and votes < study.ratings and not (partial and votes):
            winner, reason = None, f"{votes} of {study.ratings} ratings"
        elif winner is None:
            reason = "only raters who fail attention checks voted" if votes else "nobody voted"
        found[item] = Comparison(
            prompt=one.prompt,
            first=one.first,
            second=one.second,
            second_wins=None if winner is None else SECOND_WINS[winner],
            reason=reason,
            lengths=one.lengths,
            category=one.category,
            judge=RATERS,
            text="votes " + " ".join(map(str, choices)) if choices else "",
        )
    settled = (Comparison(**one.model_dump(), judge=RATERS, text=SETTLED) for one in study.settled)
    return Counted(found, tuple(settled))


def votes_in_order(study: Study, votes: Sequence[Vote]) -> list[Vote]:
    """Votes in the order of pairs and raters, whatever theirs was.

    Raises:
        InputError: a vote on what was not shown.
    """
    place = {item: at for at, item in enumerate(study.shown)}
    for vote in votes:
        if vote.item not in place:
            raise InputError(
                f"Rater {vote.rater} voted on {vote.item!r}, which is not in what was shown.",
                "Give the packet that these votes are on.",
            )
    people = {rater: at for at, rater in enumerate(in_order(list({v.rater for v in votes})))}
    return sorted(votes, key=lambda vote: (place[vote.item], people[vote.rater]))


def which(one: Shown, me: str) -> Choice:
    """Which output is this model's."""
    return 1 if one.first == me else 2


def choices_of(votes: Sequence[Vote], items: Sequence[str] = ()) -> dict[str, dict[str, Choice]]:
    """Choices by item and rater; `items` are there even where nobody voted."""
    found: dict[str, dict[str, Choice]] = {item: {} for item in items}
    for vote in votes:
        found.setdefault(vote.item, {})[vote.rater] = vote.choice
    return found
