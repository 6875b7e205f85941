"""Tables as records: CSV and TSV with a header row, Parquet, data sets of the Hugging Face hub."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.files.values import Record, shown

LARGEST_FIELD = 1 << 30
"""Characters of one field; the standard library's limit is 131,072."""


def delimited_rows(path: Path, lines: Iterable[str], delimiter: str = "") -> Iterator[Record]:
    """Records of a table whose first row names its columns; row 1 is the first below it.

    `delimiter`: the character between fields; without one, a comma, or, where the header has
    none, the semicolon or tab that it has. A row with more or fewer fields than the header
    is broken.

    Raises:
        InputError: a header with a column twice, or with none.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_FIELD))
    source = iter(lines)
    first = next(source, "")
    if not delimiter:
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(_chained(first, source), delimiter=delimiter, strict=True)
    names = next(_rows(reader), None)
    if not isinstance(names, list) or not any(names):
        raise InputError(f"{path} has no header row.", "Name the columns in the first row.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has the column {twice!r} twice.", "Rename one of them.")
    for number, row in enumerate(_rows(reader), 1):
        at = f"row {number}"
        if isinstance(row, csv.Error):
            yield Record(at, broken=f"not CSV: {row}")
            continue
        text = delimiter.join(row)
        if shown(text) != text:
            yield Record(at, broken="not UTF-8", text=shown(text))
        elif len(row) != len(names):
            why = "more" if len(row) > len(names) else "fewer"
            yield Record(at, broken=f"{why} fields than the header", text=text)
        else:
            yield Record(at, dict(zip(names, row, strict=True)))


def _chained(first: str, source: Iterator[str]) -> Iterator[str]:
    yield first
    yield from source


def _rows(reader: Any) -> Iterator[list[str] | csv.Error]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error
            continue
        if row:
            yield row


def parquet_rows(path: Path) -> Iterator[Record]:
    """Records of a Parquet file, a thousand in memory at a time.

    Raises:
        InputError: not Parquet, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"row {number}", row)
    except (pa.ArrowException, OSError) as error:
        what = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read as Parquet after {number:,} rows: {what}",
            "Copy or download it again.",
        ) from error


def hub_rows(name: str) -> Iterator[Record]:
    """Records of a data set by its id, "org/name[@revision][:split]", streamed by `datasets`.

    Without a split: "train", or the only one there is. A local folder of data files can stand
    in place of the id.

    Raises:
        InputError: no such data set or split, or the hub cannot be reached.
    """
    from datasets import load_dataset

    given, split = name, ""
    at = name.rfind(":")
    if at > name.rfind("/"):
        name, split = name[:at], name[at + 1 :]
    name, _, revision = name.partition("@")
    if not name.strip("/ "):
        raise InputError(
            f"'hub:{given}' names no data set.",
            "Write it as hub:ORGANISATION/NAME, or give a file.",
        )
    try:
        splits = load_dataset(name, revision=revision or None, streaming=True)
        names = [str(each) for each in splits]
        chosen = split or (names[0] if len(names) == 1 else "train")
        if chosen not in names:
            raise InputError(
                f"hub:{given} has no split {chosen!r}.",
                f"Give one of {', '.join(names)}, as in hub:{name}:{names[0]}.",
            )
        for number, row in enumerate(splits[chosen], 1):
            yield Record(f"row {number}", dict(row))
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # what `datasets` raises, network included
        what = (str(error).splitlines() or [""])[0][:200]
        raise InputError(
            f"hub:{given} cannot be read ({type(error).__name__}: {what}).",
            "Check the id and the network (for a gated data set, log in with `hf auth login`), "
            "or download the file and give its path.",
        ) from error
