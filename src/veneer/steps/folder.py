"""The run folder: outputs that appear whole or not at all, one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from veneer.errors import RunFolderError
from veneer.records import SCHEMA_VERSION
from veneer.steps.graph import Part, SourceFile, Step
from veneer.steps.space import whole

PARTIAL = ".partial-"
SCRATCH = ".scratch-"


class RunFolder:
    """`RUN/`: `study.json`, `steps/<name>-<12 hex>/`, and the published results.

    Args:
        root: the folder; made when it does not exist.
        cache: a folder that keeps outputs of shared steps for other runs, or None.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = root
        self.steps = root / "steps"
        self.cache = cache
        self._places: dict[str, Path] = {}

    # -- whose folder it is -------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder alone; a second process is told who has it.

        Raises:
            RunFolderError: another process works on it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise RunFolderError(
                    f"Another veneer (process {holder}) is working on {self.root}.",
                    f"Wait for it, or give this run a folder of its own: --out {self.root}-2",
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def claim(
        self,
        kind: str,
        spec: Mapping[str, Any],
        may_differ: tuple[str, ...] = (),
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the folder this study's, or check that it is.

        Args:
            kind: "study" or "audit".
            spec: JSON-able description of the study.
            may_differ: top-level fields that may change between runs (more seeds, say).
            notes: kept beside the spec and never compared (where its files lie, say).

        Raises:
            RunFolderError: the folder holds something else; names the fields that differ.
        """
        path = self.root / "study.json"
        wanted = {"schema_version": SCHEMA_VERSION, "kind": kind, "spec": dict(spec)}
        if path.exists():
            found = json.loads(path.read_text("utf-8"))
            found.pop("notes", None)
            differing = [
                line
                for line in differences(found, wanted)
                if not any(line.startswith(f"spec.{name}") for name in may_differ)
            ]
            if differing:
                raise RunFolderError(
                    f"{self.root} was written by another {found.get('kind', 'study')}"
                    f" ({found.get('spec', {}).get('name', 'unnamed')}). It differs in:\n  "
                    + "\n  ".join(differing[:8])
                    + (f"\n  … and {len(differing) - 8} more" if len(differing) > 8 else ""),
                    "Choose another folder with --out, or put the study back as it was.",
                )
        elif any(not entry.name.startswith(".") for entry in self.root.iterdir()):
            raise RunFolderError(
                f"{self.root} is not empty and is not a run folder.",
                "Choose a new or empty folder with --out.",
            )
        about = {**wanted, "notes": dict(notes or {})}
        self.publish("study.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")

    # -- outputs of steps -----------------------------------------------------------------

    def output(self, step: Step) -> Path:
        """Where a step's finished output lies; one with another name serves as well."""
        place = self._places.get(step.fingerprint)
        if place is None:
            found = sorted(self.steps.glob(f"[!.]*-{step.fingerprint}"))
            if not found:
                return self.steps / step.folder
            place = self._places[step.fingerprint] = found[0]
        return place

    def done(self, step: Step) -> bool:
        """Whether the step's output is there, whole."""
        return (self.output(step) / "step.json").exists()

    def resolve(self, source: Step | Part | SourceFile) -> Path:
        """The path of an input."""
        if isinstance(source, SourceFile):
            return source.path.resolve()
        if isinstance(source, Part):
            return self.output(source.step) / source.path
        return self.output(source)

    def commit(self, step: Step, partial: Path, record: Mapping[str, Any]) -> None:
        """Make a finished output appear, with its `step.json`, in one rename.

        Args:
            step: whose output it is.
            partial: the folder of the attempt that finished; what others left is removed.
            record: JSON-able, kept in `step.json`.
        """
        about = {"schema_version": SCHEMA_VERSION, "name": step.name, "identity": step.identity}
        plain = to_jsonable_python({**about, **record})
        text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
        (partial / "step.json").write_text(text, "utf-8")
        partial.rename(self.steps / step.folder)
        for left in (*attempts(self.steps, step.folder), self.scratch(step)):
            shutil.rmtree(left, ignore_errors=True)
        if step.shared and self.cache is not None:
            self._remember(step)

    def scratch(self, step: Step) -> Path:
        """Where a step may keep checkpoints until it is done; the step makes it."""
        return self.steps / f"{SCRATCH}{step.fingerprint}"

    def recall(self, step: Step) -> bool:
        """Take a shared step's output from the cache; False when it is not there."""
        if not step.shared or self.cache is None:
            return False
        kept = self.cache / step.folder
        if not (kept / "step.json").exists():
            return False
        partial = new_partial(self.steps, step.folder)
        shutil.copytree(kept, partial, dirs_exist_ok=True)
        partial.rename(self.steps / step.folder)
        return True

    def _remember(self, step: Step) -> None:
        """Copy an output to the cache; a full or read-only cache is no reason to fail."""
        assert self.cache is not None
        target = self.cache / step.folder
        scratch = self.cache / f"{PARTIAL}{step.folder}-{os.getpid()}"
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self.output(step), scratch)
            scratch.rename(target)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)

    def clean(self) -> None:
        """Remove what a killed run left half-done, but no checkpoints. Only under the lock.

        The scratch folder of a step that is done goes; of one that is not, it stays.
        """
        self.steps.mkdir(parents=True, exist_ok=True)
        for left in self.steps.glob(f"{PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in self.steps.glob(f"{SCRATCH}*"):
            fingerprint = left.name.removeprefix(SCRATCH)
            if any(self.steps.glob(f"[!.]*-{fingerprint}/step.json")):
                shutil.rmtree(left, ignore_errors=True)

    # -- results ----------------------------------------------------------------------------

    def publish(self, name: str, content: str | Path) -> None:
        """Put a result at the top of the folder, whole or not at all."""
        with whole(self.root / name, self.root / f"{PARTIAL}{name}") as scratch:
            if isinstance(content, Path):
                shutil.copyfile(content, scratch)
            else:
                scratch.write_text(content, "utf-8")


def new_partial(steps: Path, name: str) -> Path:
    """An empty folder for one attempt at the output `name`, and for no other attempt.

    A machine that is believed dead may still be writing, so attempts never share a folder.
    """
    path = steps / f"{PARTIAL}{name}-{uuid.uuid4().hex[:8]}"
    path.mkdir(parents=True)
    return path


def attempts(steps: Path, name: str) -> list[Path]:
    """Folders of attempts at the output `name` that came to nothing, or are under way."""
    return sorted(steps.glob(f"{PARTIAL}{glob.escape(name)}-{'[0-9a-f]' * 8}"))


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Fields in which two JSON values differ, as `path: old there, new here`."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted(old.keys() | new.keys()):
            place = f"{where}.{key}" if where else key
            lines += differences(old.get(key), new.get(key), place)
        return lines
    return [] if old == new else [f"{where}: {_short(old)} there, {_short(new)} here"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
