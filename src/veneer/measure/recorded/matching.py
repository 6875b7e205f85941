"""Which item of a benchmark a recorded row belongs to: by question, id or number, or not at all."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row

ITEM_FIELDS = ("task_id", "question", "item", "id", "idx", "doc_id", "prompt", "instruction")
"""Where a row says which item it is, in the order in which it is believed."""

SAID_FIELDS = (
    "prediction", "completion", "output", "response", "generation", "solution", "answer",
)  # fmt: skip
"""Where a row holds what the model said. `answer` is that only if it is no right answer."""


class Items:
    """The items of a benchmark file, found again.

    Args:
        path: the file, for messages.
        kind: what an item is called ("question").
        texts: each item's question, or task id.
        ids: each item's name in score sheets; found as well.
        groups: each item's subject, where items have one.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        texts: Sequence[str],
        ids: Sequence[str],
        groups: Sequence[str] = (),
    ) -> None:
        self.path, self.kind = path, kind
        self.texts, self.ids = tuple(texts), tuple(ids)
        self._by_text: dict[str, list[int]] = defaultdict(list)
        self._by_group: dict[str, list[int]] = defaultdict(list)
        for at, text in enumerate(self.texts):
            self._by_text[_plain(text)].append(at)
        for at, group in enumerate(groups):
            self._by_group[group].append(at)
        self._by_id = {name: at for at, name in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.texts)

    def candidates(self, fields: Mapping[str, Any]) -> list[int]:
        """The places of the items that a row can mean, in the file's order; empty if none.

        `subject` and `idx` together name the question of that number in its subject. Numbers
        count from 0.
        """
        group, number = fields.get("subject"), fields.get("idx")
        if self._by_group and isinstance(group, str):
            members = self._by_group.get(group, [])
            if isinstance(number, int) and _is_count(number):
                return members[number : number + 1] if number >= 0 else []
            key = key_of(fields)
            return [at for at in self._found(key) if at in members]
        return self._found(key_of(fields))

    def find(self, path: Path, row: Row, taken: set[int]) -> int:
        """The place of the row's item; of several with one text, the first that is not taken.

        Raises:
            InputError: no such item.
        """
        found = self.candidates(row.fields)
        if found:
            return next((at for at in found if at not in taken), found[0])
        key = key_of(row.fields)
        if isinstance(row.fields.get("subject"), str) and _is_count(row.fields.get("idx")):
            key = f"{row.fields['subject']}/{row.fields['idx']}"
        raise InputError(
            f"{path}, {row.at}: {self.path.name} has no {self.kind} {_shown(key)}.",
            self._hint(key),
        )

    def _found(self, key: Any) -> list[int]:
        if _is_count(key):
            return [key] if 0 <= key < len(self) else []
        if not isinstance(key, str):
            return []
        found = self._by_text.get(_plain(key))
        if found:
            return found
        if key in self._by_id:
            return [self._by_id[key]]
        return self._found(int(key)) if key.isdecimal() and len(key) < 10 else []

    def _hint(self, key: Any) -> str:
        if isinstance(key, str) and not key.isdecimal():
            close = difflib.get_close_matches(_plain(key), self._by_text, n=1, cutoff=0.6)
            if close:
                return f"Did you mean {_shown(self.texts[self._by_text[close[0]][0]])}?"
        return (
            f"Name each {self.kind} as that file does, or by its number from 0 to "
            f"{len(self) - 1}; or give the --benchmark-data that these answers belong to."
        )


def key_of(fields: Mapping[str, Any]) -> str | int | None:
    """What the row calls its item; None if it does not say."""
    for name in ITEM_FIELDS:
        value = fields.get(name)
        if (isinstance(value, str) and value.strip()) or _is_count(value):
            return value
    return None


def said_in(fields: Mapping[str, Any]) -> str | None:
    """The name of the field that holds what the model said; None if there is none."""
    for name in SAID_FIELDS:
        if name in fields and not isinstance(fields[name], list | dict):
            return name
    return None


def said(path: Path, row: Row) -> str | None:
    """What the model said; None where the file holds null for it.

    Raises:
        InputError: the row has nothing of the kind, or something else than text or a number.
    """
    name = said_in(row.fields)
    value = row.fields.get(name) if name is not None else False
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        has = ", ".join(sorted(row.fields)[:8]) or "(none)"
        raise InputError(
            f"{path}, {row.at}: says nothing that the model answered (its fields: {has}).",
            'Write it as text under "prediction" or "completion", or null where there was none.',
        )
    return str(value)


def is_own(fields: Mapping[str, Any]) -> bool:
    """Whether the row names an item and holds what was said to it."""
    named = key_of(fields) is not None
    return named and said_in(fields) is not None


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip("?").rstrip().casefold()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 100 else f"{text[:99]}…"
