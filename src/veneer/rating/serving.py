"""While a study goes on: the server, its people, the crowds, how far it is."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.raters.packet import read_packet
from veneer.rating.opening import opened
from veneer.records import Origin

if TYPE_CHECKING:
    from veneer.raters.store import Store

HERE = "http://127.0.0.1:8765"
"""Where `veneer rate serve` listens unless it is told otherwise."""
DAY = 24 * 3600.0
VALID_DAYS = 14.0
"""How long an invitation opens, unless another time is asked for."""


def serve_study(
    packet: Path,
    url: str,
    *,
    host: str,
    port: int,
    public_url: str | None,
    invitations: int,
    lease_seconds: float,
    hourly_usd: float,
) -> None:
    """Serve a packet until Ctrl-C, or go on with it.

    Prints the owner's link, and invitations, on stderr: they are kept nowhere.
    """
    with opened(url, packet, lease_seconds=lease_seconds) as store:
        from veneer.raters.server.app import create_app, serve
        from veneer.raters.server.links import hash_of, new_link
        from veneer.raters.store.people import set_owner

        owner = new_link(store.secret, "owner")
        store.now(set_owner, hash_of(owner))
        app = create_app(store, read_packet(packet), public_url=public_url, wage=hourly_usd)

        def started(address: str) -> None:
            at = (public_url or address).rstrip("/")
            links = _invite(store, [""] * invitations, at, VALID_DAYS)
            lines = [
                f"Serving {packet} at {at}; votes are kept in {store.url_shown}.",
                f"Your own page:  {at}/o/{owner}",
                *(f"For a rater:    {link['link']}" for link in links),
                "Stop with Ctrl-C; the same command goes on.",
            ]
            print("\n".join(lines), file=sys.stderr, flush=True)

        serve(app, host, port, started=started)


def invited(
    url: str,
    names: Sequence[str],
    count: int,
    again: str | None,
    *,
    valid_days: float,
    public_url: str | None,
) -> dict[str, Any]:
    """New invitation links, each for one person; shown here and kept nowhere."""
    at = (public_url or HERE).rstrip("/")
    if not names and not count and again is None:
        raise InputError(
            "There is nobody to invite.",
            "Type: veneer rate invite Ada Ben --store URL    or    veneer rate invite --count 3 …",
        )
    with opened(url) as store:
        links = _invite(store, [*names, *[""] * count], at, valid_days)
        if again is not None:
            links.append(_renew(store, again, at, valid_days))
    text = "\n".join(
        f"{link['rater']:<5} {link['label'] or '':<16} {link['link']}" for link in links
    )
    return {"links": links, "text": text}


def set_paused(url: str, paused: bool) -> dict[str, Any]:
    """Stop handing out pairs, or go on."""
    with opened(url) as store:
        from veneer.raters.store.progress import pause

        store.now(pause, paused)
    said = "The study is paused; raters are told so." if paused else "The study goes on."
    return {"paused": paused, "text": said}


def ended(url: str, given: str, *, forget: bool, discard_votes: bool) -> dict[str, Any]:
    """Take a rater out, or forget all that could say who it was.

    `given`: "r7", a label, or a crowd worker's id, of which the store knows a salted hash.
    """
    with opened(url) as store:
        from veneer.raters.store import people

        rater = _rater(store, given)
        job = people.forget if forget else people.revoke
        store.now(job, rater, discard_votes, time.time())
    done = "forgotten" if forget else "revoked"
    votes = "their votes are discarded" if discard_votes else "their votes stay under that number"
    text = f"r{rater} is {done}; {votes}."
    return {"rater": f"r{rater}", "done": done, "discarded": discard_votes, "text": text}


def study_state(url: str, hourly_usd: float) -> dict[str, Any]:
    """How far a study is, without a word on the models."""
    with opened(url) as store:
        from veneer.raters.store.progress import raters, state

        now = time.time()
        found, people = store.seen(state, now), store.seen(raters, now)
    wanted = found.pairs * found.ratings
    hours = found.seconds / 3600
    lines = [
        f"{found.votes:,} of {wanted:,} votes; {found.done:,} of {found.pairs:,} pairs have all "
        f"{found.ratings}; {found.leased:,} in hand{'; paused' if found.paused else ''}.",
        f"Votes by origin: {_listed(found.by_origin)}. The last hour: {found.last_hour:,}.",
        f"Attention checks: {found.gold_right:,} right, {found.gold_wrong:,} wrong.",
        f"Time: {hours:.1f} h, USD {hours * hourly_usd:,.2f} at USD {hourly_usd:g} an hour"
        + (f"; median {found.median_seconds:.0f} s a pair." if found.median_seconds else "."),
        "",
        f"{'rater':<6} {'votes':>6} {'checks':>7} {'median':>7} {'agrees':>7}  link     label",
    ]
    for one in people:
        checks = f"{one.gold_right}/{one.gold_right + one.gold_wrong}"
        pace = "" if one.median_seconds is None else f"{one.median_seconds:.0f} s"
        agrees = "" if one.agrees is None else f"{100 * one.agrees:.0f} %"
        lines.append(
            f"r{one.rater:<5} {one.votes:>6,} {checks:>7} {pace:>7} {agrees:>7}  {one.link:<8} "
            f"{one.label or one.origin}"
        )
    rows = [{**asdict(one), "rater": f"r{one.rater}"} for one in people]
    return {**asdict(found), "wanted": wanted, "raters": rows, "text": "\n".join(lines)}


def with_crowd(packet: Path, url: str, work: str, **options: Any) -> dict[str, Any]:
    """What a function of `veneer.raters.crowds`, such as "mturk.launch", does for this study."""
    with opened(url, packet) as store:
        room, _, name = work.partition(".")
        function = getattr(importlib.import_module(f"veneer.raters.crowds.{room}"), name)
        return function(store, read_packet(packet), **options)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "none"


def _rater(store: Store, given: str) -> int:
    from veneer.raters.server.links import worker_hash
    from veneer.raters.store.people import find_rater

    crowds: tuple[Origin, ...] = ("mturk", "prolific")
    for origin in crowds:
        with contextlib.suppress(InputError):
            return store.seen(find_rater, "", worker_hash(store.salt, origin, given))
    return store.seen(find_rater, given, "")


def _invite(store: Store, labels: Sequence[str], at: str, days: float) -> list[dict[str, Any]]:
    from veneer.raters.server.links import hash_of, new_link
    from veneer.raters.store.people import invite

    made, now = [], time.time()
    for label in labels:
        link = new_link(store.secret, "rater")
        rater = store.now(invite, label, hash_of(link), now + days * DAY, now)
        made.append({"rater": f"r{rater}", "label": label, "link": f"{at}/i/{link}"})
    return made


def _renew(store: Store, given: str, at: str, days: float) -> dict[str, Any]:
    from veneer.raters.server.links import hash_of, new_link
    from veneer.raters.store.people import renew

    link, rater, now = new_link(store.secret, "rater"), _rater(store, given), time.time()
    store.now(renew, rater, hash_of(link), now + days * DAY, now)
    return {"rater": f"r{rater}", "label": given, "link": f"{at}/i/{link}"}
