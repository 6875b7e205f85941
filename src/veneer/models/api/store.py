"""The journal's file: an SQLite database in WAL mode and one thread that writes it.

Whoever wants something written hands in a function; the thread runs all that wait in one
transaction and only then tells them that it is done (group commit). With synchronous=FULL a
commit costs a disk flush of some milliseconds: 64 requests in flight share it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from veneer.errors import InputError
from veneer.models.api.owners import Owner, opening

APPLICATION = 0x56454E52
"""SQLite's application id of a journal: "VENR"."""
VERSION = 1
BUSY_SECONDS = 120.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, logprob REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (
    request TEXT PRIMARY KEY, owner TEXT NOT NULL, collection TEXT NOT NULL,
    keys TEXT NOT NULL, samples TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (key TEXT PRIMARY KEY, request TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_by ON held (request);
CREATE TABLE IF NOT EXISTS failures (
    key TEXT PRIMARY KEY, times INTEGER NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (
    collection TEXT NOT NULL, kind TEXT NOT NULL, requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usd REAL NOT NULL,
    unpriced INTEGER NOT NULL, PRIMARY KEY (collection, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY, provider_id TEXT NOT NULL, state TEXT NOT NULL,
    base_url TEXT NOT NULL, model TEXT NOT NULL, collection TEXT NOT NULL,
    requests TEXT NOT NULL, note TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Store:
    """An open journal file.

    Raises:
        InputError: the file is no journal, is damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wanted: queue.SimpleQueue[tuple[Work, Future] | None] = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with opening(path.with_name(path.name + ".lock")):
                self._database = _opened(path)
                self.owner = Owner(path.with_name(path.name + ".owners"))
                self.owner.sweep()
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Run `work` in the next transaction; its result comes once it is durable."""
        done: Future[T] = Future()
        self._wanted.put((work, done))
        return done

    def run(self, work: Work[T]) -> T:
        """`submit`, and wait."""
        return self.submit(work).result()

    def close(self) -> None:
        """Write what waits and close. Closing twice is allowed."""
        if self._thread.is_alive():
            self._wanted.put(None)
            self._thread.join()
            self._database.close()
            self.owner.leave()

    def _write(self) -> None:
        """The writing thread: all that waits goes in one transaction."""
        while (first := self._wanted.get()) is not None:
            batch, last = [first], False
            while not self._wanted.empty():
                more = self._wanted.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[tuple[Work, Future]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            results = [work(self._database) for work, _ in batch]
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            known = isinstance(error, sqlite3.Error)
            failure = _unusable(self.path, error) if known else error
            for _, done in batch:
                done.set_exception(failure)
            return
        for (_, done), result in zip(batch, results, strict=True):
            done.set_result(result)


def _opened(path: Path) -> sqlite3.Connection:
    """A writable connection to a journal that is ours; made where there is none."""
    database = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise InputError(
                f"{path} is a database of another program, not a journal of requests.",
                "Name another file in VENEER_JOURNAL.",
            )
        if application == APPLICATION and version != VERSION:
            raise InputError(
                f"{path} was written by another version (journal format {version}; "
                f"this one reads {VERSION}).",
                "Name another file in VENEER_JOURNAL, or use the version that wrote it.",
            )
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id={APPLICATION}")
        database.execute(f"PRAGMA user_version={VERSION}")
        database.execute("COMMIT")
        (health,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise sqlite3.DatabaseError(health)
    except BaseException:
        database.close()
        raise
    return database


def _unusable(path: Path, error: BaseException) -> InputError:
    return InputError(
        f"The journal {path} cannot be used: {error}.",
        "Mend or move the file (then paid answers in it are not found again), make its folder "
        "writable, or name another file in VENEER_JOURNAL.",
    )
