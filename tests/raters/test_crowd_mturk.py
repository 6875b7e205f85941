"""Mechanical Turk from launch to payment, on a stand-in for it and the real pages."""

import itertools
import statistics
import threading
import time
from collections import defaultdict
from decimal import Decimal

import pytest
from crowd_study import Study, made_up_keys
from crowd_workers import Turker, served
from mturk_rules import Worker
from mturk_server import FakeTurk

from veneer.errors import InputError
from veneer.raters.crowds import mturk
from veneer.raters.store import progress


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path):
    made_up_keys(monkeypatch, tmp_path)


@pytest.fixture
def turk():
    fake = FakeTurk()
    yield fake
    fake.close()


@pytest.fixture
def study(turk, tmp_path):
    made = Study(turk, tmp_path)
    with served(made.store, made.packet, turk=turk) as made.url:
        yield made
    made.store.close()


def test_a_study_goes_from_launch_to_payment(study, turk):
    said = study.launch()
    # 6 pairs x 3 raters = 18 votes; 6 assignments of 3 and one in reserve; 3 x 30 s at $15 an
    # hour is 37.5 cents; 20 % of 38 cents is 7.6.
    wanted = {"hits": 1, "assignments": 7, "reserve": 1, "missing": 18, "left_cents": 2000 - 322}
    wanted |= {"reward_cents": 38, "fee_cents": 8, "cost_cents": 322, "committed_cents": 322}
    assert {name: said[name] for name in wanted} == wanted
    assert "$0.38 (30.0 s a comparison, as assumed, not measured; $15.00 an hour)" in said["text"]
    (hit,) = turk.hits.values()
    assert hit.request["MaxAssignments"] == 7
    assert hit.request["Reward"] == "0.38"
    assert turk.liable() == Decimal("3.22")

    strangers = [
        Worker("IN", country="IN"), Worker("SLOPPY", percent=94), Worker("NEW", hits=99)
    ]  # fmt: skip
    assert [turk.seen_by(worker) for worker in strangers] == [[], [], []]
    for country in ("US", "GB", "CA", "AU", "NZ", "IE"):
        assert turk.seen_by(Worker("HOME", 95, 100, country)) == [hit]
    crowd = [
        Turker(turk, Worker(f"A{n}WORKER", country=c)) for n, c in enumerate(["US", "IE", "NZ"])
    ]
    assert [turker.work() for turker in crowd] == [True] * 3
    assert [len(set(turker.browser.seen)) for turker in crowd] == [3] * 3
    assert not crowd[0].work()  # one assignment of a HIT is all that a worker gets

    seen = study.status()
    assert (seen["submitted"], seen["available"], seen["approved"]) == (3, 4, 0)
    first = study.do(mturk.approve)
    assert first == first | {"approved": 3, "rejected": 0, "failing": [], "ended": False}
    assert study.do(mturk.approve)["approved"] == 0
    assert turk.charged == Decimal("1.38")

    # A top-up sees 9 votes missing and 4 assignments of 3 coming: nothing more is asked for.
    again = study.launch()
    assert (again["missing"], again["coming"], again["assignments"]) == (9, 12, 0)
    for n in range(3, 6):
        assert Turker(turk, Worker(f"A{n}WORKER")).work()
    assert study.state().done == 6

    # Complete: the next command takes the HIT off the market, and the free place's money is back.
    done = study.do(mturk.approve)
    assert done["approved"] == 3
    assert "1 open HIT was taken off the market" in done["text"]
    assert turk.seen_by(Worker("LATE")) == []
    last = study.status()
    assert (last["spent_cents"], last["committed_cents"]) == (6 * 46, 6 * 46)
    assert turk.liable() == turk.charged == Decimal("2.76")
    turk.hits.clear()  # Amazon deletes HITs in the end
    assert study.status()["spent_cents"] == 6 * 46
    with pytest.raises(InputError, match="every pair has all its ratings"):
        study.launch()
    raters = defaultdict(set)
    for vote in study.store.seen(progress.votes):
        assert vote.origin == "mturk"
        raters[vote.item].add(vote.rater)
    assert [len(who) for who in raters.values()] == [3] * 6


def test_the_reward_follows_the_measured_median(turk, tmp_path):
    study = Study(turk, tmp_path, pairs=8, ratings=3)
    with pytest.raises(InputError, match="not known yet: the study has 0 votes"):
        study.launch(seconds_per_pair=None)
    now, times = time.time() - 9000, [20.0, 37.5, 44.0, 44.0, 52.0, 300.0, 38.25, 44.5, 44.0]
    taken = itertools.cycle(times)
    spent = []
    for rater in range(3):
        cookie, at = f"cookie {rater}", now
        study.begin(f"rater {rater}", cookie, at)
        for _ in range(7):
            assert study.hand(cookie, at)
            spent.append(next(taken))
            at += spent[-1]
            study.vote(cookie, at)
    assert statistics.median(spent) == 44
    # 3 x 44 x 1500 / 3600 is 55 cents to the cent: no float makes 56 of it.
    said = study.launch(assignments=1, seconds_per_pair=None)
    assert (said["reward_cents"], said["seconds_per_pair"]) == (55, pytest.approx(44))
    assert "median of 21 votes" in said["text"]
    assert "the 30 s given are not needed" in study.launch(assignments=1)["text"]
    study.store.close()


def test_hits_have_nine_assignments_at_most_and_the_budget_is_hard(turk, tmp_path):
    study = Study(turk, tmp_path, pairs=20, ratings=3)
    with pytest.raises(InputError, match="No budget was given"):
        study.launch(budget_usd=None)
    with pytest.raises(InputError, match=r"20 assignments cost \$9.20.*enough for 19 of") as caught:
        study.launch(budget_usd="9.19", reserve=0)
    assert "--assignments 19" in caught.value.hint
    assert "--budget-usd of 9.20" in caught.value.hint
    assert not turk.hits

    assert study.launch(budget_usd="9.20", reserve=0)["hits"] == 3
    assert sorted(hit.request["MaxAssignments"] for hit in turk.hits.values()) == [2, 9, 9]
    assert turk.liable() == Decimal("9.20")
    with pytest.raises(InputError, match=r"\$0.00 of the budget of \$9.20 is left: enough for 0"):
        study.launch(budget_usd="9.20", assignments=1)
    with pytest.raises(InputError, match="HITs made so far take"):
        study.launch(budget_usd="5")

    # Two assignments are at work when the HITs expire: their money stays until they are over.
    first, second = (Turker(turk, Worker(f"W{n}")) for n in range(2))
    assert first.take()
    assert second.take()
    assert study.do(mturk.expire)["pending"] == 2
    assert study.status("9.20")["left_cents"] < 920 - 2 * 46
    assert Decimal(study.status("9.20")["committed_cents"]) / 100 >= turk.liable()
    turk.ahead += 3600
    over = study.status("9.20")
    assert (over["committed_cents"], over["left_cents"]) == (0, 920)
    assert turk.liable() == 0
    assert study.launch(budget_usd="0.46", assignments=1)["left_cents"] == 0
    study.store.close()


def test_two_launches_at_once_do_not_pass_the_budget(turk, tmp_path, store_url):
    study = Study(turk, tmp_path, store_url, pairs=60, ratings=3)
    refused = []

    def launch():
        try:
            study.launch(budget_usd="10", assignments=18)
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused  # 54 assignments of $0.46 cost $24.84
    assert turk.liable() <= 10
    assert study.status("10")["committed_cents"] == turk.liable() * 100
    study.store.close()


def test_watching_pays_as_work_comes_and_ends_with_the_study(study, turk):
    study.launch(pairs=6, assignments=9)
    crowd = [Turker(turk, Worker(f"W{n}")) for n in range(4)]
    said, waited = [], []

    def wait(seconds):
        """While the command sleeps one worker does an assignment, and Amazon fails once."""
        waited.append(seconds)
        assert crowd[len(waited) - 1].work()
        if len(waited) == 2:
            turk.faults = [("ListAssignmentsForHIT", "fail")] * 5

    last = study.do(mturk.watch, say=said.append, wait=wait, every_seconds=7.0)
    # Three workers rate all six pairs; the fourth never gets to see a HIT.
    assert waited == [7.0] * 3
    assert (last["approved"], last["available"], last["submitted"]) == (3, 0, 0)
    assert [text.split(",")[0] for text in said if "approved" in text] == [
        "1 assignment approved",
        "2 assignments approved",
    ]
    assert sum("Run the same command again" in text for text in said) == 1
    assert "taken off the market" in said[-1]
    assert turk.liable() == turk.charged == 3 * next(iter(turk.hits.values())).unit()
