"""Train students: one run, a student for every data amount."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from veneer.errors import InputError, nearest
from veneer.records import Dialogue, content_id, read_rows
from veneer.steps import Job, versioned
from veneer.student.devices import launched
from veneer.student.launch import launch
from veneer.student.recipe import Amount, Lora, Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from veneer.student.loop import Training

TOKENS_IN_PASS = 1 << 14
"""Tokens of one forward pass; a larger step accumulates gradients over several passes."""

TRAINED_ON = "trained_on.json"
"""Beside a student's weights: its Amount, so that a measurement knows the true tokens."""


@versioned(3)
def train(job: Job) -> None:
    """Step: students of one base, corpus and seed, one for every data amount.

    inputs: `base` a Hugging Face model folder, `corpus` a folder with corpus.jsonl (Dialogue
        rows).
    params: `recipe` (fields of Recipe), `budgets` (tokens, one or more), `seed`, optional
        `in_order` (the corpus is in the order in which it is trained on: a mixture's).
    Writes `tokens-<budget>/` (model and tokenizer, `from_pretrained` loads them), train.json
    (the Amounts with true counts, the recipe, the precision that ran) and loss.jsonl
    (`step`, mean loss per learned token, `rate`).
    """
    from veneer.student.devices import leave
    from veneer.student.keeping import Keeper
    from veneer.student.loop import train_tree
    from veneer.student.sharding import whole_weights
    from veneer.student.sweep import cost, runs_of, segments_of

    if launched_for(job):
        return
    recipe = read_recipe(job.params["recipe"])
    budgets, seed = sorted({int(b) for b in job.params["budgets"]}), int(job.params["seed"])
    if not budgets:
        raise InputError("No data amount is given.", "Give at least one, in tokens.")
    dialogues = list(read_rows(_corpus(Path(job.inputs["corpus"])), Dialogue))
    training, tokenizer, packed = prepared(job, recipe, seed, dialogues)
    runs = runs_of(budgets, recipe, packed, seed)
    segments = segments_of(runs)
    keeper, world = Keeper(job.scratch, training.world), training.world

    def save(amount: Amount, folder: Path) -> None:
        weights = whole_weights(training.model, world)
        if not world.first:
            return
        training.model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)
        seen = json.dumps(amount.model_dump(exclude={"folder"}))
        (folder / TRAINED_ON).write_text(seen + "\n")

    every = job.means.get("keep_every")
    losses = train_tree(training, segments, keeper, save, job.progress, every)
    leave()
    if not world.first:
        return
    for run in runs:
        folder = run.amount.folder
        shutil.copytree(keeper.students / folder, job.out / folder, copy_function=_linked)
    with (job.out / "loss.jsonl").open("w") as out:
        for row in losses:
            out.write(json.dumps(row) + "\n")
    facts = {
        "amounts": [run.amount.model_dump() for run in runs],
        "recipe": recipe.model_dump(mode="json"),
        "precision": "bf16" if training.half else "fp32",
        "warmup_steps": recipe.warmup(len(runs[0]), len(runs[0])),
        "steps": cost(segments),
        "seed": seed,
        "dialogues": len(dialogues),
        "blocks": len(packed),
        "tail_tokens": packed.tail,
        "first_batch": content_id(packed.ids[: recipe.batch].tolist()),
    }
    (job.out / "train.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def prepared(
    job: Job, recipe: Recipe, seed: int, dialogues: list[Dialogue]
) -> tuple[Training, PreTrainedTokenizerBase, Any]:
    """Base, data, loss and optimiser as the recipe says, ready for the first step."""
    from veneer.student.bases import load_base, parameter_groups, precision_of
    from veneer.student.devices import join, share_of
    from veneer.student.loop import Training
    from veneer.student.losses import imitation_loss
    from veneer.student.optimiser import make_optimiser
    from veneer.student.packing import pack
    from veneer.student.sharding import alike, shard

    world = join(job.means.get("tensor_parallel") or 1, asked_for(job) if launched() else None)
    share = share_of(recipe.batch, world)
    model, tokenizer, added = load_base(Path(job.inputs["base"]), recipe, seed)
    packed = pack(dialogues, tokenizer, recipe.block, None if job.params.get("in_order") else seed)
    precision = precision_of(model, recipe)
    model = shard(model, world, precision, bool(job.means.get("recompute")))
    groups = alike(parameter_groups(model, tokenizer, recipe, added))
    training = Training(
        model=model,
        optimiser=make_optimiser(groups, recipe),
        data=packed,
        recipe=recipe,
        loss=imitation_loss,
        rows=blocks_in_pass(recipe, share),
        half=precision == "bf16",
        world=world,
    )
    return training, tokenizer, packed


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


def blocks_in_pass(recipe: Recipe, share: int | None = None) -> int:
    """Blocks of one forward pass: the most that divide a process's share of the batch (all of
    it, for one process) and stay in TOKENS_IN_PASS."""
    share = share or recipe.batch
    fits = [n for n in range(1, share + 1) if n * recipe.block <= TOKENS_IN_PASS]
    return max((n for n in fits if share % n == 0), default=1)


def asked_for(job: Job) -> int:
    """Processes that a training was asked to run in, over all machines."""
    return int(job.means.get("devices") or 1) * int(job.means.get("nodes") or 1)


def launched_for(job: Job) -> bool:
    """Do the whole step in several processes where they are asked for; False in each of them."""
    if asked_for(job) == 1 or launched():
        return False
    devices, nodes = int(job.means.get("devices") or 1), int(job.means.get("nodes") or 1)
    launch(train, job, devices, nodes, job.means.get("rendezvous"))
    return True


def _linked(source: str, target: str) -> None:
    """A second name for a file; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _corpus(given: Path) -> Path:
    path = given / "corpus.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{given} has no corpus.jsonl.", "Give the folder that curating wrote.")
    return path
