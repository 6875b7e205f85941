"""The imitation data: what was kept and dropped, and under which terms it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from veneer.records import CorpusFacts, LedgerLine
from veneer.report.wording import thousands

UNKNOWN = "unknown"


def data_section(corpora: Mapping[str, CorpusFacts]) -> list[dict[str, Any]]:
    """A block a corpus of which anything is known, for the template."""
    return [
        {
            "name": name,
            "kept": thousands(facts.kept) if facts.kept is not None else "",
            "records": thousands(facts.records) if facts.records is not None else "",
            "dropped": [(why, thousands(count)) for why, count in _largest_first(facts.dropped)],
            "ledger": [_line(line) for line in facts.ledger],
            "conflicts": list(facts.conflicts),
        }
        for name, facts in corpora.items()
        if facts.kept is not None or facts.ledger
    ]


def ledger_csv(corpora: Mapping[str, CorpusFacts]) -> str:
    """The licence ledger of all corpora as CSV, "" where there is none."""
    rows = [(name, line) for name, facts in corpora.items() for line in facts.ledger]
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["corpus", *LedgerLine.model_fields])
    for name, line in rows:
        writer.writerow([name, *line.model_dump().values()])
    return out.getvalue()


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _line(line: LedgerLine) -> dict[str, str]:
    return {
        "source": line.source or UNKNOWN,
        "teacher": line.teacher or UNKNOWN,
        "licence": line.licence or UNKNOWN,
        "records": thousands(line.records),
        "compete": line.compete,
        "commercial": line.commercial,
        "grounds": line.grounds,
    }
