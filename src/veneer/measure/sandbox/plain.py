"""The only language between a program and its tests: plain data as tagged JSON, nothing else.

The program's process is not trusted, so no `pickle` and no `marshal`: what comes out of `decode`
has exactly the types None, bool, int, float, complex, str, bytes, list, tuple, dict, set,
frozenset, range, or is a bare iterator over such values. `encode` takes what Python compares
equal to one of these for what it is (a Counter goes as a dict, a named tuple as a tuple) and
leaves behind whatever the value's class adds, an `__eq__` that always agrees among it.
Standard library only: these lines run inside the sandbox.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, ItemsView, Iterator, KeysView
from typing import Any

DEPTH = 300  # containers inside one another
EXACT = 1 << 53  # whole numbers beyond go as hexadecimal: decimal digits take quadratic time


class NotPlainError(ValueError):
    """A value that plain data cannot express; the message names its type."""


class EndedError(Exception):
    """The other end is closed."""


def encode(value: Any, depth: int = DEPTH) -> Any:
    """A value as JSON's own types.

    Raises:
        NotPlainError: it holds something else, or too many containers inside one another.
    """
    if value is None or type(value) in (bool, float, str):
        return value
    if isinstance(value, int):
        number = int.__index__(value)
        return number if -EXACT < number < EXACT else ["i", int.__format__(number, "x")]
    if isinstance(value, (float, str)):
        return float.__float__(value) if isinstance(value, float) else str.__str__(value)
    if isinstance(value, complex):
        return ["c", value.real, value.imag]
    if isinstance(value, (bytes, bytearray)):
        return ["b", value.hex()]
    if isinstance(value, range):
        return ["r", *(encode(n) for n in (value.start, value.stop, value.step))]
    if depth == 0:
        raise NotPlainError("nested too deeply")
    if isinstance(value, dict):
        return ["d", *(encode(one, depth - 1) for pair in dict.items(value) for one in pair)]
    tag = next((tag for tag, kind in _KINDS if isinstance(value, kind)), "")
    if not tag:
        raise NotPlainError(f"a {type(value).__name__}, which is not plain data")
    return [tag, *(encode(one, depth - 1) for one in _ITEMS.get(tag, iter)(value))]


def decode(node: Any, depth: int = DEPTH) -> Any:
    """The value that `encode` made a node of.

    Raises:
        NotPlainError: `encode` makes no such node.
    """
    if node is None or type(node) in (bool, int, float, str):
        return node
    if type(node) is not list or not node or depth < 0:
        raise NotPlainError("a message that is not plain data")
    tag, rest = node[0], node[1:]
    try:
        if tag == "i":
            (digits,) = rest
            return int(digits, 16)
        if tag == "c":
            real, imaginary = rest
            return complex(float(real), float(imaginary))
        if tag == "b":
            return bytes.fromhex(*rest)
        values = [decode(one, depth - 1) for one in rest]
        if tag == "d":
            return {values[at]: values[at + 1] for at in range(0, len(values), 2)}
        return _BUILT[tag](values)
    except NotPlainError:
        raise
    except (TypeError, ValueError, LookupError) as error:
        raise NotPlainError("a message that is not plain data") from error


_KINDS: tuple[tuple[str, Any], ...] = (
    ("l", list),
    ("t", tuple),
    ("s", set),
    ("f", frozenset),
    ("s", (KeysView, ItemsView)),  # equal to a set of the same values
    ("n", Iterator),
)
_ITEMS: dict[str, Callable[[Any], Any]] = {
    "l": list.__iter__,
    "t": tuple.__iter__,
    "f": frozenset.__iter__,
}
_BUILT: dict[str, Callable[[list[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "f": frozenset,
    "n": iter,
    "r": lambda values: range(*values),
}


def send(end: int, message: Any, limit: int) -> None:
    """Write one message to a pipe.

    Raises:
        NotPlainError: longer than `limit` bytes.
    """
    text = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(text) > limit:
        raise NotPlainError(f"more than {limit} bytes of data")
    rest = memoryview(struct.pack(">I", len(text)) + text)
    while rest:
        rest = rest[os.write(end, rest) :]


def receive(end: int, limit: int) -> Any:
    """The next message from a pipe, as JSON's types.

    Raises:
        EndedError: the other end was closed before the message was whole.
        NotPlainError: longer than `limit` bytes, or not JSON.
    """
    (size,) = struct.unpack(">I", _exactly(end, 4))
    if size > limit:
        raise NotPlainError(f"more than {limit} bytes of data")
    try:
        return json.loads(_exactly(end, size))
    except (ValueError, RecursionError) as error:
        raise NotPlainError("a message that is not plain data") from error


def _exactly(end: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(end, min(size, 1 << 16))
        if not part:
            raise EndedError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
