"""A full disk: known by what each library says of it, and said in one message."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from veneer.errors import StepFailed, VeneerError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, or a file larger than `ulimit -f` allows."""

WORDS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "database or disk is full",
    "PytorchStreamWriter failed writing",
    "inline_container.cc",
    "iostream error",
)
"""What safetensors, tokenizers, SQLite and torch say; they keep no error number. Of torch's file
writer only that it failed is known."""


def disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that the disk is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, VeneerError):
            return False  # it has been put into words
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(words in str(error) for words in WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def no_space(error: BaseException, folder: Path, what: str = "") -> StepFailed:
    """A full disk in words: which folder, how much is free, and how to go on.

    Args:
        error: what `disk_full` recognised; becomes the cause.
        folder: where was written, if the error does not name a file.
        what: what failed, as the beginning of the message ("Step x: ").
    """
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    place = Path(os.fsdecode(named)).parent if isinstance(named, str | bytes) else folder
    free = _free(place)
    there = "" if free is None else f" ({_size(free)} free)"
    begin = f"{what}no" if what else "No"
    failed = StepFailed(
        f"{begin} space is left on the disk of {place}{there}.",
        "Free some and type the same command again: what was done is kept, nothing is left "
        "half-written, and it goes on from there.",
    )
    failed.__cause__ = error
    return failed


@contextlib.contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Turn the errors of a full disk into one message about `folder`."""
    try:
        yield
    except Exception as error:
        if not disk_full(error):
            raise
        raise no_space(error, folder) from error


@contextlib.contextmanager
def whole(path: Path, scratch: Path) -> Iterator[Path]:
    """Let `scratch` be written and then take the name `path`; on an error nothing is left of it."""
    try:
        yield scratch
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def _free(place: Path) -> int | None:
    """Free bytes for this user, on the disk of the nearest folder that exists."""
    for folder in (place, *place.absolute().parents):
        if folder.is_dir():
            return shutil.disk_usage(folder).free
    return None


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
