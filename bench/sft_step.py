"""What a training step costs: a bare loop, Veneer's trainer and plain TRL, side by side.

    OMP_NUM_THREADS=1 python bench/sft_step.py [--width 64] [--layers 3] [--batch 16] [--steps 60]

Same model, blocks, order, optimiser and attention; the three take turns (three rounds, the
median counts). Prints milliseconds a step and the ratio to the bare loop, the worst difference
between the three loss curves, and seconds to import and to set up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, BLOCK, LEARNED = 1300, 160, 0.6


def make_base(folder: Path, width: int, layers: int) -> None:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = {f"w{i}": i for i in range(VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0", eos_token="w1").save_pretrained(
        folder
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=max(2, width // 16),
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def make_blocks(count: int) -> Any:
    from veneer.student.packing import Packed

    rng = np.random.default_rng(0)
    ids = rng.integers(2, VOCABULARY, (count, BLOCK), dtype=np.int32)
    labels = np.where(rng.random(ids.shape) < LEARNED, ids, np.int32(-100))
    return Packed(ids, labels, tail=0)


def bare_loop(base: Path, packed: Any, recipe: Any, steps: int) -> tuple[float, float, list[float]]:
    import torch

    from veneer.student import train

    model, tokenizer, added = train.load_base(base, recipe, 0)
    started = time.perf_counter()
    model.train()
    groups = train._parameter_groups(model, tokenizer, recipe, added)
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    bf16 = train.precision_of(model, recipe) == "bf16"
    losses = []
    for step in range(steps):
        rows = slice(step * recipe.batch, (step + 1) * recipe.batch)
        ids, labels = (torch.tensor(a[rows], dtype=torch.long) for a in (packed.ids, packed.labels))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = train.masked_loss(model, ids, labels, None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return time.perf_counter() - started, 0.0, losses


def trainer(base: Path, packed: Any, recipe: Any, steps: int) -> tuple[float, float, list[float]]:
    """`fit`, split at its first step: (seconds from there on, seconds of set-up, losses)."""
    from veneer.student import train
    from veneer.student.recipe import Amount

    model, tokenizer, added = train.load_base(base, recipe, 0)
    amount = Amount(asked=1, tokens=1, learned=1, steps=steps, folder="model")
    ticks: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        rows = train.fit(
            model,
            tokenizer,
            packed,
            [amount],
            recipe,
            0,
            added,
            Path(out),
            lambda *_: ticks.append(time.perf_counter()),
        )
    a_step = (ticks[-1] - ticks[0]) / (steps - 1)
    return a_step * steps, ticks[0] - started - a_step, [row["loss"] for row in rows]


def plain_trl(base: Path, packed: Any, recipe: Any, steps: int) -> tuple[float, float, list[float]]:
    from trl import SFTTrainer

    from veneer.student import train

    ours, train._sft_trainer_class = train._sft_trainer_class, lambda: SFTTrainer
    try:
        return trainer(base, packed, recipe, steps)
    finally:
        train._sft_trainer_class = ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    started = time.perf_counter()
    import torch

    torch.set_num_threads(1)
    import transformers

    loaded = time.perf_counter()
    from trl import SFTTrainer  # noqa: F401

    trl_took = time.perf_counter() - loaded
    print(f"import torch, transformers {loaded - started:.1f} s, trl {trl_took:.1f} s")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    from veneer.student.recipe import Recipe

    recipe = Recipe(
        block=BLOCK,
        batch=args.batch,
        learning_rate=1e-3,
        schedule="matched",
        warmup_share=0.0,
        precision=args.precision,
    )
    packed = make_blocks(args.batch * args.steps)
    sides = {"bare loop": bare_loop, "veneer": trainer, "plain TRL": plain_trl}
    took: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), args.width, args.layers)
        bare_loop(Path(folder), packed, recipe, 3)
        for _ in range(3):
            for name, side in sides.items():
                took[name].append(side(Path(folder), packed, recipe, args.steps))
    seconds = {name: statistics.median(t[0] for t in times) for name, times in took.items()}
    curves = {name: np.array(times[0][2]) for name, times in took.items()}
    report = {
        name: {
            "ms_per_step": round(1000 * seconds[name] / args.steps, 1),
            "ratio": round(seconds[name] / seconds["bare loop"], 2),
            "setup_s": round(statistics.median(t[1] for t in took[name]), 2),
            "loss_difference": float(np.abs(curves[name] - curves["bare loop"]).max()),
        }
        for name in sides
    }
    print(json.dumps({"arguments": vars(args), **report}, indent=2))


if __name__ == "__main__":
    main()
