"""Raters at work while their server is killed: every acknowledged vote is there, once."""

import asyncio
import random

import pytest
from load_client import Rater, Tally, choice_of, rate
from load_server import Server, faults, forked, invitations, kill_at
from packets import small_packet
from sqlalchemy import create_engine, text

from veneer.raters.server.limits import Rate
from veneer.raters.store import open_store, progress

FAST = Rate(1e6, 1_000_000)


def rated(folder, url, *, pairs, raters, kills):
    """All votes on a packet, by raters who go on as fast as they can; its packet and tally."""
    packet = small_packet(folder / "packet", pairs=pairs, gold=pairs // 9)
    people, tally = invitations(packet, url, raters), Tally()
    draw = random.Random(pairs)
    after = draw.sample(range(1, 5 * pairs // 2), kills)

    async def work(server):
        at_work = [Rater(name, path, server.address, tally) for name, path in people]
        await asyncio.gather(rate(at_work), kill_at(server, tally, after))

    with Server(forked(folder / "packet", url, votes=FAST)) as server:
        asyncio.run(work(server))
    return packet, tally


@pytest.mark.parametrize(("pairs", "raters", "kills"), [(250, 20, 3)])
def test_sqlite_under_sigkill(tmp_path, pairs, raters, kills):
    url = f"sqlite:///{tmp_path}/votes.db"
    packet, tally = rated(tmp_path, url, pairs=pairs, raters=raters, kills=kills)
    assert faults(packet, url, tally) == []
    assert not tally.refused
    assert sum(tally.retries.values()) >= kills  # they were at work when it was killed
    assert len(tally.voted) == len(tally.sent) > 3 * pairs
    _notices_what_is_wrong(packet, url, tally)


def test_postgres_under_sigkill(tmp_path, postgres_url):
    packet, tally = rated(tmp_path, postgres_url, pairs=130, raters=12, kills=1)
    assert faults(packet, postgres_url, tally) == []
    assert not tally.refused
    assert tally.retries
    store = open_store(postgres_url, packet)
    votes = store.seen(progress.votes)
    store.close()
    assert len(votes) == 390
    assert all(vote.choice == choice_of(vote.rater, vote.item) for vote in votes)


def _notices_what_is_wrong(packet, url, tally):
    """The comparison above would have seen a vote that is lost, changed or made up."""
    voted = "UPDATE veneer_places SET choice = {} WHERE choice = 2 AND gold IS NULL AND pair = 0"
    engine = create_engine(url)
    for change, words in ((voted.format(1), "stored 1"), (voted.format("NULL"), "lost")):
        with engine.connect() as conn:
            assert conn.execute(text(change)).rowcount > 0
            conn.commit()
            found = faults(packet, url, tally)
            assert any(words in fault for fault in found)
            conn.execute(text("UPDATE veneer_places SET choice = 2 WHERE pair = 0"))
            conn.commit()
    del tally.sent[next(iter(tally.sent))]
    assert any("never sent" in fault for fault in faults(packet, url, tally))
