"""What the store hands out and takes in: the words between it and the pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from veneer.errors import VeneerError
from veneer.records import Choice, Origin

Why = Literal[
    "forged",  # no such link or session
    "expired",  # the link's time is over
    "used",  # the link was opened before, in another browser
    "revoked",  # the owner took it back
    "closed",  # the crowd's entrance takes nobody any more
    "paused",  # the study stands still
    "unassigned",  # this pair was not handed to this rater
    "taken",  # the lease ended and others have voted since: no place is left
    "counted",  # this rater's vote on this pair stands already, with another choice
    "nothing",  # there is no vote to take back
]


class Refused(Exception):
    """A request that cannot be granted; nothing was written."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class StoreAway(VeneerError):
    """The database cannot be reached or cannot be written now; nothing of the request is kept."""


@dataclass(frozen=True)
class Session:
    """A rater at work. `quota`: pairs of this session (a crowd's assignment), None for no end."""

    id: int
    rater: int
    origin: Origin
    campaign: int | None = None
    quota: int | None = None
    voted: int = 0  # votes given in this session, attention checks among them
    left: int = 0  # pairs that may still come: of the quota, or of the study for this rater


@dataclass(frozen=True)
class Assigned:
    """A pair that is this rater's to judge until `expires` (seconds since 1970)."""

    item: str
    expires: float
    before: Choice | None = None  # the choice taken back by undo
    reason: str = ""  # what was written with it


@dataclass(frozen=True)
class Idle:
    """No pair now. "later": all that is left is in others' hands and may come back."""

    why: Literal["finished", "later", "paused"]


Next = Assigned | Idle


@dataclass(frozen=True)
class RaterState:
    """One rater, for the owner. `label` is what the owner calls them; empty when forgotten."""

    rater: int
    origin: Origin
    label: str
    link: Literal["open", "used", "expired", "revoked", "none"]
    votes: int  # on pairs of the study
    gold_right: int
    gold_wrong: int
    median_seconds: float | None
    agrees: float | None  # share of others' votes on the same pairs that are the same as theirs
    agrees_n: int  # such comparisons
    equal: int  # times "the same" was chosen
    first: int  # times output 1 was chosen
    last_at: float | None


@dataclass(frozen=True)
class StudyState:
    """How far the study is. Counts are of pairs of the study, without attention checks."""

    pairs: int
    ratings: int  # wanted of each pair
    votes: int
    leased: int  # in somebody's hands now
    done: int  # pairs with all their ratings
    paused: bool
    by_origin: dict[str, int]
    median_seconds: float | None
    seconds: float  # that raters spent on all votes, attention checks among them
    first_at: float | None
    last_at: float | None
    last_hour: int  # votes of the last hour
    gold_right: int
    gold_wrong: int
