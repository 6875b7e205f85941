"""What a sweep over five data amounts costs: one run for all, beside TRL run five times.

    python bench/sweep.py [--largest 500] [--width 64] [--layers 3]

The amounts stand to each other as the paper's 0.3M, 20M, 40M, 80M and 150M tokens. Three sides do
the same optimiser steps on the same blocks in the same order, each from the base on:

    veneer        `train` once, with five amounts
    veneer × 5    `train` five times, an amount each; its students must be bitwise those above
    TRL × 5       `SFTTrainer` five times at its best settings, fed with the same blocks

Seconds are of whole runs, loading, packing and saving included, imports apart; the last line says
how often the cost of the one run the others are, and how far each of TRL's students is from ours
(the largest difference of a weight; rounding grows with the steps).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sft import Shape, make_base

from veneer.records import Dialogue, Message, write_rows
from veneer.steps import Job
from veneer.student.bases import load_base, parameter_groups
from veneer.student.packing import pack
from veneer.student.recipe import Recipe
from veneer.student.train import train

RATIOS = (0.3, 20, 40, 80, 150)


def make_corpus(folder: Path, tokens: int, vocabulary: int) -> list[Dialogue]:
    """Dialogues of made-up words, some 60 tokens each."""
    rng = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(f"w{i}" for i in rng.integers(2, vocabulary, words))

    dialogues = [
        Dialogue(
            messages=(
                Message(role="user", content=text(20)),
                Message(role="assistant", content=text(int(rng.integers(20, 60)))),
            )
        )
        for _ in range(tokens // 55)
    ]
    folder.mkdir()
    write_rows(folder / "corpus.jsonl", dialogues)
    return dialogues


def ours(base: Path, corpus: Path, recipe: Recipe, budgets: list[int], out: Path) -> float:
    """Seconds of one run over some amounts."""
    out.mkdir()
    began = time.perf_counter()
    params = {"recipe": recipe, "budgets": budgets, "seed": 0}
    train(Job(out, params, {"base": base, "corpus": corpus}))
    return time.perf_counter() - began


def trl(base: Path, dialogues: list[Dialogue], recipe: Recipe, steps: int, out: Path) -> float:
    """Seconds of one run of SFTTrainer over one amount."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    began = time.perf_counter()
    model, tokenizer, added = load_base(base, recipe, 0)
    packed = pack(dialogues, tokenizer, recipe.block, 0)
    rows = slice(steps * recipe.batch)
    blocks = Dataset.from_dict({"input_ids": packed.ids[rows], "labels": packed.labels[rows]})
    groups = parameter_groups(model, tokenizer, recipe, added)
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    steady = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}

    config = SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch,
        max_grad_norm=recipe.clip,
        max_length=None,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        logging_steps=50,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=blocks.with_format("torch"),
        processing_class=tokenizer,
        data_collator=collate,
        optimizers=(optimiser, steady),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return time.perf_counter() - began


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """A student's weights by name."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=500, help="optimiser steps of 150 parts")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    args = parser.parse_args()
    import transformers
    import trl as _  # noqa: F401

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    shape = Shape("llama", args.width, args.layers, 4, 1300, 160, 8, args.largest)
    recipe = Recipe(
        block=shape.block,
        batch=shape.batch,
        learning_rate=1e-3,
        schedule="matched",
        warmup_share=0.0,
        optimiser="adamw",
        precision="fp32",
    )
    whole = [max(1, round(args.largest * ratio / RATIOS[-1])) for ratio in RATIOS]
    budgets = [steps * recipe.tokens_per_step for steps in whole]
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        make_base(here / "base", shape)
        dialogues = make_corpus(here / "corpus", budgets[-1] * 11 // 10, shape.vocabulary)
        base, corpus = here / "base", here / "corpus"
        ours(base, corpus, recipe, budgets[:1], here / "warm")
        once = ours(base, corpus, recipe, budgets, here / "all")
        apart = [ours(base, corpus, recipe, [b], here / str(b)) for b in budgets]
        theirs = [trl(base, dialogues, recipe, steps, here / f"trl-{steps}") for steps in whole]
        equal, far = [], []
        for steps, budget in zip(whole, budgets, strict=True):
            one = here / "all" / f"tokens-{budget}"
            own = here / str(budget) / f"tokens-{budget}" / "model.safetensors"
            equal.append((one / "model.safetensors").read_bytes() == own.read_bytes())
            mine, other = weights(one), weights(here / f"trl-{steps}")
            gap = max(float((mine[name] - other[name]).abs().max()) for name in mine)
            far.append(float(f"{gap:.2g}"))
    report = {
        "steps": whole,
        "bitwise_equal": equal,
        "veneer_s": round(once, 1),
        "veneer_x5_s": round(sum(apart), 1),
        "trl_x5_s": round(sum(theirs), 1),
        "ratio_to_own_five": round(sum(apart) / once, 2),
        "ratio_to_trl": round(sum(theirs) / once, 2),
        "steps_ratio": round(sum(whole) / whole[-1], 2),
        "weights_from_trl": far,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
