"""Several devices: who this process is among those that train a student, and its rows of a step.

Under torchrun the processes form a mesh of (data, tensor): those along `data` see different
rows, those along `tensor` the same ones. Outside torchrun there is one process. Launchers have
been seen to start independent trainers that write to one folder, so the size of the world is
counted over the wire.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError, StepFailed

if TYPE_CHECKING:
    import torch
    from torch.distributed.device_mesh import DeviceMesh

DATA, TENSOR = "data", "tensor"

WAIT = datetime.timedelta(minutes=30)
"""How long a process waits for the others: rank 0 alone writes a student while they wait."""


@dataclass(frozen=True)
class World:
    """The processes that train one student together, as one of them sees it.

    This one is `rank` of `size`; `tensor` of them share each layer's matrices. `mesh` has the
    dimensions (data, tensor) and is None for one process.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    tensor: int = 1
    mesh: DeviceMesh | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    @property
    def data(self) -> int:
        """Processes (or groups of `tensor` processes) that see different rows."""
        return self.size // self.tensor

    @property
    def data_rank(self) -> int:
        """Which of the `data` shares of a step's rows is this process's."""
        return self.rank // self.tensor

    def rows(self, batch: slice) -> slice:
        """This process's rows of a step's: the data_rank-th of `data` equal runs."""
        share = (batch.stop - batch.start) // self.data
        start = batch.start + self.data_rank * share
        return slice(start, start + share)

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """Sums of numbers over the processes that see different rows; all learn the same ones."""
        if self.mesh is None:
            return list(numbers)
        import torch
        from torch import distributed

        box = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(box)
        return (box / self.tensor).tolist()

    def agreed(self, mine: bool) -> bool:
        """What the first process says, where each may see it differently (clocks, say)."""
        if self.mesh is None:
            return mine
        import torch
        from torch import distributed

        box = torch.tensor(int(mine), device=self.device)
        distributed.broadcast(box, 0)
        return bool(box)

    def told(self, value: Any) -> Any:
        """The first process's value, in every process."""
        if self.mesh is None:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def wait(self) -> None:
        """Until every process has come here."""
        if self.mesh is not None:
            from torch import distributed

            distributed.barrier()


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join(tensor: int = 1, expected: int | None = None) -> World:
    """Meet the other processes that torchrun started; a world of one outside torchrun.

    Args:
        tensor: processes that share each layer's matrices.
        expected: how many processes were asked for in all; None takes what torchrun says.

    Raises:
        InputError: `tensor` does not divide the number of processes.
        StepFailed: there are not as many processes as were asked for.
    """
    import torch
    from torch import distributed

    cuda = torch.cuda.is_available()
    size = int(os.environ["WORLD_SIZE"]) if launched() else 1
    if expected is not None and expected != size:
        raise StepFailed(
            f"{expected} processes were asked for, but this one is told of {size}.",
            "Start it with `veneer train --devices N`, which starts all of them.",
        )
    if tensor < 1 or size % tensor:
        raise InputError(
            f"{size} devices cannot be divided into groups of {tensor}.",
            "--tensor-parallel must divide --devices times --nodes.",
        )
    if size == 1:
        return World(torch.device("cuda" if cuda else "cpu"))
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        bound = device if cuda else None
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=WAIT, device_id=bound)
    counted = torch.ones((), device=device)
    distributed.all_reduce(counted)
    if int(counted) != size:
        raise StepFailed(
            f"{int(counted)} processes answered where torchrun says there are {size}.",
            "Look for another training that uses the same rendezvous.",
        )
    mesh = distributed.init_device_mesh(
        device.type, (size // tensor, tensor), mesh_dim_names=(DATA, TENSOR)
    )
    return World(device, distributed.get_rank(), size, tensor, mesh)


def leave() -> None:
    """Part from the other processes, so that none waits for this one."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def share_of(batch: int, world: World) -> int:
    """Blocks of a step that one process reads; InputError where they cannot be shared evenly."""
    if batch % world.data:
        raise InputError(
            f"A step of {batch} blocks cannot be shared by {world.data} devices.",
            f"Choose a number of devices that divides {batch}, or a `batch` that "
            f"{world.data} divides.",
        )
    return batch // world.data
