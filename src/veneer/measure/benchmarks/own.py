"""The benchmarks that we bring along: their tasks, files, item names and item texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure import humaneval, mmlu, nq
from veneer.measure.items import Documents, Item

TASKS = Path(__file__).parents[1] / "tasks"


def nothing_to_drop(doc: Item, text: str) -> None:
    """A prompt without worked examples cannot be made shorter."""
    del doc, text


@dataclass(frozen=True)
class Benchmark:
    """A measure: its metric, its task with and without a chat template, its published files.

    `documents` reads the files; `identity` is what an item's name is made of, `text` the question
    without shots, `category` its category ("" for none). `shorter` drops a worked example.
    """

    metric: str
    plain: str
    chat: str
    items: str
    shots: str | None
    documents: Callable[..., dict[str, Documents]]
    identity: Callable[[Mapping[str, Any]], Any]
    text: Callable[[Item], str]
    category: Callable[[Item], str] = lambda doc: ""
    shorter: Callable[[Item, str], str | None] = nothing_to_drop

    def task(self, is_chat: bool) -> str:
        """The name of the lm-eval task for such a model."""
        return self.chat if is_chat else self.plain


def _question(doc: Mapping[str, Any]) -> Any:
    return [doc["question"], *doc["answer"]]


BENCHMARKS = {
    "nq": Benchmark(
        "exact_match",
        "veneer_nq",
        "veneer_nq",
        "nq.jsonl",
        "nq_shots.jsonl",
        nq.documents,
        _question,
        nq.query,
        shorter=nq.shorter,
    ),
    "nq-0shot": Benchmark(
        "exact_match",
        "veneer_nq_0shot",
        "veneer_nq_0shot_chat",
        "nq.jsonl",
        None,
        nq.documents,
        _question,
        nq.query,
    ),
    "mmlu": Benchmark(
        "accuracy",
        "veneer_mmlu",
        "veneer_mmlu",
        "mmlu_test.jsonl",
        "mmlu_dev.jsonl",
        mmlu.documents,
        lambda doc: [doc["subject"], doc["question"], *doc["choices"]],
        lambda doc: str(doc["question"]),
        category=lambda doc: str(doc["subject"]),
        shorter=mmlu.shorter,
    ),
    "humaneval": Benchmark(
        "pass@1",
        "veneer_humaneval",
        "veneer_humaneval_chat",
        "humaneval.jsonl",
        None,
        humaneval.documents,
        lambda doc: doc["task_id"],
        lambda doc: str(doc["prompt"]),
    ),
}


def given_files(
    name: str, data: Path, files: Mapping[str, str], limit: int | None
) -> dict[str, Any]:
    """What a benchmark's `documents` is called with: its files and how many items."""
    kind = BENCHMARKS[name]
    given: dict[str, Any] = {"items": str(_present(data, files.get(kind.items, kind.items)))}
    if kind.shots:
        given["shots"] = str(_present(data, files.get(kind.shots, kind.shots)))
    elif name == "nq-0shot":
        given["shots"] = given["items"]  # lm-eval looks at the split even for no shots
    if limit is not None:
        given["limit"] = limit
    return given


def _present(data: Path, name: str) -> Path:
    for path in (data / name, data / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(
        f"Benchmark file {data / name} is missing.",
        "Put it there in its published format (JSON lines, plain or gzipped).",
    )
