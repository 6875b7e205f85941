"""Open a file that others wrote: plain or gzipped, told by its first bytes, errors in words.

Every way in which a file can be unreadable ends in an `InputError` that names it and says what
to do. Reading stays streaming: nothing here holds more than a buffer, except `read_text`.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from veneer.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
PACKED = {".zip": "unzip", ".zst": "unzstd", ".xz": "unxz", ".bz2": "bunzip2", ".7z": "7z x"}


class Damaged(InputError):
    """The file breaks off or is damaged inside; what came before could be read."""


def open_bytes(path: Path) -> BinaryIO:
    """A buffered stream of the file's bytes, unzipped if its first bytes say gzip.

    Raises:
        InputError: missing, a folder, empty, unreadable, not gzip although named so, packed in
            another way, or UTF-16.
        Damaged: from the stream's reads, where gzip data is truncated or damaged.
    """
    if path.suffix in PACKED:
        raise InputError(
            f"{path} is packed as {path.suffix[1:]}, which is not read here.",
            f"Unpack it first ({PACKED[path.suffix]}), or pack it with gzip.",
        )
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"No such file: {path}", "Check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder.", "Give one file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    head = raw.peek(4)[:4]
    if not head:
        raw.close()
        raise InputError(f"{path} is empty.", "Give a file that holds at least one row.")
    if head.startswith(GZIP_MAGIC):
        return io.BufferedReader(_Unzipped(path, raw), 1 << 16)
    if path.suffix == ".gz":
        raw.close()
        raise InputError(
            f"{path} is named .gz but holds no gzip data.", "Rename it, or compress it."
        )
    if head.startswith(UTF16_MARKS):
        raw.close()
        raise InputError(f"{path} is UTF-16 text.", "Save the file as UTF-8.")
    return raw


def read_text(path: Path) -> str:
    """The whole file as text, for files that must be whole.

    Raises:
        InputError: as `open_bytes`, or not UTF-8 (with the line).
    """
    with open_bytes(path) as stream:
        raw = stream.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: not UTF-8 text.", "Save the file as UTF-8."
        ) from error


class _Unzipped(io.RawIOBase):
    """Gzip data as a raw stream whose errors are `Damaged`."""

    def __init__(self, path: Path, raw: BinaryIO) -> None:
        self.path = path
        self.raw = raw
        self.unzipped = gzip.GzipFile(fileobj=raw)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what one read of the gzip data gives; 0 at its end."""
        try:
            found = self.unzipped.read1(len(buffer))
        except EOFError as error:
            raise Damaged(
                f"{self.path}: the gzip data ends before its end; the file is truncated.",
                "Copy or download it again.",
            ) from error
        except (OSError, zlib.error) as error:
            raise Damaged(
                f"{self.path}: the gzip data is damaged ({error}).", "Copy or download it again."
            ) from error
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self.unzipped.close()
            self.raw.close()
        super().close()
