"""What a judge's answer says: read strictly, one rule for each template, and never guessed.

    vicuna        the first line holds exactly two numbers, commas count as spaces (Chiang et al.
                  2023); equal ones are a draw
    pair-v2       exactly one of [[A]], [[B]] and [[C]] occurs, once or more often. (FastChat's
                  own parser takes the first of this list that occurs, so that a judge who
                  repeats his instructions finds for A)
    alpaca-eval   a Python list of {'model': …, 'rank': …} that ranks model_1 and model_2 first
                  and second, alone or in a code fence. (alpaca_eval looks at model_1's rank
                  only)

Only what the judge wrote is read. An answer of his that was cut off counts only where its verdict
stands before its end in any case: on vicuna's first line.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from veneer.measure.recorded.reviews import parse_scores
from veneer.models.asking import Reply

DRAW = 0.5
LONGEST_RANKING = 2_000
"""Characters of a list of two models: whatever is longer is no such list."""

REFUSED = "the judge refused"
CUT_OFF = "the judge's answer was cut off before its verdict"
FILTERED = "the judge's answer was stopped by a content filter"
EMPTY = "the judge's answer was empty"
MALFORMED = "no answer could be read from the judge's endpoint"
FAILED = "the judge could not be asked"
UNREADABLE = "the judge's answer holds no verdict in the required form"
SEVERAL = "the judge's answer holds several different verdicts"

ENDED: Mapping[str, str] = {
    "refused": REFUSED,
    "filtered": FILTERED,
    "truncated": CUT_OFF,
    "empty": EMPTY,
    "malformed": MALFORMED,
    "failed": FAILED,
}

_MARK = re.compile(r"\[\[([ABC])\]\]")
_FENCED = re.compile(r"```(?:python|json)?[ \t]*\n(.*)\n```", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """How far the second answer won, as `Comparison.second_wins`; None with the reason."""

    second_wins: float | None
    reason: str = ""
    scores: tuple[float, float] | None = None


def read_verdict(template: str, reply: Reply) -> Verdict:
    """The verdict in a judge's reply to a filled template."""
    early = template == "vicuna" and reply.outcome == "truncated" and "\n" in reply.text
    if reply.outcome != "answered" and not early:
        return Verdict(None, ENDED[reply.outcome])
    return READERS[template](reply.text)


def read_scores(text: str) -> Verdict:
    """Two ratings on the first line."""
    scores = parse_scores(text)
    if scores is None:
        return Verdict(None, UNREADABLE)
    first, second = scores
    return Verdict(DRAW if first == second else float(second > first), scores=scores)


def read_mark(text: str) -> Verdict:
    """[[A]], [[B]] or [[C]] for a draw."""
    found = set(_MARK.findall(text))
    if len(found) != 1:
        return Verdict(None, SEVERAL if found else UNREADABLE)
    return Verdict({"A": 0.0, "B": 1.0, "C": DRAW}[found.pop()])


def read_ranking(text: str) -> Verdict:
    """The list of two ranked models. It is read as a literal, and nothing in it is run."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    text = fenced[1].strip() if fenced else text
    if len(text) > LONGEST_RANKING:
        return Verdict(None, UNREADABLE)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the parser, about odd literals
            given = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Verdict(None, UNREADABLE)
    ranks = {}
    if isinstance(given, list | tuple) and len(given) == 2:
        for entry in given:
            if isinstance(entry, dict) and isinstance(entry.get("model"), str):
                ranks[entry["model"]] = entry.get("rank")
    whole = all(type(rank) is int for rank in ranks.values())
    if ranks.keys() != {"model_1", "model_2"} or not whole or set(ranks.values()) != {1, 2}:
        return Verdict(None, UNREADABLE)
    return Verdict(float(ranks["model_2"] == 1))


READERS: Mapping[str, Callable[[str], Verdict]] = {
    "vicuna": read_scores,
    "pair-v2": read_mark,
    "alpaca-eval": read_ranking,
}
