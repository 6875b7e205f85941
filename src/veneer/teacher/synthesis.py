"""The command `veneer synthesize`: seeds in, a folder with new task data out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.models.asking import Model
from veneer.records import Record, content_id
from veneer.steps import RunFolder
from veneer.teacher.folder import (
    claim,
    counted,
    how_to_go_on,
    publish_facts,
    publish_rows,
    publish_text,
    spending,
    spent_in_words,
    stopped,
)
from veneer.teacher.instructions import read_seed_tasks
from veneer.teacher.self_instruct import (
    ALPACA,
    HUMAN,
    MACHINE,
    TEMPERATURE,
    Variant,
    self_instruct,
    task_dialogues,
)
from veneer.teacher.synthesize import dialogues, generate_pairs
from veneer.teacher.tasks import Task, enough, load_task, read_seeds

ABOUT = "counts.json"
PAIRS = "pairs.jsonl"
DROPPED = "dropped.jsonl"
FIELDS = "fields.jsonl"

Progress = Callable[..., None]
Row = dict[str, str]


def synthesize_files(
    seeds: Path | None,
    model: Model,
    out: Path,
    *,
    count: int,
    template: str | Mapping[str, Any] | Task = "nq",
    values: Mapping[str, str] = {},
    requests: int | None = None,
    temperature: float | None = 1.0,
    max_new_tokens: int = 1024,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """New pairs of a task, written by a model after a few seeds.

    Args:
        seeds: rows in the template's field names; None takes the template's own seeds.
        count: unique pairs wanted.
        template: a built-in name, the path of a template or its fields.
        values: replace the template's own (the schema of `cypher`, say).
        requests: cap; by default as many as pairs are wanted.

    Writes pairs.jsonl (Dialogue rows), fields.jsonl (the same pairs in the seeds' field names, so
    that they can be seeds again), dropped.jsonl (Dropped rows) and counts.json (`settings`,
    counts, `complete`, `spending`), where `raw` = `kept` + all of `dropped`.

    Returns:
        The facts of counts.json, `out` and `text` for people.
    """
    task = load_task(template, values)
    pairs = enough(task.pairs, task, task.name) if seeds is None else read_seeds(seeds, task)
    cap = _limits(count, requests)
    settings = {
        "teacher": model.name,
        "task": task.name,
        "template": content_id(task.model_dump(mode="json", exclude={"seeds"})),
        "seeds": content_id(pairs),
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    with RunFolder(out).locked():
        claim(out, ABOUT, settings, [PAIRS])
        drawn = generate_pairs(
            model,
            pairs,
            task=task,
            count=count,
            requests=cap,
            temperature=temperature,
            seed=seed,
            max_new_tokens=max_new_tokens,
            progress=progress,
        )
        names = (task.input.field, task.output.field)
        fields = [dict(zip(names, pair, strict=True)) for pair in drawn.kept]
        rows = dialogues(drawn, task, model.name)
        return _publish(out, model, settings, rows, fields, drawn.dropped, drawn.counts(), count)


def self_instruct_files(
    seeds: Path,
    model: Model,
    out: Path,
    *,
    count: int,
    variant: Variant = "self-instruct",
    requests: int | None = None,
    temperature: float | None = None,
    max_new_tokens: int = 1024,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """New tasks of any kind by the Self-Instruct loop, in the same files as `synthesize_files`.

    Args:
        seeds: rows {"instruction", "input", "output"} or {"instruction", "instances"}.
        count: new instructions wanted.
        variant: "self-instruct" (6 human + 2 generated instructions a request) or "alpaca"
            (3 whole tasks).
        temperature: None takes the variant's published one.
    """
    heat = TEMPERATURE[variant] if temperature is None else temperature
    tasks = read_seed_tasks(seeds, ALPACA if variant == "alpaca" else HUMAN)
    cap = _limits(count, requests)
    settings = {
        "teacher": model.name,
        "task": variant,
        "shots": [ALPACA] if variant == "alpaca" else [HUMAN, MACHINE],
        "seeds": content_id([[t.instruction, t.input, t.output] for t in tasks]),
        "temperature": heat,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    with RunFolder(out).locked():
        claim(out, ABOUT, settings, [PAIRS])
        grown = self_instruct(
            model,
            tasks,
            count=count,
            requests=cap,
            variant=variant,
            temperature=heat,
            seed=seed,
            max_new_tokens=max_new_tokens,
            progress=progress,
        )
        fields = [
            {"instruction": t.instruction, "input": t.input, "output": t.output} for t in grown.made
        ]
        rows = task_dialogues(grown, model.name)
        return _publish(out, model, settings, rows, fields, grown.dropped, grown.counts(), count)


def _limits(count: int, requests: int | None) -> int:
    if count < 1:
        raise InputError(f"A count of {count} asks for nothing.", "Give at least 1.")
    cap = count if requests is None else requests
    if cap < 1:
        raise InputError(f"A cap of {cap} requests asks for nothing.", "Give at least 1.")
    return cap


def _publish(
    out: Path,
    model: Model,
    settings: dict[str, Any],
    rows: list[Any],
    fields: list[Row],
    dropped: list[Any],
    counts: dict[str, Any],
    count: int,
) -> dict[str, Any]:
    kept: list[Record] = list(rows)
    publish_rows(out / PAIRS, kept)
    publish_text(
        out / FIELDS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in fields)
    )
    publish_rows(out / DROPPED, dropped)
    facts = {
        **counts,
        "count": count,
        "complete": counts["ended_by"] == "count",
        "spending": spending(model),
    }
    publish_facts(out / ABOUT, settings, facts)
    return {**facts, "out": str(out), "text": _text(facts, out, model, len(dropped))}


def _text(facts: dict[str, Any], out: Path, model: Model, dropped: int) -> str:
    requests = facts.get("requests")
    if requests is None:
        requests = facts["instructions"]["requests"] + facts["instances"]["requests"]
    lines = [
        f"{counted(facts['kept'], 'pair')} of {facts['count']:,} in {out / PAIRS}, from "
        f"{counted(requests, 'request')} to {model.name}; {counted(dropped, 'part')} dropped, each "
        f"with its reason in {out / DROPPED}."
    ]
    lines += spent_in_words(facts["spending"])
    if facts["ended_by"] == "requests":
        lines.append(
            "The cap on requests ended it. To go on, type the same command with a larger "
            f"--requests and --out {out}."
        )
    if facts["ended_by"] == "budget":
        lines += [f"Stopped: {stopped(model)}.", how_to_go_on(out)]
    return "\n".join(lines)
