"""The journal: what was asked, what came back and what it cost, for every run of a user.

An intent is durable before its request is sent, an answer before anyone sees it. So a request is
never paid twice across runs, studies and kills; what a killed process had sent and not seen
answered is known ("in doubt"), and is asked again under the same idempotency key.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from veneer.models.api.accounts import PAID, Room, charge_doubt, fits, spend, spent
from veneer.models.api.budget import Budget
from veneer.models.api.entries import BatchJob, Claim, Intent, Spent, Usage
from veneer.models.api.store import Store
from veneer.models.asking import Reply

FAILED_RUNS = 3
"""A request that the provider rejects for good is tried in this many runs, then no more."""
BATCH = "batch:"
"""Owner of an intent that waits in a provider's batch job: BATCH + the job's name here."""


def default_journal() -> Path:
    """$VENEER_JOURNAL, or the user's data folder: one journal for all studies."""
    if given := os.environ.get("VENEER_JOURNAL"):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "veneer" / "journal.sqlite"


class Journal:
    """An open journal; use it from any thread, and `close` it.

    Methods that write return a future: it is done when what they wrote is on the disk.

    Raises:
        InputError: the file is damaged, read-only or no journal.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._store = Store(path or default_journal())
        self.path = self._store.path
        self._me = self._store.owner

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and give up the place among the living."""
        self._store.close()

    # -- answers ------------------------------------------------------------------------

    def answers(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Replies that are known, by key; also requests rejected for good in FAILED_RUNS runs."""

        def look(database: sqlite3.Connection) -> dict[str, Reply]:
            found = {key: reply for key in keys if (reply := _answer(database, key)) is not None}
            for key in keys:
                row = _one(database, "SELECT times, reason FROM failures WHERE key = ?", key)
                if key not in found and row is not None and row[0] >= FAILED_RUNS:
                    reason = f"{row[1]} (asked in {row[0]} runs, not asked again)"
                    found[key] = Reply("", "failed", reason)
            return found

        return self._store.run(look)

    def claim(
        self, intents: Sequence[Intent], *, batch: str = "", budget: Budget | None = None
    ) -> Future[list[Claim]]:
        """Write intents, each whole or not at all; what is claimed may be sent once this is done.

        Args:
            intents: requests to be sent now.
            batch: name of a batch job that `keep_batch` has written before: they stay claimed
                when this process ends, until `settle`, `release` or `end_batch`.
            budget: what the collection may spend in all. What it has spent, all its open
                intents at their worst (those of other processes too) and this one must fit.
        """
        owner = BATCH + batch if batch else self._me.name

        def write(database: sqlite3.Connection) -> list[Claim]:
            room = Room(database, budget)
            return [self._claimed(database, intent, owner, room) for intent in intents]

        return self._store.submit(write)

    def _claimed(
        self, database: sqlite3.Connection, intent: Intent, owner: str, room: Room
    ) -> Claim:
        found = {k: reply for k in intent.keys if (reply := _answer(database, k)) is not None}
        if found:
            return Claim("found", found)
        again = False
        for key in intent.keys:
            row = _one(
                database,
                "SELECT i.request, i.owner, i.samples FROM held h JOIN intents i"
                " ON i.request = h.request WHERE h.key = ?",
                key,
            )
            if row is None:
                continue
            request, holder, samples = row
            if holder.startswith(BATCH):
                name = holder.removeprefix(BATCH)
                if _one(database, "SELECT 1 FROM batches WHERE name = ?", name):
                    return Claim("batched", batch=name)
            elif self._me.alive(holder):
                return Claim("held")
            if request != intent.request:
                return Claim("regroup", samples=tuple(json.loads(samples)))
            again = True
        if not room.take(intent):
            return Claim("over")
        if again:
            charge_doubt(database, intent.request, None)
        database.execute(
            "INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.request,
                owner,
                intent.collection,
                json.dumps(intent.keys),
                json.dumps(intent.samples),
                intent.worst.prompt_tokens,
                intent.worst.completion_tokens,
                intent.worst.usd,
            ),
        )
        database.executemany(
            "INSERT OR REPLACE INTO held VALUES (?, ?)",
            [(key, intent.request) for key in intent.keys],
        )
        return Claim("again" if again else "mine")

    def settle(
        self, intent: Intent, replies: Mapping[str, Reply], paid: Usage, *, requests: int = 1
    ) -> Future[None]:
        """Keep what a request brought and what it cost, and end its intent.

        `replies` may hold fewer keys than the intent: the others are then unclaimed again.
        """

        def write(database: sqlite3.Connection) -> None:
            database.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        k,
                        r.text,
                        r.outcome,
                        r.reason,
                        r.prompt_tokens,
                        r.completion_tokens,
                        r.logprob,
                    )
                    for k, r in replies.items()
                ],
            )
            spend(database, intent.collection, PAID, paid, requests)
            _end(database, intent.request)

        return self._store.submit(write)

    def doubt(
        self, intent: Intent, cost: Usage | None = None, *, budget: Budget | None = None
    ) -> Future[bool]:
        """An attempt may have been billed and brought nothing: charge `cost`, or its worst.

        The result tells whether the budget allows another attempt.
        """

        def write(database: sqlite3.Connection) -> bool:
            charge_doubt(database, intent.request, cost)
            return budget is None or fits(database, intent, budget)

        return self._store.submit(write)

    def abandon(self, intents: Sequence[Intent]) -> Future[None]:
        """Leave requests that were sent and not seen answered: from now on they are in doubt."""

        def write(database: sqlite3.Connection) -> None:
            for intent in intents:
                database.execute(
                    "UPDATE intents SET owner = '' WHERE request = ?", (intent.request,)
                )

        return self._store.submit(write)

    def release(self, intent: Intent, *, reason: str = "", for_good: bool = False) -> Future[None]:
        """End an intent that brought nothing and cost nothing; it may be claimed again.

        With `for_good` the provider's rejection is counted, see FAILED_RUNS.
        """

        def write(database: sqlite3.Connection) -> None:
            _end(database, intent.request)
            if for_good:
                database.executemany(
                    "INSERT INTO failures VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE"
                    " SET times = times + 1, reason = excluded.reason",
                    [(key, reason) for key in intent.keys],
                )

        return self._store.submit(write)

    def spent(self, collection: str) -> Spent:
        """What a collection has cost so far, in all runs; doubtful requests at their worst."""

        return self._store.run(lambda database: spent(database, collection))

    # -- batch jobs -----------------------------------------------------------------------

    def keep_batch(self, job: BatchJob) -> Future[None]:
        """Write a batch job, new or changed (provider's id, state, note)."""

        def write(database: sqlite3.Connection) -> None:
            database.execute(
                "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.name,
                    job.provider_id,
                    job.state,
                    job.base_url,
                    job.model,
                    job.collection,
                    json.dumps({name: list(keys) for name, keys in job.requests.items()}),
                    json.dumps(dict(job.note or {})),
                ),
            )

        return self._store.submit(write)

    def batches(self, *, base_url: str, model: str | None = None) -> list[BatchJob]:
        """The batch jobs of an endpoint, by name."""

        def look(database: sqlite3.Connection) -> list[BatchJob]:
            rows = database.execute(
                "SELECT name, model, collection, requests, provider_id, state, note"
                " FROM batches WHERE base_url = ? AND (model = ? OR ? IS NULL) ORDER BY name",
                (base_url, model, model),
            )
            return [
                BatchJob(
                    name=name,
                    base_url=base_url,
                    model=of_model,
                    collection=collection,
                    requests={line: tuple(keys) for line, keys in json.loads(wanted).items()},
                    provider_id=provider_id,
                    state=state,
                    note=json.loads(note),
                )
                for name, of_model, collection, wanted, provider_id, state, note in rows
            ]

        return self._store.run(look)

    def end_batch(self, name: str) -> Future[None]:
        """Forget a batch job and end the intents that are left in it (they cost nothing)."""

        def write(database: sqlite3.Connection) -> None:
            left = database.execute(
                "SELECT request FROM intents WHERE owner = ?", (BATCH + name,)
            ).fetchall()
            for (request,) in left:
                _end(database, request)
            database.execute("DELETE FROM batches WHERE name = ?", (name,))

        return self._store.submit(write)

    def intents(self, *, batch: str) -> list[Intent]:
        """The intents that wait in a batch job."""

        def look(database: sqlite3.Connection) -> list[Intent]:
            rows = database.execute(
                "SELECT keys, samples, collection, prompt_tokens, completion_tokens, usd"
                " FROM intents WHERE owner = ? ORDER BY request",
                (BATCH + batch,),
            )
            return [
                Intent(
                    tuple(json.loads(keys)), tuple(json.loads(samples)), collection, Usage(*worst)
                )
                for keys, samples, collection, *worst in rows
            ]

        return self._store.run(look)

    # -- small things worth knowing next time ---------------------------------------------

    def note(self, name: str, value: str) -> Future[None]:
        """Remember something about an endpoint, such as a limit that was learned."""

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

        return self._store.submit(write)

    def noted(self, name: str) -> str | None:
        """What `note` kept."""
        row = self._store.run(lambda d: _one(d, "SELECT value FROM notes WHERE name = ?", name))
        return None if row is None else row[0]


def _one(database: sqlite3.Connection, query: str, key: str) -> tuple | None:
    return database.execute(query, (key,)).fetchone()


def _answer(database: sqlite3.Connection, key: str) -> Reply | None:
    row = _one(
        database,
        "SELECT text, outcome, reason, prompt_tokens, completion_tokens, logprob"
        " FROM answers WHERE key = ?",
        key,
    )
    return None if row is None else Reply(*row)


def _end(database: sqlite3.Connection, request: str) -> None:
    database.execute("DELETE FROM held WHERE request = ?", (request,))
    database.execute("DELETE FROM intents WHERE request = ?", (request,))
