"""Reject dialogues by words and regular expressions that the user gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from veneer.corpus.rows import where_kept
from veneer.errors import InputError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

Where = Literal["queries", "answers", "both"]
ROLES: dict[str, tuple[str, ...]] = {
    "queries": ("user",),
    "answers": ("assistant",),
    "both": ("user", "assistant"),
}


def reject_keywords(
    batch: pa.RecordBatch,
    words: Sequence[str] = (),
    patterns: Sequence[str] = (),
    where: Where = "both",
) -> pa.RecordBatch:
    """Reject rows with a word or pattern in any turn of `where` ("keyword: WORD").

    `words` are found whole, in any case and with any spacing between several; `patterns` are
    Python regular expressions, used as they are ("(?i)" makes one case-insensitive). The first
    that is found, words before patterns, is the reason.
    """
    if where not in ROLES:
        raise InputError(f"Keywords cannot be looked for in {where!r}.", nearest(where, ROLES))
    wanted = compiled(words, patterns)
    if not wanted:
        return batch

    def judge(row: dict[str, Any]) -> str:
        texts = [turn["content"] for turn in row["messages"] if turn["role"] in ROLES[where]]
        for name, pattern in wanted:
            if any(pattern.search(text) for text in texts):
                return f"keyword: {name}"
        return ""

    return where_kept(batch, judge)


def compiled(
    words: Sequence[str] = (), patterns: Sequence[str] = ()
) -> list[tuple[str, re.Pattern[str]]]:
    """Each word and pattern with what finds it; one that cannot be used is an InputError."""
    found = []
    for word in words:
        if not word.split():
            raise InputError("An empty keyword would reject everything.", "Leave it out.")
        found.append((word, re.compile(_whole(word), re.IGNORECASE)))
    for pattern in patterns:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"Not a regular expression: {pattern!r} ({error}).",
                "Escape characters such as ( [ * ? + . with a backslash, or give it as a word.",
            ) from error
        if expression.search(""):
            raise InputError(
                f"The pattern {pattern!r} is found in every text.",
                "Give one that needs at least one character.",
            )
        found.append((pattern, expression))
    return found


def _whole(word: str) -> str:
    """A word not inside a longer one; scripts that write no spaces have no such edge."""
    body = r"\s+".join(re.escape(part) for part in word.split())
    bare = word.strip()
    before = r"(?<!\w)" if _has_edge(bare[0]) else ""
    after = r"(?!\w)" if _has_edge(bare[-1]) else ""
    return before + body + after


def _has_edge(letter: str) -> bool:
    unspaced = "\u0e00" <= letter <= "\u0eff" or "\u2e80" <= letter <= "\u9fff"
    return (letter.isalnum() or letter == "_") and not unspaced
