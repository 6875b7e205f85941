"""Text that is asked, answered and trained on."""

from __future__ import annotations

from typing import Literal

from veneer.records.row import Record, content_id

Outcome = Literal["answered", "refused", "filtered", "truncated", "empty", "malformed", "failed"]
"""How an answer ended: refused by the model, filtered (stopped by the provider's content filter),
truncated at the token limit, empty, malformed (no answer can be read from the reply), failed
(no reply). Whatever is not "answered" has a reason."""
UNHEARD: tuple[Outcome, ...] = ("filtered", "malformed", "failed")
"""Outcomes that bring no answer of the model's own: what they belong to is unscored."""


class Message(Record):
    """One turn of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str


class Dialogue(Record):
    """Imitation data: turns that end with an answer.

    `source` is the data set it came from and `origin` the record in it ("sharegpt.json:17", and
    "sharegpt.json:17#2" for the second part of a conversation that was split); `teacher` is who
    wrote the answers and `licence` the terms of the source: what the licence ledger goes by.
    `language` is an ISO 639-1 code. Empty means unknown.
    """

    messages: tuple[Message, ...]
    source: str = ""
    category: str = ""
    origin: str = ""
    teacher: str = ""
    licence: str = ""
    language: str = ""

    @property
    def query(self) -> str:
        """The first user turn: what deduplication and diversity look at."""
        return next((m.content for m in self.messages if m.role == "user"), "")


class Dropped(Record):
    """What did not enter a corpus, and why.

    `unit` "record": the whole record; "turn": turns cut off a dialogue that was kept without
    them. `origin` and `source` as in `Dialogue`. `text` is what was left out, whole.
    """

    reason: str
    unit: Literal["record", "turn"] = "record"
    origin: str = ""
    source: str = ""
    text: str = ""


class LedgerLine(Record):
    """Under which terms a part of a corpus stands: one line a source, teacher and licence.

    `compete`: may its answers train a model that competes with the teacher? `commercial`: may
    the trained model be used commercially? `grounds` says by which published terms.
    """

    source: str
    teacher: str
    licence: str
    records: int
    compete: Literal["allowed", "forbidden", "unknown"]
    commercial: Literal["allowed", "forbidden", "unknown"]
    grounds: str = ""


class Prompt(Record):
    """A query to ask. Its id depends on the text alone, so that answers join on it.

    `source` and `licence`: the pool it came from and the terms of that pool.
    """

    text: str
    category: str = ""
    source: str = ""
    licence: str = ""

    @property
    def id(self) -> str:
        """What answers and scores join on."""
        return content_id(self.text)


class Answer(Record):
    """What a model said to a prompt. A failed answer is a row with an outcome and a reason.

    `logprob`: the mean log-probability of the answer's tokens (nats), where it was asked for.
    """

    prompt: str
    text: str
    model: str
    sample: int = 0
    outcome: Outcome = "answered"
    reason: str = ""
    category: str = ""
    source: str = ""
    licence: str = ""
    logprob: float | None = None

    @property
    def prompt_id(self) -> str:
        """Equal to the id of the `Prompt` that was asked."""
        return content_id(self.prompt)
