"""A store that is full, locked, moved or gone, and back again; and URLs that name none."""

import asyncio
import resource
import sqlite3
import stat

import pytest
from packets import small_packet

from veneer.errors import InputError
from veneer.raters.store import StoreAway, databases, open_store, people, progress, voting


@pytest.fixture
def packet(tmp_path):
    return small_packet(tmp_path / "p", pairs=300)


def at_work(url, packet):
    """A store with one rater, and what that rater sees."""
    store = open_store(url, packet)
    store.now(people.invite, "Ann", "link", 10.0, 0.0)
    store.now(people.begin, "link", "cookie", 1.0)
    return store, store.now(voting.seen_now, "cookie", 1.0)[1]


def vote(store, shown, reason=""):
    return store.now(voting.vote_and_next, "cookie", shown.item, 1, reason, 2.0)[1]


def votes(store):
    return [v.item for v in store.seen(progress.votes)]


def test_a_full_disk_keeps_what_was_answered_and_takes_votes_again(tmp_path, packet):
    path = tmp_path / "votes.db"
    store, shown = at_work(f"sqlite:///{path}", packet)
    answered = []

    def votes_until_away(shown):
        try:
            for _ in range(300):
                following = vote(store, shown, "a long reason " * 100)
                answered.append(shown.item)
                shown = following
        except StoreAway as away:
            return shown, str(away)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = (tmp_path / "votes.db-wal").stat().st_size + 400_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        shown, told = votes_until_away(shown)
        assert "votes.db" in told
        assert "not kept" in told
        for _ in range(3):
            with pytest.raises(StoreAway):
                vote(store, shown, "a long reason " * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert 5 < len(answered) < 290
    assert votes(store) == answered
    vote(store, shown, "a long reason " * 100)
    assert votes(store) == [*answered, shown.item]
    store.close()
    with sqlite3.connect(path) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_at_its_size_limit_is_called_full(tmp_path, packet):
    store, shown = at_work(f"sqlite:///{tmp_path}/votes.db", packet)
    store.now(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=1").scalar())
    with pytest.raises(StoreAway, match=r"is full \(database or disk is full\)"):
        vote(store, shown, "a long reason " * 1000)
    assert votes(store) == []
    vote(store, shown)
    assert votes(store) == [shown.item]
    store.close()


def test_a_lock_of_another_program_is_waited_for_then_told(tmp_path, packet, monkeypatch):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.2)
    store, shown = at_work(f"sqlite:///{tmp_path}/votes.db", packet)
    other = sqlite3.connect(tmp_path / "votes.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreAway, match=r"cannot be written now \(database is locked\)"):
        vote(store, shown)
    assert votes(store) == []  # looking goes on
    other.execute("ROLLBACK")
    vote(store, shown)
    assert votes(store) == [shown.item]
    store.close()


def test_a_moved_file_is_not_written_and_not_made_anew(tmp_path, packet):
    path, aside = tmp_path / "votes.db", tmp_path / "aside.db"
    store, shown = at_work(f"sqlite:///{path}", packet)
    following = vote(store, shown)
    store.now(lambda conn: None)
    path.rename(aside)
    for _ in range(2):
        with pytest.raises(StoreAway, match="moved or replaced"):
            vote(store, following)
    assert not path.exists()
    path.write_bytes(b"")
    with pytest.raises(StoreAway, match="moved or replaced"):
        vote(store, following)
    path.unlink()
    aside.rename(path)
    vote(store, following)
    assert sorted(votes(store)) == sorted([shown.item, following.item])
    store.close()


def test_postgres_gone_and_back(postgres, packet):
    store, shown = at_work(postgres.database(), packet)
    postgres.stop()
    try:
        for _ in range(2):
            with pytest.raises(StoreAway, match="cannot be written now") as told:
                vote(store, shown)
            assert "not-a-secret" not in str(told.value)
            with pytest.raises(StoreAway):
                store.seen(progress.votes)
    finally:
        postgres.start()
    following = vote(store, shown)
    assert votes(store) == [shown.item]
    postgres.stop()
    postgres.start()
    vote(store, following)  # a restart that nobody was there to see costs nothing
    assert len(votes(store)) == 2
    store.close()


def test_one_jobs_failure_is_its_own(store_url, packet):
    store, shown = at_work(store_url, packet)

    def breaks(conn):
        people.invite(conn, "half", "half", 1.0, 0.0)
        raise ZeroDivisionError

    async def all_at_once():
        jobs = [store.ask(people.invite, f"n{n}", f"l{n}", 10.0, 0.0) for n in range(20)]
        jobs.insert(7, store.ask(breaks))
        jobs.insert(9, store.ask(people.begin, "no such link", "c", 0.0))
        jobs.append(store.ask(voting.vote_and_next, "cookie", shown.item, 2, "", 3.0))
        return await asyncio.gather(*jobs, return_exceptions=True)

    said = asyncio.run(all_at_once())
    failed = [type(answer).__name__ for answer in said if isinstance(answer, Exception)]
    assert failed == ["ZeroDivisionError", "Refused"]
    labels = [r.label for r in store.seen(progress.raters, 0.0)]
    assert labels == ["Ann", *(f"n{n}" for n in range(20))]
    assert votes(store) == [shown.item]
    store.close()
    with pytest.raises(StoreAway, match="closed"):
        store.now(people.invite, "late", "late", 1.0, 0.0)


def test_a_new_file_is_its_owners_alone(tmp_path, packet):
    store, _ = at_work(f"sqlite:///{tmp_path}/votes.db", packet)
    for name in ("votes.db", "votes.db-wal", "votes.db-shm"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    store.close()


def test_a_store_of_another_packet_is_refused_unchanged(store_url, packet, tmp_path):
    store, shown = at_work(store_url, packet)
    vote(store, shown)
    secret = store.secret
    store.close()
    with pytest.raises(InputError, match="another packet") as told:
        open_store(store_url, small_packet(tmp_path / "q", pairs=300, ratings=2))
    assert "not-a-secret" not in str(told.value)
    again = open_store(store_url, packet)
    assert votes(again) == [shown.item]
    assert again.secret == secret
    again.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("votes.db", "cannot be read"),
        ("sqlite://", "not a file"),
        ("sqlite:///:memory:", "not a file"),
        ("mysql://u:hush@h/d", "cannot be kept in 'mysql'"),
        ("postgresql://u:hush@127.0.0.1", "names no database"),
        ("postgres://u:hush@127.0.0.1:1/d", "cannot be opened"),
        ("postgresql://u@127.0.0.1:1/d?password=hush", "cannot be opened"),
        ("postgresql+psycopg://u:hush@127.0.0.1:port/d", "cannot be read"),
        ("sqlite:///{folder}/none/votes.db", "There is no folder"),
        ("sqlite:///{folder}", "is not a file"),
        ("sqlite:///{folder}/text.txt", "file is not a database"),
        ("sqlite:///{folder}/other.db", "something else"),
    ],
)
def test_urls_that_are_no_store(url, said, tmp_path, packet):
    (tmp_path / "text.txt").write_text("a text, not a database. " * 100)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE songs (title)")
    kept = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=said) as told:
        open_store(url.format(folder=tmp_path), packet)
    assert "hush" not in str(told.value)
    assert "--store" in told.value.hint or "mkdir" in told.value.hint
    left = {path: path.read_bytes() for path in kept if path.name != "other.db"}
    assert all(kept[path] == data for path, data in left.items())
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
