"""One training step of the fixture's small Llamas: loss, and Muon beside AdamW.

This makes the fixture's models; students take another path (`veneer.student`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

WIDE = 64
"""From this width on bfloat16 with eager attention is the faster way on one CPU core."""


def loss_of(
    model: LlamaForCausalLM,
    ids: Tensor,
    labels: Tensor,
    heavy: Tensor | None = None,
    weight: float = 1.0,
) -> Tensor:
    """Mean next-token cross-entropy; `ids`, `labels`, `heavy` (batch, time).

    Labels of −100 carry no loss and never reach the output layer; targets marked in `heavy`
    count `weight` times.
    """
    half = model.config.hidden_size >= WIDE
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        kept = targets >= 0
        logits = model.lm_head(hidden[kept])
    losses = torch.nn.functional.cross_entropy(logits.float(), targets[kept], reduction="none")
    if heavy is None:
        return losses.mean()
    weights = torch.where(heavy[:, 1:][kept], weight, 1.0)
    return (losses * weights).sum() / weights.sum()


class Optimiser:
    """Muon (Keller Jordan, 2024) for inner matrices, AdamW (0.9, 0.98) for embeddings and norms.

    At these sizes Muon needs half the steps that AdamW alone needs.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        named = list(model.named_parameters())
        inner = [p for name, p in named if p.dim() > 1 and "embed" not in name]
        rest = [p for name, p in named if p.dim() <= 1 or "embed" in name]
        self.parameters = [*inner, *rest]
        self.muon = torch.optim.Muon(inner, lr=0.0, weight_decay=decay)
        self.adam = torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def step(self, rate: float, matrix_rate: float) -> None:
        """One step from the gradients that are there, clipped to norm 1; clears them."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser, now in ((self.adam, rate), (self.muon, matrix_rate)):
            optimiser.param_groups[0]["lr"] = now
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
