"""One attempt at a request over the SDK, and what became of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from veneer.errors import InputError
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.headers import seconds_to_wait
from veneer.models.api.reading import Read, read_completion

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS = 10.0
Fate = Literal["read", "limited", "unpaid", "doubtful", "filtered", "rejected", "unreadable"]


@dataclass(frozen=True)
class Attempt:
    """What became of one attempt.

    "read": `read` holds the replies. "limited": HTTP 429. "unpaid": it failed before anything
    could be billed, try again. "doubtful": it failed and may have been billed, try again.
    "unreadable": HTTP 200 without an answer in it. "filtered": the prompt was, at no cost.
    "rejected": this request is wrong and will not be answered. `retry_after` is in seconds.
    """

    fate: Fate
    reason: str = ""
    read: Read = field(default_factory=Read)
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0


class Sender:
    """Sends requests to an endpoint. Retrying is the caller's: every attempt is one call."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        import openai

        for name in ("openai", "httpx2", "httpcore2"):  # their debug logs show headers
            logging.getLogger(name).setLevel(logging.WARNING)
        self.endpoint = endpoint
        self._client: AsyncOpenAI = openai.AsyncOpenAI(
            api_key=endpoint.key(),
            base_url=endpoint.url,
            max_retries=0,
            timeout=openai.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout), pool=None),
        )
        self._limit_name = "max_completion_tokens" if endpoint.is_default else "max_tokens"
        self._switched = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def attempt(
        self,
        messages: list[dict[str, str]],
        *,
        name: str,
        samples: int,
        max_tokens: int,
        temperature: float | None,
        top_p: float | None = None,
        seed: int | None,
        logprobs: bool,
    ) -> Attempt:
        """Send it once. `name` becomes the Idempotency-Key.

        Raises:
            InputError: the endpoint will answer no request like this: wrong key, no such model,
                no credit, a parameter it does not know.
        """
        import openai

        while True:
            limit_name = self._limit_name
            wanted: dict[str, Any] = {"messages": messages, limit_name: max_tokens}
            given = {
                "temperature": temperature,
                "top_p": top_p,
                "seed": seed,
                "logprobs": logprobs or None,
            }
            wanted |= {key: value for key, value in given.items() if value is not None}
            if samples > 1:
                wanted["n"] = samples
            try:
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self.endpoint.model, extra_headers={"Idempotency-Key": name}, **wanted
                )
            except openai.APIStatusError as error:
                if self._other_name_wanted(error, limit_name):
                    continue
                return self._status(error)
            except openai.APIConnectionError as error:
                return self._lost(error)
            except UnicodeEncodeError:
                return Attempt("rejected", "the text holds half a character (a lone surrogate)")
            read = read_completion(response.content, limit=max_tokens, logprobs=logprobs)
            return Attempt(
                "unreadable" if read.trouble else "read",
                read.trouble,
                read,
                headers=response.headers,
                status=200,
            )

    def _other_name_wanted(self, error: Any, used: str) -> bool:
        """Whether a 400 asks for the other name of the token limit; switches once for all."""
        names = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
        about = error.param == used or names[used] in _message(error)
        if error.status_code != 400 or not about:
            return False
        if self._limit_name == used and not self._switched:
            self._limit_name, self._switched = names[used], True
        return self._limit_name != used

    def _lost(self, error: Any) -> Attempt:
        """No response, or half of one."""
        cause = error.__cause__
        kind = type(cause).__name__
        reason = self.endpoint.redacted(f"no reply: {kind} {cause or ''}")
        if kind in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"):
            return Attempt("unpaid", reason)
        return Attempt("doubtful", reason)

    def _status(self, error: Any) -> Attempt:
        status, headers = error.status_code, error.response.headers
        reason = self.endpoint.redacted(f"HTTP {status}: {_message(error)}")
        wait = seconds_to_wait(headers)
        if status == 429 and (error.code == "insufficient_quota" or "insufficient_quota" in reason):
            raise InputError(
                f"{self.endpoint.url} answers no more: {reason}",
                "Pay in credit with the provider and type the same command again: it goes on.",
            )
        if status == 429:
            return Attempt("limited", reason, retry_after=wait, headers=headers, status=status)
        if status in (408, 502, 504):
            return Attempt("doubtful", reason, retry_after=wait, headers=headers, status=status)
        if status in (409, 425) or status >= 500:
            return Attempt("unpaid", reason, retry_after=wait, headers=headers, status=status)
        if status == 400 and "content_filter" in (error.code or ""):
            return Attempt("filtered", reason, headers=headers, status=status)
        self._raise_for_all(status, error, reason)
        return Attempt("rejected", reason, headers=headers, status=status)

    def _raise_for_all(self, status: int, error: Any, reason: str) -> None:
        """Errors that every request would meet."""
        where = self.endpoint
        if status in (401, 403):
            raise InputError(
                f"{where.url} does not accept the key in {where.key_name}: {reason}",
                f"Check it and type: export {where.key_name}=…",
            )
        if status == 404:
            raise InputError(
                f"{where.url} has no model {where.model!r}: {reason}",
                "Check the model's name and the base URL (it usually ends in /v1).",
            )
        if status in (301, 302, 307, 308, 405):
            raise InputError(
                f"{where.url} is no chat endpoint: {reason}",
                "Check the base URL (it usually ends in /v1).",
            )
        known = ("n", "logprobs", "temperature", "top_p", "seed")
        parameter = error.param if error.param in known else ""
        if status in (400, 422) and parameter:
            raise InputError(
                f"{where.url} does not take the parameter {parameter!r}: {reason}",
                "Ask each sample in a request of its own."
                if parameter == "n"
                else f"Ask without {parameter}.",
            )


def _message(error: Any) -> str:
    """The server's own words in an error."""
    body = error.body
    if isinstance(body, Mapping):
        return str(body.get("message") or json.dumps(dict(body)))
    return str(body or error.message or "")
