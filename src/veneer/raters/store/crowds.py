"""Campaigns, who enters through them, and the ledger of what is paid for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, case, func, insert, select, update

from veneer.raters.store.people import session_of
from veneer.raters.store.tables import campaigns as campaigns_table
from veneer.raters.store.tables import hits as hits_table
from veneer.raters.store.tables import places, raters, sessions
from veneer.raters.store.terms import Refused, Session

Kind = Literal["mturk", "prolific"]


@dataclass(frozen=True)
class Campaign:
    """A crowd's entrance. `facts` are the campaign's own (reward, completion code, addresses)."""

    id: int
    kind: Kind
    per_session: int  # pairs that one assignment asks for
    facts: dict[str, Any]
    open: bool
    made: float  # seconds since 1970


@dataclass(frozen=True)
class Hit:
    """A line of the ledger. Cents are of each assignment: `assignments` x (reward + fee) in all."""

    hit: str
    campaign: int
    assignments: int
    reward_cents: int
    fee_cents: int
    state: str


class Done(NamedTuple):
    """What was done in one assignment. Counts of judgements; gold are the attention checks."""

    voted: int
    quota: int
    gold_right: int
    gold_wrong: int


def add_campaign(
    conn: Connection,
    kind: Kind,
    link_hash: str,
    per_session: int,
    facts: dict[str, Any],
    now: float,
) -> int:
    """A new, open campaign; its number."""
    row = {"kind": kind, "link": link_hash, "per_session": per_session, "facts": facts, "made": now}
    return conn.execute(
        insert(campaigns_table).values(row).returning(campaigns_table.c.id)
    ).scalar_one()


def campaigns(conn: Connection) -> list[Campaign]:
    """All campaigns, oldest first."""
    c = campaigns_table.c
    columns = (c.id, c.kind, c.per_session, c.facts, c.open, c.made)
    return [Campaign(*row) for row in conn.execute(select(*columns).order_by(c.id))]


def set_campaign(conn: Connection, campaign: int, **changes: Any) -> None:
    """Change `facts`, `per_session` (of sessions to come), `open` or `link` (a new link's hash).

    `facts` replaces all facts.
    """
    unknown = set(changes) - {"facts", "per_session", "open", "link"}
    if unknown:
        raise ValueError(f"a campaign has no {sorted(unknown)}")
    c = campaigns_table.c
    done = conn.execute(update(campaigns_table).where(c.id == campaign).values(**changes))
    if done.rowcount != 1:
        raise ValueError(f"no campaign {campaign}")


def open_campaign(conn: Connection, campaign: int) -> None:
    """Let workers in again."""
    set_campaign(conn, campaign, open=True)


def close_campaign(conn: Connection, campaign: int) -> None:
    """Let no new assignment in; those begun may be finished."""
    set_campaign(conn, campaign, open=False)


def enter(
    conn: Connection,
    link_hash: str,
    worker_hash: str,
    assignment_hash: str,
    cookie_hash: str,
    now: float,
) -> Session:
    """A worker's session: the same for the same assignment, which then has this cookie alone.

    A worker seen before, in whatever campaign, is the same rater.

    Raises:
        Refused: forged (no such campaign, or another worker's assignment), closed or revoked.
    """
    campaign = conn.execute(
        select(campaigns_table).where(campaigns_table.c.link == link_hash)
    ).first()
    if campaign is None:
        raise Refused("forged")
    rater = conn.execute(select(raters).where(raters.c.worker == worker_hash)).first()
    begun = conn.execute(select(sessions).where(sessions.c.assignment == assignment_hash)).first()
    if begun is not None and (rater is None or begun.rater != rater.id):
        raise Refused("forged")
    if rater is not None and (rater.revoked or (begun is not None and begun.ended)):
        raise Refused("revoked")
    if begun is not None:
        again = update(sessions).where(sessions.c.id == begun.id).values(cookie=cookie_hash)
        conn.execute(again)
        return session_of(conn, cookie_hash, now)
    if not campaign.open:
        raise Refused("closed")
    if rater is None:
        row = {"origin": campaign.kind, "worker": worker_hash, "made": now}
        number = conn.execute(insert(raters).values(row).returning(raters.c.id)).scalar_one()
    else:
        number = rater.id
    session = {
        "rater": number,
        "cookie": cookie_hash,
        "campaign": campaign.id,
        "assignment": assignment_hash,
        "quota": campaign.per_session,
        "begun": now,
    }
    conn.execute(insert(sessions).values(session))
    return session_of(conn, cookie_hash, now)


def assignment(conn: Connection, assignment_hash: str) -> Done | None:
    """What was done in an assignment; None when nobody entered with it."""
    row = conn.execute(select(sessions).where(sessions.c.assignment == assignment_hash)).first()
    if row is None:
        return None
    p = places.c
    right = func.coalesce(func.sum(case((p.choice == p.gold, 1), else_=0)), 0)
    checks = (p.session == row.id, p.gold.is_not(None), p.choice.is_not(None))
    given, n_right = conn.execute(select(func.count(), right).where(*checks)).one()
    return Done(row.voted, row.quota, int(n_right), int(given - n_right))


def add_hit(
    conn: Connection,
    hit: str,
    campaign: int,
    assignments: int,
    reward_cents: int,
    fee_cents: int,
    state: str,
) -> None:
    """Write down a HIT: what it commits is `assignments` x (`reward_cents` + `fee_cents`)."""
    row = {"hit": hit, "campaign": campaign, "assignments": assignments, "state": state}
    row |= {"reward_cents": reward_cents, "fee_cents": fee_cents}
    conn.execute(insert(hits_table).values(row))


def hits(conn: Connection, campaign: int | None = None) -> list[Hit]:
    """The ledger, of one campaign or of all, in the order of HIT ids."""
    asked = select(hits_table).order_by(hits_table.c.campaign, hits_table.c.hit)
    if campaign is not None:
        asked = asked.where(hits_table.c.campaign == campaign)
    return [Hit(**row._mapping) for row in conn.execute(asked)]


def set_hit(conn: Connection, given: str, **changes: Any) -> None:
    """Change a line: `hit` (its id, once it is known), `assignments`, cents or `state`."""
    unknown = set(changes) - {"hit", "assignments", "reward_cents", "fee_cents", "state"}
    if unknown:
        raise ValueError(f"a HIT has no {sorted(unknown)}")
    done = conn.execute(update(hits_table).where(hits_table.c.hit == given).values(**changes))
    if done.rowcount != 1:
        raise ValueError(f"no HIT {given}")


def committed_cents(conn: Connection, campaign: int | None = None) -> int:
    """What all lines of the ledger commit to pay, fees included, in cents."""
    c = hits_table.c
    total = func.coalesce(func.sum(c.assignments * (c.reward_cents + c.fee_cents)), 0)
    asked = select(total)
    if campaign is not None:
        asked = asked.where(c.campaign == campaign)
    return int(conn.execute(asked).scalar_one())
