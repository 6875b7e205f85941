"""The three optimisers that "AdamW" may mean here, under names that tell them apart.

The paper (§4.1) trains with "the AdamW optimizer with gradients re-scaled by the magnitude of
each weight", in JAX, by the hands that wrote EasyLM. Its words and that code are not the same
optimiser, and over 20 steps they end in different places, so each has a name:

    adamw      Loshchilov & Hutter 2019: torch.optim.AdamW.
    adamw-rms  the paper's words: Adam's step times RMS(weight). Equal to optax's
               scale_by_adam → scale_by_param_block_rms → add_decayed_weights → −rate.
    easylm     EasyLM's `optimizers.py` with `multiply_by_parameter_scale=True`: optax's
               unfactored Adafactor with momentum, then decoupled weight decay.

RMS is the root mean square of one whole weight (a matrix, a vector, a scalar), never of the
shard that a device holds. Gradients are clipped before `step`; none of the three clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from veneer.errors import InputError

if TYPE_CHECKING:
    from veneer.student.recipe import Recipe

ADAM_EPS = 1e-8
"""Added to Adam's denominator: the default of torch, optax and EasyLM alike."""

EASYLM_DECAY = 0.95
"""Exponent of EasyLM's second moment, β2ₜ = 1 − t^−0.95: its `b2`, handed to Adafactor."""

EASYLM_EPS = 1e-30
"""Added to the squared gradient (Shazeer & Stern 2018, ε1)."""

LEAST_SCALE = 1e-3
"""A weight's RMS counts as at least this (Shazeer & Stern 2018, ε2), or zeros stay zeros."""

SPAN = 2**16
"""Elements handled at once on a CPU: five such pieces stay in its cache."""


def make_optimiser(groups: Iterable[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser that `recipe.optimiser` names, at the recipe's peak rate.

    groups: torch's parameter groups, each with "params" and, where it differs from the
        recipe's, "weight_decay". The caller sets `group["lr"]` before each step.

    All of it stays in tensor operations, without waiting for the device; the state is as
    large as AdamW's (two tensors a weight) and returns bitwise from a state_dict.
    """
    chosen = [{**group, "params": list(group["params"])} for group in groups]
    shared: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(
            chosen, betas=recipe.betas, eps=ADAM_EPS, fused=_can_fuse(chosen) or None, **shared
        )
    if recipe.optimiser == "adamw-rms":
        return AdamWByRMS(chosen, betas=recipe.betas, **shared)
    if recipe.optimiser == "easylm":
        return EasyLM(chosen, momentum=recipe.betas[0], **shared)
    raise InputError(
        f"There is no optimiser {recipe.optimiser!r}.", "Name adamw, adamw-rms or easylm."
    )


class AdamWByRMS(torch.optim.Optimizer):
    """AdamW whose step is multiplied by each weight's RMS.

        p ← p − lr · (max(RMS(p), 1e-3) · m̂ / (√v̂ + 1e-8) + weight_decay · p)

    m̂ and v̂ are Adam's bias-corrected moments (Kingma & Ba 2015) at `betas`. The rate is
    relative: at 2e-3 a weight moves by about 0.2 % of its size a step. Weight decay is
    decoupled and not scaled.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        # "fused" tells torch to keep the step counter beside its weight when state is loaded.
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "fused": True}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Moves every weight that has a gradient; one fused kernel a weight."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            for p, scale in zip(weights, rms(weights), strict=True):
                state = self.state[p]
                if not state:
                    local = _local(p)
                    state["step"] = torch.zeros((), dtype=torch.float32, device=local.device)
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                state["step"] += 1
                weight, rate = _local(p), scale.mul_(group["lr"])
                if group["weight_decay"]:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                torch._fused_adamw_(
                    [weight],
                    [_local_gradient(p)],
                    [_local(state["exp_avg"])],
                    [_local(state["exp_avg_sq"])],
                    [],
                    [state["step"]],
                    lr=rate if rate.is_cpu else rate.float(),
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=0.0,
                    eps=ADAM_EPS,
                    amsgrad=False,
                    maximize=False,
                )
        return loss


class EasyLM(torch.optim.Optimizer):
    """EasyLM's AdamW with `multiply_by_parameter_scale=True`, step by step.

        v ← β2ₜ · v + (1 − β2ₜ) · (g² + 1e-30)      with β2ₜ = 1 − t^−0.95, t = 1, 2, …
        u ← lr · max(RMS(p), 1e-3) · g / √v
        m ← momentum · m + (1 − momentum) · u       from 0, without bias correction
        p ← p − m − lr · weight_decay · p

    The rate is inside the momentum, so a changed rate is felt over the ten steps after it,
    and the first step is a tenth of Adam's. EasyLM takes the exponent from its `b2`, whose
    default 0.95 is the value here: it has no counterpart to a second beta of 0.999. Its
    bf16 momentum is left out: the momentum has the weights' precision.
    """

    def __init__(
        self, params: Any, *, lr: float, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Moves every weight that has a gradient, piece by piece."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            keep = 1 - lr * group["weight_decay"]
            weights = [p for p in group["params"] if p.grad is not None]
            for p, scale in zip(weights, rms(weights), strict=True):
                state = self.state[p]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32)
                    state["second"] = torch.zeros_like(p)
                    state["momentum"] = torch.zeros_like(p)
                state["step"] += 1
                fresh = state["step"].item() ** -EASYLM_DECAY
                rate = scale.mul_(lr)
                tensors = p, state["second"], state["momentum"]
                pieces = _pieces(_local_gradient(p), *(_local(each) for each in tensors))
                for g, w, v, m in pieces:
                    u = torch.square(g).add_(EASYLM_EPS)
                    v.lerp_(u, fresh)
                    torch.div(g, torch.sqrt(v, out=u), out=u).mul_(rate)
                    m.lerp_(u, 1 - momentum)
                    if keep != 1:
                        w.mul_(keep)
                    w.sub_(m)
        return loss


@torch.no_grad()
def rms(weights: list[Tensor]) -> list[Tensor]:
    """max(RMS, 1e-3) of each weight, as numbers on its device, in fp32 or better.

    A sharded weight (DTensor) counts as a whole: squares are summed over the devices, in one
    exchange for all weights that are sharded alike.
    """
    squares = [_square_sum(_local(weight)) for weight in weights]
    alike: dict[Any, list[int]] = {}
    for index, weight in enumerate(weights):
        if hasattr(weight, "placements"):
            sharding = weight.device_mesh, weight.placements  # type: ignore[attr-defined]
            alike.setdefault(sharding, []).append(index)
    for (mesh, placements), members in alike.items():
        sums = _over_devices(torch.stack([squares[index] for index in members]), mesh, placements)
        for index, whole in zip(members, sums.unbind(), strict=True):
            squares[index] = whole
    return [
        square.div_(max(weight.numel(), 1)).sqrt_().clamp_(min=LEAST_SCALE)
        for square, weight in zip(squares, weights, strict=True)
    ]


def _square_sum(local: Tensor) -> Tensor:
    """Σ x², in pieces on a CPU.

    torch's norm adds up in the weights' own precision there: over 30 million fp32 numbers in
    one go it is 0.2 % short, in pieces of 65,536 exact to 1e-6.
    """
    precise = torch.promote_types(local.dtype, torch.float32)
    if local.device.type != "cpu" or not local.is_contiguous() or local.numel() <= SPAN:
        return torch.linalg.vector_norm(local, dtype=precise).square_()
    norms = torch._foreach_norm(local.view(-1).split(SPAN), dtype=precise)
    return torch.stack(list(norms)).square_().sum()


def _over_devices(sums: Tensor, mesh: Any, placements: Any) -> Tensor:
    """Sums over the devices that share a weight; devices that hold copies count once."""
    from torch.distributed.tensor import DTensor, Partial, Replicate

    shared = [Replicate() if each.is_replicate() else Partial() for each in placements]
    return DTensor.from_local(sums, mesh, shared, run_check=False).full_tensor()


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of tensors of one shape, in step; of the size of the cache on a CPU."""
    whole = tensors[0].device.type != "cpu" or tensors[0].numel() <= SPAN
    if whole or not all(tensor.is_contiguous() for tensor in tensors):
        yield tensors
        return
    yield from zip(*(tensor.view(-1).split(SPAN) for tensor in tensors), strict=True)


def _local(tensor: Tensor) -> Tensor:
    """What this device holds of a tensor, sharing its memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _local_gradient(p: Tensor) -> Tensor:
    """What this device holds of a weight's gradient, sharded and laid out like the weight.

    Layouts differ only where a gradient was set by hand; the fused kernel would not notice.
    """
    gradient = p.grad
    assert gradient is not None
    if hasattr(gradient, "placements") and gradient.placements != p.placements:  # type: ignore[attr-defined]
        gradient = gradient.redistribute(placements=p.placements)  # type: ignore[attr-defined]
    weight, local = _local(p), _local(gradient)
    return local if local.stride() == weight.stride() else torch.empty_like(weight).copy_(local)


def _evaluated(closure: Callable[[], float] | None) -> float | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    """Whether torch's fused kernel takes all weights: real numbers on a CPU or a GPU."""
    weights = [p for group in groups for p in group["params"]]
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in weights)
