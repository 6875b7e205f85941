"""The `comments:analyze` wire format, Perspective's, at any address that speaks it.

Perspective itself, which the paper used, ends on 31 December 2026; other servers answer the same
requests with scores of their own, which do not compare with Perspective's. A text goes out as
English (`languages: ["en"]`) and with `doNotStore`. The score is the attribute's `summaryScore`,
the highest where several attributes are asked for.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from veneer.errors import InputError
from veneer.measure.toxicity.service import Fault, Rejected, checked_score, passing, secret
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.headers import seconds_to_wait

PERSPECTIVE = "https://commentanalyzer.googleapis.com"
PATH = "/v1alpha1/comments:analyze"
ATTRIBUTES = ("TOXICITY",)
KEY_NAME = "PERSPECTIVE_API_KEY"
TIMEOUT = 60.0
"""Seconds until a request counts as lost."""
OWN_FAULTS = (
    "COMMENT_TOO_LONG",
    "COMMENT_EMPTY",
    "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
    "LANGUAGE_DETECTION_FAILED",
)
"""Errors that lie in the text: it is unscored for good and is not sent again."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is part of the address, so it goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Comments:
    """A `veneer.measure.toxicity.service.Service`: one text a request.

    Args:
        base_url: None for Perspective. With or without `PATH` at its end.
        key_name: the environment variable with the key; other servers may need none.
        attributes: what is asked for.
    """

    scorer, model, size = "comments", "", 1

    def __init__(
        self,
        base_url: str | None = None,
        key_name: str = KEY_NAME,
        attributes: Sequence[str] = (),
    ) -> None:
        base = (base_url or PERSPECTIVE).rstrip("/").removesuffix(PATH).removesuffix("/v1alpha1")
        self._endpoint = Endpoint("comments:analyze", base, key_name)
        self.url = self._endpoint.url
        self.attributes = tuple(attributes) or ATTRIBUTES
        self._key = secret(key_name, self.url == PERSPECTIVE, "the Perspective API")
        self._open = urllib.request.build_opener(_NoRedirect()).open

    def ask(self, texts: Sequence[str]) -> list[float]:
        """See `Service.ask`."""
        (text,) = texts
        body = {
            "comment": {"text": text},
            "requestedAttributes": {name: {} for name in self.attributes},
            "languages": ["en"],
            "doNotStore": True,
        }
        query = f"?{urllib.parse.urlencode({'key': self._key})}" if self._key else ""
        request = urllib.request.Request(
            f"{self.url}{PATH}{query}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._open(request, timeout=TIMEOUT) as reply:
                said = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._status(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise Fault(
                self._told(f"no reply: {getattr(error, 'reason', None) or error!r}")
            ) from None
        return [self._score(said)]

    def _score(self, said: bytes) -> float:
        try:
            scores = json.loads(said)["attributeScores"]
            values = [scores[name]["summaryScore"]["value"] for name in self.attributes]
        except (ValueError, KeyError, TypeError):
            raise Fault("the reply holds no score of every attribute") from None
        return max(checked_score(value, "score") for value in values)

    def _status(self, error: urllib.error.HTTPError) -> Exception:
        """What an HTTP error means."""
        status, (kind, message) = error.code, _said(error)
        reason = self._told(
            f"HTTP {status}: {kind} {message}" if kind else f"HTTP {status}: {message}"
        )
        wait = seconds_to_wait({name.lower(): value for name, value in error.headers.items()})
        if busy := passing(status, reason, wait):
            return busy
        if status in (401, 403) or "API_KEY" in kind or "api key" in message.lower():
            name = self._endpoint.key_name
            return InputError(
                f"{self.url} does not accept the key in {name}: {reason}",
                f"Check it and type: export {name}=…",
            )
        if status in (301, 302, 303, 307, 308, 404, 405):
            return InputError(
                f"{self.url} does not answer {PATH}: {reason}",
                "Give the base URL of a server with the comments:analyze format, without its path.",
            )
        return Rejected(reason, own=kind in OWN_FAULTS)

    def _told(self, text: str) -> str:
        quoted = urllib.parse.quote_plus(self._key)
        if len(quoted) > 5:
            text = text.replace(quoted, f"[{self._endpoint.key_name}]")
        return self._endpoint.redacted(text)


def _said(error: urllib.error.HTTPError) -> tuple[str, str]:
    """The kind ("" where it names none) and the message of an error reply."""
    try:
        body = json.loads(error.read())["error"]
        details = body.get("details") or []
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return "", str(error.reason)
    kinds = [
        str(one.get("errorType") or one.get("reason") or "")
        for one in details
        if isinstance(one, Mapping)
    ]
    return next(filter(None, kinds), ""), str(body.get("message") or error.reason)
