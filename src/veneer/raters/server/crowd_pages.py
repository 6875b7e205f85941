"""A crowd's pages: the way in from Mechanical Turk or Prolific, and the way back.

Between them workers are on the same pages as everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from veneer.raters.crowds.entrances import campaign_of
from veneer.raters.crowds.prolific import completion_url
from veneer.raters.crowds.receipts import (
    FIELD,
    ID,
    SUBMIT_PATH,
    Way,
    assignment_hash,
    opened,
    receipt,
    sealed,
)
from veneer.raters.server.links import hash_of, new_cookie, opened_with, worker_hash
from veneer.raters.server.rater_pages import minutes_a_pair
from veneer.raters.server.refusals import Barred
from veneer.raters.server.security import cookie_header, form_of, widen
from veneer.raters.server.site import Site
from veneer.raters.store.crowds import Campaign, Kind, assignment, campaigns, enter
from veneer.raters.store.terms import Assigned, Refused
from veneer.raters.store.voting import seen_now

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
"""What Mechanical Turk gives as the assignment to a worker who has not accepted the HIT."""


@dataclass(frozen=True)
class Arrival:
    """Who comes through an entrance: the crowd's ids of the worker and of this assignment."""

    worker: str
    assignment: str
    submit_to: str = ""


def crowd_routes(site: Site) -> APIRouter:
    """GET and POST /c/{token}, and GET /finished."""
    router = APIRouter()
    pages = _CrowdPages(site)
    router.add_route("/c/{token}", pages.welcome, methods=["GET"])
    router.add_route("/c/{token}", pages.come_in, methods=["POST"])
    router.add_route("/finished", pages.finished, methods=["GET"])
    return router


class _CrowdPages:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.minutes = minutes_a_pair(site.packet)

    async def welcome(self, request: Request) -> Response:
        """What a crowd's link opens: the task to look at, or the button that begins it."""
        site, token = self.site, request.path_params["token"]
        campaign = await self._campaign(request, token)
        given = request.query_params
        if campaign.kind == "mturk" and given.get("assignmentId") == PREVIEW:
            return self._welcome(request, campaign, None)
        arrival = self._arrival(campaign.kind, given)
        if arrival is None:
            return self._note(request, campaign.kind, "parameters", 400)
        begun = assignment_hash(site.store.salt, campaign.kind, arrival.assignment)
        if not campaign.open and await site.store.see(assignment, begun) is None:
            raise Refused("closed")
        start = site.cookie(request, "start")
        if not start or not opened_with(site.store.secret, start, token):
            start = new_cookie(site.store.secret, token)
        page = self._welcome(request, campaign, _fields(campaign.kind, arrival), site.csrf(start))
        site.give_cookie(page, "start", start, framed=campaign.kind == "mturk")
        return page

    async def come_in(self, request: Request) -> Response:
        """The button: the worker gets a session, and the same one again for this assignment."""
        site, token = self.site, request.path_params["token"]
        campaign = await self._campaign(request, token)
        kind, framed = campaign.kind, campaign.kind == "mturk"
        start = site.cookie(request, "start")
        if not start or not opened_with(site.store.secret, start, token):
            tried = self._arrival(kind, await form_of(request))
            return self._note(request, kind, "cookie", 403, tried)
        fields = await site.form(request, start)
        arrival = self._arrival(kind, fields)
        if arrival is None:
            raise Barred("unreadable")
        key = assignment_hash(site.store.salt, kind, arrival.assignment)
        cookie = new_cookie(site.store.secret, key)
        session = await site.store.ask(
            enter,
            hash_of(token),
            worker_hash(site.store.salt, kind, arrival.worker),
            key,
            hash_of(cookie),
            site.clock(),
        )
        response = RedirectResponse("/rate", 303)
        site.give_cookie(response, "rater", cookie, framed=framed)
        if framed:
            way = sealed(site.store.secret, Way(session.id, arrival.assignment, arrival.submit_to))
            header = cookie_header(self._way_name, way, secure=site.secure, framed=True)
            response.headers.append("Set-Cookie", header)
        return response

    async def finished(self, request: Request) -> Response:
        """The last page: hands the work in, or says why it ends here."""
        site = self.site
        cookie = site.session(request)
        session, now = await site.store.ask(seen_now, hash_of(cookie), site.clock())
        if isinstance(now, Assigned) or session.campaign is None:
            return RedirectResponse("/rate", 303)
        kind: Kind = "mturk" if session.origin == "mturk" else "prolific"
        values: dict[str, str] = {}
        if kind == "mturk":
            carried = request.cookies.get(self._way_name, "")
            way = opened(site.store.secret, carried, session.id, site.frame_ancestors)
            if way is not None:
                key = assignment_hash(site.store.salt, kind, way.assignment)
                values = {
                    "action": way.submit_to + SUBMIT_PATH,
                    "assignment": way.assignment,
                    "field": FIELD,
                    "receipt": receipt(site.store.secret, key, session.voted),
                }
        elif session.voted:
            code = await site.store.see(_code, session.campaign)
            values = {"code": code, "action": completion_url(code)}
        page = site.page(
            request,
            "crowd_finished.html.jinja",
            kind=kind,
            why=now.why,
            voted=session.voted,
            whole=session.quota is not None and session.voted >= session.quota,
            way=values,
            csrf=site.csrf(cookie),
        )
        self._widen(request, kind, back=True)
        return page

    @property
    def _way_name(self) -> str:
        return "__Host-way" if self.site.secure else "way"

    def _widen(self, request: Request, kind: Kind, *, back: bool = False) -> None:
        """Mechanical Turk shows our pages in a frame; the last one posts to it (`back`)."""
        if kind == "mturk":
            hosts = self.site.frame_ancestors
            widen(request, frame_ancestors=hosts, form_action=hosts if back else ())

    async def _campaign(self, request: Request, token: str) -> Campaign:
        link = self.site.link(request, token, "crowd")
        return await self.site.store.see(campaign_of, link)

    def _arrival(self, kind: Kind, given: Mapping[str, str]) -> Arrival | None:
        """Who arrives, by the crowd's parameters; None when one is missing or no such thing.

        Mechanical Turk's say where to hand the work in: only its own sites are taken, or a page
        of ours could be made to send workers anywhere.
        """
        if kind == "prolific":
            found = Arrival(given.get("PROLIFIC_PID", ""), given.get("SESSION_ID", ""))
        else:
            back = given.get("turkSubmitTo", "").rstrip("/")
            found = Arrival(given.get("workerId", ""), given.get("assignmentId", ""), back)
            if back not in self.site.frame_ancestors or found.assignment == PREVIEW:
                return None
        named = ID.fullmatch(found.worker) and ID.fullmatch(found.assignment)
        return found if named else None

    def _welcome(
        self,
        request: Request,
        campaign: Campaign,
        fields: dict[str, str] | None,
        csrf: str = "",
    ) -> Response:
        self._widen(request, campaign.kind)
        return self.site.page(
            request,
            "crowd_welcome.html.jinja",
            kind=campaign.kind,
            pairs=campaign.per_session,
            checks=bool(self.site.packet.gold),
            minutes=max(1, round(campaign.per_session * self.minutes)),
            fields=fields,
            csrf=csrf,
        )

    def _note(
        self,
        request: Request,
        kind: Kind,
        why: str,
        status: int,
        arrival: Arrival | None = None,
    ) -> Response:
        self._widen(request, kind)
        here = request.url.path
        if arrival is not None:
            here += f"?{urlencode(_fields(kind, arrival))}"
        return self.site.page(
            request, "crowd_note.html.jinja", status, kind=kind, why=why, here=here
        )


def _fields(kind: Kind, arrival: Arrival) -> dict[str, str]:
    """The form's fields: the crowd's parameters, by its own names."""
    if kind == "prolific":
        return {"PROLIFIC_PID": arrival.worker, "SESSION_ID": arrival.assignment}
    return {
        "workerId": arrival.worker,
        "assignmentId": arrival.assignment,
        "turkSubmitTo": arrival.submit_to,
    }


def _code(conn: Connection, campaign: int) -> str:
    """The completion code of a campaign at Prolific."""
    return next(str(each.facts["code"]) for each in campaigns(conn) if each.id == campaign)
