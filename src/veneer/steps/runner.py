"""Run what is not yet done, side by side, and go on where a killed run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from veneer import __version__
from veneer.errors import StepFailed, VeneerError
from veneer.steps.attempt import Place, Task
from veneer.steps.folder import RunFolder
from veneer.steps.graph import Step, in_order
from veneer.steps.processes import processes
from veneer.steps.space import disk_full, no_space


@dataclass(frozen=True)
class Event:
    """Something that happened on the way; `seconds_left` is an estimate for the whole run."""

    kind: Literal["start", "progress", "done", "failed"]
    step: str
    fraction: float
    steps_done: int
    steps_total: int
    seconds_left: float | None
    note: str = ""


def run_steps(
    goals: Iterable[Step],
    folder: RunFolder,
    workers: int = 1,
    watch: Callable[[Event], None] = lambda event: None,
    place: AbstractContextManager[Place] | None = None,
) -> None:
    """Do every step that the goals rest on and that the folder does not hold yet.

    Args:
        goals: steps whose outputs are wanted.
        folder: where outputs go; the caller holds its lock.
        workers: processes side by side, which share the cores out; 0 runs in this process.
        watch: told what happens, for a progress display.
        place: where the work is done instead of in local processes (`veneer.steps.on_ray`).

    Raises:
        VeneerError: a step failed; steps that do not rest on it were still done.
    """
    folder.clean()
    steps = in_order(goals)
    todo = {s.fingerprint: s for s in steps if not folder.done(s) and not folder.recall(s)}
    if not todo:
        return
    failures: list[tuple[Step, BaseException]] = []
    with place or processes(workers) as there:
        clock = _Clock(steps, todo, there.lanes, watch)
        running: dict[Future[Path], Step] = {}
        waiting = dict(todo)
        while waiting or running:
            lost = {s.fingerprint for s, _ in failures}
            room = there.room - len(running)
            for step in _ready(waiting, todo, folder, lost):
                if lost and lost & _ancestors(step):
                    del waiting[step.fingerprint]
                elif room > 0:
                    del waiting[step.fingerprint]
                    running[there.submit(_task(step, folder))] = step
                    room -= 1
            if not running:
                assert not waiting or failures, f"no step can start of {list(waiting)}"
                break
            messages = there.messages()
            finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for future, step in running.items():
                if future.running() or future.done():
                    clock.started(step)
            for message in messages:
                step = todo[message.fingerprint]
                if not folder.done(step):
                    clock.tell("progress", step, message.fraction, message.note)
            for future in finished:
                step = running.pop(future)
                seconds = clock.seconds_of(step)
                error = future.exception()
                if error is None:
                    folder.commit(step, future.result(), _record(seconds))
                    clock.finished(step, seconds)
                    clock.tell("done", step, 1.0)
                else:
                    failures.append((step, error))
                    clock.tell("failed", step, 1.0, str(error))
                    if isinstance(error, BrokenProcessPool):
                        waiting.clear()
    if failures:
        raise _failure(failures, folder.root)


def _task(step: Step, folder: RunFolder) -> Task:
    return Task(
        step.name,
        step.folder,
        step.fingerprint,
        step.work,
        dict(step.params),
        {name: folder.resolve(source) for name, source in step.inputs.items()},
        dict(step.means),
        folder.steps,
        folder.scratch(step),
        step.cpus,
        step.gpus,
        getattr(step.work, "wants_gpu", False),
        step.at_home,
    )


def _failure(failures: list[tuple[Step, BaseException]], folder: Path) -> VeneerError:
    step, error = failures[0]
    more = f" ({len(failures) - 1} more steps failed)" if len(failures) > 1 else ""
    if isinstance(error, VeneerError):
        return type(error)(f"Step {step.name}: {error.message}{more}", error.hint)
    if disk_full(error):
        return no_space(error, folder, f"Step {step.name} failed: ")
    if isinstance(error, BrokenProcessPool):
        why = "its process was killed (out of memory, perhaps)"
    else:
        why = f"{type(error).__name__}: {error}"
    failed = StepFailed(
        f"Step {step.name} failed: {why}{more}",
        "What was done is kept: the same command goes on from there.",
    )
    failed.__cause__ = error
    return failed


def _ancestors(step: Step) -> set[str]:
    return {s.fingerprint for s in in_order([step])}


def _ready(
    waiting: dict[str, Step], todo: dict[str, Step], folder: RunFolder, lost: set[str]
) -> list[Step]:
    """Steps whose inputs are there (or can never be), those with the longest road ahead first."""
    ahead: dict[str, float] = {}

    def road(step: Step) -> float:
        if step.fingerprint not in ahead:
            after = [s for s in todo.values() if step in s.needs]
            ahead[step.fingerprint] = step.seconds + max(map(road, after), default=0.0)
        return ahead[step.fingerprint]

    ready = [
        s
        for s in waiting.values()
        if all(folder.done(n) for n in s.needs) or (lost and lost & _ancestors(s))
    ]
    return sorted(ready, key=road, reverse=True)


class _Clock:
    """Turns guesses of seconds and what was seen so far into time left."""

    def __init__(
        self,
        steps: list[Step],
        todo: dict[str, Step],
        lanes: int,
        watch: Callable[[Event], None],
    ) -> None:
        self.todo, self.lanes, self.watch = todo, lanes, watch
        self.total, self.done = len(steps), len(steps) - len(todo)
        self.left = {f: s.seconds for f, s in todo.items()}
        self.guessed = self.seen = 0.0
        self.begun: dict[str, float] = {}

    def started(self, step: Step) -> None:
        """Told once, when the work begins; until then it waits for a free worker."""
        if step.fingerprint not in self.begun:
            self.begun[step.fingerprint] = time.monotonic()
            self.tell("start", step, 0.0)

    def seconds_of(self, step: Step) -> float:
        return time.monotonic() - self.begun[step.fingerprint]

    def finished(self, step: Step, seconds: float) -> None:
        self.done += 1
        self.left.pop(step.fingerprint, None)
        self.guessed += step.seconds
        self.seen += seconds

    def tell(self, kind: Any, step: Step, fraction: float, note: str = "") -> None:
        if kind == "progress":
            self.left[step.fingerprint] = step.seconds * (1 - fraction)
        pace = self.seen / self.guessed if self.guessed > 0 else 1.0
        seconds_left = sum(self.left.values()) * pace / self.lanes
        self.watch(Event(kind, step.name, fraction, self.done, self.total, seconds_left, note))


def _record(seconds: float) -> dict[str, Any]:
    return {"veneer": __version__, "seconds": round(seconds, 2)}
