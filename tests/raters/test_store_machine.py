"""Raters, leases, time, undo and revoking in any order, against a plain model that counts."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from packets import small_packet

from veneer.raters.store import Assigned, Idle, Refused, open_store, people, progress, voting

LEASE, PAIRS, RATINGS = 100.0, 4, 2


class Model:
    """What the rules say, by counting: pairs have places, raters hold or have judged them."""

    def __init__(self, items):
        self.items = items
        self.paused = False
        self.live = {}  # (item, rater) -> when that lease ends
        self.held = set()  # (item, rater): handed out, not judged since
        self.choices = {}  # (item, rater) -> choice
        self.discarded = set()  # (item, rater)
        self.hand = {}  # rater -> item
        self.stack = {}  # rater -> items voted in this session, oldest first
        self.before = {}  # (item, rater) -> choice taken back

    def free(self, item, now):
        voted = sum(i == item for i, _ in self.choices)
        return RATINGS - voted - sum(i == item and end > now for (i, _), end in self.live.items())

    def judged(self, item, rater):
        return (item, rater) in self.choices or (item, rater) in self.discarded

    def next(self, rater, now):
        if self.paused:
            return Idle("paused")
        mine = [i for i in self.items if self.live.get((i, rater), 0) > now]
        if mine:
            item = self.hand[rater] if self.hand.get(rater) in mine else mine[0]
        else:
            may = [i for i in self.items if self.free(i, now) and not self.judged(i, rater)]
            if not may:
                left = [
                    i
                    for i in self.items
                    if not self.judged(i, rater) and sum(j == i for j, _ in self.choices) < RATINGS
                ]
                return Idle("later" if left else "finished")
            item = may[0]
            for other in [k for k in self.live if k[0] == item and k[1] == rater]:
                del self.live[other]
            self.live[item, rater] = now + LEASE
            self.held.add((item, rater))
        self.hand[rater] = item
        return item

    def vote(self, rater, item, choice, now):
        key = (item, rater)
        if key in self.choices:
            return "same" if self.choices[key] == choice else "counted"
        if self.paused:
            return "paused"
        if key not in self.held:
            return "unassigned"
        if self.live.get(key, 0) <= now and self.free(item, now) < 1:
            return "taken"
        self.live.pop(key, None)
        self.held.discard(key)
        self.before.pop(key, None)
        if self.hand.get(rater) == item:
            del self.hand[rater]
        self.choices[key] = choice
        self.stack[rater].append(item)
        return "kept"

    def undo(self, rater, now):
        item = self.stack[rater].pop()
        choice = self.choices.pop((item, rater))
        self.live[item, rater] = now + LEASE
        self.held.add((item, rater))
        self.hand[rater] = item
        return item, choice

    def shut(self, rater, discard):
        for group in (self.live, self.held):
            for key in [k for k in group if k[1] == rater]:
                group.pop(key) if isinstance(group, dict) else group.discard(key)
        self.hand.pop(rater, None)
        gone = [k for k in self.choices if k[1] == rater] if discard else []
        for key in gone:
            del self.choices[key]
            self.discarded.add(key)
        self.stack.pop(rater, None)
        return len(gone)


RATER = st.integers(0, 3)


class Raters(RuleBasedStateMachine):
    new_url = None  # gives the URL of an empty store

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        packet = small_packet(Path(self.folder.name) / "p", pairs=PAIRS, ratings=RATINGS)
        url = self.new_url(self.folder.name)
        self.stores = [open_store(url, packet, lease_seconds=LEASE) for _ in range(2)]
        self.model = Model([pair.item for pair in packet.pairs])
        self.now, self.links, self.turn = 1000.0, 0, 0
        self.cookies, self.numbers, self.everybody = {}, {}, []
        for rater in range(3):
            self.enter(rater)

    def do(self, job, *args):
        self.turn += 1
        return self.stores[self.turn % 2].now(job, *args)

    def enter(self, who):
        self.links += 1
        link, cookie = f"link {self.links}", f"cookie {self.links}"
        if who in self.numbers:
            self.do(people.renew, self.numbers[who], link, self.now + 10, self.now)
        else:
            number = self.do(people.invite, f"rater {self.links}", link, self.now + 10, self.now)
            self.numbers[who] = number
        assert self.do(people.begin, link, cookie, self.now).rater == self.numbers[who]
        self.cookies[who] = cookie
        self.model.stack[self.numbers[who]] = []

    def shown_is(self, shown, expected, rater):
        if isinstance(expected, Idle):
            assert shown == expected
        else:
            assert isinstance(shown, Assigned)
            assert shown.item == expected
            assert shown.expires == self.model.live[expected, rater]

    @rule(who=RATER)
    def look(self, who):
        if who not in self.cookies:
            return
        session, shown = self.do(voting.seen_now, self.cookies[who], self.now)
        rater = self.numbers[who]
        self.shown_is(shown, self.model.next(rater, self.now), rater)
        assert session.voted == len(self.model.stack[rater])

    @rule(who=RATER, choice=st.integers(0, 2))
    def vote_in_hand(self, who, choice):
        item = self.model.hand.get(self.numbers.get(who))
        if who in self.cookies and item is not None:
            self._vote(who, item, choice)

    @rule(who=RATER, n=st.integers(0, PAIRS - 1), choice=st.integers(0, 2))
    def vote_on_any(self, who, n, choice):
        if who in self.cookies:
            self._vote(who, self.model.items[n], choice)

    def _vote(self, who, item, choice):
        rater = self.numbers[who]
        expected = self.model.vote(rater, item, choice, self.now)
        job = (voting.vote_and_next, self.cookies[who], item, choice, "why", self.now)
        if expected in ("kept", "same"):
            session, shown = self.do(*job)
            assert session.voted == len(self.model.stack[rater])
            self.shown_is(shown, self.model.next(rater, self.now), rater)
        else:
            with pytest.raises(Refused) as refused:
                self.do(*job)
            assert refused.value.why == expected

    @rule(who=RATER)
    def undo(self, who):
        if who not in self.cookies:
            return
        rater = self.numbers[who]
        session = self.do(people.session_of, self.cookies[who], self.now)
        if self.model.paused or not self.model.stack[rater]:
            with pytest.raises(Refused) as refused:
                self.do(voting.undo, session, self.now)
            assert refused.value.why == ("paused" if self.model.paused else "nothing")
        else:
            item, choice = self.model.undo(rater, self.now)
            back = self.do(voting.undo, session, self.now)
            assert (back.item, back.before) == (item, choice)

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(who=RATER, discard=st.booleans(), forget=st.booleans())
    def shut_out(self, who, discard, forget):
        if who not in self.cookies:
            return
        rater, cookie = self.numbers[who], self.cookies.pop(who)
        expected = self.model.shut(rater, discard)
        if forget:
            self.do(people.forget, rater, discard, self.now)
            del self.numbers[who]
        else:
            assert self.do(people.revoke, rater, discard, self.now) == expected
        with pytest.raises(Refused) as refused:
            self.do(voting.seen_now, cookie, self.now)
        assert refused.value.why == ("forged" if forget else "revoked")

    @rule(who=RATER)
    def come_in(self, who):
        if who not in self.cookies:
            self.enter(who)

    @rule()
    def pause(self):
        self.model.paused = not self.model.paused
        self.do(progress.pause, self.model.paused)

    @precondition(lambda self: hasattr(self, "stores"))
    @invariant()
    def votes_are_the_models(self):
        votes = self.stores[0].seen(progress.votes)
        kept = {(v.item, int(v.rater[1:])): v.choice for v in votes}
        assert kept == self.model.choices
        assert len(votes) == len(kept)
        for item in self.model.items:
            assert sum(v.item == item for v in votes) <= RATINGS

    def teardown(self):
        if not hasattr(self, "stores"):
            return
        try:
            self.finish()
        finally:
            for store in self.stores:
                store.close()
            self.folder.cleanup()

    def finish(self):
        """Enough raters bring any study to its end: each pair whole, and no more than whole."""
        if self.model.paused:
            self.pause()
        self.now += 2 * LEASE
        for who in range(10, 10 + RATINGS):
            self.enter(who)
        for who in range(10, 10 + RATINGS):
            for _ in range(PAIRS + 1):
                shown = self.do(voting.seen_now, self.cookies[who], self.now)[1]
                rater = self.numbers[who]
                self.shown_is(shown, self.model.next(rater, self.now), rater)
                if isinstance(shown, Idle):
                    break
                self._vote(who, shown.item, 1)
            assert shown == Idle("finished")
        state = self.stores[1].seen(progress.state, self.now)
        assert (state.done, state.votes, state.leased) == (PAIRS, PAIRS * RATINGS, 0)
        self.votes_are_the_models()


def run(new_url, examples):
    machine = type("Machine", (Raters,), {"new_url": staticmethod(new_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_order_of_events_on_sqlite():
    run(lambda folder: f"sqlite:///{folder}/votes.db", 6)


def test_any_order_of_events_on_postgres(postgres):
    run(lambda folder: postgres.database(), 4)
