"""What every row is: frozen, with a content id; and how files of rows are written and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from veneer.errors import InputError


class Record(BaseModel):
    """A frozen row. Two rows with equal content have equal ids, on every machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def content_id(self) -> str:
        """16 hex digits of SHA-256 over the canonical JSON of the row."""
        return content_id(self.model_dump(mode="json"))


def content_id(value: Any) -> str:
    """16 hex digits of SHA-256 over a JSON value's canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


R = TypeVar("R", bound=Record)


def write_rows(path: Path, rows: Iterable[Record]) -> int:
    """Write one JSON object a line; returns how many. The caller makes it atomic."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(row.model_dump_json() + "\n")
            count += 1
    return count


def read_rows(path: Path, kind: type[R]) -> Iterator[R]:
    """Read rows that `write_rows` wrote; a broken line is named with its number."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                why = error.errors()[0]["msg"]
                raise InputError(
                    f"{path}, line {number}: not a {kind.__name__} row ({why}).",
                    "The file was changed or written by another version; run the study again.",
                ) from error
