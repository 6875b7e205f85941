"""What every page needs: the store, the packet, the templates, cookies, forms, refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from veneer.raters.packet import Packet
from veneer.raters.server import links
from veneer.raters.server.limits import FAILED_LINKS, VOTES, Buckets
from veneer.raters.server.refusals import REFUSALS, Barred
from veneer.raters.server.security import cookie_header, form_of, from_our_page, widen
from veneer.raters.store.terms import Refused

if TYPE_CHECKING:
    from veneer.raters.store import Store

Role = Literal["rater", "owner", "start"]
"""Whose cookie: a rater's session, the owner's, or of one who sees a link's page and may begin."""

MTURK = (
    "https://worker.mturk.com",
    "https://workersandbox.mturk.com",
    "https://www.mturk.com",
)
"""Whoever may show our pages in a frame: Mechanical Turk's sites for workers."""

TEMPLATES = Environment(
    loader=PackageLoader("veneer.raters.server"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


@dataclass
class Site:
    """The context of all pages; one a server. Times are seconds since 1970, from `clock`."""

    store: Store
    packet: Packet
    public_url: str | None = None
    frame_ancestors: tuple[str, ...] = MTURK
    votes: Buckets = field(default_factory=lambda: Buckets(VOTES))
    failures: Buckets = field(default_factory=lambda: Buckets(FAILED_LINKS))
    clock: Callable[[], float] = time.time
    wage: float = 15.0  # USD an hour of one's own people, for the owner's page

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https."""
        return bool(self.public_url and self.public_url.startswith("https:"))

    def page(
        self, request: Request, template: str, status: int = 200, /, **values: Any
    ) -> HTMLResponse:
        """A page from a template that extends base.html.jinja; `study` is the packet's title."""
        text = TEMPLATES.get_template(template).render(
            study=self.packet.facts.title, request=request, **values
        )
        return HTMLResponse(text, status)

    def refusal(self, request: Request, why: str, again: dict[str, str] | None = None) -> Response:
        """The page of a refusal (a key of REFUSALS); `again` are the fields of a form to resend.

        htmx gets the part inside <main>. A page in a frame stays in its frame: it holds nothing
        that a click could harm.
        """
        known = REFUSALS[why]
        if request.headers.get("sec-fetch-dest") == "iframe":
            widen(request, frame_ancestors=self.frame_ancestors)
        page = self.page(
            request,
            "refusal.html.jinja",
            known.status,
            refusal=known,
            why=why,
            again=again if known.again else None,
            onward=_onward(request),
            fragment=from_htmx(request),
        )
        if known.after is not None:
            page.headers["Retry-After"] = str(known.after)
        return page

    def cookie(self, request: Request, role: Role) -> str | None:
        """The value of a role's cookie, None without one that this study signed."""
        cookie = request.cookies.get(self._cookie_name(role))
        return cookie if cookie and links.is_ours(self.store.secret, cookie) else None

    def session(self, request: Request) -> str:
        """The value of a rater's cookie, for `links.hash_of` and the store's jobs.

        Raises:
            Refused: "forged" without one. Barred: "fast" for an address that tries many.
        """
        cookie = self.cookie(request, "rater")
        if cookie is None:
            self._failed(request)
            raise Refused("forged")
        return cookie

    def give_cookie(
        self, response: Response, role: Role, value: str, *, framed: bool = False
    ) -> None:
        """Set a role's cookie; an empty value takes it back. `framed`: for Mechanical Turk."""
        header = cookie_header(self._cookie_name(role), value, secure=self.secure, framed=framed)
        response.headers.append("Set-Cookie", header)

    def _cookie_name(self, role: Role) -> str:
        return f"__Host-{role}" if self.secure else role

    def csrf(self, cookie: str) -> str:
        """The token for the field `csrf` of every form shown to the holder of this cookie."""
        return links.csrf(self.store.secret, cookie)

    async def form(self, request: Request, cookie: str) -> dict[str, str]:
        """The fields of a form that the holder of this cookie sent from a page of ours.

        Raises:
            Barred: "form" when it came from elsewhere, "unreadable", "large".
        """
        fields = await form_of(request)
        if not (
            from_our_page(request, self.public_url)
            and links.csrf_fits(self.store.secret, cookie, fields.get("csrf", ""))
        ):
            raise Barred("form")
        return fields

    def link(self, request: Request, token: str, kind: links.Kind) -> str:
        """The hash of a link's token, when this study signed it.

        Raises:
            Refused: "forged". Barred: "fast" for an address that tries one after another.
        """
        try:
            links.check_link(self.store.secret, token, kind)
        except Refused:
            self._failed(request)
            raise
        return links.hash_of(token)

    def _failed(self, request: Request) -> None:
        """Count a link or cookie that is none against its address; good ones are never held up."""
        if not self.failures.take(request.client.host if request.client else ""):
            raise Barred("fast") from None


def _onward(request: Request) -> str:
    """Where to go on after a refusal: the page asked for, or the one that showed the form."""
    path = request.url.path
    if path.startswith("/owner"):
        return "/owner"
    return path if path.startswith(("/i/", "/o/", "/c/")) else "/rate"


def from_htmx(request: Request) -> bool:
    """Whether htmx asks, which wants the part inside <main> alone."""
    return request.headers.get("hx-request") == "true"
