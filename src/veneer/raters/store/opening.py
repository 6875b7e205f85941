"""Opening a store: made for a packet, or found to be that packet's."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from veneer.errors import InputError
from veneer.raters.packet import Packet
from veneer.raters.store import tables
from veneer.raters.store.databases import (
    ALLOWED,
    Place,
    away,
    create_file,
    engine_of,
    in_wal_mode,
    place_of,
)
from veneer.raters.store.desk import Desk, Waiting
from veneer.raters.store.tables import Study, metadata

T = TypeVar("T")
_LOOKERS = 2
"""Looks at once: they are few, and must not slow down the votes."""
_MADE_ALONE = text("SELECT pg_advisory_xact_lock(8386654)")
_STATISTICS = text("ANALYZE veneer_pairs, veneer_places")


class Store:
    """One study's votes and people. Jobs and looks are functions of a connection."""

    def __init__(self, place: Place, study: Study, digest: str) -> None:
        self.url_shown = place.shown
        self.secret, self.salt = study.secret, study.salt
        self._place = place

        def same(conn: Connection) -> bool:
            found = _study_row(conn)
            return found is not None and (found.digest, found.secret) == (
                digest,
                study.secret.hex(),
            )

        known = {"study": study}
        self._desk = Desk(engine_of(place, pool_size=1).execution_options(**known), place, same)
        reads = engine_of(place, reads=True, pool_size=_LOOKERS, pool_pre_ping=True)
        self._reads = reads.execution_options(**known)
        self._lookers = ThreadPoolExecutor(_LOOKERS, "store-look")

    def now(self, job: Callable[..., T], *args: Any) -> T:
        """Run `job(connection, *args)` in the writing thread; durable when it returns.

        Raises:
            Refused: what the job refused.
            StoreAway: the database is away or full; nothing was kept.
        """
        answer: Future[T] = Future()
        self._desk.put(Waiting(job, args, answer))
        return answer.result()

    async def ask(self, job: Callable[..., T], *args: Any) -> T:
        """As `now`, awaited in the event loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._desk.put(Waiting(job, args, answer, loop))
        return await answer

    def seen(self, look: Callable[..., T], *args: Any) -> T:
        """Run `look(connection, *args)`, which only reads, beside the writing thread.

        Raises:
            StoreAway: the database is away.
        """
        try:
            with self._reads.connect() as conn:
                return look(conn, *args)
        except DBAPIError as error:
            if (gone := away(error, self._place)) is not None:
                raise gone from error
            raise

    async def see(self, look: Callable[..., T], *args: Any) -> T:
        """As `seen`, awaited in the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lookers, lambda: self.seen(look, *args))

    def close(self) -> None:
        """Finish what waits and let go of the database."""
        self._desk.close()
        self._lookers.shutdown()
        self._reads.dispose()


def open_store(
    url: str, packet: Packet | None, *, make: bool = True, lease_seconds: float = 1800.0
) -> Store:
    """The store at `url`, made for this packet if it is new and `make` says so.

    Args:
        url: "sqlite:///votes.db" or "postgresql://user:password@host/database".
        packet: the study's packet; None for a store that is there already.
        lease_seconds: how long a pair stays in one rater's hands.

    Raises:
        InputError: no usable URL, a database that cannot be reached, something else in it, or the
            votes of another packet; nothing is changed then.
    """
    if lease_seconds <= 0:
        raise InputError(f"A lease of {lease_seconds:g} seconds is none.", "Give more than 0.")
    place = place_of(url)
    make = make and packet is not None
    if place.path is not None and make:
        create_file(place.path)
    elif place.path is not None and not place.path.is_file():
        raise _no_study(place)
    engine = engine_of(place, pool_size=1)
    try:
        with engine.connect() as conn:
            if place.path is not None and not in_wal_mode(conn):
                raise InputError(
                    f"{place.shown} lies on a file system that cannot keep votes safely.",
                    "Choose a folder on a local disk.",
                )
        with engine.connect() as conn, conn.begin():
            row = _made_or_found(conn, place, packet, make)
            pairs = conn.execute(select(tables.pairs).order_by(tables.pairs.c.position)).all()
    except (DBAPIError, sqlite3.Error) as error:
        raise _unreachable(place, error) from error
    finally:
        engine.dispose()
    items = tuple(pair.item for pair in pairs)
    gold = {pair.position: pair.gold for pair in pairs if pair.gold is not None}
    secret, salt = bytes.fromhex(row.secret), bytes.fromhex(row.salt)
    study = Study(secret, salt, row.ratings, items, gold, lease_seconds)
    return Store(place, study, row.digest)


def _no_study(place: Place) -> InputError:
    return InputError(
        f"{place.shown} holds no study yet.",
        f"Begin it:  veneer rate serve PACKET --store {place.shown}",
    )


def _unreachable(place: Place, error: DBAPIError | sqlite3.Error) -> InputError:
    said = str(getattr(error, "orig", error)).strip().splitlines()
    return InputError(
        f"The store {place.shown} cannot be opened: {said[0] if said else 'no answer'}.",
        "Is it there, and may you write to it?  " + ALLOWED,
    )


def _study_row(conn: Connection):
    if not inspect(conn).has_table(tables.study.name):
        return None
    return conn.execute(select(tables.study)).first()


def _made_or_found(conn: Connection, place: Place, packet: Packet | None, make: bool):
    if place.path is None:
        conn.execute(_MADE_ALONE)
    row = _study_row(conn)
    if row is None and (packet is None or not make):
        raise _no_study(place)
    if row is None and packet is not None:
        names = inspect(conn).get_table_names() if place.path is not None else []
        if names:
            raise InputError(f"{place.shown} is a database of something else.", ALLOWED)
        _make(conn, place, packet)
        row = _study_row(conn)
    if row.schema != tables.SCHEMA:
        raise InputError(
            f"{place.shown} was made by another version of Veneer (tables {row.schema}, "
            f"this one has {tables.SCHEMA}).",
            "Open it with the version that made it, or give another --store.",
        )
    if packet is not None and row.digest != packet.facts.digest:
        raise InputError(
            f"{place.shown} holds the votes on another packet: this one is not the packet that its "
            "raters saw.",
            "Serve that packet, or give another --store for this one.",
        )
    return row


def _make(conn: Connection, place: Place, packet: Packet) -> None:
    metadata.create_all(conn)
    row = {
        "one": 1,
        "schema": tables.SCHEMA,
        "digest": packet.facts.digest,
        "secret": secrets.token_bytes(32).hex(),
        "salt": secrets.token_bytes(32).hex(),
        "ratings": packet.facts.ratings,
    }
    conn.execute(insert(tables.study), row)
    pairs = [
        {"position": n, "item": pair.item, "gold": packet.gold.get(pair.item)}
        for n, pair in enumerate(packet.pairs)
    ]
    if pairs:
        conn.execute(insert(tables.pairs), pairs)
    places = [
        {"pair": row["position"], "place": k}
        for row in pairs
        if row["gold"] is None
        for k in range(1, packet.facts.ratings + 1)
    ]
    if places:
        conn.execute(insert(tables.places), places)
    if place.path is None:
        conn.execute(_STATISTICS)
