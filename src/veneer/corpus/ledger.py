"""The licence ledger: under which published terms each part of a corpus stands. No legal advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from veneer.records import LedgerLine

Purpose = Literal["compete", "commercial"]


def ledger(
    counts: Mapping[tuple[str, str, str], int], overrides: Path | None = None
) -> tuple[LedgerLine, ...]:
    """A line for each (source, teacher, licence) with its count, sorted."""
    raise NotImplementedError


def verdict(lines: Sequence[LedgerLine], purpose: Purpose) -> str:
    """What the mixture as a whole permits ("allowed", "forbidden", "unknown"): the strictest."""
    raise NotImplementedError


def conflicts(lines: Sequence[LedgerLine], corpus: str = "") -> list[str]:
    """Sentences to say before training."""
    raise NotImplementedError
