"""Links and cookies: random, signed, and kept only as hashes.

A link is 128 random bits and a signature by the study's secret (itsdangerous), so that a guessed
one is refused without a question to the store. What the store keeps is its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Literal

from itsdangerous import BadSignature, Signer

from veneer.raters.store.terms import Refused
from veneer.records import Origin

Kind = Literal["rater", "owner", "crowd"]

_RANDOM_BYTES = 16
_LONGEST = 200  # characters; ours have 66


def new_link(secret: bytes, kind: Kind) -> str:
    """A new token for a link of this kind; 66 characters that need no quoting in a URL."""
    return _signer(secret, kind).sign(_random()).decode()


def check_link(secret: bytes, token: str, kind: Kind) -> None:
    """Whether this study signed the token for this kind of link.

    Raises:
        Refused: "forged".
    """
    if len(token) > _LONGEST or not token.isascii():
        raise Refused("forged")
    try:
        _signer(secret, kind).unsign(token)
    except BadSignature as error:
        raise Refused("forged") from error


def new_cookie(secret: bytes, opened: str) -> str:
    """A new session's cookie, signed; it remembers what it was opened with without telling it."""
    random = _random()
    body = f"{random}.{_mark(secret, 'opened', random, opened)}"
    return f"{body}.{_mark(secret, 'cookie', body)}"


def is_ours(secret: bytes, cookie: str) -> bool:
    """Whether `new_cookie` made this cookie, for whatever was opened."""
    body, _, mark = cookie.rpartition(".")
    return hmac.compare_digest(_mark(secret, "cookie", body).encode(), mark.encode())


def opened_with(secret: bytes, cookie: str, opened: str) -> bool:
    """Whether `new_cookie` made this cookie for what was opened."""
    random, _, rest = cookie.partition(".")
    mark = rest.partition(".")[0]
    return is_ours(secret, cookie) and hmac.compare_digest(
        _mark(secret, "opened", random, opened).encode(), mark.encode()
    )


def hash_of(token: str) -> str:
    """What the store keeps of a link or a cookie: its SHA-256 in hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def worker_hash(salt: bytes, origin: Origin, worker_id: str) -> str:
    """What the store keeps of a crowd's worker: HMAC-SHA-256 by the study's salt, in hex digits."""
    return hmac.new(salt, f"{origin}\0{worker_id}".encode(), hashlib.sha256).hexdigest()


def csrf(secret: bytes, cookie: str) -> str:
    """The token of every form that is shown to the holder of this cookie."""
    return hmac.new(secret, f"form\0{cookie}".encode(), hashlib.sha256).hexdigest()


def csrf_fits(secret: bytes, cookie: str, given: str) -> bool:
    """Whether a form's token was made for this cookie."""
    return hmac.compare_digest(csrf(secret, cookie).encode(), given.encode())


def _signer(secret: bytes, kind: Kind) -> Signer:
    return Signer(secret, salt=f"link {kind}", key_derivation="hmac", digest_method=hashlib.sha256)


def _random() -> str:
    return _short(secrets.token_bytes(_RANDOM_BYTES))


def _mark(secret: bytes, *parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "replace")
    return _short(hmac.new(secret, text, hashlib.sha256).digest()[:_RANDOM_BYTES])


def _short(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
