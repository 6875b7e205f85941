"""Raters and the owner: invited, at work, revoked, forgotten. Only hashes of links are kept."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, literal, or_, select, update

from veneer.errors import InputError, nearest
from veneer.raters.store.seats import seat_of, told
from veneer.raters.store.tables import links, owners, past, places, raters, sessions, study
from veneer.raters.store.terms import Refused, Session

SCRUB = "scrub"
"""Set on a connection's info when what was deleted must leave the database's files too."""


def invite(conn: Connection, label: str, link_hash: str, expires: float, now: float) -> int:
    """A new rater with a link of their own; their number."""
    row = {"origin": "private", "label": label, "made": now}
    rater = conn.execute(insert(raters).values(row).returning(raters.c.id)).scalar_one()
    _add_link(conn, rater, link_hash, expires, now)
    return rater


def renew(conn: Connection, rater: int, link_hash: str, expires: float, now: float) -> None:
    """A new link for the same rater; the old link and its sessions end.

    Raises:
        InputError: no such rater, one of a crowd, or a forgotten one.
    """
    row = _existing(conn, rater)
    if row.forgotten or row.origin != "private":
        who = "was forgotten" if row.forgotten else f"came through a {row.origin} campaign"
        raise InputError(f"r{rater} {who} and can have no new link.", "Invite a new rater.")
    _end_entry(conn, rater)
    conn.execute(update(raters).where(raters.c.id == rater).values(revoked=False))
    _add_link(conn, rater, link_hash, expires, now)


def _add_link(conn: Connection, rater: int, link_hash: str, expires: float, now: float) -> None:
    row = {"link": link_hash, "rater": rater, "expires": expires, "made": now}
    conn.execute(insert(links).values(row))


def _existing(conn: Connection, rater: int):
    row = conn.execute(select(raters).where(raters.c.id == rater)).first()
    if row is None:
        raise InputError(f"There is no rater r{rater} in this study.", _WHO)
    return row


_WHO = "See who takes part on the owner's page, or with:  veneer rate status"


def _end_entry(conn: Connection, rater: int) -> None:
    conn.execute(update(links).where(links.c.rater == rater).values(revoked=True))
    conn.execute(update(sessions).where(sessions.c.rater == rater).values(ended=True))


def rater_of_link(conn: Connection, link_hash: str, now: float) -> int:
    """Whose link this is; uses nothing up.

    Raises:
        Refused: forged, revoked, used or expired.
    """
    row = conn.execute(select(links).where(links.c.link == link_hash)).first()
    if row is None:
        raise Refused("forged")
    if row.revoked:
        raise Refused("revoked")
    if row.used is not None:
        raise Refused("used")
    if row.expires <= now:
        raise Refused("expired")
    return row.rater


def begin(conn: Connection, link_hash: str, cookie_hash: str, now: float) -> Session:
    """Claim a link: it is used from then on, and the cookie is the rater's session.

    Raises:
        Refused: as `rater_of_link`.
    """
    rater = rater_of_link(conn, link_hash, now)
    conn.execute(update(links).where(links.c.link == link_hash).values(used=now))
    conn.execute(insert(sessions).values(rater=rater, cookie=cookie_hash, begun=now))
    return session_of(conn, cookie_hash, now)


def session_of(conn: Connection, cookie_hash: str, now: float) -> Session:
    """The session of a cookie.

    Raises:
        Refused: forged or revoked.
    """
    return told(conn, seat_of(conn, cookie_hash))


def revoke(conn: Connection, rater: int, discard_votes: bool, now: float) -> int:
    """Shut a rater out: links and sessions end, leases return to all.

    With `discard_votes` their places open again for others; the votes are kept aside, outside of
    every result. Returns how many votes on pairs of the study were discarded.

    Raises:
        InputError: no such rater.
    """
    _existing(conn, rater)
    _end_entry(conn, rater)
    shut = {"revoked": True, "hand": None, "until": 0.0}
    conn.execute(update(raters).where(raters.c.id == rater).values(shut))
    return _give_up(conn, rater, discard_votes)


def _give_up(conn: Connection, rater: int, discard_votes: bool) -> int:
    p, discarded = places.c, 0
    which = [p.rater == rater]
    conn.execute(delete(past).where(past.c.rater == rater, past.c.choice.is_(None)))
    if discard_votes:
        kept = ("pair", "gold", "shown", "choice", "reason", "voted")
        votes = select(literal(rater), *(p[n] for n in kept)).where(*which, p.choice.is_not(None))
        conn.execute(insert(past).from_select(("rater", *kept), votes))
        on_pairs = (*which, p.choice.is_not(None), p.gold.is_(None))
        discarded = conn.execute(select(func.count()).where(*on_pairs)).scalar_one()
        conn.execute(update(study).values(votes=study.c.votes - discarded))
    else:
        which.append(p.choice.is_(None))
    conn.execute(delete(places).where(*which, p.gold.is_not(None)))
    empty = {"rater": None, "session": None, "shown": None, "expires": 0.0, "reason": ""}
    empty |= {"choice": None, "before": None, "voted": None, "nth": None}
    conn.execute(update(places).where(*which).values(empty))
    return discarded


def forget(conn: Connection, rater: int, discard_votes: bool, now: float) -> None:
    """Remove what could identify a rater: label, worker id's hash, links, sessions, reasons.

    The votes stay under the rater's number, or are deleted with `discard_votes`, and their places
    open again.

    Raises:
        InputError: no such rater.
    """
    revoke(conn, rater, discard_votes, now)
    gone = {"label": "", "worker": None, "forgotten": True}
    conn.execute(update(raters).where(raters.c.id == rater).values(gone))
    conn.execute(delete(links).where(links.c.rater == rater))
    nobody = {"cookie": None, "assignment": None}
    conn.execute(update(sessions).where(sessions.c.rater == rater).values(nobody))
    conn.execute(update(places).where(places.c.rater == rater).values(reason=""))
    if discard_votes:
        conn.execute(delete(past).where(past.c.rater == rater))
    else:
        conn.execute(update(past).where(past.c.rater == rater).values(reason=""))
    conn.info[SCRUB] = True


def find_rater(conn: Connection, given: str, worker_hash: str) -> int:
    """A rater's number from "r7", a label, or the hash of a worker id.

    Raises:
        InputError: nobody, or several of the same label.
    """
    given = given.strip()
    number = int(given[1:]) if given[:1] == "r" and given[1:].isdecimal() else None
    c = raters.c
    asked = or_(c.label == given, c.worker == worker_hash) if given else c.worker == worker_hash
    rows = conn.execute(select(c.id).where(asked).order_by(c.id)).scalars().all()
    if number is not None and number < 2**31:
        known = conn.execute(select(c.id).where(c.id == number)).scalar()
        rows = [known] if known is not None else rows
    if len(rows) > 1:
        several = ", ".join(f"r{n}" for n in rows)
        raise InputError(f"Several raters are called {given!r}: {several}.", "Give the number.")
    if not rows:
        everyone = conn.execute(select(c.id, c.label)).all()
        names = [f"r{row.id}" for row in everyone] + [row.label for row in everyone if row.label]
        hint = nearest(given, names) if names else "Nobody takes part yet."
        raise InputError(f"No rater {given!r} in this study.", hint)
    return rows[0]


def set_owner(conn: Connection, link_hash: str) -> None:
    """The owner's link from now on; the one before and its sessions end."""
    conn.execute(update(study).values(owner_link=link_hash))
    conn.execute(delete(owners))


def is_owner(conn: Connection, link_hash: str) -> bool:
    """Whether this is the owner's link."""
    return conn.execute(select(study.c.owner_link)).scalar_one() == link_hash


def begin_owner(conn: Connection, link_hash: str, cookie_hash: str, now: float) -> None:
    """A session of the owner. The link may be opened in several browsers, until there is a new one.

    Raises:
        Refused: forged.
    """
    if not is_owner(conn, link_hash):
        raise Refused("forged")
    conn.execute(insert(owners).values(cookie=cookie_hash))


def owner_of(conn: Connection, cookie_hash: str, now: float) -> None:
    """Pass if this cookie is the owner's.

    Raises:
        Refused: forged.
    """
    if conn.execute(select(owners.c.cookie).where(owners.c.cookie == cookie_hash)).first() is None:
        raise Refused("forged")
