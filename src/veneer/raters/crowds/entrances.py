"""A crowd's entrance to the study: the address that its workers open.

An entrance's token stands in the campaign's facts, readable: it is no secret, for Mechanical Turk
and Prolific show it to everybody who looks at the task, and a later launch needs it again.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, select

from veneer.errors import InputError
from veneer.raters.packet import Packet
from veneer.raters.server import links
from veneer.raters.store import crowds
from veneer.raters.store.tables import campaigns as campaign_rows
from veneer.raters.store.terms import Refused, StudyState

MEASURED_VOTES = 20
"""Votes whose median time is worth paying by."""


def entrance(
    conn: Connection,
    secret: bytes,
    kind: crowds.Kind,
    pairs: int,
    facts: dict[str, Any],
    now: float,
) -> crowds.Campaign:
    """The open campaign with these facts, made where there is none."""
    for each in crowds.campaigns(conn):
        known = {name: value for name, value in each.facts.items() if name != "token"}
        if each.open and (each.kind, each.per_session, known) == (kind, pairs, facts):
            return each
    token = links.new_link(secret, "crowd")
    number = crowds.add_campaign(
        conn, kind, links.hash_of(token), pairs, facts | {"token": token}, now
    )
    return next(each for each in crowds.campaigns(conn) if each.id == number)


def campaign_of(conn: Connection, link_hash: str) -> crowds.Campaign:
    """The campaign behind an entrance's link, open or closed.

    Raises:
        Refused: "forged" when there is none.
    """
    asked = select(campaign_rows.c.id).where(campaign_rows.c.link == link_hash)
    number = conn.execute(asked).scalar()
    for each in crowds.campaigns(conn):
        if each.id == number:
            return each
    raise Refused("forged")


def checked_url(public_url: str, https: bool) -> str:
    """A public address without a slash at its end.

    Raises:
        InputError: not an address, or not https where that is asked for.
    """
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InputError(
            f"{public_url!r} is not an address that workers could open.",
            "Give the server's own, such as --public-url https://rate.example.org",
        )
    if https and parts.scheme != "https":
        raise InputError(
            f"{public_url} is not https: workers' browsers would not show it in their frame.",
            "Put the server behind https and give that address, such as https://rate.example.org",
        )
    return public_url.rstrip("/")


def checked_pairs(packet: Packet, pairs: int) -> int:
    """The number of comparisons in one assignment.

    Raises:
        InputError: fewer than one, or more than the study has.
    """
    most = len(packet.pairs)
    if not 1 <= pairs <= most:
        raise InputError(
            f"An assignment of {pairs} comparisons cannot be made: the study has {most}.",
            f"Give a number from 1 to {most}; ten or so take a few minutes.",
        )
    return pairs


def seconds_of(state: StudyState, typed: float | None) -> tuple[float, str]:
    """Seconds that a pair takes, and where they come from; measured ones before typed ones.

    Raises:
        InputError: none were measured and none typed.
    """
    if state.median_seconds is not None and state.votes >= MEASURED_VOTES:
        aside = "" if typed is None else f"; the {typed:g} s given are not needed"
        return state.median_seconds, f"median of {state.votes} votes{aside}"
    if typed is None:
        raise InputError(
            f"How long a pair takes is not known yet: the study has {state.votes} votes, and a "
            f"median is taken of {MEASURED_VOTES} or more.",
            "Say what you assume, such as --seconds-per-pair 45, or let a few of your own people "
            "vote first.",
        )
    if not math.isfinite(typed) or typed <= 0:
        raise InputError(f"{typed} seconds a pair cannot be.", "Give seconds, such as 45.")
    return typed, "as assumed, not measured"
