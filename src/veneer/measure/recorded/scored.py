"""Recorded predictions scored as the models of a study are: exact match, letters, programs run.

What is missing is unscored with a reason and never a zero: an item without a row ("no prediction
was recorded"), a row that holds null. What a model did say and is no answer (an empty text, a
word where a letter is due) is wrong, as it is for a model that is asked here.

nq         the first line of the prediction against every gold answer (`nq.exact_match`)
mmlu       the letter, written "B", "(b)", "B. …" or as its number 0..3, against the right one
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure import mmlu, nq
from veneer.measure.items import Item, item_ids, read_items
from veneer.measure.recorded.benchmarks import USUAL, read_benchmark
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.matching import Items, is_own, key_of, said, said_in
from veneer.records import ScoreSheet, Subject

SILENT = "no {what} was recorded"

_LETTER = re.compile(r"\(?([A-Da-d])(?:[.):](?:\s.*)?)?", re.DOTALL)


@dataclass(frozen=True)
class Scored:
    """Sheets of one measure; `texts` says what each item is, `rows` what came of each sample."""

    sheets: tuple[ScoreSheet, ...]
    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Data:
    """A benchmark's items, and how recorded rows are found to be theirs."""

    items: Items
    rows: Sequence[Item] = field(repr=False)


def nq_data(path: Path) -> Data:
    """Natural Questions in its published format, named as in other score sheets."""
    rows = read_items(path, nq.FIELDS)
    questions = [row["question"].strip().rstrip("?").rstrip() for row in rows]
    named = [[question, *row["answer"]] for question, row in zip(questions, rows, strict=True)]
    return Data(Items(path, "question", questions, item_ids(named)), rows)


def mmlu_data(path: Path) -> Data:
    """MMLU's test questions (`subject, question, choices, answer` 0..3).

    Raises:
        InputError: as `read_items`; a choice that is missing (the choice "None" is a text, which
            some readers of tables take for a missing value); an answer that is no choice.
    """
    rows = read_items(path, mmlu.FIELDS)
    for number, row in enumerate(rows, 1):
        if any(choice is None or choice != choice for choice in row["choices"]):
            raise InputError(
                f"{path}, question {number}: a choice is missing.",
                'Write the file again from its source; the choice "None" is a text.',
            )
        if not 0 <= row["answer"] < min(len(row["choices"]), len(mmlu.LETTERS)):
            raise InputError(
                f"{path}, question {number}: {row['answer']} is none of its choices.",
                "The right answer is the number of a choice, from 0.",
            )
    named = [[row["subject"], row["question"], *map(str, row["choices"])] for row in rows]
    return Data(
        Items(
            path,
            "question",
            [row["question"] for row in rows],
            item_ids(named),
            [row["subject"] for row in rows],
        ),
        rows,
    )


def scored_nq(
    path: Path, rows: Sequence[Row], subject: Subject, data: Data | None, measure: str = "nq"
) -> Scored:
    """Exact match of each question; without `data`, rows hold their right answers as a list."""
    if data is None:
        golds = [_golds(path, row) for row in rows]
        items, found = _told(path, rows)
    else:
        golds = [row["answer"] for row in data.rows]
        items, found = data.items, _one_each(path, rows, data.items)
    values = [
        None if text is None else nq.exact_match(nq.first_line(text), gold)
        for gold, text in zip(golds, found, strict=True)
    ]
    return _answered(subject, measure, "exact_match", items, values)


def scored_mmlu(path: Path, rows: Sequence[Row], subject: Subject, data: Data | None) -> Scored:
    """Accuracy by letters; without `data`, rows hold their right answer."""
    if data is None:
        return _lettered(path, rows, subject)
    found = _one_each(path, rows, data.items, lambda row, at: _same_gold(path, row, data, at))
    values = [
        None if text is None else float(letter(text) == mmlu.LETTERS[row["answer"]])
        for row, text in zip(data.rows, found, strict=True)
    ]
    scored = _answered(subject, "mmlu", "accuracy", data.items, values)
    return _by_subject(scored, [row["subject"] for row in data.rows], found)


def already(path: Path, rows: Sequence[Row], subject: Subject, measure: str) -> Scored | None:
    """Item scores that others computed (`benchmarks.read_benchmark`), if the rows hold them."""
    fields = rows[0].fields
    if is_own(fields) or not ("score" in fields or {"doc_id", "metrics"} <= set(fields)):
        return None
    known = measure.removesuffix("-0shot")
    usual = USUAL.get(known, "score")
    sheets = [
        sheet.model_copy(
            update={
                "measure": measure,
                "metric": usual if sheet.metric == "score" else sheet.metric,
            }
        )
        for sheet in read_benchmark(path, subject)
        if isinstance(sheet, ScoreSheet) and sheet.measure in (known, measure, "benchmark")
    ]
    if not sheets:
        raise InputError(
            f"{path} holds scores, but none of {measure}.",
            "Give the file of that measure's scores, or ask for another measure.",
        )
    return Scored(tuple(sheets), {}, (f"{measure}: scores as recorded, nothing scored here",))


def letter(text: str) -> str | None:
    """The choice that a text names: "B", "(b)", "B. …", "B: …" or "1"; None if none plainly."""
    plain = text.strip()
    if plain in ("0", "1", "2", "3"):
        return mmlu.LETTERS[int(plain)]
    found = _LETTER.fullmatch(plain)
    return found.group(1).upper() if found else None


# ---- one answer an item ---------------------------------------------------------------------


def _one_each(
    path: Path,
    rows: Sequence[Row],
    items: Items,
    check: Callable[[Row, int], None] | None = None,
) -> list[str | None]:
    """What was said to each item, in the file's order; a second answer to one is an error."""
    found: list[str | None] = [None] * len(items)
    taken: dict[int, str] = {}
    for row in rows:
        at = items.find(path, row, set(taken))
        if at in taken:
            raise InputError(
                f"{path}, {row.at}: answers {items.texts[at][:80]!r} again, after {taken[at]}.",
                "Keep one prediction for each item.",
            )
        taken[at] = row.at
        if check is not None:
            check(row, at)
        found[at] = said(path, row)
    return found


def _answered(
    subject: Subject, measure: str, metric: str, items: Items, values: Sequence[float | None]
) -> Scored:
    reason = SILENT.format(what="prediction")
    sheet = ScoreSheet(
        subject=subject,
        measure=measure,
        metric=metric,
        items=items.ids,
        values=tuple(values),
        reasons=tuple(reason if value is None else "" for value in values),
    )
    return Scored((sheet,), dict(zip(items.ids, items.texts, strict=True)))


def _told(path: Path, rows: Sequence[Row]) -> tuple[Items, list[str | None]]:
    """The items that rows name themselves, and what was said to each; a name twice is an error."""
    seen: dict[str, str] = {}
    for row in rows:
        name = name_in(row)
        if name in seen:
            raise InputError(
                f"{path}, {row.at}: answers {name[:80]!r} again, after {seen[name]}.",
                "Keep one prediction for each item.",
            )
        seen[name] = row.at
    return Items(path, "question", list(seen), list(seen)), [said(path, row) for row in rows]


def name_in(row: Row) -> str:
    """What a row calls its item, as text: "SUBJECT/IDX" where it has both."""
    group, number = row.fields.get("subject"), row.fields.get("idx")
    name = key_of(row.fields) if number is None or group is None else f"{group}/{number}"
    return str(name).strip()


def _golds(path: Path, row: Row) -> list[str]:
    gold = row.fields.get("answer")
    if isinstance(gold, list) and gold and all(isinstance(one, str) for one in gold):
        return gold
    raise InputError(
        f"{path}, {row.at}: holds no list of right answers.",
        "Add the questions with theirs: --benchmark-data nq=NQ-open.dev.jsonl",
    )


def _lettered(path: Path, rows: Sequence[Row], subject: Subject) -> Scored:
    items, found = _told(path, rows)
    values = []
    for row, text in zip(rows, found, strict=True):
        gold = _gold(row)
        if gold is None:
            raise InputError(
                f"{path}, {row.at}: holds no right answer A to D (or 0 to 3).",
                "Add the questions: --benchmark-data mmlu=mmlu_test.jsonl",
            )
        values.append(None if text is None else float(letter(text) == gold))
    groups = tuple(str(row.fields.get("subject") or "") for row in rows)
    return _by_subject(_answered(subject, "mmlu", "accuracy", items, values), groups, found)


def _by_subject(scored: Scored, groups: Sequence[str], found: Sequence[str | None]) -> Scored:
    sheet = scored.sheets[0].model_copy(update={"categories": tuple(groups)})
    return Scored((sheet,), scored.texts, _unlettered(found))


def _gold(row: Row) -> str | None:
    gold = row.fields.get("answer")
    return None if isinstance(gold, bool | list | dict | None) else letter(str(gold))


def _same_gold(path: Path, row: Row, data: Data, at: int) -> None:
    """A right answer that the row states must be the benchmark's: else they are two versions."""
    if "answer" not in row.fields or said_in(row.fields) == "answer":
        return
    gold, known = _gold(row), mmlu.LETTERS[data.rows[at]["answer"]]
    if gold is not None and gold != known:
        raise InputError(
            f"{path}, {row.at}: says that {gold} is right, {data.items.path.name} that {known} is.",
            "Give the --benchmark-data that these predictions were made on, or leave it out.",
        )


def _unlettered(found: Sequence[str | None]) -> tuple[str, ...]:
    lost = sum(text is not None and letter(text) is None for text in found)
    verb = "is" if lost == 1 else "are"
    return (f"mmlu: {lost} of the predictions {verb} no letter, and so wrong",) if lost else ()
