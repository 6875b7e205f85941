"""What a page says when a request cannot be granted: what happened, and what to do now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bar = Literal["fast", "large", "unreadable", "form", "cookie", "missing"]


class Barred(Exception):
    """A request that the pages refuse before the store hears of it. `why` is a key of REFUSALS."""

    def __init__(self, why: Bar) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Refusal:
    """A page: status, heading, what happened and what to do now, one sentence or two each.

    The page adds that no vote was lost, or that this one can be sent again (`again`). `onward` is
    the name of a link to the page asked for, or the pair in hand; `after` is Retry-After, seconds.
    """

    status: int
    heading: str
    happened: str
    now: str = ""
    onward: str = ""
    again: bool = False
    after: int | None = None


_ASK = "ask the person who invited you for a new link."

REFUSALS: dict[str, Refusal] = {
    "forged": Refusal(
        403,
        "This link does not work here",
        "Part of the link may be missing, or this browser has not opened a link of this study yet.",
        "Open the whole link from your invitation, in the browser in which you first opened it. "
        f"If that does not help, {_ASK}",
    ),
    "expired": Refusal(410, "This link has expired", "Its time is over.", f"Please {_ASK}"),
    "used": Refusal(
        409,
        "This link was opened before",
        "A link opens once, and this one was opened in another browser or in a private window.",
        f"Go back to that browser to go on rating. If you cannot, {_ASK}",
    ),
    "revoked": Refusal(
        410,
        "This link was taken back",
        "The person who runs the study has ended it for this link, or has sent you a newer one.",
        f"Use the newest link that you have, or {_ASK}",
    ),
    "closed": Refusal(
        410,
        "This study takes nobody new any more",
        "It has all the raters that it needs.",
        "There is nothing to do here: you can close this page.",
    ),
    "paused": Refusal(
        423,
        "The study is paused",
        "The person who runs the study has paused it.",
        "Keep this page open and try again later.",
        onward="See whether it goes on",
        again=True,
        after=60,
    ),
    "unassigned": Refusal(
        409,
        "This pair is not with you",
        "So nothing was saved for it.",
        "Go on with the pair that is yours.",
        onward="Show my pair",
    ),
    "taken": Refusal(
        409,
        "This pair has all its ratings",
        "It was with you for a long time, and others have rated it since. "
        "Your vote on it is not needed any more, and was not saved.",
        onward="Go on with the next pair",
    ),
    "counted": Refusal(
        409,
        "You have rated this pair before",
        "Your first choice stands; this one was different and was not saved.",
        "The last vote can be taken back on the next page.",
        onward="Go on with the next pair",
    ),
    "nothing": Refusal(
        409,
        "There is no vote to take back",
        "Only the last vote can be taken back, and only while it is yours to change.",
        onward="Go on rating",
    ),
    "away": Refusal(
        503,
        "The study cannot be reached just now",
        "This server is there, but the database that keeps the votes is not.",
        "Try again in a minute.",
        onward="Try again",
        again=True,
        after=10,
    ),
    "fast": Refusal(
        429,
        "That was too fast",
        "So many requests came at once that this one was not read.",
        "Wait a few seconds, then try again.",
        onward="Try again",
        again=True,
        after=2,
    ),
    "large": Refusal(
        413,
        "That was too long",
        "Nothing of it was saved.",
        "Go back, shorten what you wrote, and send it again.",
    ),
    "unreadable": Refusal(
        400,
        "That could not be read",
        "The form came incomplete, and nothing of it was saved.",
        onward="Open the page again",
    ),
    "form": Refusal(
        403,
        "This form is out of date",
        "It was opened with another link, or does not come from a page of this study. "
        "Nothing was saved.",
        "Open the page again and repeat what you did.",
        onward="Open the page again",
    ),
    "cookie": Refusal(
        403,
        "This page needs a cookie",
        "Your browser did not keep the cookie that tells you from other raters.",
        "Allow cookies for this page, then open your link again.",
    ),
    "missing": Refusal(404, "There is no such page", "The address may be mistyped."),
    "method": Refusal(405, "This page cannot be used so", "It takes another kind of request."),
    "broken": Refusal(
        500,
        "Something went wrong on the server",
        "The person who runs the study finds the reason in its log.",
        "Try again in a minute.",
        onward="Try again",
        again=True,
    ),
}
"""Every refusal by its reason: those of `veneer.raters.store.terms.Why` and the pages' own."""
