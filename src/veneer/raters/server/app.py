"""The pages as one application, and the server that runs it.

A room of pages is a module with a function `...routes(site: Site) -> APIRouter`; `create_app`
includes it. Handlers get all they need from `site`; they raise Refused, StoreAway or Barred, and
the application answers with one page for each.
"""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from veneer.errors import InputError
from veneer.raters.packet import Packet
from veneer.raters.server.assets import asset_routes
from veneer.raters.server.crowd_pages import crowd_routes
from veneer.raters.server.limits import FAILED_LINKS, VOTES, Buckets, Rate
from veneer.raters.server.owner_pages import owner_routes
from veneer.raters.server.rater_pages import rater_routes
from veneer.raters.server.refusals import Barred
from veneer.raters.server.security import Shield
from veneer.raters.server.site import MTURK, Site
from veneer.raters.store.terms import Refused, StoreAway

if TYPE_CHECKING:
    from veneer.raters.store import Store


def create_app(
    store: Store,
    packet: Packet,
    *,
    public_url: str | None = None,
    frame_ancestors: Sequence[str] = MTURK,
    votes: Rate = VOTES,
    failed_links: Rate = FAILED_LINKS,
    wage: float = 15.0,
) -> FastAPI:
    """The pages of one study.

    Args:
        store: votes and people, of this packet.
        packet: what is shown.
        public_url: how browsers reach us, such as "https://rate.example.org", where that is not
            the address served; cookies are Secure when it is https.
        frame_ancestors: who may show a crowd's pages in a frame.
        votes: how fast one session may vote.
        failed_links: how fast one address may try links that do not exist.
        wage: USD an hour of one's own people, for the cost on the owner's page.

    Raises:
        InputError: `public_url` is none.
    """
    site = Site(
        store,
        packet,
        public_url=_address(public_url),
        frame_ancestors=tuple(frame_ancestors),
        votes=Buckets(votes),
        failures=Buckets(failed_links),
        wage=wage,
    )
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # it would go to whatever host the request names
    )
    app.state.site = site
    for routes in (asset_routes, rater_routes, owner_routes, crowd_routes):
        app.include_router(routes(site))
    _refuse(app, site)
    app.add_middleware(Shield, page=site.refusal)
    return app


def _refuse(app: FastAPI, site: Site) -> None:
    """One page for everything that handlers raise."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused | Barred)
        return site.refusal(request, error.why)

    async def away(request: Request, error: Exception) -> Response:
        return site.refusal(request, "away")

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return site.refusal(request, {405: "method"}.get(error.status_code, "missing"))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(Barred, refused)
    app.add_exception_handler(StoreAway, away)
    app.add_exception_handler(HTTPException, http)


def _address(public_url: str | None) -> str | None:
    if public_url is None:
        return None
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise InputError(
            f"{public_url!r} is not an address of a site.",
            "Give scheme and host alone, such as --public-url https://rate.example.org",
        )
    return f"{parts.scheme}://{parts.netloc}"


def serve(
    app: FastAPI,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; requests in hand are answered first.

    Args:
        app: from `create_app`.
        host: the address to listen on.
        port: 0 for any that is free.
        started: called with the address, such as "http://127.0.0.1:8000", once it is open.

    Raises:
        InputError: the port is taken, or the address is not this machine's.
    """
    with _listening(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        if started is not None:
            started(f"http://{shown}:{listening.getsockname()[1]}")
        config = uvicorn.Config(
            app,
            access_log=False,  # it would print links
            log_level="warning",
            server_header=False,
            date_header=True,
            lifespan="off",
            timeout_graceful_shutdown=10,
        )
        with _ending_quietly(), _few_pauses():
            uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _few_pauses() -> Iterator[None]:
    """Leave what lives as long as the server out of full collections: each would halt all votes."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Let SIGTERM end us as Ctrl-C does: uvicorn repeats the signal when all is answered."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port < 65536:
        raise InputError(f"{port} is no port.", "Give --port a number from 0 to 65535.")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise InputError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            "Choose another port with --port, or 0 for any that is free.",
        ) from error
    return listening
