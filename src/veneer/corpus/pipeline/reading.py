"""The batches of a file that are not filtered yet, and the queries of evaluation files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.corpus.importing import read_batches
from veneer.corpus.importing.formats import NoDialogue
from veneer.corpus.importing.reading import queries_of
from veneer.corpus.pipeline.inputs import DataFile
from veneer.corpus.pipeline.parts import ROWS
from veneer.corpus.pipeline.settings import Curation
from veneer.errors import InputError
from veneer.files import name_of, read_records

if TYPE_CHECKING:
    import pyarrow as pa

IDS = ("id", "question_id", "task_id", "prompt_id")


class Reading:
    """The batches of a file whose parts are not in `folder`, each with its part's path.

    parts: how many the file has, once it was read through. Records before the first missing part
    are passed over and not converted.
    """

    def __init__(self, file: DataFile, folder: Path, settings: Curation) -> None:
        self.file, self.folder, self.settings = file, folder, settings
        self.parts = 0

    def __iter__(self) -> Iterator[tuple[Path, pa.RecordBatch]]:
        while part_path(self.folder, self.parts).exists():
            self.parts += 1
        batches = read_batches(
            self.file.path,
            source=self.file.source,
            teacher=self.settings.teacher,
            licence=self.settings.licence,
            rows=ROWS,
            start=self.parts * ROWS,
        )
        for batch in batches:
            path = part_path(self.folder, self.parts)
            self.parts += 1
            if not path.exists():
                yield path, batch


def part_path(folder: Path, at: int) -> Path:
    """Where the part with a number lies."""
    return folder / f"part-{at:06d}.arrow"


@dataclass(frozen=True)
class Evaluation:
    """The queries of an evaluation file, with the records they came from."""

    name: str
    texts: tuple[str, ...]
    records: tuple[Any, ...]

    def id(self, at: int) -> str:
        """What the record calls itself, or its file and number."""
        record = self.records[at]
        names = IDS if isinstance(record, dict) else ()
        named = next((record[name] for name in names if record.get(name) is not None), None)
        return f"{self.name}:{at + 1}" if named is None else str(named)


def read_evaluation(path: Path) -> Evaluation:
    """The `text` of each record, or its query (the first user turn) where it has none.

    Raises:
        InputError: the file or a record cannot be read.
    """
    texts, records = [], []
    for record in read_records(path):
        try:
            value = record.value
            text = value.get("text") if isinstance(value, dict) else None
            texts.append(text if isinstance(text, str) else queries_of(record)[0])
            records.append(value)
        except NoDialogue as error:
            raise InputError(
                f"{path}, {record.at}: no text in it ({error}).",
                'Write each line as {"text": "…"}.',
            ) from None
    return Evaluation(name_of(path), tuple(texts), tuple(records))
