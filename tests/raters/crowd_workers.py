"""A crowd at work on the real pages: a server, and browsers that walk through it without scripts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
import uvicorn
from mturk_rules import Worker
from mturk_server import Assignment, FakeTurk, Hit

from veneer.raters.server.app import create_app
from veneer.raters.server.limits import Rate
from veneer.raters.server.site import MTURK

FAST = Rate(10_000, 10_000)


@contextmanager
def served(store, packet, *, turk: FakeTurk | None = None, public_url=None) -> Iterator[str]:
    """The address of a veneer server on this machine; it takes `turk` for Mechanical Turk."""
    hosts = (*MTURK, turk.url) if turk else MTURK
    app = create_app(
        store, packet, public_url=public_url, frame_ancestors=hosts, votes=FAST, failed_links=FAST
    )
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.005)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(10)


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input" and self.forms and given.get("type") == "hidden":
            self.forms[-1].fields[given["name"]] = given["value"]
        elif tag == "button" and given.get("name") == "choice":
            self.forms[-1].choices.append(given["value"])


def forms(page: httpx.Response) -> dict[str, Form]:
    """The forms of a page by where they go."""
    found = _Forms()
    found.feed(page.text)
    return {form.action: form for form in found.forms}


class Browser:
    """A worker's browser: keeps cookies, follows redirects, runs no script."""

    def __init__(self) -> None:
        self.http = httpx.Client(follow_redirects=True, trust_env=False)
        self.seen: list[str] = []  # items, in the order shown

    def come_in(self, url: str) -> httpx.Response:
        """Open an entrance and press its button."""
        page = self.http.get(url)
        assert page.status_code == 200, page.text
        return self.http.post(page.url, data=forms(page)[""].fields)

    def rate(
        self,
        page: httpx.Response,
        most: int | None = None,
        choose: Callable[[str], str] = lambda item: "1",
    ) -> httpx.Response:
        """Vote until no pair is shown, or `most` times; the page after that."""
        for _ in range(most) if most is not None else itertools.count():
            form = forms(page).get("/rate")
            if form is None:
                break
            assert form.choices == ["1", "0", "2"]
            self.seen.append(form.fields["item"])
            choice = choose(form.fields["item"])
            page = self.http.post(
                page.url.join("/rate"), data=form.fields | {"choice": choice, "reason": ""}
            )
            assert page.status_code == 200, page.text
        return page

    def hand_in(self, page: httpx.Response) -> None:
        """Press the last page's button, which posts to Mechanical Turk."""
        (form,) = [each for action, each in forms(page).items() if "externalSubmit" in action]
        assert self.http.post(form.action, data=form.fields).status_code == 200


@dataclass
class Turker:
    """A worker of the stand-in with a browser."""

    turk: FakeTurk
    worker: Worker
    browser: Browser = field(default_factory=Browser)

    def take(self) -> tuple[Hit, Assignment] | None:
        """Accept the first HIT that this worker sees."""
        hits = self.turk.seen_by(self.worker)
        return (hits[0], self.turk.accept(self.worker, hits[0])) if hits else None

    def work(self, choose: Callable[[str], str] = lambda item: "1") -> bool:
        """Take a HIT, rate all it asks for and hand it in; False where there is none."""
        taken = self.take()
        if taken is None:
            return False
        page = self.browser.come_in(self.turk.frame(*taken))
        self.browser.hand_in(self.browser.rate(page, choose=choose))
        return True
