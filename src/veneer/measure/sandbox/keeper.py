"""What runs inside the sandbox: the keeper of one batch of programs, its first process.

For each program it forks two processes: the program's (`served.py`, not trusted) and the tests'
(`tester.py`), which talk in plain data over a pair of pipes. The verdict comes from the tests'
process, over a pipe made after the program's was forked and behind a marker drawn after it, so
neither an exit code nor anything a program prints, sends or finds in its memory can pass for it.
As process 1 of its namespace the keeper cannot be killed from inside, and inherits whatever a
program leaves behind: all of it is ended before the next program starts.

Programs and tests stay in the file that is standard input; each process reads only what it needs,
so no program can find tests in memory that it got by being forked. Standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any

from veneer.measure.sandbox import served
from veneer.measure.sandbox.tester import ENDED, Tester

TICK = 0.02  # seconds between looks at running processes
GRACE = 15  # looks after the program's end, for its tests to say the last word
PR_SET_DUMPABLE = 4
HOME = "/tmp/program"
ENTRIES = 2000  # files that a program may have at one time
PAGE = os.sysconf("SC_PAGE_SIZE")
CLOCK = os.sysconf("SC_CLK_TCK")


def main(size: int) -> None:
    """Run every program of the batch in turn; `size` is that of the order at the file's start."""
    os.closerange(3, 1 << 16)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody else may look inside
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    order = json.loads(text_at([0, size], 0))
    say({"ready": isolated()})
    if isolated():
        return
    seccomp = base64.b64decode(order["seccomp"])
    for job in order["programs"]:
        try:
            verdict = Attempt(order["limits"]).run(job, size, seccomp)
        except OSError as error:  # no process, no memory: the machine's fault
            say({"passed": None, "reason": f"the sandbox failed: {error.strerror}"})
            return
        say(verdict)
        if not swept():
            return  # the rest goes to a fresh sandbox


def isolated() -> str:
    """What is missing from the walls around this process; empty if nothing is."""
    with open("/proc/self/status", encoding="utf-8") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    if lines.get("Seccomp") != "2":
        return "no seccomp filter is active"
    if lines.get("NoNewPrivs") != "1":
        return "new privileges are possible"
    if os.getpid() != 1:
        return "no process namespace"
    if os.geteuid() == 0 or int(lines.get("CapPrm", "0"), 16):
        return "privileges were not dropped"
    return ""


def say(line: dict[str, Any]) -> None:
    """One line to the outside."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def text_at(place: list[int], start: int) -> str:
    """A piece of the file that is standard input: [offset behind `start`, bytes]."""
    at, size = place
    parts = []
    while size:
        part = os.pread(0, size, start + at)
        if not part:
            raise EOFError
        parts.append(part)
        at, size = at + len(part), size - len(part)
    return b"".join(parts).decode("utf-8", "surrogatepass")


class Attempt:
    """One program with its tests."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self.limits = limits
        self.seen: dict[tuple[str, str], int] = {}  # CPU ticks by process and its start
        self.reaped = 0.0  # CPU seconds of processes that ended, their children's included
        self.statuses: dict[int, int] = {}

    def run(self, job: dict[str, Any], start: int, seccomp: bytes) -> dict[str, Any]:
        """{"passed": bool or None, "reason": str}; every process of it has ended afterwards."""
        os.mkdir(HOME)
        limit = self.limits["message_bytes"]
        asked, ask = os.pipe()
        answers, answer = os.pipe()
        program = os.fork()
        if program == 0:
            try:
                os.chdir(HOME)
                source = text_at(job["source"], start)
                served.confine(self.limits, asked, answer, seccomp)
                served.serve(source, job["entry_point"], limit)
            finally:
                os._exit(1)
        os.close(asked)
        os.close(answer)
        listen, tell = os.pipe()
        marker = os.urandom(16).hex()
        tester = os.fork()
        if tester == 0:
            try:
                os.chdir("/")
                given, tests = (text_at(job[name], start) for name in ("given", "tests"))
                null = os.open("/dev/null", os.O_RDWR)
                for other in (0, 1, 2):
                    os.dup2(null, other)
                served.bound(self.limits)
                Tester(answers, ask, tell, marker, limit).run(given, tests, job["entry_point"])
            finally:
                os._exit(1)
        for end in (ask, answers, tell):
            os.close(end)
        said, late = self._heard(listen, program)
        os.close(listen)
        try:
            verdict = json.loads(said)
            if verdict.pop("marker") != marker:
                verdict = {"passed": False, "reason": ENDED}
        except (ValueError, KeyError):
            late = late or self._end_of(tester) or "its tests could not be finished"
            verdict = {"passed": False, "reason": late}
        if verdict["reason"] == ENDED:
            verdict["reason"] = self._end_of(program) or ENDED
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        while self._reap(0):
            pass
        return verdict

    def _heard(self, listen: int, program: int) -> tuple[bytes, str]:
        """The report of the tests, and why all was ended early, if it was."""
        begun, said, idle, busy = time.monotonic(), b"", 0.0, -1.0
        gone = 0
        while True:
            at = time.monotonic()
            if select.select([listen], [], [], TICK)[0]:
                chunk = os.read(listen, 4096)
                said += chunk
                if not chunk or said.endswith(b"\n"):
                    return said, ""
            while self._reap(os.WNOHANG):
                pass
            if program in self.statuses:  # whatever it left keeps the channel open, no more
                gone += 1
                if gone > GRACE:
                    return b"", self._end_of(program) or ENDED
            running, seconds, memory = self._usage()
            quiet = not running and seconds == busy
            idle = idle + time.monotonic() - at if quiet else 0.0
            busy = seconds
            if seconds > self.limits["cpu_seconds"]:
                return b"", "out of CPU time"
            if memory > self.limits["memory_bytes"]:
                return b"", "out of memory"
            if idle > self.limits["idle_seconds"]:
                return b"", "waited without computing"
            if time.monotonic() - begun > self.limits["wall_seconds"]:
                return b"", "out of time"
            if entries() > ENTRIES:
                return b"", "too many files"

    def _usage(self) -> tuple[bool, float, int]:
        """Whether any process runs, CPU seconds and bytes of memory of all of them together.

        Over everything but the keeper. Seconds are the larger of two counts: the kernel's, which
        forgets children that nobody waited for, and the sum of what was seen of each process.
        Memory is what is resident; pages shared after a fork count for each process.
        """
        running, ticks, pages = False, 0, 0
        for name in os.listdir("/proc"):
            if not name.isdigit() or name == "1":
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            running |= fields[0] in "RD"  # D: waits for a disk
            ticks += sum(map(int, fields[11:15]))
            self.seen[name, fields[19]] = int(fields[11]) + int(fields[12])
            pages += int(fields[21])
        seconds = max(self.reaped + ticks / CLOCK, sum(self.seen.values()) / CLOCK)
        return running, seconds, pages * PAGE

    def _reap(self, how: int) -> bool:
        """Collect one process that ended; False if there is none."""
        try:
            pid, status, usage = os.wait4(-1, how)
        except ChildProcessError:
            return False
        if pid:
            self.statuses[pid] = status
            self.reaped += usage.ru_utime + usage.ru_stime
        return pid != 0

    def _end_of(self, child: int) -> str:
        """What ended this process, if a signal did."""
        for _ in range(40):
            while self._reap(os.WNOHANG):
                pass
            if child in self.statuses:
                break
            time.sleep(0.005)
        status = self.statuses.get(child, 0)
        if not os.WIFSIGNALED(status):
            return ""
        number = os.WTERMSIG(status)
        limit = self.reaped >= self.limits["cpu_seconds"] and number == signal.SIGKILL
        out_of_time = limit or number == signal.SIGXCPU
        return "out of CPU time" if out_of_time else f"died of signal {number}"


def entries() -> int:
    """Files and folders in /tmp."""
    room = os.statvfs("/tmp")
    return room.f_files - room.f_ffree


def swept() -> bool:
    """Empty /tmp for the next program; False where that would take long or cannot be done."""
    try:
        if entries() > ENTRIES:
            return False
        for one in os.scandir("/tmp"):
            if one.is_dir(follow_symlinks=False):
                shutil.rmtree(one.path)
            else:
                os.unlink(one.path)
    except (OSError, RecursionError):
        return False
    return True
