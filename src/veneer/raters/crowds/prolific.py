"""A study on Prolific: the address to paste, the completion code, and what it costs.

Nothing is sent to Prolific: its page for a new study asks for what `open_entrance` returns, and
holds the money. A participant's id is kept as a salted hash alone.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from veneer.errors import InputError
from veneer.raters.crowds.entrances import checked_pairs, checked_url, entrance, seconds_of
from veneer.raters.crowds.pay import (
    PROLIFIC_FEES,
    PROLIFIC_LOWEST_CENTS,
    cents,
    prolific_fee,
    reward,
    usd,
)
from veneer.raters.crowds.plan import need
from veneer.raters.packet import Packet
from veneer.raters.store import Store
from veneer.raters.store.crowds import Campaign, campaigns, hits
from veneer.raters.store.progress import state as state_of

COMPLETE = "https://app.prolific.com/submissions/complete"
PARAMETERS = "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
"""What Prolific fills in for each participant (https://docs.prolific.com, the study object)."""
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def completion_url(code: str) -> str:
    """Where a participant who is done goes."""
    return f"{COMPLETE}?cc={code}"


def open_entrance(
    store: Store,
    packet: Packet,
    *,
    public_url: str,
    pairs_per_submission: int,
    seconds_per_pair: float | None = None,
    hourly_usd: str | float | Decimal = "15",
    plan: str = "corporate",
    reserve: float = 0.1,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Open the study to participants of Prolific, or show the open entrance again.

    Args:
        store: the study's votes.
        packet: what is shown.
        public_url: how participants' browsers reach the server that serves this store.
        pairs_per_submission: comparisons in a submission, attention checks among them.
        seconds_per_pair: assumed, where fewer than 20 votes were measured.
        hourly_usd: what a participant earns at the median pace.
        plan: "corporate" or "academic": Prolific's fee.
        reserve: share of participants more, for submissions that are returned.
        clock: seconds since 1970.

    Raises:
        InputError: less than Prolific lets one pay, or a study that needs no more votes.
    """
    pairs = checked_pairs(packet, pairs_per_submission)
    url = checked_url(public_url, https=False)
    hourly = cents(hourly_usd, "The pay for an hour")
    if hourly < PROLIFIC_LOWEST_CENTS:
        raise InputError(
            f"Prolific does not let one pay {usd(hourly)} an hour.",
            f"The least is {usd(PROLIFIC_LOWEST_CENTS)}.",
        )
    prolific_fee(0, 0, plan)
    state = store.seen(state_of, clock())
    seconds, source = seconds_of(state, seconds_per_pair)
    wanted = need(packet, state, pairs, reserve=reserve)
    if not wanted.assignments:
        raise InputError("Every pair has all its ratings, or is with a rater now.")
    campaign = store.now(_entrance, store.secret, url, pairs, clock())
    pay, people = reward(pairs, seconds, hourly), wanted.assignments
    fee = prolific_fee(pay, people, plan)
    minutes = max(1, math.ceil(pairs * seconds / 60))
    code = campaign.facts["code"]
    figures = {
        "url": f"{url}/c/{campaign.facts['token']}?{PARAMETERS}",
        "code": code,
        "completion_url": completion_url(code),
        "participants": people,
        "reserve": wanted.reserve,
        "minutes": minutes,
        "reward_cents": pay,
        "hourly_cents": hourly,
        "fee_cents": fee,
        "cost_cents": people * pay + fee,
    }
    share = f"{float(PROLIFIC_FEES[plan]):.1%}"
    text = f"""\
Paste into a new study at https://app.prolific.com:
  study URL        {figures["url"]}
  participant ids  by URL parameters
  completion       redirect to {figures["completion_url"]} (code {code})
  participants     {people} ({wanted.missing} votes are missing, {pairs} comparisons each;
                   {wanted.reserve} of them for returned submissions)
  estimated time   {minutes} min ({seconds:.1f} s a comparison, {source})
  reward           {usd(pay)}, which is {usd(hourly)} an hour
  fluent language  English
Cost: {usd(people * pay)} and Prolific's fee of {usd(fee)} ({share}, plan "{plan}"), \
{usd(figures["cost_cents"])} in all."""
    if any(each.state.startswith("open") for each in store.seen(hits)):
        text += "\nOpen HITs on Mechanical Turk may bring some of these votes: expire them first."
    return figures | {"text": text}


def _entrance(conn: Any, secret: bytes, url: str, pairs: int, now: float) -> Campaign:
    """The open entrance for submissions of so many pairs; a new one gets its own code."""
    for each in campaigns(conn):
        same = (each.kind, each.open, each.per_session) == ("prolific", True, pairs)
        if same and each.facts["public_url"] == url:
            return each
    code = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return entrance(conn, secret, "prolific", pairs, {"public_url": url, "code": code}, now)
