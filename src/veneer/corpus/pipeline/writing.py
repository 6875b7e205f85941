"""The last pass: each part's rows as lines of corpus.jsonl and dropped.jsonl, then one file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from veneer.corpus import rows
from veneer.corpus.pipeline.judging import REASONS, STAGES
from veneer.corpus.pipeline.parts import as_batch, read_part
from veneer.corpus.stats import counts_of
from veneer.records import write_rows
from veneer.steps import whole


def write_fragments(
    part: Path,
    codes: bytes,
    folder: Path,
    tokenizer: Path | None,
    labels: list[str] | None = None,
) -> dict[str, Any]:
    """A part's lines, as PART.corpus and PART.dropped in `folder`, and its counts.

    `codes`: uint8, one a row; see `veneer.corpus.pipeline.judging`. `labels`: categories that a
    judge gave, one a row; None leaves those of the part. What is there already, from a
    run that was killed, is not made again: the counts appear last.
    """
    counts_file = folder / f"{part.stem}.json"
    if counts_file.exists():
        return json.loads(counts_file.read_text("utf-8"))
    table = read_part(part)
    given = np.frombuffer(codes, np.uint8)
    batch = rows.rejected(as_batch(table), [REASONS[code] for code in given])
    if labels is not None:
        batch = rows.with_texts(batch, "category", labels)
    stages = [
        old or STAGES[code]
        for old, code in zip(table.column("stage").to_pylist(), given, strict=True)
    ]
    about = zip(
        batch.column("source").to_pylist(),
        batch.column("reason").to_pylist(),
        stages,
        table.column("later").to_pylist(),
        strict=True,
    )
    kept, dropped = rows.dialogues(batch), rows.dropped(batch)
    counts = counts_of(
        [{"source": s, "reason": r, "stage": t, "later": p} for s, r, t, p in about],
        kept,
        dropped,
        tokenizer,
    )
    write_rows(folder / f"{part.stem}.corpus", kept)
    write_rows(folder / f"{part.stem}.dropped", dropped)
    appear(counts_file, json.dumps(counts, ensure_ascii=False))
    return counts


def joined(fragments: Iterable[Path], result: Path, scratch: Path) -> str:
    """Write fragments one after the other as `result`, which appears whole; its SHA-256."""
    hashed = hashlib.sha256()
    with scratch.open("wb") as out:
        for fragment in fragments:
            with fragment.open("rb") as lines:
                while block := lines.read(1 << 20):
                    hashed.update(block)
                    out.write(block)
    scratch.replace(result)
    return hashed.hexdigest()


def appear(path: Path, text: str) -> None:
    """A small file that appears whole or not at all."""
    with whole(path, path.with_name(f".{path.name}.{os.getpid()}")) as scratch:
        scratch.write_text(text, "utf-8")


def clear(folder: Path) -> None:
    """Remove a work folder."""
    shutil.rmtree(folder, ignore_errors=True)
