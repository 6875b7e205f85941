"""The owner's pages: how the study goes, who rates and how; links, pauses, files of votes.

They name no model, run or file: an owner may rate too. A GET changes nothing, and a form that is
sent twice does its work once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from veneer.errors import InputError
from veneer.raters.server import links
from veneer.raters.server.owner_files import votes_csv, votes_jsonl
from veneer.raters.server.owner_invitations import (
    DAYS,
    MOST_DAYS,
    MOST_LINKS,
    Invitation,
    Wish,
    clock_of,
    date_of,
    invited,
    new_once,
    once_of,
    renewed,
    stamp_of,
    wish_of,
)
from veneer.raters.server.owner_once import Once, SentBefore
from veneer.raters.server.owner_view import RaterView, doubts_about, rater_view, study_view
from veneer.raters.server.owner_watch import Watch
from veneer.raters.server.security import Barred
from veneer.raters.server.site import Site
from veneer.raters.store import people, progress
from veneer.raters.store.terms import Refused

Handler = Callable[[Request, str], Awaitable[Response]]

_SAID = {
    "paused": "The study is paused. Raters are told so.",
    "running": "The study goes on.",
    "revoked": "{rater} is revoked; their votes stay.",
    "revoked-discarded": "{rater} is revoked; their votes are discarded, and their places open.",
    "forgotten": "{rater} is forgotten; their votes stay under that number.",
    "forgotten-discarded": "{rater} is forgotten, and so are their votes.",
}
_DONE = {"revoke": "revoked", "forget": "forgotten"}


def owner_routes(site: Site) -> APIRouter:
    """The routes under /owner, and /o/{token} that leads there."""
    desk = _Desk(site, Watch(site.store, lambda: site.clock()), Once())
    router = APIRouter()

    def add(path: str, method: str, handler: Handler) -> None:
        async def guarded(request: Request) -> Response:
            try:
                cookie = await desk.owner(request)
            except Refused:
                return site.page(request, "owner_away.html.jinja", 403)
            return await handler(request, cookie)

        router.add_route(path, guarded, methods=[method], include_in_schema=False)

    router.add_route("/o/{token}", desk.entrance, methods=["GET"], include_in_schema=False)
    router.add_route("/o/{token}", desk.enter, methods=["POST"], include_in_schema=False)
    add("/owner", "GET", desk.study)
    add("/owner/progress", "GET", desk.progress)
    add("/owner/raters", "GET", desk.raters)
    add("/owner/pause", "POST", desk.pause)
    add("/owner/links", "POST", desk.invite)
    add("/owner/votes.csv", "GET", desk.csv)
    add("/owner/votes.jsonl", "GET", desk.jsonl)
    add("/owner/raters/{rater:int}", "GET", desk.rater)
    add("/owner/raters/{rater:int}/renew", "POST", desk.renew)
    for what in _DONE:
        add(f"/owner/raters/{{rater:int}}/{what}", "GET", desk.sure)
        add(f"/owner/raters/{{rater:int}}/{what}", "POST", desk.take_out)
    return router


@dataclass
class _Desk:
    site: Site
    watch: Watch
    once: Once[list[Invitation]]

    async def owner(self, request: Request) -> str:
        """The owner's cookie, when it is the owner's."""
        cookie = self.site.cookie(request, "owner")
        if not cookie:
            raise Refused("forged")
        now = self.site.clock()
        await self.site.store.see(people.owner_of, links.hash_of(cookie), now)
        return cookie

    # the owner's link

    async def entrance(self, request: Request) -> Response:
        """The page behind the link: a button, since programs that scan mail open links too."""
        site, token = self.site, request.path_params["token"]
        if await self._owner_link(request) is None:
            return site.page(request, "owner_away.html.jinja", 403)
        start = site.cookie(request, "start")
        if not start or not links.opened_with(site.store.secret, start, token):
            start = links.new_cookie(site.store.secret, token)
        page = site.page(request, "owner_entrance.html.jinja", csrf=site.csrf(start))
        site.give_cookie(page, "start", start)
        return page

    async def enter(self, request: Request) -> Response:
        """Make this browser the owner's; a second click finds that it is."""
        site, token = self.site, request.path_params["token"]
        link = await self._owner_link(request)
        if link is None:
            return site.page(request, "owner_away.html.jinja", 403)
        held = site.cookie(request, "owner")
        if held and links.opened_with(site.store.secret, held, token):
            return RedirectResponse("/owner", 303)
        start = site.cookie(request, "start")
        if not start or not links.opened_with(site.store.secret, start, token):
            raise Barred("cookie")
        await site.form(request, start)
        await site.store.ask(_begin_once, link, links.hash_of(start), site.clock())
        answer = RedirectResponse("/owner", 303)
        site.give_cookie(answer, "owner", start)
        site.give_cookie(answer, "start", "")
        return answer

    async def _owner_link(self, request: Request) -> str | None:
        try:
            link = self.site.link(request, request.path_params["token"], "owner")
        except Refused:
            return None
        return link if await self.site.store.see(people.is_owner, link) else None

    # the study

    async def study(self, request: Request, cookie: str) -> Response:
        """The owner's page."""
        return await self._study_page(request, cookie, _said(request))

    async def _study_page(
        self, request: Request, cookie: str, notice: str, problem: str = "", wish: Wish = Wish()
    ) -> Response:
        return self.site.page(
            request,
            "owner.html.jinja",
            422 if problem else 200,
            notice=notice,
            problem=problem,
            wish=wish,
            most_links=MOST_LINKS,
            most_days=MOST_DAYS,
            csrf=self.site.csrf(cookie),
            once=new_once(),
            **await self._shown(),
        )

    async def progress(self, request: Request, cookie: str) -> Response:
        """The part that is asked for every few seconds."""
        return self.site.page(request, "owner_progress.html.jinja", **await self._shown())

    async def raters(self, request: Request, cookie: str) -> Response:
        """The table of raters."""
        return self.site.page(request, "owner_raters.html.jinja", **await self._shown())

    async def _shown(self) -> dict[str, Any]:
        watched = await self.watch.look()
        return {
            "view": study_view(watched, self.site.wage),
            "raters": await self._raters(),
            "clock": clock_of(watched.at),
            "stamp": stamp_of(watched.at),
        }

    async def _raters(self) -> list[RaterView]:
        watched = await self.watch.look()
        usual, at_work = watched.state.median_seconds, sum(one.votes > 0 for one in watched.raters)
        return [
            rater_view(rater, watched.at, doubts_about(rater, usual, at_work))
            for rater in watched.raters
        ]

    async def pause(self, request: Request, cookie: str) -> Response:
        """Pause or resume, as the button said."""
        fields = await self.site.form(request, cookie)
        to = fields.get("to")
        if to not in ("paused", "running"):
            raise Barred("unreadable")
        await self.site.store.ask(progress.pause, to == "paused")
        self.watch.forget()
        return RedirectResponse(f"/owner?said={to}", 303)

    # links

    async def invite(self, request: Request, cookie: str) -> Response:
        """Make invitation links and show them, this once."""
        fields = await self.site.form(request, cookie)
        once = once_of(fields)
        if once is None:
            raise Barred("unreadable")
        known = {rater.label for rater in await self._raters()}
        wish = wish_of(fields, known)
        if wish.problem and not self.once.knows(once):
            return await self._study_page(request, cookie, "", wish.problem, wish)
        until = self.site.clock() + wish.days * 86400
        return await self._links_page(
            request, once, until, lambda: invited(self.site, self._base(request), wish, until)
        )

    async def renew(self, request: Request, cookie: str) -> Response:
        """A new link for the same rater."""
        fields = await self.site.form(request, cookie)
        rater = await self._find(request)
        once = once_of(fields)
        if once is None:
            raise Barred("unreadable")
        until = self.site.clock() + DAYS * 86400
        base = self._base(request)
        try:
            return await self._links_page(
                request,
                once,
                until,
                lambda: renewed(self.site, base, rater.number, rater.label, until),
            )
        except InputError as error:  # forgotten, or of a crowd
            return await self._study_page(request, cookie, "", error.message)

    async def _links_page(
        self,
        request: Request,
        once: str,
        until: float,
        make: Callable[[], Awaitable[list[Invitation]]],
    ) -> Response:
        try:
            made = await self.once.made(once, make)
        except SentBefore:
            return self.site.page(request, "owner_sent.html.jinja", 409)
        self.watch.forget()
        return self.site.page(request, "owner_links.html.jinja", links=made, until=date_of(until))

    def _base(self, request: Request) -> str:
        return self.site.public_url or f"{request.url.scheme}://{request.url.netloc}"

    # one rater

    async def rater(self, request: Request, cookie: str) -> Response:
        """What there is to do about one rater."""
        return self.site.page(
            request,
            "owner_rater.html.jinja",
            rater=await self._find(request),
            csrf=self.site.csrf(cookie),
            once=new_once(),
        )

    async def sure(self, request: Request, cookie: str) -> Response:
        """Ask before a rater is revoked or forgotten."""
        return self.site.page(
            request,
            "owner_sure.html.jinja",
            rater=await self._find(request),
            what=request.url.path.rpartition("/")[2],
            csrf=self.site.csrf(cookie),
        )

    async def take_out(self, request: Request, cookie: str) -> Response:
        """Revoke or forget, with or without the votes."""
        fields = await self.site.form(request, cookie)
        rater = await self._find(request)
        what = request.url.path.rpartition("/")[2]
        votes = fields.get("votes")
        if votes not in ("keep", "discard"):
            raise Barred("unreadable")
        job = people.revoke if what == "revoke" else people.forget
        now = self.site.clock()
        await self.site.store.ask(job, rater.number, votes == "discard", now)
        self.watch.forget()
        said = _DONE[what] + ("-discarded" if votes == "discard" else "")
        return RedirectResponse(f"/owner?said={said}&rater={rater.number}", 303)

    async def _find(self, request: Request) -> RaterView:
        number = request.path_params["rater"]
        for rater in await self._raters():
            if rater.number == number:
                return rater
        raise HTTPException(404)

    # votes

    async def csv(self, request: Request, cookie: str) -> Response:
        """The study's votes as a table."""
        data = await self.site.store.see(lambda conn: votes_csv(progress.votes(conn)))
        return _download(data, "votes.csv", "text/csv; charset=utf-8")

    async def jsonl(self, request: Request, cookie: str) -> Response:
        """The study's votes as JSON lines."""
        data = await self.site.store.see(lambda conn: votes_jsonl(progress.votes(conn)))
        return _download(data, "votes.jsonl", "application/x-ndjson")


def _begin_once(conn: Connection, link: str, cookie: str, now: float) -> None:
    try:
        people.owner_of(conn, cookie, now)
    except Refused:
        people.begin_owner(conn, link, cookie, now)


def _said(request: Request) -> str:
    """What the last action did; the words are ours, whatever the address says."""
    words = _SAID.get(request.query_params.get("said", ""), "")
    rater = request.query_params.get("rater", "")
    if "{rater}" in words and not (rater.isascii() and rater.isdigit()):
        return ""
    return words.format(rater=f"r{rater}")


def _download(data: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=kind, headers=headers)
