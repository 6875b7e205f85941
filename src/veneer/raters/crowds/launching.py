"""Asking Mechanical Turk for the votes that are missing, within a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from veneer.errors import InputError, VeneerError
from veneer.raters.crowds import aws, ledger
from veneer.raters.crowds.entrances import checked_pairs, checked_url, entrance, seconds_of
from veneer.raters.crowds.hits import Desk, clear_up, create, desk_of, end_all, look, stands_still
from veneer.raters.crowds.pay import WAS, budget_cents, cents, mturk_fee, reward, some, usd
from veneer.raters.crowds.plan import Need, need, split
from veneer.raters.packet import Packet
from veneer.raters.store import Store
from veneer.raters.store.crowds import Campaign
from veneer.raters.store.progress import state as state_of

LIFETIME_HOURS = 72
_RESUME = "Resume it first:  veneer rate resume"


def launch(
    store: Store,
    packet: Packet,
    *,
    public_url: str,
    pairs_per_assignment: int,
    budget_usd: str | float | Decimal | None,
    seconds_per_pair: float | None = None,
    production: bool = False,
    endpoint_url: str | None = None,
    assignments: int | None = None,
    reserve: float = 0.1,
    hourly_usd: str | float | Decimal = "15",
    lifetime_hours: float = LIFETIME_HOURS,
    anyone: bool = False,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Ask workers of Mechanical Turk for the votes that are still missing.

    The same command tops up later: it counts what is voted, in hand and open already.

    Args:
        store: the study's votes and ledger.
        packet: what is shown.
        public_url: how workers' browsers reach the server that serves this store.
        pairs_per_assignment: comparisons in an assignment, attention checks among them.
        budget_usd: the most that all HITs of this study may ever cost, fees included; sandbox and
            production count apart.
        seconds_per_pair: assumed, where fewer than 20 votes were measured.
        production: real workers and real money.
        endpoint_url: a stand-in on this machine, for tests.
        assignments: ask for so many instead of all that are missing.
        reserve: share of assignments more, for work that is begun and not finished.
        hourly_usd: what a worker earns at the median pace.
        lifetime_hours: how long workers find the HITs.
        anyone: without qualifications, to try the sandbox oneself.
        clock: seconds since 1970.

    Raises:
        InputError: no budget, or none left for this; a study that is paused or needs nothing.
        StepFailed: Amazon refused or did not answer; the same command goes on from there.
    """
    budget = budget_cents(budget_usd)
    checked_pairs(packet, pairs_per_assignment)
    endpoint = aws.environment(production, endpoint_url)
    url = checked_url(public_url, https=production or not aws.on_this_machine(endpoint))
    if anyone and production:
        raise InputError(
            "Without qualifications anyone could take the work, and production pays for it.",
            "Leave --anyone out with --production.",
        )
    if assignments is not None and assignments < 1:
        raise InputError(f"{assignments} assignments cannot be made.", "Give 1 or more.")
    hourly = cents(hourly_usd, "The pay for an hour")
    facts = {
        "environment": "production" if production else "sandbox",
        "public_url": url,
        "title": packet.facts.title,
        "hourly_cents": hourly,
        "lifetime_seconds": _lifetime(lifetime_hours),
        "anyone": anyone,
    }
    desk = desk_of(store, production, endpoint_url, clock)
    state = store.seen(state_of, clock())
    if (why := stands_still(state)) is not None:
        ended = end_all(desk)
        raise InputError(f"Nothing is launched: {why}.{ended}", _RESUME if state.paused else "")
    seconds, source = seconds_of(state, seconds_per_pair)
    pay = reward(pairs_per_assignment, seconds, hourly)
    ledger_now = desk.rows()
    if ledger.held(ledger_now) > budget:
        raise InputError(_over(ledger.held(ledger_now), budget), "Give a larger --budget-usd.")
    clear_up(desk, create_again=True)
    seen = [look(desk, row) for row in desk.rows("open")]
    wanted = need(
        packet,
        state,
        pairs_per_assignment,
        available=sum(each.available for each in seen),
        pending=sum(each.pending for each in seen),
        reserve=reserve,
    )
    count = wanted.assignments if assignments is None else assignments
    parts = split(count)
    unit = pay + mturk_fee(pay, 1)
    _fits(desk, count, unit, budget)
    made: list[str] = []
    if parts:
        campaign = store.now(entrance, store.secret, "mturk", pairs_per_assignment, facts, clock())
        made = _make(desk, campaign, parts, pay, budget)
    taken = ledger.held(desk.rows())
    figures = {
        "environment": desk.environment,
        "hits": len(made),
        "assignments": sum(parts),
        "reward_cents": pay,
        "fee_cents": unit - pay,
        "seconds_per_pair": seconds,
        "missing": wanted.missing,
        "coming": wanted.coming,
        "reserve": 0 if assignments is not None else wanted.reserve,
        "cost_cents": sum(parts) * unit,
        "committed_cents": taken,
        "left_cents": budget - taken,
    }
    said = _launched(figures, pairs_per_assignment, source, wanted, budget, hourly)
    return figures | {"text": said}


def _make(desk: Desk, campaign: Campaign, parts: list[int], pay: int, budget: int) -> list[str]:
    made: list[str] = []
    for part in parts:
        token = ledger.new_token(desk.clock())
        row = ledger.Row(token, campaign.id, part, pay, mturk_fee(pay, part), "intended")
        if not desk.store.now(ledger.intend, desk.environment, row, budget):
            raise InputError(
                f"{_over(ledger.held(desk.rows()), budget)} {len(made)} of "
                f"{some(len(parts), 'HIT', WAS)} made before another launch took the rest.",
                "See  veneer rate mturk status",
            )
        try:
            made.append(create(desk, campaign, row))
        except VeneerError as error:
            done = f"{len(made)} of {some(len(parts), 'HIT', WAS)} made before."
            error.message = f"{error.message.rstrip('.')}. {done}"
            error.args = (error.message,)
            raise
    return made


def _lifetime(hours: float) -> int:
    seconds = round(hours * 3600) if math.isfinite(hours) else 0
    if not 30 <= seconds <= 365 * 86400:  # Amazon's own bounds
        raise InputError(
            f"HITs cannot be open for {hours:g} hours.", "Give hours, up to a year, such as 72."
        )
    return seconds


def _over(taken: int, budget: int) -> str:
    return f"HITs made so far take {usd(taken)} of the budget of {usd(budget)}."


def _fits(desk: Desk, count: int, unit: int, budget: int) -> None:
    """Whether the budget has room for all of a launch.

    Raises:
        InputError: it has not; says for how many it has.
    """
    left = budget - ledger.held(desk.rows())
    if count * unit <= left:
        return
    most, enough = left // unit, budget - left + count * unit
    raise InputError(
        f"{some(count, 'assignment', ('costs', 'cost'))} {usd(count * unit)} with Amazon's fee, "
        f"and {usd(left)} of the budget of {usd(budget)} is left: enough for {most} of "
        f"{usd(unit)} each.",
        (f"Ask for {most} with --assignments {most}, or give" if most else "Give")
        + f" a --budget-usd of {enough // 100}.{enough % 100:02d}.",
    )


def _launched(
    figures: dict[str, Any], pairs: int, source: str, wanted: Need, budget: int, hourly: int
) -> str:
    lines = [
        some(wanted.missing, "vote", ("is", "are"))
        + " missing"
        + (
            f", {wanted.coming} of them are coming from open assignments." if wanted.coming else "."
        ),
    ]
    if figures["assignments"]:
        spare = f", {figures['reserve']} of them for lost work" if figures["reserve"] else ""
        lines += [
            f"{some(figures['assignments'], 'assignment')} of {some(pairs, 'comparison')} in "
            f"{some(figures['hits'], 'HIT')}{spare} ({figures['environment']}).",
            f"Each pays {usd(figures['reward_cents'])} ({figures['seconds_per_pair']:.1f} s a "
            f"comparison, {source}; {usd(hourly)} an hour) and costs "
            f"{usd(figures['fee_cents'])} more in fees: {usd(figures['cost_cents'])} in all.",
        ]
    else:
        lines.append("Nothing more was asked for.")
    lines.append(
        f"Budget {usd(budget)}: {usd(figures['committed_cents'])} committed, "
        f"{usd(figures['left_cents'])} left."
    )
    return "\n".join(lines)
