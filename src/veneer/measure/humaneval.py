"""HumanEval, 0-shot: functions written by the model, run against their tests in the sandbox.

Chen et al. 2021: completions stop at the first line of other top-level code; pass@k is the
unbiased estimator 1 − C(n−c, k)/C(n, k), and a k above n is skipped, never guessed. A chat model
is asked in its own template and answers in fenced blocks: the block is taken out before any
stop applies (else nearly every chat model scores 0; lm-eval #2648, #2764, #2954).

One sample a problem is greedy; several are drawn at temperature 0.8 with p = 0.95, as in Chen et
al., each from random numbers of its own.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from veneer.measure.items import Documents, Item, read_items
from veneer.measure.sandbox import Program, Verdict, run_programs

FIELDS = {"task_id": str, "prompt": str, "entry_point": str, "test": str}
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")

SAMPLED = {"do_sample": True, "temperature": 0.8, "top_p": 0.95}
"""Generation settings for several samples a problem."""

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)
_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"\A.*?</(?:think|thinking|thought|reasoning)>", re.DOTALL)


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """1 − C(n−c, k)/C(n, k) for `c` of `n` samples right; None where k > n."""
    if k > n:
        return None
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every


def code_of(problem: Item, answer: str, *, stops: bool = True) -> str:
    """The program that an answer amounts to, tests not included.

    What stands in thinking tags is left out. A fenced block comes first: the last one that
    defines the function (models show drafts before), else the first in Python, else the first.
    An answer that defines the function stands behind the prompt (which may hold imports and
    helpers); another continues the prompt and is cut at the stops, unless it was when it was
    written (`stops`: False).
    """
    prompt, name = problem["prompt"], problem["entry_point"]
    defines = re.compile(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b", re.MULTILINE)
    answer = without_thinking(answer)
    blocks = fenced(answer)
    if blocks:
        python = [code for code, language in blocks if language.startswith(("py", "ipython"))]
        full = [code for code, _ in blocks if defines.search(code)]
        answer = full[-1] if full else (python or [blocks[0][0]])[0]
    if defines.search(answer):
        head = prompt if _compiles(prompt) else ""
        return f"{head}\n{answer}"
    if blocks and _is_level(answer):
        answer = textwrap.indent(answer, "    ")
    return prompt + (cut(answer) if stops else answer)


def fenced(answer: str) -> list[tuple[str, str]]:
    """Fenced blocks as (code, language in lower case); an answer's last fence may be open.

    Backticks or tildes, at least three; a block ends at a line of as many of the same. A fence
    that is indented (in a list) has its indentation taken off its lines.
    """
    blocks: list[tuple[str, str]] = []
    lines: list[str] = []
    opened: re.Match[str] | None = None
    for line in answer.splitlines():
        mark = _FENCE.match(line)
        if opened is None:
            opened, lines = mark, []
        elif mark and mark[2].startswith(opened[2]) and not mark[3].strip():
            blocks.append((_code(lines, opened[1]), opened[3].strip().lower()))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        blocks.append((_code(lines, opened[1]), opened[3].strip().lower()))
    return blocks


def without_thinking(answer: str) -> str:
    """An answer without what stands in thinking tags, which a template may have opened."""
    rest = _THINKING.sub("", answer)
    return _THOUGHT.sub("", rest)


def cut(completion: str) -> str:
    """A completion up to the first stop."""
    ends = [at for stop in STOPS if (at := completion.find(stop)) >= 0]
    return completion[: min(ends, default=len(completion))]


def judged(
    problems: Sequence[Item],
    answers: Sequence[str],
    workers: int | None = None,
    *,
    stops: bool = True,
) -> list[Verdict]:
    """Whether each answer passes its problem's tests, which see the prompt's own helpers."""
    return run_programs(
        [
            Program(
                source=code_of(p, answer, stops=stops),
                tests=f"{p['test']}\ncheck({p['entry_point']})\n",
                entry_point=p["entry_point"],
                given=p["prompt"] if _compiles(p["prompt"]) else "",
            )
            for p, answer in zip(problems, answers, strict=True)
        ],
        workers=workers,
    )


# ---- the lm-eval task's functions -----------------------------------------------------------


def documents(
    items: str, limit: int | None = None, ks: Sequence[int] = (1,), **_: Any
) -> dict[str, Documents]:
    """Split "test"; each problem carries the k of the pass@k that are asked for."""
    rows = read_items(items, FIELDS, limit)
    return {"test": Documents({**row, "ks": list(ks)} for row in rows)}


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
    """lm-eval's per-item metrics; not a number where not every sample could be run."""
    passed = [one["passed"] for one in filtered[0]]
    scores: dict[str, float] = {}
    for k in doc["ks"]:
        value = pass_at_k(len(passed), sum(map(bool, passed)), k)
        if value is not None:
            scores[f"pass@{k}"] = math.nan if None in passed else value
    return scores


def _code(lines: Sequence[str], margin: str) -> str:
    """A block's lines without the fence's own indentation."""
    return "".join(f"{line.removeprefix(margin)}\n" for line in lines)


def _is_level(code: str) -> bool:
    """Whether a body was given without its indentation: it compiles only as such a body."""
    first = next((line for line in code.splitlines() if line.strip()), " ")
    body = textwrap.indent(code, "    ")
    return not first[0].isspace() and _compiles(f"def body():\n{body}")


def _compiles(source: str) -> bool:
    try:
        compile(source, "<prompt>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
