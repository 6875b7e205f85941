"""Train students: one run, a student for every data amount.

The run goes through TRL's `SFTTrainer` over blocks that are packed and labelled here, in
order. Since the rate is constant after warm-up, the weights after the first k tokens are the
student of data amount k; they are saved on the way and equal a run of that amount alone, bit
for bit. TRL's loss also computes entropy and accuracy in fp32 tiles; on small vocabularies
that took two thirds of a step, so the loss is computed here (`bench/sft_step.py`).
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from veneer.errors import InputError, StepFailed
from veneer.models.chat import END, add_chat_tokens, fit_embeddings
from veneer.records import Dialogue, content_id, read_rows
from veneer.steps import Job, versioned
from veneer.student.recipe import Amount, Recipe, rate_factor, steps_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from veneer.student.packing import Packed

WIDE = 256
"""From this width on, bf16 with eager attention beats fp32 on a CPU that has AMX: 222 against
252 ms a step at width 256, 495 against 888 at 512, but 202 against 149 at 128."""

SHORT = 512
"""Blocks up to which eager attention is an option: its scores take (block, block) a head."""

TOKENS_IN_PASS = 1 << 14
"""Tokens of one forward pass; a larger step accumulates gradients over several passes."""

TRAINED_ON = "trained_on.json"
"""Beside a student's weights: its Amount, so that a measurement knows the true tokens."""

LOGITS_IN_MEMORY = 1 << 28
"""Logits of one pass (tokens × vocabulary) up to which the loss is computed in one piece."""


@versioned(2)
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
    from veneer.student.packing import pack

    recipe = read_recipe(job.params["recipe"])
    budgets, seed = sorted({int(b) for b in job.params["budgets"]}), int(job.params["seed"])
    if not budgets:
        raise InputError("No data amount is given.", "Give at least one, in tokens.")
    model, tokenizer, added = load_base(Path(job.inputs["base"]), recipe, seed)
    dialogues = list(read_rows(_corpus(Path(job.inputs["corpus"])), Dialogue))
    in_order = bool(job.params.get("in_order"))
    packed = pack(dialogues, tokenizer, recipe.block, None if in_order else seed)
    amounts = plan_amounts(budgets, recipe, packed)
    losses = fit(model, tokenizer, packed, amounts, recipe, seed, added, job.out, job.progress)
    with (job.out / "loss.jsonl").open("w") as out:
        for row in losses:
            out.write(json.dumps(row) + "\n")
    facts = {
        "amounts": [a.model_dump() for a in amounts],
        "recipe": recipe.model_dump(mode="json"),
        "precision": precision_of(model, recipe),
        "warmup_steps": recipe.warmup(amounts[0].steps),
        "seed": seed,
        "dialogues": len(dialogues),
        "blocks": len(packed),
        "tail_tokens": packed.tail,
        "first_batch": content_id(packed.ids[: recipe.batch].tolist()),
    }
    (job.out / "train.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def read_recipe(fields: Recipe | dict[str, Any]) -> Recipe:
    """A Recipe from a study's fields; a wrong one is named."""
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"recipe.{name}: {first['msg']}.", f"Known fields: {', '.join(Recipe.model_fields)}."
        ) from error


def plan_amounts(budgets: list[int], recipe: Recipe, packed: Packed) -> list[Amount]:
    """Budgets (ascending) as whole steps; two that are the same number of steps are refused."""
    amounts: list[Amount] = []
    for budget in budgets:
        steps = steps_of(budget, recipe, len(packed), packed.tail)
        if amounts and amounts[-1].steps == steps:
            raise InputError(
                f"{amounts[-1].asked:,} and {budget:,} tokens are both {steps} optimiser steps "
                f"of {recipe.tokens_per_step:,} tokens, so both would be the same student.",
                "Leave one out, or make `batch` or `block` smaller.",
            )
        blocks = steps * recipe.batch
        tokens, learned = blocks * recipe.block, packed.learned(blocks)
        folder = f"tokens-{budget}"
        amounts.append(
            Amount(asked=budget, tokens=tokens, learned=learned, steps=steps, folder=folder)
        )
    return amounts


def load_base(
    folder: Path, recipe: Recipe, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[str]]:
    """Base and tokenizer with the chat tokens added; also which tokens are new.

    Weights are fp32. Attention is SDPA, but eager for short blocks in bf16 on a CPU, where the
    backward of SDPA is slow (it doubles a step at width 512; in fp32 it is the faster one).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()
    set_seed(seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no model that can be trained: {str(error).splitlines()[0]}",
            "Give a folder with config.json, weights and tokenizer, as save_pretrained writes it.",
        ) from error
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context and recipe.block > context:
        raise InputError(
            f"Blocks of {recipe.block:,} tokens do not fit the base, which reads {context:,}.",
            f"Set recipe.block to {context} or less.",
        )
    slow = not torch.cuda.is_available() and precision_of(model, recipe) == "bf16"
    model.set_attn_implementation("eager" if slow and recipe.block <= SHORT else "sdpa")
    added = add_chat_tokens(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = END
    like = {token: list(words) for token, words in recipe.like.items()}
    if tokenizer.eos_token:
        like.setdefault(END, []).append(tokenizer.eos_token)
    fit_embeddings(model, tokenizer, added, like)
    return model, tokenizer, added


def precision_of(model: PreTrainedModel, recipe: Recipe) -> str:
    """ "bf16" or "fp32": "auto" is bf16 where the hardware gains by it at this width."""
    import torch

    if recipe.precision != "auto":
        return recipe.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if model.config.get_text_config().hidden_size >= WIDE else "fp32"


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    packed: Packed,
    amounts: list[Amount],
    recipe: Recipe,
    seed: int,
    added: list[str],
    out: Path,
    progress: Any,
) -> list[dict[str, float]]:
    """Run the optimiser to the largest amount, saving `out/<folder>` at each; returns the losses.

    Deterministic: blocks come in order, nothing is drawn but dropout (if the base has any).
    """
    import torch
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig

    steps = amounts[-1].steps
    warmup = recipe.warmup(amounts[0].steps)
    rows = blocks_in_pass(recipe)
    losses: list[dict[str, float]] = []

    class Saver(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for amount in amounts:
                if amount.steps == state.global_step:
                    model.save_pretrained(out / amount.folder)
                    tokenizer.save_pretrained(out / amount.folder)
                    seen = json.dumps(amount.model_dump(exclude={"folder"}))
                    (out / amount.folder / TRAINED_ON).write_text(seen + "\n")

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"]
            if "loss" in logs:
                if not math.isfinite(logs["loss"]):
                    raise StepFailed(
                        f"Training diverged: the loss at step {state.global_step} is no number.",
                        "Give the recipe a smaller learning_rate or a longer warm-up.",
                    )
                factor = rate_factor(state.global_step - 1, warmup, recipe.schedule)
                rate = recipe.learning_rate * factor
                losses.append({"step": state.global_step, "loss": logs["loss"], "rate": rate})
                progress(state.global_step, steps, f"loss {logs['loss']:.3f}")

    groups = _parameter_groups(model, tokenizer, recipe, added)
    optimiser = torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=0.0, fused=True
    )
    schedule = LambdaLR(optimiser, lambda step: rate_factor(step, warmup, recipe.schedule))
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=recipe.batch // rows,
            max_grad_norm=recipe.clip,
            bf16=precision_of(model, recipe) == "bf16",
            seed=seed,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
            packing=False,
            activation_checkpointing=False,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = _sft_trainer_class()(
            model=model,
            args=config,
            train_dataset=packed.dataset(steps * recipe.batch).with_format("torch"),
            processing_class=tokenizer,
            data_collator=_collate,
            callbacks=[Saver()],
            optimizers=(optimiser, schedule),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return losses


def blocks_in_pass(recipe: Recipe) -> int:
    """Blocks of one forward pass: the most that divide the batch and stay in TOKENS_IN_PASS."""
    fits = [n for n in range(1, recipe.batch + 1) if n * recipe.block <= TOKENS_IN_PASS]
    return max((n for n in fits if recipe.batch % n == 0), default=1)


def _collate(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Blocks stacked: (batch, block) ids, labels and positions."""
    import torch

    ids = torch.stack([row["input_ids"] for row in rows])
    labels = torch.stack([row["labels"] for row in rows])
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


def _sft_trainer_class() -> type:
    from trl import SFTTrainer

    class LeanSFTTrainer(SFTTrainer):
        """SFTTrainer with a plain loss where the logits fit in memory; TRL's tiles elsewhere."""

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            vocabulary = model.config.get_text_config().vocab_size
            if return_outputs or inputs["labels"].numel() * vocabulary > LOGITS_IN_MEMORY:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            return masked_loss(model, inputs["input_ids"], inputs["labels"], num_items_in_batch)

    return LeanSFTTrainer


def masked_loss(model: Any, ids: torch.Tensor, labels: torch.Tensor, total: Any) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens and divided by `total` (their number).

    Shapes: ids and labels (batch, block). Only positions that predict a labelled token reach
    the output layer, whatever the model does around it (soft-capping, scaling).
    """
    import torch

    targets = labels[:, 1:]
    kept = targets != -100

    def narrow(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][:, :-1][kept], *args[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(narrow)
    try:
        logits = model(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    loss = torch.nn.functional.cross_entropy(logits.float(), targets[kept], reduction="sum")
    return loss / (kept.sum() if total is None else total).clamp(min=1)


def _parameter_groups(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, added: list[str]
) -> list[dict[str, Any]]:
    """Weight decay on matrices, none on norms, biases and frozen embeddings."""
    frozen: set[int] = set()
    if recipe.freeze_embeddings:
        ids: Any = tokenizer.convert_tokens_to_ids(added)
        rows: list[int] = list(ids)
        layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
        for layer in layers:
            if layer is not None and id(layer.weight) not in frozen:
                frozen.add(id(layer.weight))
                layer.weight.register_hook(lambda grad: _only_rows(grad, rows))
    decayed = [p for p in model.parameters() if p.dim() > 1 and id(p) not in frozen]
    rest = [p for p in model.parameters() if p.dim() <= 1 or id(p) in frozen]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}]
    return [*groups, {"params": rest, "weight_decay": 0.0}]


def _only_rows(grad: torch.Tensor, rows: list[int]) -> torch.Tensor:
    """The gradient with every row but `rows` set to zero."""
    import torch

    kept = torch.zeros_like(grad)
    kept[rows] = grad[rows]
    return kept


def _corpus(given: Path) -> Path:
    path = given / "corpus.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{given} has no corpus.jsonl.", "Give the folder that curating wrote.")
    return path
