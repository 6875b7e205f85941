"""The one thread that writes: takes what waits into one transaction, commits once, answers all."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from veneer.raters.store.databases import LOCK, Place, away, inode, moved, scrub
from veneer.raters.store.people import SCRUB
from veneer.raters.store.terms import Refused, StoreAway

MOST = 64
"""Jobs in one transaction at most."""
Job = Callable[..., Any]


@dataclass(eq=False)
class Waiting:
    """A job and who waits for its answer: a future of an event loop, or of a thread."""

    job: Job
    args: tuple[Any, ...]
    answer: asyncio.Future[Any] | Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None


class Desk:
    """Runs jobs in the order they came, in one thread, on one connection."""

    def __init__(self, engine: Engine, place: Place, same: Callable[[Connection], bool]) -> None:
        """`same(connection)`: whether this is still the study that was opened."""
        self._engine, self._place, self._same = engine, place, same
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._conn: Connection | None = None
        self._file = inode(place)
        self._unscrubbed = False
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Queue a job."""
        with self._lock:
            if self._closed:
                raise StoreAway("The store is closed.")
            self._queue.put(waiting)

    def close(self) -> None:
        """Do what waits, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            batch = [self._queue.get()]
            while len(batch) < MOST and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            more = batch[-1] is not None
            jobs = [waiting for waiting in batch if waiting is not None]
            if jobs:
                self._serve(jobs)
        for wait in (0.0, 0.2, 1.0):
            if self._unscrubbed:
                time.sleep(wait)
                self._scrub()
        self._drop()
        self._engine.dispose()

    def _serve(self, jobs: list[Waiting]) -> None:
        failed = self._together(jobs)
        if failed is not None and len(jobs) > 1 and not isinstance(failed, StoreAway):
            for waiting in jobs:
                failed = self._together([waiting])
                waiting.error = failed or waiting.error
        elif failed is not None:
            for waiting in jobs:
                waiting.error = failed
                if isinstance(failed, StoreAway):
                    waiting.error = StoreAway(failed.message, failed.hint)
        if self._unscrubbed:
            self._scrub()
        _answer(jobs)

    def _together(self, jobs: list[Waiting]) -> BaseException | None:
        """Run jobs in one transaction; what made it fail as a whole, if anything did."""
        for waiting in jobs:
            waiting.result = waiting.error = None
        try:
            conn = self._begun()
            for waiting in jobs:
                try:
                    waiting.result = waiting.job(conn, *waiting.args)
                except Refused as refused:
                    waiting.error = refused
            conn.commit()
        except BaseException as error:
            gone = away(error, self._place)
            self._roll_back(keep=gone is None)
            return gone or error
        self._unscrubbed = conn.info.pop(SCRUB, False) or self._unscrubbed
        return None

    def _begun(self) -> Connection:
        """The connection in a new transaction; a lost one is replaced."""
        if self._place.path is not None and inode(self._place) != self._file:
            self._drop()
            raise moved(self._place)
        if self._conn is not None:
            try:
                return self._begin(self._conn)
            except DBAPIError as error:
                self._drop()
                if not error.connection_invalidated:
                    raise
        self._conn = self._engine.connect()
        conn = self._begin(self._conn)
        if not self._same(conn):
            raise moved(self._place)
        return conn

    def _begin(self, conn: Connection) -> Connection:
        conn.begin()
        if self._place.path is None:
            conn.execute(LOCK)
        return conn

    def _roll_back(self, *, keep: bool) -> None:
        if keep and self._conn is not None:
            try:
                self._conn.rollback()
            except SQLAlchemyError:
                self._drop()
        else:
            self._drop()

    def _drop(self) -> None:
        """Close the connection; what was not committed is gone."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _scrub(self) -> None:
        """Drive what was forgotten out of the files; tried again with each batch until it is."""
        try:
            conn = self._conn = self._conn or self._engine.connect()
            self._unscrubbed = not scrub(conn, self._place)
        except (SQLAlchemyError, sqlite3.Error):
            self._drop()


def _answer(jobs: list[Waiting]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[Waiting]] = defaultdict(list)
    for waiting in jobs:
        if waiting.loop is None:
            _settle([waiting])
        else:
            loops[waiting.loop].append(waiting)
    for loop, theirs in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
            loop.call_soon_threadsafe(_settle, theirs)


def _settle(jobs: list[Waiting]) -> None:
    for waiting in jobs:
        if waiting.answer.done():  # the caller went away
            continue
        if waiting.error is not None:
            waiting.answer.set_exception(waiting.error)
        else:
            waiting.answer.set_result(waiting.result)
