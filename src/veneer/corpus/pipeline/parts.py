"""Parts: up to 1,000 records of one file, filtered row by row, as one Arrow IPC file.

A part holds the rows of `veneer.corpus.rows` and, beside them, what the stages that look at all
rows need: small keys that are read without reading the text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.corpus import rows
from veneer.corpus.dedup import NO_KEY, bare, digest, key_of
from veneer.corpus.importing import Profile
from veneer.corpus.importing.formats import AGAIN
from veneer.corpus.pipeline.filtering import SIGNATURE, filters, pieces, signature_column
from veneer.corpus.pipeline.settings import Curation
from veneer.corpus.splitting import SPLIT

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1000
"""Records of a part."""


def filtered(batch: pa.RecordBatch, settings: Curation) -> pa.Table:
    """A batch after every filter that looks at one row at a time, with the keys of its rows.

    Columns beside those of `rows.schema()`:
        stage: the filter that rejected the row, "" while it is kept.
        piece: it is a later piece of a conversation that was split; later: it is, or is another
            dialogue of the record before, and so no record of its own.
        key: what exact duplicates share; query: the record's first question as it was read; 16
            zero bytes if there is none.
        asked_keys: one for each question, up to case, width, spacing and punctuation.
        profile: in the first row, what importing counted in the batch, as JSON.
        signature: what near-duplicates are found by, where they are looked for.
    """
    import pyarrow as pa

    counted = Profile()
    counted.add(batch)
    batch = pieces(batch, settings)
    stages = ["import" if reason else "" for reason in batch.column("reason").to_pylist()]
    for name, function in filters(settings):
        batch = function(batch)
        reasons = batch.column("reason").to_pylist()
        stages = [old or (name if new else "") for old, new in zip(stages, reasons, strict=True)]
    turns = batch.column("messages").to_pylist()
    notes = batch.column("notes").to_pylist()
    piece = [SPLIT in each for each in notes]
    asked = [[digest(bare(t["content"])) for t in each if t["role"] == "user"] for each in turns]
    first = [digest(text) if text.strip() else NO_KEY for text in batch.column("asked").to_pylist()]
    profile = [json.dumps(counted.result())] + [""] * (len(turns) - 1)
    key = pa.binary(16)
    columns: list[tuple[str, Any, Any]] = [
        ("stage", stages, pa.string()),
        ("piece", piece, pa.bool_()),
        ("later", [p or AGAIN in n for p, n in zip(piece, notes, strict=True)], pa.bool_()),
        ("key", [key_of(each, settings.dedup, settings.sameness) for each in turns], key),
        ("query", first, key),
        ("asked_keys", asked, pa.list_(key)),
        ("profile", profile[: len(turns)], pa.string()),
    ]
    table = pa.Table.from_batches([batch])
    if settings.near_duplicates is not None:
        table = table.append_column(SIGNATURE, signature_column(rows.queries(batch)))
    for name, values, kind in columns:
        table = table.append_column(name, pa.array(values, kind))
    return table.combine_chunks()


def write_part(path: Path, table: pa.Table) -> None:
    """An IPC file that appears whole or not at all."""
    import pyarrow as pa

    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.OSFile(str(scratch), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)
    scratch.replace(path)


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A part, mapped into memory; only `columns` are touched."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions()
    with pa.memory_map(str(path)) as source:
        if columns is not None:
            names = pa.ipc.open_file(source).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(c) for c in columns])
        return pa.ipc.open_file(source, options=options).read_all()


def filter_part(path: Path, batch: pa.RecordBatch, settings: Curation) -> Path:
    """Filter a batch and keep it as a part: what a worker process does."""
    write_part(path, filtered(batch, settings))
    return path


def keys_in(table: pa.Table, column: str) -> list[bytes]:
    """The keys of a column; `NO_KEY` where there is none."""
    return [key or NO_KEY for key in table.column(column).to_pylist()]


def questions(table: pa.Table) -> Iterator[list[str]]:
    """The texts of all user turns, row by row."""
    for turns in table.column("messages").to_pylist():
        yield [turn["content"] for turn in turns if turn["role"] == "user"]


def as_batch(table: pa.Table) -> pa.RecordBatch:
    """The columns of `rows.schema()` as one batch."""
    import pyarrow as pa

    names = rows.schema().names
    batches = table.select(names).combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema())
