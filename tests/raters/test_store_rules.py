"""Links, leases, attention checks, quotas and crowds, one rule at a time."""

import itertools

import pytest
from packets import small_packet

from veneer.errors import InputError
from veneer.raters.store import (
    Assigned,
    Idle,
    Refused,
    assigning,
    crowds,
    open_store,
    people,
    progress,
    voting,
)
from veneer.raters.store.gold import schedule


@pytest.fixture
def new(store_url, tmp_path):
    """Gives a new store of a packet of so many pairs."""
    opened = []

    def make(*, lease_seconds=100.0, **packet):
        packet = small_packet(tmp_path / "p", **packet)
        opened.append(open_store(store_url, packet, lease_seconds=lease_seconds))
        return opened[0]

    yield make
    for store in opened:
        store.close()


def enters(store, name):
    """A new rater with an open session; its cookie is the name."""
    store.now(people.invite, name, f"link of {name}", 10.0, 0.0)
    return store.now(people.begin, f"link of {name}", name, 1.0)


def refused(store, *job):
    with pytest.raises(Refused) as told:
        store.now(*job)
    return told.value.why


def see(store, cookie, now=1.0):
    return store.now(voting.seen_now, cookie, now)[1]


def vote(store, cookie, item, choice=1, now=1.0, reason=""):
    return store.now(voting.vote_and_next, cookie, item, choice, reason, now)[1]


def test_a_link_is_looked_at_often_and_claimed_once(new):
    store = new()
    rater = store.now(people.invite, "Ann", "link", 10.0, 0.0)
    for _ in range(3):
        assert store.seen(people.rater_of_link, "link", 9.0) == rater
    assert refused(store, people.begin, "other", "c", 9.0) == "forged"
    assert refused(store, people.begin, "link", "c", 10.0) == "expired"
    session = store.now(people.begin, "link", "c", 9.0)
    assert (session.rater, session.origin, session.quota, session.left) == (
        rater,
        "private",
        None,
        6,
    )
    assert refused(store, people.begin, "link", "d", 9.0) == "used"
    assert refused(store, people.session_of, "d", 9.0) == "forged"
    assert store.seen(people.session_of, "c", 99.0) == session
    store.now(people.renew, rater, "again", 30.0, 20.0)
    assert refused(store, people.session_of, "c", 20.0) == "revoked"
    assert refused(store, people.begin, "link", "e", 20.0) == "revoked"
    assert store.now(people.begin, "again", "e", 20.0).rater == rater
    store.now(people.revoke, rater, False, 20.0)
    assert refused(store, people.session_of, "e", 20.0) == "revoked"
    links = [r.link for r in store.seen(progress.raters, 20.0)]
    assert links == ["revoked"]


def test_the_owners_link_and_its_end(new):
    store = new()
    store.now(people.set_owner, "first")
    store.now(people.begin_owner, "first", "c1", 0.0)
    store.now(people.begin_owner, "first", "c2", 0.0)
    store.seen(people.owner_of, "c1", 0.0)
    assert refused(store, people.owner_of, "c3", 0.0) == "forged"
    store.now(people.set_owner, "second")
    assert not store.seen(people.is_owner, "first")
    assert store.seen(people.is_owner, "second")
    assert refused(store, people.owner_of, "c1", 0.0) == "forged"
    assert refused(store, people.begin_owner, "first", "c1", 0.0) == "forged"


def test_raters_are_found_by_number_label_or_worker(new):
    store = new()
    for name in ("Ann", "Bob", "Bob"):
        store.now(people.invite, name, f"link {next(_numbers)}", 10.0, 0.0)
    store.now(crowds.add_campaign, "prolific", "entrance", 3, {}, 0.0)
    store.now(crowds.enter, "entrance", "worker", "assignment", "c", 1.0)
    found = {given: store.seen(people.find_rater, given, "no") for given in ("r2", "Ann", " r4 ")}
    assert found == {"r2": 2, "Ann": 1, " r4 ": 4}
    assert store.seen(people.find_rater, "W123", "worker") == 4
    with pytest.raises(InputError, match="Several raters are called 'Bob': r2, r3"):
        store.seen(people.find_rater, "Bob", "no")
    with pytest.raises(InputError, match="Did you mean 'Ann'"):
        store.seen(people.find_rater, "Anne", "no")
    for given in ("r5", "r99999999999999", ""):
        with pytest.raises(InputError):
            store.seen(people.find_rater, given, "no")
    for job in ((people.revoke, 9, True, 0.0), (people.renew, 4, "l", 9.0, 0.0)):
        with pytest.raises(InputError):
            store.now(*job)


_numbers = itertools.count()


def test_the_same_vote_again_is_granted_and_another_is_not(new):
    store = new()
    session = enters(store, "Ann")
    item = see(store, "Ann").item
    following = vote(store, "Ann", item, 2)
    assert vote(store, "Ann", item, 2) == following
    store.now(voting.vote, session, item, 2, "said twice", 5.0)
    assert refused(store, voting.vote, session, item, 1, "", 5.0) == "counted"
    assert refused(store, voting.vote, session, "no such item", 1, "", 5.0) == "unassigned"
    [kept] = store.seen(progress.votes)
    assert (kept.item, kept.choice, kept.rater, kept.reason) == (item, 2, "r1", "")
    store.now(progress.pause, True)
    store.now(voting.vote, session, item, 2, "", 5.0)
    assert refused(store, voting.vote, session, following.item, 2, "", 5.0) == "paused"
    assert see(store, "Ann") == Idle("paused")
    store.now(progress.pause, False)
    assert see(store, "Ann") == following


def test_reasons_of_any_text_are_kept(new):
    store = new()
    enters(store, "Ann")
    vote(store, "Ann", see(store, "Ann").item, reason="a\0b \ud800 שלום 🦓 '; --")
    assert store.seen(progress.votes)[0].reason == "ab ? שלום 🦓 '; --"


def test_a_lease_ends_and_its_holder_may_still_vote_while_a_place_is_free(new):
    store = new(pairs=1, ratings=2)
    for name in ("Ann", "Bob", "Cy", "Di"):
        enters(store, name)
    first = see(store, "Ann", 1.0)
    assert see(store, "Ann", 100.0) == first
    assert see(store, "Bob", 50.0).item == first.item
    assert see(store, "Cy", 100.9) == Idle("later")
    assert see(store, "Cy", 101.0) == Assigned(first.item, 201.0)  # Ann's place
    assert see(store, "Ann", 102.0) == Idle("later")
    assert refused(store, voting.vote_and_next, "Ann", first.item, 1, "", 149.0) == "taken"
    vote(store, "Ann", first.item, now=151.0)  # Bob's lease ended, his place is free
    assert refused(store, voting.vote_and_next, "Bob", first.item, 1, "", 152.0) == "taken"
    assert refused(store, voting.vote_and_next, "Di", first.item, 1, "", 152.0) == "unassigned"
    assert vote(store, "Cy", first.item, now=1000.0) == Idle("finished")  # nobody took it
    votes = store.seen(progress.votes)
    assert [(v.rater, v.seconds) for v in votes] == [("r1", 150.0), ("r3", 899.0)]


def test_a_lease_that_nobody_took_over_is_begun_anew(new):
    store = new(pairs=2, ratings=2)
    for name in ("Ann", "Bob"):
        enters(store, name)
    first = see(store, "Ann", 1.0)
    assert see(store, "Ann", 150.0) == Assigned(first.item, 250.0)
    assert see(store, "Bob", 300.0).item == first.item  # the place that nobody had
    assert see(store, "Ann", 301.0) == Assigned(first.item, 401.0)
    second = vote(store, "Ann", first.item, now=301.0)
    assert vote(store, "Bob", first.item, now=301.0).item == second.item != first.item
    assert [v.seconds for v in store.seen(progress.votes)] == [0.0, 1.0]


def test_a_renewed_rater_gets_back_what_was_taken_from_them(new):
    store = new(pairs=2, ratings=2)
    for name in ("Ann", "Bob"):
        enters(store, name)
    first = see(store, "Ann")
    store.now(people.revoke, 1, False, 1.0)
    assert see(store, "Bob").item == first.item
    store.now(people.renew, 1, "new link", 10.0, 1.0)
    store.now(people.begin, "new link", "new", 1.0)
    assert refused(store, voting.vote_and_next, "new", first.item, 1, "", 1.0) == "unassigned"
    assert see(store, "new").item == first.item


def test_time_spent_goes_on_after_undo(new):
    store = new()
    session = enters(store, "Ann")
    item = see(store, "Ann", 10.0).item
    following = vote(store, "Ann", item, 2, now=15.0, reason="this")
    back = store.now(voting.undo, session, 20.0)
    assert back == Assigned(item, 120.0, before=2, reason="this")
    assert see(store, "Ann", 21.0) == back
    assert refused(store, voting.undo, session, 21.0) == "nothing"
    assert vote(store, "Ann", item, 0, now=23.0, reason="that") == following
    [kept] = store.seen(progress.votes)
    assert (kept.choice, kept.reason, kept.seconds) == (0, "that", 8.0)


def test_attention_checks_come_by_schedule_each_once_and_in_no_place(new):
    store = new(pairs=12, gold=4, ratings=2)
    checks = {pair.item for n, pair in enumerate(small_packet_pairs(12, 4)) if n >= 12}
    orders = []
    for name in ("Ann", "Bob"):
        enters(store, name)
        shown, seen = see(store, name), []
        while isinstance(shown, Assigned):
            seen.append(shown.item)
            shown = vote(store, name, shown.item, 1, now=5.0)
        assert shown == Idle("finished")
        assert len(set(seen)) == len(seen) == 16
        for quarter in range(4):  # one in each quarter of what there is to see
            assert sum(i in checks for i in seen[4 * quarter : 4 * quarter + 4]) == 1
        orders.append([(n, i) for n, i in enumerate(seen) if i in checks])
    assert orders[0] != orders[1]
    assert {v.item for v in store.seen(progress.votes, True)} == checks
    assert not checks & {v.item for v in store.seen(progress.votes)}
    state = store.seen(progress.state, 6.0)
    assert (state.votes, state.done, state.gold_right, state.gold_wrong) == (24, 12, 4, 4)
    ann = store.seen(progress.raters, 6.0)[0]
    assert (ann.votes, ann.gold_right, ann.gold_wrong) == (12, 2, 2)


def small_packet_pairs(pairs, gold):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        return small_packet(Path(folder) / "p", pairs=pairs, gold=gold).pairs


@pytest.mark.parametrize(("pairs", "gold"), [(1, 1), (5, 3), (97, 10), (10, 0), (3, 20)])
def test_schedules_hold_every_check_once_and_count_those_to_come(pairs, gold):
    plan = schedule(b"secret", 7, pairs, range(pairs, pairs + gold))
    judged = checked = 0
    sequence = []
    while judged - checked < pairs or plan.due(judged) is not None:
        due = plan.due(judged)
        sequence.append(due)
        checked += due is not None
        judged += 1
    assert sorted(d for d in sequence if d is not None) == list(range(pairs, pairs + gold))
    assert len(sequence) == pairs + gold
    for start in range(len(sequence)):
        before = sum(d is not None for d in sequence[:start])
        rest = sequence[start:]
        assert plan.among(start, before, sum(d is None for d in rest)) == len(rest) - rest.count(
            None
        )
    assert plan == schedule(b"secret", 7, pairs, range(pairs, pairs + gold))
    if gold > 2:
        assert plan != schedule(b"secret", 8, pairs, range(pairs, pairs + gold))


def test_left_counts_down_to_the_end(new):
    store = new(pairs=9, gold=3, ratings=1)
    enters(store, "Ann")
    session, shown = store.now(voting.seen_now, "Ann", 1.0)
    lefts = [session.left]
    while isinstance(shown, Assigned):
        session, shown = store.now(voting.vote_and_next, "Ann", shown.item, 0, "", 2.0)
        lefts.append(session.left)
    assert lefts == list(range(12, -1, -1))
    assert session.voted == 12
    assert enters(store, "Bob").left == 0
    assert see(store, "Bob") == Idle("finished")  # nobody comes for attention checks alone


def test_a_crowds_worker_has_a_quota_and_is_one_rater(new):
    store = new(pairs=8, gold=4, ratings=1)
    facts = {"reward_cents": 50, "completion": "C0DE", "production": False}
    campaign = store.now(crowds.add_campaign, "mturk", "entrance", 3, facts, 0.0)
    assert refused(store, crowds.enter, "no", "w", "a1", "c1", 1.0) == "forged"
    session = store.now(crowds.enter, "entrance", "w", "a1", "c1", 1.0)
    assert (session.origin, session.campaign, session.quota, session.left) == (
        "mturk",
        campaign,
        3,
        3,
    )
    again = store.now(crowds.enter, "entrance", "w", "a1", "c2", 1.0)
    assert again == session
    assert refused(store, people.session_of, "c1", 1.0) == "forged"
    assert refused(store, crowds.enter, "entrance", "other", "a1", "c3", 1.0) == "forged"
    seen, shown = [], see(store, "c2")
    while isinstance(shown, Assigned):
        seen.append(shown.item)
        shown = vote(store, "c2", shown.item)
    assert (shown, len(seen)) == (Idle("finished"), 3)
    done = store.seen(crowds.assignment, "a1")
    golds = store.seen(progress.votes, True)
    assert done[:2] == (3, 3)
    assert done.gold_right + done.gold_wrong == len(golds) == 1
    assert store.seen(crowds.assignment, "a2") is None
    second = store.now(crowds.enter, "entrance", "w", "a2", "c4", 2.0)
    assert (second.rater, second.voted, second.left) == (session.rater, 0, 3)
    assert see(store, "c4").item not in seen
    store.now(crowds.close_campaign, campaign)
    assert refused(store, crowds.enter, "entrance", "w", "a3", "c5", 2.0) == "closed"
    assert store.now(crowds.enter, "entrance", "w", "a2", "c6", 2.0).id == second.id
    store.now(crowds.open_campaign, campaign)
    store.now(people.revoke, session.rater, True, 3.0)
    assert refused(store, crowds.enter, "entrance", "w", "a3", "c7", 3.0) == "revoked"
    assert store.seen(progress.state, 3.0).votes == 0
    [kept] = store.seen(crowds.campaigns)
    assert (kept.kind, kept.facts, kept.open) == ("mturk", facts, True)


def test_two_assignments_of_a_worker_share_no_pair(new):
    store = new(pairs=6, ratings=2)
    store.now(crowds.add_campaign, "mturk", "entrance", 4, {}, 0.0)
    for n in (1, 2):
        store.now(crowds.enter, "entrance", "w", f"a{n}", f"c{n}", 1.0)
    first = see(store, "c1")
    assert see(store, "c2") == first  # the pair in hand is the rater's, not the window's
    vote(store, "c1", first.item)
    for n in itertools.cycle((2, 1)):
        shown = see(store, f"c{n}")
        if isinstance(shown, Idle):
            break
        vote(store, f"c{n}", shown.item)
    assert len({v.item for v in store.seen(progress.votes)}) == 6
    done = [store.seen(crowds.assignment, f"a{n}").voted for n in (1, 2)]
    assert done in ([4, 2], [3, 3])


def test_the_ledger_sums_what_is_committed(new):
    store = new()
    first = store.now(crowds.add_campaign, "mturk", "e1", 3, {}, 0.0)
    second = store.now(crowds.add_campaign, "mturk", "e2", 3, {}, 0.0)
    store.now(crowds.add_hit, "token", first, 9, 50, 10, "planned")
    store.now(crowds.add_hit, "H2", second, 5, 31, 7, "open")
    assert store.seen(crowds.committed_cents) == 9 * 60 + 5 * 38
    assert store.seen(crowds.committed_cents, second) == 190
    store.now(lambda conn: crowds.set_hit(conn, "token", hit="H1", assignments=4, state="done"))
    assert [(h.hit, h.state) for h in store.seen(crowds.hits)] == [("H1", "done"), ("H2", "open")]
    assert store.seen(crowds.committed_cents) == 4 * 60 + 190
    with pytest.raises(ValueError, match="no HIT"):
        store.now(lambda conn: crowds.set_hit(conn, "token", state="open"))


def test_a_lone_rater_then_others_and_a_revoked_one(new):
    store = new(pairs=5, ratings=2)
    session = enters(store, "Ann")
    order = [pair.item for pair in small_packet_pairs(5, 0)]
    seen, shown = [], store.now(assigning.next_pair, session, 1.0)
    while isinstance(shown, Assigned):
        seen.append(shown.item)
        shown = vote(store, "Ann", shown.item)
    assert (seen, shown) == (order, Idle("finished"))
    assert store.seen(progress.state, 1.0).done == 0
    enters(store, "Bob")
    vote(store, "Bob", see(store, "Bob").item)
    assert store.now(people.revoke, 1, True, 2.0) == 5
    enters(store, "Cy")
    assert see(store, "Cy").item == order[0]
    assert see(store, "Bob").item == order[1]
    state = store.seen(progress.state, 2.0)
    assert (state.votes, state.leased, state.done) == (1, 2, 0)
    assert store.now(people.revoke, 2, False, 2.0) == 0
    assert store.seen(progress.state, 2.0).leased == 1
    assert store.seen(progress.state, 2.0).votes == 1
