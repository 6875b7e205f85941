"""What the owner is told of a study, against plain loops; and that votes need no scan."""

import itertools
import random
from collections import Counter
from statistics import median

import pytest
from packets import small_packet
from sqlalchemy import text

from veneer.raters.store import (
    Assigned,
    assigning,
    crowds,
    open_store,
    people,
    progress,
    seats,
    voting,
)


@pytest.fixture
def voted(store_url, tmp_path):
    """A store in which six raters of two origins voted at random, and every vote they gave."""
    packet = small_packet(tmp_path / "p", pairs=30, gold=5)
    store = open_store(store_url, packet, lease_seconds=1e6)
    chance, given = random.Random(3), []

    def everybody(conn):
        for n in range(1, 5):
            people.invite(conn, f"rater {n}", f"l{n}", 10.0, 0.0)
            people.begin(conn, f"l{n}", f"c{n}", 1.0)
        crowds.add_campaign(conn, "prolific", "entrance", 20, {}, 0.0)
        for n in (5, 6):
            crowds.enter(conn, "entrance", f"w{n}", f"a{n}", f"c{n}", 1.0)
        now, at, idle = 100.0, dict.fromkeys(range(1, 7), 100.0), set()
        while len(idle) < 6 and len(given) < 80:
            n = chance.randint(1, 6)
            shown = voting.seen_now(conn, f"c{n}", now)[1]
            if not isinstance(shown, Assigned):
                idle.add(n)
                continue
            at[n] = now
            now += chance.choice([5.0, 60.0, 200.0])
            choice = chance.randint(0, 2)
            session = people.session_of(conn, f"c{n}", now)
            voting.vote(conn, session, shown.item, choice, "", now)
            given.append((n, shown.item, choice, now - at[n], now))
        return now

    # one pair in each hand at the end
    end = store.now(everybody)
    for n in range(1, 7):
        store.now(voting.seen_now, f"c{n}", end)
    yield store, packet, given, end
    store.close()


def test_state_and_raters_are_the_plain_counts(voted):
    store, packet, given, end = voted
    on_pairs = [v for v in given if v[1] not in packet.gold]
    checks = [v for v in given if v[1] in packet.gold]
    assert len(on_pairs) > 50
    assert len(checks) > 3
    state = store.seen(progress.state, end)
    wanted = Counter(item for _, item, *_ in on_pairs)
    assert (state.pairs, state.ratings, state.paused) == (30, 3, False)
    assert state.votes == len(on_pairs)
    assert state.done == sum(n == 3 for n in wanted.values())
    assert state.by_origin == {
        "private": sum(v[0] <= 4 for v in on_pairs),
        "prolific": sum(v[0] >= 5 for v in on_pairs),
    }
    assert state.median_seconds == pytest.approx(median(v[3] for v in on_pairs))
    assert state.seconds == pytest.approx(sum(v[3] for v in given))
    assert (state.first_at, state.last_at) == (on_pairs[0][4], on_pairs[-1][4])
    assert state.last_hour == sum(v[4] > end - 3600 for v in on_pairs)
    assert 0 < state.last_hour < state.votes
    right = sum(packet.gold[v[1]] == v[2] for v in checks)
    assert (state.gold_right, state.gold_wrong) == (right, len(checks) - right)
    assert 0 < state.leased <= 6

    told = {r.rater: r for r in store.seen(progress.raters, end)}
    assert list(told) == [1, 2, 3, 4, 5, 6]
    for n in told:
        mine = [v for v in on_pairs if v[0] == n]
        both = [
            a[2] == b[2]
            for a, b in itertools.product(mine, on_pairs)
            if a[1] == b[1] and a[0] != b[0]
        ]
        assert told[n].agrees_n == len(both) > 0
        assert told[n].agrees == pytest.approx(sum(both) / len(both))
        assert told[n].votes == len(mine)
        assert told[n].equal == sum(v[2] == 0 for v in mine)
        assert told[n].first == sum(v[2] == 1 for v in mine)
        assert told[n].median_seconds == pytest.approx(median(v[3] for v in mine))
        assert told[n].last_at == max(v[4] for v in given if v[0] == n)
        golds = [packet.gold[v[1]] == v[2] for v in checks if v[0] == n]
        assert (told[n].gold_right, told[n].gold_wrong) == (sum(golds), golds.count(False))
        assert told[n].origin == ("private" if n <= 4 else "prolific")
        assert told[n].label == (f"rater {n}" if n <= 4 else "")
        assert told[n].link == ("used" if n <= 4 else "none")


def test_votes_are_in_the_packets_order(voted):
    store, packet, given, _ = voted
    order = {pair.item: n for n, pair in enumerate(packet.pairs)}
    for gold in (False, True):
        expected = sorted(
            (order[item], n, choice)
            for n, item, choice, *_ in given
            if (item in packet.gold) == gold
        )
        votes = store.seen(progress.votes, gold)
        assert [(order[v.item], int(v.rater[1:]), v.choice) for v in votes] == expected


def test_a_new_study_has_nothing_to_tell(store_url, tmp_path):
    store = open_store(store_url, small_packet(tmp_path / "p"))
    state = store.seen(progress.state, 0.0)
    assert (state.votes, state.seconds, state.median_seconds, state.first_at) == (
        0,
        0.0,
        None,
        None,
    )
    assert store.seen(progress.raters, 0.0) == store.seen(progress.votes) == []
    store.now(people.invite, "Ann", "link", 10.0, 0.0)
    [ann] = store.seen(progress.raters, 5.0)
    assert (ann.link, ann.votes, ann.agrees, ann.agrees_n, ann.last_at) == (
        "open",
        0,
        None,
        0,
        None,
    )
    assert store.seen(progress.raters, 10.0)[0].link == "expired"
    store.close()


def test_no_statement_of_a_vote_scans_a_table(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/votes.db", small_packet(tmp_path / "p"))
    statements = {
        "seat": seats._BY_COOKIE,
        "vote": voting._VOTE,
        "again": voting._MINE,
        "undo": voting._LAST,
        "late": voting._OPEN,
        "next": assigning._NEXT,
        "take": assigning._TAKE,
        "hand": assigning._IN_HAND,
    }

    def plans(conn):
        found = {}
        for name, statement in statements.items():
            compiled = statement.compile(conn.engine)
            values = tuple(1 for _ in compiled.positiontup)
            rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
            found[name] = [row[3] for row in rows]
        return found

    for name, plan in store.seen(plans).items():
        assert plan, name
        for step in plan:
            allowed = [f"SCAN {rows}" for rows in ("aside", "returned", "fresh")]  # one row each
            allowed.append("SCAN found")  # those three
            through_leases = "SCAN veneer_places USING INDEX veneer_places_lent"
            assert not step.startswith("SCAN") or step in (*allowed, through_leases), (name, step)
    assert store.seen(lambda conn: conn.execute(text("PRAGMA synchronous")).scalar()) == 2
    assert store.seen(lambda conn: conn.execute(text("PRAGMA journal_mode")).scalar()) == "wal"
    store.close()
