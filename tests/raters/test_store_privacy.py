"""What a store knows of people, and that nothing of it is left when they are forgotten."""

import hashlib
import sqlite3

import pytest
from packets import small_packet
from sqlalchemy import select

from veneer.errors import InputError
from veneer.raters.store import (
    Idle,
    Refused,
    crowds,
    databases,
    open_store,
    people,
    progress,
    voting,
)
from veneer.raters.store.tables import metadata


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()


def everything(conn):
    return "\n".join(
        str(tuple(row)) for table in metadata.sorted_tables for row in conn.execute(select(table))
    )


def votes_all(store, cookie, reason):
    shown = store.now(voting.seen_now, cookie, 2.0)[1]
    while not isinstance(shown, Idle):
        shown = store.now(voting.vote_and_next, cookie, shown.item, 1, reason, 3.0)[1]


@pytest.mark.parametrize("discard", [False, True])
def test_nothing_is_left_of_a_forgotten_rater(store_url, tmp_path, discard):
    store = open_store(store_url, small_packet(tmp_path / "p", pairs=20, gold=3))
    facts = {"reward_cents": 50}
    store.now(crowds.add_campaign, "mturk", hashed("entrance"), 30, facts, 0.0)
    entered = ("worker", "assignment", "crowd cookie")
    store.now(crowds.enter, hashed("entrance"), *map(hashed, entered), 1.0)
    store.now(people.invite, "Ann of Accounting", hashed("ann"), 10.0, 0.0)
    store.now(people.begin, hashed("ann"), hashed("ann cookie"), 1.0)
    store.now(people.invite, "Bob", hashed("bob"), 10.0, 0.0)
    store.now(people.begin, hashed("bob"), hashed("bob cookie"), 1.0)
    votes_all(store, hashed("crowd cookie"), "marigold from the crowd")
    votes_all(store, hashed("ann cookie"), "marigold, wrote Ann")
    votes_all(store, hashed("bob cookie"), "kept, wrote Bob")
    personal = ["Accounting", "marigold"]
    personal += [hashed(t) for t in (*entered, "ann", "ann cookie")]
    before = store.seen(everything)
    assert all(text in before for text in personal)

    for rater in (1, 2):
        store.now(people.forget, rater, discard, 5.0)
    left = store.seen(everything)
    assert [text for text in personal if text in left] == []
    assert all(text in left for text in ("kept, wrote Bob", hashed("bob"), hashed("bob cookie")))
    whose = {vote.rater for vote in store.seen(progress.votes)}
    assert whose == ({"r3"} if discard else {"r1", "r2", "r3"})
    if store_url.startswith("sqlite"):
        data = b"".join(path.read_bytes() for path in tmp_path.glob("votes.db*"))
        assert [text for text in personal if text.encode() in data] == []
        assert b"kept, wrote Bob" in data
    with pytest.raises(Refused, match="forged"):
        store.now(voting.seen_now, hashed("ann cookie"), 6.0)
    with pytest.raises(InputError, match="was forgotten"):
        store.now(people.renew, 2, hashed("new"), 10.0, 6.0)
    again = store.now(crowds.enter, hashed("entrance"), *map(hashed, entered), 7.0)
    assert again.rater == 4  # nobody can tell that it is the same worker
    store.close()


def test_forgotten_text_leaves_the_file_though_another_reads_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.2)
    path = tmp_path / "votes.db"
    store = open_store(f"sqlite:///{path}", small_packet(tmp_path / "p"))
    store.now(people.invite, "Ann of Accounting", hashed("ann"), 10.0, 0.0)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("PRAGMA busy_timeout=0")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM veneer_raters").fetchone() == (1,)
    store.now(people.forget, 1, False, 5.0)
    reader.execute("COMMIT")
    store.now(lambda conn: None)  # whatever is written next finishes it
    data = b"".join(file.read_bytes() for file in tmp_path.glob("votes.db*"))
    assert b"Accounting" not in data
    store.close()
