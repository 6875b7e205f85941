"""The optimiser that pretrains the fixture: Muon for matrices, AdamW for everything else.

Muon (Keller Jordan, 2024) replaces a matrix's momentum by the nearest orthogonal matrix, found
by five Newton–Schulz steps. At these sizes it needs half the steps that AdamW alone needs. The
matrices of one shape are orthogonalised together: one batched product instead of many small.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # the quintic of Newton–Schulz, from the published code
_STEPS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """(N, rows, columns), rows ≤ columns → nearly orthogonal matrices of the same directions."""
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    return x.float()


class Muon:
    """Muon over matrices; `step(rate, decay)` after their gradients are there."""

    def __init__(self, matrices: Iterable[Tensor], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.groups: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in matrices:
            self.groups.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
        self.moments = {
            shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        """Move every matrix; Nesterov momentum, decoupled decay, rate scaled by √(rows/columns)."""
        for shape, group in self.groups.items():
            upright = [tuple(matrix.shape) == shape for matrix in group]
            grads = [m.grad for m in group if m.grad is not None]
            grad = torch.stack([g if up else g.T for g, up in zip(grads, upright, strict=True)])
            moment = self.moments[shape].lerp_(grad, 1 - self.momentum)
            update = orthogonalised(grad.lerp_(moment, self.momentum))
            for matrix, change, up in zip(group, update, upright, strict=True):
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                matrix.mul_(1 - rate * decay)
                matrix.add_(change if up else change.T, alpha=-rate * scale)


class Optimiser:
    """Muon for a model's inner matrices, AdamW (0.9, 0.98) for embeddings and norms.

    Rates are given a step: `step(rate, matrix_rate)`; a `matrix_rate` of 0 at construction
    (`muon=False`) leaves everything to AdamW.
    """

    def __init__(self, model: torch.nn.Module, decay: float, muon: bool = True) -> None:
        named = list(model.named_parameters())
        inner = [p for n, p in named if p.dim() > 1 and "embed" not in n] if muon else []
        taken = {id(p) for p in inner}
        self.parameters = [p for _, p in named]
        self.decay = decay
        self.muon = Muon(inner) if inner else None
        rest = [p for p in self.parameters if id(p) not in taken]
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def step(self, rate: float, matrix_rate: float) -> None:
        """One step from the gradients that are there, clipped to norm 1; clears them."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        if self.muon is not None:
            self.muon.step(matrix_rate, self.decay)
        for parameter in self.parameters:
            parameter.grad = None
