"""A JSON array read entry by entry, so that a file of any size needs memory for one entry.

A broken entry ends where the next one begins, which is told by the field that entries of this
file begin with; so one missing quote does not swallow the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from veneer.errors import InputError
from veneer.files.opening import Damaged
from veneer.files.values import (
    Record,
    Scanner,
    Unreadable,
    first_value,
    parsed,
    shown,
    without_halves,
)

LONGEST = 256_000_000
"""Characters of one entry."""
DOUBTFUL = 4_000_000
"""Characters without an end after which another entry is looked for inside one."""
LOOK_AHEAD = 10_000
"""Characters looked at after a broken entry."""

_BETWEEN = re.compile(r"[\s,\ufeff]*")
_OPENING = re.compile(r'[,\n]\s*(?=\{\s*("(?:[^"\\]|\\.){0,80}")\s*:)')
_FOLLOWS = re.compile(r'\s*(,\s*[\[{"]|,?\s*\]|\Z)')
_WORD_END = re.compile(r"[,\]\n]")


@dataclass(frozen=True)
class _Entry:
    """An entry, or why it is none; `end`: where it ends in the window."""

    end: int
    value: object = None
    broken: str = ""
    mended: str = ""


def array_entries(pieces: Iterator[str], *, wrapped: bool = False) -> Iterator[Record]:
    """Records of an array, given as the text after its "[" in pieces.

    `wrapped`: the array is a field of an object, whose other fields are not looked at.

    Raises:
        InputError: an entry of more than `LONGEST` characters.
    """
    text = _Window(pieces)
    begins = ""
    number = 0
    was_broken = False
    while text.skip_to_entry():
        number += 1
        at = f"entry {number}"
        if text.buffer[text.at] == "]":
            if wrapped or _is_last(text):
                return
            entry = _Entry(text.at + 1, broken="not JSON: text after the end of the list")
        else:
            entry = _entry(text, at, begins)
            stray = bool(begins) and not isinstance(entry.value, dict)
            if stray and not entry.broken and not _FOLLOWS.match(text.buffer, entry.end):
                entry = replace(entry, broken="not JSON: no comma after a value")
        was_broken = bool(entry.broken)
        if not was_broken:
            begins = begins or _first_field(text)
            text.at = entry.end
            yield Record(at, entry.value, mended=entry.mended)
            continue
        begins = begins or _likeliest(text)
        end = _resumes(text, begins, entry)
        raw = text.buffer[text.at : end].rstrip().rstrip(",")
        text.at = end
        yield Record(at, broken=entry.broken, text=shown(raw))
    if not wrapped and not was_broken:
        yield Record(f"entry {number + 1}", broken="not JSON: the list breaks off")


class _Window:
    """The part of the text that is still needed; `at` is where the next entry starts."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces
        self.buffer = ""
        self.at = 0
        self.ended = False
        self.damage: Damaged | None = None

    def more(self) -> bool:
        """Take in as much text again as is held; whether there was any.

        Damage to the file is raised once all text before it has been looked at.
        """
        if self.damage is not None:
            raise self.damage
        held = [self.buffer[self.at :]]
        wanted = max(1 << 16, len(held[0]))
        self.at = 0
        while wanted > 0:
            try:
                piece = next(self.pieces, None)
            except Damaged as error:
                self.damage = error
                break
            if piece is None:
                self.ended = True
                break
            held.append(piece)
            wanted -= len(piece)
        self.buffer = "".join(held)
        return not self.ended or len(held) > 1

    def skip_to_entry(self) -> bool:
        """Move to the next entry or the closing bracket; False at the end of the text."""
        while True:
            found = _BETWEEN.match(self.buffer, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.buffer):
                return True
            if not self.more():
                return False


def _entry(text: _Window, at: str, begins: str) -> _Entry:
    while True:
        held = len(text.buffer) - text.at
        try:
            found = first_value(text.buffer, text.at)
        except Unreadable as error:
            end = Scanner().end(text.buffer, text.at)
            if end is not None or text.ended:
                return _Entry(end or len(text.buffer), broken=str(error))
            found = None
        if found is not None and (found[1] < len(text.buffer) or text.ended):
            return _whole(text.buffer[text.at : found[1]], found[0], found[1])
        if found is None:
            end = _broken_end(text)
            if end is None and held > DOUBTFUL and _next_opening(text, begins) is not None:
                end = len(text.buffer)
            if end is not None:
                return _mended(text.buffer[text.at : end], end)
        if held > LONGEST:
            raise InputError(
                f"{at} does not end within {LONGEST:,} characters.",
                "Mend the file there, or write it as JSON Lines.",
            )
        text.more()


def _whole(raw: str, value: object, end: int) -> _Entry:
    if shown(raw) != raw:
        return _Entry(end, broken="not UTF-8")
    try:
        value, mended = without_halves(raw, value)
    except Unreadable as error:
        return _Entry(end, broken=str(error))
    return _Entry(end, value, mended=mended)


def _mended(raw: str, end: int) -> _Entry:
    try:
        value, mended = parsed(raw)
    except Unreadable as error:
        return _Entry(end, broken=str(error))
    return _Entry(end, value, mended=mended)


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


def _is_last(text: _Window) -> bool:
    """Whether nothing but white space follows the bracket that the window is at."""
    while not text.buffer[text.at + 1 :].strip():
        if not text.more():
            return True
    return False


# ---- where entries begin again ----------------------------------------------------------------


def _first_field(text: _Window) -> str:
    found = _OPENING.match("\n" + text.buffer[text.at : text.at + 200])
    return found.group(1) if found else ""


def _resumes(text: _Window, begins: str, entry: _Entry) -> int:
    """Where the entry after a broken one starts, or the end of the broken one.

    What a bracket left over, and what does not go on with a comma and an entry after the broken
    one, belongs to the broken one up to the next opening.
    """
    closes = text.buffer[text.at] == "]"
    length = entry.end - text.at
    while len(text.buffer) - text.at - length < LOOK_AHEAD and text.more():
        pass
    while (found := _next_opening(text, begins)) is None and closes and text.more():
        if len(text.buffer) - text.at > DOUBTFUL:
            break
    end = text.at + length
    if found is not None and (closes or found < end or not _FOLLOWS.match(text.buffer, end)):
        return found
    return len(text.buffer) if closes else max(end, text.at + 1)


def _next_opening(text: _Window, begins: str) -> int | None:
    """Where an object starts whose first field is `begins`, after the one the window is at.

    Without `begins` nothing could be read before, and the likeliest field is taken.
    """
    begins = begins or _likeliest(text)
    for found in _OPENING.finditer(text.buffer, text.at + 1):
        if found.group(1) == begins:
            return found.end()
    return None


def _likeliest(text: _Window) -> str:
    """The first field whose objects make up most of the text: entries are longer than what is
    nested in them."""
    spans: dict[str, int] = {}
    for found in islice(_OPENING.finditer(text.buffer, text.at + 1), 500):
        try:
            value = first_value(text.buffer, found.end())
        except Unreadable:
            continue
        if value is not None:
            length = value[1] - found.end()
            spans[found.group(1)] = spans.get(found.group(1), 0) + length
    return max(spans, key=lambda name: spans[name], default="")
