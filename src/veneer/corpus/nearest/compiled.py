"""Numba's compiler, with its on-disk cache where some folder takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` in machine code, without the interpreter's lock.

    The code is kept beside the package, else in Numba's folder of the user; where neither can
    be written it is compiled anew in each process.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
