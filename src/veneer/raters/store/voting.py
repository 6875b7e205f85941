"""Votes: given, given again, taken back."""

from __future__ import annotations

from sqlalchemy import BindParameter, Connection, bindparam, case, or_, select, update

from veneer.raters.store.assigning import handed, remember
from veneer.raters.store.seats import Seat, count, keep, seat_again, seat_of, told
from veneer.raters.store.tables import past, places, study_of
from veneer.raters.store.terms import Assigned, Idle, Next, Refused, Session
from veneer.records import Choice

_p = places.c
_pair: BindParameter[int] = bindparam("of_pair")
_me: BindParameter[int] = bindparam("me")
_now: BindParameter[float] = bindparam("now")
_GIVEN = {
    "choice": bindparam("given"),
    "reason": bindparam("why"),
    "session": bindparam("in_session"),
    "voted": _now,
    "nth": bindparam("number"),
}
_VOTE = update(places).where(_p.pair == _pair, _p.rater == _me, _p.choice.is_(None)).values(_GIVEN)
_MINE = select(_p.choice).where(_p.pair == _pair, _p.rater == _me)
_HAD = select(past.c.choice, past.c.shown).where(past.c.pair == _pair, past.c.rater == _me)
_OPEN = (
    select(_p.place, _p.rater, _p.shown)
    .where(
        _p.pair == _pair,
        _p.gold.is_(None),
        _p.choice.is_(None),
        or_(_p.expires.is_(None), _p.expires <= _now),
    )
    .order_by(case((_p.expires.is_(None), 0), else_=1), _p.place)
    .limit(1)
)
_VOTE_LATE = (
    update(places)
    .where(_p.pair == _pair, _p.place == bindparam("at"), _p.choice.is_(None))
    .values(rater=_me, shown=bindparam("since"), expires=_now, before=None, **_GIVEN)
)
_LAST = (
    select(_p.pair, _p.place, _p.gold, _p.choice, _p.reason, _p.shown, _p.voted)
    .where(_p.session == bindparam("in_session"), _p.choice.is_not(None))
    .order_by(_p.nth.desc())
    .limit(1)
)
_TAKE_BACK = (
    update(places)
    .where(_p.pair == _pair, _p.place == bindparam("at"))
    .values(
        choice=None,
        before=bindparam("was"),
        shown=bindparam("since"),
        expires=bindparam("ends"),
        voted=None,
        nth=None,
    )
)


def vote(
    conn: Connection, session: Session, item: str, choice: Choice, reason: str, now: float
) -> None:
    """Keep a choice. The same choice on the same pair again is granted and changes nothing.

    Raises:
        Refused: unassigned, taken, counted or paused.
    """
    seat = seat_again(conn, session)
    if _voted(conn, seat, item, choice, reason, now):
        keep(conn, seat)


def vote_and_next(
    conn: Connection, cookie_hash: str, item: str, choice: Choice, reason: str, now: float
) -> tuple[Session, Next]:
    """Keep a choice and hand out the next pair: what the rating page posts.

    Raises:
        Refused: as `vote`, and forged or revoked.
    """
    seat = seat_of(conn, cookie_hash)
    counted = _voted(conn, seat, item, choice, reason, now)
    return _shown(conn, seat, now, changed=counted)


def seen_now(conn: Connection, cookie_hash: str, now: float) -> tuple[Session, Next]:
    """The session and the pair in hand, or the next: what the rating page shows."""
    return _shown(conn, seat_of(conn, cookie_hash), now, changed=False)


def undo(conn: Connection, session: Session, now: float) -> Assigned:
    """The last vote of this session returns to hand, with the time that was spent on it.

    What was in hand stays this rater's and comes after it.

    Raises:
        Refused: nothing to take back, or paused.
    """
    seat, study = seat_again(conn, session), study_of(conn)
    if seat.paused:
        raise Refused("paused")
    last = conn.execute(_LAST, {"in_session": seat.id}).first()
    if last is None:
        raise Refused("nothing")
    ends = now + study.lease_seconds
    conn.execute(
        _TAKE_BACK,
        {
            "of_pair": last.pair,
            "at": last.place,
            "was": last.choice,
            "since": now - (last.voted - last.shown),
            "ends": ends,
        },
    )
    count(seat, -1, gold=last.gold is not None)
    seat.hand, seat.until = last.pair, ends
    keep(conn, seat)
    return Assigned(study.items[last.pair], ends, last.choice, last.reason)


def _shown(conn: Connection, seat: Seat, now: float, *, changed: bool) -> tuple[Session, Next]:
    held = (seat.hand, seat.until)
    shown = handed(conn, seat, now)
    if changed or (seat.hand, seat.until) != held:
        keep(conn, seat)
    finished = isinstance(shown, Idle) and shown.why == "finished"
    return told(conn, seat, finished=finished), shown


def _voted(
    conn: Connection, seat: Seat, item: str, choice: Choice, reason: str, now: float
) -> bool:
    """Whether a new vote was kept (False: it stood already)."""
    study = study_of(conn)
    pair = study.position.get(item)
    if pair is None:
        raise Refused("unassigned")
    if choice not in (0, 1, 2):
        raise ValueError(f"no choice: {choice!r}")
    given = {
        "of_pair": pair,
        "me": seat.rater,
        "given": choice,
        "why": _writable(reason),
        "in_session": seat.id,
        "now": now,
        "number": seat.judged,
    }
    may = not (seat.paused or seat.full)
    if not (may and conn.execute(_VOTE, given).rowcount == 1):
        mine = conn.execute(_MINE, given).first()
        if mine is not None and mine.choice is not None:
            if mine.choice == choice:
                return False
            raise Refused("counted")
        if seat.paused:
            raise Refused("paused")
        if seat.full:
            raise Refused("unassigned")
        _vote_late(conn, given)
    if seat.hand == pair:
        seat.hand = None
    count(seat, 1, gold=pair in study.gold)
    return True


def _writable(text: str) -> str:
    """What every database takes: Postgres refuses NUL, and neither takes half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _vote_late(conn: Connection, given: dict) -> None:
    """A vote after the lease ended and another rater took the place: into another, if any."""
    had = conn.execute(_HAD, given).first()
    if had is None or had.choice is not None:
        raise Refused("unassigned")
    place = conn.execute(_OPEN, given).first()
    if place is None:
        raise Refused("taken")
    if place.rater is not None:
        remember(conn, given["of_pair"], place.rater, place.shown)
    conn.execute(_VOTE_LATE, {**given, "at": place.place, "since": had.shown})
