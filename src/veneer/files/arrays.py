"""A JSON array read entry by entry, so that a file of any size needs memory for one entry.

A broken entry ends where the next one begins, which is told by the field that entries of this
file begin with; so one missing quote does not swallow the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from veneer.errors import InputError
from veneer.files.values import (
    HALVES,
    Record,
    Scanner,
    Unreadable,
    first_value,
    parsed,
    shown,
    whole_characters,
)

LONGEST = 64_000_000
"""Characters of one entry."""

_BETWEEN = re.compile(r"[\s,\ufeff]*")
_FIRST_FIELD = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,80}")')
_WORD_END = re.compile(r"[,\]\n]")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")


def array_entries(pieces: Iterator[str], *, wrapped: bool = False) -> Iterator[Record]:
    """Records of an array, given as the text after its "[" in pieces.

    `wrapped`: the array is a field of an object, whose other fields are not looked at.

    Raises:
        InputError: an entry of more than `LONGEST` characters.
    """
    text = _Window(pieces)
    begins = ""
    number = 0
    while text.skip_to_entry():
        if text.buffer[text.at] == "]":
            yield from _after(text, number, wrapped)
            return
        number += 1
        at = f"entry {number}"
        found, why = _entry(text, at)
        if not why:
            value, end = found
            raw = text.buffer[text.at : end]
            begins = begins or _first_field(raw)
            text.at = end
            yield _read(at, value, raw)
            continue
        end = _resumes(text, begins or _first_field(text.buffer[text.at :][:200]), found[1])
        raw = text.buffer[text.at : end].rstrip().rstrip(",")
        text.at = end
        yield Record(at, broken=why, text=shown(raw))
    if not wrapped:
        yield Record(f"entry {number + 1}", broken="not JSON: the list breaks off")


class _Window:
    """The part of the text that is still needed; `at` is where the next entry starts."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces
        self.buffer = ""
        self.at = 0
        self.ended = False

    def more(self) -> bool:
        """Take in as much text again as is held; whether there was any."""
        held = [self.buffer[self.at :]]
        wanted = max(1 << 16, len(held[0]))
        self.at = 0
        while wanted > 0:
            piece = next(self.pieces, None)
            if piece is None:
                self.ended = True
                break
            held.append(piece)
            wanted -= len(piece)
        self.buffer = "".join(held)
        return len(held) > 1

    def skip_to_entry(self) -> bool:
        """Move to the next entry or the closing bracket; False at the end of the text."""
        while True:
            found = _BETWEEN.match(self.buffer, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.buffer):
                return True
            if not self.more():
                return False


def _entry(text: _Window, at: str) -> tuple[tuple[object, int], str]:
    """((value, end), "") or ((None, end of the broken entry), reason)."""
    while True:
        try:
            found = first_value(text.buffer, text.at)
        except Unreadable as error:
            end = Scanner().end(text.buffer, text.at)
            if end is not None or text.ended:
                return (None, end or len(text.buffer)), str(error)
            text.more()
            continue
        if found is not None and (found[1] < len(text.buffer) or text.ended):
            raw = text.buffer[text.at : found[1]]
            return found, "not UTF-8" if shown(raw) != raw else ""
        if found is None:
            broken_end = _broken_end(text)
            if broken_end is not None:
                return _mended(text, broken_end)
        if len(text.buffer) - text.at > LONGEST:
            raise InputError(
                f"{at} does not end within {LONGEST:,} characters.",
                "Mend the file there, or write it as JSON Lines.",
            )
        text.more()


def _broken_end(text: _Window) -> int | None:
    """Where an entry that cannot be read ends; None where more text may complete it."""
    if text.buffer[text.at] in "{[":
        end = Scanner().end(text.buffer, text.at)
    elif text.buffer[text.at] == '"' and not text.ended:
        end = None
    else:
        found = _WORD_END.search(text.buffer, text.at)
        end = found.start() if found else None
    return len(text.buffer) if end is None and text.ended else end


def _mended(text: _Window, end: int) -> tuple[tuple[object, int], str]:
    try:
        value, _ = parsed(text.buffer[text.at : end])
    except Unreadable as error:
        return (None, end), str(error)
    return (value, end), ""


def _read(at: str, value: object, raw: str) -> Record:
    if _ESCAPED.search(raw):
        value, halved = whole_characters(value)
        return Record(at, value, mended=HALVES if halved else "")
    return Record(at, value)


def _first_field(raw: str) -> str:
    found = _FIRST_FIELD.match(raw)
    return found.group(1) if found else ""


def _resumes(text: _Window, begins: str, end: int) -> int:
    """Where the next entry starts, if that is before `end`."""
    if begins:
        opening = re.compile(r"[,\n]\s*(?=\{\s*" + re.escape(begins) + r"\s*:)")
        if found := opening.search(text.buffer, text.at + 1, end):
            return found.end()
    return max(end, text.at + 1)


def _after(text: _Window, number: int, wrapped: bool) -> Iterator[Record]:
    text.at += 1
    if wrapped:
        return
    rest = text.buffer[text.at :] + "".join(text.pieces)
    if rest.strip():
        why = "not JSON: text after the end of the list"
        yield Record(f"entry {number + 1}", broken=why, text=shown(rest.strip()))
