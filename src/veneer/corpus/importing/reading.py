"""From a file of imitation data to batches of rows: every record becomes at least one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from veneer.corpus.importing.formats import AGAIN, Conversation, NoDialogue, conversations
from veneer.corpus.importing.turns import Shaped, shaped
from veneer.corpus.rows import batch_of
from veneer.errors import InputError
from veneer.files import Record, name_of, read_records
from veneer.records import Answer

if TYPE_CHECKING:
    import pyarrow as pa

REPLAY = "replay"
"""Source of plain text that is replayed in training: an answer without a question."""


def read_batches(
    path: str | Path,
    *,
    source: str = "",
    teacher: str = "",
    licence: str = "",
    rows: int = 1000,
    start: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Batches (`veneer.corpus.rows.schema`) of all records of a file or hub data set.

    A record is a dialogue, several (an HC3 question with several ChatGPT answers, a
    Self-Instruct task with several instances: one dialogue each, all in one batch), or a
    reject with its reason and its raw text. A record's own `source`, `licence` (or `license`)
    and `teacher`, `model` or `generator` win over the arguments; without either, the source is
    the model of an answer that `veneer` collected, or the file's name up to the first dot.

    Args:
        path: a file (`veneer.files.read_records`), or "hub:org/name[@revision][:split]".
        source, teacher, licence: of records that name none.
        rows: records a batch; so batch k (from 0) begins with record k * rows, and `start` is a
            multiple of it when an import is taken up again.
        start: records to skip.

    Raises:
        InputError: as `read_records`; gzip data that breaks off is raised after the batches
            before it.
    """
    defaults = {"source": source, "teacher": teacher, "licence": licence}
    name = name_of(path)
    records = islice(read_records(path), start, None)
    damage: InputError | None = None
    while damage is None:
        batch: list[dict[str, Any]] = []
        taken = 0
        try:
            for record in islice(records, rows):
                taken += 1
                batch += rows_of(record, name, defaults)
        except InputError as error:
            damage = error
        if batch:
            yield batch_of(batch)
        if taken < rows:
            break
    if damage is not None:
        raise damage


def rows_of(record: Record, name: str, defaults: dict[str, str]) -> list[dict[str, Any]]:
    """The rows (columns of `veneer.corpus.rows.schema`) that one record of a file becomes.

    name: of the file, for `origin` ("name:17"; "name:17.2" for its second dialogue).
    defaults: `source`, `teacher` and `licence` where the record names none.
    """
    origin = f"{name}:{record.at.split()[-1]}"
    noted = [record.mended] if record.mended else []
    value = record.value
    about = defaults | {"origin": origin} | _about(value)
    if not about["source"]:
        about["source"] = about["teacher"] if _is_answer(value) else _stem(name)
    if record.broken:
        return [about | {"reason": record.broken, "text": record.text}]
    try:
        talks = _answer(value) if _is_answer(value) else conversations(value)
    except NoDialogue as error:
        return [about | {"reason": str(error), "text": _raw(value), "notes": noted}]
    except RecursionError:
        return [about | {"reason": "nested too deeply", "text": _raw(value), "notes": noted}]
    found = []
    for number, talk in enumerate(talks, 1):
        row = about | _row(talk, about["source"] == REPLAY)
        row["notes"] = row["notes"] + (noted if number == 1 else [AGAIN])
        row["origin"] += f".{number}" if number > 1 else ""
        row["text"] = _raw(value) if row["reason"] else ""
        found.append(row)
    return found


def queries_of(record: Record) -> list[str]:
    """The first user turn of each conversation of a record, "" where it has none.

    Raises:
        NoDialogue: a broken record, or one that is no conversation.
    """
    if record.broken:
        raise NoDialogue(record.broken)
    value = record.value
    talks = _answer(value) if _is_answer(value) else conversations(value)
    return [_first(talk.turns) for talk in talks]


def _row(talk: Conversation, replayed: bool) -> dict[str, Any]:
    plain = replayed and [role for role, _ in talk.turns] == ["assistant"]
    said = Shaped(talk.turns) if plain and talk.turns[0][1].strip() else shaped(talk.turns)
    return {
        "messages": [
            {"role": role, "content": text}
            for role, text in (talk.turns if talk.reason else said.turns)
        ],
        "reason": talk.reason or said.reason,
        "trimmed": [] if talk.reason or said.reason else said.trimmed + talk.cut,
        "notes": talk.notes + said.notes,
        "asked": _first(talk.turns),
        "starts": talk.turns[0][0] if talk.turns else "",
    }


def _first(turns: list[tuple[str, str]]) -> str:
    return next((text for role, text in turns if role == "user"), "")


def _about(value: Any) -> dict[str, str]:
    """What a record says of its own source, teacher, terms, category and language."""
    if not isinstance(value, dict):
        return {}
    own = {
        "source": ("source",),
        "licence": ("licence", "license"),
        "teacher": ("teacher", "model", "generator"),
        "category": ("category",),
    }
    if "messages" in value and {"origin", "teacher", "licence"} <= value.keys():  # our own row
        own |= {"origin": ("origin",), "language": ("language",)}
    found = {}
    for column, names in own.items():
        texts = [value.get(name) for name in names]
        text = next((t for t in texts if isinstance(t, str) and t.strip()), "")
        if text:
            found[column] = text
    return found


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and {"prompt", "text", "outcome"} <= value.keys()


def _answer(value: dict[str, Any]) -> list[Conversation]:
    try:
        answer = Answer.model_validate(value)
    except ValidationError as error:
        raise NoDialogue(f"not an answer row: {error.errors()[0]['msg']}") from None
    turns = [("user", answer.prompt), ("assistant", answer.text)]
    outcome = answer.outcome if answer.text.strip() else answer.outcome.replace("answered", "empty")
    return [Conversation(turns, reason="" if outcome == "answered" else f"answer {outcome}")]


def _raw(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deeply to be shown)"


def _stem(name: str) -> str:
    return re.split("[.@:]", name.split("/")[-1])[0]
