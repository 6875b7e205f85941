"""Real servers and databases that can be killed, and what must hold of the votes they keep.

    python tests/raters/load_server.py PACKET STORE PORT [--batch N] [--votes-per-second N]

serves a packet as `veneer rate serve` does, with what a benchmark may change.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import multiprocessing
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from load_client import Tally
from sqlalchemy import create_engine, text

from veneer.raters.packet import Packet, read_packet
from veneer.raters.server.app import create_app, serve
from veneer.raters.server.limits import VOTES, Rate
from veneer.raters.server.links import hash_of, new_link
from veneer.raters.store import databases, desk, open_store
from veneer.raters.store.people import invite

_STARTED = 20.0  # seconds until a server must answer


def serve_packet(
    packet: Path,
    store_url: str,
    port: int,
    *,
    lease_seconds: float = 1800.0,
    batch: int | None = None,
    votes: Rate = VOTES,
    busy: float = databases.BUSY_SECONDS,
) -> None:
    """What runs in a server's process.

    `batch`: jobs in one transaction at most; `busy`: seconds to wait for another writer.
    """
    databases.BUSY_SECONDS = busy
    if batch:
        desk.MOST = batch
    of = read_packet(packet)
    store = open_store(store_url, of, lease_seconds=lease_seconds)
    try:
        serve(create_app(store, of, votes=votes), port=port)
    finally:
        store.close()


class Process(Protocol):
    """A process that was started: subprocess.Popen's and multiprocessing.Process's common part."""

    @property
    def pid(self) -> int | None: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...


class Server:
    """A server's process, started again on the same port after it was killed."""

    def __init__(self, begin: Callable[[int], Process]) -> None:
        """`begin(port)` starts the process."""
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.cpu_seconds = self.kept_waiting = 0.0
        self._begin = begin
        self._process: Process | None = None

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._process = self._begin(self.port)
        end = time.monotonic() + _STARTED
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert _runs(self._process), "the server's process ended at its start"
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.01)

    @property
    def pid(self) -> int:
        """The process' number."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and _runs(self._process)

    def kill(self) -> None:
        """SIGKILL: nothing is finished."""
        self._end("kill")

    def stop(self) -> None:
        """SIGTERM: requests in hand are answered."""
        self._end("terminate")

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self.cpu_seconds += cpu_seconds(process.pid)
        self.kept_waiting += kept_waiting(process.pid)
        getattr(process, how)()
        if isinstance(process, subprocess.Popen):
            process.wait(15)
        else:
            process.join(15)  # type: ignore[attr-defined]

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def kill_at(server: Server, tally: Tally, after: Sequence[int], seed: int = 0) -> None:
    """SIGKILL the server after so many acknowledged votes, each time, and start it again."""
    draw = random.Random(seed)
    for count in sorted(after):
        while len(tally.voted) < count:
            await asyncio.sleep(0.001)
        await asyncio.sleep(draw.uniform(0, 0.01))
        server.kill()
        await asyncio.to_thread(server.start)


def forked(packet: Path, store_url: str, **settings: Any) -> Callable[[int], Process]:
    """Starts a server as a fork of a process that has read its modules: again in 50 ms."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, "uvloop", "uvicorn.protocols.http.httptools_impl"])

    def begin(port: int) -> Process:
        process = forks.Process(
            target=serve_packet, args=(packet, store_url, port), kwargs=settings, daemon=True
        )
        process.start()
        return process

    return begin


def free_port() -> int:
    """A port that no connection takes by itself.

    From below those that the system gives to connections: while a server is away, a client that
    tries again could else be given the server's own port and be connected with itself.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = first - 1 - int.from_bytes(os.urandom(2)) % 10_000
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                tried.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no free port")


def cpu_seconds(pid: int | None) -> float:
    """Processor time of a process until now, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kept_waiting(pid: int | None) -> float:
    """Seconds that a process' threads could have run and had no core, because others ran."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def _runs(process: Process) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is None
    return bool(process.is_alive())  # type: ignore[attr-defined]


def invitations(packet: Packet, store_url: str, count: int) -> list[tuple[str, str]]:
    """New raters: their names in the study and the paths of their links."""
    store = open_store(store_url, packet)
    made = []
    try:
        now = time.time()
        for _ in range(count):
            token = new_link(store.secret, "rater")
            number = store.now(invite, "", hash_of(token), now + 3600, now)
            made.append((f"r{number}", f"/i/{token}"))
    finally:
        store.close()
    return made


_STORED = text(
    "SELECT pairs.item, places.rater, places.choice, pairs.gold FROM veneer_places AS places"
    " JOIN veneer_pairs AS pairs ON pairs.position = places.pair WHERE places.choice IS NOT NULL"
)


def stored_votes(store_url: str) -> list[tuple[str, str, int, bool]]:
    """(rater, item, choice, whether an attention check), read without the store's own code."""
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as conn:
            rows = conn.execute(_STORED).all()
            if engine.dialect.name == "sqlite":
                assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    finally:
        engine.dispose()
    return [(f"r{rater}", item, choice, gold is not None) for item, rater, choice, gold in rows]


def faults(packet: Packet, store_url: str, tally: Tally, *, finished: bool = True) -> list[str]:
    """What is wrong with the votes that a store holds after these were sent; none, if nothing is.

    With `finished`, every pair must have all its ratings.
    """
    votes = stored_votes(store_url)
    found: list[str] = []
    times = Counter((rater, item) for rater, item, *_ in votes)
    found += [f"{who} counted {n} times on {item}" for (who, item), n in times.items() if n > 1]
    kept = {(rater, item): choice for rater, item, choice, _ in votes}
    for vote in tally.voted:
        has = kept.get((vote.rater, vote.item))
        if has is None:
            found.append(f"acknowledged and lost: {vote.rater} on {vote.item}")
        elif has != vote.choice:
            found.append(f"{vote.rater} on {vote.item} chose {vote.choice}, stored {has}")
    for (rater, item), choice in kept.items():
        if tally.sent.get((rater, item)) != choice:
            found.append(f"never sent: {rater} on {item}, {choice}")
    each = Counter(item for _, item, _, gold in votes if not gold)
    wanted = packet.facts.ratings
    for pair in packet.pairs:
        has = each[pair.item]
        if pair.item not in packet.gold and (has > wanted or (finished and has < wanted)):
            found.append(f"{pair.item} has {has} of {wanted} ratings")
    acknowledged = Counter((vote.rater, vote.item) for vote in tally.voted)
    found += [f"acknowledged {n} times: {key}" for key, n in acknowledged.items() if n > 1]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("packet", type=Path)
    options.add_argument("store")
    options.add_argument("port", type=int)
    options.add_argument("--batch", type=int)
    options.add_argument("--votes-per-second", type=float, default=VOTES.per_second)
    options.add_argument("--profile", type=Path)
    given = options.parse_args()
    votes = Rate(given.votes_per_second, max(VOTES.burst, int(given.votes_per_second)))
    profile = cProfile.Profile()
    if given.profile:
        profile.enable()
    try:
        serve_packet(given.packet, given.store, given.port, batch=given.batch, votes=votes)
    finally:
        if given.profile:
            profile.disable()
            profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()
