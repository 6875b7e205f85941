"""What surrounds a run of lm-eval: silence, seeds of its own, one message where a task fails."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from veneer.errors import VeneerError
from veneer.measure.benchmarks.named import failed


@contextlib.contextmanager
def failing(name: str) -> Iterator[None]:
    """A task's own code may raise anything; it becomes one message."""
    try:
        yield
    except (VeneerError, MemoryError):
        raise
    except Exception as error:
        raise failed(name, error) from error


@contextlib.contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Metrics that draw do so from the seed; nobody else's numbers are changed."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """lm-eval logs, prints and draws bars; a step reports its own progress.

    What the libraries hold is left out of garbage collection meanwhile: a single pass over it
    takes as long as lm-eval itself does for hundreds of items.
    """
    import datasets
    import lm_eval.api.metrics as metrics_module
    import lm_eval.api.task as task_module

    def resampled(f: Callable[[Any], float], xs: Sequence[Any], iters: int) -> float:
        """lm-eval's `bootstrap_stderr`, number for number, without a pool and without a word."""
        size, values = min(1000, iters), []
        for chunk in range(iters // size):
            rng = random.Random(chunk)
            values += [f(rng.choices(xs, k=len(xs))) for _ in range(size)]
        return float(metrics_module.sample_stddev(values))

    loggers = [logging.getLogger(name) for name in ("lm_eval", "huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    bar, stderr = task_module.tqdm, metrics_module.bootstrap_stderr
    is_frozen = gc.get_freeze_count() > 0
    if not is_frozen:
        gc.freeze()
    was_silent = datasets.utils.are_progress_bars_disabled()
    datasets.utils.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    task_module.tqdm = lambda rows, **_: rows
    metrics_module.bootstrap_stderr = resampled
    try:
        yield
    finally:
        if not is_frozen:
            gc.unfreeze()
        if not was_silent:
            datasets.utils.enable_progress_bars()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        task_module.tqdm, metrics_module.bootstrap_stderr = bar, stderr
