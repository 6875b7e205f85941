"""Every row that crosses a room: frozen models with a content id.

Rooms meet as files of these rows and never as calls, so a report can be made from
last year's rows without last year's code. JSON rows are written by `write_rows`, one
object a line, keys in the order of the fields, and read back by `read_rows`.
"""

from veneer.records.conclusions import (
    SCHEMA_VERSION,
    Advice,
    Alarm,
    Claim,
    CorpusFacts,
    Evidence,
    Family,
    Findings,
    Forecast,
    GapClosed,
    StudyFacts,
    SupportCurve,
    SupportPoint,
    Verdict,
)
from veneer.records.preferences import Comparison, PreferenceReport
from veneer.records.ratings import (
    Choice,
    Origin,
    PacketFacts,
    PairKey,
    RatedPair,
    Settled,
    Vote,
)
from veneer.records.row import Record, content_id, read_rows, write_rows
from veneer.records.scores import (
    Aggregate,
    BenchmarkItem,
    CategoryMeasurement,
    Estimate,
    Example,
    Measurement,
    Role,
    ScoreSheet,
    Subject,
    Support,
)
from veneer.records.text import (
    UNHEARD,
    Answer,
    Dialogue,
    Dropped,
    LedgerLine,
    Message,
    Outcome,
    Prompt,
)

__all__ = [
    "SCHEMA_VERSION",
    "UNHEARD",
    "Advice",
    "Aggregate",
    "Alarm",
    "Answer",
    "BenchmarkItem",
    "CategoryMeasurement",
    "Choice",
    "Claim",
    "Comparison",
    "CorpusFacts",
    "Dialogue",
    "Dropped",
    "Estimate",
    "Evidence",
    "Example",
    "Family",
    "Findings",
    "Forecast",
    "GapClosed",
    "LedgerLine",
    "Measurement",
    "Message",
    "Origin",
    "Outcome",
    "PacketFacts",
    "PairKey",
    "PreferenceReport",
    "Prompt",
    "RatedPair",
    "Record",
    "Role",
    "ScoreSheet",
    "Settled",
    "StudyFacts",
    "Subject",
    "Support",
    "SupportCurve",
    "SupportPoint",
    "Verdict",
    "Vote",
    "content_id",
    "read_rows",
    "write_rows",
]
