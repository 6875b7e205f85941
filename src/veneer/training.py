"""`veneer train`: the students of one base and one corpus, without a study around them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from veneer.alone import SCRATCH, model_folder, run_alone
from veneer.errors import InputError
from veneer.models.resolve import parse_model
from veneer.records import Dialogue, read_rows
from veneer.spec.parts import parse_tokens
from veneer.steps import RunFolder, told_when_full
from veneer.student.launch import is_first_node, take_part
from veneer.student.recipe import Recipe, unfolded
from veneer.student.train import read_recipe, train


def recipe_from(name: str | None, changes: Sequence[str]) -> Recipe:
    """The recipe of `--recipe` (a preset, or a YAML file of recipe keys) and `--set KEY=VALUE`."""
    fields: dict[str, Any] = {}
    if name and Path(name).suffix in (".yaml", ".yml"):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{path} does not exist.", "Check the path of --recipe.")
        try:
            found = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not YAML: {error}", "Mend the line it names.") from error
        fields = found.get("recipe", found) if isinstance(found, dict) else {}
        if not fields:
            raise InputError(f"{path} holds no recipe.", "Write keys of a recipe: batch: 32, …")
    elif name:
        fields = unfolded(name)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"{change!r} changes nothing.", "Write it as --set batch=16.")
        *parents, last = key.strip().split(".")
        place = fields = dict(unfolded(fields))
        for parent in parents:
            place[parent] = place = dict(place.get(parent) or {})
        place[last] = yaml.safe_load(value)
    return read_recipe(fields)


def amounts(given: str) -> list[int]:
    """The amounts of `--tokens 300k,20M`, in tokens."""
    found = []
    for part in given.split(","):
        try:
            amount = parse_tokens(part)
        except ValueError as error:
            raise InputError(f"--tokens: {error}.", "Type for example: --tokens 20M,80M") from error
        found.append(amount)
    return found


def corpus_at(data: Path) -> Path:
    """The corpus.jsonl that a path means: the file itself, or that of a curated folder.

    Raises:
        InputError: not there, empty, or not in the form that curating writes.
    """
    path = data / "corpus.jsonl" if data.is_dir() else data
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give what veneer curate wrote.")
    try:
        first = next(iter(read_rows(path, Dialogue)), None)
    except (ValidationError, ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a corpus: its first line is no row that veneer curate writes.",
            f"Type: veneer curate {path} --out runs/corpus, and train on runs/corpus.",
        ) from error
    if first is None:
        raise InputError(f"{path} is empty.", "Give a corpus with dialogues in it.")
    return path


def train_students(
    base: str,
    data: Path,
    tokens: Sequence[int],
    out: Path,
    *,
    recipe: Recipe,
    seed: int = 0,
    teacher: str | None = None,
    means: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a base on a corpus, a student for every amount, or go on where a run was killed.

    Args:
        base: a model folder or `hf:` name.
        data: what curating wrote.
        tokens: data amounts.
        out: gets `tokens-<amount>/`, train.json and loss.jsonl.
        teacher: whom the corpus imitates; a folder or `hf:` name where it is distilled.
        means: `devices`, `nodes`, `tensor_parallel`, `rendezvous`, `rows` (blocks in a pass).

    Raises:
        InputError: what was given cannot be trained.
        RunFolderError: `out` holds another training, or a process works in it.
    """
    chosen = dict(means or {})
    devices, nodes = chosen.get("devices") or 1, chosen.get("nodes") or 1
    if not is_first_node(nodes, chosen.get("rendezvous")):
        take_part(out / SCRATCH, devices, nodes, chosen.get("rendezvous"))
        return {"out": str(out), "text": f"This machine did its share; the students are in {out}."}
    corpus = corpus_at(data)
    folder = RunFolder(out)
    with told_when_full(out), folder.locked():
        name, place = model_folder(base, out, "trained")
        inputs = {"base": place, "corpus": corpus}
        if recipe.distil:
            if teacher is None:
                raise InputError("Distillation needs its teacher.", "Add --teacher hf:FOLDER.")
            inputs["teacher"] = model_folder(teacher, out, "distilled")[1]
        params = {"recipe": recipe, "budgets": sorted(set(tokens)), "seed": seed}
        names = {"base": name, "teacher": teacher, "corpus": corpus.parent.name}
        means = {**chosen, "names": names}
        run_alone(
            folder, "training", train, params, inputs, last="train.json", name=name, means=means
        )
    return result_of(out)


def result_of(out: Path) -> dict[str, Any]:
    """How a finished training ended, JSON-able, with `text` for people."""
    facts = json.loads((out / "train.json").read_text("utf-8"))
    losses = [json.loads(line)["loss"] for line in (out / "loss.jsonl").open(encoding="utf-8")]
    lines = [
        f"{amount['asked']:>15,} tokens: {out / amount['folder']} "
        f"({amount['tokens']:,} seen, {amount['learned']:,} learned, {amount['steps']:,} steps)"
        for amount in facts["amounts"]
    ]
    alone = sum(amount["steps"] for amount in facts["amounts"])
    saved = f"; apart they would take {alone:,}" if alone > facts["steps"] else ""
    lines.append(f"{facts['steps']:,} optimiser steps in all{saved}. Last loss {losses[-1]:.3f}.")
    return {
        "out": str(out),
        "students": [{**a, "folder": str(out / a["folder"])} for a in facts["amounts"]],
        "steps": facts["steps"],
        "precision": facts["precision"],
        "text": "\n".join(lines),
    }


def first_batch(
    base: str, data: Path, recipe: Recipe, seed: int = 0, colours: bool = True
) -> Iterator[Any]:
    """What `--show-batch` prints, as rich texts: the first batch with its mask, what was checked.

    Nothing is trained and no weight is read.
    """
    from transformers import AutoConfig, AutoTokenizer

    from veneer.models.chat import add_chat_tokens
    from veneer.student.checks import check, show_batch
    from veneer.student.encoder_decoder import add_line_break, pair_up, show_pairs
    from veneer.student.packing import pack

    corpus = corpus_at(data)
    place = Path(base).expanduser()
    try:
        given = place if place.is_dir() else parse_model(base).name
        tokenizer = AutoTokenizer.from_pretrained(given)
        apart = getattr(AutoConfig.from_pretrained(given), "is_encoder_decoder", False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{base} has no tokenizer: {str(error).splitlines()[0]}",
            "Give a folder with config.json, weights and tokenizer, as save_pretrained writes it.",
        ) from error
    add_chat_tokens(tokenizer)
    dialogues = list(read_rows(corpus, Dialogue))
    if apart:
        add_line_break(tokenizer)
        pairs = pair_up(dialogues, tokenizer, recipe.block, recipe.batch, seed)
        yield from show_pairs(pairs, tokenizer, slice(0, recipe.batch), colours=colours)
        for name in ("cut_before", "cut_after", "tail"):
            yield f"{name.replace('_', ' '):>16}  {getattr(pairs, name):,}"
        return
    packed = pack(dialogues, tokenizer, recipe.block, seed, recipe.packing)
    yield from show_batch(packed, tokenizer, slice(0, recipe.batch), colours=colours)
    for name, value in check(packed, tokenizer, recipe.batch).model_dump().items():
        said = f"{value:,}" if isinstance(value, int) else f"{value:.1%}"
        yield f"{name.replace('_', ' '):>16}  {said}"
