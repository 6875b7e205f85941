"""Steps in local processes side by side, or in this very process."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from veneer.steps.attempt import Message, Place, Task, attempt, settle_process, thread_settings


@contextlib.contextmanager
def processes(workers: int) -> Iterator[Place]:
    """A pool of processes that share the cores out; 0 works in this process, one by one.

    They die with this process, however it ends, and are killed when the block is left by an
    exception.
    """
    if workers == 0:
        yield _Inline()
        return
    context = multiprocessing.get_context("spawn")
    inbox = context.Queue()
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (inbox, os.getpid(), threads))
    try:
        yield _Pool(pool, inbox, workers)
        pool.shutdown()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


class _Inline:
    lanes = room = 1

    def submit(self, task: Task) -> Future[Path]:
        future: Future[Path] = Future()
        try:
            future.set_result(attempt(task, lambda message: None))
        except Exception as error:
            future.set_exception(error)
        return future

    def messages(self) -> list[Message]:
        return []


class _Pool:
    def __init__(self, pool: ProcessPoolExecutor, inbox: Any, workers: int) -> None:
        self._pool, self._inbox = pool, inbox
        self.lanes = self.room = workers

    def submit(self, task: Task) -> Future[Path]:
        return self._pool.submit(_work, task)

    def messages(self) -> list[Message]:
        found: list[Message] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._inbox.get_nowait())
        return found


# ---- in the worker ------------------------------------------------------------------------

_outbox: Any = None


def _start_worker(outbox: Any, parent: int, threads: int) -> None:
    global _outbox
    _outbox = outbox
    serve(parent, threads)


def serve(parent: int, threads: int) -> None:
    """Make this process one that works for `parent`: dies with it, leaves Ctrl-C to it.

    Call it before numerical libraries are loaded; they read how many `threads` they may start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    os.environ.update(thread_settings(threads))
    settle_process()


def _work(task: Task) -> Path:
    return attempt(task, _outbox.put)
