"""Paying for assignments that were handed in, or rejecting them with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from veneer.raters.crowds import aws, receipts
from veneer.raters.crowds.hits import (
    Desk,
    Work,
    clear_up,
    desk_of,
    end_all,
    look,
    stands_still,
    works,
)
from veneer.raters.crowds.pay import some
from veneer.raters.packet import Packet
from veneer.raters.store import Store
from veneer.raters.store.crowds import Done, assignment
from veneer.raters.store.progress import state as state_of

_NOTHING = "No comparison was rated in this assignment, so there is no work to pay for."
_TOO_LITTLE = "Only {voted} of {quota} comparisons were rated before the assignment was submitted."
_FAILING = (
    "Attention checks with one plainly better answer were mostly answered wrongly "
    "({wrong} of {seen})."
)


def approve(
    store: Store,
    packet: Packet,
    *,
    production: bool = False,
    endpoint_url: str | None = None,
    reject_failing: bool = False,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Pay for finished assignments, and reject those without work in them.

    An assignment is finished when its session has voted its whole quota, or when our last page
    gave its receipt (nothing was left for this worker, or the study stopped). Those that answered
    most attention checks wrongly are listed and left alone: Amazon pays them after three days
    unless `reject_failing` rejects them, with the reason.
    """
    desk = desk_of(store, production, endpoint_url, clock)
    clear_up(desk, create_again=False)
    approved = rejected = 0
    failing: list[str] = []
    for row in desk.rows("open"):
        for work in works(desk, row.hit):
            if work.status != "Submitted":
                continue
            what, reason = _judged(store, work)
            if what == "failing":
                failing.append(work.id)
                if not reject_failing:
                    continue
            if _answered(desk, work, "" if what == "approve" else reason):
                approved += what == "approve"
                rejected += what != "approve"
        look(desk, row)
    state = store.seen(state_of, clock())
    ended = end_all(desk) if stands_still(state) else ""
    left = 0 if reject_failing else len(failing)
    lines = [
        f"{some(approved, 'assignment')} approved, {rejected} rejected ({desk.environment}).{ended}"
    ]
    if failing:
        lines.append(
            f"{some(len(failing), 'assignment')} answered most attention checks wrongly"
            + (" and rejected for it:" if reject_failing else ", to be looked at by you:")
        )
        lines += [f"  {name}" for name in failing]
    if left:
        lines.append(
            "Amazon pays them three days after they were handed in. To reject them:  "
            "veneer rate mturk approve --reject-failing"
        )
    return {
        "approved": approved,
        "rejected": rejected,
        "failing": failing,
        "ended": bool(ended),
        "text": "\n".join(lines),
    }


def _judged(store: Store, work: Work) -> tuple[str, str]:
    name = receipts.assignment_hash(store.salt, "mturk", work.id)
    done: Done | None = store.seen(assignment, name)
    ours = receipts.receipt_fits(store.secret, receipts.receipt_in(work.answer), name)
    if done is None:  # a worker whom the owner has forgotten since has a receipt
        return ("approve", "") if ours else ("reject", _NOTHING)
    if done.voted < done.quota and not ours:
        return "reject", _TOO_LITTLE.format(**done._asdict()) if done.voted else _NOTHING
    if done.gold_wrong > done.gold_right:
        checks = done.gold_right + done.gold_wrong
        return "failing", _FAILING.format(wrong=done.gold_wrong, seen=checks)
    return "approve", ""


def _answered(desk: Desk, work: Work, reason: str) -> bool:
    """Approve, or reject with a reason; False when Amazon has it decided already."""
    with aws.asked("approve an assignment" if not reason else "reject an assignment"):
        try:
            if reason:
                desk.client.reject_assignment(AssignmentId=work.id, RequesterFeedback=reason)
            else:
                desk.client.approve_assignment(AssignmentId=work.id)
        except ClientError as error:
            if "InvalidAssignmentState" not in aws.code_of(error):
                raise
            return False
    return True
