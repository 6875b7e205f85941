"""Run what is not yet done, side by side, and go on where a killed run stopped."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from veneer import __version__
from veneer.errors import StepFailed, VeneerError
from veneer.steps.folder import RunFolder
from veneer.steps.graph import Job, Step, in_order


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
) -> None:
    """Do every step that the goals rest on and that the folder does not hold yet.

    Args:
        goals: steps whose outputs are wanted.
        folder: where outputs go; the caller holds its lock.
        workers: processes side by side, which share the cores out; 0 runs in this process.
        watch: told what happens, for a progress display.

    Raises:
        VeneerError: a step failed; steps that do not rest on it were still done.
    """
    folder.clean()
    steps = in_order(goals)
    todo = {s.fingerprint: s for s in steps if not folder.done(s) and not folder.recall(s)}
    clock = _Clock(steps, todo, max(workers, 1), watch)
    failures: list[tuple[Step, BaseException]] = []
    with _pool(workers) as (submit, inbox):
        running: dict[Future[None], Step] = {}
        started: dict[str, float] = {}
        waiting = dict(todo)
        while waiting or running:
            lost = {s.fingerprint for s, _ in failures}
            for step in _ready(waiting, todo, folder, lost):
                if len(running) >= max(workers, 1):
                    break
                del waiting[step.fingerprint]
                if lost and lost & _ancestors(step):
                    continue
                paths = {name: folder.resolve(source) for name, source in step.inputs.items()}
                job = (step.work, folder.partial(step), dict(step.params), paths, dict(step.means))
                scratch = folder.scratch(step)
                running[submit(_work, *job, scratch, step.fingerprint)] = step
                started[step.fingerprint] = time.monotonic()
                clock.tell("start", step, 0.0)
            if not running:
                assert not waiting or failures, f"no step can start of {list(waiting)}"
                break
            finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for fingerprint, fraction, note in _drain(inbox):
                if fingerprint in todo and not folder.done(todo[fingerprint]):
                    clock.tell("progress", todo[fingerprint], fraction, note)
            for future in finished:
                step = running.pop(future)
                seconds = time.monotonic() - started[step.fingerprint]
                error = future.exception()
                if error is None:
                    folder.commit(step, _record(seconds))
                    clock.finished(step, seconds)
                    clock.tell("done", step, 1.0)
                else:
                    failures.append((step, error))
                    clock.tell("failed", step, 1.0, str(error))
                    if isinstance(error, BrokenProcessPool):
                        waiting.clear()
    if failures:
        raise _failure(failures)


def _failure(failures: list[tuple[Step, BaseException]]) -> VeneerError:
    step, error = failures[0]
    more = f" ({len(failures) - 1} more steps failed)" if len(failures) > 1 else ""
    if isinstance(error, VeneerError):
        return type(error)(f"Step {step.name}: {error.message}{more}", error.hint)
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
        workers: int,
        watch: Callable[[Event], None],
    ) -> None:
        self.todo, self.workers, self.watch = todo, workers, watch
        self.total, self.done = len(steps), len(steps) - len(todo)
        self.left = {f: s.seconds for f, s in todo.items()}
        self.guessed = self.seen = 0.0

    def finished(self, step: Step, seconds: float) -> None:
        self.done += 1
        self.left.pop(step.fingerprint, None)
        self.guessed += step.seconds
        self.seen += seconds

    def tell(self, kind: Any, step: Step, fraction: float, note: str = "") -> None:
        if kind == "progress":
            self.left[step.fingerprint] = step.seconds * (1 - fraction)
        pace = self.seen / self.guessed if self.guessed > 0 else 1.0
        seconds_left = sum(self.left.values()) * pace / self.workers
        self.watch(Event(kind, step.name, fraction, self.done, self.total, seconds_left, note))


def _record(seconds: float) -> dict[str, Any]:
    return {"veneer": __version__, "seconds": round(seconds, 2)}


# ---- worker processes -------------------------------------------------------------------

_outbox: Any = None


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[tuple[Callable[..., Future[None]], Any]]:
    if workers == 0:
        yield _inline, None
        return
    context = multiprocessing.get_context("spawn")
    inbox = context.Queue()
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (inbox, os.getpid(), threads))
    try:
        yield pool.submit, inbox
        pool.shutdown()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _inline(function: Callable[..., None], *args: Any) -> Future[None]:
    future: Future[None] = Future()
    try:
        function(*args)
        future.set_result(None)
    except Exception as error:
        future.set_exception(error)
    return future


def _start_worker(outbox: Any, parent: int, threads: int) -> None:
    """Share the cores out; die with the parent; leave Ctrl-C to it."""
    global _outbox
    _outbox = outbox
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # keep freed memory: new pages for every tensor cost a tenth
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def _work(
    work: Callable[[Job], None],
    out: Path,
    params: dict[str, Any],
    inputs: dict[str, Path],
    means: dict[str, Any],
    scratch: Path,
    fingerprint: str,
) -> None:
    last = 0.0

    def progress(done: float, total: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if _outbox is not None and now - last > 0.2:
            last = now
            _outbox.put((fingerprint, min(done / total, 1.0) if total else 0.0, note))

    work(Job(out, params, inputs, progress, means, scratch))


def _drain(inbox: Any) -> list[tuple[str, float, str]]:
    messages: list[tuple[str, float, str]] = []
    if inbox is not None:
        with contextlib.suppress(queue.Empty):
            while True:
                messages.append(inbox.get_nowait())
    return messages
