"""Each process's share of a model: FSDP2, tensor parallelism, and what training does with shares.

FSDP2 shards weights, gradients and optimiser state over the mesh's `data`; tensor parallelism
splits the matrices of every layer over its `tensor`. A process proves that it holds its share
and no more: libraries have been seen to fall back to whole copies unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError, StepFailed
from veneer.student.devices import DATA, TENSOR, World

if TYPE_CHECKING:
    import torch


def shard(model: Any, world: World, precision: str = "fp32", recompute: bool = False) -> Any:
    """Give each process its share of a model that every process has loaded whole.

    Tensor parallelism first (the architecture's own plan), then FSDP2 over the data mesh, layer
    by layer, the embeddings, the final norm and the head last and together, so that tied
    weights stay one. A layer is moved to the device just before it is cut, so no device ever
    holds the whole model.

    Args:
        model: a Hugging Face model on the CPU, in fp32; changed in place and returned.
        world: what `join` returned; with one process the model only moves to its device.
        precision: "bf16" gathers and computes in bf16 on accelerators, with weights, the sum
            of gradients and the optimiser in fp32. A CPU computes as the caller says (autocast).
        recompute: keep only each layer's input for the backward pass and compute the rest
            again: a third more work for most of the memory of activations.

    Raises:
        InputError: the architecture cannot be split that way.
        StepFailed: the model is not sharded as it was asked for.
    """
    import torch

    if recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if world.mesh is None:
        return model.to(world.device)
    if world.tensor > 1:
        _split_matrices(model, world)
    if world.data > 1:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy()
        if precision == "bf16" and world.device.type != "cpu":
            policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
        for part in [*_layers(model), model]:
            fully_shard(part, mesh=world.mesh[DATA], mp_policy=policy)
    model.to(world.device)
    _prove_sharded(model, world)
    return model


def _split_matrices(model: Any, world: World) -> None:
    """Tensor parallelism by the plan that transformers keeps for the architecture."""
    from torch.nn import Parameter
    from transformers.distributed.tensor_parallel import apply_tensor_parallelism

    assert world.mesh is not None
    name, plan = model.config.model_type, getattr(model, "tp_plan", None)
    if not plan or not any("layers" in module or ".h." in module for module in plan):
        raise InputError(
            f"Models of type {name} have no plan for tensor parallelism.",
            "Leave --tensor-parallel out: their weights are then sharded over all devices (FSDP2).",
        )
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    for kind, number in (
        ("attention", heads),
        ("key and value", getattr(config, "num_key_value_heads", None) or heads),
    ):
        if number % world.tensor:
            fits = [n for n in range(2, world.tensor) if heads % n == 0 and number % n == 0]
            raise InputError(
                f"{number} {kind} heads cannot be split over {world.tensor} devices.",
                f"Try --tensor-parallel {fits[-1]}, or leave it out."
                if fits
                else "Leave --tensor-parallel out.",
            )
    ties = dict(model.all_tied_weights_keys)
    for name in ties:  # cut each on its own, then tie again
        owner, _, weight = name.rpartition(".")
        module = model.get_submodule(owner)
        setattr(module, weight, Parameter(getattr(module, weight).detach()))
    styles = model._expand_parallel_plan(plan)
    for pair in ties.items():
        if not all(name in styles for name in pair):
            for name in pair:
                styles.pop(name, None)
                styles.pop(name.rpartition(".")[0], None)
    apply_tensor_parallelism(model, world.mesh[TENSOR], styles)
    model.tie_weights()


def _layers(model: Any) -> list[Any]:
    """The repeated blocks of a model: outermost members of its module lists."""
    from torch.nn import ModuleList

    found: list[Any] = []

    def visit(module: Any) -> None:
        for child in module.children():
            if isinstance(child, ModuleList):
                found.extend(child)
            else:
                visit(child)

    visit(model)
    return found


def _prove_sharded(model: Any, world: World) -> None:
    """Every weight is cut over the meshes it should be, and all shares add up to the whole."""
    import torch
    from torch import distributed
    from torch.distributed.tensor import DTensor

    whole = here = 0
    for name, weight in model.named_parameters():
        cuts = {} if not isinstance(weight, DTensor) else _cuts(weight)
        if world.data > 1 and DATA not in cuts:
            raise StepFailed(f"{name} is not sharded over the {world.data} devices of the mesh.")
        whole += weight.numel() * (1 if TENSOR in cuts else world.tensor)
        here += local(weight).numel()
    if world.tensor > 1 and not any(
        isinstance(w, DTensor) and TENSOR in _cuts(w) for w in model.parameters()
    ):
        raise StepFailed(
            f"No weight is split over the {world.tensor} devices of tensor parallelism."
        )
    held = torch.tensor(here, dtype=torch.float64, device=world.device)
    distributed.all_reduce(held)
    if int(held) != whole:
        raise StepFailed(
            f"The devices together hold {int(held):,} weights where the shares of the model "
            f"are {whole:,}: it is not sharded."
        )


def reshard(model: Any) -> None:
    """Give back what a forward pass without a backward pass left gathered.

    Until then `model.parameters()` holds whole copies, and an optimiser over those trains nothing.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _cuts(weight: Any) -> dict[str, Any]:
    """Names of the mesh dimensions over which a DTensor is cut (not copied), and their groups."""
    mesh = weight.device_mesh
    return {
        name: mesh.get_group(name)
        for name, placement in zip(mesh.mesh_dim_names, weight.placements, strict=True)
        if not placement.is_replicate()
    }


def local(tensor: Any) -> Any:
    """This process's part of a tensor, sharing its memory; a plain tensor is its own part."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def alike(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parameter groups split so that the weights of each lie on the same mesh.

    Optimisers hand the weights of a group to kernels as one list, and such a list cannot mix
    plain tensors with sharded ones, or meshes of one dimension with those of two.
    """
    from torch.distributed.tensor import DTensor

    split: list[dict[str, Any]] = []
    for group in groups:
        meshes: dict[Any, list[Any]] = {}
        for weight in group["params"]:
            mesh = weight.device_mesh if isinstance(weight, DTensor) else None
            meshes.setdefault(mesh, []).append(weight)
        split += [{**group, "params": weights} for weights in meshes.values()]
    return split


def clip(weights: Iterable[Any], limit: float, world: World) -> torch.Tensor:
    """Scale gradients down to a global norm of at most `limit`; returns the norm before.

    The global norm is that of the whole model's gradient: squares of the local parts, summed
    over exactly those processes that hold different parts. Computed as torch's clip_grad_norm_
    does it, (limit / (norm + 1e-6)), at most 1.
    """
    import torch
    from torch import distributed

    if world.mesh is None:
        return torch.nn.utils.clip_grad_norm_(weights, limit)
    by_cut: dict[tuple[str, ...], tuple[list[Any], list[Any]]] = {}
    for weight in weights:
        if weight.grad is None:
            continue
        cuts = _cuts(weight.grad) if hasattr(weight.grad, "device_mesh") else {}
        parts, groups = by_cut.setdefault(tuple(cuts), ([], list(cuts.values())))
        parts.append(local(weight.grad))
    squares: Any = 0.0
    for parts, groups in by_cut.values():
        norms = torch.stack([n.float() for n in torch._foreach_norm(parts)])
        square = norms.double().square().sum()
        for group in groups:
            distributed.all_reduce(square, group=group)
        squares = squares + square
    norm = torch.as_tensor(squares).sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0).float()
    for parts, _ in by_cut.values():
        torch._foreach_mul_(parts, factor)
    return norm


def keep_rows(weight: Any, rows: list[int]) -> None:
    """Zero the gradient of every row (of a (rows, width) weight) but those given."""
    import torch
    from torch.distributed.tensor import DTensor, distribute_tensor

    if weight.grad is None:
        return
    kept = torch.zeros(weight.shape[0], 1, dtype=weight.grad.dtype, device=weight.device)
    kept[rows] = 1
    if isinstance(weight.grad, DTensor):
        placed = distribute_tensor(
            kept, weight.grad.device_mesh, weight.grad.placements, src_data_rank=None
        )
        kept = placed.to_local()
    local(weight.grad).mul_(kept)


def whole_weights(model: Any, world: World) -> dict[str, torch.Tensor]:
    """The state dict, whole and on the CPU, on the first process; empty on the others.

    Every process must call it. One weight at a time is gathered, so a device needs room for
    its share and one whole weight.
    """
    return dict(_gathered(model, world))


def _gathered(model: Any, world: World) -> Iterator[tuple[str, torch.Tensor]]:
    from torch.distributed.tensor import DTensor

    seen: dict[int, torch.Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            plain = tensor.detach()
            whole = plain.full_tensor() if isinstance(plain, DTensor) else plain
            seen[id(tensor)] = whole.cpu() if world.first else whole.new_empty(0)
        if world.first:
            yield name, seen[id(tensor)]
