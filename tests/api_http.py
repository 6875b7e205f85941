"""As much of HTTP as the test server needs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

Response = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    """One HTTP request. `gone()` tells whether the client has hung up."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader

    def gone(self) -> bool:
        return self.reader.at_eof() or self.reader.exception() is not None


class Reset(Exception):
    """Close the connection with RST after sending `part` of a reply."""

    def __init__(self, part: bytes = b"") -> None:
        self.part = part


def reply(status: int, body: Any, **headers: str) -> Response:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return status, named, body if isinstance(body, bytes) else json.dumps(body).encode()


def http(status: int, headers: dict[str, str], body: bytes) -> bytes:
    kind = {"content-type": "application/json", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in kind.items())
    head = f"HTTP/1.1 {status} _\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        pairs = (line.split(":", 1) for line in rest if ":" in line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        if headers.get("transfer-encoding", "") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Request(method, path, headers, body, reader)
