"""Model-written programs run here and nowhere else: bubblewrap, seccomp, no network, no host files.

Namespaces of its own for users, processes, network, mounts, IPC and host name; a read-only
/usr, a small empty /tmp, nothing else; no capabilities; never as root (as root, process limits
do not hold); a list of system calls refused; limits on CPU time, memory, processes and files.
Time limits are CPU time, because a slow machine once moved pass@1 from 0.40 to 0.23 (evalplus
#5); wall time only catches what would wait for ever.

The tests run in another process than the program and call it over a pipe, in plain data: a
verdict is theirs, never an exit code, never a line that the program wrote (`keeper.py`).

Where bubblewrap or seccomp cannot isolate, nothing runs: every program is unscored, with the
reason. docs/sandbox.md says what is promised and what is not.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache

from veneer.measure.sandbox import filters, walls

BATCH = 32  # programs a start of bubblewrap, at most
INSTALL = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)."


@dataclass(frozen=True)
class Limits:
    """What one program may use, with all processes it starts and its tests. Seconds; bytes."""

    cpu_seconds: float = 5
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    temporary_bytes: int = 64 << 20
    message_bytes: int = 8 << 20
    processes: int = 32
    idle_seconds: float = 2.0
    wall_seconds: float = 60.0


@dataclass(frozen=True)
class Program:
    """A program that defines `entry_point`, and tests that call it by that name.

    `source` is the model's and is not trusted. `given` is the benchmark's own code that its tests
    may need (imports, helpers); it is executed before the tests, never with the program. Calls
    carry plain data: None, bool, numbers, str, bytes, and containers of them.
    """

    source: str
    tests: str
    entry_point: str
    given: str = ""


@dataclass(frozen=True)
class Verdict:
    """`passed` is None where the program could not be judged; `reason` says why."""

    passed: bool | None
    reason: str = ""


def run_programs(
    programs: Sequence[Program],
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Verdict]:
    """A verdict for each program, in order.

    `workers` starts of the sandbox run side by side, each over a batch of programs; None means
    this process's share of the cores. `progress` hears (done, all) after each batch.
    """
    missing = unavailable()
    if missing:
        return [Verdict(None, missing)] * len(programs)
    limits = limits or Limits()
    workers = max(1, workers or _cores())
    parts = workers if workers == 1 else 2 * workers  # finer, so that all end at the same time
    size = min(BATCH, max(1, -(-len(programs) // parts)))
    batches = [programs[at : at + size] for at in range(0, len(programs), size)]
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for found in pool.map(lambda batch: _judged(batch, limits), batches):
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
    if filters.missing():
        return filters.missing()
    if walls.interpreter() is None:
        return "No Python under /usr that the sandbox could use (apt-get install python3)."
    probe = Program("def answer(): return 6 * 7", "assert answer() == 42", "answer")
    found, why = _start([probe], Limits())
    if found == [Verdict(True)]:
        return ""
    why = why or "; ".join(verdict.reason for verdict in found)
    return (
        f"bubblewrap cannot isolate programs here ({why}). It needs bubblewrap 0.8 or newer and "
        "user namespaces (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0, or a container that permits them)."
    )


def _cores() -> int:
    """Cores for this process: all that are usable, or the threads that its lane was given."""
    usable = len(os.sched_getaffinity(0))
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(usable, int(given)) if given.isdigit() and int(given) else usable


def _judged(programs: Sequence[Program], limits: Limits) -> list[Verdict]:
    """Verdicts on a batch, in as many starts as it takes: a keeper may ask for a fresh one."""
    verdicts: list[Verdict] = []
    while len(verdicts) < len(programs):
        found, why = _start(programs[len(verdicts) :], limits)
        verdicts += found
        if not found:
            verdicts.append(Verdict(None, why) if why else Verdict(False, "ended its sandbox"))
    return verdicts


def _start(programs: Sequence[Program], limits: Limits) -> tuple[list[Verdict], str]:
    """The verdicts that one keeper gave before it ended, and why it did not start, if so."""
    done = walls.started([asdict(program) for program in programs], asdict(limits))
    lines = done.stdout.splitlines()
    try:
        missing = json.loads(lines[0])["ready"]
    except (IndexError, ValueError, KeyError, TypeError):
        missing = (done.stderr.strip() or "no reason given").splitlines()[-1]
    if missing:
        return [], str(missing)
    verdicts = []
    for line in lines[1 : len(programs) + 1]:
        try:
            said = json.loads(line)
            verdicts.append(Verdict(said["passed"], str(said["reason"])))
        except (ValueError, KeyError, TypeError):
            break
    return verdicts, ""
