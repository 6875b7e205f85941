"""How far a study is, how its raters do, and its votes."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Literal

from sqlalchemy import Connection, and_, case, func, select, union_all, update

from veneer.raters.store.tables import links, past, places, study, study_of
from veneer.raters.store.tables import raters as people
from veneer.raters.store.terms import RaterState, StudyState
from veneer.records import Vote

LinkState = Literal["open", "used", "expired", "revoked", "none"]
_p, _r = places.c, people.c
_ON_PAIRS = and_(_p.choice.is_not(None), _p.gold.is_(None))


def _sum(condition):
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def pause(conn: Connection, paused: bool) -> None:
    """Stop or resume the study: while it is paused no pair is handed out and no vote taken."""
    conn.execute(update(study).values(paused=paused))


def state(conn: Connection, now: float) -> StudyState:
    """How far the study is. Discarded votes count nowhere."""
    of = study_of(conn)
    paused = conn.execute(select(study.c.paused)).scalar_one()
    full = (
        select(_p.pair)
        .where(_ON_PAIRS)
        .group_by(_p.pair)
        .having(func.count() == of.ratings)
        .subquery()
    )
    done = conn.execute(select(func.count()).select_from(full)).scalar_one()
    leased = select(func.count()).where(
        _p.choice.is_(None), _p.gold.is_(None), _p.rater.is_not(None), _p.expires > now
    )
    origins = select(_r.origin, func.count()).join(places, _p.rater == _r.id).where(_ON_PAIRS)
    by_origin: dict[str, int] = {}
    for origin, n in conn.execute(origins.group_by(_r.origin)):
        by_origin[origin] = n
    times = conn.execute(
        select(func.min(_p.voted), func.max(_p.voted), _sum(_p.voted > now - 3600)).where(_ON_PAIRS)
    ).one()
    spent = conn.execute(
        select(
            func.coalesce(func.sum(_p.voted - _p.shown), 0.0),
            _sum(_p.gold == _p.choice),
            _sum(_p.gold != _p.choice),
        ).where(_p.choice.is_not(None))
    ).one()
    seconds = conn.execute(select(_p.voted - _p.shown).where(_ON_PAIRS)).scalars().all()
    return StudyState(
        pairs=of.pairs,
        ratings=of.ratings,
        votes=sum(by_origin.values()),
        leased=conn.execute(leased).scalar_one(),
        done=done,
        paused=paused,
        by_origin=dict(sorted(by_origin.items())),
        median_seconds=median(seconds) if seconds else None,
        seconds=float(spent[0]),
        first_at=times[0],
        last_at=times[1],
        last_hour=int(times[2]),
        gold_right=int(spent[1]),
        gold_wrong=int(spent[2]),
    )


def _agreement(conn: Connection) -> dict[int, tuple[int, int]]:
    """By rater: others' votes on the pairs they voted on, and how many of them are equal."""
    mine, theirs = places.alias("mine"), places.alias("theirs")
    both = (
        select(mine.c.rater, func.count(), _sum(mine.c.choice == theirs.c.choice))
        .join(theirs, and_(theirs.c.pair == mine.c.pair, theirs.c.place != mine.c.place))
        .where(mine.c.choice.is_not(None), mine.c.gold.is_(None), theirs.c.choice.is_not(None))
        .group_by(mine.c.rater)
    )
    return {rater: (n, int(same)) for rater, n, same in conn.execute(both)}


def _golds(conn: Connection) -> dict[int, tuple[int, int]]:
    """By rater: attention checks right and wrong, those of discarded votes among them."""
    checks = union_all(
        *(
            select(t.c.rater, t.c.gold, t.c.choice).where(
                t.c.gold.is_not(None), t.c.choice.is_not(None)
            )
            for t in (places, past)
        )
    ).subquery()
    c = checks.c
    counted = select(c.rater, _sum(c.gold == c.choice), _sum(c.gold != c.choice)).group_by(c.rater)
    return {rater: (int(right), int(wrong)) for rater, right, wrong in conn.execute(counted)}


def _links(conn: Connection, now: float) -> dict[int, LinkState]:
    found: dict[int, LinkState] = {}
    for row in conn.execute(select(links).order_by(links.c.rater, links.c.made)):
        if row.revoked:
            here: LinkState = "revoked"
        elif row.used is not None:
            here = "used"
        else:
            here = "expired" if row.expires <= now else "open"
        if here != "revoked" or row.rater not in found:
            found[row.rater] = here
    return found


def raters(conn: Connection, now: float) -> list[RaterState]:
    """Every rater, in the order of their numbers."""
    agreement, golds, last_link = _agreement(conn), _golds(conn), _links(conn, now)
    seconds: dict[int, list[float]] = defaultdict(list)
    for rater, took in conn.execute(select(_p.rater, _p.voted - _p.shown).where(_ON_PAIRS)):
        seconds[rater].append(took)
    counted = (
        select(_p.rater, func.count(), _sum(_p.choice == 0), _sum(_p.choice == 1))
        .where(_ON_PAIRS)
        .group_by(_p.rater)
    )
    counts = {row[0]: row for row in conn.execute(counted)}
    last = select(_p.rater, func.max(_p.voted)).where(_p.choice.is_not(None)).group_by(_p.rater)
    last_at = {row[0]: row[1] for row in conn.execute(last)}
    states = []
    for row in conn.execute(select(people).order_by(_r.id)):
        n, same = agreement.get(row.id, (0, 0))
        right, wrong = golds.get(row.id, (0, 0))
        _, votes_given, equal, first = counts.get(row.id, (row.id, 0, 0, 0))
        link: LinkState = last_link.get(row.id, "none")
        states.append(
            RaterState(
                rater=row.id,
                origin=row.origin,
                label=row.label,
                link="revoked" if row.revoked else link,
                votes=votes_given,
                gold_right=right,
                gold_wrong=wrong,
                median_seconds=median(seconds[row.id]) if seconds[row.id] else None,
                agrees=same / n if n else None,
                agrees_n=n,
                equal=int(equal),
                first=int(first),
                last_at=last_at.get(row.id),
            )
        )
    return states


def votes(conn: Connection, gold: bool = False) -> list[Vote]:
    """The votes that stand, by pair and rater; with `gold` those on attention checks instead."""
    items = study_of(conn).items
    asked = (
        select(_p.pair, _p.rater, _p.choice, _r.origin, _p.shown, _p.voted, _p.reason)
        .join(people, _r.id == _p.rater)
        .where(_p.choice.is_not(None), _p.gold.is_not(None) if gold else _p.gold.is_(None))
        .order_by(_p.pair, _p.rater)
    )
    return [
        Vote(
            item=items[row.pair],
            rater=f"r{row.rater}",
            choice=row.choice,
            origin=row.origin,
            seconds=row.voted - row.shown,
            reason=row.reason,
        )
        for row in conn.execute(asked)
    ]
