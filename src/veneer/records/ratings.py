"""What raters see, what is kept from them, and how they voted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from veneer.records.row import Record
from veneer.records.scores import Subject

Origin = Literal["private", "mturk", "prolific", "recorded"]
"""Where a vote came from: one's own people, a crowd, or a file that others left."""
Choice = Literal[0, 1, 2]
"""1 or 2: that output is better; 0: they are the same in overall quality."""
RULE = "most votes; where no option has the most (1-1-1 among them), the item counts as equal"
"""How several votes on an item become one, in words; `majority` does it."""
SECOND_WINS: dict[Choice, float] = {0: 0.5, 1: 0.0, 2: 1.0}
"""A choice as `Comparison.second_wins`."""


class RatedPair(Record):
    """What a rater sees, and all of it: an opaque id, the prompt, two outputs. Names nobody."""

    item: str
    prompt: str
    output_1: str
    output_2: str


class PairKey(Record):
    """Whose outputs a pair shows, for the owner alone.

    `gold` is the choice that an attentive rater makes on an attention check; None for a pair of
    the study. `first` and `second` are models; for an attention check they say how it was made.
    """

    item: str
    first: str
    second: str
    category: str = ""
    gold: Choice | None = None


class Settled(Record):
    """A pair that nobody need look at: equal answers (a tie), or one that cannot be shown.

    `second_wins` as in `Comparison`: 0.5 for equal answers; None with the reason for unscored.
    """

    prompt: str
    first: str
    second: str
    second_wins: float | None
    reason: str = ""
    category: str = ""


class PacketFacts(Record):
    """What a packet is: `packet.json`. For the owner alone; of it raters are told `title` only.

    `subjects` are the models by the names that `PairKey` uses; `against` is the one that the
    others are compared with. `ratings`: distinct raters a pair. `dropped`: prompts left out, by
    reason. `digest` covers the pairs and their key, so that no edited packet is served.
    """

    title: str
    ratings: int
    seed: int
    pairs: int
    gold: int
    against: str
    subjects: dict[str, Subject]
    prompts: int
    dropped: dict[str, int] = Field(default_factory=dict)
    made_from: str = ""
    digest: str = ""


class Vote(Record):
    """One rater's choice on one pair. `rater` is a number of the study, never a name.

    `seconds` from being shown to voting, None where nobody measured it; `reason` what the rater
    wrote beside it.
    """

    item: str
    rater: str
    choice: Choice
    origin: Origin = "private"
    seconds: float | None = None
    reason: str = ""


def majority(votes: Sequence[Choice]) -> Choice | None:
    """0 for equal, 1 or 2, by `RULE`; None without votes."""
    winners = most_votes(votes)
    return None if not winners else winners[0] if len(winners) == 1 else 0


def most_votes(votes: Sequence[Choice]) -> tuple[Choice, ...]:
    """The options that no other has more votes than."""
    counts = Counter(votes)
    return tuple(sorted(vote for vote in counts if counts[vote] == max(counts.values())))
