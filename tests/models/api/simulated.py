"""Servers and clients in simulated time, for the limiter: an hour of traffic in a second."""

import heapq
import random
from dataclasses import dataclass

from api_limits import Limit


@dataclass
class Seen:
    """What the server saw: times of requests that it let through and that it refused."""

    accepted: list[float]
    refused: list[float]

    def share(self, rate, start, end):
        """Of what `rate` (a second) permits between two times, what was used."""
        return sum(start <= t < end for t in self.accepted) / (rate * (end - start))

    def refusals(self, start, end):
        return sum(start <= t < end for t in self.refused)


def simulate(
    limiter,
    limit: Limit,
    *,
    seconds,
    concurrency=64,
    latency=0.5,
    wire=0.002,
    jitter=0.002,
    told="",
    retry_after="seconds",
    offset=0.0,
    late=0.001,
    seed=0,
):
    """Drive `limiter` with `concurrency` workers against `limit` for some simulated seconds.

    `wire`: one way to the server; `jitter` on it and `late` on timers: uniform up to that.
    `offset`: the server's clock at the client's 0, so windows need not begin with us.
    """
    draw = random.Random(seed)
    events, order = [], 0
    seen = Seen([], [])
    free, waiting = concurrency, True
    base = 1000.0

    def push(time, kind, *more):
        nonlocal order
        order += 1
        heapq.heappush(events, (time, order, kind, more))

    push(base, "turn")
    while events:
        now, _, kind, more = heapq.heappop(events)
        if now > base + seconds:
            break
        if kind == "turn":
            if not free:
                waiting = False
                continue
            wait = limiter.wait(now, 10.0)
            if wait > 0:
                push(now + min(wait, 0.25) + draw.uniform(0, late), "turn")
                continue
            free -= 1
            push(now + wire + draw.uniform(0, jitter), "arrive", now)
            push(now + 1e-5, "turn")
        elif kind == "free":
            free += 1
            if not waiting:
                waiting = True
                push(now, "turn")
        elif kind == "arrive":
            clock = now - base + offset
            wait = limit.wait(clock, 1.0)
            headers = {}
            if told:
                headers["x-ratelimit-limit-requests"] = f"{limit.per_minute:.0f}"
                headers["x-ratelimit-reset-requests"] = f"{limit.reset(clock):.3f}s"
            if wait <= 0:
                limit.take(clock, 1.0)
                seen.accepted.append(now - base)
                think = latency * draw.uniform(0.5, 1.5)
                push(now + think + wire, "answer", more[0], headers)
            else:
                seen.refused.append(now - base)
                asked = {"seconds": -(-wait // 1), "ms": wait, "none": None, "one": 1.0}
                push(now + wire, "refusal", more[0], headers, asked[retry_after])
        else:
            limiter.told(now, more[1])
            if kind == "answer":
                limiter.answered(now, more[0])
                free += 1
            else:
                limiter.refused(now, more[0], more[2])
                push(now + (more[2] or draw.uniform(0.25, 0.5)), "free")
            if not waiting and free:
                waiting = True
                push(now, "turn")
    return seen
