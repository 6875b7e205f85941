"""Near-duplicates by MinHash, each verified by the exact Jaccard similarity: none is false.

Two texts are near-duplicates when their sets of shingles, A and B, have
J(A, B) = |A ∩ B| / |A ∪ B| ≥ threshold. MinHash (Broder 1997): for a random hash, the smallest
values over A and over B are equal with probability J. Locality-sensitive hashing (Leskovec,
Rajaraman, Ullman, Mining of Massive Datasets, §3.4): pairs that agree in all `rows` values of one
of `bands` bands are looked at; a pair of similarity J is missed with probability
(1 − J^rows)^bands (`missed`).

In two stages, so that the first runs on batches anywhere and the second once over all:

    prints = [shingled(queries(batch)) for batch in batches]        # and, where wanted, there
    signs = [signatures(each) for each in prints]                   # too
    first = near_duplicates(np.vstack(signs), joined(prints), threshold=0.8)

100,000 queries of 500 characters took 8 s on one core (shingles 5, signatures 2, the second stage
1); datasketch's MinHash and LSH took 60 s, unverified. Shingles need 8 bytes a character. The worst
case is quadratic: 20,000 fillings of one template, all pairs at J = 0.65, took 91 s.

`first[i]` is the earliest kept row that row i repeats, or -1. Rows are judged in order and only
against kept ones, so where B repeats A and C repeats B but not A, C is kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veneer.errors import InputError

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 0.8
BANDS = 25
ROWS = 5
"""25 bands of 5: a pair at J = 0.8 is missed with probability 5e-5, one at 0.9 with 1e-10. What
more pairs are looked at than with the usual few long bands is decided by the exact similarity."""

WIDTH = 5
"""Characters in a shingle. Of 300 real queries of 8 to 20 words, 88 % stay at J ≥ 0.8 with one
letter changed, and 78 % with one word left out; with shingles of 3 words 15 and 16 %, for which one
change costs a third of a short query. Of 3 characters, 100 and 95 %, but then unlike questions of
one template meet too ("most upVotes", "most downVotes"). Characters need no word boundaries either,
so Chinese is compared like English."""

SEED = 0


@dataclass(frozen=True)
class Shingles:
    """Sets of shingles as 64-bit hashes: row i holds values[offsets[i] : offsets[i + 1]].

    offsets: int64 (rows + 1); values: uint64, ascending and unique within a row. Two shingles
    share a hash with probability 5e-20, so a similarity of hashes is that of the shingles.
    """

    offsets: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


def shingled(texts: Sequence[str], width: int = WIDTH) -> Shingles:
    """The sets of shingles of texts: every `width` successive characters of what is compared.

    Compared is a text up to case, character width (NFKC) and everything that is no letter or
    digit (`compared`). One shorter than `width` has one shingle, itself; one without a letter or
    digit has none, and is no near-duplicate of anything.
    """
    import numpy as np

    from veneer.corpus.near_kernels import shingle_hashes

    if width < 1:
        raise InputError(f"Shingles of {width} characters.", "Give 1 or more; 5 is usual.")
    folded = [compared(text) for text in texts]
    lengths = np.fromiter((len(text) for text in folded), np.int64, len(folded))
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    letters = np.frombuffer("".join(folded).encode("utf-32-le"), np.uint32)
    return Shingles(*shingle_hashes(letters, ends, width))


def compared(text: str) -> str:
    """What of a text is compared: case-folded NFKC words, one space between them."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"[^\W_]+", folded))


def joined(parts: Sequence[Shingles]) -> Shingles:
    """The shingles of several batches, one after the other."""
    import numpy as np

    if not parts:
        return Shingles(np.zeros(1, np.int64), np.zeros(0, np.uint64))
    starts = np.cumsum([0] + [len(part.values) for part in parts])
    offsets = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
    return Shingles(
        np.concatenate([np.zeros(1, np.int64), *offsets]),
        np.concatenate([part.values for part in parts]),
    )


def signatures(shingles: Shingles, bands: int = BANDS, rows: int = ROWS) -> np.ndarray:
    """MinHash signatures: uint32 (texts, bands × rows). A text's does not depend on the others."""
    from veneer.corpus.near_kernels import minima, multipliers

    if bands < 1 or rows < 1:
        raise InputError(f"{bands} bands of {rows} rows.", "Give 1 or more of each.")
    return minima(shingles.offsets, shingles.values, multipliers(bands * rows, SEED))


def near_duplicates(
    signs: np.ndarray, shingles: Shingles, threshold: float = THRESHOLD, rows: int = ROWS
) -> np.ndarray:
    """For each text the first kept one that it repeats, or -1: int64 (texts,).

    `signs` and `shingles` are of the same texts, in the same order; `rows` values of a signature
    make a band, as when it was made.
    """
    from veneer.corpus.near_kernels import band_keys, first_kept

    if not 0 < threshold <= 1:
        raise InputError(
            f"A similarity threshold of {threshold}.", "Give one above 0 and up to 1, such as 0.8."
        )
    if len(signs) != len(shingles) or signs.shape[1] % rows:
        raise ValueError("signatures and shingles of different texts, or of different bands")
    return first_kept(_links(band_keys(signs, rows)), shingles.offsets, shingles.values, threshold)


def missed(similarity: float, bands: int = BANDS, rows: int = ROWS) -> float:
    """The probability that a pair of this similarity is never looked at."""
    return (1 - similarity**rows) ** bands


def jaccard(shingles: Shingles, first: int, second: int) -> float:
    """The exact similarity of two texts; 0 where both have no shingle."""
    import numpy as np

    a, b = (shingles.values[slice(*shingles.offsets[i : i + 2])] for i in (first, second))
    union = len(np.union1d(a, b))
    return len(np.intersect1d(a, b)) / union if union else 0.0


def _links(keys: np.ndarray) -> np.ndarray:
    """For each band and text the text before it in the same bucket, or -1: int64 (bands, texts).

    keys: uint64 (bands, texts).
    """
    import numpy as np

    links = np.full(keys.shape, -1, np.int64)
    for band, key in enumerate(keys):
        order = np.argsort(key, kind="stable")
        same = key[order[1:]] == key[order[:-1]]
        links[band, order[1:][same]] = order[:-1][same]
    return links
