"""What runs inside the sandbox: the keeper of one batch of programs. Standard library only.

`sandbox.py` passes this file's text to a bare interpreter inside bubblewrap. Programs come as
one JSON line on stdin; a JSON line goes to stdout for each. A program runs in a child whose
every descriptor but two is closed: it fetches its marker from one pipe *after* its tests
returned and sends it through the other, so neither an exit code nor anything printed can pass
for a verdict, and the marker is not in the program's memory while it runs. Afterwards every
other process of the sandbox is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from typing import Any

TICK = 0.05  # seconds between looks at a running child


def main() -> None:
    """Run every program of the batch in turn."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE 0: children may not look inside
    batch = json.loads(sys.stdin.readline())
    for number, job in enumerate(batch["programs"]):
        home = f"/tmp/{number}"
        os.mkdir(home)
        verdict = attempt(job, home, batch["limits"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # whatever the program left behind
        reap()
        shutil.rmtree(home, ignore_errors=True)
        sys.stdout.write(json.dumps(verdict) + "\n")
        sys.stdout.flush()


def attempt(job: dict[str, str], home: str, limits: dict[str, Any]) -> dict[str, Any]:
    """One program in one child: {"passed": bool, "reason": str}."""
    marker = os.urandom(16)
    ask, give = os.pipe()
    listen, tell = os.pipe()
    os.write(give, marker)
    child = os.fork()
    if child == 0:
        try:
            perform(job, home, limits, ask, tell)
        finally:
            os._exit(1)
    for end in (ask, give, tell):
        os.close(end)
    said, late = wait(child, listen, limits)
    os.close(listen)
    if said == b"passed " + marker:
        return {"passed": True, "reason": ""}
    reason = late or said.decode("utf-8", "replace") or "ended before its tests were over"
    return {"passed": False, "reason": reason[:200]}


def wait(child: int, listen: int, limits: dict[str, Any]) -> tuple[bytes, str]:
    """What the child said until it ended, and why it was ended early, if it was."""
    start = time.monotonic()
    handle = os.pidfd_open(child)
    said, late, idle, busy = b"", "", 0.0, -1.0
    while True:
        ready, _, _ = select.select([listen, handle], [], [], TICK)
        if listen in ready:
            chunk = os.read(listen, 4096)
            said = (said + chunk)[:4096]
            if said.startswith(b"passed ") and len(said) >= 23:
                break
            if not chunk and handle not in ready:
                time.sleep(TICK / 10)
        if handle in ready:
            break
        running, seconds = activity()
        idle = idle + TICK if not running and seconds == busy and not ready else 0.0
        busy = seconds
        if busy > limits["cpu_seconds"]:
            late = "out of CPU time"
        elif idle > limits["idle_seconds"]:
            late = "waited without computing"
        elif time.monotonic() - start > limits["wall_seconds"]:
            late = "out of time"
        if late:
            break
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(handle)
    while select.select([listen], [], [], 0)[0]:
        chunk = os.read(listen, 4096)
        if not chunk or len(said) >= 4096:
            break
        said += chunk
    if not late and not said and os.WIFSIGNALED(status):
        out_of_time = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        late = "out of CPU time" if out_of_time else f"died of signal {os.WTERMSIG(status)}"
    return said, late


def activity() -> tuple[bool, float]:
    """Whether any process of the program runs, and the CPU seconds of all of them together.

    Counted over everything in the sandbox but its first process and the keeper: a program that
    forks shares one budget. (True, -1) where /proc does not tell.
    """
    ours = {"1", str(os.getpid()), str(os.getppid())}
    running, ticks = False, 0
    try:
        for name in os.listdir("/proc"):
            if not name.isdigit() or name in ours:
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            running |= fields[0] == "R"
            ticks += sum(map(int, fields[11:15]))
    except (OSError, IndexError, ValueError):
        return True, -1.0
    return running, ticks / os.sysconf("SC_CLK_TCK")


def perform(job: dict[str, str], home: str, limits: dict[str, Any], ask: int, tell: int) -> None:
    """In the child: limits, then the program, then its tests, then the marker."""
    read, write, leave = os.read, os.write, os._exit
    os.setsid()
    os.chdir(home)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    place = 100 + int.from_bytes(os.urandom(2), "little") % 100
    ask, tell = os.dup2(ask, place), os.dup2(tell, place + 100)
    for low, high in ((3, ask), (ask + 1, tell), (tell + 1, 1024)):
        os.closerange(low, high)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    cpu, memory = limits["cpu_seconds"], limits["memory_bytes"]
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"], limits["processes"]),
        (resource.RLIMIT_NOFILE, 512, 512),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        program = compile(job["program"], "<program>", "exec")
        tests = compile(job["tests"], "<tests>", "exec")
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(program, space)
        exec(tests, space)
    except BaseException as error:
        write(tell, type(error).__name__.encode("utf-8", "replace")[:100])
        leave(1)
    write(tell, b"passed " + read(ask, 16))
    leave(0)


def reap() -> None:
    """Collect every child that has ended."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
