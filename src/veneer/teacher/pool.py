"""Prompt pools: what may be asked, where it came from and under which terms.

Rows met in the wild, one prompt a row (JSONL, JSON, CSV, TSV, plain text, or any of them
gzipped); the first field of these that is there is the question:

    {"text"}  {"prompt"}  {"question"}  {"query"}         a string
    {"instruction", "input"}                              Alpaca: joined by a line break
    {"messages"}  {"turns"}  {"conversations"}            the first user turn
    a line of a text file                                 as it is

`category`, `source` (default: the file's stem) and `licence` (or `license`) are kept. A text that
occurs twice is asked once; every occurrence is counted under its own source.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.files import HUB, name_of, read_records
from veneer.records import Dropped, Prompt

TEXTS = ("text", "prompt", "question", "query")
TURNS = ("messages", "turns", "conversations")
USERS = ("user", "human")


@dataclass
class Pool:
    """What may be asked.

    `prompts`: the first of each text, in order. `asked_of`: rows by (source, licence), repeats
    included. `broken`: rows that are no prompt, with their reason and place. Counts add up:
    `rows` = len(prompts) + repeats + len(broken).
    """

    prompts: list[Prompt] = field(default_factory=list)
    rows: int = 0
    repeats: int = 0
    asked_of: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[Dropped] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """Where the prompts came from, as plain values."""
        sources = [
            {"source": source, "licence": licence, "rows": rows}
            for (source, licence), rows in sorted(self.asked_of.items())
        ]
        reasons = Counter(row.reason for row in self.broken)
        return {
            "rows": self.rows,
            "prompts": len(self.prompts),
            "repeats": self.repeats,
            "broken": dict(sorted(reasons.items())),
            "sources": sources,
        }


class _NoPrompt(Exception):
    """A row without a question; its text is the reason."""


def read_pool(*paths: Path) -> Pool:
    """All prompts of some files, in order.

    Raises:
        InputError: a file is missing or cannot be read, or there is no prompt in any of them.
    """
    pool = Pool()
    seen: set[str] = set()
    for path in paths:
        source = stem_of(path)
        for record in read_records(path):
            pool.rows += 1
            origin = f"{Path(path).name}:{record.at.split()[-1]}"
            if record.broken:
                pool.broken.append(_dropped(record.broken, origin, source, record.text))
                continue
            try:
                prompt = _prompt(record.value, source)
            except _NoPrompt as reason:
                text = json.dumps(record.value, ensure_ascii=False)
                pool.broken.append(_dropped(str(reason), origin, source, text))
                continue
            pool.asked_of[prompt.source, prompt.licence] += 1
            if prompt.id in seen:
                pool.repeats += 1
            else:
                seen.add(prompt.id)
                pool.prompts.append(prompt)
    if not pool.prompts:
        files = ", ".join(str(path) for path in paths)
        first = f" {pool.broken[0].origin}: {pool.broken[0].reason}." if pool.broken else ""
        raise InputError(
            f"There is no prompt in {files}.{first}",
            'Write one prompt a line, as text or as {"text": "…"}.',
        )
    return pool


def stem_of(path: str | Path) -> str:
    """What a file is called without its endings; of a data set of the hub its whole id."""
    name = name_of(path)
    return name if str(path).startswith(HUB) else name.split(".")[0]


def unique_prompts(prompts: Iterable[Prompt]) -> list[Prompt]:
    """The first prompt of each id (that is, of each text), in order."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.id, prompt)
    return list(first.values())


def _dropped(reason: str, origin: str, source: str, text: str) -> Dropped:
    return Dropped(reason=reason, origin=origin, source=source, text=text)


def _prompt(value: Any, source: str) -> Prompt:
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, Mapping):
        raise _NoPrompt("neither text nor an object")
    text = _question(value)
    if not text.strip():
        raise _NoPrompt("an empty question")
    return Prompt(
        text=text,
        category=str(value.get("category") or ""),
        source=str(value.get("source") or source),
        licence=str(value.get("licence") or value.get("license") or ""),
    )


def _question(row: Mapping[str, Any]) -> str:
    for name in TEXTS:
        if isinstance(row.get(name), str):
            return str(row[name])
    if isinstance(row.get("instruction"), str):
        given = row.get("input")
        more = given if isinstance(given, str) and given.strip() else ""
        return f"{row['instruction']}\n{more}" if more else str(row["instruction"])
    for name in TURNS:
        if name in row:
            return _first_user(row[name])
    raise _NoPrompt("no known field")


def _first_user(turns: Any) -> str:
    for turn in _turns(turns):
        if isinstance(turn, str):
            return turn
        role = str(turn.get("role") or turn.get("from") or "").lower()
        said = turn.get("content", turn.get("value"))
        if role in USERS:
            if isinstance(said, str):
                return said
            raise _NoPrompt("a user turn that is no text")
    raise _NoPrompt("no user turn")


def _turns(turns: Any) -> Iterator[str | Mapping[str, Any]]:
    if not isinstance(turns, list):
        raise _NoPrompt("turns are no list")
    for turn in turns:
        if not isinstance(turn, str | Mapping):
            raise _NoPrompt("a turn that is neither text nor an object")
        yield turn
