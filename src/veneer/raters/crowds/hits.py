"""HITs at Amazon: made once, looked at, ended. Workers' ids are dropped once read."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from veneer.raters.crowds import aws, ledger
from veneer.raters.crowds.pay import WAS, some
from veneer.raters.crowds.questions import hit_request
from veneer.raters.store import Store
from veneer.raters.store.crowds import Campaign, campaigns
from veneer.raters.store.terms import StudyState

_LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
_OVER = ("Reviewable", "Reviewing", "Disposed")
_HIT_ID = re.compile(r"\b[A-Z0-9]{25,64}\b")


@dataclass(frozen=True)
class Desk:
    """A requester's desk: the study's store, a client of Mechanical Turk, and which of the two
    worlds it is in ("sandbox" or "production")."""

    store: Store
    client: Any
    environment: str
    clock: Callable[[], float] = time.time

    def rows(self, *states: ledger.State) -> list[ledger.Row]:
        """HITs of the ledger, of these states or of all."""
        found = self.store.seen(ledger.rows, self.environment)
        return [row for row in found if not states or row.state in states]

    def campaigns(self) -> dict[int, Campaign]:
        """Campaigns by number."""
        return {each.id: each for each in self.store.seen(campaigns)}


def desk_of(
    store: Store,
    production: bool,
    endpoint_url: str | None,
    clock: Callable[[], float] = time.time,
) -> Desk:
    """A desk in the sandbox, or with `production` where money is real."""
    client = aws.client_of(production, endpoint_url)
    return Desk(store, client, "production" if production else "sandbox", clock)


@dataclass(frozen=True)
class Work:
    """What a worker handed in: the assignment's id, its status, and the XML of the answer."""

    id: str
    status: str
    answer: str


@dataclass(frozen=True)
class Seen:
    """A HIT as Amazon has it now. `available`: assignments that wait for a worker; `pending`:
    accepted and not handed in."""

    row: ledger.Row
    available: int = 0
    pending: int = 0
    submitted: int = 0
    expired: bool = True


def create(desk: Desk, campaign: Campaign, row: ledger.Row, *, again: bool = False) -> str:
    """Ask for the HIT of an intended row, or find the one that an earlier try made; its id.

    Whether the row's money is free again after an error is decided by what is certain: only a
    refusal of the first try, or a first request that never left, made no HIT for sure. `again`
    says that this is not the first.
    """
    facts = campaign.facts
    request = hit_request(
        token=row.hit,
        url=f"{facts['public_url']}/c/{facts['token']}",
        title=facts["title"],
        pairs=campaign.per_session,
        reward_cents=row.reward_cents,
        assignments=row.assignments,
        seconds_per_pair=row.reward_cents * 3600 / facts["hourly_cents"] / campaign.per_session,
        lifetime_seconds=facts["lifetime_seconds"],
        anyone=facts["anyone"],
    )
    with aws.asked("create a HIT"):
        try:
            hit = desk.client.create_hit(**request)["HIT"]["HITId"]
        except ClientError as error:
            if "HitAlreadyExists" in aws.code_of(error) + str(error):
                hit = _existing(desk, row.hit, error)
            else:
                if aws.refused_outright(error) and not again:
                    desk.store.now(ledger.never_made, row)
                raise
        except (NoCredentialsError, PartialCredentialsError):
            if not again:
                desk.store.now(ledger.never_made, row)
            raise
    desk.store.now(ledger.made, row, hit)
    return hit


def _existing(desk: Desk, token: str, error: ClientError) -> str:
    """The HIT that a token made before: Amazon's message names it, and its list has it."""
    found = find(desk, {token}).get(token)
    if found is not None:
        return found
    named = _HIT_ID.search(str(error.response["Error"].get("Message", "")))
    if named is None:
        raise aws.Unanswered(
            "Amazon has this HIT already, but does not say which it is.",
            "Run the same command again in a few minutes.",
        )
    return named.group()


def find(desk: Desk, tokens: Collection[str]) -> dict[str, str]:
    """The HITs that carry these tokens in their annotation, by token."""
    found: dict[str, str] = {}
    with aws.asked("list the HITs"):
        for page in desk.client.get_paginator("list_hits").paginate(
            PaginationConfig={"PageSize": 100}
        ):
            for hit in page.get("HITs", []):
                if hit.get("RequesterAnnotation") in tokens:
                    found[hit["RequesterAnnotation"]] = hit["HITId"]
    return found


def clear_up(desk: Desk, create_again: bool) -> int:
    """Settle what an earlier command left without an answer; the rows still without one.

    A HIT that Amazon has is entered. One that it does not have is asked for again under the same
    token (`create_again`), while Amazon remembers tokens; later than that it certainly was not
    made, and its money is free.
    """
    waiting = desk.rows("intended")
    if not waiting:
        return 0
    found = find(desk, {row.hit for row in waiting})
    known = desk.campaigns()
    still = 0
    for row in waiting:
        old = ledger.age(row.hit, desk.clock())
        if row.hit in found:
            desk.store.now(ledger.made, row, found[row.hit])
        elif old < ledger.TOKEN_SECONDS and create_again:
            create(desk, known[row.campaign], row, again=True)
        elif old > ledger.FORGOTTEN_SECONDS:
            desk.store.now(ledger.never_made, row)
        else:
            still += 1
    return still


def works(desk: Desk, hit: str) -> list[Work]:
    """All that workers handed in for a HIT."""
    pages = desk.client.get_paginator("list_assignments_for_hit").paginate(
        HITId=hit, PaginationConfig={"PageSize": 100}
    )
    with aws.asked("list the assignments of a HIT"):
        return [
            Work(each["AssignmentId"], each["AssignmentStatus"], each.get("Answer", ""))
            for page in pages
            for each in page.get("Assignments", [])
        ]


def look(desk: Desk, row: ledger.Row) -> Seen:
    """A HIT as it is now; the ledger learns what is new.

    Money for assignments that nobody took comes free only when the HIT has expired and no
    accepted assignment is left that could still be handed in.
    """
    with aws.asked("look at a HIT"):
        try:
            hit = desk.client.get_hit(HITId=row.hit)["HIT"]
        except ClientError as error:
            if "DoesNotExist" not in aws.code_of(error):
                raise
            # Amazon deletes HITs long after the last assignment was approved.
            gone = replace(row, state="settled", approved=row.assignments - row.rejected)
            desk.store.now(ledger.keep, gone)
            return Seen(gone)
    counts = Counter(work.status for work in works(desk, row.hit))
    expired = hit["Expiration"].timestamp() <= desk.clock()
    over = hit["HITStatus"] in _OVER and not hit.get("NumberOfAssignmentsPending", 0)
    taken = counts["Submitted"] + counts["Approved"] + counts["Rejected"]
    now = replace(
        row,
        assignments=taken if over and expired else row.assignments,
        state="settled" if over and not counts["Submitted"] else "open",
        approved=counts["Approved"],
        rejected=counts["Rejected"],
    )
    if now.state == "settled" and taken < now.assignments:
        now = replace(now, state="open")  # reviewable, but its time is not over
    if now != row:
        desk.store.now(ledger.keep, now)
    return Seen(
        now,
        available=0 if expired else hit.get("NumberOfAssignmentsAvailable", 0),
        pending=hit.get("NumberOfAssignmentsPending", 0),
        submitted=counts["Submitted"],
        expired=expired,
    )


def end(desk: Desk, seen: Seen) -> Seen:
    """Take a HIT off the market; who has accepted it may still finish."""
    if seen.expired:
        return seen
    with aws.asked("expire a HIT"):
        try:
            desk.client.update_expiration_for_hit(HITId=seen.row.hit, ExpireAt=_LONG_AGO)
        except ClientError as error:
            if "already been processed" not in str(error):  # the same request, answered before
                raise
    return look(desk, seen.row)


def stands_still(state: StudyState) -> str | None:
    """Why no worker is needed now: the study is complete or paused. None when one is."""
    if state.votes >= state.pairs * state.ratings:
        return "every pair has all its ratings"
    return "the study is paused" if state.paused else None


def end_all(desk: Desk) -> str:
    """End all HITs that are still on the market; a sentence that says so, empty without any."""
    seen = [look(desk, row) for row in desk.rows("open")]
    on_market = [each for each in seen if not each.expired]
    for each in on_market:
        end(desk, each)
    if not on_market:
        return ""
    return f" {some(len(on_market), 'open HIT', WAS)} taken off the market."
