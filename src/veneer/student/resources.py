"""How much memory there is, how much is used, and how fast a run goes."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

UNLIMITED = 1 << 60
"""cgroup v1 writes a number near 2^63 for no limit."""


def available(device: str = "cpu", proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> int:
    """Bytes that this process may still take.

    On a CPU the least of what the kernel calls available, what is left of the limits of its
    control groups (v1 and v2, caches counted as free) and of its address space (`ulimit -v`).
    On a GPU what the driver has free and what torch holds without using it.
    """
    if device != "cpu":
        import torch

        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0]) + unused
    free = _kilobytes(proc / "meminfo", "MemAvailable")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    found = [] if free is None else [free]
    if limit != resource.RLIM_INFINITY:
        found.append(limit - (_kilobytes(proc / "self/status", "VmSize") or 0))
    found += _group_room(proc, sys)
    if not found:  # no Linux: half of what the machine has
        import os

        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return max(min(found), 0)


def held(device: str = "cpu") -> int:
    """Bytes that this process has now: resident, or allocated on the GPU."""
    if device != "cpu":
        import torch

        return int(torch.cuda.memory_allocated())
    return _kilobytes(Path("/proc/self/status"), "VmRSS") or 0


def used(device: str = "cpu") -> int:
    """Bytes that this process had at its peak: resident, or allocated on the GPU."""
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated())
    peak = _kilobytes(Path("/proc/self/status"), "VmHWM")
    return peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _group_room(proc: Path, sys: Path) -> Iterator[int]:
    """What is left of the memory limit of every control group above this process."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = sys / "fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = sys / "fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = root / path.lstrip("/")
        # In a container the path is often that of the host, while its own group is the root.
        for group in (folder, *folder.parents):
            if group.is_relative_to(root) and (room := _room(group, *names)) is not None:
                yield room


def _room(group: Path, limit: str, current: str, cache: str) -> int | None:
    try:
        most = (group / limit).read_text().strip()
        taken = int((group / current).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if not most.isdecimal() or int(most) >= UNLIMITED:
        return None
    return max(int(most) - taken + int(stat.get(cache, 0)), 0)


def _kilobytes(path: Path, name: str) -> int | None:
    """A value of /proc, which is given in kB, as bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    value = next(found, None)
    return None if value is None else int(value) * 1024


class Pace:
    """Tokens a second and time left. The first step is left out: it warms up.

    Args:
        tokens: of the whole run.
        done: tokens that an earlier run has done.
        clock: seconds, for tests.
    """

    def __init__(
        self, tokens: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.tokens, self.done, self.clock = tokens, done, clock
        self._since: tuple[int, float] | None = None
        self._now: tuple[int, float] | None = None

    def step(self, tokens: int) -> None:
        """An optimiser step over `tokens` tokens has ended."""
        self.done += tokens
        self._now = (self.done, self.clock())
        self._since = self._since or self._now

    @property
    def per_second(self) -> float | None:
        """Tokens a second; None before the second step has ended."""
        if self._since is None or self._now is None or self._now[1] <= self._since[1]:
            return None
        return (self._now[0] - self._since[0]) / (self._now[1] - self._since[1])

    @property
    def seconds_left(self) -> float | None:
        """Until all tokens are done, at this pace."""
        pace = self.per_second
        return None if not pace else max(self.tokens - self.done, 0) / pace

    def note(self, loss: float, bytes_used: int = 0) -> str:
        """ "loss 2.31 · 12,400 tokens/s · 3 min left · 1.2 GB", as far as it is known."""
        parts = [f"loss {loss:.2f}"]
        pace, left = self.per_second, self.seconds_left
        if pace is not None and left is not None:
            parts += [f"{_three_digits(pace):,} tokens/s", f"{_span(left)} left"]
        if bytes_used:
            parts.append(f"{bytes_used / 1e9:.1f} GB")
        return " · ".join(parts)


def _three_digits(number: float) -> int:
    whole = round(number)
    return round(whole, 3 - len(str(whole))) if whole >= 1000 else whole


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
