"""One of two gloo processes, each holding shards: the optimisers must move them as one would.

Run by test_optimiser.py as `python sharded_optimiser.py RANK MEETING_FILE`.
"""

import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from veneer.student.optimiser import make_optimiser
from veneer.student.recipe import Recipe


def compare(name, mesh):
    """An AssertionError where sharded weights end elsewhere than whole ones."""
    torch.manual_seed(1)
    uneven = torch.randn(5, 3) * torch.tensor([100.0, 10.0, 1.0, 0.1, 0.01])[:, None]
    layouts = [[Shard(0)], [Shard(1)], [Replicate()], [Shard(0)]]
    tensors = [uneven, uneven + 1, torch.randn(4) * 3, torch.randn(1, 2)]
    alone = [torch.nn.Parameter(t.clone()) for t in tensors]
    spread = [
        torch.nn.Parameter(distribute_tensor(t, mesh, layout))
        for t, layout in zip(tensors, layouts, strict=True)
    ]

    def network():
        torch.manual_seed(2)
        return torch.nn.Sequential(torch.nn.Linear(4, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))

    whole, sharded = network(), network()
    for layer in (sharded[0], sharded[2], sharded):
        fully_shard(layer, mesh=mesh)
    both = [
        make_optimiser([{"params": ps, "weight_decay": 0.1}], Recipe(optimiser=name))
        for ps in ([*alone, *whole.parameters()], [*spread, *sharded.parameters()])
    ]
    for _ in range(6):
        data = torch.randn(8, 4)
        whole(data).square().mean().backward()
        sharded(data).square().mean().backward()
        for p, q, layout in zip(alone, spread, layouts, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = distribute_tensor(p.grad, mesh, layout)
        # A gradient that is laid out unlike its weight, as tensor parallelism may leave it.
        spread[0].grad = distribute_tensor(alone[0].grad, mesh, [Replicate()])
        for optimiser in both:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    pairs = [*zip(alone, spread, strict=True)]
    pairs += zip(whole.parameters(), sharded.parameters(), strict=True)
    for p, q in pairs:
        assert (q.full_tensor() - p).abs().max() <= 1e-6 * p.abs().max()
        state = both[1].state[q]
        moments = [value for key, value in state.items() if key != "step"]
        assert all(value.placements == q.placements for value in moments), "sharded state"


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{sys.argv[2]}", rank=int(sys.argv[1]), world_size=2
    )
    for name in ("adamw", "adamw-rms", "easylm"):
        compare(name, init_device_mesh("cpu", (2,)))
    dist.destroy_process_group()
