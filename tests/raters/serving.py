"""Studies that are served for tests: a packet fit for pictures, a server, raters, a browser."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from fastapi import FastAPI
from packets import STUDENT, TEACHER, facts_of
from playwright.sync_api import Browser, sync_playwright

from veneer.raters.packet import Packet, write_packet
from veneer.raters.server import links
from veneer.raters.server.app import create_app
from veneer.raters.store import Store, open_store, people, voting
from veneer.raters.store.terms import Assigned
from veneer.records import PairKey, RatedPair

TEXTS = [
    (
        "Explain in two sentences why the sky is blue.",
        "Sunlight is a mix of colours, and the air scatters blue light far more than red. So blue reaches your eyes from every direction of the sky.",
        "The sky is blue because it reflects the colour of the sea.",
    ),
    (
        "Which is best to visit in March: Oslo, Lisbon or Athens? Compare them.",
        """| City | Usual high | Rain | Good for |
|---|---|---|---|
| Oslo | 4 °C | some snow | skiing close by |
| Lisbon | 18 °C | a few showers | long walks, the coast |
| Athens | 17 °C | rare | ruins without the crowds |

**Lisbon or Athens.** Choose Athens for the ruins, Lisbon if you want the sea.""",
        """All three cities are beautiful. Oslo is the capital of Norway, Lisbon is the capital of Portugal and Athens is the capital of Greece.

In March the weather in Oslo is cold, while it is warmer in Lisbon and Athens. It depends on what you like.""",
    ),
    (
        "How do I rename many files at once so that spaces become dashes?",
        """In a terminal, inside the folder:

```sh
for file in *\\ *; do
  mv -n -- "$file" "${file// /-}"
done
```

`-n` never overwrites a file that is already there.""",
        """You can use the `rename` command, for example `rename 's/ /-/g' *`. It changes all spaces to dashes in all of the names.

> Not every system has this command.""",
    ),
    (
        "I have half an hour every morning. Suggest a simple routine that helps me wake up.",
        """Here is a calm half hour:

1. **Drink a glass of water** as soon as you are up.
2. **Open the window** and breathe slowly for two minutes.
3. **Stretch** your neck, shoulders and legs (10 minutes).
4. **Walk** around the block, without your phone (15 minutes).

Keep the order the same every day: after a week you will do it without thinking.""",
        """A morning routine is very important for your health and it can help you wake up:

- Wake up early
- Drink coffee
- Do some exercise
- Eat a good breakfast
- Plan your day

In summary, a morning routine is important, and everyone should find the one that works best.""",
    ),
]
"""Prompt, output 1, output 2: our own words, with a list, a table, code and a quotation."""


def picture_packet(folder: Path, *, pairs: int = 24, gold: int = 4, ratings: int = 3) -> Packet:
    """A packet whose pages look like those of a real study, in `folder`, which it makes."""
    rows, keys = [], []
    for n in range(pairs + gold):
        prompt, one, two = TEXTS[n % len(TEXTS)]
        if n >= len(TEXTS):
            prompt = f"{prompt} (Once more, in other words: {n // len(TEXTS)}.)"
        item = f"{(n * 2654435761 + 777) % 16**10:010x}"
        rows.append(RatedPair(item=item, prompt=prompt, output_1=one, output_2=two))
        first, second = (STUDENT, TEACHER) if n % 2 else (TEACHER, STUDENT)
        keys.append(PairKey(item=item, first=first, second=second, gold=1 if n >= pairs else None))
    facts = facts_of(pairs, gold, ratings)
    return write_packet(folder, facts, rows, keys, [])


@contextmanager
def running(app) -> Iterator[str]:
    """Serve an application on a free port of this machine, in a thread; its address."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


@dataclass
class Served:
    """A study that is served: its packet, store, application and address."""

    packet: Packet
    store: Store
    app: FastAPI
    address: str

    def invite(self, label: str = "", now: float | None = None) -> str:
        """The path of a new rater's link."""
        now = time.time() if now is None else now
        token = links.new_link(self.store.secret, "rater")
        self.store.now(people.invite, label, links.hash_of(token), now + 86400, now)
        return f"/i/{token}"

    def owner_link(self) -> str:
        """The path of a new owner's link; the one before ends."""
        token = links.new_link(self.store.secret, "owner")
        self.store.now(people.set_owner, links.hash_of(token))
        return f"/o/{token}"

    def owner_cookie(self) -> dict[str, str]:
        """The cookie of a browser that is the owner's."""
        token = self.owner_link().rpartition("/")[2]
        cookie = links.new_cookie(self.store.secret, token)
        hashes = links.hash_of(token), links.hash_of(cookie)
        self.store.now(people.begin_owner, *hashes, time.time())
        return {"owner": cookie}


@contextmanager
def studied(packet: Packet, folder: Path, url: str | None = None, **settings) -> Iterator[Served]:
    """Serve a packet's study with a store in `folder` (or at `url`); `settings` of `create_app`."""
    store = open_store(url or f"sqlite:///{folder}/votes.db", packet)
    app = create_app(store, packet, **settings)
    try:
        with running(app) as address:
            yield Served(packet, store, app, address)
    finally:
        store.close()


Judge = Callable[[RatedPair, int], tuple[int, float, str]]
"""How one rates: (pair, which of theirs) to choice, seconds, reason."""


def rated(served: Served, label: str, judge: Judge, count: int, now: float) -> float:
    """Let a rater give `count` votes by the store itself from `now` on; when they were done."""
    cookie = links.hash_of(f"cookie of {label}")
    link = links.hash_of(served.invite(label, now).rpartition("/")[2])
    served.store.now(people.begin, link, cookie, now)
    _, assigned = served.store.now(voting.seen_now, cookie, now)
    for n in range(count):
        if not isinstance(assigned, Assigned):
            break
        choice, seconds, reason = judge(served.packet.by_id[assigned.item], n)
        now += seconds
        _, assigned = served.store.now(
            voting.vote_and_next, cookie, assigned.item, choice, reason, now
        )
    return now


@contextmanager
def browsing() -> Iterator[Browser]:
    """A headless Chromium. While it is open no other event loop can run in this thread."""
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()
