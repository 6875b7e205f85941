"""What a worker's browser carries for us, signed: where to hand the work in, and that it was done.

The assignment's id and Amazon's address must reach the last page, and we keep neither. They travel
in a cookie of the worker's own browser beside the session's: a hidden field would have to pass
through every form and swap of the rating pages, and an address line ends in logs and histories. The
cookie is HttpOnly and signed, and holds the session it belongs to, so that nobody can plant
another address to send workers to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import NamedTuple
from xml.etree import ElementTree

from itsdangerous import BadSignature, Signer, URLSafeSerializer

from veneer.raters.server import links
from veneer.records import Origin

FIELD = "veneer"
"""The field of the form that is handed in, beside the assignment's id; Amazon wants one."""
SUBMIT_PATH = "/mturk/externalSubmit"
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What ids of workers and assignments look like, at Amazon and at Prolific."""


class Way(NamedTuple):
    """The way back to Mechanical Turk, of one session."""

    session: int
    assignment: str
    submit_to: str


def assignment_hash(salt: bytes, origin: Origin, assignment: str) -> str:
    """What the store keeps of an assignment (at Prolific: a submission), in hex digits."""
    return links.worker_hash(salt, origin, f"assignment\0{assignment}")


def sealed(secret: bytes, way: Way) -> str:
    """A way back as a cookie's value."""
    return str(_serializer(secret).dumps(list(way)))


def opened(secret: bytes, cookie: str, session: int, allowed: Collection[str]) -> Way | None:
    """The way back of this session; None when it is another's, not ours, or leads elsewhere."""
    try:
        way = Way(*_serializer(secret).loads(cookie))
    except (BadSignature, TypeError):
        return None
    return way if way.session == session and way.submit_to in allowed else None


def receipt(secret: bytes, assignment: str, voted: int) -> str:
    """Proof that our last page was reached with this assignment (its hash) and so many votes."""
    return _signer(secret).sign(f"{assignment}:{voted}").decode()


def receipt_fits(secret: bytes, given: str, assignment: str) -> bool:
    """Whether this study gave the receipt for this assignment (its hash), after a vote or more."""
    try:
        name, _, voted = _signer(secret).unsign(given).decode("ascii", "replace").partition(":")
    except BadSignature:
        return False
    return name == assignment and voted != "0"


def receipt_in(answer: str) -> str:
    """The receipt in the XML of an assignment's answer; empty without one."""
    try:
        root = ElementTree.fromstring(answer)
    except ElementTree.ParseError:
        return ""
    for each in root.iter():
        if each.tag.endswith("}Answer"):
            said = {part.tag.rpartition("}")[2]: part.text or "" for part in each}
            if said.get("QuestionIdentifier") == FIELD:
                return said.get("FreeText", "")
    return ""


def _serializer(secret: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(
        secret,
        salt="way back",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _signer(secret: bytes) -> Signer:
    return Signer(secret, salt="receipt", key_derivation="hmac", digest_method=hashlib.sha256)
