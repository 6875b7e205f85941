"""MMLU, 5-shot, as in Hendrycks' `evaluate.py`.

The header has two spaces before the subject (`format_subject` prefixes one; lm-eval has one).
The five shots are the subject's first five dev items; from the end, shots are dropped until the
prompt fits the model. The answer is the likeliest of " A" … " D" as the next token. Every model
reads plain text, chat models too. Accuracy is the plain average over questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from veneer.measure.items import Documents, Item, read_items

FIELDS = {"subject": str, "question": str, "choices": list, "answer": int}
LETTERS = "ABCD"
SHOTS = 5
HEADER = "The following are multiple choice questions (with answers) about  {subject}.\n\n"


def question(item: Item) -> str:
    """The question as it is asked, without an answer letter."""
    options = "".join(
        f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, item["choices"], strict=False)
    )
    return f"{item['question']}{options}\nAnswer:"


def prompt(doc: Item, shots: int = SHOTS) -> str:
    """Header, up to `shots` worked examples of the subject, and the question."""
    header = HEADER.format(subject=doc["subject"].replace("_", " "))
    return header + "".join(doc["shots"][:shots]) + question(doc)


def shorter(doc: Item, text: str) -> str | None:
    """The prompt with one worked example less than `text` has; None if there is none to drop."""
    for shots in range(len(doc["shots"]) - 1, -1, -1):
        fewer = prompt(doc, shots)
        if len(fewer) < len(text):
            return fewer
    return None


# ---- the lm-eval task's functions -----------------------------------------------------------


def documents(items: str, shots: str, limit: int | None = None, **_: Any) -> dict[str, Documents]:
    """Split "test"; each document carries its subject's worked examples."""
    worked: dict[str, list[str]] = {}
    for item in read_items(shots, FIELDS):
        of_subject = worked.setdefault(item["subject"], [])
        if len(of_subject) < SHOTS:
            of_subject.append(f"{question(item)} {LETTERS[item['answer']]}\n\n")
    rows = [
        {**_texts(item), "shots": worked.get(item["subject"], [])}
        for item in read_items(items, FIELDS, limit)
    ]
    return {"test": Documents(rows)}


def results(doc: Item, scored: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """lm-eval's per-item metrics; not a number where the question did not fit the model."""
    chances = [chance for chance, _ in scored]
    if any(math.isnan(chance) for chance in chances):
        return {"accuracy": math.nan}
    return {"accuracy": float(max(range(len(chances)), key=chances.__getitem__) == doc["answer"])}


def letters(doc: Item) -> list[str]:
    """The letters of the choices that the question has."""
    return list(LETTERS[: len(doc["choices"])])


def _texts(item: Item) -> Item:
    return {**item, "choices": [str(choice) for choice in item["choices"]]}
