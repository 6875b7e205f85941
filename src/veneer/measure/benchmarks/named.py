"""Tasks of lm-eval by name: its own, and those of a user's folder, which come first.

Reading all of lm-eval's 14,000 task files takes seconds, so only the folders that name a task are
read; all of them only where a name is not found so.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from veneer.errors import InputError, StepFailed

SHOTS_SEED = 1234  # lm-eval's defaults; see `simple_evaluate`
LOCAL_DATA = (
    "Give its data as files: copy the task's YAML into a folder, write `dataset_path: json` and "
    "`dataset_kwargs: {data_files: {test: FILE}}` there, and type --tasks FOLDER."
)


def load(
    name: str, include: Sequence[Path] = (), shots: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tasks and groups that a name stands for, ready to be evaluated: {name: object} each.

    Args:
        include: folders with tasks of the user's.
        shots: worked examples, in place of the task's own number (not where that is 0).

    Raises:
        InputError: no such task; a task that runs code or sees pictures; data that is not there.
    """
    for folder in include:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder of tasks.", "Name a folder with YAML files.")
    manager = _manager(name, tuple(str(folder) for folder in include))
    _refuse_unsafe(name, manager)
    with _seeded():
        loaded = _loaded(name, manager)
    tasks, groups = loaded["tasks"], loaded.get("groups", {})
    if not tasks:
        raise InputError(f"lm-eval's {name!r} holds no task.", "Choose a task or another group.")
    for key, task in tasks.items():
        if getattr(task, "MULTIMODAL", False):
            raise InputError(f"lm-eval's task {key!r} shows pictures or plays sounds.", _TEXT)
        own = task.get_config("num_fewshot")
        if own is None or (shots is not None and own != 0):
            task.set_config(key="num_fewshot", value=shots or 0)
        task.set_fewshot_seed(seed=SHOTS_SEED)
    return tasks, groups


_TEXT = "Choose a task of text alone."


@lru_cache(maxsize=32)
def _manager(name: str, include: tuple[str, ...]) -> Any:
    """A TaskManager that knows the name and whatever it stands for."""
    from lm_eval.tasks import TaskManager

    folders: set[str] = set()
    sought: set[str] = set()
    while True:
        # A name that two folders define is lm-eval's first; the last given folder wins.
        paths: list[str | Path] = [*sorted(folders, reverse=True), *include]
        manager = TaskManager(include_path=paths, include_defaults=False)
        missing = _missing(name, manager.task_index, sought)
        if not missing:
            return manager
        more = _folders_naming(missing)
        if more is None or not missing - sought:
            break
        sought |= missing
        folders |= more
    manager = TaskManager(include_path=[*include])
    if name not in manager.task_index:
        close = difflib.get_close_matches(name, manager.all_tasks, n=3, cutoff=0.6)
        hint = "`lm_eval ls tasks` lists all; --tasks names a folder of your own."
        if close:
            hint = f"Did you mean {', '.join(map(repr, close))}? {hint}"
        raise InputError(f"lm-eval has no task {name!r}.", hint)
    return manager


def _missing(name: str, index: Mapping[str, Any], sought: set[str]) -> set[str]:
    """Names that the index lacks for this one; a tag is complete once it was looked for."""
    from lm_eval.tasks._index import Kind

    missing, seen, waiting = set(), set(), [name]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        entry = index.get(one)
        if entry is None or (entry.kind is Kind.TAG and one not in sought):
            missing.add(one)
        elif entry.kind is Kind.GROUP:
            waiting += _children((entry.cfg or {}).get("task"))
    return missing


def _children(members: Any) -> list[str]:
    """Names that a group's list of members mentions."""
    names: list[str] = []
    for member in members if isinstance(members, list) else []:
        if isinstance(member, str):
            names.append(member)
        elif isinstance(member, dict) and "group" in member:
            names += _children(member.get("task")) or [str(member["group"])]
        elif isinstance(member, dict) and "dataset_path" not in member:
            names.append(str(member.get("task")))
    return names


def _folders_naming(names: set[str]) -> set[str] | None:
    """lm-eval's folders with files that define or tag one of the names.

    None where a file only lends its tag to others: then all files have to be read.
    """
    import lm_eval.tasks

    words = [re.escape(name.encode()) for name in sorted(names)]
    name = rb"['\"]?(?:" + rb"|".join(words) + rb")['\"]?"
    mention = re.compile(
        rb"^(?:task:|group:|tag:|[ \t]*-) *" + name + rb" *(?:#.*)?\r?$", re.MULTILINE
    )
    defines = re.compile(rb"^(?:task|group) *:", re.MULTILINE)
    found = set()
    for folder, _, files in os.walk(Path(lm_eval.tasks.__file__).parent):
        for file in files:
            if not file.endswith((".yaml", "_yaml")):
                continue
            text = Path(folder, file).read_bytes()
            if mention.search(text):
                if not defines.search(text):
                    return None
                found.add(folder)
    return found


def _refuse_unsafe(name: str, manager: Any) -> None:
    """Tasks that run what a model wrote do so without a sandbox, some already when loaded."""
    index, waiting, seen = manager.task_index, [name], set()
    while waiting:
        one = waiting.pop()
        entry = index.get(one)
        if entry is None or one in seen:
            continue
        seen.add(one)
        settings = entry.cfg or {}
        if settings.get("unsafe_code"):
            raise InputError(
                f"lm-eval's task {one!r} runs what the model writes, with no sandbox around it.",
                "Choose the measure humaneval: its programs run in a sandbox.",
            )
        waiting += [*_children(settings.get("task")), *entry.tags]


def _loaded(name: str, manager: Any) -> Any:
    """The tasks with their data; whatever a task's own code raises becomes one message."""
    try:
        return manager.load([name])
    except ModuleNotFoundError as error:
        raise InputError(
            f"lm-eval's task {name!r} needs the package {error.name!r}, which is not installed.",
            f"pip install {error.name}",
        ) from error
    except OSError as error:  # no network, no such data set, no such file
        raise InputError(
            f"The data of lm-eval's task {name!r} cannot be fetched: {_line(error)}.",
            LOCAL_DATA,
        ) from error
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"lm-eval's task {name!r} cannot be loaded: {type(error).__name__}: {_line(error)}.",
            "Look at its YAML file and its data, or choose another task.",
        ) from error


def failed(name: str, error: Exception) -> StepFailed:
    """What to raise where a task's own code fails on the way."""
    return StepFailed(
        f"lm-eval's task {name!r} failed: {type(error).__name__}: {_line(error)}.",
        "Look at its YAML file and its data, or choose another task.",
    )


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """lm-eval's seeds for tasks that draw when they are loaded; nobody else's are changed."""
    import numpy

    before = random.getstate(), numpy.random.get_state()
    random.seed(0)
    numpy.random.seed(SHOTS_SEED)
    try:
        yield
    finally:
        random.setstate(before[0])
        numpy.random.set_state(before[1])
