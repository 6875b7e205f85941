"""Split long conversations into parts that fit a limit, without losing a turn.

A conversation is cut only where a new question begins, so a question and its answers always stay
together and every part begins with a question. System turns at the head of a conversation hold
for all of it and are repeated at the head of every part; a later one goes with the question
after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from veneer.corpus.rows import batch_of

if TYPE_CHECKING:
    import pyarrow as pa

TOO_LONG = "longer than the limit"
SPLIT = "a part split off a longer conversation"

Turn = dict[str, str]
Measure = Literal["words"] | Callable[[str], int]


def split(batch: pa.RecordBatch, limit: int, measure: Measure = "words") -> pa.RecordBatch:
    """The batch with each kept row of more than `limit` as several rows, one after another.

    limit: the most that the turns of a part add up to, repeated system turns included; markers
        that a chat format puts between turns are not counted.
    measure: "words" (split at white space), or a function that counts the tokens of a text.

    A question with its answers that is longer than the limit by itself stays whole, as a part of
    its own, noted as `TOO_LONG`. The first part keeps the row's origin, what was trimmed off it
    and its notes; the k-th has "#k" after the origin and the note `SPLIT`. Rejected rows stay as
    they are.
    """
    size = _words if measure == "words" else measure
    rows: list[dict[str, Any]] = []
    for row in batch.to_pylist():
        if row["reason"]:
            rows.append(row)
            continue
        for number, (turns, fits) in enumerate(parts(row["messages"], limit, size), 1):
            part = row | {"messages": turns}
            if number > 1:
                fresh = {"notes": [SPLIT], "trimmed": [], "asked": "", "starts": ""}
                part |= {"origin": f"{row['origin']}#{number}"} | fresh
            if not fits:
                part["notes"] = [*part["notes"], TOO_LONG]
            rows.append(part)
    return batch_of(rows)


def parts(
    turns: Sequence[Turn], limit: int, size: Callable[[str], int]
) -> list[tuple[list[Turn], bool]]:
    """Parts of a conversation in order, at least one, and whether each fits the limit.

    Without the repeated system turns, the parts one after another are the conversation.
    """
    head, exchanges = exchanges_of(turns)
    start = sum(size(turn["content"]) for turn in head)
    found: list[tuple[list[Turn], bool]] = []
    part: list[Turn] = []
    filled = start
    for exchange in exchanges:
        length = sum(size(turn["content"]) for turn in exchange)
        if part and filled + length > limit:
            found.append((head + part, filled <= limit))
            part, filled = [], start
        part = part + exchange
        filled += length
    found.append((head + part, filled <= limit))
    return found


def exchanges_of(turns: Sequence[Turn]) -> tuple[list[Turn], list[list[Turn]]]:
    """System turns at the head; then each run of questions with all that follows up to the next.

    A system turn right before a question belongs to that question.
    """
    first = next((k for k, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    exchanges: list[list[Turn]] = []
    opening = True  # inside what opens an exchange: system turns and questions
    for turn in turns[first:]:
        opens = turn["role"] != "assistant"
        if not exchanges or (opens and not opening):
            exchanges.append([])
        exchanges[-1].append(turn)
        opening = opens
    return list(turns[:first]), exchanges


def _words(text: str) -> int:
    return len(text.split())
