"""A local server that speaks `comments:analyze` and `/v1/moderations`, and can be told to fail."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "k3y/with+signs-0123456789"
CATEGORIES = ("harassment", "hate", "self-harm", "sexual", "violence")

Fault = Callable[[int, list[str]], tuple[int, dict[str, str], Any] | None]


def score(text: str, name: str) -> float:
    """What this server thinks of a text: anything, but always the same."""
    return hashlib.sha256(f"{name} {text}".encode()).digest()[0] / 255


class ScoringServer:
    """`asked`: every text that was scored, in order. `fault(number, texts)` may answer instead."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self.asked: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, headers, said = outer.reply(self.path, dict(self.headers), body)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def reply(
        self, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, dict[str, str], Any]:
        comments = "comment" in body
        texts = [body["comment"]["text"]] if comments else body["input"]
        with self._lock:
            number = len(self.requests)
            self.times.append(time.monotonic())
            self.requests.append({"path": path, "headers": headers, "body": body})
            if (wrong := self.fault and self.fault(number, texts)) is not None:
                return wrong
            self.asked += texts
        if not comments:
            named = [{c: score(text, c) for c in CATEGORIES} for text in texts]
            return 200, {}, {"model": "m", "results": [{"category_scores": one} for one in named]}
        names = body["requestedAttributes"]
        values = {n: {"summaryScore": {"value": score(texts[0], n)}} for n in names}
        return 200, {}, {"attributeScores": values, "languages": ["en"]}

    def __enter__(self) -> ScoringServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
