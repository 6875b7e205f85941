"""Benchmarks through lm-eval: our tasks over local files, item scores out.

nq         Natural Questions, 3-shot         plain text for every model, as in the paper
nq-0shot   Natural Questions, 0-shot         in the model's own template if it is a chat model
mmlu       MMLU, 5-shot                      plain text
humaneval  HumanEval, 0-shot                 in the model's own template if it is a chat model
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError, nearest
from veneer.measure import mmlu
from veneer.measure.asked_harness import AskedHarness
from veneer.measure.harness import Harness
from veneer.measure.items import item_ids
from veneer.models.asking import Model
from veneer.models.local import LocalModel
from veneer.records import Answer, ScoreSheet, Subject

TASKS = Path(__file__).parent / "tasks"


@dataclass(frozen=True)
class Benchmark:
    """A measure: its metric, its task with and without a chat template, its published files."""

    metric: str
    plain: str
    chat: str
    items: str
    shots: str | None
    identity: Callable[[Mapping[str, Any]], Any]

    def task(self, is_chat: bool) -> str:
        """The name of the lm-eval task for such a model."""
        return self.chat if is_chat else self.plain


def _question(doc: Mapping[str, Any]) -> Any:
    return [doc["question"], *doc["answer"]]


BENCHMARKS = {
    "nq": Benchmark(
        "exact_match", "veneer_nq", "veneer_nq", "nq.jsonl", "nq_shots.jsonl", _question
    ),
    "nq-0shot": Benchmark(
        "exact_match", "veneer_nq_0shot", "veneer_nq_0shot_chat", "nq.jsonl", None, _question
    ),
    "mmlu": Benchmark(
        "accuracy",
        "veneer_mmlu",
        "veneer_mmlu",
        "mmlu_test.jsonl",
        "mmlu_dev.jsonl",
        lambda doc: [doc["subject"], doc["question"], *doc["choices"]],
    ),
    "humaneval": Benchmark(
        "pass@1",
        "veneer_humaneval",
        "veneer_humaneval_chat",
        "humaneval.jsonl",
        None,
        lambda doc: doc["task_id"],
    ),
}


def benchmark(
    model: LocalModel | Model,
    measures: Sequence[str],
    data: Path,
    subject: Subject,
    *,
    files: Mapping[str, str] | None = None,
    limit: Mapping[str, int] | None = None,
    max_new_tokens: Mapping[str, int] | None = None,
) -> tuple[list[ScoreSheet], list[Answer]]:
    """Score a model on measures; returns a sheet a measure, and the texts that it wrote.

    A model that can only be asked is asked in its chat; what it fails to answer is unscored, and
    so is every item of "mmlu", which needs log-probabilities of given texts.

    Args:
        data: folder with the benchmarks' files.
        files: file name → the name to read in its place.
        limit: measure → how many items, from the first.
        max_new_tokens: measure → tokens an answer may have.
    """
    for name in measures:
        if name not in BENCHMARKS:
            raise InputError(f"Unknown benchmark {name!r}.", nearest(name, BENCHMARKS))
    is_local = isinstance(model, LocalModel)
    silent = [name for name in measures if name == "mmlu" and not is_local]
    unheard = [_unheard(_files(name, data, files or {}, limit or {}), subject) for name in silent]
    measures = [name for name in measures if name not in silent]
    if not measures:
        return unheard, []
    with _quiet():
        from lm_eval.evaluator import evaluate
        from lm_eval.tasks import TaskManager

        is_chat = not isinstance(model, LocalModel) or model.is_chat
        chosen = {name: BENCHMARKS[name].task(is_chat) for name in measures}
        manager = TaskManager(include_path=str(TASKS), include_defaults=False)
        # Members of a group take overrides; a task on its own does not.
        members = [
            {"task": task, "dataset_kwargs": _files(name, data, files or {}, limit or {})}
            for name, task in chosen.items()
        ]
        tasks = manager.load([{"group": "veneer", "task": members}])["tasks"]
        limits = {chosen[n]: count for n, count in (max_new_tokens or {}).items() if n in chosen}
        shorter = {chosen["mmlu"]: mmlu.shorter} if "mmlu" in chosen else {}
        harness = (
            Harness(model, max_new_tokens=limits, shorter=shorter)
            if isinstance(model, LocalModel)
            else AskedHarness(model, limits)
        )
        found = evaluate(harness, {"tasks": tasks}, bootstrap_iters=0, log_samples=True)
    assert found is not None
    samples = found["samples"]
    lost = harness.unscored if isinstance(harness, AskedHarness) else {}
    sheets = unheard + [
        _sheet(name, samples[task], subject, model, lost) for name, task in chosen.items()
    ]
    answers = [
        _answer(name, sample, subject)
        for name, task in chosen.items()
        if name != "mmlu"
        for sample in sorted(samples[task], key=lambda sample: sample["doc_id"])
    ]
    return sheets, answers


def _files(
    name: str, data: Path, files: Mapping[str, str], limit: Mapping[str, int]
) -> dict[str, Any]:
    kind = BENCHMARKS[name]
    given: dict[str, Any] = {"items": str(_present(data, files.get(kind.items, kind.items)))}
    if kind.shots:
        given["shots"] = str(_present(data, files.get(kind.shots, kind.shots)))
    elif name == "nq-0shot":
        given["shots"] = given["items"]  # lm-eval looks at the split even for no shots
    if name in limit:
        given["limit"] = limit[name]
    return given


def _present(data: Path, name: str) -> Path:
    for path in (data / name, data / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(
        f"Benchmark file {data / name} is missing.",
        "Put it there in its published format (JSON lines, plain or gzipped).",
    )


def _sheet(
    name: str,
    samples: Sequence[dict[str, Any]],
    subject: Subject,
    model: LocalModel | Model,
    lost: Mapping[str, str],
) -> ScoreSheet:
    kind = BENCHMARKS[name]
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    missing = [lost.get(sample["arguments"][0][0], "") for sample in samples]
    values = [
        math.nan if gone else sample[kind.metric]
        for sample, gone in zip(samples, missing, strict=True)
    ]
    scored = [None if math.isnan(value) else float(value) for value in values]
    reasons = [
        "" if value is not None else gone or _reason(name, sample, model)
        for value, sample, gone in zip(scored, samples, missing, strict=True)
    ]
    return ScoreSheet(
        subject=subject,
        measure=name,
        metric=kind.metric,
        items=item_ids(kind.identity(sample["doc"]) for sample in samples),
        values=tuple(scored),
        reasons=tuple(reasons) if any(reasons) else (),
    )


def _reason(name: str, sample: dict[str, Any], model: LocalModel | Model) -> str:
    if name == "mmlu" and isinstance(model, LocalModel):
        return f"does not fit the model's context of {model.context} tokens, even without shots"
    verdicts = sample["filtered_resps"][0]
    return next((one["reason"] for one in verdicts if one["passed"] is None), "not run")


def _unheard(given: dict[str, Any], subject: Subject) -> ScoreSheet:
    """MMLU for a model that can only be asked: every item unscored, with the reason."""
    docs = mmlu.documents(**given)["test"]
    kind = BENCHMARKS["mmlu"]
    return ScoreSheet(
        subject=subject,
        measure="mmlu",
        metric=kind.metric,
        items=item_ids(kind.identity(doc) for doc in docs),
        values=(None,) * len(docs),
        reasons=("the endpoint gives no log-probabilities of given texts",) * len(docs),
    )


def _answer(name: str, sample: dict[str, Any], subject: Subject) -> Answer:
    text = sample["resps"][0][0]
    return Answer(
        prompt=sample["arguments"][0][0],
        text=text,
        model=subject.model,
        outcome="answered" if text.strip() else "empty",
        category=name,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """lm-eval logs and draws bars whatever the terminal; a step reports its own progress."""
    import lm_eval.api.task as task_module

    logger = logging.getLogger("lm_eval")
    level, bar = logger.level, task_module.tqdm
    logger.setLevel(logging.ERROR)
    task_module.tqdm = lambda rows, **_: rows
    try:
        yield
    finally:
        logger.setLevel(level)
        task_module.tqdm = bar
