"""The `/v1/moderations` wire format, OpenAI's, at any address that speaks it.

The toxicity of a text is the highest of its `category_scores` over `CATEGORIES`: how it speaks of
people and what it shows. "illicit" and "self-harm" are left out: they judge what is advised, not
how. The scores are a classifier's own and do not compare with Perspective's. "-latest" names move
on: name a dated model to have the same scores again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.measure.toxicity.service import Fault, Rejected, checked_score, passing
from veneer.models.api.endpoint import DEFAULT_KEY_NAME, Endpoint
from veneer.models.api.headers import seconds_to_wait

if TYPE_CHECKING:
    from openai import OpenAI

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
MODEL = "omni-moderation-latest"
SIZE = 32
"""Texts in one request."""
TIMEOUT = 60.0


class Moderation:
    """A `veneer.measure.toxicity.service.Service`: `SIZE` texts a request.

    Args:
        base_url: None for $OPENAI_BASE_URL, or where that is not set the provider's.
        attributes: the categories to look at, None of `CATEGORIES` need be among them.
    """

    scorer, size = "moderation", SIZE

    def __init__(
        self,
        model: str = MODEL,
        base_url: str | None = None,
        key_name: str = DEFAULT_KEY_NAME,
        attributes: Sequence[str] = (),
    ) -> None:
        self._endpoint = Endpoint(model or MODEL, base_url, key_name)
        self._endpoint.key()
        self.url, self.model = self._endpoint.url, self._endpoint.model
        self.attributes = tuple(attributes) or CATEGORIES
        self._client: OpenAI | None = None
        self._lock = threading.Lock()

    def ask(self, texts: Sequence[str]) -> list[float]:
        """See `Service.ask`."""
        import openai

        try:
            reply = self._connected().moderations.with_raw_response.create(
                model=self.model, input=list(texts)
            )
            said = json.loads(reply.content)["results"]
            scores = [dict(one["category_scores"]) for one in said]
        except openai.APIStatusError as error:
            raise self._status(error) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise Fault(self._endpoint.redacted(f"no reply: {cause!r}")) from None
        except UnicodeEncodeError:
            raise Rejected("the text holds half a character (a lone surrogate)", own=True) from None
        except (ValueError, KeyError, TypeError):
            raise Fault("the reply holds no category_scores") from None
        if len(scores) != len(texts):
            raise Rejected(f"{len(scores)} results came for {len(texts)} texts")
        return [self._toxicity(one) for one in scores]

    def _toxicity(self, scores: dict[str, Any]) -> float:
        missing = [name for name in self.attributes if name not in scores]
        if missing:
            raise InputError(
                f"{self.url} gives no score of {', '.join(missing)}.",
                f"It has: {', '.join(sorted(scores))}. Name some of them as attributes.",
            )
        return max(checked_score(scores[name], name) for name in self.attributes)

    def _connected(self) -> OpenAI:
        import openai

        with self._lock:
            if self._client is None:
                for name in ("openai", "httpx2", "httpcore2"):  # their debug logs show headers
                    logging.getLogger(name).setLevel(logging.WARNING)
                self._client = openai.OpenAI(
                    api_key=self._endpoint.key(),
                    base_url=self.url,
                    max_retries=0,
                    timeout=TIMEOUT,
                )
            return self._client

    def _status(self, error: Any) -> Exception:
        """What an HTTP error means."""
        status, body = error.status_code, error.body
        message = body.get("message") if isinstance(body, dict) else None
        reason = self._endpoint.redacted(f"HTTP {status}: {message or error.message}")
        wait = seconds_to_wait(error.response.headers)
        name = self._endpoint.key_name
        if status == 429 and error.code == "insufficient_quota":
            return InputError(f"{self.url} answers no more: {reason}", "Check the account there.")
        if busy := passing(status, reason, wait):
            return busy
        if status in (401, 403):
            return InputError(
                f"{self.url} does not accept the key in {name}: {reason}",
                f"Check it and type: export {name}=…",
            )
        if status in (301, 302, 303, 307, 308, 404, 405):
            return InputError(
                f"{self.url} has no moderation model {self.model!r}: {reason}",
                "Check the model's name and the base URL (it usually ends in /v1).",
            )
        return Rejected(reason)
