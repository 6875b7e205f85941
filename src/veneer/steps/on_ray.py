"""Steps as tasks of a Ray cluster: killed workers and lost nodes are retried, mistakes are not.

Every node must see the run folder at the same path and have the same packages; both are
checked before anything is computed. A step that asks an endpoint stays with the run, in a local
process: its key never leaves the machine, and its journal is an SQLite file, which must not lie
on network storage.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import pickle
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

from veneer.errors import InputError, StepFailed
from veneer.steps.attempt import (
    Message,
    Place,
    Task,
    attempt,
    settle_process,
    thread_settings,
)
from veneer.steps.folder import PARTIAL, RunFolder, attempts
from veneer.steps.nodes import SEEN_SECONDS, check_nodes, here, inspection, unfit
from veneer.steps.processes import processes
from veneer.steps.space import disk_full, no_space

ATTEMPTS = 4
"""Times a step is begun before its kills are taken for its own fault (too little memory, say)."""

BETWEEN_MESSAGES = 1.0
"""Seconds between what one task tells; each message is a call over the network."""

OBJECT_STORE = 100 << 20
"""Bytes of a local cluster's object store: tasks exchange files, not objects."""

REACHABLE_SECONDS = 5.0


@contextlib.contextmanager
def on_ray(
    folder: RunFolder, workers: int | None = None, address: str | None = None
) -> Iterator[Place]:
    """A Ray cluster as the place where steps are done.

    Args:
        folder: the run folder, on storage that every node sees.
        workers: steps side by side at most; by default what the cluster has cores for.
        address: `auto`, `host:port` or `ray://host:port` of a running cluster; by default
            $RAY_ADDRESS, and without that a cluster of this machine alone, which ends with
            the block. A cluster that runs already is left running.

    Raises:
        InputError: Ray is not installed, no cluster answers, or a node cannot do the work.
    """
    ray = installed_ray()
    mine = not ray.is_initialized()
    if mine:
        _connect(address or os.environ.get("RAY_ADDRESS"), workers)
    seen = (folder.steps / f"{PARTIAL}seen-{uuid.uuid4().hex}").absolute()
    try:
        (seen / "nodes").mkdir(parents=True)
        (seen / "token").write_text(seen.name)
        check_nodes(seen)
        with processes(1) as home:
            cluster = _Cluster(home, workers, seen)
            try:
                yield cluster
            except BaseException:
                cluster.cancel()
                raise
    finally:
        shutil.rmtree(seen, ignore_errors=True)
        if mine:
            ray.shutdown()


def installed_ray() -> Any:
    """The package ray; an InputError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "The back end 'ray' is not installed.", 'Install it: pip install "veneer[ray]"'
        ) from error
    return ray


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": thread_settings(1)},  # workers that are started ahead fit
    }
    if address in (None, "", "local"):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            **quiet,
        )
        return
    assert address is not None
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host:  # Ray itself would wait for minutes
            socket.create_connection((host, int(port)), REACHABLE_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError, ImportError, ray.exceptions.RayError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"No Ray cluster could be joined at {address}: {first}", _way_in(error)
        ) from error


def _way_in(error: BaseException) -> str:
    """What to do about a cluster that could not be joined."""
    chain: BaseException | None = error
    while chain is not None:
        if "AuthenticationError" in f"{type(chain).__name__}: {chain}":
            return (
                "The cluster asks for its token: set RAY_AUTH_MODE=token, and have the token in "
                "~/.ray/auth_token or where RAY_AUTH_TOKEN_PATH says."
            )
        chain = chain.__cause__
    return (
        "Start one (ray start --head) and give its address, or leave --ray-address and "
        "RAY_ADDRESS out for a cluster of this machine alone."
    )


# ---- the driver's side ------------------------------------------------------------------------


class _Cluster:
    """Tasks that are under way on the cluster, and what they say."""

    def __init__(self, home: Place, workers: int | None, seen: Path) -> None:
        import ray

        self._home, self._workers, self._seen = home, workers, seen
        self._tasks: dict[Any, tuple[Task, Future[Path]]] = {}
        self._remote = ray.remote(_attempt)
        self._letters: Any = None
        self._mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, max_restarts=-1).remote()
        self._looked = -math.inf
        self._nodes: list[dict[str, float]] = []
        self.lanes = min(workers or self._cores(), self._cores())

    @property
    def room(self) -> int:
        """More than there are cores: waiting tasks make a growing cluster grow."""
        return self._workers or 2 * self._cores()

    def _resources(self) -> list[dict[str, float]]:
        """Of each node that is alive; looked at again after some seconds."""
        import ray

        if time.monotonic() - self._looked > 5:
            self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._looked = time.monotonic()
        return self._nodes

    def _cores(self) -> int:
        return max(1, int(sum(found.get("CPU", 0) for found in self._resources())))

    def submit(self, task: Task) -> Future[Path]:
        if task.at_home:
            return self._home.submit(task)
        future: Future[Path] = Future()
        nodes = self._resources()
        gpus = task.gpus
        if gpus is None:
            gpus = 1 if task.wants_gpu and any(found.get("GPU") for found in nodes) else 0
        if not any(
            found.get("CPU", 0) >= task.cpus and found.get("GPU", 0) >= gpus for found in nodes
        ):
            future.set_exception(
                InputError(
                    f"It needs {task.cpus:g} cores and {gpus:g} GPUs, which no node has.",
                    "Add such a node to the cluster; the same command goes on from there.",
                )
            )
            return future
        threads = max(1, int(task.cpus))
        ref = self._remote.options(
            name=task.name,
            num_cpus=task.cpus,
            num_gpus=gpus,
            max_retries=ATTEMPTS - 1,
            retry_exceptions=False,
            runtime_env={"env_vars": thread_settings(threads)},
        ).remote(_absolute(task), str(self._seen), here(), self._mailbox)
        self._tasks[ref] = task, future
        return future

    def messages(self) -> list[Message]:
        """Also where finished tasks are noticed, so that all of it is in one thread."""
        import ray

        messages = self._home.messages() + self._told()
        under_way = {task.fingerprint: future for task, future in self._tasks.values()}
        for message in messages:
            future = under_way.get(message.fingerprint)
            if future is not None and not future.running():
                future.set_running_or_notify_cancel()
        if self._tasks:
            refs = list(self._tasks)
            for ref in ray.wait(refs, num_returns=len(refs), timeout=0)[0]:
                _finish(ref, *self._tasks.pop(ref))
        return messages

    def _told(self) -> list[Message]:
        """Letters that have come; progress is no reason to wait, nor to fail."""
        import ray

        if self._letters is None:
            self._letters = self._mailbox.take.remote()
        if not ray.wait([self._letters], timeout=0)[0]:
            return []
        letters, self._letters = self._letters, None
        with contextlib.suppress(ray.exceptions.RayError):
            return ray.get(letters)
        return []

    def cancel(self) -> None:
        """Kill what is under way, so that nothing writes to the run folder any more."""
        import ray

        for ref in self._tasks:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(ref, force=True)


def _absolute(task: Task) -> Task:
    """The same task with paths that do not depend on a working directory."""
    return dataclasses.replace(
        task,
        inputs={name: path.absolute() for name, path in task.inputs.items()},
        steps=task.steps.absolute(),
        scratch=task.scratch.absolute(),
    )


def _finish(ref: Any, task: Task, future: Future[Path]) -> None:
    import ray

    try:
        path, error = ray.get(ref)
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.OutOfMemoryError,
    ):
        path, error = None, _killed(ATTEMPTS)
    except ray.exceptions.RayError as lost:
        first = (str(lost).strip().splitlines() or [""])[-1]
        path, error = None, StepFailed(f"{type(lost).__name__}: {first}", KEPT)
    if error is None:
        future.set_result(path)
    else:
        future.set_exception(error)


KEPT = "What was done is kept: the same command goes on from there."


def _killed(times: int) -> StepFailed:
    return StepFailed(
        f"its process was killed {times} times (out of memory, perhaps, or its node was lost).",
        KEPT,
    )


# ---- the node's side ------------------------------------------------------------------------


class Mailbox:
    """An actor that keeps what tasks say until the run reads it."""

    def __init__(self) -> None:
        self.letters: list[Message] = []

    def put(self, message: Message) -> None:
        """Keep one message."""
        self.letters.append(message)

    def take(self) -> list[Message]:
        """All messages since the last time."""
        letters, self.letters = self.letters, []
        return letters


@cache
def _inspected(seen: str, patience: float, wanted: tuple[tuple[str, str], ...]) -> Any:
    return inspection()(seen, patience, dict(wanted))


def _attempt(
    task: Task, seen: str, wanted: dict[str, str], mailbox: Any
) -> tuple[Path | None, BaseException | None]:
    """What a node does. The step's own errors are values here, which Ray does not retry."""
    settle_process()
    try:
        # A node may have joined since the others were asked.
        if problem := _inspected(seen, SEEN_SECONDS, tuple(wanted.items())):
            raise unfit(socket.gethostname(), problem)
        for path in task.inputs.values():
            if not path.exists():
                raise unfit(socket.gethostname(), ("folder", f"does not see {path}."))
        earlier = len(attempts(task.steps, task.folder))
        if earlier >= ATTEMPTS:  # Ray counts kills for want of memory apart, and without end
            raise _killed(earlier)
        mailbox.put.remote(Message(task.fingerprint, 0.0))
        return attempt(task, mailbox.put.remote, BETWEEN_MESSAGES), None
    except Exception as error:
        if disk_full(error):  # what the error came from would be lost on the way
            return None, no_space(error, task.steps.parent)
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return None, StepFailed(f"{type(error).__name__}: {error}", KEPT)
        return None, error
