"""Rows of the files that people keep prompts and seeds in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read: why, and its text."""

    reason: str
    text: str


def rows_of(path: Path) -> Iterator[tuple[int, Any]]:
    """(line or row number from 1, value or Unreadable) of every row that is not blank.

    A file whose first character is "[" is one JSON list; .csv and .tsv have a header; .txt has
    a text a line; everything else has a JSON value a line. Each may end in .gz.
    """
    text = _text(path)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in ("csv", "tsv"):
        yield from _table(text, "\t" if kind == "tsv" else ",")
    elif kind == "txt":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, line
    elif text.lstrip()[:1] == "[":
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} starts as a JSON list and is none: {error}.", "Mend the place it names."
            ) from error
        yield from enumerate(rows, 1)
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield number, Unreadable(f"not JSON: {_short(error)}", line)


def _short(error: BaseException) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__


def _table(text: str, comma: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, Unreadable(f"not CSV: {error}", "")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
        elif len(cells) != len(header):
            reason = "another number of cells than the header"
            yield reader.line_num, Unreadable(reason, comma.join(cells))
        else:
            yield reader.line_num, dict(zip(header, cells, strict=True))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "Give a file, one row a line.") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Give a UTF-8 text file.") from error
