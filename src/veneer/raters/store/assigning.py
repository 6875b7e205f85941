"""Who judges what next."""

from __future__ import annotations

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    insert,
    literal_column,
    or_,
    select,
    union_all,
    update,
)

from veneer.raters.store.seats import Seat, keep, seat_again
from veneer.raters.store.tables import past, places, study_of
from veneer.raters.store.terms import Assigned, Idle, Next, Session

_p = places.c
_me: BindParameter[int] = bindparam("me")
_now: BindParameter[float] = bindparam("now")


def _unseen(pair: ColumnElement[int]) -> ColumnElement[bool]:
    """That this rater neither judged this pair nor holds it now.

    Scalar subqueries, not EXISTS, which Postgres would turn into a merge over all places.
    """
    mine = places.alias("mine")
    held = select(mine.c.pair).where(
        mine.c.pair == pair,
        mine.c.rater == _me,
        or_(mine.c.choice.is_not(None), mine.c.expires > _now),
    )
    gone = select(past.c.pair).where(
        past.c.pair == pair, past.c.rater == _me, past.c.choice.is_not(None)
    )
    return and_(*(rows.limit(1).scalar_subquery().is_(None) for rows in (held, gone)))


def _first(name: str, rank: int, *where: ColumnElement[bool]) -> Select:
    """The first place, in packet order; of one pair this rater's own before others."""
    columns = (_p.pair, _p.place, _p.rater, _p.shown, _p.expires, _p.before, _p.reason)
    found = select(literal_column(str(rank)).label("rank"), *columns).where(*where)
    own = case((_p.rater == _me, 0), else_=1)
    order = (_p.pair, own) if name == "returned" else (_p.pair,)
    return select(found.order_by(*order).limit(1).subquery(name))


_lent = (_p.choice.is_(None), _p.gold.is_(None), _p.expires.is_not(None))
_branches = union_all(
    # what an undone vote put aside is still in this rater's hands
    _first("aside", 0, _p.rater == _me, _p.choice.is_(None), _p.expires > _now),
    # places that came back
    _first("returned", 1, *_lent, _p.expires <= _now, _unseen(_p.pair)),
    # Nobody had these. Up to `reached` they are all of pairs that this rater judged or holds, or
    # held and finds among those that came back: since of one pair fresh places go first, nobody
    # takes a former holder's place while there is another.
    _first("fresh", 1, _p.expires.is_(None), _p.pair > bindparam("reached"), _unseen(_p.pair)),
).subquery("found")
_NEXT = (
    select(_branches)
    .order_by(
        _branches.c.rank,
        _branches.c.pair,
        case((_branches.c.expires.is_(None), 0), else_=1),
    )
    .limit(1)
)

_LEFT = select(_p.pair).where(_p.choice.is_(None), _p.gold.is_(None), _unseen(_p.pair)).limit(1)
_IN_HAND = select(_p.before, _p.reason).where(
    _p.pair == bindparam("held"), _p.rater == _me, _p.choice.is_(None)
)
_TAKE = (
    update(places)
    .where(
        _p.pair == bindparam("held"),
        _p.place == bindparam("at"),
        _p.choice.is_(None),
        or_(_p.expires.is_(None), _p.expires <= _now),
    )
    .values(
        rater=_me,
        session=bindparam("in_session"),
        shown=_now,
        expires=bindparam("ends"),
        before=bindparam("had"),
        reason=bindparam("why"),
    )
)
_CHECK_AGAIN = (
    update(places)
    .where(_p.pair == bindparam("held"), _p.rater == _me, _p.choice.is_(None))
    .values(session=bindparam("in_session"), shown=_now, expires=bindparam("ends"))
)
_LOST = select(past.c.pair).where(past.c.pair == bindparam("held"), past.c.rater == _me)


def next_pair(conn: Connection, session: Session, now: float) -> Next:
    """The pair in this rater's hands if its lease stands, else the next that is open to them.

    Pairs come in packet order, attention checks by the rater's schedule.
    """
    seat = seat_again(conn, session)
    held = (seat.hand, seat.until)
    shown = handed(conn, seat, now)
    if (seat.hand, seat.until) != held:
        keep(conn, seat)
    return shown


def handed(conn: Connection, seat: Seat, now: float) -> Next:
    """As `next_pair`; changes the seat, which the caller writes back."""
    study = study_of(conn)
    if seat.full:
        return Idle("finished")
    if seat.paused:
        return Idle("paused")
    if seat.hand is not None and seat.until > now:
        row = conn.execute(_IN_HAND, {"held": seat.hand, "me": seat.rater}).first()
        if row is not None:
            return Assigned(study.items[seat.hand], seat.until, row.before, row.reason)
    found = conn.execute(_NEXT, {"me": seat.rater, "now": now, "reached": seat.reached}).first()
    ends = now + study.lease_seconds
    if found is not None and found.rank == 0:
        seat.hand, seat.until = found.pair, found.expires
        return Assigned(study.items[found.pair], found.expires, found.before, found.reason)
    through = seat.judged - seat.checked >= study.pairs
    check = study.schedule(seat.rater).due(seat.judged) if study.gold else None
    if check is not None and (found is not None or through):  # nobody comes for checks alone
        _lend_check(conn, seat, check, now, ends)
        seat.hand, seat.until = check, ends
        return Assigned(study.items[check], ends)
    if found is not None:
        before, reason = _take(conn, seat, found, now, ends)
        seat.hand, seat.until = found.pair, ends
        seat.reached = max(seat.reached, found.pair)
        return Assigned(study.items[found.pair], ends, before, reason)
    seat.hand = None
    if through:
        return Idle("finished")
    left = conn.execute(_LEFT, {"me": seat.rater, "now": now}).first()
    return Idle("later" if left else "finished")


def _take(conn: Connection, seat: Seat, found: Row, now: float, ends: float):
    mine = found.rater == seat.rater
    before, reason = (found.before, found.reason) if mine else (None, "")
    if found.rater is not None and not mine:
        remember(conn, found.pair, found.rater, found.shown)
    taken = conn.execute(
        _TAKE,
        {
            "held": found.pair,
            "at": found.place,
            "me": seat.rater,
            "now": now,
            "in_session": seat.id,
            "ends": ends,
            "had": before,
            "why": reason,
        },
    )
    if taken.rowcount != 1:
        raise RuntimeError(f"place {found.place} of pair {found.pair} was taken meanwhile")
    return before, reason


def remember(conn: Connection, pair: int, rater: int, shown: float) -> None:
    """Keep that this rater held this pair, so that their late vote is known for one."""
    if conn.execute(_LOST, {"held": pair, "me": rater}).first() is None:
        conn.execute(insert(past), {"pair": pair, "rater": rater, "shown": shown})


def _lend_check(conn: Connection, seat: Seat, check: int, now: float, ends: float) -> None:
    lease = {"me": seat.rater, "held": check, "in_session": seat.id, "now": now, "ends": ends}
    if conn.execute(_CHECK_AGAIN, lease).rowcount == 0:
        row = {
            "pair": check,
            "place": seat.rater,
            "gold": study_of(conn).gold[check],
            "rater": seat.rater,
            "session": seat.id,
            "shown": now,
            "expires": ends,
        }
        conn.execute(insert(places), row)
