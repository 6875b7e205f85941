"""Simulated raters against the rating server: votes a second, latency, and what SIGKILL leaves.

Run it from the project's root:  .venv/bin/python bench/rating.py [--only NAME …] [--rate 350]

RATERS people open their links and vote over HTTP as browsers with JavaScript do (200, three
ratings for each of 6,667 pairs, 741 attention checks beside them: each sees about one in ten). The
server is `veneer rate serve` in a process of its own; the raters are in this one, on the same
cores. Postgres 15 is started as a user who is not root.

  sqlite, postgres               an open loop: RATE votes a second are due, whatever the server
                                 does; latency counts from the moment a vote was due until its
                                 whole answer, the next pair, was read
  sqlite-kills, postgres-kills   the same, and the server is SIGKILLed KILLS times at random
                                 moments and started again; raters press again until an answer comes
  closed-…                       a closed loop: everybody votes as soon as they are answered, the
                                 limit of votes a session lifted; the most that goes through.
                                 `single`: one transaction a vote instead of group commit

After each, the votes are read from the database and compared with what was sent: every pair has
exactly three distinct raters, every acknowledged vote is there with its choice, none twice, none
that nobody sent. Prints a table; `sync` is what one write of 4 KB to disk takes at that moment,
`load` the load average before the run, ms the processor time a vote of server (without its
database's own processes) and raters. `without a core` is what the server's threads waited a vote
because others ran: where it is not small, the figures are those of a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "raters"))
import load_server
from load_client import Rater, Tally, rate
from load_server import Process, Server, faults, free_port, invitations, kill_at
from packets import small_packet

import conftest

PLACES = ("sqlite", "postgres")
SCENARIOS = (
    *PLACES,
    *(f"{place}-kills" for place in PLACES),
    *(f"closed-{place}{how}" for place in PLACES for how in ("", "-single")),
)
CHECKS = 10  # percent of what raters see
RATINGS = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--only", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    options.add_argument("--raters", type=int, default=200)
    options.add_argument("--pairs", type=int, default=6667)
    options.add_argument("--rate", type=float, default=350, help="votes due a second")
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--profile", type=Path, help="write a profile of the server here")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not without ending the databases
    _uvloop()
    rows = []
    for name in given.only:
        rows.append(scenario(given, name))
        print(_line(rows[-1]), flush=True)
    for one, other in (
        ("closed-sqlite", "closed-sqlite-single"),
        ("closed-postgres", "closed-postgres-single"),
        ("closed-sqlite", "closed-postgres"),
    ):
        found = {row["name"]: row["votes_a_second"] for row in rows}
        if one in found and other in found:
            print(f"{one} / {other}: {found[one] / found[other]:.2f} times")
    print(json.dumps(rows))
    if any(row["faults"] or row["refused"] for row in rows):
        sys.exit(1)


def scenario(given: argparse.Namespace, name: str) -> dict:
    """One line of the table."""
    closed, kills = name.startswith("closed"), given.kills if name.endswith("kills") else 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rating")))
        checks = round(given.pairs * CHECKS / (100 - CHECKS))
        packet = small_packet(
            folder / "packet", pairs=given.pairs, gold=checks, ratings=RATINGS, outputs=_outputs
        )
        store = f"sqlite:///{folder / 'votes.db'}"
        if "postgres" in name:
            store = stack.enter_context(_postgres(folder)).database()
        people = invitations(packet, store, given.raters)
        before = {"load": os.getloadavg()[0], "sync_ms": 1000 * _sync(folder)}
        server = Server(_launcher(folder / "packet", store, closed, name, given.profile))
        with server:
            tally, own = Tally(), time.process_time()
            raters = [Rater(who, path, server.address, tally) for who, path in people]
            began, ended = asyncio.run(_run(raters, server, given, closed, kills))
            own = time.process_time() - own
            server.stop()
        wrong = faults(packet, store, tally)
    latencies = sorted(vote.latency for vote in tally.voted)
    seconds, n = ended - began, len(tally.voted)
    return {
        "name": name,
        "raters": len(raters),
        "votes": n,
        "seconds": seconds,
        "votes_a_second": n / seconds,
        **{f"p{p}_ms": 1000 * latencies[min(n - 1, n * p // 100)] for p in (50, 95, 99)},
        "max_ms": 1000 * latencies[-1],
        "kills": kills,
        "retries": dict(tally.retries),
        "unanswered": len(tally.sent) - n,
        "refused": dict(tally.refused),
        "faults": wrong[:20],
        **before,
        "without_core_ms": 1000 * server.kept_waiting / n,
        "server_cpu_ms": 1000 * server.cpu_seconds / n,
        "raters_cpu_ms": 1000 * own / n,
    }


async def _run(
    raters: list[Rater], server: Server, given: argparse.Namespace, closed: bool, kills: int
) -> tuple[float, float]:
    """All votes; when voting began and ended."""
    rows, tally = given.pairs * RATINGS, raters[0].tally
    after = random.Random(given.seed).sample(range(rows // 50, rows * 19 // 20), kills)
    killer = asyncio.create_task(kill_at(server, tally, after, given.seed))
    began = await rate(raters, per_second=None if closed else given.rate, seed=given.seed)
    ended = tally.voted[-1].acknowledged
    await killer
    return began, ended


class Postgres(conftest.Postgres):
    """The tests' Postgres, with commits that wait for the disk."""

    def start(self) -> None:
        """Start it as it comes, listening on this machine alone."""
        self.port = free_port()
        flags = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", flags, "start")


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[Postgres]:
    programs = conftest.programs()
    assert programs is not None, "Postgres is not installed"
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    database = Postgres(programs, folder / "postgres")
    database.start()
    try:
        yield database
    finally:
        database.stop()


def _launcher(
    packet: Path, store: str, closed: bool, name: str, profile: Path | None
) -> Callable[[int], Process]:
    """Starts the command itself, or where something is changed a runner of the same pages."""
    runner = [sys.executable, load_server.__file__, str(packet), store]
    more = ["--votes-per-second", "1000000"] if closed else []
    more += ["--batch", "1"] if name.endswith("single") else []
    more += ["--profile", str(profile)] if profile else []
    command = [sys.executable, "-m", "veneer", "rate", "serve", str(packet), "--store", store]

    def begin(port: int) -> Process:
        if more or not _has_command():
            return subprocess.Popen([*runner, str(port), *more])
        return subprocess.Popen(
            [*command, "--port", str(port)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    return begin


def _has_command() -> bool:
    asked = [sys.executable, "-m", "veneer", "rate", "serve", "--help"]
    return subprocess.run(asked, capture_output=True).returncode == 0


def _outputs(n: int) -> tuple[str, str]:
    """Answers of ordinary length, with the Markdown that models write."""
    draw = random.Random(n)
    words = ("the", "answer", "to", "this", "is", "that", "one", "takes", "some", "first", "again")

    def text() -> str:
        said = [" ".join(draw.choices(words, k=30)).capitalize() + "." for _ in range(3)]
        return f"{said[0]}\n\n1. **First**: {said[1]}\n2. *Then*: {said[2]}\n\n```\nx = {n}\n```\n"

    return text(), text()


def _sync(folder: Path) -> float:
    """Seconds that a write of 4 KB to disk takes, the median of 50."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return median(took)


def _uvloop() -> None:
    """The raters' own loop costs less with uvloop, which comes with the server."""
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _line(row: dict) -> str:
    wrong = len(row["faults"])
    times = " ".join(f"{p} {row[f'{p}_ms']:.0f}" for p in ("p50", "p95", "p99", "max"))
    return (
        f"{row['name']:22} {row['votes']:,} votes in {row['seconds']:.1f} s: "
        f"{row['votes_a_second']:.0f} a second; {times} ms; kills {row['kills']}, "
        f"retries {sum(row['retries'].values())}, refused {sum(row['refused'].values())}, "
        f"{'every vote as it was sent' if not wrong else f'{wrong} FAULTS'}; "
        f"server {row['server_cpu_ms']:.2f} ms (+ {row['without_core_ms']:.2f} without a core), "
        f"raters {row['raters_cpu_ms']:.2f} ms; sync {row['sync_ms']:.2f} ms, "
        f"load {row['load']:.1f}"
    )


if __name__ == "__main__":
    main()
