"""Are the nodes of a cluster fit to do a run's steps? Asked before anything is computed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from veneer import __version__
from veneer.errors import InputError

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
"""Packages that results can depend on, so that all nodes must have the same ones."""

SEEN_SECONDS = 3.0
"""How long a node looks for a file that was just written elsewhere."""


def here() -> dict[str, str]:
    """Versions that every node must share. What follows a `+` names a build, not a version."""
    found = {name: metadata.version(name).partition("+")[0] for name in PACKAGES}
    return {"veneer": __version__, **found}


def inspection() -> Callable[[str, float, dict[str, str]], tuple[str, str] | None]:
    """What a node is asked: does it see and write the run folder, has it the same packages?

    The function that is returned goes to the nodes by its code, not by its name, so that it can
    say that veneer is missing there. It returns None, or what is wrong ("folder" or "packages")
    and a sentence to follow the node's name.
    """

    def inspect(seen: str, patience: float, wanted: dict[str, str]) -> tuple[str, str] | None:
        import importlib
        import os
        import time
        import uuid
        from importlib import metadata

        token, until = os.path.join(seen, "token"), time.monotonic() + patience
        while not os.path.exists(token) and time.monotonic() < until:
            time.sleep(0.1)
        root = os.path.dirname(os.path.dirname(seen))
        try:
            with open(token) as file:
                if file.read() != os.path.basename(seen):
                    return "folder", f"sees another folder than this machine at {root}."
            with open(os.path.join(seen, "nodes", uuid.uuid4().hex), "w") as file:
                file.write("seen")
        except OSError as error:
            return "folder", f"cannot read and write the run folder {root} ({error.strerror})."
        for name, version in wanted.items():
            try:
                if name == "veneer":
                    found = importlib.import_module(name).__version__
                else:
                    found = metadata.version(name).partition("+")[0]
            except ImportError:
                found = None
            if found != version:
                has = f"has {name} {found}" if found else f"does not have {name}"
                return "packages", f"{has}; this machine has {version}."
        return None

    return inspect


HINTS = {
    "folder": "Give --out a folder on storage that every node sees at the same path "
    "(NFS, Lustre, EFS).",
    "packages": "Install the same versions of veneer and of its packages on every node.",
}


def check_nodes(seen: Path) -> None:
    """Ask every node once, and name the ones that cannot do the work."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    ask = ray.remote(num_cpus=0, max_retries=0)(inspection())
    answers = [
        (
            f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            ask.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(
                str(seen), SEEN_SECONDS, here()
            ),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    ]
    if not answers:
        raise InputError(
            "The Ray cluster has no node with cores.",
            "Start at least one node of each kind before the run.",
        )
    wrong: list[tuple[str, tuple[str, str]]] = []
    for name, answer in answers:
        with contextlib.suppress(ray.exceptions.RayError):  # the node was lost meanwhile
            if problem := ray.get(answer):
                wrong.append((name, problem))
    if wrong:
        raise unfit(*wrong[0], others=len(wrong) - 1)
    if not any((seen / "nodes").iterdir()):
        raise InputError(
            f"No node of the cluster wrote to {seen.parent.parent} what this machine can read.",
            HINTS["folder"],
        )


def unfit(node: str, problem: tuple[str, str], others: int = 0) -> InputError:
    """The error for a node that cannot take part, by the problem that it found."""
    kind, sentence = problem
    more = f" ({others} more cannot take part.)" if others else ""
    return InputError(f"Node {node} {sentence}{more}", HINTS[kind])
