"""What the study was, as far as conclusions depend on it, and what is concluded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from veneer.records.row import Record
from veneer.records.scores import Estimate
from veneer.records.text import LedgerLine

SCHEMA_VERSION = 1

Family = Literal["style", "capability", "toxicity", "preference"]
Verdict = Literal["holds", "fails", "undecided"]


class CorpusFacts(Record):
    """`kind`: broad imitates everything, local one task; `task` is the measure it serves.

    `records` were read and `kept` of them trained on; `dropped` counts the others by reason.
    `conflicts` says what the terms in `ledger` forbid. All of the first seed.
    """

    kind: Literal["broad", "local"]
    task: str | None = None
    records: int | None = None
    kept: int | None = None
    dropped: dict[str, int] = Field(default_factory=dict)
    ledger: tuple[LedgerLine, ...] = ()
    conflicts: tuple[str, ...] = ()


class StudyFacts(Record):
    """What the conclusions must know of the design: sizes of the bases, kinds of the corpora."""

    name: str
    parameters: dict[str, int | None]
    corpora: dict[str, CorpusFacts]
    seeds: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()


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


class SupportPoint(Record):
    """Items whose support lies in `low` <= BLEU < `high`: base and student on the same items.

    The last bin of a curve ends at 100 and holds it.
    """

    low: float
    high: float
    base: Estimate
    student: Estimate
    gain: Estimate


class SupportCurve(Record):
    """How a student's gain on a benchmark goes with the support that its data gives to the items.

    `slope` is the change of (student − base) for 10 BLEU more of support.
    """

    base: str | None
    corpus: str | None
    tokens: int | None
    measure: str
    metric: str
    points: tuple[SupportPoint, ...]
    slope: Estimate


class Alarm(Record):
    """Preference or style rises beyond its interval while a benchmark falls beyond its own."""

    id: Literal["style-up-capability-down", "preference-up-capability-down"]
    base: str | None
    corpus: str | None
    tokens: int | None
    text: str
    rising: tuple[Evidence, ...]
    falling: tuple[Evidence, ...]


class Findings(Record):
    """`findings.json`."""

    schema_version: int = SCHEMA_VERSION
    verdict: str
    gap_closed: tuple[GapClosed, ...]
    veneer: dict[Literal["style", "capability"], Estimate]
    claims: tuple[Claim, ...]
    forecasts: tuple[Forecast, ...]
    advice: tuple[Advice, ...]
    alarms: tuple[Alarm, ...] = ()
    support: tuple[SupportCurve, ...] = ()
