"""The journal's accounts: what each collection has paid, and what may have been billed beside."""

from __future__ import annotations

import sqlite3

from veneer.models.api.budget import Budget
from veneer.models.api.entries import Intent, Spent, Usage

PAID = "paid"
IN_DOUBT = "in doubt"


def spent(database: sqlite3.Connection, collection: str) -> Spent:
    """What a collection has cost so far."""
    total = Spent()
    for kind, *sums in database.execute(
        "SELECT kind, requests, prompt_tokens, completion_tokens, usd, unpriced"
        " FROM spending WHERE collection = ?",
        (collection,),
    ):
        total = Spent(
            total.requests + sums[0],
            total.prompt_tokens + sums[1],
            total.completion_tokens + sums[2],
            total.usd + sums[3],
            total.unpriced + sums[4],
            sums[0] if kind == IN_DOUBT else total.in_doubt,
        )
    return total


def fits(database: sqlite3.Connection, intent: Intent, budget: Budget) -> bool:
    """Whether another attempt at an open intent is allowed, all open ones at their worst."""
    return budget.allows(*_sums(database, intent.collection))


class Room:
    """What one transaction may claim: the sums of `fits` are read once, not for each intent."""

    def __init__(self, database: sqlite3.Connection, budget: Budget | None) -> None:
        self._database, self._budget = database, budget
        self._used: dict[str, tuple[int, float]] = {}

    def take(self, intent: Intent) -> bool:
        """Whether the intent fits; then it is counted.

        One that is open since a process that is gone stays counted beside.
        """
        if self._budget is None:
            return True
        if intent.collection not in self._used:
            self._used[intent.collection] = _sums(self._database, intent.collection)
        tokens, usd = self._used[intent.collection]
        worst = intent.worst
        more = (tokens + worst.prompt_tokens + worst.completion_tokens, usd + (worst.usd or 0))
        fits = self._budget.allows(*more)
        if fits:
            self._used[intent.collection] = more
        return fits


def _sums(database: sqlite3.Connection, collection: str) -> tuple[int, float]:
    """Tokens and USD of a collection: spent, and its open intents at their worst."""
    tokens, usd = 0, 0.0
    for table in ("spending", "intents"):
        row = database.execute(
            "SELECT coalesce(sum(prompt_tokens + completion_tokens), 0), coalesce(sum(usd), 0)"
            f" FROM {table} WHERE collection = ?",
            (collection,),
        ).fetchone()
        tokens, usd = tokens + row[0], usd + row[1]
    return tokens, usd


def charge_doubt(database: sqlite3.Connection, request: str, cost: Usage | None) -> None:
    """Charge an open intent's collection with `cost`, or with the worst it can have cost."""
    row = database.execute(
        "SELECT collection, prompt_tokens, completion_tokens, usd FROM intents WHERE request = ?",
        (request,),
    ).fetchone()
    if row is not None:
        spend(database, row[0], IN_DOUBT, cost or Usage(*row[1:]), 1)


def spend(
    database: sqlite3.Connection, collection: str, kind: str, paid: Usage, requests: int
) -> None:
    """Add to what a collection has cost."""
    database.execute(
        "INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (collection, kind) DO UPDATE"
        " SET requests = requests + excluded.requests,"
        " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
        " completion_tokens = completion_tokens + excluded.completion_tokens,"
        " usd = usd + excluded.usd, unpriced = unpriced + excluded.unpriced",
        (
            collection,
            kind,
            requests,
            paid.prompt_tokens,
            paid.completion_tokens,
            paid.usd or 0.0,
            requests if paid.usd is None else 0,
        ),
    )
