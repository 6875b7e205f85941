"""What every request and response goes through: headers, sizes, cookies, where a form came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer.raters.server.refusals import Barred

BODY_BYTES = 64 * 1024
"""The largest request: a reason of 2,000 characters fits, whatever its script."""
COOKIE_SECONDS = 90 * 24 * 3600
"""How long a browser keeps a session: longer than studies last, for a link opens only once."""

_FIELDS = 40
_POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}
_WIDER = "veneer.policy"


def policy(frame_ancestors: Sequence[str] = (), form_action: Sequence[str] = ()) -> str:
    """The content security policy; the hosts given may frame a page, or take its form."""
    wider = dict(_POLICY)
    wider["form-action"] = [*_POLICY["form-action"], *form_action]
    if frame_ancestors:
        wider["frame-ancestors"] = list(frame_ancestors)
    return "; ".join(f"{name} {' '.join(hosts)}" for name, hosts in wider.items())


_AS_EVER = policy().encode()


def widen(
    request: Request, *, frame_ancestors: Sequence[str] = (), form_action: Sequence[str] = ()
) -> None:
    """Let these hosts frame the answer to this request, or take its form; no other answer."""
    request.scope[_WIDER] = policy(frame_ancestors, form_action).encode()


class Shield:
    """The outermost layer of the pages, plain ASGI: security headers, and a limit to bodies.

    `page(request, why)` makes the page of a refusal; here "large", or "broken" when a handler
    fails (its error goes on to the server's log).
    """

    def __init__(self, app: ASGIApp, page: Callable[[Request, str], Response]) -> None:
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *_headers(scope, message["headers"])]
            await send(message)

        if _too_long(scope):
            await self.page(Request(scope), "large")(scope, receive, sending)
            return
        try:
            await self.app(scope, _counted(receive), sending)
        except Exception as error:
            if not started:
                why = error.why if isinstance(error, Barred) else "broken"
                await self.page(Request(scope), why)(scope, receive, sending)
            if not isinstance(error, Barred):
                raise


def _headers(scope: Scope, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    added = [
        (b"content-security-policy", scope.get(_WIDER, _AS_EVER)),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-robots-tag", b"noindex, nofollow"),
    ]
    if not any(name == b"cache-control" for name, _ in given):
        added.append((b"cache-control", b"no-store"))
    return added


def _too_long(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length")
    return length is not None and (not length.isdigit() or int(length) > BODY_BYTES)


def _counted(receive: Receive) -> Callable[[], Awaitable[Message]]:
    """The same messages, until the body that came in them is too large."""
    count = 0

    async def receiving() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > BODY_BYTES:
            raise Barred("large")
        return message

    return receiving


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a plain form (application/x-www-form-urlencoded); of one name, the last.

    Raises:
        Barred: "unreadable" for anything else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Barred("unreadable")
    try:
        body = await request.body()
    except ClientDisconnect as error:  # nobody is there to read the answer
        raise Barred("unreadable") from error
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=_FIELDS
        )
    except ValueError as error:  # not ASCII, or too many fields
        raise Barred("unreadable") from error
    return dict(fields)


def from_our_page(request: Request, public_url: str | None) -> bool:
    """Whether a form came from a page of this server, as far as the browser says.

    Browsers tell it in Sec-Fetch-Site, on https and on this machine. Origin is "null" in forms of
    pages with our Referrer-Policy, so that only another address in it counts. Where a browser says
    nothing, the form's token decides alone.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin", "null")
    if origin == "null":
        return True
    ours = urlsplit(public_url).netloc if public_url else ""
    return urlsplit(origin).netloc in {ours, request.headers.get("host", "")} - {""}


def cookie_header(name: str, value: str, *, secure: bool, framed: bool) -> str:
    """A Set-Cookie header for a session. `framed`: for a page that a crowd's site frames.

    An empty value takes the cookie back.
    """
    age = COOKIE_SECONDS if value else 0
    parts = [f"{name}={value}", "Path=/", f"Max-Age={age}", "HttpOnly"]
    if secure and framed:
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax", *(["Secure"] if secure else [])]
    return "; ".join(parts)
