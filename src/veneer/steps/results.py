"""A folder of results outside any run folder: written whole or not at all, over nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import RunFolderError
from veneer.steps.space import told_when_full

ABOUT = "provenance.json"
"""What every such folder holds: an object with its `kind`, and as `study` what it was made of."""


def identity_of(files: Sequence[tuple[str, Path]]) -> list[dict[str, str]]:
    """What files that decide a result are known by: role, name without folders, and content."""
    return [
        {"role": role, "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for role, path in files
    ]


def check_results(out: Path, kind: str, study: Mapping[str, Any], called: str) -> None:
    """Refuse a folder that holds anything but the same results.

    Args:
        out: where results are to go; absent, empty, or results of this kind and study.
        kind, study: what `ABOUT` says, or would say, of them.
        called: the kind with its article, for messages ("an audit").

    Raises:
        RunFolderError: `out` is a file, or holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir():
        raise RunFolderError(f"{out} is a file, not a folder.", "Choose another --out.")
    try:
        found = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict) or found.get("kind") != kind:
        raise RunFolderError(f"{out} holds something else than {called}.", "Choose another --out.")
    if found.get("study") != study:
        raise RunFolderError(
            f"{out} holds {called} of other files.", "Choose another --out, or delete that one."
        )


@contextlib.contextmanager
def results_in(out: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the name `out` at the end, and on an error it is gone.

    What `out` held before is removed only after that.

    Raises:
        StepFailed: the disk is full.
    """
    with told_when_full(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            made = Path(scratch) / out.name
            made.mkdir()
            yield made
            _put_in_place(made, out, Path(scratch) / "old")


def _put_in_place(made: Path, out: Path, old: Path) -> None:
    if not out.exists():
        made.rename(out)
        return
    out.rename(old)
    try:
        made.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)
