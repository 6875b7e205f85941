"""`veneer rate`: packets, the server, its people and the results, as the commands ask for them.

Wiring only. What needs a database or a web server is imported where it is used.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.raters.packet import Packet, read_packet
from veneer.records import Comparison, Origin, Subject, Vote, read_rows
from veneer.running import RATINGS, conclude_again

if TYPE_CHECKING:
    from veneer.raters.store import Store

HERE = "http://127.0.0.1:8765"
"""Where `veneer rate serve` listens unless it is told otherwise."""
NEEDED = (
    "fastapi",
    "boto3",
    "uvicorn",
    "sqlalchemy",
    "itsdangerous",
    "markdown_it",
    "nh3",
    "multipart",
)
DAY = 24 * 3600.0
VALID_DAYS = 14.0
"""How long an invitation opens, unless another time is asked for."""


def packed(
    run: str, other: str | None, out: Path | None, *, models: str, against: str | None,
    of_seed: int | None, corpus: Sequence[Path], questions: Path | None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """A packet of a run's answers, or of two files of outputs; see `veneer.packing`."""
    from veneer.packing import pack_outputs, pack_run, settings_of

    if out is None:
        raise InputError(
            "--out is missing: the folder for the packet.",
            "Type: veneer rate pack RUN --out packets/NAME",
        )
    how = settings_of(**settings)
    if other is not None:
        if models or against or of_seed is not None:
            raise InputError(
                "--models, --against and --of-seed choose among the models of a run.",
                "Leave them out, or give a run alone.",
            )
        return pack_outputs(run, other, out, questions=questions, corpus=corpus, settings=how)
    if corpus or questions is not None:
        raise InputError(
            "--corpus and --questions belong to two files of outputs; a run knows its own.",
            "Leave them out, or give two files.",
        )
    names = [name.strip() for name in models.split(",") if name.strip()]
    return pack_run(Path(run), out, models=names, against=against, of_seed=of_seed, settings=how)


def power_told(
    prompts: int,
    ratings: int,
    rate: float,
    *,
    agreement: float | None,
    gold: float,
    seconds: float,
    hourly_usd: float,
) -> dict[str, Any]:
    """Prompts that a win rate needs, what the prompts at hand can tell, and the cost of either."""
    from veneer.raters import power

    if rate == 0.5:
        raise InputError(
            "A win rate of 0.5 is what others are told from.", "Give another, such as --to 0.55."
        )
    rho = power.AGREEMENT if agreement is None else agreement
    design = power.Design(ratings, agreement=rho)
    needed, told = power.prompts_needed(rate, design), power.detectable(prompts, design)
    sums = {n: power.cost(n, ratings, gold, seconds, hourly_usd) for n in (needed, prompts)}
    best = "no win rate" if told is None else f"win rates from {100 * told:.1f} % on"
    lines = [
        f"To tell {100 * rate:g} % from 50 % (5 % two-sided, power 80 %), majority of {ratings} "
        f"raters: {needed:,} prompts, {needed * ratings:,} ratings.",
        f"{prompts:,} prompts tell {best}.",
        *(
            f"{n:,} prompts: {each.hours:,.1f} h, USD {each.usd:,.2f} at USD {hourly_usd:g} an "
            f"hour before a crowd's fees ({seconds:g} s a pair, {100 * gold:g} % checks)."
            for n, each in sums.items()
        ),
        f"Agreement between raters assumed: {rho:g}, no ties.",
        "",
        *power.table(prompts, design),
    ]
    return {
        "rate": rate,
        "ratings": ratings,
        "agreement": rho,
        "prompts_needed": needed,
        "prompts": prompts,
        "detectable": told,
        "hours": sums[needed].hours,
        "usd": sums[needed].usd,
        "text": "\n".join(lines),
    }


@contextlib.contextmanager
def opened(
    url: str, packet: Path | None = None, *, make: bool = True, **settings: Any
) -> Iterator[Store]:
    """The store of votes at `url`; of a packet where one is given, and made for it if `make`.

    Raises:
        InputError: the raters' packages are missing, no such store, or one of another packet.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"Rating needs packages that are not installed: {', '.join(missing)}.",
            'Type: pip install "veneer[raters]"',
        )
    from veneer.raters.store import open_store

    store = open_store(url, read_packet(packet) if packet else None, make=make, **settings)
    try:
        yield store
    finally:
        store.close()


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


def results_of_study(
    packet: Path | None,
    *,
    stores: Sequence[str] = (),
    votes: Sequence[Path] = (),
    recorded: Sequence[Path] = (),
    run: Path | None = None,
    out: Path | None = None,
    judge: Sequence[Path] = (),
    without_failing: bool = False,
    partial: bool = False,
) -> dict[str, Any]:
    """What raters preferred, of a packet's votes or of recorded ones; written where asked.

    Args:
        packet: the packet; None where `recorded` votes speak for themselves.
        stores: URLs of stores with votes on the packet.
        votes: more votes on it, as `votes.jsonl` of results made elsewhere.
        recorded: votes of other studies.
        run: a run whose models were compared: its findings are drawn anew.
        out: a folder for the results; below the run unless given.
        judge: a judge's comparisons; those of the run unless given.
        without_failing, partial: see `veneer.rated.rated`.
    """
    from veneer.rated import (
        import_votes,
        rated,
        rated_recorded,
        results_json,
        results_text,
        write_rated,
    )

    if recorded:
        if packet is not None or stores or votes or run is not None or partial:
            raise InputError(
                "--recorded votes stand alone: they bring their own pairs.",
                "Leave PACKET, --store, --votes, --run and --partial out.",
            )
        found = rated_recorded([*recorded, *judge], without_failing=without_failing)
    elif packet is None or not (stores or votes):
        raise InputError(
            "There are no votes to sum up: give PACKET and --store, or --recorded FILE.",
            "Type: veneer rate results PACKET --store sqlite:///votes.db",
        )
    else:
        known = read_packet(packet)
        given = import_votes(known, votes, stores=[_votes_in(url, packet) for url in stores])
        verdicts = [row for path in judge for row in read_rows(path, Comparison)]
        if run is not None:
            _check_of_run(known, run)
            verdicts = verdicts or _judged_in(run)
            out = out or run / RATINGS / packet.resolve().name
        found = rated(
            known, given, judge=verdicts, without_failing=without_failing, partial=partial
        )
    text = [results_text(found)]
    if out is not None:
        write_rated(out, found)
        text.append(f"Votes, verdicts and sums: {out}")
    told = {**results_json(found), "out": None if out is None else str(out)}
    if run is not None:
        concluded = conclude_again(run)
        text.append(concluded["text"])
        told["run"] = concluded
    return {**told, "text": "\n\n".join(text)}


def with_crowd(packet: Path, url: str, work: str, **options: Any) -> dict[str, Any]:
    """What a function of `veneer.raters.crowds`, such as "mturk.launch", does for this study."""
    with opened(url, packet) as store:
        room, _, name = work.partition(".")
        function = getattr(importlib.import_module(f"veneer.raters.crowds.{room}"), name)
        return function(store, read_packet(packet), **options)


def _votes_in(url: str, packet: Path) -> list[Vote]:
    with opened(url, packet, make=False) as store:
        from veneer.raters.store.progress import votes

        return [*store.seen(votes), *store.seen(votes, True)]  # attention checks after the pairs


def _check_of_run(packet: Packet, run: Path) -> None:
    """Refuse a packet of another run: its models would be new ones there."""
    measured = {
        Subject.model_validate(json.loads(path.read_text("utf-8"))["subject"])
        for path in run.glob("steps/measured-*/model.json")
    }
    strange = [name for name, who in packet.facts.subjects.items() if who not in measured]
    if strange:
        raise InputError(
            f"{run} measured no {strange[0]} as the packet has it: the packet is of another run.",
            "Give the run that the packet was made from, or leave --run out.",
        )


def _judged_in(run: Path) -> list[Comparison]:
    """What a judge said in a run, of whatever models."""
    paths = sorted(run.glob("steps/judged-*/comparisons.jsonl"))
    return [row for path in paths for row in read_rows(path, Comparison)]
