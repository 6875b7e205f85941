"""Public errors: each says what was given, what is allowed and what to type next.

The command line prints them without a traceback and exits with `exit_code`:
2 for a user's mistake (usage or input), 1 for a failure on the way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VeneerError(Exception):
    """Base of every error that users meet.

    Args:
        message: what was given and why it cannot be used, one sentence or two.
        hint: what to type next; printed on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[VeneerError], tuple[str, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.message, self.hint)


class InputError(VeneerError):
    """A file or value that the user gave cannot be used."""

    exit_code = 2


class SpecError(InputError):
    """A study file says something that no study can mean."""


class RunFolderError(InputError):
    """A run folder is in use, or belongs to another study."""


class StepFailed(VeneerError):
    """A step of a study failed; the others' results are kept and a rerun goes on from there."""


class Interrupted(VeneerError):
    """The person stopped the run; what was done is kept."""

    exit_code = 130


def nearest(given: str, known: Iterable[str]) -> str:
    """The hint for a mistyped name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."
