"""The real pages on a real store, and browsers without scripts that walk through them."""

import re
import time
from html.parser import HTMLParser

from starlette.testclient import TestClient

from raters.packets import small_packet
from veneer.raters.server.app import create_app
from veneer.raters.server.links import hash_of, new_link
from veneer.raters.store import open_store
from veneer.raters.store.people import invite

__all__ = ["Form", "Study", "forms", "heading"]


class Study:
    """A packet in `folder`, its store, its pages; `said` goes to create_app."""

    def __init__(self, folder, *, lease_seconds=1800.0, pairs=3, ratings=3, outputs=None, **said):
        self.packet = small_packet(folder / "packet", pairs=pairs, ratings=ratings, outputs=outputs)
        url = f"sqlite:///{folder}/votes.db"
        self.store = open_store(url, self.packet, lease_seconds=lease_seconds)
        self.app = create_app(self.store, self.packet, **said)
        self.site = self.app.state.site
        self.https = (said.get("public_url") or "").startswith("https")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.store.close()

    def browser(self):
        base = "https://testserver" if self.https else "http://testserver"
        return TestClient(self.app, base, raise_server_exceptions=False)

    def invited(self, label="a", seconds=3600.0):
        """A new rater's number and link."""
        link, now = new_link(self.store.secret, "rater"), time.time()
        rater = self.store.now(invite, label, hash_of(link), now + seconds, now)
        return rater, f"/i/{link}"

    def at_work(self, label="a"):
        """A browser in which an invited rater pressed Start, and the first pair's page."""
        browser = self.browser()
        page = browser.get(self.invited(label)[1])
        return browser, forms(page)[-1].send(browser)


class Form:
    """A form of a page: its address and fields."""

    def __init__(self, page, attrs):
        self.page = page
        self.action = attrs.get("action") or page.url.path
        self.fields, self.choices = {}, {}

    def send(self, browser, *, headers=None, follow=True, **fields):
        data = {**self.fields, **fields}
        return browser.post(self.action, data=data, headers=headers, follow_redirects=follow)


class _Forms(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.page, self.found, self.area = page, [], None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            assert attrs["method"] == "post"
            self.found.append(Form(self.page, attrs))
        elif tag == "input":
            self.found[-1].fields[attrs["name"]] = attrs["value"]
        elif tag == "textarea":
            self.area = attrs["name"]
            self.found[-1].fields[self.area] = ""

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.area = None

    def handle_data(self, data):
        if self.area:
            self.found[-1].fields[self.area] += data


def forms(page):
    """The forms of a page, in order. On a rating page the last is the vote."""
    reader = _Forms(page)
    reader.feed(page.text)
    return reader.found


def heading(page):
    return re.search(r"<h1[^>]*>(.*?)</h1>", page.text)[1]
