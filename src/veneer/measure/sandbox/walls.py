"""Bubblewrap around a bare interpreter: the command, and one start of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from veneer.measure.sandbox import filters

NOBODY = 65534
INSIDE = ("plain", "served", "tester", "keeper")  # this folder's files that run inside
HARNESS = "/harness"
DEVICES = ("null", "zero", "full", "random", "urandom")
START = (
    f"import sys; sys.path[0] = {HARNESS!r}; "
    "from veneer.measure.sandbox import keeper; keeper.main(int(sys.argv[1]))"
)


def started(
    jobs: Sequence[Mapping[str, str]], limits: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    """One start of the sandbox over these jobs; what its keeper wrote, in lines.

    Job: `source`, `tests`, `given` (texts) and `entry_point`.
    """
    with contextlib.ExitStack() as files:
        order, size = _order(jobs, limits)
        stdin = files.enter_context(_file(order))
        seccomp = files.enter_context(_file(filters.everything_inside()))
        own = {name: files.enter_context(_file(text)) for name, text in _inside().items()}
        command = [
            *_walls(limits["temporary_bytes"]),
            *("--seccomp", str(seccomp.fileno())),
            *(
                part
                for name, file in own.items()
                for part in (
                    "--ro-bind-data",
                    str(file.fileno()),
                    f"{HARNESS}/veneer/measure/sandbox/{name}.py",
                )
            ),
            *("--remount-ro", "/", "--", interpreter() or "python3"),
            *("-s", "-S", "-B", "-c", START, str(size)),
        ]
        try:
            return subprocess.run(
                command,
                stdin=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=(limits["wall_seconds"] + 5) * len(jobs),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd="/",
                check=False,
                pass_fds=[seccomp.fileno(), *(file.fileno() for file in own.values())],
                **_as_nobody(),
            )
        except OSError as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))
        except subprocess.TimeoutExpired as late:
            heard = late.stdout or b""
            text = heard.decode("utf-8", "replace") if isinstance(heard, bytes) else heard
            return subprocess.CompletedProcess(command, 1, text, "out of time")


@lru_cache(maxsize=1)
def interpreter() -> str | None:
    """A Python 3 that lies under /usr; ours if it does."""
    for name in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        real = os.path.realpath(name)
        if real.startswith("/usr/") and os.access(real, os.X_OK):
            return real
    return None


def _walls(temporary: int) -> list[str]:
    walls = [shutil.which("bwrap") or "bwrap", "--unshare-user", "--unshare-all", "--as-pid-1"]
    walls += ["--disable-userns", "--die-with-parent", "--new-session", "--clearenv"]
    walls += ["--setenv", "PYTHONHASHSEED", "0", "--setenv", "PATH", "/usr/bin"]
    walls += ["--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    walls += ["--hostname", "sandbox", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib32", "lib64"):
        place = Path("/") / name
        if place.is_symlink():
            walls += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            walls += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in DEVICES:
        walls += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return [
        *walls,
        "--proc",
        "/proc",
        "--size",
        str(temporary),
        "--tmpfs",
        "/tmp",
        "--chdir",
        "/tmp",
    ]


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _order(jobs: Sequence[Mapping[str, str]], limits: Mapping[str, Any]) -> tuple[bytes, int]:
    """The batch as one file: a JSON head of the returned size, then all texts."""
    texts = bytearray()

    def placed(text: str) -> list[int]:
        data = text.encode("utf-8", "surrogatepass")
        texts.extend(data)
        return [len(texts) - len(data), len(data)]

    programs = [
        {name: placed(job[name]) for name in ("source", "given", "tests")}
        | {"entry_point": job["entry_point"]}
        for job in jobs
    ]
    code = base64.b64encode(filters.program_only()).decode("ascii")
    order = {"limits": dict(limits), "seccomp": code, "programs": programs}
    head = json.dumps(order).encode("ascii")
    return head + texts, len(head)


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[IO[bytes]]:
    """An open file without a name, read from its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


@lru_cache(maxsize=1)
def _inside() -> dict[str, bytes]:
    folder = Path(__file__).parent
    return {name: (folder / f"{name}.py").read_bytes() for name in INSIDE}
