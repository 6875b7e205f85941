"""Two servers on one store at once: each pair still gets exactly its ratings, each by another."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from packets import small_packet

from veneer.raters.store import Idle, open_store, people, progress, voting

RATERS, PAIRS, RATINGS = 16, 24, 3


def test_two_stores_take_votes_at_once(store_url, tmp_path):
    packet = small_packet(tmp_path / "p", pairs=PAIRS, gold=2, ratings=RATINGS)
    ready = threading.Barrier(2)

    def opened(_):
        ready.wait()
        return open_store(store_url, packet)

    with ThreadPoolExecutor(2) as pool:  # both make it, one is first
        stores = list(pool.map(opened, range(2)))
    assert stores[0].secret == stores[1].secret

    def everybody(conn):
        for n in range(RATERS):
            people.invite(conn, f"rater {n}", f"link {n}", 10.0, 0.0)
            people.begin(conn, f"link {n}", f"c{n}", 1.0)

    stores[0].now(everybody)
    shown_to = Counter()

    async def rater(n):
        _, shown = await stores[n % 2].ask(voting.seen_now, f"c{n}", 2.0)
        while shown != Idle("finished"):
            if isinstance(shown, Idle):
                await asyncio.sleep(0.005)
                _, shown = await stores[n % 2].ask(voting.seen_now, f"c{n}", 2.0)
                continue
            shown_to[n, shown.item] += 1
            job = (voting.vote_and_next, f"c{n}", shown.item, n % 3, "", 3.0)
            both = await asyncio.gather(*(store.ask(*job) for store in stores))  # a double click
            assert both[0][1] == both[1][1] or Idle("later") in (both[0][1], both[1][1])
            shown = max((answer[1] for answer in both), key=lambda it: isinstance(it, Idle))

    async def all_raters():
        await asyncio.wait_for(asyncio.gather(*(rater(n) for n in range(RATERS))), 60)

    asyncio.run(all_raters())
    votes = stores[1].seen(progress.votes)
    assert Counter(Counter(v.item for v in votes).values()) == {RATINGS: PAIRS}
    assert len({(v.item, v.rater) for v in votes}) == PAIRS * RATINGS
    assert set(shown_to.values()) == {1}
    state = stores[0].seen(progress.state, 4.0)
    assert (state.votes, state.done, state.leased) == (PAIRS * RATINGS, PAIRS, 0)
    for store in stores:
        store.close()
