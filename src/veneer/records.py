"""Every row that crosses a room: frozen models with a content id.

Rooms meet as files of these rows and never as calls, so a report can be made from
last year's rows without last year's code. JSON rows are written by `write_rows`, one
object a line, keys in the order of the fields, and read back by `read_rows`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from veneer.errors import InputError

SCHEMA_VERSION = 1

Role = Literal["teacher", "teacher-again", "base", "student"]
Family = Literal["style", "capability", "toxicity", "preference"]
Verdict = Literal["holds", "fails", "undecided"]
Outcome = Literal["answered", "refused", "filtered", "truncated", "empty", "malformed", "failed"]
"""How an answer ended: refused by the model, filtered (stopped by the provider's content filter),
truncated at the token limit, empty, malformed (no answer can be read from the reply), failed
(no reply). Whatever is not "answered" has a reason."""
UNHEARD: tuple[Outcome, ...] = ("filtered", "malformed", "failed")
"""Outcomes that bring no answer of the model's own: what they belong to is unscored."""


class Record(BaseModel):
    """A frozen row. Two rows with equal content have equal ids, on every machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def content_id(self) -> str:
        """16 hex digits of SHA-256 over the canonical JSON of the row."""
        return content_id(self.model_dump(mode="json"))


def content_id(value: Any) -> str:
    """16 hex digits of SHA-256 over a JSON value's canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# ---- text that is asked, answered and trained on --------------------------------------


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


# ---- what was measured ----------------------------------------------------------------


class Subject(Record):
    """Whose score it is. `tokens`: imitation data trained on; 0 for a base, None if unknown."""

    model: str
    role: Role
    base: str | None = None
    corpus: str | None = None
    tokens: int | None = None
    seed: int = 0


class ScoreSheet(Record):
    """One model's item scores on one metric: what intervals are computed from.

    Shapes: `items`, `values`, `reasons` (and `others`) all have one entry an item.
    `kind` says how items become the metric: "mean" averages `values`; "pearson"
    correlates `values` with `others` (r is undefined where either has no variance).
    An item that could not be scored has the value None and a reason, and is never a zero.
    `against` names the opponent of a preference and is empty for everything else.
    """

    subject: Subject
    measure: str
    metric: str
    kind: Literal["mean", "pearson"] = "mean"
    items: tuple[str, ...]
    values: tuple[float | None, ...]
    others: tuple[float | None, ...] | None = None
    reasons: tuple[str, ...] = ()
    against: str = ""

    @model_validator(mode="after")
    def _lengths_agree(self) -> ScoreSheet:
        lengths = {len(self.items), len(self.values), len(self.reasons) or len(self.items)}
        if self.others is not None:
            lengths.add(len(self.others))
        if len(lengths) != 1:
            raise ValueError("items, values, others and reasons must have one entry an item")
        if (self.kind == "pearson") != (self.others is not None):
            raise ValueError('"pearson" sheets, and only they, have `others`')
        if len(set(self.items)) != len(self.items):
            raise ValueError("an item is scored twice")
        return self


class Aggregate(Record):
    """A score known only as a total, such as a published table: no items, so nothing to pair.

    `standard_error` is in the unit of `value`, None where the source gives none.
    """

    subject: Subject
    measure: str
    metric: str
    value: float
    standard_error: float | None = None
    n: int = 0


class Estimate(Record):
    """A number that never travels alone: its 95 % interval, items scored, items unscored.

    `value` is None where the number is undefined; `note` then says why.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int = 0
    note: str = ""


class Measurement(Record):
    """A line of `measurements.jsonl`. Rates are fractions."""

    model: str
    role: Role
    base: str | None
    corpus: str | None
    tokens: int | None
    seed: int
    measure: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int


class Example(Record):
    """One prompt with what each model answered, for reading side by side."""

    prompt: str
    category: str = ""
    answers: tuple[tuple[Subject, str], ...]


# ---- what the study was, as far as conclusions depend on it -----------------------------


class CorpusFacts(Record):
    """`kind`: broad imitates everything, local one task; `task` is the measure it serves.

    `records` were read and `kept` of them trained on; `dropped` counts the others by reason.
    `conflicts` says what the terms in `ledger` forbid. All of the first seed.
    """

    kind: Literal["broad", "local"]
    task: str | None = None
    records: int | None = None
    kept: int | None = None
    dropped: dict[str, int] = {}
    ledger: tuple[LedgerLine, ...] = ()
    conflicts: tuple[str, ...] = ()


class StudyFacts(Record):
    """What the conclusions must know of the design: sizes of the bases, kinds of the corpora."""

    name: str
    parameters: dict[str, int | None]
    corpora: dict[str, CorpusFacts]
    seeds: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()


# ---- what is concluded ------------------------------------------------------------------


class GapClosed(Record):
    """(student − base) / (ceiling − base) on one metric; see `veneer.findings`."""

    base: str | None
    corpus: str | None
    tokens: int | None
    family: Family
    measure: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    defined: bool
    n: int
    unscored: int = 0
    seeds: int = 1
    note: str = ""


class Evidence(Record):
    """One number behind a verdict, in words and as an estimate."""

    text: str
    estimate: Estimate | None = None


class Claim(Record):
    """One of the paper's claims, what this run says of it, and on what grounds."""

    id: str
    statement: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]


class Forecast(Record):
    """Where a fitted trend ends. `needed` is None with the reason in `outcome`."""

    family: Family
    measure: str
    metric: str
    axis: Literal["tokens", "parameters"]
    base: str | None
    corpus: str | None
    formula: str
    coefficients: dict[str, float]
    fit_error: float | None
    points: int
    needed: Estimate | None
    outcome: str


class Advice(Record):
    """What to do next, and why."""

    action: Literal["more-data", "task-data", "better-base", "stop", "measure-more"]
    text: str


class Findings(Record):
    """`findings.json`."""

    schema_version: int = SCHEMA_VERSION
    verdict: str
    gap_closed: tuple[GapClosed, ...]
    veneer: dict[Literal["style", "capability"], Estimate]
    claims: tuple[Claim, ...]
    forecasts: tuple[Forecast, ...]
    advice: tuple[Advice, ...]


# ---- files of rows ------------------------------------------------------------------------

R = TypeVar("R", bound=Record)


def write_rows(path: Path, rows: Iterable[Record]) -> int:
    """Write one JSON object a line; returns how many. The caller makes it atomic."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(row.model_dump_json() + "\n")
            count += 1
    return count


def read_rows(path: Path, kind: type[R]) -> Iterator[R]:
    """Read rows that `write_rows` wrote; a broken line is named with its number."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                why = error.errors()[0]["msg"]
                raise InputError(
                    f"{path}, line {number}: not a {kind.__name__} row ({why}).",
                    "The file was changed or written by another version; run the study again.",
                ) from error
