"""SQLite and Postgres: reached from a URL, opened safely, and told apart when they fail."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from veneer.errors import InputError
from veneer.raters.store.terms import StoreAway

ALLOWED = "Give  --store sqlite:///votes.db  or  --store postgresql://user:password@host/database"
BUSY_SECONDS = 3.0
"""How long to wait for another process that writes to the same store."""


@dataclass(frozen=True)
class Place:
    """Where a store is. `shown` is the URL without its password; `path` only for SQLite."""

    url: URL
    shown: str
    path: Path | None = None


def place_of(given: str) -> Place:
    """The place that a URL names.

    Raises:
        InputError: not a URL of SQLite's or Postgres'; nothing of a password is shown.
    """
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise InputError("The store's URL cannot be read.", ALLOWED) from error
    kind = url.get_backend_name()
    if kind == "sqlite":
        if not url.database or url.database == ":memory:" or url.query or url.host:
            raise InputError(f"{_shown(url)} is not a file that can keep votes.", ALLOWED)
        path = Path(url.database).absolute()
        return Place(url.set(drivername="sqlite+pysqlite", database=str(path)), _shown(url), path)
    if kind in ("postgresql", "postgres"):
        if not url.database:
            raise InputError(f"{_shown(url)} names no database.", ALLOWED)
        return Place(url.set(drivername="postgresql+psycopg"), _shown(url))
    raise InputError(f"A store cannot be kept in {kind!r}.", ALLOWED)


def _shown(url: URL) -> str:
    hidden = {k: "***" for k in url.query if "pass" in k.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def create_file(path: Path) -> bool:
    """Make the file of a new SQLite store, readable by its owner alone; False if it is there.

    Raises:
        InputError: no such folder, or one that cannot be written.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise InputError(f"{path} is not a file.", ALLOWED) from None
        return False
    except FileNotFoundError as error:
        raise InputError(f"There is no folder {path.parent}.", f"mkdir -p {path.parent}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}.", ALLOWED) from error
    return True


def engine_of(place: Place, *, reads: bool = False, **options: object) -> Engine:
    """An engine whose transactions begin as they should.

    Writers of SQLite begin with BEGIN IMMEDIATE, so that nothing read in a transaction can change
    before it is written; the driver's own transactions are off (SQLAlchemy's documentation,
    dialect SQLite, "Enabling Non-Legacy SQLite Transactional Modes").
    """
    if place.path is None:
        engine = create_engine(
            place.url,
            connect_args={
                "connect_timeout": 5,
                "application_name": "veneer",
                **_options(place.url),
            },
            **options,
        )
        if reads:
            engine = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        return engine
    path = place.path
    engine = create_engine(place.url, creator=lambda: _sqlite(path, reads), **options)

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _options(url: URL) -> dict[str, str]:
    """How Postgres is to run our statements: short ones on indexes, planned once, never compiled.

    Its own rule would compile the search for the next pair at each vote (20 ms instead of 0.1),
    since it cannot know that the search ends at the first row.
    """
    own = url.query.get("options", "")
    own = own if isinstance(own, str) else " ".join(own)
    ours = (
        f"-c lock_timeout={int(BUSY_SECONDS * 1000)} -c statement_timeout=60000"
        " -c idle_in_transaction_session_timeout=60000 -c synchronous_commit=on"
        " -c jit=off -c plan_cache_mode=force_generic_plan"
    )
    return {"options": f"{own} {ours}".strip()}


def _sqlite(path: Path, reads: bool) -> sqlite3.Connection:
    # mode=rw: a file that was moved away must not come back empty
    conn = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("PRAGMA temp_store=MEMORY")
        if reads:
            conn.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        conn.close()
        raise
    return conn


def in_wal_mode(conn: Connection) -> bool:
    """Set SQLite's write-ahead log, outside of a transaction; whether the file system allows it."""
    raw = conn.connection.dbapi_connection
    assert raw is not None
    return raw.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal"


def scrub(conn: Connection, place: Place) -> bool:
    """Drive deleted text out of SQLite's file and log; whether it is all gone.

    Not in a transaction. `secure_delete` overwrites what is deleted, VACUUM writes the file anew,
    and the checkpoint empties the log, which only works when no other process reads just then.
    """
    if place.path is None:
        return True
    raw = conn.connection.dbapi_connection
    assert raw is not None
    raw.execute("VACUUM")
    return raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


_FULL = {sqlite3.SQLITE_FULL}
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}
_AWAY_STATES = ("08", "57", "53", "55", "58", "25006", "28", "3D", "XX")
"""Classes of Postgres' SQLSTATE: connections, shutdown, resources, locks, I/O, access."""


def away(error: BaseException, place: Place) -> StoreAway | None:
    """What to tell when a database failed; None when the failure is not the database's."""
    if isinstance(error, StoreAway):
        return error
    if not isinstance(error, DBAPIError):
        return None
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None
        if primary in _FULL:
            return _full(place, cause)
        return _away(place, cause) if primary in _AWAY else None
    state = getattr(cause, "sqlstate", None)
    if state in ("53100", "53200"):
        return _full(place, cause)
    if error.connection_invalidated or (state is None and _lost(cause)):
        return _away(place, cause)
    return _away(place, cause) if state and state.startswith(_AWAY_STATES) else None


def _lost(cause: BaseException | None) -> bool:
    """Whether psycopg says that there is no connection (it then gives no state)."""
    return type(cause).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")


def _said(cause: BaseException | None) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__


def _full(place: Place, cause: BaseException | None) -> StoreAway:
    return StoreAway(
        f"The store {place.shown} is full ({_said(cause)}). What you sent was not kept.",
        "Free some space: no restart is needed. All votes that were answered are safe.",
    )


def _away(place: Place, cause: BaseException | None) -> StoreAway:
    return StoreAway(
        f"The store {place.shown} cannot be written now ({_said(cause)}). "
        "What you sent was not kept.",
        "Try again soon. All votes that were answered are safe.",
    )


def moved(place: Place) -> StoreAway:
    """The file of a SQLite store is not there any more, or another one is in its place."""
    return StoreAway(
        f"The file of the store {place.shown} was moved or replaced. What you sent was not kept.",
        "Put the file back, with its -wal file: no restart is needed.",
    )


def inode(place: Place) -> tuple[int, int] | None:
    """Which file a SQLite store is now; None for Postgres or when there is none."""
    if place.path is None:
        return None
    try:
        found = place.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


LOCK = text("SELECT one FROM veneer_study FOR UPDATE")
"""On Postgres: writers of one store take turns, as SQLite's do."""
