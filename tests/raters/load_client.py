"""Simulated raters: over HTTP what a browser with JavaScript does, votes known beforehand.

    people = [Rater(name, path, address, tally) for name, path in links]
    asyncio.run(rate(people, per_second=350))    # opens the links, then votes until all is rated

The choice of a rater on an item is a hash of both, so that what a store holds can be checked
against what was sent. With an offered rate each vote is due at a moment that does not depend on
how the server does (an open loop), and its latency counts from that moment until the whole answer
is read; without one, raters vote as fast as they are answered (a closed loop). A vote whose answer
is lost, late, or says that the server cannot take it now is sent again, as by a person who presses
again. Only the standard library is used: the client must cost less than what it measures.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

PATIENCE = 30.0  # seconds until a browser gives an answer up; htmx is told the same
MOMENT = 0.2  # seconds until a person presses again
LATER = 0.3  # seconds until a page that says "later" is loaded again; browsers wait for 60

_FIELD = re.compile(r'name="(item|csrf)" value="([^"]*)"')
_ASSET = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_START = '<form method="post">'  # of the welcome, whose address is the form's
_NOT_NOW = {423, 429, 500, 502, 503, 504}


class Lost(Exception):
    """No whole answer came: the connection broke, or patience ended."""


@dataclass(frozen=True)
class Answer:
    """One answer. Header names are in small letters; of equal ones the last is kept."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def fields(self) -> dict[str, str]:
        """Item and token of the page's form for a vote; of equal names the last."""
        return dict(_FIELD.findall(self.text))


@dataclass(frozen=True)
class Voted:
    """A vote that the server acknowledged; times are of `time.monotonic()`."""

    rater: str
    item: str
    choice: int
    due: float
    acknowledged: float

    @property
    def latency(self) -> float:
        """Seconds from the moment the vote was due until its answer was read."""
        return self.acknowledged - self.due


@dataclass
class Tally:
    """What all raters did."""

    voted: list[Voted] = field(default_factory=list)
    sent: dict[tuple[str, str], int] = field(default_factory=dict)
    """Every vote that was sent at least once: (rater, item) to the choice."""
    retries: Counter[str] = field(default_factory=Counter)
    """Votes and pages asked for again, by what came instead of an answer."""
    refused: Counter[int] = field(default_factory=Counter)
    """Votes that the server refused for good, by status; the rater went on with their pair."""


def choice_of(rater: str, item: str) -> int:
    """How this rater votes on this item: 0, 1 or 2."""
    return zlib.crc32(f"{rater}/{item}".encode()) % 3


class Browser:
    """One connection and its cookies."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port
        self.cookies: dict[str, str] = {}
        self.cached: set[str] = set()
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def visit(self, path: str) -> Answer:
        """A page by its address, with what it loads beside itself; redirections are followed."""
        answer = await self._ask("GET", path)
        if answer.status == 303:
            return await self.visit(answer.headers["location"])
        for asset in set(_ASSET.findall(answer.text)) - self.cached:
            if (await self._ask("GET", asset)).status == 200:
                self.cached.add(asset)
        return answer

    async def submit(self, path: str, form: dict[str, str]) -> Answer:
        """A form without JavaScript; redirections are followed."""
        answer = await self._ask("POST", path, form, "Origin: null\r\n")
        return await self.visit(answer.headers["location"]) if answer.status == 303 else answer

    async def post(self, path: str, form: dict[str, str]) -> Answer:
        """A form through htmx: the answer is the next page's part."""
        own = f"http://{self.host}:{self.port}"
        more = (
            f"Origin: {own}\r\nHX-Request: true\r\nHX-Target: main\r\n"
            f"HX-Current-URL: {own}/rate\r\n"
        )
        return await self._ask("POST", path, form, more)

    async def _ask(
        self, method: str, path: str, form: dict[str, str] | None = None, more: str = ""
    ) -> Answer:
        body = urlencode(form) if form is not None else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        head += "Accept: text/html\r\nSec-Fetch-Site: same-origin\r\n" + more
        if self.cookies:
            head += f"Cookie: {'; '.join(f'{k}={v}' for k, v in self.cookies.items())}\r\n"
        if form is not None:
            head += "Content-Type: application/x-www-form-urlencoded\r\n"
            head += f"Content-Length: {len(body)}\r\n"
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(f"{head}\r\n{body}".encode())
        except TimeoutError as error:
            self.close()
            raise Lost("no answer in time") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Lost(type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _exchange(self, request: bytes) -> Answer:
        if self._pipe is None:
            self._pipe = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._pipe
        writer.write(request)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
            if name.lower() == "set-cookie":
                key, _, kept = value.partition(";")[0].partition("=")
                if kept:
                    self.cookies[key] = kept
                else:
                    self.cookies.pop(key, None)
        text = (await reader.readexactly(int(headers["content-length"]))).decode()
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(lines[0].split(" ")[1]), headers, text)

    def close(self) -> None:
        """Close the connection; the cookies stay."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe[1].transport.abort()


class Rater:
    """A person with an invitation. `page` is what they see: a pair, or that none is left."""

    def __init__(self, name: str, path: str, address: str, tally: Tally) -> None:
        """`name`: the rater's number in the study, as "r7"; `path`: their link's, /i/…"""
        self.name, self.path, self.tally = name, path, tally
        self.reason = ""
        self.browser = Browser(address)
        self.page = Answer(0, {}, "")

    @property
    def item(self) -> str | None:
        """The pair in hand; None when there is none."""
        return self.page.fields.get("item")

    @property
    def waiting(self) -> bool:
        """Whether the page says that a pair may come later."""
        return self.item is None and 'http-equiv="refresh"' in self.page.text

    async def begin(self) -> None:
        """Open the link, press its button, see the first pair; again until it works."""
        while True:
            try:
                page = await self.browser.visit(self.path)
                if page.status == 200 and _START in page.text:
                    page = await self.browser.submit(self.path, {"csrf": page.fields["csrf"]})
            except Lost as lost:
                await self._again(str(lost))
                continue
            if page.status == 200:
                self.page = page
                return
            if page.status not in _NOT_NOW:
                raise AssertionError(f"{self.name}: {self.path[:4]}… answered {page.status}")
            await self._again(str(page.status))

    async def look(self) -> None:
        """Load the rating page; again until it comes."""
        while True:
            try:
                page = await self.browser.visit("/rate")
            except Lost as lost:
                await self._again(str(lost))
                continue
            if page.status == 200:
                self.page = page
                return
            if page.status not in _NOT_NOW:
                raise AssertionError(f"{self.name}: /rate answered {page.status}")
            await self._again(str(page.status))

    async def vote(self, due: float) -> None:
        """Vote on the pair in hand, again until it is acknowledged or refused for good."""
        form = self.form()
        while True:
            try:
                answer = await self.send(form, due)
            except Lost as lost:
                await self._again(str(lost))
                continue
            if answer.status not in _NOT_NOW:
                break
            await self._again(str(answer.status))
        if answer.status != 200:
            self.tally.refused[answer.status] += 1
        if answer.status == 200 and "hx-redirect" not in answer.headers:
            self.page = answer
        else:
            await self.look()

    def form(self) -> dict[str, str]:
        """The form of the pair in hand, filled in."""
        fields = self.page.fields
        choice = choice_of(self.name, fields["item"])
        return {**fields, "reason": self.reason, "choice": str(choice)}

    async def send(self, form: dict[str, str], due: float | None = None) -> Answer:
        """Send a form once; what came back.

        Raises:
            Lost: nothing did.
        """
        sent, item, choice = time.monotonic(), form["item"], int(form["choice"])
        self.tally.sent[self.name, item] = choice
        answer = await self.browser.post("/rate", form)
        if answer.status == 200:
            due, now = sent if due is None else due, time.monotonic()
            self.tally.voted.append(Voted(self.name, item, choice, due, now))
        return answer

    async def _again(self, why: str) -> None:
        self.tally.retries[why] += 1
        await asyncio.sleep(MOMENT * random.uniform(0.5, 1.5))


async def rate(
    people: Sequence[Rater], *, per_second: float | None = None, begin: bool = True, seed: int = 0
) -> float:
    """All raters at work until no pair is left; returns when voting began (`time.monotonic()`).

    Args:
        people: who rates.
        per_second: votes that are due a second, of all together; None for a closed loop.
        begin: open the links first, all before the first vote is due.
        seed: of the moments at which votes are due.
    """
    if begin:
        await asyncio.gather(*(person.begin() for person in people))
    start = time.monotonic()
    pause = len(people) / per_second if per_second else None
    await asyncio.gather(
        *(_at_work(p, start, pause, random.Random(f"{seed}/{p.name}")) for p in people)
    )
    return start


async def _at_work(person: Rater, start: float, pause: float | None, draw: random.Random) -> None:
    """One rater; a vote is due every `pause` seconds, between half and one and a half of it."""
    due = start + (draw.uniform(0, pause) if pause else 0)
    while True:
        if person.item is not None:
            if pause is None:
                due = time.monotonic()
            await asyncio.sleep(due - time.monotonic())
            await person.vote(due)
            due += draw.uniform(0.5, 1.5) * pause if pause else 0
        elif person.waiting:
            await asyncio.sleep(LATER)
            await person.look()
            due = max(due, time.monotonic())
        else:
            person.browser.close()
            return
