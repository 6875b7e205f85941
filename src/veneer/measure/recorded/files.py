"""Files that others wrote: JSON, JSONL or either gzipped, read with the line in hand.

Every way in which a file can be broken ends in one `InputError` that names the file,
the line where there is one, and what to do.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError

SUFFIXES = (".json", ".jsonl", ".gz", ".ndjson", ".txt")
GZIP_MAGIC = b"\x1f\x8b"


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
    text = read_text(path)
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


def read_object(path: Path) -> dict[str, Any] | None:
    """The file's single JSON object; None where it is a list or several lines of objects."""
    text = read_text(path)
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def read_text(path: Path) -> str:
    """The whole file as text, unzipped if its first bytes say gzip."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        hint = "Check the path; a model's name alone is not a file."
        if "/" not in str(path) and path.suffix not in SUFFIXES:
            hint = (
                f"{path.name} looks like a model's name: give the file of its outputs "
                f"(FILE, or {path.name}=FILE to have the name checked)."
            )
        raise InputError(f"No such file: {path}", hint) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder.", "Give one file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except EOFError as error:
            raise InputError(
                f"{path}: the gzip data ends before its end; the file is truncated.",
                "Copy or download it again.",
            ) from error
        except (OSError, zlib.error) as error:
            raise InputError(
                f"{path}: the gzip data is damaged ({error}).", "Copy or download it again."
            ) from error
    elif path.suffix == ".gz" and raw:
        raise InputError(
            f"{path} is named .gz but holds no gzip data.", "Rename it, or compress it."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: not UTF-8 text.", "Save the file as UTF-8."
        ) from error


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: broken JSON ({error.msg}, column {error.colno}).",
            "Mend that line, or write the file again.",
        ) from error


def _parsed_line(path: Path, line: str, number: int, is_first: bool, whole: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        if is_first and line.strip() == "{":  # one object over many lines
            _parsed(path, whole)
            raise InputError(
                f"{path} holds one JSON object, where rows are needed.",
                "Give a JSON array or one object a line.",
            ) from error
        raise InputError(
            f"{path}, line {number}: broken JSON ({error.msg}, column {error.colno}).",
            "Mend that line, or write the file again.",
        ) from error


def _is_object(path: Path, at: int, value: Any, unit: str = "entry") -> bool:
    if isinstance(value, dict):
        return True
    raise InputError(
        f"{path}, {unit} {at}: a {type(value).__name__} where an object is needed.",
        'Each row is a JSON object, such as {"prompt": …, "output": …}.',
    )
