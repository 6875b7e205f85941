"""The owner's page in words: pace, money, doubts, from counts given by hand."""

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veneer.raters.agreement import by_patterns
from veneer.raters.quality import qualities
from veneer.raters.server.owner_view import (
    Spent,
    Watched,
    ago,
    bar_of,
    doubts_about,
    duration,
    percent,
    rater_view,
    study_view,
    votes_an_hour,
)
from veneer.raters.store.terms import RaterState, StudyState
from veneer.records import Estimate, Vote

NB = "\N{NO-BREAK SPACE}"
NOW = 1_800_000_000.0
RUNNING = StudyState(
    pairs=100,
    ratings=3,
    votes=120,
    leased=4,
    done=31,
    paused=False,
    by_origin={"private": 90, "mturk": 30},
    median_seconds=42.4,
    seconds=7200.0,
    first_at=NOW - 4 * 3600,
    last_at=NOW - 60,
    last_hour=60,
    gold_right=9,
    gold_wrong=3,
)
CAREFUL = RaterState(
    rater=7,
    origin="private",
    label="Ana",
    link="used",
    votes=60,
    gold_right=4,
    gold_wrong=1,
    median_seconds=40.0,
    agrees=0.7,
    agrees_n=100,
    equal=12,
    first=25,
    last_at=NOW - 7300,
)


def told(rows):
    return dict(rows)


def test_progress_and_pace_of_a_running_study():
    view = study_view(Watched(NOW, RUNNING), wage=15.0)
    assert (view.votes, view.wanted, view.share) == ("120", "300", f"40{NB}%")
    assert view.pairs == "31 of 100 pairs have all 3 ratings"
    assert (view.bar.voted, view.bar.leased) == (400, 13)
    pace = told(view.pace)
    assert pace["Votes an hour, now"] == "60"
    assert pace["Votes an hour, on the whole"] == "30"  # 120 in 4 h less a minute
    assert pace["Time left"] == "about 3 hours at the pace of now"  # 180 votes at 60 an hour
    assert pace["One pair takes (median)"] == "42 s"
    assert view.checks == f"9 right, 3 wrong (75{NB}% [47, 91] right)"
    assert view.origins == (
        ("Mechanical Turk", "30", f"25{NB}%"),
        ("own people", "90", f"75{NB}%"),
    )


@pytest.mark.parametrize(
    ("changes", "status", "left"),
    [
        ({"votes": 300, "leased": 0}, "Finished", "nothing is left"),
        ({"paused": True}, "Paused", "the study is paused"),
        ({"last_hour": 0}, "Running", "nobody has voted in the last hour"),
        (
            {"votes": 2, "first_at": NOW - 9, "last_at": NOW - 1, "last_hour": 2},
            "Running",
            "too early to tell",
        ),
        (
            {"votes": 0, "first_at": None, "last_at": None, "last_hour": 0},
            "Running: waiting",
            "too early to tell",
        ),
    ],
)
def test_what_is_said_of_studies_that_do_not_move(changes, status, left):
    view = study_view(Watched(NOW, replace(RUNNING, **changes)), wage=15.0)
    assert view.status.startswith(status)
    assert told(view.pace)["Time left"] == left


def test_pace_of_a_study_younger_than_an_hour_is_over_its_own_time():
    young = replace(RUNNING, votes=10, last_hour=10, first_at=NOW - 600, last_at=NOW)
    recent, whole = votes_an_hour(young, NOW)
    assert (recent, whole) == (pytest.approx(60), pytest.approx(60))


def test_money_so_far_and_at_the_end():
    money = told(study_view(Watched(NOW, RUNNING, spent=Spent(5400.0, 500, 1250)), 20.0).money)
    assert money["Own people so far"] == "1.5 h × $20.00 an hour = $30.00"
    assert money["Mechanical Turk, with fees"] == "$5.00 paid of $12.50 committed"
    # 180 votes are left, and 90 of one's own people cost 30 dollars
    assert money["At the end, if own people do the rest"] == "about $102.50"
    whole = replace(RUNNING, votes=300)
    done = told(study_view(Watched(NOW, whole, spent=Spent(7200.0)), 15.0).money)
    assert done["In all"] == "$30.00"
    assert "Mechanical Turk, with fees" not in done


def test_agreement_says_n_intervals_and_what_is_missing():
    same = Estimate(value=0.5, low=0.4, high=0.61, n=31)
    alpha = Estimate(value=-0.104, low=-0.2, high=0.05, n=31)
    view = study_view(Watched(NOW, RUNNING, agreement=(same, alpha)), 15.0)
    said = told(view.agreement)
    assert said["Two raters say the same"] == "50\N{NO-BREAK SPACE}% [40, 61], n = 31 pairs"
    assert said["Krippendorff’s alpha"] == "−0.10 [−0.20, 0.05]"
    none = told(study_view(Watched(NOW, RUNNING), 15.0).agreement)
    assert set(none.values()) == {"needs two votes on one pair"}
    alike = by_patterns({(2, 0, 0): 3, (1, 0, 0): 2})
    said = told(study_view(Watched(NOW, RUNNING, agreement=alike), 15.0).agreement)
    assert said["Krippendorff’s alpha"] == "undefined: everybody chose the same"
    assert said["Two raters say the same"].startswith("100\N{NO-BREAK SPACE}% [")


def test_a_rater_in_a_row():
    view = rater_view(CAREFUL, NOW, doubts_about(CAREFUL, 42.0, 5))
    assert (view.name, view.label, view.origin) == ("r7", "Ana", "own people")
    assert (view.checks, view.seconds) == ("4 of 5 right", "40 s")
    assert view.agrees == f"70{NB}% of 100"
    assert (view.same, view.first) == (f"20{NB}%", f"52{NB}%")  # 12 of 60; 25 of the other 48
    assert (view.seen, view.link, view.doubts) == ("2 hours ago", "in use", ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gold_right": 1, "gold_wrong": 3}, "fails attention checks (3 of 4 wrong)"),
        ({"first": 46}, "leans to output 1 (46 of 48)"),
        ({"first": 2}, "leans to output 2 (46 of 48)"),
        ({"equal": 56, "first": 2}, "nearly always says “the same”"),
        ({"agrees": 0.3}, "agrees with others no more than chance"),
        ({"median_seconds": 9.0}, "hasty: 9 s a pair"),
    ],
)
def test_each_doubt_in_words(changes, words):
    assert doubts_about(replace(CAREFUL, **changes), 42.0, 5) == (words,)


def test_few_votes_raise_no_doubt():
    new = replace(
        CAREFUL, votes=4, first=4, equal=0, gold_right=0, gold_wrong=2, agrees=0.0, agrees_n=8
    )
    assert doubts_about(new, 42.0, 5) == ()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.booleans(), st.integers(1, 60)),
        min_size=1,
        max_size=31,
    )
)
def test_doubts_are_those_that_the_results_name(judged):
    """(choice, attention check?, seconds) of one rater, beside one who takes 40 seconds."""
    votes = [Vote(item=f"p{n}", rater="r2", choice=1 + n % 2, seconds=40.0) for n in range(60)]
    mine = [
        Vote(item=f"{'g' if gold else 'q'}{n}", rater="r1", choice=choice, seconds=seconds)
        for n, (choice, gold, seconds) in enumerate(judged)
    ]
    checks = {vote.item: 1 for vote in mine if vote.item[0] == "g"}
    found = qualities([*votes, *mine], checks)[0]
    times = sorted(vote.seconds for vote in mine)
    assume(len(times) % 2)  # of an even number the median is between two
    state = replace(
        CAREFUL,
        votes=found.votes,
        gold_right=found.gold_right,
        gold_wrong=found.gold_wrong,
        median_seconds=found.median_seconds,
        equal=sum(vote.choice == 0 for vote in mine if vote.item not in checks),
        first=sum(vote.choice == 1 for vote in mine if vote.item not in checks),
    )
    usual = median(vote.seconds for vote in [*votes, *mine])
    doubts = " ".join(doubts_about(state, usual, 2))
    assert ("fails attention checks" in doubts) == bool(found.fails)
    assert ("hasty" in doubts) == any("hasty" in note for note in found.notes)
    for side in "12":
        said = any(f"leans to output {side}" in note for note in found.notes)
        assert (f"leans to output {side}" in doubts) == said


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**6))
def test_the_bar_never_leaves_its_frame_nor_hides_a_vote(votes, leased, wanted):
    bar = bar_of(votes, leased, wanted)
    assert min(bar.voted, bar.leased) >= 0
    assert bar.voted + bar.leased <= 1000
    if wanted and votes:
        assert bar.voted > 0


@given(st.integers(0, 10**5), st.integers(1, 10**5))
def test_a_percentage_is_100_only_when_all_are_there(part, whole):
    part = min(part, whole)
    said = percent(part, whole)
    assert (said == f"100{NB}%") == (part == whole)
    assert (said == f"0{NB}%") == (part == 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "1 minute"),
        (1500, "25 minutes"),
        (5000, "83 minutes"),
        (7200, "2 hours"),
        (259200, "3 days"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
    assert ago(seconds) == ("just now" if seconds < 60 else f"{words} ago")
