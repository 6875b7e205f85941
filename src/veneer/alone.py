"""One step by itself in a folder of its own: what `veneer train`, `measure` and `judge` do.

The folder knows what was asked (study.json), so the same command goes on where a killed one
stopped, and another command is refused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from veneer.errors import InputError, Interrupted
from veneer.models.resolve import fetch_model, local_folder, parse_model
from veneer.progress import counted
from veneer.steps import Job, RunFolder, SourceFile, encode

CLAIM, WORK, SCRATCH, FETCHED = "study.json", ".partial", ".scratch", ".base"
PREPARED = ".prepared"
"""Where inputs lie that were made from what the user gave."""


def run_alone(
    folder: RunFolder,
    kind: str,
    work: Callable[[Job], None],
    params: Mapping[str, Any],
    inputs: Mapping[str, Path],
    *,
    last: str,
    name: str = "",
    means: Mapping[str, Any] | None = None,
) -> bool:
    """Do a step's work in a locked folder, unless it is done there; says whether it was done now.

    Args:
        kind: "training", "measuring" or "judging", as messages say it.
        work: the step's function; `params` and `inputs` as in a `Job`.
        last: the file of the output that is put in place last, and so says that all is there.
        name: of what the folder belongs to, for messages.
        means: how the result is reached.

    Raises:
        InputError: a mistake in what was given; the folder is left as it was found.
        RunFolderError: the folder holds something else.
        Interrupted: by Ctrl-C; what was done is kept.
    """
    out = folder.root
    known = {name: SourceFile(path).fingerprint for name, path in inputs.items()}
    new = not (out / CLAIM).exists()
    folder.claim(kind, {"name": name, "params": encode(params), "inputs": known})
    if (out / last).is_file():
        return False
    try:
        _worked(out, kind, Job(out / WORK, params, inputs, means=means or {}), work, last)
    except InputError:
        if new:
            _withdraw(out)
        raise
    return True


def model_folder(given: str, out: Path, purpose: str) -> tuple[str, Path]:
    """The name of a model and the folder it lies in; one of the hub is fetched below `out`."""
    if Path(given).expanduser().is_dir():
        return given, Path(given).expanduser()
    ref = parse_model(given)
    if ref.scheme != "hf":
        raise InputError(
            f"{given} cannot be {purpose} here.",
            "Give a model folder, or hf:ORGANISATION/NAME. The embedded study's models are in "
            "its run folder, below steps/.",
        )
    folder = local_folder(ref)
    if folder is None:
        folder, coming = out / FETCHED / ref.name, out / f"{FETCHED}-partial"
        if not folder.is_dir():
            shutil.rmtree(coming, ignore_errors=True)
            coming.mkdir(parents=True)
            fetch_model(Job(coming, {"id": ref.name}, {}))
            folder.parent.mkdir(parents=True, exist_ok=True)
            (coming / "model").rename(folder)
    return str(ref), folder


def cache_folder() -> Path | None:
    """Where what is made once is kept between runs: $VENEER_CACHE, or below ~/.cache.

    An empty $VENEER_CACHE keeps nothing.
    """
    given = os.environ.get("VENEER_CACHE")
    if given is not None:
        return Path(given) if given else None
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veneer"


def _worked(out: Path, kind: str, job: Job, work: Callable[[Job], None], last: str) -> None:
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.mkdir()
    try:
        with counted(Console(stderr=True), kind) as tell:
            work(Job(job.out, job.params, job.inputs, tell, job.means, out / SCRATCH))
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted; what was done is kept in {out}.",
            "The same command goes on from there.",
        ) from None
    for made in sorted(job.out.iterdir(), key=lambda path: path.name == last):
        target = out / made.name
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    for left in (job.out, out / SCRATCH, out / PREPARED):
        shutil.rmtree(left, ignore_errors=True)


def _withdraw(out: Path) -> None:
    """After a mistake nothing is kept, so that the mended command finds the folder free."""
    if not any((out / SCRATCH).glob("*/*")):
        (out / CLAIM).unlink(missing_ok=True)
        for left in (WORK, SCRATCH, PREPARED):
            shutil.rmtree(out / left, ignore_errors=True)
