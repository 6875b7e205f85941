"""Model-written programs run here and nowhere else: bubblewrap, no network, no host files.

Namespaces of its own for users, processes, network, mounts, IPC and host name; a read-only
/usr, an empty /tmp of 64 MB, nothing else; no capabilities; never as root (as root, process
limits do not hold); limits on CPU time, memory, processes and file size. Time limits are CPU
time, because a slow machine once moved pass@1 from 0.40 to 0.23 (evalplus #5); wall time only
catches what would wait for ever. The verdict is the keeper's (`inside.py`), never an exit code.

Where bubblewrap cannot isolate, nothing runs: every program is unscored, with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

NOBODY = 65534
BATCH = 32  # programs a start of bubblewrap (about 40 ms with its interpreter)
INSTALL = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)."


@dataclass(frozen=True)
class Limits:
    """What one program may use. Seconds of CPU; bytes."""

    cpu_seconds: int = 5
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    processes: int = 32
    idle_seconds: float = 2.0
    wall_seconds: float = 60.0


@dataclass(frozen=True)
class Program:
    """Source to run, then the source of its tests, in the same namespace."""

    program: str
    tests: str


@dataclass(frozen=True)
class Verdict:
    """`passed` is None where the program could not be run at all; `reason` says why."""

    passed: bool | None
    reason: str = ""


def run_programs(
    programs: Sequence[Program],
    limits: Limits | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Verdict]:
    """A verdict for each program, in order.

    Programs share a start of the sandbox; one that brings its keeper down is run again alone.
    """
    missing = unavailable()
    if missing:
        return [Verdict(None, missing)] * len(programs)
    limits = limits or Limits()
    starts = range(0, len(programs), BATCH)

    def batch(start: int) -> list[Verdict]:
        rest = programs[start : start + BATCH]
        found: list[Verdict] = []
        while rest:
            found += (several := _start(rest, limits))
            rest = rest[len(several) :]
            if rest:
                found.append(_alone(rest[0], limits))
                rest = rest[1:]
        return found

    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for found in pool.map(batch, starts):
            verdicts += found
            if progress:
                progress(len(verdicts), len(programs))
    return verdicts


@lru_cache(maxsize=1)
def unavailable() -> str:
    """Why nothing can be run here, and what to do about it; empty if the sandbox works."""
    if sys.platform != "linux":
        return "Programs run only inside bubblewrap, which needs Linux."
    if shutil.which("bwrap") is None:
        return f"Programs run only inside bubblewrap, which is not installed. {INSTALL}"
    if _interpreter() is None:
        return "No Python under /usr that the sandbox could use (apt-get install python3)."
    probe = Program("answer = 6 * 7", "assert answer == 42")
    done = _run([probe], Limits())
    if done.stdout.strip() == json.dumps({"passed": True, "reason": ""}):
        return ""
    said = (done.stderr.strip() or "no reason given").splitlines()[-1]
    return (
        f"bubblewrap cannot isolate programs here ({said}). Allow user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1, or a container that permits them)."
    )


def _alone(program: Program, limits: Limits) -> Verdict:
    found = _start([program], limits)
    return found[0] if found else Verdict(False, "brought its sandbox down")


def _start(programs: Sequence[Program], limits: Limits) -> list[Verdict]:
    """The verdicts that the keeper gave before it ended, in order."""
    done = _run(programs, limits)
    verdicts = []
    for line in done.stdout.splitlines()[: len(programs)]:
        try:
            said = json.loads(line)
            verdicts.append(Verdict(bool(said["passed"]), str(said["reason"])))
        except (ValueError, KeyError, TypeError):
            break
    return verdicts


def _run(programs: Sequence[Program], limits: Limits) -> subprocess.CompletedProcess[str]:
    interpreter = _interpreter()
    assert interpreter is not None
    order = json.dumps({"limits": asdict(limits), "programs": [asdict(p) for p in programs]})
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [*_walls(), interpreter, "-I", "-S", "-c", _keeper()]
    seconds = (limits.wall_seconds + 5) * len(programs)
    try:
        return subprocess.run(
            command,
            input=order + "\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            check=False,
            **as_nobody,  # type: ignore[call-overload]
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
    except subprocess.TimeoutExpired as late:
        heard = late.stdout or b""
        text = heard.decode("utf-8", "replace") if isinstance(heard, bytes) else heard
        return subprocess.CompletedProcess(command, 1, text, "out of time")


def _walls() -> list[str]:
    walls = [shutil.which("bwrap") or "bwrap", "--unshare-user", "--unshare-all"]
    walls += ["--disable-userns", "--die-with-parent", "--new-session", "--clearenv"]
    walls += ["--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    walls += ["--hostname", "sandbox", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib32", "lib64"):
        place = Path("/") / name
        if place.is_symlink():
            walls += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            walls += ["--ro-bind", f"/{name}", f"/{name}"]
    return [*walls, "--proc", "/proc", "--dev", "/dev",
            "--size", str(64 << 20), "--tmpfs", "/tmp", "--chdir", "/tmp", "--"]  # fmt: skip


@lru_cache(maxsize=1)
def _interpreter() -> str | None:
    """A Python 3 that lies under /usr; ours if it does."""
    for name in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        real = os.path.realpath(name)
        if real.startswith("/usr/") and os.access(real, os.X_OK):
            return real
    return None


@lru_cache(maxsize=1)
def _keeper() -> str:
    return (Path(__file__).parent / "inside.py").read_text(encoding="utf-8")
