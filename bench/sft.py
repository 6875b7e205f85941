"""Fine-tuning speed beside TRL's `SFTTrainer`: the same model, blocks, order and loss curve.

    python bench/sft.py --shape 0.3M,3M,30M            # on a CPU
    python bench/sft.py --shape 1.5B,7B --device cuda  # GPT-2 XL and LLaMA shapes, random weights

The sides take turns, `--rounds` times, and the median counts:

    veneer               the training loop of this package, precision as it chooses
    TRL fp32, TRL bf16   SFTTrainer fed with the same blocks, no activation checkpointing
                         unless the model needs it
    TRL default          SFTTrainer fed with the same blocks, everything that decides speed as it
                         comes (bf16, activation checkpointing)

Optimiser, rate, batch and clipping are the same on all sides, so the loss curves must agree; the
worst difference is printed. Tokens a second are counted from the end of the first step. On a GPU
the share of peak is 6 · parameters + 12 · layers · width · block FLOPs a token (Chowdhery et al.
2022, PaLM, appendix B) over the card's dense bf16 peak (`--peak`, in TFLOP/s).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veneer.student.bases import load_base, parameter_groups, precision_of
from veneer.student.devices import World
from veneer.student.keeping import Keeper
from veneer.student.loop import Training, train_tree
from veneer.student.losses import imitation_loss
from veneer.student.optimiser import make_optimiser
from veneer.student.packing import Packed
from veneer.student.recipe import Amount, Recipe
from veneer.student.sweep import Segment

LEARNED = 0.6  # share of tokens with a loss


@dataclass(frozen=True)
class Shape:
    """A model's shape, and the blocks (tokens), batch (blocks) and steps it is timed on."""

    family: str
    width: int
    layers: int
    heads: int
    vocabulary: int
    block: int
    batch: int
    steps: int
    checkpointing: bool = False


SHAPES = {
    "0.3M": Shape("llama", 64, 3, 4, 1300, 160, 16, 60),
    "3M": Shape("llama", 192, 6, 6, 4096, 256, 16, 16),
    "30M": Shape("llama", 512, 8, 8, 8192, 512, 8, 6),
    "1.5B": Shape("gpt2", 1600, 48, 25, 50257, 2048, 32, 6, checkpointing=True),
    "7B": Shape("llama", 4096, 32, 32, 32000, 2048, 32, 4, checkpointing=True),
}


def make_base(folder: Path, shape: Shape) -> None:
    """A base of random weights with a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = {f"w{i}": i for i in range(shape.vocabulary)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0", eos_token="w1").save_pretrained(
        folder
    )
    sizes: dict[str, Any] = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.block,
    }
    if shape.family == "llama":
        sizes["intermediate_size"] = 11008 if shape.width == 4096 else 8 * shape.width // 3
    else:  # dropout would make the sides' curves differ
        sizes |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    tie = shape.width < 4096
    config = AutoConfig.for_model(
        shape.family, vocab_size=shape.vocabulary, tie_word_embeddings=tie, **sizes
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def make_blocks(shape: Shape) -> Packed:
    """Random blocks, of which a share carries a loss."""
    rng = np.random.default_rng(0)
    size = (shape.batch * shape.steps, shape.block)
    ids = rng.integers(2, shape.vocabulary, size, dtype=np.int32)
    labels = np.where(rng.random(ids.shape) < LEARNED, ids, np.int32(-100))
    return Packed(ids, labels, tail=0)


def recipe_of(shape: Shape, precision: str) -> Recipe:
    """The same on all sides: AdamW at a constant rate."""
    return Recipe(
        block=shape.block,
        batch=shape.batch,
        learning_rate=1e-3 if shape.width < 1000 else 1e-5,
        schedule="matched",
        warmup_share=0.0,
        optimiser="adamw",
        precision=precision,  # type: ignore[arg-type]
    )


def veneer(base: Path, shape: Shape, packed: Packed, recipe: Recipe) -> tuple[Any, list[float]]:
    """Moments at which steps ended, and their losses."""
    model, tokenizer, added = load_base(base, recipe, 0)
    model.to(DEVICE)  # type: ignore[arg-type]
    if shape.checkpointing:
        model.gradient_checkpointing_enable()
    training = Training(
        model=model,
        optimiser=make_optimiser(parameter_groups(model, tokenizer, recipe, added), recipe),
        data=packed,
        recipe=recipe,
        loss=imitation_loss,
        rows=rows_of(shape),
        half=precision_of(model, recipe) == "bf16",
        world=World(DEVICE),
    )
    amount = Amount(asked=1, tokens=1, learned=1, steps=shape.steps, folder="model")
    segment = Segment(None, 0, np.arange(shape.steps), np.ones(shape.steps), (amount,))
    ticks: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        losses = train_tree(
            training,
            [segment],
            Keeper(Path(scratch)),
            lambda amount, folder: None,
            lambda *_: ticks.append(time.perf_counter()),
        )
    return ticks, [row["loss"] for row in losses]


def trl(
    base: Path, shape: Shape, packed: Packed, recipe: Recipe, best: bool, half: bool = True
) -> tuple[Any, list[float]]:
    """The same through SFTTrainer."""
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    model, tokenizer, added = load_base(base, recipe, 0)
    ticks: list[float] = []
    losses: list[float] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ticks.append(time.perf_counter())

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if "loss" in kwargs["logs"]:
                losses.append(kwargs["logs"]["loss"])

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
        return {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}

    rows = rows_of(shape) if best else min(8, shape.batch)
    chosen: dict[str, Any] = {}
    if best:
        chosen = {
            "bf16": half,
            "gradient_checkpointing": shape.checkpointing,
            "dataloader_pin_memory": DEVICE.type == "cuda",
        }
    groups = parameter_groups(model, tokenizer, recipe, added)
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    steady = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            max_steps=shape.steps,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=shape.batch // rows,
            max_grad_norm=recipe.clip,
            max_length=None,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=DEVICE.type == "cpu",
            **chosen,
        )
        blocks = Dataset.from_dict({"input_ids": packed.ids, "labels": packed.labels})
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=blocks,
            processing_class=tokenizer,
            data_collator=collate,
            callbacks=[Watch()],
            optimizers=(optimiser, steady),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return ticks, losses


def rows_of(shape: Shape) -> int:
    """Blocks in a pass: some 16,000 tokens on a CPU, 8,000 on a GPU."""
    most = (1 << 14 if DEVICE.type == "cpu" else 1 << 13) // shape.block
    return max(n for n in range(1, shape.batch + 1) if shape.batch % n == 0 and n <= max(1, most))


def measured(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """All sides of one shape."""
    shape = SHAPES[name]
    recipe, packed = recipe_of(shape, args.precision), make_blocks(shape)
    sides = {
        "veneer": lambda base: veneer(base, shape, packed, recipe),
        "TRL fp32": lambda base: trl(base, shape, packed, recipe, best=True, half=False),
        "TRL bf16": lambda base: trl(base, shape, packed, recipe, best=True),
        "TRL default": lambda base: trl(base, shape, packed, recipe, best=False),
    }
    paces: dict[str, list[float]] = {side: [] for side in sides}
    curves, peaks = {}, {}
    if DEVICE.type == "cuda":
        del sides["TRL fp32"]
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), shape)
        model, _, _ = load_base(Path(folder), recipe, 0)
        parameters, precision = model.num_parameters(), precision_of(model, recipe)
        del model
        for _ in range(args.rounds):
            for side, run in sides.items():
                if DEVICE.type == "cuda":
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                ticks, curves[side] = run(Path(folder))
                tokens = (shape.steps - 1) * shape.batch * shape.block
                paces[side].append(tokens / (ticks[-1] - ticks[0]))
                if DEVICE.type == "cuda":
                    peaks[side] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    pace = {side: statistics.median(each) for side, each in paces.items()}
    flops = 6 * parameters + 12 * shape.layers * shape.width * shape.block
    best = max(pace[side] for side in sides if side != "veneer")
    report: dict[str, Any] = {
        "times_TRL_best": round(pace["veneer"] / best, 2),
        "shape": name,
        "parameters": parameters,
        "precision": precision,
    }
    for side in sides:
        gap = np.abs(np.array(curves[side]) - np.array(curves["veneer"])).max()
        report[side] = {
            "tokens_per_s": round(pace[side]),
            "ratio": round(pace["veneer"] / pace[side], 2),
            "loss_difference": float(f"{gap:.2g}"),
        }
        if DEVICE.type == "cuda":
            report[side]["share_of_peak"] = round(pace[side] * flops / (args.peak * 1e12), 3)
            report[side]["peak_gb"] = peaks[side]
    assert all(math.isfinite(loss) for loss in curves["veneer"])
    return report


def main() -> None:
    """Print one JSON object a shape."""
    global DEVICE
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="0.3M,3M,30M", help=", ".join(SHAPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=float, default=989.0, help="dense bf16, TFLOP/s")
    args = parser.parse_args()
    DEVICE = torch.device(args.device)
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in args.shape.split(","):
        print(json.dumps(measured(name, args)), flush=True)


DEVICE = torch.device("cpu")

if __name__ == "__main__":
    main()
