"""What pages load beside themselves, and whether the server lives."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from sqlalchemy import Connection, text
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from veneer.raters.server.refusals import Barred
from veneer.raters.server.site import Site

TYPES = {".css": "text/css", ".js": "text/javascript"}
"""What is served of static/, by the end of the name; nothing else is."""
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect x="3" y="6" width="12" height="20" rx="3" fill="#1b6468"/>
<rect x="17" y="6" width="12" height="20" rx="3" fill="#86a9ab"/>
</svg>
"""


def asset_routes(site: Site) -> APIRouter:
    """GET /static/{name}, read once, and GET /health, which asks the store."""
    router = APIRouter()
    held = {
        entry.name: (entry.read_bytes(), TYPES[suffix])
        for entry in files("veneer.raters.server").joinpath("static").iterdir()
        if (suffix := entry.name[entry.name.rfind(".") :]) in TYPES
    }

    held["icon.svg"] = (ICON.encode(), "image/svg+xml")

    async def static(request: Request) -> Response:
        found = held.get(request.path_params["name"])
        if found is None:
            raise Barred("missing")
        body, kind = found
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(body, media_type=kind, headers=headers)

    async def health(request: Request) -> Response:
        await site.store.see(_answers)
        return PlainTextResponse("ok\n")

    router.add_route("/static/{name}", static, methods=["GET"])
    router.add_route("/health", health, methods=["GET"])
    return router


def _answers(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
