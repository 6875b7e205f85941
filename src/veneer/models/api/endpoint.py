"""An OpenAI-compatible endpoint: where it is, which model, and the key that stays out of sight."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from veneer.errors import InputError

DEFAULT_URL = "https://api.openai.com/v1"
DEFAULT_KEY_NAME = "OPENAI_API_KEY"
NO_KEY = "none"
"""What is sent as a key to an endpoint that is not the default and for which none is set."""

_BEARER = re.compile(r"(?i)\b(bearer\s+)[^\s\"',;}]{6,}")
_KEY_LIKE = re.compile(r"\bsk-[A-Za-z0-9_\-]{16,}")


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers. The key is read from the environment when a request is made.

    Args:
        model: the model's name as the provider knows it.
        base_url: None for $OPENAI_BASE_URL, or where that is not set the default provider.
        key_name: name of the environment variable that holds the key; never the key itself.
    """

    model: str
    base_url: str | None = None
    key_name: str = DEFAULT_KEY_NAME

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise InputError("No model is named.", "Write it as openai:MODEL, e.g. openai:gpt-5.1")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_name):
            raise InputError(
                "The name of the key's environment variable is not a name.",
                "Export the key in a variable and give the variable's name, not the key: "
                f"{DEFAULT_KEY_NAME}.",
            )
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise InputError(
                "The address of the endpoint holds a password.",
                f"Give the address without it, and export the key as {self.key_name}.",
            )
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(
                f"{self.url!r} is not the address of an endpoint.",
                "It looks like http://localhost:8000/v1 or https://HOST/v1.",
            )

    @property
    def url(self) -> str:
        """The address that requests go to, without a slash at its end."""
        return (self.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")

    @property
    def is_default(self) -> bool:
        """Whether it is the provider's own."""
        return urlsplit(self.url).hostname == urlsplit(DEFAULT_URL).hostname

    def key(self) -> str:
        """The key.

        Raises:
            InputError: the default provider's is not set; says which variable to export.
        """
        if key := os.environ.get(self.key_name, "").strip():
            return key
        if self.is_default:
            raise InputError(
                f"There is no key for {self.model}: the variable {self.key_name} is not set.",
                f"Type: export {self.key_name}=…   (or give the base URL of a local server)",
            )
        return NO_KEY

    def without_key(self, text: str) -> str:
        """A text of a server's, with the key itself taken out wherever it stands."""
        key = os.environ.get(self.key_name, "").strip()
        return text.replace(key, f"[{self.key_name}]") if len(key) > 5 else text

    def redacted(self, text: str, length: int = 400) -> str:
        """A server's message or an exception's on one line, fit to be shown and kept.

        Beside the key, whatever looks like one is taken out.
        """
        line = " ".join(self.without_key(text).split())
        line = _KEY_LIKE.sub("[key]", _BEARER.sub(r"\1[key]", line))
        return line if len(line) <= length else line[: length - 1] + "…"
