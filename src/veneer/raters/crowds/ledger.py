"""What HITs hold and cost: rows of the store's ledger, written before Amazon hears of a HIT.

A HIT is `intended` (its row stands, Amazon's answer is not known yet; `hit` is the request's
token), `open` (`hit` is Amazon's id) or `settled` (nobody can send in work any more, and all that
came is approved or rejected). A row whose HIT was certainly never made holds no assignments.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from veneer.raters.store import crowds

State = Literal["intended", "open", "settled"]
TOKEN_SECONDS = 23 * 3600
FORGOTTEN_SECONDS = 25 * 3600
"""Amazon remembers a request's token for 24 hours: nothing is tried again with one near its end,
and after it what Amazon does not list was not made."""


@dataclass(frozen=True)
class Row:
    """One HIT. `assignments`: all that may be paid; fewer once it expired with some free."""

    hit: str
    campaign: int
    assignments: int
    reward_cents: int
    fee_cents: int
    state: State
    approved: int = 0
    rejected: int = 0

    @property
    def unit(self) -> int:
        """Cents for one assignment, with Amazon's fee."""
        return self.reward_cents + self.fee_cents

    @property
    def held(self) -> int:
        """Cents that this HIT took from the budget.

        A rejection can be overturned for 30 days, so that its money stays here.
        """
        return self.assignments * self.unit

    @property
    def spent(self) -> int:
        """Cents of the approved assignments."""
        return self.approved * self.unit


def new_token(now: float) -> str:
    """A request's token, which remembers when it was made; at most 64 characters."""
    return f"veneer-{int(now)}-{secrets.token_hex(12)}"


def age(token: str, now: float) -> float:
    """Seconds since a token was made."""
    return now - int(token.split("-")[1])


def rows(conn: Connection, environment: str) -> list[Row]:
    """The ledger of one environment ("sandbox" or "production"), oldest first."""
    ours = {
        each.id
        for each in crowds.campaigns(conn)
        if each.kind == "mturk" and each.facts["environment"] == environment
    }
    return [_row(each) for each in crowds.hits(conn) if each.campaign in ours]


def held(ledger: Sequence[Row]) -> int:
    """Cents taken from the budget by all HITs."""
    return sum(row.held for row in ledger)


def intend(conn: Connection, environment: str, row: Row, budget_cents: int) -> bool:
    """Write down a HIT that is about to be asked for, if the budget has room: whether it had.

    Looking and writing are one transaction, and writers of a store take turns: of two launches at
    the same time the second one sees the first one's rows.
    """
    if held(rows(conn, environment)) + row.held > budget_cents:
        return False
    crowds.add_hit(
        conn,
        row.hit,
        row.campaign,
        assignments=row.assignments,
        reward_cents=row.reward_cents,
        fee_cents=row.fee_cents,
        state="intended",
    )
    return True


def made(conn: Connection, row: Row, hit: str) -> None:
    """The HIT of an intended row exists, under this id."""
    if _stands(conn, row.hit):
        crowds.set_hit(conn, row.hit, hit=hit, assignments=row.assignments, state="open")


def never_made(conn: Connection, row: Row) -> None:
    """Amazon certainly has no HIT of an intended row: its money is free."""
    if _stands(conn, row.hit):
        crowds.set_hit(conn, row.hit, assignments=0, state="settled 0 0")


def _stands(conn: Connection, token: str) -> bool:
    """Whether a row still waits under its token; another command may have found its HIT."""
    return any(each.hit == token for each in crowds.hits(conn))


def keep(conn: Connection, row: Row) -> None:
    """Keep what was learnt of a HIT."""
    state = f"{row.state} {row.approved} {row.rejected}"
    crowds.set_hit(conn, row.hit, assignments=row.assignments, state=state)


def _row(hit: crowds.Hit) -> Row:
    state, approved, rejected = [*hit.state.split(), "0", "0"][:3]
    return Row(
        hit.hit,
        hit.campaign,
        hit.assignments,
        hit.reward_cents,
        hit.fee_cents,
        state,  # type: ignore[arg-type]
        int(approved),
        int(rejected),
    )
