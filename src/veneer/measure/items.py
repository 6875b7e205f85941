"""Benchmark items from files in their published formats: JSON lines or an array, gzip or not."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.records import content_id

Item = dict[str, Any]


class Documents(list[Item]):
    """Items as an lm-eval task wants a split: a list that knows its columns.

    A `datasets.Dataset` would do; making one and reading a row from it takes far longer.
    """

    @property
    def features(self) -> dict[str, None]:
        """The names of the columns."""
        return dict.fromkeys(self[0]) if self else {}


def read_items(
    path: str | Path, fields: Mapping[str, type], limit: int | None = None
) -> list[Item]:
    """The rows of a file, each with these fields of these types (others are dropped).

    A missing file or field, a broken line and an empty file are one InputError each.
    """
    path = Path(path)
    rows: list[Item] = []
    for place, row in _rows(path):
        if limit is not None and len(rows) == limit:
            break
        if not isinstance(row, dict):
            raise InputError(f"{path}, {place}: not a JSON object.", _wanted(fields))
        for name, kind in fields.items():
            if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
                lack = "has no" if name not in row else "has an unusable"
                raise InputError(f"{path}, {place}: the item {lack} {name!r}.", _wanted(fields))
        rows.append({name: row[name] for name in fields})
    if not rows:
        raise InputError(f"{path} holds no items.", _wanted(fields))
    return rows


def item_ids(items: Iterable[Any]) -> tuple[str, ...]:
    """A content id an item; a repeated item's later ids end in #2, #3, …"""
    seen: dict[str, int] = {}
    ids = []
    for item in items:
        name = content_id(item)
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(ids)


def _rows(path: Path) -> Iterable[tuple[str, Any]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.", "") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is a truncated gzip file.", "Fetch the file again.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", "Save it as UTF-8 JSON lines.") from error
    if text.lstrip()[:1] == "[":
        try:
            for number, row in enumerate(json.loads(text), 1):
                yield f"entry {number}", row
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {error.lineno}: broken JSON ({error.msg}).",
                "Give a complete JSON array, or one JSON object a line.",
            ) from error
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: broken JSON ({error.msg}).",
                    "Every line must be one complete JSON object.",
                ) from error


def _wanted(fields: Mapping[str, type]) -> str:
    listed = ", ".join(f'"{name}" ({kind.__name__})' for name, kind in fields.items())
    return f"Each item needs {listed}."
