"""JSON Lines, one record a line, as the world writes them: some records run over several lines.

A line that is no JSON is joined with those after it while that can still make a record (a
newline inside a string that was not escaped, a pretty-printed object). Where it cannot, the
line is a broken record by itself and reading goes on with the very next one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from veneer.files.values import Record, Scanner, Unreadable, parsed, shown

MOST_LINES = 10_000
MOST_CHARACTERS = 16_000_000

_NEW_RECORD = re.compile(r'\{\s*"')
_BLANK = " \t\r\n\ufeff"


def json_lines(lines: Iterable[str]) -> Iterator[Record]:
    """Records of lines (each with its newline, decoded with "surrogateescape")."""
    ahead: deque[str] = deque()
    source = iter(lines)
    number = 0
    while True:
        line = ahead.popleft() if ahead else next(source, None)
        if line is None:
            return
        number += 1
        if not line.strip(_BLANK):
            continue
        record = _one(line, number)
        if record.broken and line[0] in "{[":
            mended = _joined(line, number, ahead, source)
            if mended is not None:
                taken, record = mended
                for _ in range(taken):
                    ahead.popleft()
                number += taken
        yield record


def text_lines(lines: Iterable[str]) -> Iterator[Record]:
    """One {"text"} record a line that is not blank."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip(_BLANK):
            continue
        if shown(text) != text:
            yield Record(f"line {number}", broken="not UTF-8", text=shown(text))
        else:
            yield Record(f"line {number}", {"text": text})


def _one(line: str, number: int) -> Record:
    at = f"line {number}"
    try:
        value, mended = parsed(line.strip(_BLANK))
    except Unreadable as error:
        return Record(at, broken=str(error), text=shown(line.rstrip("\r\n")))
    return Record(at, value, mended=mended)


def _joined(
    line: str, number: int, ahead: deque[str], source: Iterator[str]
) -> tuple[int, Record] | None:
    """How many lines after `line` make a record with it, and that record; None if none do.

    Lines read on the way stay in `ahead`.
    """
    scanner = Scanner()
    parts = [line]
    end = scanner.end(line)
    size = len(line)
    while end is None and len(parts) < MOST_LINES and size < MOST_CHARACTERS:
        taken = len(parts)
        if taken > len(ahead):
            more = next(source, None)
            if more is None:
                return None
            ahead.append(more)
        following = ahead[taken - 1]
        if _NEW_RECORD.match(following) or (not scanner.in_string and following[:1] == "{"):
            return None
        parts.append(following)
        size += len(following)
        end = scanner.end(following)
    if end is None or len(parts) == 1:
        return None
    try:
        value, _ = parsed("".join(parts).replace("\r\n", "\n").strip(_BLANK))
    except Unreadable:
        return None
    split = f"split over {len(parts)} lines"
    return len(parts) - 1, Record(f"line {number}", value, mended=split)
