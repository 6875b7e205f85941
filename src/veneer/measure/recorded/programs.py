"""Recorded completions run in the sandbox: pass@k of HumanEval.

Each completion continues its problem's prompt, or holds the program in a fenced block
(`humaneval.code_of`). pass@k for k of 1, 10 and 100 where every task has that many samples (Chen
et al. 2021), and a k that is skipped is told. A task without a completion is unscored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure import humaneval
from veneer.measure.items import Item, item_ids, read_items
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.matching import Items, said
from veneer.measure.recorded.scored import SILENT, Data, Scored, name_in
from veneer.measure.sandbox import Verdict
from veneer.records import ScoreSheet, Subject

KS = (1, 10, 100)
AT_ONCE = 256  # programs between two words of progress


def humaneval_data(path: Path) -> Data:
    """HumanEval's problems."""
    rows = read_items(path, humaneval.FIELDS)
    tasks = [row["task_id"] for row in rows]
    return Data(Items(path, "task", tasks, item_ids(tasks)), rows)


def scored_humaneval(
    path: Path,
    rows: Sequence[Row],
    subject: Subject,
    data: Data | None,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """pass@k; without `data`, rows say whether they passed. `progress` hears of programs run."""
    tasks: dict[int, list[tuple[bool | None, str]]] = defaultdict(list)
    if data is None:
        names = {name: at for at, name in enumerate(dict.fromkeys(map(name_in, rows)))}
        items = Items(path, "task", list(names), item_ids(names))
        for one in rows:
            if "passed" not in one.fields:
                raise InputError(
                    f"{path}, {one.at}: says neither that it passed nor that it failed, and there "
                    "are no problems to run it against.",
                    "Add them: --benchmark-data humaneval=HumanEval.jsonl.gz",
                )
            told = one.fields["passed"]
            why = SILENT.format(what="verdict") if told is None else ""
            tasks[names[name_in(one)]].append((None if why else bool(told), why))
        return _passed(subject, items, tasks, [])
    placed = [(data.items.find(path, one, set()), said(path, one)) for one in rows]
    verdicts = _run([(data.rows[at], text) for at, text in placed if text is not None], progress)
    found = []
    for at, text in placed:
        passed, why = None, SILENT.format(what="completion")
        if text is not None:
            verdict = next(verdicts)
            passed, why = verdict.passed, verdict.reason
        named = {"task_id": data.items.texts[at], "sample": len(tasks[at])}
        found.append({**named, "passed": passed, "reason": why})
        tasks[at].append((passed, why))
    return _passed(subject, data.items, tasks, found)


def _run(
    answers: Sequence[tuple[Item, str]], progress: Callable[[int, int], None] | None
) -> Iterator[Verdict]:
    """A verdict for each answer to a problem, in order."""
    for begin in range(0, len(answers), AT_ONCE):
        part = answers[begin : begin + AT_ONCE]
        problems, texts = [one for one, _ in part], [text for _, text in part]
        # As the published scorer has it: a completion was cut when it was written, or was not.
        yield from humaneval.judged(problems, texts, stops=False)
        if progress is not None:
            progress(begin + len(part), len(answers))


def _passed(
    subject: Subject,
    items: Items,
    tasks: Mapping[int, Sequence[tuple[bool | None, str]]],
    rows: Sequence[dict[str, Any]],
) -> Scored:
    """A sheet for each k that every task's samples allow; a task with a sample lost is unscored."""
    sizes = [len(samples) for samples in tasks.values()]
    beyond = [f"pass@{k}" for k in KS if k > min(sizes)]
    notes = []
    if max(sizes) > 1 and beyond:
        short = min(tasks, key=lambda at: len(tasks[at]))
        count = len(tasks[short])
        notes.append(
            f"humaneval: no {' and no '.join(beyond)}, as {items.texts[short]} has "
            f"{count} sample{'s' if count > 1 else ''}"
        )
    sheets = []
    for k in (k for k in KS if k <= min(sizes)):
        values: list[float | None] = []
        reasons = []
        for at in range(len(items)):
            samples = tasks.get(at, ())
            lost = next((why for passed, why in samples if passed is None), "")
            if not samples:
                lost = SILENT.format(what="completion")
            right = sum(bool(passed) for passed, _ in samples)
            values.append(None if lost else humaneval.pass_at_k(len(samples), right, k))
            reasons.append(lost)
        sheets.append(
            ScoreSheet(
                subject=subject,
                measure="humaneval",
                metric=f"pass@{k}",
                items=items.ids,
                values=tuple(values),
                reasons=tuple(reasons),
            )
        )
    texts = dict(zip(items.ids, items.texts, strict=True))
    return Scored(tuple(sheets), texts, tuple(notes), tuple(rows))
