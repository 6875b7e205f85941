"""The command `veneer collect`: prompt files in, a folder with a teacher's answers out.

The folder's answers are complete whenever the command ends: every prompt that was asked has a row
with its outcome. Run again, the same command asks what is missing (the model's journal serves the
rest) and writes the files anew; prompts that were added are the only ones asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.models.asking import Model
from veneer.records import Answer, read_rows
from veneer.steps import RunFolder
from veneer.teacher.collect import collected
from veneer.teacher.folder import (
    claim,
    counted,
    how_to_go_on,
    publish_facts,
    publish_rows,
    spending,
    spent_in_words,
    stopped,
)
from veneer.teacher.pool import Pool, read_pool

ABOUT = "collection.json"
ANSWERS = "answers.jsonl"
BROKEN = "dropped.jsonl"


def collect_files(
    prompts: Path | Sequence[Path],
    model: Model,
    out: Path,
    *,
    samples: int = 1,
    temperature: float | None = 0.7,
    max_new_tokens: int = 512,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Ask a model every prompt of some files and keep its answers in a folder.

    Writes answers.jsonl (Answer rows in the prompts' order, then by sample), dropped.jsonl (rows
    of the files that are no prompt) and collection.json: `settings`, `pool` (where the prompts
    came from), `answers`, `outcomes` (answers by outcome), `not_asked`, `complete` and
    `spending`. First samples are asked before second ones.

    Args:
        temperature: None leaves it to the model, as some demand.
        seed: None leaves it to the model; the k-th sample is asked with `seed` + k.

    Returns:
        The facts of collection.json, `out` and `text` for people.

    Raises:
        InputError: no prompt in the files, or the folder holds another collection.
    """
    if samples < 1:
        raise InputError(f"{samples} answers a prompt are none.", "Give at least 1.")
    pool = read_pool(*([prompts] if isinstance(prompts, Path) else prompts))
    settings = {
        "teacher": model.name,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    with RunFolder(out).locked():
        claim(out, ABOUT, settings, [ANSWERS])
        _covers(pool, samples, out / ANSWERS)
        if not (out / ABOUT).exists():
            publish_facts(out / ABOUT, settings, {"complete": False})
        answers: list[Answer] = []
        passes = [range(samples)] if seed is None else [range(k, k + 1) for k in range(samples)]
        for numbers in passes:
            answers += collected(
                model,
                pool.prompts,
                samples=numbers,
                temperature=temperature,
                seed=None if seed is None else seed + numbers.start,
                max_new_tokens=max_new_tokens,
                progress=progress,
            )
            if len(answers) < len(pool.prompts) * numbers.stop:
                break  # a budget ended
        place = {prompt.id: k for k, prompt in enumerate(pool.prompts)}
        answers.sort(key=lambda answer: (place[answer.prompt_id], answer.sample))
        publish_rows(out / ANSWERS, answers)
        publish_rows(out / BROKEN, pool.broken)
        facts = _facts(pool, samples, answers, model)
        publish_facts(out / ABOUT, settings, facts)
    return {**facts, "out": str(out), "text": _text(facts, out, model, pool)}


def _covers(pool: Pool, samples: int, path: Path) -> None:
    """A folder's earlier answers must all be part of what is asked now."""
    if not path.exists():
        return
    known = {prompt.id for prompt in pool.prompts}
    missing: dict[str, None] = {}
    deepest = 0
    for answer in read_rows(path, Answer):
        deepest = max(deepest, answer.sample + 1)
        if answer.prompt_id not in known:
            missing[answer.prompt] = None
    if missing:
        first = " ".join(next(iter(missing)).split())[:60]
        raise InputError(
            f"{path} has answers to {counted(len(missing), 'prompt')} that the given files do "
            f"not ask, the first: {first!r}.",
            "Choose another folder with --out, or give the files of before too.",
        )
    if deepest > samples:
        raise InputError(
            f"{path} has {deepest} answers a prompt; {samples} are asked for.",
            f"Ask for {deepest} or more samples, or choose another folder with --out.",
        )


def _facts(pool: Pool, samples: int, answers: Sequence[Answer], model: Model) -> dict[str, Any]:
    outcomes = Counter(answer.outcome for answer in answers)
    missing = samples * len(pool.prompts) - len(answers)
    return {
        "pool": pool.counts(),
        "samples": samples,
        "answers": len(answers),
        "outcomes": dict(sorted(outcomes.items())),
        "not_asked": missing,
        "complete": not missing,
        "spending": spending(model),
    }


def _text(facts: dict[str, Any], out: Path, model: Model, pool: Pool) -> str:
    ends = ", ".join(f"{count:,} {name}" for name, count in facts["outcomes"].items())
    said = f"{counted(facts['answers'], 'answer')} of {model.name}"
    asked = f"{counted(len(pool.prompts), 'prompt')} in {out / ANSWERS}"
    lines = [f"{said} to {asked}" + (f": {ends}." if ends else ".")]
    if pool.repeats:
        lines.append(f"{counted(pool.repeats, 'repeated prompt')} asked once.")
    if pool.broken:
        first = pool.broken[0]
        lines.append(
            f"{counted(len(pool.broken), 'row')} held no prompt ({first.origin}: {first.reason}"
            + (", …" if len(pool.broken) > 1 else "")
            + f"); see {out / BROKEN}."
        )
    lines += spent_in_words(facts["spending"])
    if not facts["complete"]:
        lines.append(
            f"Stopped: {stopped(model)}. {counted(facts['not_asked'], 'answer')} "
            f"{'is' if facts['not_asked'] == 1 else 'are'} still to be asked for."
        )
        lines.append(how_to_go_on(out))
    return "\n".join(lines)
