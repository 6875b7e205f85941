"""One look at the study for all who watch it: read only, and shared for a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, case, func, select

from veneer.raters.agreement import by_patterns
from veneer.raters.crowds import ledger
from veneer.raters.server.owner_view import Spent, Watched
from veneer.raters.store import progress
from veneer.raters.store.tables import past, places, raters

if TYPE_CHECKING:
    from veneer.raters.store import Store

SHARED_SECONDS = 1.0
REST = 10
"""After a look of t seconds none for 10 t: watching takes a tenth of a processor at most."""


class Watch:
    """The study as last looked at; who asks within a second gets the same look."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._lock = asyncio.Lock()
        self._seen: Watched | None = None
        self._until = 0.0

    async def look(self) -> Watched:
        """The study now, about a second old at most. However many ask, one looks."""
        async with self._lock:
            if self._seen is None or time.monotonic() >= self._until:
                began = time.monotonic()
                self._seen = await self._store.see(look, self._clock())
                ended = time.monotonic()
                self._until = ended + max(SHARED_SECONDS, REST * (ended - began))
            return self._seen

    def forget(self) -> None:
        """Look anew next time: something was changed."""
        self._seen = None


def look(conn: Connection, now: float) -> Watched:
    """All that the owner's page shows, counted by the database."""
    return Watched(
        at=now,
        state=progress.state(conn, now),
        raters=tuple(progress.raters(conn, now)),
        agreement=by_patterns(choices_together(conn)),
        spent=spent(conn),
    )


def choices_together(conn: Connection) -> dict[tuple[int, int, int], int]:
    """How many pairs of the study have so many votes for 1, for the same, for 2."""
    p = places.c
    counts = [func.sum(case((p.choice == n, 1), else_=0)).label(f"for_{n}") for n in (1, 0, 2)]
    voted = p.choice.is_not(None) & p.gold.is_(None)
    each = select(*counts).where(voted).group_by(p.pair).subquery()
    rows = conn.execute(select(*each.c, func.count()).group_by(*each.c)).all()
    return {(int(row[0]), int(row[1]), int(row[2])): int(row[3]) for row in rows}


def spent(conn: Connection) -> Spent:
    """What ratings cost so far. Discarded votes took time too; the sandbox's money is none."""
    own = 0.0
    for table in (places, past):
        t = table.c
        took = select(func.sum(t.voted - t.shown)).join(raters, raters.c.id == t.rater)
        private = took.where(t.choice.is_not(None), raters.c.origin == "private")
        own += float(conn.execute(private).scalar() or 0.0)
    hits = ledger.rows(conn, "production")
    return Spent(own, sum(hit.spent for hit in hits), ledger.held(hits))
