"""Who is alive: each process that writes a journal holds a locked file of its own beside it.

The lock ends with the process, however it ends, so what a killed process had begun is known to
be nobody's at once and without a time limit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


class Owner:
    """This process's mark in the folder of a journal's owners; `name` tells owners apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._lock = os.open(folder / self.name, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def alive(self, name: str) -> bool:
        """Whether the owner of that name still runs; True of this one."""
        if name == self.name or not name:
            return bool(name)
        try:
            other = os.open(self.folder / name, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(other)
        return False

    def sweep(self) -> None:
        """Remove the marks of owners that are gone. Only under `opening`."""
        for mark in self.folder.iterdir():
            if not self.alive(mark.name):
                mark.unlink(missing_ok=True)

    def leave(self) -> None:
        """Give the mark back."""
        (self.folder / self.name).unlink(missing_ok=True)
        os.close(self._lock)


@contextlib.contextmanager
def opening(path: Path) -> Iterator[None]:
    """One process at a time while a journal is opened, made or swept."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
