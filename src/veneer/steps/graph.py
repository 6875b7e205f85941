"""The inert graph: steps, parts of their outputs, and files that come from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.steps.identity import fingerprint


@dataclass(frozen=True)
class Job:
    """What a step's work is given.

    `out` is an empty folder that appears in the run only when the work has returned;
    `params` decide the result; `inputs` are the output folders (or files) of the steps it
    rests on; `progress(done, total, note)` may be called often. `means` say how the result is
    reached (a key's name, a budget), never what it is.

    `scratch` is a folder for checkpoints. It is not there until the work makes it; it outlives
    a failure, a kill and a retry of the same step, and goes when the step is done. A node that
    is believed dead may still write to it beside its successor: put each checkpoint there whole,
    by a rename, and trust none that is not. By default it stands beside `out`.
    """

    out: Path
    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    progress: Callable[..., None] = lambda done, total, note="": None
    means: Mapping[str, Any] = field(default_factory=dict)
    scratch: Path = Path()

    def __post_init__(self) -> None:
        if self.scratch == Path():
            object.__setattr__(self, "scratch", self.out.with_name(f".scratch-{self.out.name}"))


@dataclass(frozen=True)
class SourceFile:
    """A file or folder that the user gave: known by its content, wherever it lies."""

    path: Path

    @cached_property
    def fingerprint(self) -> str:
        """Of names and bytes below the path, or of the bytes of one file."""
        if not self.path.exists():
            raise InputError(f"{self.path} does not exist.", "Check the path in the study file.")
        if self.path.is_file():
            return fingerprint({"file": _digest(self.path)})
        files = sorted(p for p in self.path.rglob("*") if p.is_file())
        return fingerprint(
            {"folder": {p.relative_to(self.path).as_posix(): _digest(p) for p in files}}
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, eq=False)
class Step:
    """One piece of a study, inert until run.

    Args:
        name: for people and folder names; does not enter the identity.
        work: a function at module level. Its name enters the identity and, where it
            carries one, its `version` (see `versioned`).
        params: plain values that decide the result.
        inputs: what it rests on.
        seconds: a guess, used for the order of work and for the time left.
        shared: its output may be kept in the user's cache for other runs.
        means: plain values that decide how the work is done and not what comes of it; they do
            not enter the identity.
        cpus: cores that the work fills. They enter no identity either; nor do
        gpus: cards it needs, or None for one where there is one and the work is `on_gpu`.
    """

    name: str
    work: Callable[[Job], None]
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Step | Part | SourceFile] = field(default_factory=dict)
    seconds: float = 1.0
    shared: bool = False
    means: Mapping[str, Any] = field(default_factory=dict)
    cpus: float = 1
    gpus: float | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides the result, as it is written to `step.json`."""
        return {
            "work": self.work.__name__,
            "version": getattr(self.work, "version", 1),
            "params": dict(self.params),
            "inputs": {name: source.fingerprint for name, source in self.inputs.items()},
        }

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits over the identity."""
        return fingerprint(self.identity)

    @property
    def folder(self) -> str:
        """Name of its output folder below `steps/`."""
        return f"{self.name}-{self.fingerprint}"

    @property
    def at_home(self) -> bool:
        """Whether it asks an endpoint: keys and the journal are with the run, and stay there."""
        return "key" in self.means

    @property
    def needs(self) -> list[Step]:
        """Steps that must be done first."""
        sources = (s.step if isinstance(s, Part) else s for s in self.inputs.values())
        return [s for s in sources if isinstance(s, Step)]

    def __truediv__(self, path: str) -> Part:
        return Part(self, path)


@dataclass(frozen=True, eq=False)
class Part:
    """A file or folder inside a step's output: `trained / "tokens-20480"`."""

    step: Step
    path: str

    @property
    def fingerprint(self) -> str:
        """Of the step and the place in its output."""
        return fingerprint({"step": self.step.fingerprint, "part": self.path})


def versioned(number: int) -> Callable[[Callable[[Job], None]], Callable[[Job], None]]:
    """Mark work whose results changed, so that older outputs are not taken for its own."""

    def mark(work: Callable[[Job], None]) -> Callable[[Job], None]:
        work.version = number  # type: ignore[attr-defined]
        return work

    return mark


def on_gpu(work: Callable[[Job], None]) -> Callable[[Job], None]:
    """Mark work that runs a model, and so takes a card where the machines have any."""
    work.wants_gpu = True  # type: ignore[attr-defined]
    return work


def in_order(goals: Iterable[Step]) -> list[Step]:
    """The goals and all they rest on, each once, inputs first."""
    done: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.fingerprint in done:
            return
        for need in step.needs:
            visit(need)
        done[step.fingerprint] = step

    for goal in goals:
        visit(goal)
    return list(done.values())
