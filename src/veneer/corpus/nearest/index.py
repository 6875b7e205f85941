"""N-gram numbers and inverted lists of two lists of texts.

Texts are numbered references first, then queries; where queries are compared with each other the
two are the same texts. An n-gram is *shared* when it stands in a reference and in some query that
is another text. Only shared n-grams get numbers: no other can match, and in real data most longer
ones are met once. An n-gram is known by the numbers of the two (n-1)-grams it consists of, so that
equality is exact, and one with a part that is not shared need not be looked up.

Memory: afterwards 8 bytes for each distinct shared n-gram of a text (its list), and another 8 of
a reference (the inverted list), so at most 32 bytes a query token and 64 a reference token over
the four orders; real texts come to about half of that, as longer n-grams are seldom shared.
While one order is built, 12 bytes more a token and up to 24 for each distinct n-gram of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veneer.corpus.nearest.compiled import compiled
from veneer.corpus.nearest.tokens import tokenised
from veneer.errors import InputError

ORDERS = 4
LONGEST = (1 << 21) - 1
"""Tokens of a text: three counts of up to so much share one machine word."""


@dataclass(frozen=True)
class Lists:
    """Shared n-grams of one order.

    The n-grams of text t are ids[begins[t]:begins[t + 1]], and stand in it counts[...] times; the
    references of n-gram i are texts[starts[i]:starts[i + 1]], in order, times[...] times in each.
    """

    begins: np.ndarray  # (texts + 1,) int64
    ids: np.ndarray  # int32
    counts: np.ndarray  # int32
    starts: np.ndarray  # (n-grams + 1,) int64
    texts: np.ndarray  # int32
    times: np.ndarray  # int32


@dataclass(frozen=True)
class Index:
    """lengths: (texts,) in tokens; orders: `Lists` of 1- to 4-grams; queries begin at `first`."""

    lengths: np.ndarray
    orders: tuple[Lists, ...]
    references: int
    first: int


def indexed(queries: Sequence[str], against: Sequence[str] | None) -> Index:
    """Index of queries against references, or, where there are none, against each other.

    Raises InputError for a text longer than `LONGEST` tokens.
    """
    texts = queries if against is None else [*against, *queries]
    references = len(queries) if against is None else len(against)
    tokens, starts, ids = tokenised(texts)
    lengths = np.diff(starts)
    if lengths.max(initial=0) > LONGEST:
        raise InputError(
            f"A text of {lengths.max():,} tokens; nearest BLEU takes up to {LONGEST:,}.",
            "Leave that text out, or cut it.",
        )
    orders = []
    numbers = tokens
    for order in range(1, ORDERS + 1):
        if order > 1:
            numbers, ids = _numbered(numbers, starts, order)
        numbers, ids = _shared(numbers, starts, references, against is None, ids)
        orders.append(Lists(*_listed(numbers, starts, references, ids)))
    return Index(lengths, tuple(orders), references, 0 if against is None else references)


@compiled
def _numbered(parts, starts, order):
    """Numbers of the n-grams at each position, from those of the (n-1)-grams; -1 for none."""
    numbers = np.full(len(parts), -1, np.int32)
    capacity = 1 << 12
    keys = np.full(capacity, -1, np.int64)
    values = np.empty(capacity, np.int32)
    used = 0
    for text in range(len(starts) - 1):
        for at in range(starts[text], starts[text + 1] - order + 1):
            if parts[at] < 0 or parts[at + 1] < 0:
                continue
            key = (np.int64(parts[at]) << 32) | np.int64(parts[at + 1])
            mark = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
            slot = np.int64((mark >> np.uint64(32)) & np.uint64(capacity - 1))
            while keys[slot] >= 0 and keys[slot] != key:
                slot = (slot + 1) & (capacity - 1)
            if keys[slot] == key:
                numbers[at] = values[slot]
                continue
            keys[slot] = key
            values[slot] = used
            numbers[at] = used
            used += 1
            if 2 * used == capacity:
                capacity *= 4
                before, held = keys, values
                keys = np.full(capacity, -1, np.int64)
                values = np.empty(capacity, np.int32)
                for old in range(len(before)):
                    if before[old] >= 0:
                        mark = np.uint64(before[old]) * np.uint64(0x9E3779B97F4A7C15)
                        slot = np.int64((mark >> np.uint64(32)) & np.uint64(capacity - 1))
                        while keys[slot] >= 0:
                            slot = (slot + 1) & (capacity - 1)
                        keys[slot] = before[old]
                        values[slot] = held[old]
    return numbers, used


@compiled
def _shared(numbers, starts, references, alike, ids):
    """The numbers with those that are not shared set to -1, and the others without gaps.

    alike: references and queries are the same texts.
    """
    first = np.full(ids, -1, np.int32)
    new = np.full(ids, -1, np.int32)
    used = 0
    for text in range(len(starts) - 1):
        for at in range(starts[text], starts[text + 1]):
            number = numbers[at]
            if number < 0:
                continue
            if first[number] < 0:
                if alike or text < references:
                    first[number] = text
            elif new[number] < 0 and first[number] != text and (alike or text >= references):
                new[number] = used
                used += 1
    kept = np.empty_like(numbers)
    for at in range(len(numbers)):
        kept[at] = new[numbers[at]] if numbers[at] >= 0 else -1
    return kept, used


@compiled
def _listed(numbers, starts, references, ids):
    """The fields of `Lists`."""
    seen = np.full(ids, -1, np.int64)  # where the list of the current text has the n-gram
    sizes = np.zeros(ids + 1, np.int64)
    begins = np.zeros(len(starts), np.int64)
    filled = 0
    for text in range(len(starts) - 1):
        begins[text] = filled
        for at in range(starts[text], starts[text + 1]):
            number = numbers[at]
            if number >= 0 and seen[number] < begins[text]:
                seen[number] = filled
                filled += 1
                if text < references:
                    sizes[number + 1] += 1
    begins[len(starts) - 1] = filled
    grams = np.empty(filled, np.int32)
    counts = np.zeros(filled, np.int32)
    seen[:] = -1
    filled = 0
    for text in range(len(starts) - 1):
        for at in range(starts[text], starts[text + 1]):
            number = numbers[at]
            if number < 0:
                continue
            if seen[number] < begins[text]:
                seen[number] = filled
                grams[filled] = number
                filled += 1
            counts[seen[number]] += 1
    heads = np.cumsum(sizes)
    free = heads.copy()
    texts = np.empty(heads[ids], np.int32)
    times = np.empty(heads[ids], np.int32)
    for text in range(references):
        for at in range(begins[text], begins[text + 1]):
            place = free[grams[at]]
            texts[place] = text
            times[place] = counts[at]
            free[grams[at]] = place + 1
    return begins, grams, counts, heads, texts, times
