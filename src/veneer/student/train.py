"""Train students: one run, a student for every data amount, each with its model card."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veneer.errors import InputError, nearest
from veneer.records import Dialogue, read_rows
from veneer.steps import Job, on_gpu, versioned
from veneer.student.card import README, About, card, stats_of
from veneer.student.devices import launched
from veneer.student.launch import launch
from veneer.student.recipe import Amount, Lora, Recipe

TRAINED_ON = "trained_on.json"
"""Beside a student's weights: its Amount, so that a measurement knows the true tokens."""


@on_gpu
@versioned(3)
def train(job: Job) -> None:
    """Step: students of one base, corpus and seed, one for every data amount.

    inputs: `base` a Hugging Face model folder, `corpus` a folder with corpus.jsonl (Dialogue
        rows); with `distil` in the recipe also `teacher`, the open teacher's folder.
    params: `recipe` (fields of Recipe), `budgets` (tokens, one or more), `seed`, optional
        `in_order` (the corpus is in the order in which it is trained on: a mixture's).
    means: `rows` (blocks in a pass), `names` (of `base`, `teacher` and `corpus`, for the card);
        `devices`, `nodes`, `tensor_parallel`, `rendezvous`: see `launch`; `recompute`: see
        `shard`; `keep_every`: seconds between states kept for a killed run.
    Writes `tokens-<budget>/` (model, tokenizer and card; `from_pretrained` loads them),
    train.json (the Amounts with true counts, the recipe, the precision that ran, what the checks
    found) and loss.jsonl (`step`, mean loss per learned token, `rate`).
    """
    from veneer.student.assembly import assembled
    from veneer.student.devices import join, leave
    from veneer.student.keeping import Keeper
    from veneer.student.loop import train_tree
    from veneer.student.memory import explained, out_of_memory
    from veneer.student.sweep import cost, runs_of, segments_of

    means = job.means
    devices, nodes = int(means.get("devices") or 1), int(means.get("nodes") or 1)
    if devices * nodes > 1 and not launched():
        return launch(train, job, devices, nodes, means.get("rendezvous"))
    recipe = read_recipe(job.params["recipe"])
    budgets, seed = sorted({int(b) for b in job.params["budgets"]}), int(job.params["seed"])
    if not budgets:
        raise InputError("No data amount is given.", "Give at least one, in tokens.")
    corpus = corpus_file(Path(job.inputs["corpus"]))
    dialogues = list(read_rows(corpus, Dialogue))
    world = join(means.get("tensor_parallel") or 1, devices * nodes)
    keeper = Keeper(job.scratch, world)
    in_order, rows = bool(job.params.get("in_order")), means.get("rows")
    recompute = bool(means.get("recompute"))
    made = assembled(job.inputs, dialogues, recipe, seed, in_order, rows, world, recompute)
    training = made.training
    shared = f"rows-{world.data}" if world.data > 1 else "rows"
    training.rows = keeper.first_said(shared, training.rows, anew=rows is not None)
    runs = runs_of(budgets, recipe, training.data, seed)
    segments = segments_of(runs)
    facts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "precision": "bf16" if training.half else "fp32",
        "rows_in_pass": training.rows,
        "warmup_steps": recipe.warmup(len(runs[0]), len(runs[0])),
        "steps": cost(segments),
        "seed": seed,
        "dialogues": len(dialogues),
        "blocks": len(training.data),
        "tail_tokens": training.data.tail,
        "data": made.facts,
    }
    names = job.means.get("names") or {}
    stats = stats_of(corpus.parent)

    def save(amount: Amount, folder: Path) -> None:
        made.save(folder)
        if not world.first:
            return
        seen = json.dumps(amount.model_dump(exclude={"folder"}))
        (folder / TRAINED_ON).write_text(seen + "\n")
        about = About(
            amount=amount,
            recipe=recipe,
            base=names.get("base") or "",
            teacher=names.get("teacher") or "",
            corpus=names.get("corpus") or "",
            stats=stats,
            run=facts,
            sequence_to_sequence=bool(training.model.config.is_encoder_decoder),
        )
        (folder / README).write_text(card(about), "utf-8")

    try:
        every = means.get("keep_every")
        losses = train_tree(training, segments, keeper, save, job.progress, every)
    except (RuntimeError, MemoryError, OSError) as error:
        if out_of_memory(error):
            raise explained(error, made.load, training.rows) from error
        raise
    leave()
    if not world.first:
        return
    for run in runs:
        folder = run.amount.folder
        shutil.copytree(keeper.students / folder, job.out / folder, copy_function=_linked)
    with (job.out / "loss.jsonl").open("w") as out:
        for row in losses:
            out.write(json.dumps(row) + "\n")
    facts["amounts"] = [run.amount.model_dump() for run in runs]
    (job.out / "train.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def read_recipe(fields: Recipe | dict[str, Any] | str) -> Recipe:
    """A Recipe from a study's fields or a preset's name; what is wrong with them is named."""
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = Lora.model_fields if name.startswith("lora.") else Recipe.model_fields
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), known)
            raise InputError(f"A recipe has no key {name!r}.", hint) from error
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"recipe.{name}: {first['input']!r} was given. {reason}.",
            "Recipes are explained in docs/training.md.",
        ) from error


def corpus_file(given: Path) -> Path:
    """The corpus.jsonl that a file or folder means; none is an InputError."""
    path = given / "corpus.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{given} has no corpus.jsonl.", "Give the folder that curating wrote.")
    return path


def _linked(source: str, target: str) -> None:
    """A second name for a file; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
