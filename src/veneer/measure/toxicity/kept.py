"""Scores that a service gave, kept: no text is sent again, whatever is killed in between."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from veneer.errors import InputError
from veneer.measure.toxicity.scores import Score
from veneer.models.api.journal import default_journal

APPLICATION = 0x56454E53
"""SQLite's application id of such a file: "VENS"."""
BUSY_SECONDS = 60.0
AT_ONCE = 500  # keys in one query


def default_path() -> Path:
    """scores.sqlite beside the user's journal ($VENEER_JOURNAL, or the user's data folder)."""
    return default_journal().with_name("scores.sqlite")


def score_key(scorer: str, url: str, model: str, attributes: Sequence[str], text: str) -> str:
    """64 hex digits that name one score: SHA-256 over what decides it. No key is part of it."""
    wanted = [scorer, url, model, sorted(set(attributes)), text]
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


class Kept:
    """An open file of scores; use it from any thread, and `close` it.

    Raises:
        InputError: the file is another program's, is damaged or cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _prepare(self) -> None:
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            self._database.close()
            raise InputError(
                f"{self.path} is a database of another program, not one of scores.",
                "Move it, or name a journal in another folder in VENEER_JOURNAL.",
            )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(f"PRAGMA application_id={APPLICATION}")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS scores"
            " (key TEXT PRIMARY KEY, value REAL, reason TEXT NOT NULL) WITHOUT ROWID"
        )

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def found(self, keys: Iterable[str]) -> dict[str, Score]:
        """The scores that are known, by key."""
        wanted, found = sorted(set(keys)), {}
        with self._lock:
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value, reason FROM scores WHERE key IN ({marks})"
                for key, value, reason in self._run(query, some):
                    found[key] = Score(value, reason)
        return found

    def keep(self, scores: Mapping[str, Score]) -> None:
        """Write scores; when this returns, a kill of the process does not lose them."""
        rows = [(key, score.value, score.reason) for key, score in scores.items()]
        marks = ",".join(["(?, ?, ?)"] * len(rows))
        if rows:
            with self._lock:
                values = [value for row in rows for value in row]
                self._run(f"INSERT OR REPLACE INTO scores VALUES {marks}", values)

    def _run(self, query: str, values: Sequence[object]) -> list[tuple[str, float | None, str]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException) -> InputError:
        return InputError(
            f"The file of scores {self.path} cannot be used: {error}.",
            "Mend or move it (then its scores are asked for again), make its folder writable, or "
            "name a journal in another folder in VENEER_JOURNAL.",
        )
