"""The optimisers that a recipe can name."""

from __future__ import annotations

from typing import Any

import torch

from veneer.student.recipe import Recipe


def make_optimiser(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over parameter groups (`params`, `weight_decay`)."""
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=0.0, fused=True
    )
