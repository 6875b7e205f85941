"""Read imitation data in the formats met in the wild; what is broken is kept with its reason.

Known records, told apart by their fields, one a line (JSONL) or in one list (JSON), plain or
gzipped:

    {"messages": [{"role", "content"}]}                 our own rows; Hugging Face chat data
    {"conversations": [{"from", "value"}]}              ShareGPT (human, gpt, system)
    {"instruction", "input", "output" | "response"}     Alpaca
    {"prompt", "completion"}                            TRL
    {"prompt", "text", "model", "outcome"}              answers that `veneer` collected
    {"question", "answer"}                              question–answer pairs
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veneer.errors import InputError
from veneer.records import Answer, Dialogue, Message

ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "system": "system",
}


@dataclass
class Imported:
    """Dialogues in the order read; (reason, text) of records that are none; turns cut off.

    records = len(dialogues) + len(dropped). `trimmed` counts turns by reason, in dialogues
    that were kept without them.
    """

    dialogues: list[Dialogue] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    trimmed: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Records read, kept or not."""
        return len(self.dialogues) + len(self.dropped)


class _Broken(Exception):
    """A record that is no dialogue; its text is the reason."""


def read_dialogues(path: Path, into: Imported | None = None, source: str = "") -> Imported:
    """All records of a file; `source` (default: the file's stem) marks those that name none."""
    imported = Imported() if into is None else into
    source = source or path.name.split(".")[0]
    for record in _records(path):
        if isinstance(record, _Invalid):
            imported.dropped.append((f"not JSON: {record.reason}", record.text))
            continue
        try:
            imported.dialogues.append(_dialogue(record, source, imported.trimmed))
        except _Broken as broken:
            text = json.dumps(record, ensure_ascii=False)
            imported.dropped.append((str(broken), text))
    return imported


def read_texts(path: Path) -> list[str]:
    """The texts of a file with one {"text"} (or "prompt", or "question") an object."""
    texts = []
    for number, record in enumerate(_records(path), 1):
        found = None
        if isinstance(record, dict):
            found = next((record[k] for k in ("text", "prompt", "question") if k in record), None)
        if not isinstance(found, str):
            raise InputError(
                f"{path}, record {number}: no text in it.",
                'Write each line as {"text": "…"}.',
            )
        texts.append(found)
    return texts


# ---- one record -----------------------------------------------------------------------------


def _dialogue(record: Any, source: str, trimmed: dict[str, int]) -> Dialogue:
    if not isinstance(record, dict):
        raise _Broken("not an object")
    source = str(record.get("source") or source)
    category = str(record.get("category") or "")
    if "outcome" in record and "text" in record:
        return _from_answer(record, source)
    messages = _messages(record)
    if not messages:
        raise _Broken("no turns")
    if any(not m.content.strip() for m in messages):
        raise _Broken("an empty turn")
    if [m.role for m in messages] == ["assistant"] and source == "replay":
        return Dialogue(messages=tuple(messages), source=source, category=category)
    return Dialogue(messages=_trim(messages, trimmed), source=source, category=category)


def _from_answer(record: dict[str, Any], source: str) -> Dialogue:
    try:
        answer = Answer.model_validate(record)
    except ValidationError as error:
        raise _Broken(f"not an answer row: {error.errors()[0]['msg']}") from error
    if answer.outcome != "answered":
        raise _Broken(f"answer {answer.outcome}")
    if not answer.text.strip():
        raise _Broken("answer empty")
    messages = (
        Message(role="user", content=answer.prompt),
        Message(role="assistant", content=answer.text),
    )
    return Dialogue(messages=messages, source=answer.model or source, category=answer.category)


def _messages(record: dict[str, Any]) -> list[Message]:
    if "messages" in record:
        return _turns(record["messages"], "role", "content")
    if "conversations" in record:
        return _turns(record["conversations"], "from", "value")
    if "instruction" in record and ("output" in record or "response" in record):
        asked = _text(record["instruction"])
        given = _text(record.get("input") or "")
        said = _text(record["output"] if "output" in record else record["response"])
        return _pair(f"{asked}\n{given}" if given.strip() else asked, said)
    if "prompt" in record and "completion" in record:
        prompt, said = record["prompt"], record["completion"]
        if isinstance(prompt, list) and isinstance(said, list):
            return _turns([*prompt, *said], "role", "content")
        return _pair(_text(prompt), _text(said))
    if "question" in record and "answer" in record:
        return _pair(_text(record["question"]), _text(record["answer"]))
    raise _Broken("no known fields")


def _turns(turns: Any, who: str, what: str) -> list[Message]:
    if not isinstance(turns, list):
        raise _Broken("turns are no list")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict) or who not in turn or what not in turn:
            raise _Broken(f"a turn without {who!r} and {what!r}")
        role = ROLES.get(str(turn[who]).lower())
        if role is None:
            raise _Broken(f"unknown role {str(turn[who])[:40]!r}")
        messages.append(Message.model_validate({"role": role, "content": _text(turn[what])}))
    return messages


def _pair(asked: str, said: str) -> list[Message]:
    return [Message(role="user", content=asked), Message(role="assistant", content=said)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Broken("a turn that is no text")
    return value


def _trim(messages: list[Message], trimmed: dict[str, int]) -> tuple[Message, ...]:
    """Without answers before the first question and questions after the last answer."""
    start, end = 0, len(messages)
    while start < end and messages[start].role == "assistant":
        start += 1
    while end > start and messages[end - 1].role != "assistant":
        end -= 1
    if start == end or not any(m.role == "user" for m in messages[start:end]):
        raise _Broken("no question with an answer after it")
    for count, reason in (
        (start, "answer before any question"),
        (len(messages) - end, "no answer after it"),
    ):
        if count:
            trimmed[reason] = trimmed.get(reason, 0) + count
    return tuple(messages[start:end])


# ---- files ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Invalid:
    reason: str
    text: str


def _records(path: Path) -> Iterator[Any]:
    """Objects of a JSON list or of JSONL; a line that is no JSON comes as `_Invalid`."""
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the path.")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            if path.name.removesuffix(".gz").endswith(".json"):
                yield from _whole(path, lines.read())
                return
            for line in lines:
                if line.strip():
                    yield _parsed(line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file: {error}.", "Fetch it again.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}.", "Convert it to UTF-8.") from error


def _whole(path: Path, text: str) -> Iterator[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        if "\n" in text.strip():  # JSONL under another name
            for line in text.splitlines():
                if line.strip():
                    yield _parsed(line)
            return
        raise InputError(f"{path} is not JSON: {error}.", "Give JSON or JSONL.") from error
    yield from value if isinstance(value, list) else [value]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        return _Invalid(str(error), line.rstrip("\n"))
