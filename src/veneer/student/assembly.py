"""What a run trains, put together as its recipe says: base, data, loss, optimiser, regularisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from veneer.errors import InputError
from veneer.models.encoder_decoder import is_encoder_decoder
from veneer.records import Dialogue
from veneer.student.adapters import merged, save_adapter, wrapped
from veneer.student.bases import load_base, load_teacher, parameter_groups, precision_of
from veneer.student.checks import check
from veneer.student.devices import World, share_of
from veneer.student.encoder_decoder import pair_loss, pair_up
from veneer.student.isolation import isolation
from veneer.student.keeping import ALONE
from veneer.student.loop import Training
from veneer.student.losses import Loss, distilled, imitation_loss, kl_to, same_tokens
from veneer.student.memory import Load, loaded, rows_that_fit, shape_at, shape_of
from veneer.student.optimiser import make_optimiser
from veneer.student.packing import pack
from veneer.student.recipe import Recipe
from veneer.student.regularisers import Pull
from veneer.student.sharding import alike, reshard, shard, whole_weights


@dataclass(frozen=True)
class Assembled:
    """A run ready for its first step.

    facts: what the checks found in the data, JSON-able. load: what decides its memory.
    """

    training: Training
    tokenizer: PreTrainedTokenizerBase
    facts: dict[str, Any]
    load: Load

    def save(self, folder: Path) -> None:
        """The student that the model is now, as plain `from_pretrained` loads it.

        Where several processes train it, each calls this and the first one writes.
        """
        model = self.training.model
        if hasattr(model, "peft_config"):
            merged(model).save_pretrained(folder)
            save_adapter(model, folder)
        elif self.training.world.mesh is None:
            model.save_pretrained(folder)
        else:
            weights = whole_weights(model, self.training.world)
            if not self.training.world.first:
                return
            model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)


def assembled(
    inputs: Mapping[str, Path],
    dialogues: Sequence[Dialogue],
    recipe: Recipe,
    seed: int,
    in_order: bool = False,
    rows: int | None = None,
    world: World = ALONE,
    recompute: bool = False,
) -> Assembled:
    """Load the base, pack the dialogues, check both, and choose how many rows a pass takes.

    Args:
        inputs: `base`, and `teacher` where the recipe distils one: model folders.
        in_order: the dialogues are in the order in which they are trained on.
        rows: blocks in a pass; by default what fits into memory.
        world: the processes that train it, and this one's device.
        recompute: see `shard`.

    Raises:
        InputError: base, data, recipe and memory do not go together; says what would.
    """
    device, share = world.device, share_of(recipe.batch, world)
    if world.size > 1 and recipe.method != "full":
        raise InputError(
            f"method: {recipe.method} trains on one device; {world.size} are asked for.",
            "Leave --devices out, or set recipe.method to full.",
        )
    if recipe.method == "full" and rows is None:
        _foreseen(Path(inputs["base"]), recipe, share, world, recompute)
    model, tokenizer, added = load_base(Path(inputs["base"]), recipe, seed)
    order = None if in_order else seed
    data: Any
    facts: dict[str, Any]
    if is_encoder_decoder(model):
        data = pair_up(dialogues, tokenizer, recipe.block, recipe.batch, order)
        facts = {"cut_before": data.cut_before, "cut_after": data.cut_after}
        loss = _loss_of_pairs(recipe)
    else:
        data = pack(dialogues, tokenizer, recipe.block, order, recipe.packing)
        facts = check(data, tokenizer, recipe.batch).model_dump(mode="json")
        loss = _loss_of_blocks(recipe, model, tokenizer, inputs.get("teacher"), device)
    if recipe.method != "full":
        ids: Any = tokenizer.convert_tokens_to_ids(added)
        model = wrapped(model, recipe.lora, ids, seed)  # type: ignore[assignment]
    precision = precision_of(model, recipe)
    model = shard(model, world, precision, recompute)
    if world.data_rank:  # other rows, other dropout
        torch.manual_seed(seed + 1_000_003 * world.data_rank)
    load = load_of(model, recipe, device)
    load = replace(load, batch=share, world=world.size, checkpointing=recompute)
    rows = _checked(rows, share) if rows else rows_that_fit(load, taken=loaded(load))
    if not is_encoder_decoder(model) and recipe.packing == "best-fit":
        loss = _apart(loss, isolation(model))
        reshard(model)
    held: list[Callable[[float], None]] = []
    if recipe.pull:
        held.append(Pull(model.parameters(), recipe.pull, recipe.learning_rate).after_step)
    training = Training(
        model=model,
        optimiser=make_optimiser(alike(parameter_groups(model, tokenizer, recipe, added)), recipe),
        data=data,
        recipe=recipe,
        loss=loss,
        rows=rows,
        half=load.precision == "bf16",
        world=world,
        after_step=held,
    )
    return Assembled(training, tokenizer, facts, load)


def load_of(model: PreTrainedModel, recipe: Recipe, device: torch.device) -> Load:
    """What decides the memory of a run over blocks of the recipe."""
    return Load(
        shape=shape_of(model),
        block=recipe.block,
        batch=recipe.batch,
        precision="bf16" if precision_of(model, recipe) == "bf16" else "fp32",
        attention=str(model.config._attn_implementation),
        device="cuda" if device.type == "cuda" else "cpu",
    )


def _foreseen(base: Path, recipe: Recipe, share: int, world: World, recompute: bool) -> None:
    """Refuse a training that cannot fit before a weight is read."""
    try:
        shape = shape_at(base)
    except (OSError, ValueError, KeyError, AttributeError):
        return  # load_base says what is wrong with it
    gpu = world.device.type == "cuda"
    half = recipe.precision == "bf16" or (recipe.precision == "auto" and gpu)
    rows_that_fit(
        Load(
            shape=shape,
            block=recipe.block,
            batch=share,
            precision="bf16" if half else "fp32",
            checkpointing=recompute,
            world=world.size,
            device="cuda" if gpu else "cpu",
        )
    )


def _checked(rows: int, batch: int) -> int:
    if batch % rows:
        fitting = [n for n in range(1, batch + 1) if batch % n == 0]
        raise InputError(
            f"A batch of {batch} blocks cannot be read in passes of {rows}.",
            f"Give --rows-in-pass one of {', '.join(map(str, fitting))}.",
        )
    return rows


def _apart(loss: Loss, way: Callable[[Any], Any]) -> Loss:
    """The loss of dialogues that share a block and do not see each other."""
    return lambda model, batch: loss(model, way(batch))


def _loss_of_pairs(recipe: Recipe) -> Loss:
    for name in ("kl", "distil"):
        if getattr(recipe, name):
            raise InputError(
                f"recipe.{name} is for decoder-only bases; this one is an encoder–decoder.",
                f"Leave {name} out; pull and replay hold such a base to what it was.",
            )
    return pair_loss


def _loss_of_blocks(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    teacher: Path | None,
    device: torch.device,
) -> Loss:
    """Imitation with what the recipe adds to it; `model` is the base as training starts."""
    if recipe.kl and recipe.distil:
        raise InputError(
            "kl holds the student to the base and distil to the teacher.",
            "Give the recipe one of the two.",
        )
    if recipe.kl:
        return kl_to(deepcopy(model).to(device), recipe.kl)  # type: ignore[arg-type]
    if recipe.distil is None:
        return imitation_loss
    if teacher is None:
        raise InputError(
            "recipe.distil learns the teacher's distribution, which only an open teacher shows.",
            "Name a teacher by hf:… or pocket:…, or leave distil out of the recipe.",
        )
    open_teacher, its_tokenizer = load_teacher(Path(teacher))
    tokens = same_tokens(its_tokenizer, tokenizer)
    how = recipe.distil
    return distilled(open_teacher.to(device), how.weight, how.temperature, tokens)  # type: ignore[arg-type]
