"""Texts to token ids, by sacrebleu's default tokenisation (13a).

sacrebleu inserts spaces with four regular expressions and splits at white space; every token is
thus an unbroken piece of the text, and one pass over the characters finds the same pieces:

1. each ASCII symbol other than ``' , - .`` stands alone;
2. ``([^0-9])([.,])`` sets a point or comma after anything but a digit apart. The matches do not
   overlap: in a run of points and commas after a digit they pair up from the first of them, after
   anything else from the second, and all of the paired ones stand alone;
3. ``([.,])([^0-9])`` sets the one that is left over apart, unless a digit follows. So "a..5" is
   "a", ".", ".5" and "5...6" is "5", ".", ".", ".6";
4. ``([0-9])(-)`` sets a hyphen after a digit apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from veneer.corpus.nearest.compiled import compiled, enlarged

PIECE = 1 << 22
"""Characters tokenised at a time: 16 MiB of them at four bytes each."""

LETTER, SPACE, SYMBOL, DIGIT, POINT, HYPHEN = range(6)


def _kinds() -> np.ndarray:
    """Kind of each code point below 0x3001: all white space of `str.split` lies below it."""
    kinds = np.zeros(0x3001, np.uint8)
    for first, last in (" &", "(+", "//", ":@", "[`", "{~"):
        kinds[ord(first) : ord(last) + 1] = SYMBOL
    kinds[ord("0") : ord("9") + 1] = DIGIT
    kinds[[ord("."), ord(",")]] = POINT
    kinds[ord("-")] = HYPHEN
    kinds[[code for code in range(len(kinds)) if chr(code).isspace()]] = SPACE
    return kinds


KINDS = _kinds()


def prepared(text: str) -> str:
    """A text as 13a's expressions see it, without the newlines it takes for spaces."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "")
    if "&" in text:
        text = text.replace("&quot;", '"').replace("&amp;", "&")
        text = text.replace("&lt;", "<").replace("&gt;", ">")
    return text


def tokenised(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, int]:
    """Token ids of all texts on end, where each text begins, and how many ids there are.

    Returns (tokens int32 (all tokens,), starts int64 (texts + 1,), ids). Equal tokens have equal
    ids; equality is that of their characters, never of a hash alone.
    """
    vocabulary = _Vocabulary()
    counts = np.zeros(len(texts), np.int64)
    found = [np.empty(0, np.int32)]
    done = 0
    for piece in _pieces(map(prepared, texts)):
        ends = np.cumsum(np.fromiter(map(len, piece), np.int64, len(piece)))
        joined = "".join(piece).encode("utf-32-le", "surrogatepass")
        chars = np.frombuffer(joined, np.uint32)
        found.append(vocabulary.read(chars, ends, counts[done : done + len(piece)]))
        done += len(piece)
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return np.concatenate(found), starts, vocabulary.used


def words(text: str) -> list[str]:
    """The tokens of one text, as strings."""
    ready = prepared(text)
    chars = np.frombuffer(ready.encode("utf-32-le", "surrogatepass"), np.uint32)
    bounds = np.empty((len(chars), 2), np.int64)
    n = _cut(chars, 0, len(chars), KINDS, bounds)
    return [ready[first:last] for first, last in bounds[:n]]


def _pieces(texts: Iterable[str]) -> Iterable[list[str]]:
    piece: list[str] = []
    size = 0
    for text in texts:
        if piece and size + len(text) > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += len(text)
    if piece:
        yield piece


class _Vocabulary:
    """Ids of the tokens met so far: an open-addressing table and the tokens' characters.

    slots: (twice the capacity,) an id, or -1. hashes: (capacity,). chars: the characters of all
    tokens on end; token i ends at ends[i + 1]. used: how many ids there are.
    """

    def __init__(self) -> None:
        self.slots = np.full(1 << 13, -1, np.int32)
        self.hashes = np.zeros(1 << 12, np.uint64)
        self.ends = np.zeros((1 << 12) + 1, np.int64)
        self.chars = np.zeros(1 << 15, np.uint32)
        self.used = 0

    def read(self, chars: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Ids of the tokens of texts that end at `ends`; `counts` receives how many each has."""
        tokens = np.empty(len(chars), np.int32)
        n, self.used, self.slots, self.hashes, self.ends, self.chars = _number(
            chars, ends, KINDS, tokens, counts,
            self.used, self.slots, self.hashes, self.ends, self.chars,
        )  # fmt: skip
        return tokens[:n].copy()


@compiled
def _cut(chars, first, last, kinds, bounds):
    """Token bounds [begin, end) in chars[first:last]; `bounds` has a row for each character.

    chars: uint32 code points. Returns how many tokens there are.
    """
    n = 0
    begin = -1  # of the open token
    at = first
    while at < last:
        kind = kinds[chars[at]] if chars[at] < len(kinds) else LETTER
        if kind in (LETTER, DIGIT):
            if begin < 0:
                begin = at
            at += 1
            continue
        after_digit = at > first and chars[at - 1] < len(kinds) and kinds[chars[at - 1]] == DIGIT
        if kind == HYPHEN and not after_digit:
            if begin < 0:
                begin = at
            at += 1
            continue
        end = at + 1
        joined = False  # the last point of the run belongs to the digit that follows
        if kind == POINT:
            while end < last and chars[end] < len(kinds) and kinds[chars[end]] == POINT:
                end += 1
            paired = (end - at) % 2 == (0 if after_digit else 1)
            joined = (
                not paired and end < last and chars[end] < len(kinds) and kinds[chars[end]] == DIGIT
            )
            if joined and after_digit and end == at + 1:
                at = end
                continue
        if begin >= 0:
            bounds[n, 0], bounds[n, 1] = begin, at
            n += 1
            begin = -1
        if kind != SPACE:
            for alone in range(at, end - 1 if joined else end):
                bounds[n, 0], bounds[n, 1] = alone, alone + 1
                n += 1
        if joined:
            begin = end - 1
        at = end
    if begin >= 0:
        bounds[n, 0], bounds[n, 1] = begin, last
        n += 1
    return n


@compiled
def _number(chars, text_ends, kinds, tokens, counts, used, slots, hashes, ends, store):
    """Token ids of the texts that end at `text_ends`, and the vocabulary with the new tokens."""
    longest = 0
    first = 0
    for text in range(len(text_ends)):
        longest = max(longest, text_ends[text] - first)
        first = text_ends[text]
    bounds = np.empty((longest, 2), np.int64)
    filled = 0
    first = 0
    for text in range(len(text_ends)):
        last = text_ends[text]
        n = _cut(chars, first, last, kinds, bounds)
        first = last
        counts[text] = n
        for k in range(n):
            begin, end = bounds[k, 0], bounds[k, 1]
            mark = np.uint64(1469598103934665603)
            for i in range(begin, end):
                mark = (mark ^ np.uint64(chars[i])) * np.uint64(1099511628211)
            mark ^= mark >> np.uint64(29)
            room = len(slots) - 1
            at = np.int64(mark & np.uint64(room))
            while slots[at] >= 0:
                token = slots[at]
                size = ends[token + 1] - ends[token]
                if hashes[token] == mark and size == end - begin:
                    i = 0
                    while i < size and store[ends[token] + i] == chars[begin + i]:
                        i += 1
                    if i == size:
                        break
                at = (at + 1) & room
            if slots[at] < 0:
                if ends[used] + end - begin > len(store):
                    store = enlarged(store, 2 * (len(store) + end - begin))
                for i in range(begin, end):
                    store[ends[used] + i - begin] = chars[i]
                ends[used + 1] = ends[used] + end - begin
                hashes[used] = mark
                slots[at] = used
                tokens[filled] = used
                used += 1
                if used == len(hashes):
                    hashes = enlarged(hashes, 2 * used)
                    ends = enlarged(ends, 2 * used + 1)
                    slots = np.full(4 * used, -1, np.int32)
                    for token in range(used):
                        at = np.int64(hashes[token] & np.uint64(len(slots) - 1))
                        while slots[at] >= 0:
                            at = (at + 1) & (len(slots) - 1)
                        slots[at] = token
            else:
                tokens[filled] = slots[at]
            filled += 1
    return filled, used, slots, hashes, ends, store
