"""What a run keeps on its way: the students it has made, and states to go on from.

A state holds what is trained, the optimiser's memory of it and the random numbers, so a run that
goes on from one is the undisturbed run, bit for bit. Frozen weights come with the base. States,
students and the place reached each appear whole or not at all; a state is removed only when no
place needs it any more.

One process writes a state as one file. Several write a folder together, each its shares
(torch.distributed.checkpoint), and any number of processes goes on from either.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from veneer.records import Record
from veneer.student.devices import World

PLACE = "place.json"
ALONE = World(torch.device("cpu"))


class Place(Record):
    """Where a run is: `taken` steps of a segment are done, and `state` is what they led to.

    losses: the rows of every step so far.
    """

    segment: int
    taken: int
    state: str | None
    losses: tuple[dict[str, int | float], ...]


class Keeper:
    """A folder that outlives a killed run; `students` holds what is finished.

    With several processes each calls every method at the same point; the first one writes what
    is whole.
    """

    def __init__(self, folder: Path, world: World = ALONE) -> None:
        self.folder, self.world = folder, world
        self.states, self.students = folder / "states", folder / "students"
        for part in (self.states, self.students):
            part.mkdir(parents=True, exist_ok=True)

    def first_said(self, name: str, value: int, anew: bool = False) -> int:
        """What was first said to be `name`, in this run or the killed one that it goes on from.

        `anew`: it is said by a person now, and goes over what was said before.
        """
        path = self.folder / f"{name}.json"
        if self.world.first and (anew or not path.is_file()):
            scratch = self.folder / f".{name}.json"
            scratch.write_text(json.dumps(value), "utf-8")
            scratch.replace(path)
        said = json.loads(path.read_text("utf-8")) if self.world.first else value
        return int(self.world.told(said))

    def place(self) -> Place | None:
        """Where an earlier run stopped; None where there was none."""
        try:
            place = Place.model_validate_json((self.folder / PLACE).read_text("utf-8"))
        except (FileNotFoundError, ValidationError):
            place = None
        if place and place.state and not (self.states / place.state).exists():
            place = None
        return self.world.told(place)

    def put(self, place: Place, needed: Collection[str]) -> None:
        """Note the place, then remove states that neither it nor what follows goes on from."""
        if not self.world.first:
            return
        scratch = self.folder / f".{PLACE}"
        scratch.write_text(place.model_dump_json(), "utf-8")
        scratch.replace(self.folder / PLACE)
        for state in self.states.iterdir():
            if state.name != place.state and state.name not in needed:
                _remove(state)

    def save(self, name: str, model: Any, optimiser: Any) -> None:
        """Keep the state of model, optimiser and random numbers under `name`.

        Of the model, that is what is trained; the rest comes with the base. An adapter's state
        is small, and 4-bit weights, which no model takes back, are not in it.
        """
        state, scratch = self._state(model, optimiser), self.states / f"{name}.part"
        if self.world.first:
            _remove(scratch)
        self.world.wait()
        if self.world.mesh is None:
            torch.save(state, scratch)
        else:
            import torch.distributed.checkpoint as sharded

            sharded.save(state, storage_writer=sharded.FileSystemWriter(scratch))
            self.world.wait()
        if self.world.first:
            _remove(self.states / name)
            scratch.replace(self.states / name)
        self.world.wait()

    def load(self, name: str, model: Any, optimiser: Any) -> None:
        """Put a kept state back into model, optimiser and random numbers."""
        path = self.states / name
        state = _from_folder(path, model) if path.is_dir() else _from_file(path, model)
        weights = dict(_trained(model))
        with torch.no_grad():
            for key, weight in weights.items():
                weight.copy_(state[f"weight/{key}"])
        numbers = {id(weight): number for number, weight in enumerate(_in_groups(optimiser))}
        memory: dict[int, dict[str, Any]] = {}
        for key, value in state.items():
            kind, _, rest = key.partition("/")
            if kind == "memory":
                weight_name, _, what = rest.rpartition("/")
                memory.setdefault(numbers[id(weights[weight_name])], {})[what] = value
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": memory, "param_groups": groups})
        mine = str(self.world.rank)
        if f"random/{mine}" in state:
            torch.set_rng_state(state[f"random/{mine}"])
        if f"cuda/{mine}" in state and self.world.device.type == "cuda":
            torch.cuda.set_rng_state(state[f"cuda/{mine}"], self.world.device)

    def student(self, name: str, write: Callable[[Path], None]) -> None:
        """Let a finished student be written into `students/<name>`, whole or not at all."""
        scratch, target = self.students / f".{name}", self.students / name
        if self.world.first:
            for old in (scratch, target):
                shutil.rmtree(old, ignore_errors=True)
            scratch.mkdir()
        write(scratch)
        if self.world.first:
            scratch.rename(target)
        self.world.wait()

    def _state(self, model: Any, optimiser: Any) -> dict[str, Any]:
        """Everything under one name each: weight/…, memory/…, random/rank, cuda/rank."""
        state: dict[str, Any] = {}
        for name, weight in _trained(model):
            state[f"weight/{name}"] = weight.detach()
            for what, value in optimiser.state.get(weight, {}).items():
                state[f"memory/{name}/{what}"] = value
        mine = str(self.world.rank)
        state[f"random/{mine}"] = torch.get_rng_state()
        if self.world.device.type == "cuda":
            state[f"cuda/{mine}"] = torch.cuda.get_rng_state(self.world.device)
        return state


def _trained(model: Any) -> list[tuple[str, Any]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def _in_groups(optimiser: Any) -> list[Any]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def _from_file(path: Path, model: Any) -> dict[str, Any]:
    """A state that one process wrote; of its tensors, this process's shares."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    for key, value in state.items():
        weight = _weight_of(key, value, model)
        if isinstance(weight, DTensor):
            mesh, placements = weight.device_mesh, weight.placements
            state[key] = distribute_tensor(value, mesh, placements, src_data_rank=None)
    return state


def _from_folder(path: Path, model: Any) -> dict[str, Any]:
    """A state that several processes wrote together; of its tensors, this process's shares."""
    import torch.distributed.checkpoint as sharded

    reader = sharded.FileSystemReader(path)
    state: dict[str, Any] = {}
    for key, about in reader.read_metadata().state_dict_metadata.items():
        if not isinstance(about, sharded.metadata.TensorStorageMetadata):
            state[key] = None
            continue
        value = torch.empty(about.size, dtype=about.properties.dtype, device="meta")
        weight = _weight_of(key, value, model)
        like = value if weight is None else weight
        device = "cpu" if weight is None else weight.device
        state[key] = torch.empty_like(like, dtype=value.dtype, device=device)
    with warnings.catch_warnings():  # of one process, which is what it is
        warnings.simplefilter("ignore", UserWarning)
        sharded.load(state, storage_reader=reader)
    return state


def _weight_of(key: str, value: Any, model: Any) -> Any:
    """The weight that a tensor of a state is laid out like; None for counters and the like."""
    kind, _, rest = key.partition("/")
    name = rest if kind == "weight" else rest.rpartition("/")[0] if kind == "memory" else ""
    weight = model.get_parameter(name) if name else None
    fits = weight is not None and getattr(value, "shape", None) == weight.shape
    return weight if fits else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
