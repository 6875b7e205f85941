"""The store of a study, for commands: opened with one message for whatever is missing."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.raters.packet import read_packet

if TYPE_CHECKING:
    from veneer.raters.store import Store

NEEDED = (
    "fastapi",
    "boto3",
    "uvicorn",
    "sqlalchemy",
    "itsdangerous",
    "markdown_it",
    "nh3",
)


@contextlib.contextmanager
def opened(
    url: str, packet: Path | None = None, *, make: bool = True, **settings: Any
) -> Iterator[Store]:
    """The store of votes at `url`; of a packet where one is given, and made for it if `make`.

    Raises:
        InputError: the raters' packages are missing, no such store, or one of another packet.
    """
    needed = [*NEEDED, *(["psycopg"] if url.startswith("postgres") else [])]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"Rating needs packages that are not installed: {', '.join(missing)}.",
            'Type: pip install "veneer[raters]"',
        )
    from veneer.raters.store import open_store

    store = open_store(url, read_packet(packet) if packet else None, make=make, **settings)
    try:
        yield store
    finally:
        store.close()
