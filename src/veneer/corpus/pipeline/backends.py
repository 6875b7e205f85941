"""Where batches are filtered: in processes of this machine, or under Ray Data.

Both run `veneer.corpus.pipeline.parts.filtered` on the same batches and write the same parts.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from veneer.corpus.pipeline.parts import filter_part, filtered, write_part
from veneer.corpus.pipeline.settings import Curation
from veneer.errors import InputError, VeneerError
from veneer.steps.on_ray import installed_ray

if TYPE_CHECKING:
    import pyarrow as pa

Backend = Literal["local", "ray"]
BACKENDS: tuple[Backend, ...] = ("local", "ray")
AT_ONCE = 8
"""Calls done in this process before others are started: small data needs no others."""
WINDOW = 16
"""Batches given to Ray at once: what its object store holds of the data."""

T = TypeVar("T")


def filtered_parts(
    batches: Iterable[tuple[Path, pa.RecordBatch]],
    settings: Curation,
    backend: Backend,
    workers: int,
) -> Iterator[Path]:
    """Filter batches into the parts named beside them, in bounded memory.

    Raises:
        InputError: the back end is unknown or not installed.
    """
    if backend == "local":
        calls = ((path, batch, settings) for path, batch in batches)
        return side_by_side(filter_part, calls, workers)
    if backend == "ray":
        return _under_ray(batches, settings, workers)
    raise InputError(f"There is no back end {backend!r}.", f"Known: {', '.join(BACKENDS)}.")


# ---- processes ------------------------------------------------------------------------------


def side_by_side(
    function: Callable[..., T], calls: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """The results of `function(*call)`, in order, at most two calls a worker under way.

    The first calls and, with fewer than two workers, all of them are done in this process.
    """
    waiting = iter(calls)
    for call in waiting if workers < 2 else islice(waiting, AT_ONCE):
        yield function(*call)
    first = list(islice(waiting, 1))
    if not first:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))
    running: deque[Future[T]] = deque()
    try:
        for calls_left in (first, waiting):
            for call in calls_left:
                running.append(pool.submit(function, *call))
                if len(running) >= 2 * workers:
                    yield running.popleft().result()
        while running:
            yield running.popleft().result()
        pool.shutdown()
    except BaseException as error:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise VeneerError(
                "A worker process was killed (out of memory, perhaps); what was done is kept.",
                "The same command goes on from there; --workers 1 takes the least memory.",
            ) from error
        raise


def _start_worker(parent: int) -> None:
    """Die with the parent, leave Ctrl-C to it, one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


# ---- Ray ------------------------------------------------------------------------------------


def _under_ray(
    batches: Iterable[tuple[Path, pa.RecordBatch]], settings: Curation, workers: int
) -> Iterator[Path]:
    ray = installed_ray()
    mine = not ray.is_initialized()
    if mine:
        own: dict[str, Any] = {"num_cpus": max(workers, 1), "include_dashboard": False}
        local = {} if os.environ.get("RAY_ADDRESS") else own
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        waiting = iter(batches)
        while window := list(islice(waiting, WINDOW)):
            yield from _one_window(window, settings)
    finally:
        if mine:
            ray.shutdown()


def _one_window(window: list[tuple[Path, pa.RecordBatch]], settings: Curation) -> Iterator[Path]:
    """One pass of Ray Data over some batches; `part` says where a row that comes back belongs."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import ray

    tables = [
        pa.Table.from_batches([batch]).append_column("part", _number(at, batch.num_rows))
        for at, (_, batch) in enumerate(window)
    ]
    data = ray.data.from_arrow(tables).map_batches(
        _filtered_under_ray,  # type: ignore[arg-type]
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={"settings": settings.model_dump()},
    )
    found: dict[int, list[pa.Table]] = {at: [] for at in range(len(window))}
    blocks: Any = data.iter_batches(batch_size=None, batch_format="pyarrow")
    for table in blocks:
        for at in pc.unique(table.column("part")).to_pylist():
            found[at].append(table.filter(pc.equal(table.column("part"), at)))
    for at, (path, _) in enumerate(window):
        table = pa.concat_tables(found[at]).sort_by("place").drop_columns(["part", "place"])
        write_part(path, table.combine_chunks())
        yield path


def _filtered_under_ray(table: pa.Table, settings: dict[str, Any]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    done = []
    for at in pc.unique(table.column("part")).to_pylist():
        mine = table.filter(pc.equal(table.column("part"), at)).drop_columns(["part"])
        for batch in mine.combine_chunks().to_batches():
            result = filtered(batch, Curation.model_validate(settings))
            result = result.append_column("part", _number(at, result.num_rows))
            place = pa.array(range(result.num_rows), pa.int64())
            done.append(result.append_column("place", place))
    return pa.concat_tables(done)


def _number(value: int, times: int) -> pa.Array:
    import pyarrow as pa

    return pa.array([value] * times, pa.int32())
