"""The files and batches of the test server: validated, run, finalised, expired, cancelled.

A batch's state follows from the clock and the durations in the options; whoever asks moves it on.
"""

from __future__ import annotations

import json
import math
import re
import time
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import api_answers as words
from api_http import Request, Reset, Response, http, reply

if TYPE_CHECKING:
    from api_provider import Server

OPEN = ("validating", "in_progress", "finalizing", "cancelling")
LATE = "This request could not be executed before the completion window expired."


def missing(what: str, id: str) -> Response:
    return reply(404, words.error(f"No such {what} object: {id}", "invalid_request_error"))


def parts(request: Request) -> dict[str, tuple[str, bytes]]:
    """The fields of a multipart form: name → (file name, content)."""
    head = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    found: dict[str, tuple[str, bytes]] = {}
    for part in BytesParser().parsebytes(head + request.body).get_payload():
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = (part.get_filename() or "", part.get_payload(decode=True) or b"")
    return found


class Batches:
    """Files and batches, by id."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.work: dict[str, dict[str, Any]] = {}  # lines, results and times of each batch
        self.failing = self.expiring = self.created_resets = self.download_resets = 0

    def answer(self, request: Request) -> Response:
        url = urlsplit(request.path)
        _, _, kind, *rest = url.path.split("/")
        return {"files": self._files, "batches": self._batches}[kind](
            request, rest, parse_qs(url.query)
        )

    def list(self) -> list[dict[str, Any]]:
        return list(self.batches.values())

    # ---- files ----

    def _files(self, request: Request, rest: list[str], query: dict[str, Any]) -> Response:
        if not rest and request.method == "POST":
            form = parts(request)
            if form["purpose"][1] != b"batch":
                return reply(400, words.error("Invalid purpose.", "invalid_request_error"))
            return reply(200, self._store(*form["file"], "batch"))
        if not rest:
            return reply(200, self._page([f for f, _ in self.files.values()], query))
        if rest[0] not in self.files:
            return missing("File", rest[0])
        described, content = self.files[rest[0]]
        if request.method == "DELETE":
            del self.files[rest[0]]
            return reply(200, {"id": rest[0], "object": "file", "deleted": True})
        if rest[1:] != ["content"]:
            return reply(200, described)
        if self.download_resets < self.server.options.download_resets:
            self.download_resets += 1
            raise Reset(http(200, {}, content)[: -len(content) // 2])
        return reply(200, content)

    def _store(self, name: str, content: bytes, purpose: str) -> dict[str, Any]:
        described = {
            "id": f"file-{len(self.files):06d}{words.sha(name)[:6]}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[described["id"]] = (described, content)
        return described

    def _page(self, all: list[dict[str, Any]], query: dict[str, Any]) -> dict[str, Any]:
        newest = all[::-1]
        if "after" in query:
            ids = [entry["id"] for entry in newest]
            newest = newest[ids.index(query["after"][0]) + 1 :]
        size = min(int(query.get("limit", ["20"])[0]), self.server.options.batch_pages)
        page = newest[:size]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(newest) > size,
        }

    # ---- batches ----

    def _batches(self, request: Request, rest: list[str], query: dict[str, Any]) -> Response:
        self.settle()
        if not rest and request.method == "POST":
            return self._create(json.loads(request.body))
        if not rest:
            return reply(200, self._page(self.list(), query))
        batch = self.batches.get(rest[0])
        if batch is None:
            return missing("Batch", rest[0])
        if rest[1:] == ["cancel"] and request.method == "POST":
            if batch["status"] not in ("validating", "in_progress"):
                text = f"Cannot cancel a batch with status '{batch['status']}'."
                return reply(409, words.error(text, "invalid_request_error"))
            self._set(batch, "cancelling")
        return reply(200, batch)

    def _create(self, asked: dict[str, Any]) -> Response:
        file = self.files.get(asked["input_file_id"])
        if file is None:
            return missing("File", asked["input_file_id"])
        batch: dict[str, Any] = {
            "id": f"batch_{len(self.batches):06d}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "expires_at": int(time.time()) + 86400,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        self.batches[batch["id"]] = batch
        self.work[batch["id"]] = {"at": self.server.now(), "done": 0, "out": [], "bad": []}
        self.settle()
        if self.created_resets < self.server.options.batch_create_resets:
            self.created_resets += 1
            raise Reset
        return reply(200, batch)

    def _set(self, batch: dict[str, Any], status: str) -> None:
        batch["status"] = status
        batch[f"{status}_at"] = int(time.time())
        self.work[batch["id"]]["at"] = self.server.now()

    def settle(self) -> None:
        """Move every batch to where it stands by now."""
        for batch in self.batches.values():
            before = None
            while batch["status"] in OPEN and batch["status"] != before:
                before = batch["status"]
                self._step(batch)

    def _step(self, batch: dict[str, Any]) -> None:
        o, work = self.server.options, self.work[batch["id"]]
        past = self.server.now() - work["at"]
        if batch["status"] == "validating" and past >= o.batch_validating:
            self._validate(batch, work)
        elif batch["status"] == "in_progress":
            share = min(1.0, past / o.batch_running) if o.batch_running else 1.0
            late = work["expires"] and share >= o.batch_expires_share
            share = o.batch_expires_share if late else share
            self._run(batch, work, math.floor(share * len(work["lines"])))
            if late:
                for line in work["lines"][work["done"] :]:
                    error = {"code": "batch_expired", "message": LATE}
                    work["bad"].append(self._line(line["custom_id"], None, error))
                self._deliver(batch, work)
                self._set(batch, "expired")
            elif share >= 1:
                self._set(batch, "finalizing")
        elif batch["status"] == "finalizing" and past >= o.batch_finalizing:
            self._deliver(batch, work)
            self._set(batch, "completed")
        elif batch["status"] == "cancelling" and past >= o.batch_finalizing:
            self._deliver(batch, work)
            self._set(batch, "cancelled")

    def _validate(self, batch: dict[str, Any], work: dict[str, Any]) -> None:
        o = self.server.options
        content = self.files[batch["input_file_id"]][1]
        errors: list[dict[str, Any]] = []
        lines: list[dict[str, Any]] = []
        for number, text in enumerate(content.splitlines(), 1):
            try:
                line = json.loads(text)
                lines.append({k: line[k] for k in ("custom_id", "method", "url", "body")})
            except (ValueError, KeyError):
                errors.append(_invalid("invalid_json_line", "This line is not valid.", number))
        ids = [line["custom_id"] for line in lines]
        if len(set(ids)) < len(ids):
            errors.append(_invalid("duplicate_custom_id", "A custom_id is used twice."))
        if len({line["body"].get("model") for line in lines}) > 1:
            errors.append(_invalid("mismatched_model", "All requests must have the same model."))
        if any(line["url"] != batch["endpoint"] for line in lines):
            errors.append(_invalid("mismatched_endpoint", "A url differs from the endpoint."))
        if len(lines) > o.batch_max_requests or len(content) > o.batch_max_bytes:
            errors.append(_invalid("max_requests_exceeded", "The batch is too large."))
        if not lines:
            errors.append(_invalid("empty_file", "The input file is empty."))
        if self.failing < o.batch_fails:
            self.failing += 1
            text = "Enqueued token limit reached. Limit: 90,000 enqueued tokens."
            errors.append(_invalid("token_limit_exceeded", text))
        if errors:
            batch["errors"] = {"object": "list", "data": errors}
            self._set(batch, "failed")
            return
        work["lines"] = lines
        work["expires"] = self.expiring < o.batch_expires
        self.expiring += work["expires"]
        batch["request_counts"]["total"] = len(lines)
        self._set(batch, "in_progress")

    def _run(self, batch: dict[str, Any], work: dict[str, Any], upto: int) -> None:
        """Answer lines until `upto` of them are done; each answer is billed at half price."""
        server = self.server
        for line in work["lines"][work["done"] : upto]:
            body, key = line["body"], words.sha(line["body"])
            attempt = server.attempts[key]
            server.attempts[key] += 1
            name = line["custom_id"]
            if server.fault(key, attempt) == "wrong_id":
                name = f"nobody-{name}"
            problem = server.problem(body)
            asked = words.asked_ending(body["messages"]) if not problem else ""
            draw = words.uniform("line", server.options.seed, key, attempt)
            if problem:
                bad = (problem[0], json.loads(problem[2]))
            elif asked.startswith("400"):
                bad = (400, words.refused_prompt(asked, body["messages"]))
            elif draw < server.options.batch_p_failed:
                bad = (500, words.broken_server(500))
            else:
                made = server.complete(body, asked)
                server.bill(made, body, key, name, 0.5)
                work["out"].append(self._line(name, (200, made), None))
                continue
            work["bad"].append(self._line(name, bad, None))
        work["done"] = max(work["done"], upto)
        batch["request_counts"]["completed"] = len(work["out"])
        batch["request_counts"]["failed"] = len(work["bad"])

    def _line(
        self, name: str, response: tuple[int, Any] | None, error: dict[str, str] | None
    ) -> dict[str, Any]:
        id = words.sha(name)
        made = response and {"status_code": response[0], "request_id": id, "body": response[1]}
        return {"id": f"batch_req_{id}", "custom_id": name, "response": made, "error": error}

    def _deliver(self, batch: dict[str, Any], work: dict[str, Any]) -> None:
        """Write the output and the error file, in an order of their own."""
        for field, lines in (("output_file_id", work["out"]), ("error_file_id", work["bad"])):
            if lines:
                mixed = sorted(lines, key=lambda line: words.uniform("order", line["id"]))
                content = "".join(json.dumps(line) + "\n" for line in mixed).encode()
                name = re.sub("_file_id", "", field)
                stored = self._store(f"{batch['id']}_{name}.jsonl", content, "batch_output")
                batch[field] = stored["id"]


def _invalid(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}
