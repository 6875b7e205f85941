"""The queries alone: for diversity, and of evaluation files that must not be asked in a corpus."""

from __future__ import annotations

from pathlib import Path

from veneer.corpus.importing.formats import NoDialogue
from veneer.corpus.importing.reading import queries_of
from veneer.errors import InputError
from veneer.files import Record, read_records


def read_queries(path: str | Path, unreadable: list[str] | None = None) -> list[str]:
    """The query of each record of a file of any known format, in order; "" where it is empty.

    The query is the first user turn as it was read; of an Alpaca or Self-Instruct record the
    instruction, a newline and the input (of its first instance).

    Args:
        path: a file or hub data set, as for `read_batches`.
        unreadable: given, records that cannot be read are named there ("line 17: not JSON …")
            and left out; without it the first one is an error.

    Raises:
        InputError: as `veneer.files.read_records`, or a record that cannot be read.
    """
    return _read(path, unreadable, plain=False)


def read_texts(path: str | Path) -> list[str]:
    """The `text` of each record, or its query where it has none: documents, evaluation texts.

    Raises:
        InputError: as `read_queries`; every record must have a text.
    """
    return _read(path, None, plain=True)


def _read(path: str | Path, unreadable: list[str] | None, plain: bool) -> list[str]:
    texts = []
    for record in read_records(path):
        try:
            texts.append(_text(record) if plain else queries_of(record)[0])
        except NoDialogue as error:
            if unreadable is None:
                raise InputError(
                    f"{path}, {record.at}: no text in it ({error}).",
                    'Write each line as {"text": "…"}.',
                ) from None
            unreadable.append(f"{record.at}: {error}")
    return texts


def _text(record: Record) -> str:
    value = record.value
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    return queries_of(record)[0]
