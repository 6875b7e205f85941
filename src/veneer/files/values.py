"""One JSON value from text that may be broken: the value, or in words why there is none.

Stricter than the standard library where it would lose something in silence (a field that stands
twice with different values), laxer where a record can be mended and said to be (control
characters inside a string, half of a surrogate pair). NaN and infinities, which JSON does not
have but pandas writes, become null: no text is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

CONTROLS = "control characters inside a string were kept"
HALVES = "half of a surrogate pair became U+FFFD"

_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_FOREIGN = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Record:
    """One record of a file and its place there: "line 17", "entry 17" or "row 17", from 1.

    value: what the record holds, usually an object; None where it is broken.
    broken: why it cannot be read; "" where it can.
    text: a broken record as it stands in the file (bytes that are no UTF-8 as \\xNN), else "".
    mended: what was put right to read it, such as "split over 2 lines"; else "".
    """

    at: str
    value: Any = None
    broken: str = ""
    text: str = ""
    mended: str = ""


class Unreadable(ValueError):
    """Text that is no JSON value; its message is the reason."""


def parsed(text: str) -> tuple[Any, str]:
    """The value, and what was mended ("" for nothing).

    `text` was decoded with "surrogateescape", so bytes that were no UTF-8 can be told.

    Raises:
        Unreadable: with the reason.
    """
    mended = ""
    refuse_foreign(text)
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        if "control character" not in error.msg:
            raise Unreadable(f"not JSON: {error.msg}") from None
        value, mended = _lax(text), CONTROLS
    except RecursionError:
        raise Unreadable("not JSON: nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, or a field that stands twice
        raise Unreadable(str(error) if isinstance(error, _Twice) else "not JSON: value") from None
    value, halved = without_halves(text, value)
    return value, halved or mended


def refuse_foreign(text: str) -> None:
    """Raise `Unreadable` where text decoded with "surrogateescape" held bytes of no UTF-8."""
    if not text.isascii() and _FOREIGN.search(text):
        raise Unreadable("not UTF-8")


def shown(text: str) -> str:
    """Text decoded with "surrogateescape", made printable: foreign bytes as \\xNN."""
    if text.isascii() or not _HALF.search(text):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")


def without_halves(text: str, value: Any) -> tuple[Any, str]:
    """The value that was read from `text` with every lone surrogate as U+FFFD, and the note if
    there was one.

    Raises:
        Unreadable: nested too deeply.
    """
    if not _ESCAPED_HALF.search(text):
        return value, ""
    try:
        value, halved = _whole_characters(value)
    except RecursionError:
        raise Unreadable("not JSON: nested too deeply") from None
    return value, HALVES if halved else ""


def _whole_characters(value: Any) -> tuple[Any, bool]:
    if isinstance(value, str):
        mended = _HALF.sub("\ufffd", value)
        return mended, mended != value
    if isinstance(value, list):
        items = [_whole_characters(item) for item in value]
        return [item for item, _ in items], any(was for _, was in items)
    if isinstance(value, dict):
        pairs = [(_whole_characters(k), _whole_characters(v)) for k, v in value.items()]
        return {k: v for (k, _), (v, _) in pairs}, any(a or b for (_, a), (_, b) in pairs)
    return value, False


class _Twice(ValueError):
    """A field that stands twice in an object, with two values."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: dict[str, Any] = {}
        for name, value in pairs:
            if name in seen and seen[name] != value:
                raise _Twice(f"a field that stands twice: {name[:40]!r}")
            seen[name] = value
    return found


def _lax(text: str) -> Any:
    try:
        return _LAX.decode(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(str(error) if isinstance(error, _Twice) else "not JSON: value") from None


def _null(_: str) -> None:
    return None


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_null)
_LAX = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_null, strict=False)


def first_value(text: str, start: int) -> tuple[Any, int] | None:
    """The JSON value that starts at `start` and where it ends; None where there is none yet.

    Raises:
        Unreadable: a field stands twice.
    """
    try:
        return _STRICT.raw_decode(text, start)
    except json.JSONDecodeError:
        return None
    except RecursionError:
        return None
    except _Twice as error:
        raise Unreadable(str(error)) from None
    except ValueError:
        return None


class Scanner:
    """Follows brackets and strings through text given in pieces, to find where a value ends."""

    _MARKS = re.compile(r'["\\{}\[\]]')

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self.skip = False

    def end(self, text: str, start: int = 0) -> int | None:
        """Position after the bracket that closes the value, None where it goes on."""
        at = start
        if self.skip and at < len(text):
            at, self.skip = at + 1, False
        while found := self._MARKS.search(text, at):
            at, mark = found.end(), found.group()
            if mark == "\\":
                if self.in_string:
                    self.skip = at >= len(text)
                    at += 1
            elif mark == '"':
                self.in_string = not self.in_string
            elif not self.in_string:
                self.depth += 1 if mark in "{[" else -1
                if self.depth <= 0:
                    return at
        return None
