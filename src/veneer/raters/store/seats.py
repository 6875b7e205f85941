"""A rater's seat: everything about a session and its rater that a vote needs, read at once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, bindparam, literal, select, update

from veneer.raters.store.tables import Study, raters, sessions, study, study_of
from veneer.raters.store.terms import Refused, Session
from veneer.records import Origin


@dataclass
class Seat:
    """A session and its rater as they stand, changed by a job and written back by `keep`."""

    id: int
    rater: int
    campaign: int | None
    quota: int | None
    voted: int
    ended: bool
    origin: Origin
    revoked: bool
    reached: int
    judged: int
    checked: int
    hand: int | None
    until: float
    paused: bool
    votes: int  # of the whole study
    counted: bool = False  # whether what follows from a vote must be written too

    @property
    def full(self) -> bool:
        """Whether this session has all the pairs it was to have."""
        return self.quota is not None and self.voted >= self.quota

    def session(self, of: Study, *, finished: bool = False) -> Session:
        """What the pages are told."""
        left = 0 if finished else self._left(of)
        return Session(
            self.id, self.rater, self.origin, self.campaign, self.quota, self.voted, left
        )

    def _left(self, of: Study) -> int:
        open_places = of.ratings * of.pairs - self.votes
        mine = of.pairs - (self.judged - self.checked)
        more = max(0, min(mine, open_places))
        if of.gold and (more or not mine):
            more += of.schedule(self.rater).among(self.judged, self.checked, more)
        return more if self.quota is None else max(0, min(more, self.quota - self.voted))


_s, _r, _t = sessions.c, raters.c, study.c
_SEAT = select(
    *(_s.id, _s.rater, _s.campaign, _s.quota, _s.voted, _s.ended),
    *(_r.origin, _r.revoked, _r.reached, _r.judged, _r.checked, _r.hand, _r.until),
    *(_t.paused, _t.votes),
).select_from(sessions.join(raters, _r.id == _s.rater).join(study, _t.one == 1))
_BY_COOKIE = _SEAT.where(_s.cookie == bindparam("given"))
_BY_ID = _SEAT.where(_s.id == bindparam("given"))


def seat_of(conn: Connection, cookie_hash: str) -> Seat:
    """The seat of whoever holds this cookie; Refused forged or revoked."""
    return _seated(conn.execute(_BY_COOKIE, {"given": cookie_hash}).first())


def seat_again(conn: Connection, session: Session) -> Seat:
    """The seat of a session looked up before."""
    return _seated(conn.execute(_BY_ID, {"given": session.id}).first())


def _seated(row: Row | None) -> Seat:
    if row is None:
        raise Refused("forged")
    seat = Seat(*row)
    if seat.ended or seat.revoked:
        raise Refused("revoked")
    return seat


def _set(name: str) -> ColumnElement:
    return bindparam(f"new_{name}")


_IN_HAND = ("reached", "judged", "checked", "hand", "until")
_KEEP_RATER = (
    update(raters).where(_r.id == bindparam("rater_id")).values({n: _set(n) for n in _IN_HAND})
)
_KEEP_SESSION = update(sessions).where(_s.id == bindparam("session_id")).values(voted=_set("voted"))
_KEEP_STUDY = update(study).where(_t.one == 1).values(votes=_set("votes"))
_KEEP_ALL = select(literal(1)).add_cte(
    *(
        each.cte(name)
        for name, each in (("r", _KEEP_RATER), ("s", _KEEP_SESSION), ("v", _KEEP_STUDY))
    )
)
"""The three at once, as only Postgres can: there each statement is a message and its answer."""


def keep(conn: Connection, seat: Seat) -> None:
    """Write what the rater holds and has done, and after a vote what the session and study have."""
    new = {f"new_{name}": getattr(seat, name) for name in _IN_HAND} | {"rater_id": seat.rater}
    if not seat.counted:
        conn.execute(_KEEP_RATER, new)
        return
    votes = {"session_id": seat.id, "new_voted": seat.voted, "new_votes": seat.votes}
    if conn.dialect.name == "postgresql":
        conn.execute(_KEEP_ALL, new | votes)
    else:
        for each in (_KEEP_RATER, _KEEP_SESSION, _KEEP_STUDY):
            conn.execute(each, new | votes)


def count(seat: Seat, step: int, *, gold: bool) -> None:
    """Count a judgement (step 1) or take it back (-1): of the session, the study, the rater."""
    seat.counted = True
    seat.voted += step
    seat.judged += step
    if gold:
        seat.checked += step
    else:
        seat.votes += step


def told(conn: Connection, seat: Seat, *, finished: bool = False) -> Session:
    """What the pages are told of a seat."""
    return seat.session(study_of(conn), finished=finished)
