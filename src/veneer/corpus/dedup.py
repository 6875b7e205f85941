"""Exact duplicates: texts are compared by 16-byte keys, so that only keys are held in memory.

Which dialogue is the first of its kind is decided over all files, in the order of the files and
of the records in them.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Dedup = Literal["query", "pair", "none"]
Sameness = Literal["exact", "folded"]

DUPLICATE = {"query": "a query met before", "pair": "a dialogue met before"}
NO_KEY = bytes(16)
"""The key of what is never a duplicate."""


def folded(text: str) -> str:
    """A text up to case, width and spacing (NFKC, case-folded, single spaces)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(text: str) -> str:
    """A text up to punctuation too; one that is nothing but punctuation stays as it is."""
    words = re.sub(r"[^\w]+|_", " ", folded(text)).split()
    return " ".join(words) or folded(text)


def digest(text: str) -> bytes:
    """16 bytes of BLAKE2b; for n texts two that differ collide with probability n²/2^129."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def key_of(turns: Sequence[Mapping[str, str]], by: Dedup, sameness: Sameness) -> bytes:
    """What a dialogue of `turns` ({"role", "content"}) is known by.

    Args:
        by: "query" the first question; "pair" all turns; "none" nothing.
        sameness: "exact" the texts as they are; "folded" up to case, width and spacing.

    Returns:
        16 bytes; `NO_KEY` where there is no text to compare (plain text that answers nothing has
        no query and is never a duplicate by query).
    """
    if by == "none":
        return NO_KEY
    if by == "query":
        texts = [next((t["content"] for t in turns if t["role"] == "user"), "")]
    else:
        texts = [t["content"] for t in turns]
    if sameness == "folded":
        texts = [folded(text) for text in texts]
    if not any(text.strip() for text in texts):
        return NO_KEY
    return digest(json.dumps(texts, ensure_ascii=False))


def as_numbers(keys: Sequence[bytes]) -> np.ndarray:
    """Keys as an array of shape (n, 2), uint64."""
    return np.frombuffer(b"".join(keys), dtype=np.uint64).reshape(-1, 2)


def first_met(keys: np.ndarray, taking_part: np.ndarray) -> np.ndarray:
    """For each row the first row with its key, among those that take part.

    Shapes: `keys` (n, 2) uint64, `taking_part` (n,) bool; returns (n,) int64. A row that is the
    first, takes no part or has no key is its own first.
    """
    first = np.arange(len(keys), dtype=np.int64)
    rows = np.flatnonzero(taking_part & keys.any(axis=1))
    if not len(rows):
        return first
    rows = rows[np.lexsort((keys[rows, 1], keys[rows, 0]))]  # stable: first met stays first
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (keys[rows[1:]] != keys[rows[:-1]]).any(axis=1)
    first[rows] = rows[new][np.cumsum(new) - 1]
    return first
