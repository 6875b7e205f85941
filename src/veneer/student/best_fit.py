"""Best-fit packing: whole dialogues side by side in blocks, as few of them cut as can be.

Ding et al. 2024, "Fewer Truncations Improve Language Modeling" (arXiv:2404.10830), cut what is
longer than a block and place the pieces by best-fit decreasing over all the data. That order is
by length, so the first blocks would hold the longest dialogues and a small data amount would be
other data than a large one. Here a block begins with the first piece that is not placed yet and
is filled with the largest of the next `window` pieces that fits, again and again: no piece comes
forward by more than `window` places, and the first blocks depend on nothing further ahead.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW = 128
"""Pieces to choose among. On 3,778 real dialogues (mean 326 tokens, blocks of 2,048) windows of
1, 32, 128 and 1,024 fill 81, 98.4, 99.4 and 99.9 % of the places. The mean length of what is in
the first twentieth of the blocks, 312 tokens over all of them, is 350, 350, 328 and 767: a wide
window makes a small data amount one of long dialogues."""


@dataclass(frozen=True)
class Plan:
    """Where every piece goes; one entry a piece, in the order of the blocks.

    Shapes: all (pieces,), int64. `source` is the piece's first token in the stream of all
    dialogues, `length` its tokens, `block` and `column` where its first token goes. `first` is
    True where a dialogue begins and False where one that was cut goes on. `blocks` is how many
    blocks there are, `cut` how many dialogues were longer than a block.
    """

    source: np.ndarray
    length: np.ndarray
    block: np.ndarray
    column: np.ndarray
    first: np.ndarray
    blocks: int
    cut: int


def best_fit(lengths: np.ndarray, block: int, window: int = WINDOW) -> Plan:
    """Place dialogues of these lengths (tokens, in training order) into blocks of `block`.

    A dialogue longer than a block is cut every `block` tokens; the pieces stand in the order of
    their dialogue, each at the dialogue's place. Time O(n log window), memory O(n).
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    source, length, first = _pieces(lengths, block)
    order, of_block = _fill(length.tolist(), block, window)
    placed = length[order]
    blocks = int(of_block[-1]) + 1 if len(of_block) else 0
    before = np.cumsum(placed) - placed
    opens = np.searchsorted(of_block, np.arange(blocks))
    return Plan(
        source=source[order],
        length=placed,
        block=of_block,
        column=before - before[opens][of_block],
        first=first[order],
        blocks=blocks,
        cut=int((lengths > block).sum()),
    )


def _pieces(lengths: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each dialogue as pieces of at most `block` tokens: where they begin, how long, which open."""
    count = -(-lengths // block)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    begins = np.repeat(np.cumsum(lengths) - lengths, count) + number * block
    left = np.repeat(lengths, count) - number * block
    return begins, np.minimum(left, block), number == 0


def _fill(lengths: list[int], block: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The pieces in the order of the blocks, and the block of each.

    Pieces that wait stand in one queue a length, the earliest first; `waiting` holds the lengths
    whose queue is not empty, in order, so that the largest that fits is found by bisection.
    """
    queues: list[deque[int]] = [deque() for _ in range(block + 1)]
    waiting: list[int] = []
    placed = bytearray(len(lengths))
    order, of_block = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    done = seen = oldest = blocks = 0
    while done < len(lengths):
        room = block
        while room:
            while oldest < len(lengths) and placed[oldest]:
                oldest += 1
            while seen < min(len(lengths), oldest + window):
                if not queues[lengths[seen]]:
                    insort(waiting, lengths[seen])
                queues[lengths[seen]].append(seen)
                seen += 1
            at = bisect_right(waiting, room) - 1
            if at < 0:
                break
            # The oldest piece opens a block: it also stands first in the queue of its length.
            length = lengths[oldest] if room == block else waiting[at]
            queue = queues[length]
            piece = queue.popleft()
            if not queue:
                waiting.pop(bisect_right(waiting, length) - 1)
            placed[piece] = 1
            order[done], of_block[done] = piece, blocks
            room -= length
            done += 1
        blocks += 1
    return order, of_block
