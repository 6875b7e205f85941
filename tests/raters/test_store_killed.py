"""A server killed under a stream of votes: every vote that was answered is there, none twice."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from packets import small_packet

from veneer.raters.packet import read_packet
from veneer.raters.store import Idle, open_store, people, progress, voting

RATERS, RATINGS = 40, 3


def serve_votes(url, folder):
    """Votes as fast as they are taken; each answered one goes to stdout, whole or not at all."""
    store = open_store(url, read_packet(Path(folder)))

    async def rater(n):
        _, shown = await store.ask(voting.seen_now, f"cookie {n}", time.time())
        while not isinstance(shown, Idle):
            item, choice = shown.item, (int(shown.item, 16) + n) % 3
            job = (voting.vote_and_next, f"cookie {n}", item, choice, "", time.time())
            _, shown = await store.ask(*job)
            os.write(1, f"r{n} {item} {choice}\n".encode())

    async def everybody():
        await asyncio.gather(*(rater(n) for n in range(1, RATERS + 1)))

    asyncio.run(everybody())


def test_killed_under_a_stream_of_votes(store_url, tmp_path):
    packet = small_packet(tmp_path / "p", pairs=1500, ratings=RATINGS)
    store = open_store(store_url, packet)

    def everybody(conn):
        for n in range(1, RATERS + 1):
            people.invite(conn, f"rater {n}", f"link {n}", time.time() + 100, time.time())
            people.begin(conn, f"link {n}", f"cookie {n}", time.time())

    store.now(everybody)
    answered = set()
    for kill in range(3 if store_url.startswith("sqlite") else 2):
        child = subprocess.Popen(
            [sys.executable, __file__, store_url, str(tmp_path / "p")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        said = child.stdout.read(2000 + 3500 * kill)  # about 100 votes at least, then at any point
        child.kill()
        said += child.stdout.read()
        child.wait()
        fresh = {tuple(line.split()) for line in said.decode().splitlines(keepends=False)}
        assert len(fresh) > 50
        assert not fresh & answered
        answered |= fresh
        votes = store.seen(progress.votes)
        stored = {(v.rater, v.item, str(v.choice)) for v in votes}
        assert len(stored) == len(votes)
        assert answered <= stored
        assert len(stored - answered) <= RATERS * (kill + 1)  # kept, but killed before the answer
        assert len({(v.rater, v.item) for v in votes}) == len(votes)
        assert max(Counter(v.item for v in votes).values()) <= RATINGS
    state = store.seen(progress.state, time.time())
    assert state.votes == len(votes)
    counted = {r.rater: r.votes for r in store.seen(progress.raters, time.time())}
    assert counted == Counter(int(v.rater[1:]) for v in votes)
    store.close()


if __name__ == "__main__":
    serve_votes(*sys.argv[1:])
