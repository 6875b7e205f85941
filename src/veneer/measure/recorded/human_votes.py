"""Votes of human raters on pairs of answers, and verdicts of a judge on the same pairs.

Shapes read (PandaLM, Wang et al. 2023):
- votes `{idx, cmp_key: "A_B", instruction, input, response1, response2, annotator1, annotator2,
  …}`: each rater says 1 or 2 for the better response, 0 for a tie;
- a judge's verdicts `{idx, gpt_result}`: "1", "2" or "Tie"; anything else is no verdict. Who is
  who is said by the votes on the same idx; without any votes at hand, the two are "response 1"
  and "response 2".

An item goes to the majority by `veneer.records.RULE`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row
from veneer.records import RATERS, SECOND_WINS, Choice, Comparison, majority

UNNAMED = ("response 1", "response 2")
_RATER = re.compile(r"(?:annotator|rater)_?\d+")
_CHOICES: dict[str, Choice] = {"0": 0, "1": 1, "2": 2}
_RESULTS = {"1": 0.0, "2": 1.0, "tie": 0.5}


@dataclass(frozen=True)
class Pair:
    """An item that was voted on: its prompt, the two models, the lengths of their responses."""

    prompt: str
    first: str
    second: str
    lengths: tuple[int, int] | None
    category: str = ""


@dataclass(frozen=True)
class Votes:
    """A file of votes: `comparisons[k]` is the majority of `votes[k]`; `pairs` by idx."""

    comparisons: tuple[Comparison, ...]
    votes: tuple[tuple[Choice, ...], ...]
    pairs: Mapping[str, Pair]


def has_votes(fields: Mapping[str, Any]) -> bool:
    """Whether a row holds votes of raters."""
    return "cmp_key" in fields and any(_RATER.fullmatch(name) for name in fields)


def has_result(fields: Mapping[str, Any]) -> bool:
    """Whether a row holds a judge's verdict on an item that others voted on."""
    return "gpt_result" in fields and "idx" in fields


def read_votes(path: Path, rows: Sequence[Row]) -> Votes:
    """The majority verdict on each item.

    Raises:
        InputError: a row without votes, or whose cmp_key does not name two models.
    """
    found, votes, pairs = [], [], {}
    for row in rows:
        if not has_votes(row.fields):
            raise InputError(
                f"{path}, {row.at}: holds no votes, unlike the rows before it.",
                'Each row needs "cmp_key" and "annotator1", "annotator2", …',
            )
        pair = _pair(path, row)
        given = tuple(votes_of(row.fields).values())
        winner = majority(given)
        found.append(
            Comparison(
                prompt=pair.prompt,
                first=pair.first,
                second=pair.second,
                second_wins=None if winner is None else SECOND_WINS[winner],
                reason="no rater gave 0, 1 or 2" if winner is None else "",
                lengths=pair.lengths,
                category=pair.category,
                judge=RATERS,
                text="votes " + " ".join(map(str, given)) if given else "",
            )
        )
        votes.append(given)
        pairs[str(row.fields.get("idx"))] = pair
    return Votes(tuple(found), tuple(votes), pairs)


def read_results(
    path: Path, rows: Sequence[Row], pairs: Mapping[str, Pair]
) -> tuple[Comparison, ...]:
    """A judge's verdicts on items known by `idx`.

    Raises:
        InputError: there are votes, but not on this item.
    """
    found = []
    for row in rows:
        number = str(row.fields.get("idx"))
        pair = pairs.get(number)
        if not pairs:
            pair = Pair(f"item {number}", *UNNAMED, None)
        if pair is None:
            raise InputError(
                f"{path}, {row.at}: idx {number!r} has no votes, so its two models are unknown.",
                "Give the votes on the same items (with cmp_key) beside it, or this file alone.",
            )
        given = row.fields.get("gpt_result")
        wins = _RESULTS.get(str(given).strip().lower())
        found.append(
            Comparison(
                prompt=pair.prompt,
                first=pair.first,
                second=pair.second,
                second_wins=wins,
                reason="" if wins is not None else f"the judge's result is {given!r}",
                lengths=pair.lengths,
                category=pair.category,
                judge="gpt_result",
                text=str(row.fields.get("gpt_reason") or ""),
            )
        )
    return tuple(found)


def votes_of(fields: Mapping[str, Any]) -> dict[str, Choice]:
    """The votes of a row by the rater's field; what is not 0, 1 or 2 is no vote."""
    return {
        name: vote
        for name in sorted(fields)
        if _RATER.fullmatch(name) and (vote := _vote(fields[name])) is not None
    }


def _vote(value: Any) -> Choice | None:
    return _CHOICES.get(str(value).strip())


def _pair(path: Path, row: Row) -> Pair:
    fields = row.fields
    models = str(fields["cmp_key"]).split("_")
    if len(models) != 2 or not all(models):
        raise InputError(
            f"{path}, {row.at}: cmp_key {fields['cmp_key']!r} does not name two models.",
            'Write it as "FIRST_SECOND", with no other underscore.',
        )
    prompt, more = str(fields.get("instruction") or ""), fields.get("input")
    if not prompt:
        prompt = f"item {fields.get('idx')}"
    elif isinstance(more, str) and more:
        prompt = f"{prompt}\n{more}"
    one, two = fields.get("response1"), fields.get("response2")
    known = isinstance(one, str) and isinstance(two, str)
    return Pair(
        prompt=prompt,
        first=models[0],
        second=models[1],
        lengths=(len(str(one)), len(str(two))) if known else None,
        category=str(fields.get("motivation_app") or ""),
    )
