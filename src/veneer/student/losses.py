"""What a student is trained to minimise: sums over the tokens that carry a loss.

A loss is summed, never averaged: the loop divides it by the number of labelled tokens of the
whole optimiser step, so that neither passes nor devices change its scale (transformers #34191).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Loss = Callable[[Any, dict[str, torch.Tensor]], torch.Tensor]


def imitation_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens, a scalar.

    Shapes: `ids`, `labels` and, where dialogues are kept apart, `positions` (rows, block). Only
    positions that predict a labelled token reach the output layer, whatever the model does
    around it (soft-capping, scaling).
    """
    import torch

    targets = batch["labels"][:, 1:]
    kept = targets != -100

    def narrow(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][:, :-1][kept], *args[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(narrow)
    try:
        logits = model(
            input_ids=batch["ids"], position_ids=batch.get("positions"), use_cache=False
        ).logits
    finally:
        hook.remove()
    return torch.nn.functional.cross_entropy(logits.float(), targets[kept], reduction="sum")
