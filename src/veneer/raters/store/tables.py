"""The tables of a store, and what of its study never changes.

A pair of the study has `ratings` rows in `places`, made with the store and never added to, and no
rater can stand in two of them: so it cannot get more votes, or two of one rater. An attention
check gets a place for each rater who is shown it. A place is

    fresh    `expires` NULL: nobody had it
    leased   `choice` NULL, `expires` in the future
    returned `choice` NULL, `expires` in the past: a lease that ended (`rater` is its last holder)
             or one taken back (`rater` NULL)
    voted    `choice` set
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from veneer.raters.store.gold import Schedule, schedule
from veneer.records import Choice

SCHEMA = 1
"""Version of the tables; a store of another one is refused."""

metadata = MetaData()


def _table(name: str, *parts: Column | Index | CheckConstraint | UniqueConstraint) -> Table:
    return Table(f"veneer_{name}", metadata, *parts)


def _number(name: str, target: str | None = None, **more) -> Column:
    to = [ForeignKey(f"veneer_{target}")] if target else []
    return Column(name, Integer, *to, **more)


study = _table(
    "study",
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("schema", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("secret", String(64), nullable=False),  # hex
    Column("salt", String(64), nullable=False),  # hex
    Column("ratings", Integer, nullable=False),
    Column("votes", Integer, nullable=False, default=0),  # on pairs of the study
    Column("paused", Boolean, nullable=False, default=False),
    Column("owner_link", String(64)),
)

owners = _table("owners", Column("cookie", String(64), primary_key=True))

pairs = _table(
    "pairs",
    Column("position", Integer, primary_key=True, autoincrement=False),  # in packet order
    Column("item", Text, nullable=False, unique=True),
    Column("gold", SmallInteger),
)

campaigns = _table(
    "campaigns",
    _number("id", primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("link", String(64), nullable=False, unique=True),
    Column("per_session", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("open", Boolean, nullable=False, default=True),
    Column("made", Double, nullable=False),
)

raters = _table(
    "raters",
    _number("id", primary_key=True),
    Column("origin", String(16), nullable=False),
    Column("label", Text, nullable=False, default=""),
    Column("worker", String(64), unique=True),
    Column("made", Double, nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
    Column("forgotten", Boolean, nullable=False, default=False),
    Column("reached", Integer, nullable=False, default=-1),  # furthest pair handed to them
    Column("judged", Integer, nullable=False, default=0),  # pairs and attention checks
    Column("checked", Integer, nullable=False, default=0),  # attention checks alone
    _number("hand", "pairs.position"),  # the pair shown to them now
    Column("until", Double, nullable=False, default=0.0),  # when that lease ends
)

links = _table(
    "links",
    Column("link", String(64), primary_key=True),
    _number("rater", "raters.id", nullable=False, index=True),
    Column("expires", Double, nullable=False),
    Column("made", Double, nullable=False),
    Column("used", Double),
    Column("revoked", Boolean, nullable=False, default=False),
)

sessions = _table(
    "sessions",
    _number("id", primary_key=True),
    _number("rater", "raters.id", nullable=False, index=True),
    Column("cookie", String(64), unique=True),
    _number("campaign", "campaigns.id"),
    Column("assignment", String(64), unique=True),
    Column("quota", Integer),
    Column("voted", Integer, nullable=False, default=0),
    Column("begun", Double, nullable=False),
    Column("ended", Boolean, nullable=False, default=False),
)

places = _table(
    "places",
    _number("pair", "pairs.position", primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("gold", SmallInteger),  # the right choice of an attention check
    _number("rater", "raters.id"),
    _number("session", "sessions.id"),
    Column("shown", Double),
    Column("expires", Double),
    Column("choice", SmallInteger, CheckConstraint("choice IN (0, 1, 2)")),
    Column("before", SmallInteger),  # the choice taken back by undo
    Column("reason", Text, nullable=False, default=""),
    Column("voted", Double),
    Column("nth", Integer),  # which of the rater's judgements this is
    UniqueConstraint("pair", "rater"),
    CheckConstraint(
        "choice IS NULL OR (rater IS NOT NULL AND session IS NOT NULL AND shown IS NOT NULL"
        " AND expires IS NOT NULL AND voted IS NOT NULL)"
    ),
    Index("veneer_places_of_rater", "rater", "choice"),
    Index("veneer_places_of_session", "session", "nth"),
)
_fresh, _lent = "expires IS NULL", "choice IS NULL AND gold IS NULL AND expires IS NOT NULL"
Index(
    "veneer_places_fresh",
    places.c.pair,
    places.c.place,
    sqlite_where=text(_fresh),
    postgresql_where=text(_fresh),
)
Index(
    "veneer_places_lent",
    places.c.pair,
    places.c.expires,
    sqlite_where=text(_lent),
    postgresql_where=text(_lent),
)

past = _table(
    # Places that a rater has no more: with a choice a discarded vote, without an ended lease
    # that another rater took over.
    "past",
    _number("pair", "pairs.position", primary_key=True, autoincrement=False),
    _number("rater", "raters.id", primary_key=True, autoincrement=False),
    Column("gold", SmallInteger),
    Column("shown", Double, nullable=False),
    Column("choice", SmallInteger),
    Column("reason", Text, nullable=False, default=""),
    Column("voted", Double),
    Index("veneer_past_of_rater", "rater"),
)

hits = _table(
    "hits",
    Column("hit", Text, primary_key=True),
    _number("campaign", "campaigns.id", nullable=False, index=True),
    Column("assignments", Integer, nullable=False),
    Column("reward_cents", Integer, nullable=False),
    Column("fee_cents", Integer, nullable=False),
    Column("state", Text, nullable=False),
)


@dataclass(frozen=True)
class Study:
    """What of a study never changes while its store is open; jobs reach it by `study_of`."""

    secret: bytes
    salt: bytes
    ratings: int
    items: tuple[str, ...]  # by position
    gold: Mapping[int, Choice]  # right choices of the attention checks, by position
    lease_seconds: float
    schedules: dict[int, Schedule] = field(default_factory=dict)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where an item stands in the packet."""
        return {item: n for n, item in enumerate(self.items)}

    @cached_property
    def pairs(self) -> int:
        """Pairs of the study, without attention checks."""
        return len(self.items) - len(self.gold)

    def schedule(self, rater: int) -> Schedule:
        """When this rater is shown which attention check."""
        if rater not in self.schedules:
            self.schedules[rater] = schedule(self.secret, rater, self.pairs, sorted(self.gold))
        return self.schedules[rater]


def study_of(conn: Connection) -> Study:
    """The study of the store that this connection belongs to."""
    return conn.get_execution_options()["study"]
