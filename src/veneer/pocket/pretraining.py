"""A lean pretraining loop for the fixture's small Llamas (not the path that students take).

One process, one thread, bf16 autocast, eager attention: measured fastest at these sizes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from veneer.pocket.lean import Lean, keep_memory
from veneer.pocket.scale import Shape
from veneer.pocket.steps import CONTEXT, FILES, Job


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
        attn_implementation="eager",
    )
    return LlamaForCausalLM(config)


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up to 1, then a cosine down to 0.05."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def optimiser(model: torch.nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    """AdamW (0.9, 0.98); decay on matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def step_once(
    model: LlamaForCausalLM,
    optim: torch.optim.Optimizer,
    ids: torch.Tensor,
    labels: torch.Tensor,
    rate: float,
) -> float:
    """One optimiser step on a batch (batch, time); labels of −100 carry no loss. Returns the loss."""
    for group in optim.param_groups:
        group["lr"] = rate
    loss = Lean(model).loss(ids, labels)
    optim.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optim.step()
    return float(loss.detach())


def pretrained_model(job: Job, shape: Shape, seed: int) -> None:
    """Train `shape` for its steps over the world's blocks, in epochs of one seeded order."""
    keep_memory()
    world = job.inputs["world"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(world / FILES["tokenizer"]))
    blocks = torch.from_numpy(numpy.load(world / FILES["blocks"]).astype(numpy.int64))
    model = new_model(shape, tokenizer, seed)
    optim = optimiser(model, shape.learning_rate, shape.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    model.train()
    for step in range(shape.steps):
        while len(order) < shape.batch:
            order = torch.cat([order, torch.randperm(len(blocks), generator=generator)])
        ids, order = blocks[order[: shape.batch]], order[shape.batch :]
        rate = shape.learning_rate * schedule(step, shape.steps, shape.warmup)
        loss = step_once(model, optim, ids, ids, rate)
        if step % 20 == 0 or step + 1 == shape.steps:
            job.progress(step + 1, shape.steps, f"loss {loss:.2f}")
    save(model, tokenizer, job.out)


def save(model: LlamaForCausalLM, tokenizer: Any, out: Path) -> None:
    """Write model and tokenizer so that plain `from_pretrained(out)` loads both."""
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
