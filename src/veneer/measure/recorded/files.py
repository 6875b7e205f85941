"""Recorded results: JSON, JSONL or either gzipped, read whole and strictly, the line in hand.

A row that is left out would change a score, so the first broken one is an error. Every way in
which a file can be broken ends in one `InputError` that names the file, the line where there is
one, and what to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from veneer.errors import InputError
from veneer.files import read_text
from veneer.files.values import Unreadable, without_halves
from veneer.records import Record

R = TypeVar("R", bound=Record)
SUFFIXES = (".json", ".jsonl", ".gz", ".ndjson", ".txt")


@dataclass(frozen=True)
class Row:
    """One JSON object and the line it starts on (JSONL) or its place in the array, from 1."""

    at: str
    fields: dict[str, Any]


def read_rows_of(path: Path) -> list[Row]:
    """The objects of a JSON array, or of JSONL, whichever the file is.

    Raises:
        InputError: missing, a folder, unreadable, truncated or not gzip although named so,
            not UTF-8, broken JSON (with its line), no rows, or rows that are no objects.
    """
    text = _text(path)
    if not text.strip():
        raise InputError(f"{path} is empty.", "Give a file that holds at least one row.")
    if text.lstrip().startswith("["):
        values = _parsed(path, text)
        rows = [Row(f"entry {k}", v) for k, v in enumerate(values, 1) if _is_object(path, k, v)]
        if not rows:
            raise InputError(f"{path} is an empty list.", "Give a file with at least one row.")
        return rows
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            value = _parsed_line(path, line, number, is_first=not rows, whole=text)
            if _is_object(path, number, value, "line"):
                rows.append(Row(f"line {number}", value))
    return rows


def own_row(path: Path, row: Row, kind: type[R], called: str) -> R:
    """A row of ours; `called` says what it should be ("an answer").

    Raises:
        InputError: it was changed, or another version wrote it.
    """
    try:
        return kind.model_validate(row.fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}, {row.at}: not {called} as this tool writes it ({place}: {first['msg']}).",
            "Write the file again, or give it in another known shape.",
        ) from error


def read_object(path: Path) -> dict[str, Any] | None:
    """The file's single JSON object; None where it is a list or several lines of objects."""
    text = _text(path)
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = _value(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(path: Path) -> str:
    looks_like_a_name = "/" not in str(path) and path.suffix not in SUFFIXES
    if looks_like_a_name and not path.exists():
        raise InputError(
            f"No such file: {path}",
            f"{path.name} looks like a model's name: give the file of its outputs "
            f"(FILE, or {path.name}=FILE to have the name checked).",
        )
    return read_text(path)


def _parsed(path: Path, text: str) -> Any:
    try:
        return _value(text)
    except json.JSONDecodeError as error:
        raise _broken(path, error.lineno, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not JSON ({_why(error)}).", "Mend the file, or write it again."
        ) from error


def _parsed_line(path: Path, line: str, number: int, is_first: bool, whole: str) -> Any:
    try:
        return _value(line)
    except json.JSONDecodeError as error:
        if is_first and line.strip() == "{":  # one object over many lines
            _parsed(path, whole)
            raise InputError(
                f"{path} holds one JSON object, where rows are needed.",
                "Give a JSON array or one object a line.",
            ) from error
        raise _broken(path, number, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}, line {number}: not JSON ({_why(error)}).",
            "Mend that line, or write the file again.",
        ) from error


def _value(text: str) -> Any:
    """The JSON value, with half a character (a lone surrogate) as U+FFFD: no file can hold it."""
    value, _ = without_halves(text, json.loads(text))
    return value


def _broken(path: Path, line: int, error: json.JSONDecodeError) -> InputError:
    return InputError(
        f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno}).",
        "Mend that line, or write the file again.",
    )


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    deep = isinstance(error, RecursionError)
    return "nested too deeply" if deep else "a number of too many digits"


def _is_object(path: Path, at: int, value: Any, unit: str = "entry") -> bool:
    if isinstance(value, dict):
        return True
    raise InputError(
        f"{path}, {unit} {at}: a {type(value).__name__} where an object is needed.",
        'Each row is a JSON object, such as {"prompt": …, "output": …}.',
    )
