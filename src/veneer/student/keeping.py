"""What a run keeps on its way: the students it has made, and states to go on from.

A state holds weights, optimiser and random numbers, so a run that goes on from one is the
undisturbed run, bit for bit. States, students and the place reached each appear whole or not at
all; a state is removed only when no place needs it any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from veneer.records import Record

PLACE = "place.json"


class Place(Record):
    """Where a run is: `taken` steps of a segment are done, and `state` is what they led to.

    losses: the rows of every step so far.
    """

    segment: int
    taken: int
    state: str | None
    losses: tuple[dict[str, int | float], ...]


class Keeper:
    """A folder that outlives a killed run; `students` holds what is finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states, self.students = folder / "states", folder / "students"
        for part in (self.states, self.students):
            part.mkdir(parents=True, exist_ok=True)

    def place(self) -> Place | None:
        """Where an earlier run stopped; None where there was none."""
        try:
            place = Place.model_validate_json((self.folder / PLACE).read_text("utf-8"))
        except (FileNotFoundError, ValidationError):
            return None
        return place if place.state is None or (self.states / place.state).is_file() else None

    def put(self, place: Place, needed: Collection[str]) -> None:
        """Note the place, then remove states that neither it nor what follows goes on from."""
        scratch = self.folder / f".{PLACE}"
        scratch.write_text(place.model_dump_json(), "utf-8")
        scratch.replace(self.folder / PLACE)
        for state in self.states.iterdir():
            if state.name != place.state and state.name not in needed:
                state.unlink()

    def save(self, name: str, model: Any, optimiser: Any) -> None:
        """Keep the state of model, optimiser and random numbers under `name`."""
        state = {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        scratch = self.states / f"{name}.part"
        torch.save(state, scratch)
        scratch.replace(self.states / name)

    def load(self, name: str, model: Any, optimiser: Any) -> None:
        """Put a kept state back into model, optimiser and random numbers."""
        state = torch.load(self.states / name, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])

    def student(self, name: str, write: Callable[[Path], None]) -> None:
        """Let a finished student be written into `students/<name>`, whole or not at all."""
        scratch, target = self.students / f".{name}", self.students / name
        for old in (scratch, target):
            shutil.rmtree(old, ignore_errors=True)
        scratch.mkdir()
        write(scratch)
        scratch.rename(target)
