"""HumanEval, 0-shot: functions written by the model, run against their tests in the sandbox.

Chen et al. 2021: completions stop at the first line of other top-level code; pass@k is the
unbiased estimator 1 − C(n−c, k)/C(n, k), and a k above n is skipped, never guessed. A chat model
is asked in its own template and answers in fenced blocks: the block is taken out before any
stop applies (else nearly every chat model scores 0; lm-eval #2648, #2764, #2954).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from veneer.measure.items import Item, read_items
from veneer.measure.sandbox import Program, Verdict, run_programs

FIELDS = {"task_id": str, "prompt": str, "entry_point": str, "test": str}
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """1 − C(n−c, k)/C(n, k) for `c` of `n` samples right; None where k > n."""
    if k > n:
        return None
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every


def code_of(problem: Item, answer: str) -> str:
    """The program that an answer amounts to, tests not included.

    A fenced block comes first: the one that defines the function, else the first one. An answer
    that defines the function stands behind the prompt (which may hold imports and helpers);
    another continues the prompt and is cut at the stops.
    """
    prompt, name = problem["prompt"], problem["entry_point"]
    defines = re.compile(rf"^(?:async )?def {re.escape(name)}\b", re.MULTILINE)
    blocks = [found.group(1) for found in _FENCE.finditer(answer)]
    if blocks:
        answer = next((block for block in blocks if defines.search(block)), blocks[0])
    if defines.search(answer):
        head = prompt if _compiles(prompt) else ""
        return f"{head}\n{answer}"
    return prompt + cut(answer)


def cut(completion: str) -> str:
    """A completion up to the first stop."""
    ends = [at for stop in STOPS if (at := completion.find(stop)) >= 0]
    return completion[: min(ends, default=len(completion))]


def judged(
    problems: Sequence[Item], answers: Sequence[str], workers: int | None = None
) -> list[Verdict]:
    """Whether each answer passes its problem's tests, which see the prompt's own helpers."""
    return run_programs(
        [
            Program(
                source=code_of(p, answer),
                tests=f"{p['test']}\ncheck({p['entry_point']})\n",
                entry_point=p["entry_point"],
                given=p["prompt"] if _compiles(p["prompt"]) else "",
            )
            for p, answer in zip(problems, answers, strict=True)
        ],
        workers=workers,
    )


# ---- the lm-eval task's functions -----------------------------------------------------------


def documents(items: str, limit: int | None = None, **_: Any) -> dict[str, Any]:
    """Split "test"."""
    import datasets

    return {"test": datasets.Dataset.from_list(read_items(items, FIELDS, limit))}


def verdicts(
    responses: Sequence[Sequence[str]], docs: Sequence[Item]
) -> list[list[dict[str, Any]]]:
    """lm-eval filter over the whole task: every answer of every problem, run in one go."""
    flat = [
        (doc, answer) for doc, answers in zip(docs, responses, strict=True) for answer in answers
    ]
    found = iter(judged([doc for doc, _ in flat], [answer for _, answer in flat]))
    return [
        [{"passed": (one := next(found)).passed, "reason": one.reason} for _ in answers]
        for answers in responses
    ]


def results(doc: Item, filtered: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """lm-eval's per-item metrics; not a number where nothing could be run."""
    del doc
    passed = [one["passed"] for one in filtered[0]]
    if not passed or any(one is None for one in passed):
        return {"pass@1": math.nan}
    return {"pass@1": float(pass_at_k(len(passed), sum(passed), 1) or 0.0)}


def _compiles(source: str) -> bool:
    try:
        compile(source, "<prompt>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
