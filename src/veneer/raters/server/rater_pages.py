"""A rater's pages: the welcome behind a link, and the pair in hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter
from markupsafe import Markup
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from veneer.raters.packet import Packet
from veneer.raters.power import seconds_for
from veneer.raters.server.links import hash_of, new_cookie, opened_with
from veneer.raters.server.refusals import Barred
from veneer.raters.server.rendering import plain, rendered
from veneer.raters.server.security import widen
from veneer.raters.server.site import Site, from_htmx
from veneer.raters.store.people import begin, rater_of_link, session_of
from veneer.raters.store.terms import Assigned, Idle, Next, Refused, Session, StoreAway
from veneer.raters.store.voting import seen_now, undo, vote_and_next
from veneer.records import Choice, RatedPair

REASON = 2000
"""Characters of a reason at most."""

CHOICES: dict[str, Choice] = {"1": 1, "0": 0, "2": 2}

_KEPT = 5000  # pairs held as HTML


@dataclass(frozen=True)
class Shown:
    """A pair as safe HTML."""

    prompt: Markup
    output_1: Markup
    output_2: Markup


def shown(pair: RatedPair) -> Shown:
    """A pair as raters see it: the prompt as it was typed, the outputs as Markdown."""
    return Shown(plain(pair.prompt), rendered(pair.output_1), rendered(pair.output_2))


def minutes_a_pair(packet: Packet) -> float:
    """About how long one pair takes, from the words to be read."""
    words = [len(f"{pair.prompt} {pair.output_1} {pair.output_2}".split()) for pair in packet.pairs]
    return seconds_for(sum(words) / max(1, len(words))) / 60


def rater_routes(site: Site) -> APIRouter:
    """GET and POST /i/{token}, /rate and /undo."""
    router = APIRouter()
    pages = _RaterPages(site)
    router.add_route("/rate", pages.vote, methods=["POST"])  # the most asked for is matched first
    router.add_route("/rate", pages.rate, methods=["GET"])
    router.add_route("/i/{token}", pages.welcome, methods=["GET"])
    router.add_route("/i/{token}", pages.start, methods=["POST"])
    router.add_route("/undo", pages.take_back, methods=["POST"])
    return router


class _RaterPages:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.kept: dict[str, Shown] = {}
        self.minutes = minutes_a_pair(site.packet)

    async def welcome(self, request: Request) -> Response:
        """What a link opens. Using it up is left to the button: mail scanners open links too."""
        site, token = self.site, request.path_params["token"]
        link = site.link(request, token, "rater")
        held = site.cookie(request, "rater")
        if held and opened_with(site.store.secret, held, token):
            return _rate()
        start = site.cookie(request, "start")
        if not start or not opened_with(site.store.secret, start, token):
            start = new_cookie(site.store.secret, token)
        try:
            await site.store.see(rater_of_link, link, site.clock())
        except Refused as refused:
            return await self._begun(request, start, refused)
        page = site.page(
            request,
            "welcome.html.jinja",
            pairs=site.packet.facts.pairs,
            minutes=max(1, round(self.minutes)),
            csrf=site.csrf(start),
        )
        site.give_cookie(page, "start", start)
        return page

    async def start(self, request: Request) -> Response:
        """The button of the welcome: the link is used, the browser gets its session."""
        site, token = self.site, request.path_params["token"]
        link = site.link(request, token, "rater")
        start = site.cookie(request, "start")
        if not start or not opened_with(site.store.secret, start, token):
            raise Barred("cookie")
        await site.form(request, start)
        try:
            await site.store.ask(begin, link, hash_of(start), site.clock())
        except Refused as refused:
            return await self._begun(request, start, refused)
        return self._in(start)

    async def _begun(self, request: Request, start: str, refused: Refused) -> Response:
        """The way in again for the browser whose own answer was lost; for others, no."""
        if refused.why != "used":
            raise refused
        try:
            await self.site.store.see(session_of, hash_of(start), self.site.clock())
        except Refused:
            raise refused from None
        return self._in(start)

    def _in(self, cookie: str) -> Response:
        response = _rate()
        self.site.give_cookie(response, "rater", cookie)
        self.site.give_cookie(response, "start", "")
        return response

    async def rate(self, request: Request) -> Response:
        """The pair in hand."""
        cookie = self.site.session(request)
        session, now = await self.site.store.ask(seen_now, hash_of(cookie), self.site.clock())
        return await self._page(request, cookie, session, now, "")

    async def vote(self, request: Request) -> Response:
        """A vote, and the next pair: one job of the store."""
        site = self.site
        cookie = site.session(request)
        fields = await site.form(request, cookie)
        choice, reason = CHOICES.get(fields.get("choice", "")), reason_of(fields)
        if choice is None or not fields.get("item"):
            raise Barred("unreadable")
        key = hash_of(cookie)
        try:
            if not site.votes.take(key):
                raise Barred("fast")
            session, now = await site.store.ask(
                vote_and_next, key, fields["item"], choice, reason, site.clock()
            )
        except (Barred, Refused, StoreAway) as error:
            why = "away" if isinstance(error, StoreAway) else error.why
            return site.refusal(request, why, again=fields)
        if not from_htmx(request):
            return _rate()
        return await self._page(request, cookie, session, now, "Saved.")

    async def take_back(self, request: Request) -> Response:
        """Undo the last vote: its pair is in hand again, with what was chosen and written."""
        site = self.site
        cookie = site.session(request)
        await site.form(request, cookie)
        key = hash_of(cookie)
        if not site.votes.take(key):
            raise Barred("fast")
        session, now = await site.store.ask(_undone, key, site.clock())
        if not from_htmx(request):
            return _rate()
        return await self._page(request, cookie, session, now, "Taken back.")

    async def _page(
        self, request: Request, cookie: str, session: Session, now: Next, said: str
    ) -> Response:
        site, part = self.site, from_htmx(request)
        if session.origin == "mturk":
            widen(request, frame_ancestors=site.frame_ancestors)
        crowd = session.origin in ("mturk", "prolific")
        if isinstance(now, Idle):
            if part or crowd:  # whoever is paid must be able to hand in, whatever the reason
                return _gone_to("/finished" if crowd else "/rate", part)
            return site.page(
                request,
                "idle.html.jinja",
                why=now.why,
                votes=session.voted,
                csrf=site.csrf(cookie),
            )
        return site.page(
            request,
            "rate.html.jinja",
            fragment=part,
            said=said,
            hand=now,
            pair=await self._shown(now.item),
            number=session.voted + 1,
            of=max(session.voted + session.left, session.voted + 1),
            voted=session.voted,
            longest=REASON,
            csrf=site.csrf(cookie),
        )

    async def _shown(self, item: str) -> Shown:
        """A pair's HTML, made once, in a thread: a long one takes its time."""
        found = self.kept.get(item)
        if found is None:
            found = await asyncio.to_thread(shown, self.site.packet.by_id[item])
            while len(self.kept) >= _KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[item] = found
        return found


def _undone(connection: Connection, cookie_hash: str, now: float) -> tuple[Session, Assigned]:
    assigned = undo(connection, session_of(connection, cookie_hash, now), now)
    return session_of(connection, cookie_hash, now), assigned


def reason_of(fields: dict[str, str]) -> str:
    """The reason in a form, without control characters.

    Raises:
        Barred: "large" beyond REASON characters; the page's field does not let it grow so long.
    """
    text = fields.get("reason", "").replace("\r\n", "\n").replace("\r", "\n").strip()
    text = "".join(letter for letter in text if letter in "\n\t" or letter >= " ")
    if len(text) > REASON:
        raise Barred("large")
    return text


def _rate() -> Response:
    return RedirectResponse("/rate", 303)


def _gone_to(path: str, part: bool) -> Response:
    """Another page, for htmx in its own way."""
    return Response(headers={"HX-Redirect": path}) if part else RedirectResponse(path, 303)
