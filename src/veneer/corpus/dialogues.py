"""All dialogues of a file at once, for callers that hold them in memory anyway."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from veneer.corpus.importing import read_batches, read_texts
from veneer.corpus.rows import dialogues, dropped
from veneer.records import Dialogue

__all__ = ["Imported", "read_dialogues", "read_texts"]


@dataclass
class Imported:
    """Dialogues in the order read; (reason, text) of records that are none; turns cut off.

    `records` = len(dialogues) + len(dropped). `trimmed` counts turns by reason, in dialogues
    that were kept without them.
    """

    dialogues: list[Dialogue] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    trimmed: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Rows that the records read became, kept or not."""
        return len(self.dialogues) + len(self.dropped)


def read_dialogues(path: Path, into: Imported | None = None, source: str = "") -> Imported:
    """All records of a file; `source` (default: the file's stem) marks those that name none."""
    imported = Imported() if into is None else into
    for batch in read_batches(path, source=source):
        imported.dialogues += dialogues(batch)
        cut: Counter[str] = Counter(imported.trimmed)
        for left in dropped(batch):
            if left.unit == "record":
                imported.dropped.append((left.reason, left.text))
            else:
                cut[left.reason] += 1
        imported.trimmed = dict(cut)
    return imported
