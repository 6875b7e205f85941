"""A study on Amazon Mechanical Turk: launch, approve, expire, status, watch.

The market's site for requesters shows the same HITs; what is done there by hand is seen here at
the next command. Every function returns figures and, under "text", what to print.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from veneer.raters.crowds.aws import Unanswered
from veneer.raters.crowds.hits import Seen, clear_up, desk_of, end, look, stands_still
from veneer.raters.crowds.launching import launch
from veneer.raters.crowds.pay import WAS, budget_cents, some, usd
from veneer.raters.crowds.reviewing import approve
from veneer.raters.packet import Packet
from veneer.raters.store import Store
from veneer.raters.store.progress import state as state_of

__all__ = ["approve", "expire", "launch", "status", "watch"]

_COUNTS = (
    "hits", "available", "pending", "submitted", "approved", "rejected",
    "spent_cents", "committed_cents",
)  # fmt: skip


def expire(
    store: Store,
    packet: Packet,
    *,
    production: bool = False,
    endpoint_url: str | None = None,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Take all open HITs off the market. Workers who have accepted one may finish it."""
    desk = desk_of(store, production, endpoint_url, clock)
    still = clear_up(desk, create_again=False)
    seen = [end(desk, look(desk, row)) for row in desk.rows("open")]
    pending = sum(each.pending for each in seen)
    lines = [f"{some(len(seen), 'HIT', ('is', 'are'))} off the market ({desk.environment})."]
    if pending:
        lines.append(
            f"{some(pending, 'assignment', ('is', 'are'))} with workers, who may still hand it in."
        )
    if still:
        lines.append(_unknown(still))
    return {"hits": len(seen), "pending": pending, "unknown": still, "text": "\n".join(lines)}


def status(
    store: Store,
    packet: Packet,
    *,
    production: bool = False,
    endpoint_url: str | None = None,
    budget_usd: str | float | Decimal | None = None,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """HITs, assignments and money by campaign, as Amazon has them now.

    Ends open HITs when the study is complete or paused, as every command here does.
    """
    budget = None if budget_usd is None else budget_cents(budget_usd)
    desk = desk_of(store, production, endpoint_url, clock)
    still = clear_up(desk, create_again=False)
    state = store.seen(state_of, clock())
    over = stands_still(state) is not None
    by_campaign: dict[int, dict[str, Any]] = {}
    for row in desk.rows():
        seen = look(desk, row) if row.state == "open" else Seen(row)
        if over and row.state == "open":
            seen = end(desk, seen)
        pairs = desk.campaigns()[row.campaign].per_session
        line = by_campaign.setdefault(
            row.campaign, {"campaign": row.campaign, "pairs": pairs} | dict.fromkeys(_COUNTS, 0)
        )
        counts = (
            int(seen.row.assignments > 0), seen.available, seen.pending, seen.submitted,
            seen.row.approved, seen.row.rejected, seen.row.spent, seen.row.held,
        )  # fmt: skip
        for name, count in zip(_COUNTS, counts, strict=True):
            line[name] += count
    lines = list(by_campaign.values())
    totals = {name: sum(line[name] for line in lines) for name in _COUNTS}
    left = None if budget is None else budget - totals["committed_cents"]
    text = _status_text(desk.environment, lines, totals, left)
    if still:
        text += "\n" + _unknown(still)
    return {
        "environment": desk.environment,
        "campaigns": lines,
        "unknown": still,
        "left_cents": left,
        "text": text,
        **totals,
    }


def watch(
    store: Store,
    packet: Packet,
    *,
    say: Callable[[str], None],
    production: bool = False,
    endpoint_url: str | None = None,
    every_seconds: float = 60.0,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Pay as work comes in, and end the HITs as soon as the study is complete or paused.

    Returns the last status, once no assignment is open or with a worker.

    Args:
        store: the study's votes and ledger.
        packet: what is shown.
        say: called with what was done, whenever something was.
        production: real workers and real money.
        endpoint_url: a stand-in on this machine, for tests.
        every_seconds: between two looks.
        wait: sleeps so long.
        clock: seconds since 1970.
    """
    where: dict[str, Any] = {
        "production": production, "endpoint_url": endpoint_url, "clock": clock
    }  # fmt: skip
    while True:
        try:
            done = approve(store, packet, **where)
            if done["approved"] or done["rejected"] or done["ended"]:
                say(done["text"])
            seen = status(store, packet, **where)
            if not (seen["available"] or seen["pending"] or seen["unknown"]):
                return seen
        except Unanswered as error:
            say(str(error))
        wait(every_seconds)


def _unknown(still: int) -> str:
    return (
        f"{some(still, 'HIT', WAS)} asked for and Amazon's answer is not known: the money stays "
        "committed. The next launch finds or makes what is missing; after a day it is given up."
    )


def _status_text(
    environment: str, lines: list[dict[str, Any]], totals: dict[str, int], left: int | None
) -> str:
    if not lines:
        return f"No HITs were made ({environment})."
    head = ("campaign", "HITs", "open", "at work", "submitted", "approved", "rejected")
    rows = [head, *([str(line[name]) for name in ("campaign", *_COUNTS[:6])] for line in lines)]
    text = "\n".join("  ".join(f"{cell:>9}" for cell in row) for row in rows)
    money = f"{usd(totals['spent_cents'])} spent, {usd(totals['committed_cents'])} committed"
    if left is not None:
        money += f", {usd(left)} left"
    return f"{text}\n{money}, fees included ({environment})."
