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


def fits(
    database: sqlite3.Connection, intent: Intent, budget: Budget, *, doubtful: bool = False
) -> bool:
    """Whether a collection's costs, its open intents at their worst and this one are allowed.

    `doubtful`: the intent is open since a process that is gone, and counts twice.
    """
    tokens, usd = intent.worst.prompt_tokens + intent.worst.completion_tokens, intent.worst.usd or 0
    for table, others in (
        ("spending", ""),
        ("intents", "" if doubtful else " AND request != ?"),
    ):
        more = (intent.request,) if others else ()
        row = database.execute(
            "SELECT coalesce(sum(prompt_tokens + completion_tokens), 0), coalesce(sum(usd), 0)"
            f" FROM {table} WHERE collection = ?{others}",
            (intent.collection, *more),
        ).fetchone()
        tokens, usd = tokens + row[0], usd + row[1]
    return budget.allows(tokens, usd)


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
