"""Natural Questions (open): exact match after SQuAD normalisation, 3-shot and 0-shot.

Exact match: Rajpurkar et al. 2016, `evaluate-v1.1.py`; few-shot text: Touvron et al. 2023
("Answer these questions:", question and answer on a line each). A generation stops at the
newline only: stopping at "." or "," cuts "U.S." and "July 4, 1776" (lm-eval #1381).

Few-shot, every model continues plain text, as in the paper. Zero-shot, a chat model is asked
the bare question in its own template, and the first line of its answer counts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veneer.measure.items import Documents, Item, read_items

FIELDS = {"question": str, "answer": list}
HEADER = "Answer these questions:\n\n"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Lower case, without punctuation, articles and extra spaces (in that order)."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1.0 if the prediction normalises to the same as any gold answer, else 0.0."""
    said = normalise(prediction)
    return float(any(said == normalise(gold) for gold in golds))


def first_line(text: str) -> str:
    """The first line that says something; empty if none does."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# ---- the lm-eval task's functions -----------------------------------------------------------


def documents(
    items: str, shots: str | None = None, limit: int | None = None, **_: Any
) -> dict[str, Documents]:
    """Splits "test" and "shots"; a question's own mark is dropped, the prompt writes one."""
    splits = {"test": _read(items, limit)}
    if shots:
        splits["shots"] = _read(shots)
    return splits


def prompt(doc: Item) -> str:
    """The question in plain text, to be continued."""
    return f"Q: {doc['question']}?\nA:"


def shorter(doc: Item, text: str) -> str | None:
    """The prompt without its last worked example; None if there is none to drop."""
    question = prompt(doc)
    shots = text.removesuffix(question).removeprefix(HEADER)
    if not shots:
        return None
    last = shots.removesuffix("\n\n").rfind("\n\nQ: ")
    return HEADER + (shots[: last + 2] if last >= 0 else "") + question


def query(doc: Item) -> str:
    """The question as a user asks it."""
    return f"{doc['question']}?"


def target(doc: Item) -> str:
    """The answer that a worked example shows."""
    return str(doc["answer"][0])


def results(doc: Item, answers: Sequence[str]) -> dict[str, float]:
    """lm-eval's per-item metrics; the text that counts is a line in every form of the task."""
    return {"exact_match": exact_match(first_line(answers[0]), doc["answer"])}


def _read(path: str | Path, limit: int | None = None) -> Documents:
    rows = read_items(path, FIELDS, limit)
    return Documents(
        {**row, "question": row["question"].strip().rstrip("?").rstrip(), "header": HEADER}
        for row in rows
    )
