"""One attempt at a step's work, and what a place must offer where such work is done."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from veneer.steps.folder import new_partial
from veneer.steps.graph import Job

BETWEEN_MESSAGES = 0.2
"""Seconds: a step may report as often as it likes, what is told is at most this often."""


@dataclass(frozen=True)
class Task:
    """A step that is ready, in plain values that another process or machine can be sent.

    `folder` names the output below `steps`; `at_home` says that the work must be done by the
    machine that runs the study; `gpus` is None where the place decides.
    """

    name: str
    folder: str
    fingerprint: str
    work: Callable[[Job], None]
    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    means: Mapping[str, Any]
    steps: Path
    scratch: Path
    cpus: float = 1
    gpus: float | None = None
    wants_gpu: bool = False
    at_home: bool = False


class Message(NamedTuple):
    """How far the step with that fingerprint is; `fraction` within 0..1."""

    fingerprint: str
    fraction: float
    note: str = ""


class Place(Protocol):
    """Where the work of steps is done: this process, local processes, a cluster."""

    @property
    def lanes(self) -> int:
        """Steps that are worked on side by side."""

    @property
    def room(self) -> int:
        """Steps that may be handed over before one of them is finished; it may change."""

    def submit(self, task: Task) -> Future[Path]:
        """Have the work done. The result is the attempt's folder, to be committed."""

    def messages(self) -> list[Message]:
        """What steps have said since the last time. Called several times a second."""


def attempt(task: Task, tell: Callable[[Message], None], between: float = BETWEEN_MESSAGES) -> Path:
    """Do the work in a new partial folder, which is the result; raises what the work raises."""
    last = 0.0

    def progress(done: float, total: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > between:
            last = now
            tell(Message(task.fingerprint, min(done / total, 1.0) if total else 0.0, note))

    out = new_partial(task.steps, task.folder)
    task.work(Job(out, task.params, task.inputs, progress, task.means, task.scratch))
    return out


def thread_settings(threads: int) -> dict[str, str]:
    """Environment that numerical libraries read when they are loaded."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def settle_process() -> None:
    """Settings of a process that does one step after another: quiet, and it keeps its memory."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # keep freed memory: new pages for every tensor cost a tenth
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
