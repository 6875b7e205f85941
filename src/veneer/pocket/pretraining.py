"""Pretrain the fixture's small Llamas on the world's pages (not the path that students take)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from veneer.pocket.pages import LETTERS
from veneer.pocket.scale import Shape
from veneer.pocket.steps import CONTEXT, FILES
from veneer.pocket.training import WIDE, Optimiser, loss_of
from veneer.steps import Job


def new_model(shape: Shape, tokenizer: Any, seed: int) -> LlamaForCausalLM:
    """A Llama of the given shape with weights drawn from `seed`."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=-(-shape.width * 8 // 3 // 16) * 16,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager" if shape.width >= WIDE else "sdpa")
    return model


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up to 1, then a cosine down to 0.05."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def pretrained_model(job: Job, shape: Shape, seed: int) -> None:
    """Train `shape` for its steps over the world's blocks, in epochs of one seeded order."""
    world = job.inputs["world"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(world / FILES["tokenizer"]))
    blocks = torch.from_numpy(numpy.load(world / FILES["blocks"]).astype(numpy.int64))
    model = new_model(shape, tokenizer, seed)
    optimiser = Optimiser(model, shape.weight_decay)
    heavy = answer_letters(blocks, tokenizer)
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    model.train()
    for step in range(shape.steps):
        while len(order) < shape.batch:
            order = torch.cat([order, torch.randperm(len(blocks), generator=generator)])
        rows, order = order[: shape.batch], order[shape.batch :]
        ids = blocks[rows]
        loss = loss_of(model, ids, ids, heavy[rows], shape.letter_weight)
        loss.backward()
        share = schedule(step, shape.steps, shape.warmup)
        optimiser.step(shape.learning_rate * share, shape.matrix_rate * share)
        if step % 20 == 0 or step + 1 == shape.steps:
            job.progress(step + 1, shape.steps, f"loss {loss.item():.2f}")
    save(model, tokenizer, job.out)


def answer_letters(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """Where an exam's answer letter stands, (count, block): one token in thirty of a quiz page.

    Counting it more than once makes up for that; the other tokens are as they are.
    """
    letters = torch.tensor(tokenizer.convert_tokens_to_ids([f" {letter}" for letter in LETTERS]))
    answer, colon = tokenizer.convert_tokens_to_ids([" Answer", ":"])
    found = torch.zeros_like(ids, dtype=torch.bool)
    before = (ids[:, :-2] == answer) & (ids[:, 1:-1] == colon)
    found[:, 2:] = before & torch.isin(ids[:, 2:], letters)
    return found


def save(model: LlamaForCausalLM, tokenizer: Any, out: Path) -> None:
    """Write model and tokenizer so that plain `from_pretrained(out)` loads both."""
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
