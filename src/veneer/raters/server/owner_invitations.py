"""Invitation links: what the owner asked for, and the links that are made and shown once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from veneer.raters.server import links
from veneer.raters.server.site import Site
from veneer.raters.store import people

DAYS = 14
MOST_DAYS = 365
MOST_LINKS = 200
LONGEST_LABEL = 80


@dataclass(frozen=True)
class Invitation:
    """A link that was just made, readable this once. `label` may be empty."""

    rater: int
    label: str
    address: str


@dataclass(frozen=True)
class Wish:
    """What the form asks for. `labels`: one a link, empty for a link without a label."""

    text: str = ""
    count: int = 3
    days: int = DAYS
    labels: tuple[str, ...] = ()
    problem: str = ""


def wish_of(fields: Mapping[str, str], known: Set[str] = frozenset()) -> Wish:
    """The form as it was filled in; `problem` says in words what cannot be done.

    `known` are the labels that raters have already.
    """
    text = fields.get("labels", "")
    count, days = _whole(fields.get("count", "")), _whole(fields.get("days", ""))
    labels = tuple(label for line in text.splitlines() if (label := _label(line)))
    problem = ""
    if days is None or not 1 <= days <= MOST_DAYS:
        problem = f"Links can be opened for 1 to {MOST_DAYS} days: write a whole number."
    elif not labels and (count is None or not 1 <= count <= MOST_LINKS):
        problem = f"Write labels, or a number of links from 1 to {MOST_LINKS}."
    elif len(labels) > MOST_LINKS:
        problem = f"That is {len(labels)} labels: at most {MOST_LINKS} links are made at once."
    elif any(len(label) > LONGEST_LABEL for label in labels):
        problem = f"A label has at most {LONGEST_LABEL} characters."
    elif len(set(labels)) < len(labels):
        problem = "One label is there twice. Give each rater their own."
    elif taken := sorted(known & set(labels)):
        problem = (
            f"There is a rater with the label “{taken[0]}” already. Write another label, or choose "
            "that rater in the table to renew their link."
        )
    count = count if count is not None and 1 <= count <= MOST_LINKS else 3
    days = days if days is not None and 1 <= days <= MOST_DAYS else DAYS
    return Wish(text, count, days, labels or ("",) * count, problem)


async def invited(site: Site, base: str, wish: Wish, until: float) -> list[Invitation]:
    """New raters, one a label, all or none; `until` in seconds since 1970."""
    tokens = [links.new_link(site.store.secret, "rater") for _ in wish.labels]
    rows = [(label, links.hash_of(token)) for label, token in zip(wish.labels, tokens, strict=True)]
    numbers = await site.store.ask(_invite_all, rows, until, site.clock())
    return [
        Invitation(number, label, f"{base}/i/{token}")
        for number, (label, _), token in zip(numbers, rows, tokens, strict=True)
    ]


async def renewed(site: Site, base: str, rater: int, label: str, until: float) -> list[Invitation]:
    """A new link for one rater; the old one and its sessions end."""
    token = links.new_link(site.store.secret, "rater")
    await site.store.ask(people.renew, rater, links.hash_of(token), until, site.clock())
    return [Invitation(rater, label, f"{base}/i/{token}")]


def _invite_all(
    conn: Connection, rows: list[tuple[str, str]], until: float, now: float
) -> list[int]:
    return [people.invite(conn, label, link, until, now) for label, link in rows]


def new_once() -> str:
    """The random key of a form, by which a second sending is known."""
    return secrets.token_hex(16)


def once_of(fields: Mapping[str, str]) -> str | None:
    """The key that a form carries; None for what is none of ours."""
    once = fields.get("once", "")
    return once if re.fullmatch("[0-9a-f]{32}", once) else None


def clock_of(at: float) -> str:
    """The time of day, said with its zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def stamp_of(at: float) -> str:
    """The moment for programs."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_of(at: float) -> str:
    """The day in words."""
    day = datetime.fromtimestamp(at, UTC)
    return f"{day.day} {day.strftime('%B %Y')}"


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else None


def _label(line: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in line).split())
