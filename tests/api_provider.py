"""The provider behind the test server: who may ask, how fast, what goes wrong, what it costs."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import api_answers as words
from api_batches import Batches
from api_http import Request, Reset, Response, http, reply
from api_limits import Limit

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Options:
    """How the server behaves. Times in seconds, prices in USD per million tokens."""

    key: str = ""  # the only key accepted; "" accepts all
    models: str = ""  # comma-separated; "" serves any
    price_in: float = 1.0
    price_out: float = 4.0
    quota_usd: float = 0.0  # 429 insufficient_quota once so much is billed; 0 for no end
    latency: float = 0.0  # median time to the first byte
    latency_sigma: float = 0.0  # of its logarithm
    slow_share: float = 0.0  # of answers whose first byte takes `slow_seconds`
    slow_seconds: float = 5.0
    limit: str = "none"  # none, bucket, sliding, fixed60, fixed1
    requests_per_minute: float = 0.0  # 0 for no limit
    tokens_per_minute: float = 0.0
    burst: float = 1.0  # a bucket's size, in seconds' worth
    window: float = 60.0  # of sliding and fixed60
    limit_headers: bool = True  # x-ratelimit-*
    retry_after: str = "both"  # both, seconds, ms, none
    counts_rejected: bool = False  # a 429 counts against the limit
    seed: int = 0
    p_500: float = 0.0
    p_503: float = 0.0
    p_reset_before: float = 0.0  # connection reset before anything is answered or billed
    p_reset_mid: float = 0.0  # reset in the middle of a billed answer
    p_stall: float = 0.0
    stall_seconds: float = 30.0
    p_empty_choices: float = 0.0
    p_malformed: float = 0.0  # HTTP 200 whose body is not JSON
    p_wrong_id: float = 0.0  # in batches: a custom_id nobody gave
    p_missing_id: float = 0.0
    p_content_filter: float = 0.0
    p_refusal: float = 0.0
    p_empty: float = 0.0
    honours_idempotency: bool = False
    bills_disconnected: bool = True
    ignores_n: bool = False
    ignores_logprobs: bool = False
    unsupported: str = ""  # comma-separated fields answered with HTTP 400
    batch_validating: float = 0.0
    batch_running: float = 0.2
    batch_finalizing: float = 0.0
    batch_p_failed: float = 0.0  # lines answered with an error
    batch_fails: int = 0  # so many batches fail at validation
    batch_expires: int = 0  # so many batches expire …
    batch_expires_share: float = 0.5  # … with this share of their lines answered
    batch_max_requests: int = 50_000
    batch_max_bytes: int = 200_000_000
    batch_pages: int = 20  # batches in one page of the list
    batch_create_resets: int = 0  # so many batches are created without the client learning of it
    download_resets: int = 0  # so many downloads end in the middle


FAULTS = ("500", "503", "reset_before", "reset_mid", "stall", "empty_choices", "malformed")
FAULTS += ("wrong_id", "missing_id", "content_filter", "refusal", "empty")
ENDINGS = ("content_filter", "refusal", "empty")


class Server:
    """The state behind the endpoints."""

    def __init__(self, options: Options) -> None:
        self.start = time.monotonic()
        self.billed: list[dict[str, Any]] = []
        self.usd = 0.0
        self.rejected: list[float] = []
        self.arrived: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.known: dict[str, asyncio.Future[dict[str, Any] | None]] = {}
        self.working = self.most_working = 0
        self.use(options)
        self.batches = Batches(self)

    def use(self, options: Options) -> None:
        self.options = o = options
        self.limits = {
            what: Limit(o.limit, rate, o.burst, o.window)
            for what, rate in (
                ("requests", o.requests_per_minute),
                ("tokens", o.tokens_per_minute),
            )
            if o.limit != "none" and rate
        }

    def now(self) -> float:
        return time.monotonic() - self.start

    # ---- requests ----

    async def answer(self, request: Request) -> Response:
        path = request.path.split("?")[0]
        if path == "/ledger":
            return reply(200, self.ledger())
        if path == "/options":
            self.use(replace(self.options, **json.loads(request.body)))
            return reply(200, {})
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.options.key and given != self.options.key:
            return reply(401, words.wrong_key(given))
        if path == CHAT and request.method == "POST":
            return await self.chat(request)
        if path == "/v1/models":
            names = [m for m in self.options.models.split(",") if m]
            data = [{"id": m, "object": "model", "created": 0, "owned_by": "test"} for m in names]
            return reply(200, {"object": "list", "data": data})
        if path.startswith(("/v1/files", "/v1/batches")):
            return self.batches.answer(request)
        return reply(404, words.error(f"Invalid URL ({request.method} {path})", "invalid_request"))

    def ledger(self) -> dict[str, Any]:
        """What was asked, answered and billed. Times are seconds since the server's start."""
        self.batches.settle()
        return {
            "billed": self.billed,
            "usd": self.usd,
            "requests": len(self.arrived),
            "arrived": self.arrived,
            "rejected": self.rejected,
            "statuses": self.statuses,
            "faults": self.faults,
            "most_working": self.most_working,
            "batches": self.batches.list(),
        }

    async def chat(self, request: Request) -> Response:
        now = self.now()
        self.arrived.append(now)
        try:
            body = json.loads(request.body)
        except ValueError:
            return reply(400, words.error("We could not parse the JSON body.", "invalid_request"))
        problem = self.problem(body)
        if problem:
            return problem
        headers, refused = self.admit(body, now)
        if refused:
            return refused
        if self.options.quota_usd and self.usd >= self.options.quota_usd:
            return reply(429, words.no_quota())
        key = words.sha(body)
        fault = self.fault(key, self.attempts[key])
        self.attempts[key] += 1
        if fault:
            self.faults[fault] += 1
        if fault in ("500", "503"):
            return reply(int(fault), words.broken_server(int(fault)), **headers)
        if fault == "reset_before":
            raise Reset
        self.working += 1
        self.most_working = max(self.most_working, self.working)
        try:
            made = await self.made_once(request, body, key, fault)
        finally:
            self.working -= 1
        if made is None:
            raise Reset
        if "error" in made:
            return reply(400, made, **headers)
        made, headers = dict(made), {**headers, "x_request_id": "req_" + made["id"][9:]}
        if fault == "empty_choices":
            made["choices"] = []
        elif fault == "wrong_id":
            made["id"] = "chatcmpl-of-somebody-else"
        elif fault == "missing_id":
            del made["id"]
        text = json.dumps(made).encode()
        if fault == "malformed":
            return reply(200, text[: len(text) // 2] + b"<html>upstream", **headers)
        if fault == "reset_mid":
            raise Reset(http(200, {}, text)[: -len(text) // 2])
        return reply(200, text, **headers)

    async def made_once(
        self, request: Request, body: dict[str, Any], key: str, fault: str
    ) -> dict[str, Any] | None:
        """The answer; one with a known idempotency key is the one made before, unbilled."""
        once = request.headers.get("idempotency-key", "")
        if not (once and self.options.honours_idempotency):
            return await self.make(request, body, key, fault)
        while once in self.known:
            made = await asyncio.shield(self.known[once])
            if made is not None:
                return made
        future = self.known[once] = asyncio.get_running_loop().create_future()
        made = None
        try:
            made = await self.make(request, body, key, fault)
        finally:
            if made is None or "error" in made:
                del self.known[once]
            future.set_result(made)
        return made

    async def make(
        self, request: Request, body: dict[str, Any], key: str, fault: str
    ) -> dict[str, Any] | None:
        """Think, then answer and bill. None when the client hung up and that is not billed."""
        o = self.options
        draw = words.uniform("latency", o.seed, key, self.attempts[key])
        wait = o.latency
        if wait and o.latency_sigma:
            normal = statistics.NormalDist().inv_cdf(min(max(draw, 1e-6), 1 - 1e-6))
            wait *= math.exp(o.latency_sigma * normal)
        if words.uniform("slow", o.seed, key, self.attempts[key]) < o.slow_share:
            wait = o.slow_seconds
        wait += o.stall_seconds if fault == "stall" else 0.0
        if wait:
            await asyncio.sleep(wait)
        if request.gone() and not o.bills_disconnected:
            return None
        ending = words.asked_ending(body["messages"]) or (fault if fault in ENDINGS else "")
        if ending.startswith("400"):
            return words.refused_prompt(ending, body["messages"])
        made = self.complete(body, ending)
        self.bill(made, body, key, request.headers.get("idempotency-key", ""), 1.0)
        return made

    def complete(self, body: dict[str, Any], ending: str) -> dict[str, Any]:
        o = self.options
        number = f"chatcmpl-{len(self.billed):08d}"
        return words.completion(
            body, number, int(time.time()), ending, o.ignores_n, not o.ignores_logprobs
        )

    def bill(
        self, made: dict[str, Any], body: dict[str, Any], key: str, once: str, share: float
    ) -> None:
        usage, o = made["usage"], self.options
        usd = usage["prompt_tokens"] * o.price_in + usage["completion_tokens"] * o.price_out
        self.usd += share * usd / 1e6
        self.billed.append(
            {
                "id": made["id"],
                "prompt": words.text_of(body["messages"][-1].get("content")),
                "key": key,
                "time": self.now(),
                "prompt_tokens": usage["prompt_tokens"],
                "completion_tokens": usage["completion_tokens"],
                "usd": share * usd / 1e6,
                "idempotency_key": once,
                "batch": share < 1,
            }
        )

    def fault(self, key: str, attempt: int) -> str:
        """At most one fault for this attempt at this request, by its content: they end."""
        draw = words.uniform("fault", self.options.seed, key, attempt)
        for name in FAULTS:
            draw -= getattr(self.options, f"p_{name}")
            if draw < 0:
                return name
        return ""

    def problem(self, body: Any) -> Response | None:
        """What is wrong with a request before anything is spent on it."""
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not messages or "model" not in body:
            text = "Missing required parameter: 'messages'."
            return reply(400, words.error(text, "invalid_request_error", param="messages"))
        if self.options.models and body["model"] not in self.options.models.split(","):
            return reply(404, words.no_model(body["model"]))
        for name in self.options.unsupported.split(","):
            if name and name in body:
                more = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                text = f"Unsupported parameter: '{name}' is not supported with this model.{more}"
                kind, code = "invalid_request_error", "unsupported_parameter"
                return reply(400, words.error(text, kind, code, name))
        return None

    def admit(self, body: dict[str, Any], now: float) -> tuple[dict[str, str], Response | None]:
        """The rate limit headers, and the HTTP 429 for what comes too fast."""
        if not self.limits:
            return {}, None
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        costs = {
            "requests": 1.0,
            "tokens": words.prompt_tokens(body["messages"]) + most * (body.get("n") or 1),
        }
        waits = {what: limit.wait(now, costs[what]) for what, limit in self.limits.items()}
        what = max(waits, key=lambda w: waits[w])
        wait = waits[what]
        if wait <= 0 or self.options.counts_rejected:
            for name, limit in self.limits.items():
                limit.take(now, costs[name])
        headers = {}
        if self.options.limit_headers:
            for name, limit in self.limits.items():
                headers[f"x_ratelimit_limit_{name}"] = f"{limit.per_minute:.0f}"
                headers[f"x_ratelimit_remaining_{name}"] = f"{int(limit.left(now))}"
                headers[f"x_ratelimit_reset_{name}"] = words.span(limit.reset(now))
        if wait <= 0:
            return headers, None
        self.rejected.append(now)
        if self.options.retry_after in ("both", "seconds"):
            headers["retry_after"] = str(math.ceil(wait))
        if self.options.retry_after in ("both", "ms"):
            headers["retry_after_ms"] = str(math.ceil(wait * 1000))
        told = self.limits[what].per_minute
        return headers, reply(
            429, words.too_fast(body["model"], what, told, costs[what], wait), **headers
        )
