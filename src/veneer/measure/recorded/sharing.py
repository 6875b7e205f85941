"""Which rows of a recorded file serve which measure, and which measures a file can have at all.

Rows are told apart by their fields, by a field `measure` where they have one, and where two
benchmarks could have a row, by whose items it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError, nearest
from veneer.measure.names import BENCHMARKS
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.matching import is_own, key_of
from veneer.measure.recorded.outputs import holds_answers
from veneer.measure.recorded.scored import Data
from veneer.measure.recorded.toxic import holds_continuations
from veneer.measure.toxicity import has_recorded_scores

ANSWERS = ("style", "toxicity")
RECORDED_MEASURES = (*BENCHMARKS, *ANSWERS)

NEEDS = {
    "nq": '"question" (or "item", "id") and "prediction"',
    "nq-0shot": '"question" (or "item", "id") and "prediction"',
    "mmlu": '"subject", "idx" and "prediction", or "item" and "prediction"',
    "humaneval": '"task_id" and "completion"',
    "style": "a prompt and an answer, such as instruction and output",
    "toxicity": "a prompt and an answer, such as instruction and output",
}
"""The fields that each measure needs in a row."""


def shared_out(
    path: Path, rows: Sequence[Row], asked: Sequence[str], data: Mapping[str, Data]
) -> dict[str, list[Row]]:
    """The rows of each measure that was asked for.

    Args:
        data: the benchmarks' items by measure, as far as they were given.

    Raises:
        InputError: a measure that this file cannot have, with those that it can; a row that fits
            none of the measures asked, or several.
    """
    shares: dict[str, list[Row]] = {measure: [] for measure in asked}
    claimed: set[str] = set()
    plain: dict[str, list[Row]] = {measure: [] for measure in asked if measure in ANSWERS}
    lost: Row | None = None
    for row in rows:
        label = _label(path, row)
        if label is not None:
            if label in shares and fits(label, row.fields):
                shares[label].append(row)
            elif label in shares:
                raise _unfit(path, row, [label])
            continue
        fitting = [measure for measure in asked if fits(measure, row.fields)]
        owners = _owners(path, row, fitting, data)
        for measure in owners:
            shares[measure].append(row)
            claimed.add(row.at)
        for measure in fitting:
            if measure in plain:
                plain[measure].append(row)
        if not owners and not any(measure in plain for measure in fitting):
            lost = lost or row
    for measure, found in plain.items():
        shares[measure] += [row for row in found if row.at not in claimed] or found
    for measure, share in shares.items():
        if not share:
            raise _cannot(path, rows, measure)
    if lost is not None:
        raise _unfit(path, lost, asked)
    return shares


def fits(measure: str, fields: Mapping[str, Any]) -> bool:
    """Whether a row with these fields can belong to a measure."""
    if measure == "style":
        return holds_answers(fields)
    if measure == "toxicity":
        return holds_answers(fields) or has_recorded_scores(fields) or holds_continuations(fields)
    if "score" in fields or {"doc_id", "metrics"} <= set(fields):
        return True
    if measure == "humaneval":
        if "task_id" in fields:
            return "passed" in fields or is_own(fields)
        named = not isinstance(key_of(fields), int) or fields.get("measure") == measure
        return is_own(fields) and named and not {"subject", "question"} & set(fields)
    is_mmlu = {"subject", "idx"} <= set(fields)
    return is_own(fields) and "task_id" not in fields and (measure == "mmlu" or not is_mmlu)


def _owners(
    path: Path, row: Row, fitting: Sequence[str], data: Mapping[str, Data]
) -> Sequence[str]:
    """The benchmark that a row belongs to, if any."""
    owners = [measure for measure in fitting if measure in BENCHMARKS]
    if len(fitting) > 1 and owners:
        knowing = [m for m in owners if m not in data or data[m].items.candidates(row.fields)]
        is_plain = len(owners) < len(fitting)
        owners = knowing or ([] if is_plain else owners[:1])
    if len(owners) > 1:
        raise InputError(
            f"{path}, {row.at}: may belong to {' or '.join(owners)}.",
            'Write which in each row ("measure": "nq"), or measure them one at a time.',
        )
    return owners


def _label(path: Path, row: Row) -> str | None:
    label = row.fields.get("measure")
    if label is None:
        return None
    if label not in RECORDED_MEASURES:
        raise InputError(
            f"{path}, {row.at}: belongs to the measure {label!r}, which is not known.",
            nearest(str(label), RECORDED_MEASURES),
        )
    return str(label)


def _cannot(path: Path, rows: Sequence[Row], measure: str) -> InputError:
    able = [
        other
        for other in RECORDED_MEASURES
        if other != measure
        and any((_label(path, row) or other) == other and fits(other, row.fields) for row in rows)
    ]
    fields = ", ".join(sorted(rows[0].fields)[:8]) or "(none)"
    others = f" (or {', '.join(able[1:])})" if able[1:] else ""
    instead = f"Type --measures {able[0]}{others}, or g" if able else "G"
    return InputError(
        f"{measure} cannot be measured on {path}: no row has what it needs ({rows[0].at} has "
        f"{fields}).",
        f"{instead}ive rows with {NEEDS[measure]}.",
    )


def _unfit(path: Path, row: Row, asked: Sequence[str]) -> InputError:
    fields = ", ".join(sorted(row.fields)[:8]) or "(none)"
    needed = "; ".join(dict.fromkeys(f"{measure}: {NEEDS[measure]}" for measure in asked))
    return InputError(
        f"{path}, {row.at}: has the fields {fields}, and fits no measure that was asked for.",
        f"Mend that row, or leave it out. Needed for {needed}.",
    )
