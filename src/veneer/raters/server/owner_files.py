"""Votes as files for the owner: JSON lines for programs, CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from veneer.raters.spreadsheets import cell
from veneer.records import Vote

COLUMNS = ("item", "rater", "choice", "origin", "seconds", "reason")


def votes_jsonl(votes: Iterable[Vote]) -> bytes:
    """One vote a line, as `Vote`."""
    return "".join(vote.model_dump_json() + "\n" for vote in votes).encode()


def votes_csv(votes: Iterable[Vote]) -> bytes:
    """A table with a header (RFC 4180), UTF-8 with the mark that spreadsheets look for.

    Text that a spreadsheet would run as a formula is made text by an apostrophe before it.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for vote in votes:
        row = vote.model_dump(mode="json", include=set(COLUMNS))
        writer.writerow([cell(row[column]) for column in COLUMNS])
    return out.getvalue().encode("utf-8-sig")
