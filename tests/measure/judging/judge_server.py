"""A judge behind a real endpoint whose verdicts are a known function of what he is shown.

He has a taste for quality (the hidden words "sound" and "vague" in answers), for a position and
for length, and sometimes he rambles or refuses. What he draws depends on the request and on which
sample of it this is (known by its idempotency key), so that it is the same in every run.
"""

import asyncio
import contextlib
import math
import re
import threading
from contextvars import ContextVar
from dataclasses import dataclass

from api_answers import tokens, uniform
from api_provider import Options, Server
from api_server import connection

PAIR_V2 = re.compile(
    r"\[The Start of Assistant A's Answer\]\n(.*)\n\[The End of Assistant A's Answer\]\n\n"
    r"\[The Start of Assistant B's Answer\]\n(.*)\n\[The End of Assistant B's Answer\]\Z",
    re.DOTALL,
)
VICUNA = re.compile(
    r"\[The Start of Assistant 1's Answer\]\n(.*)\n\n\[The End of Assistant 1's Answer\]\n\n"
    r"\[The Start of Assistant 2's Answer\]\n(.*)\n\n\[The End of Assistant 2's Answer\]\n\n",
    re.DOTALL,
)
ALPACA = re.compile(
    r'"model_1",\s+"answer": """(.*)"""\s.*"model_2",\s+"answer": """(.*)"""', re.DOTALL
)
RANKED = "[{{'model': 'model_1', 'rank': {}}}, {{'model': 'model_2', 'rank': {}}}]"
SAYINGS = {  # where the first answer is better, and where the second is
    PAIR_V2: ("The better answer is clear to me. My verdict: [[A]]", "I prefer B. [[B]]"),
    VICUNA: ("9 6.5\nThe first is better.", "3, 8\nThe second is better."),
    ALPACA: (RANKED.format(1, 2), RANKED.format(2, 1)),
}
TEXT = re.compile(r"\[The Start of the Text\]\n(.*)\n\[The End of the Text\]", re.DOTALL)

DRAWS = ContextVar("DRAWS")


@dataclass
class Taste:
    """Shares and strengths of a judge's habits.

    first: how often he takes the first answer without looking. length: log-odds for the longer
    answer, by tanh of the difference in hundreds of characters. quality: log-odds for "sound"
    over "vague"; infinite where he never errs.
    """

    first: float = 0.0
    length: float = 0.0
    quality: float = math.inf
    prose: float = 0.0
    refuses: float = 0.0


def verdict(taste, one, two, draw):
    """Whether the second answer wins; `draw(name)` is a number in [0, 1)."""
    if draw("first") < taste.first:
        return False
    better = ("sound" in two) - ("sound" in one)
    if math.isinf(taste.quality) and better:
        odds = taste.quality * better
    else:
        quality = 0.0 if math.isinf(taste.quality) else taste.quality * better
        odds = quality + taste.length * math.tanh((len(two) - len(one)) / 100)
    return draw("verdict") < 1 / (1 + math.exp(-min(odds, 700.0)))


class Judge(Server):
    """The test server, with a judge's words in its answers.

    Once it has billed `holds_after` requests it keeps its answers to itself.
    """

    def __init__(self, options, taste):
        super().__init__(options)
        self.taste = taste
        self.shown, self.bodies = [], []
        self.samples = {}
        self.holds_after = math.inf

    async def make(self, request, body, key, fault):
        known = self.samples.setdefault(key, [])
        once = request.headers["idempotency-key"]
        if once not in known:
            known.append(once)
        DRAWS.set((self.options.seed, key, known.index(once)))
        made = await super().make(request, body, key, fault)
        while len(self.billed) >= self.holds_after and not request.gone():
            await asyncio.sleep(0.002)  # billed, and nobody is told
        return made

    def complete(self, body, ending):
        def draw(name):
            return uniform(name, *DRAWS.get())

        asked = body["messages"][-1]["content"]
        self.shown.append(asked)
        self.bodies.append(body)
        if draw("refuses") < self.taste.refuses:
            ending = "refusal"
        made = super().complete(body, ending)
        message = made["choices"][0]["message"]
        if message["content"] is None:
            return made
        message["content"] = said = self.said(asked, draw)
        limit = body["max_tokens"]
        if tokens(said) > limit:
            message["content"] = said[: 4 * limit]
            made["choices"][0]["finish_reason"] = "length"
        made["usage"]["completion_tokens"] = tokens(message["content"])
        return made

    def said(self, asked, draw):
        if draw("prose") < self.taste.prose:
            return "Both have their merits, and I would not want to choose."
        for shape, sayings in SAYINGS.items():
            if pair := shape.search(asked):
                return sayings[verdict(self.taste, *pair.groups(), draw)]
        return "Authoritative." if "sound" in TEXT.search(asked)[1] else "not authoritative"


@contextlib.contextmanager
def judging(taste=None, **options):
    """(the judge, his address); he answers from a thread until the context ends."""
    judge = Judge(Options(honours_idempotency=True, **options), taste or Taste())
    loop = asyncio.new_event_loop()
    up = threading.Event()
    port = []

    async def serve():
        listening = await asyncio.start_server(
            lambda r, w: connection(judge, r, w), "127.0.0.1", 0, limit=2**22, backlog=1024
        )
        port.append(listening.sockets[0].getsockname()[1])
        up.set()
        await listening.serve_forever()

    async def until_stopped():
        judge.task = asyncio.ensure_future(serve())
        with contextlib.suppress(asyncio.CancelledError):
            await judge.task

    thread = threading.Thread(target=lambda: loop.run_until_complete(until_stopped()))
    thread.start()
    up.wait(10)
    try:
        yield judge, f"http://127.0.0.1:{port[0]}/v1"
    finally:
        loop.call_soon_threadsafe(judge.task.cancel)
        thread.join(10)
