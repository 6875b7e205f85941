"""What a report is made of: the rows that a run folder holds at its top level."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from veneer.errors import InputError
from veneer.records import (
    CategoryMeasurement,
    Example,
    Findings,
    Measurement,
    PreferenceReport,
    Record,
    StudyFacts,
    read_rows,
)

R = TypeVar("R", bound=Record)

_AGAIN = "Finish the run first (type the same `veneer run` or `veneer audit` command again)."


@dataclass(frozen=True)
class Run:
    """Everything that a page shows. `provenance` is free-form; every key of it is optional."""

    measurements: tuple[Measurement, ...]
    findings: Findings
    facts: StudyFacts
    examples: tuple[Example, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    categories: tuple[CategoryMeasurement, ...] = ()
    preferences: tuple[PreferenceReport, ...] = ()


def read_run(run: Path) -> Run:
    """Read the records of a finished run.

    `measurements.jsonl` and `findings.json` must be there; `facts.json`,
    `examples.jsonl`, `provenance.json`, `categories.jsonl` and `preferences.jsonl` may be absent,
    and the page then says less.

    Raises:
        InputError: a needed file is missing, or a file holds something else than its rows.
    """
    for name in ("measurements.jsonl", "findings.json"):
        if not (run / name).is_file():
            raise InputError(f"{run} holds no {name}, so there is nothing to report.", _AGAIN)
    return Run(
        measurements=tuple(read_rows(run / "measurements.jsonl", Measurement)),
        findings=_record(run / "findings.json", Findings),
        facts=_facts(run),
        examples=_rows(run / "examples.jsonl", Example),
        provenance=_object(run / "provenance.json"),
        categories=_rows(run / "categories.jsonl", CategoryMeasurement),
        preferences=_rows(run / "preferences.jsonl", PreferenceReport),
    )


def _rows(path: Path, kind: type[R]) -> tuple[R, ...]:
    return tuple(read_rows(path, kind)) if path.is_file() else ()


def _facts(run: Path) -> StudyFacts:
    path = run / "facts.json"
    if path.is_file():
        return _record(path, StudyFacts)
    return StudyFacts(name=run.name, parameters={}, corpora={})


def _record(path: Path, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{path}: not a {kind.__name__} ({reason}).", _AGAIN) from error


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON ({error}).", _AGAIN) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected one JSON object.", _AGAIN)
    return value
