"""The program's own process: its source is executed, its function called when the tests ask.

Nothing in here is trusted once the source runs, and nothing in here is worth stealing: the tests
are read by another process, the marker is made after this one was forked, and every descriptor
but the two ends of its channel is closed. Standard library only: runs inside the sandbox.
"""

from __future__ import annotations

import builtins
import ctypes
import math
import os
import random
import resource
import sys
import types
from typing import Any

from veneer.measure.sandbox.plain import (
    EndedError,
    NotPlainError,
    decode,
    encode,
    receive,
    send,
)

INWARD, OUTWARD = 3, 4
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def confine(limits: dict[str, Any], inward: int, outward: int, seccomp: bytes) -> None:
    """Close what the program must not have, and load its limits and its seccomp filter.

    Raises:
        OSError: the filter was refused.
    """
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    inward, outward = os.dup2(inward, 100), os.dup2(outward, 101)
    os.dup2(inward, INWARD)
    os.dup2(outward, OUTWARD)
    os.closerange(OUTWARD + 1, 1 << 16)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    bound(limits)
    resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"] + 2,) * 2)
    load_filter(seccomp)


def bound(limits: dict[str, Any]) -> None:
    """Limits of one process, kept by the kernel."""
    cpu, memory, size = (
        math.ceil(limits["cpu_seconds"]),
        limits["memory_bytes"],
        limits["file_bytes"],
    )
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, size, size),
        (resource.RLIMIT_NOFILE, 128, 128),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))


def load_filter(seccomp: bytes) -> None:
    """Load a second seccomp filter; bubblewrap's, below it, stays."""

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    filter = Filter(len(seccomp) // 8, seccomp)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp filter refused")


def serve(source: str, entry_point: str, limit: int) -> None:
    """When told to, execute the source; then answer calls until the tests close the channel."""
    send(OUTWARD, ["confined"], limit)
    assert receive(INWARD, limit) == ["go"]
    random.seed(0)  # a program that draws numbers draws the same ones every time
    sys.argv, sys.path = ["program"], [one for one in sys.path if one.startswith("/usr")]
    sys.setrecursionlimit(1000 + _frames())
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(compile(source, "<program>", "exec"), module.__dict__)
        function = module.__dict__.get(entry_point)
        if function is None:
            raise NameError(f"name {entry_point!r} is not defined")
        send(OUTWARD, ["ready"], limit)
    except BaseException as error:
        send(OUTWARD, _raised(0, error), limit)
        return
    while True:
        try:
            kind, number, args, names = receive(INWARD, limit)
        except EndedError:
            return
        assert kind == "call"
        try:
            value = function(*decode(args), **decode(names))
        except BaseException as error:
            send(OUTWARD, _raised(number, error), limit)
            continue
        try:
            send(OUTWARD, ["value", number, encode(value)], limit)
        except NotPlainError as odd:
            send(OUTWARD, ["odd", number, str(odd)[:150]], limit)
        except BaseException as error:  # an iterator's own
            send(OUTWARD, _raised(number, error), limit)


def _raised(number: int, error: BaseException) -> list[Any]:
    """An exception by the names of its builtin types, nearest first, and its arguments."""
    kinds = type(error).__mro__
    names = [k.__name__ for k in kinds if getattr(builtins, k.__name__, None) is k]
    try:
        args = encode(error.args)
    except (NotPlainError, RecursionError):
        args = ["t"]
    return ["raised", number, type(error).__name__[:100], names, args]


def _frames() -> int:
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count
