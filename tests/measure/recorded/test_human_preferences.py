"""Votes of raters: the majority, the rule for a split, and a judge's results beside them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.measure.recorded import read_preferences, recorded_verdicts
from veneer.records import majority


def voted(k: int, *votes, key: str = "a_b", **more) -> dict:
    row = {"idx": k, "cmp_key": key, "instruction": f"Q{k}", "input": "x"}
    row |= {"response1": "one", "response2": "three"}
    return row | {f"annotator{n}": vote for n, vote in enumerate(votes, 1)} | more


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ((1, 1, 2), 1), ((2, 2, 2), 2), ((0, 0, 1), 0), ((0, 1, 2), 0), ((1, 2), 0), ((2,), 2),
        ((1, 1, 2, 2, 0), 0), ((1, 1, 2, 0, 0), 0), ((1, 1, 1, 2, 2), 1), ((), None),
    ],
)  # fmt: skip
def test_the_majority_and_the_split(votes, winner) -> None:
    assert majority(votes) == winner


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=9))
def test_a_winner_has_more_votes_than_any_other(votes) -> None:
    counts, winner = Counter(votes), majority(votes)
    if winner:
        assert all(counts[winner] > counts[other] for other in {0, 1, 2} - {winner})
    assert winner == majority(votes[::-1])
    mirrored = {0: 0, 1: 2, 2: 1}
    assert majority([mirrored[vote] for vote in votes]) == mirrored[winner]


def test_votes_as_comparisons(rows_file) -> None:
    rows = [voted(0, 1, 1, 2), voted(1, 0, 1, 2), voted(2, None, "x", 7), voted(3, "2", 2.5, "2")]
    file = read_preferences(rows_file(rows))
    assert [c.second_wins for c in file.comparisons] == [0.0, 0.5, None, 1.0]
    assert file.votes == ((1, 1, 2), (0, 1, 2), (), (2, 2))
    one = file.comparisons[0]
    assert (one.prompt, one.first, one.second, one.lengths) == ("Q0\nx", "a", "b", (3, 5))
    assert one.judge == "human raters"
    told = recorded_verdicts([file.path]).as_json()
    assert told["majority"] == {"tie": 1, "first": 1, "second": 1}
    assert (told["unanimous"], told["unscored"]) == (1, 1)
    assert told["raters"] == pytest.approx(8 / 3)
    assert "1-1-1" in told["rule"]


def test_several_pairs_are_entries_with_totals(rows_file) -> None:
    rows = [voted(0, 1, 1, 1), voted(1, 2, 2, 1, key="a_c"), voted(2, 2, 2, 2, key="a_c")]
    told = recorded_verdicts([rows_file(rows)]).as_json()
    assert [(p["model"], p["against"], p["wins"]) for p in told["pairs"]] == [
        ("b", "a", 0), ("c", "a", 2),
    ]  # fmt: skip
    assert told["majority"] == {"tie": 0, "first": 1, "second": 2}
    assert (told["n"], told["unanimous"]) == (3, 2)
    of_c = recorded_verdicts([rows_file(rows)], model="c").as_json()
    assert (of_c["win_rate"], of_c["majority"]["second"]) == (1.0, 2)


def test_names_with_underscores_are_not_guessed(rows_file) -> None:
    with pytest.raises(InputError, match="'a_b_c' does not name two models"):
        read_preferences(rows_file([voted(0, 1, key="a_b_c")]))
    with pytest.raises(InputError, match="holds no votes"):
        read_preferences(rows_file([voted(0, 1), {"idx": 1}]))


def test_a_judge_beside_the_raters(rows_file) -> None:
    votes = rows_file([voted(k, 1, 1, 2) for k in range(4)], "votes.jsonl")
    given = ["1", "Tie", "garbage", "2"]
    rows = [{"idx": k, "gpt_result": result} for k, result in enumerate(given)]
    judge = rows_file(rows, "judge.jsonl")
    found = recorded_verdicts([judge, votes])
    (of_judge,) = (pair.report for pair in found.pairs if pair.kind == "results")
    assert (of_judge.subject.model, of_judge.against) == ("b", "a")
    assert (of_judge.wins, of_judge.losses, of_judge.ties) == (1, 1, 1)
    assert of_judge.reasons == {"the judge's result is 'garbage'": 1}
    assert found.agreement == pytest.approx(1 / 3)
    alone = recorded_verdicts([judge]).as_json()
    assert (alone["model"], alone["against"]) == ("response 2", "response 1")
    more = rows_file([{"idx": 9, "gpt_result": "1"}], "more.jsonl")
    with pytest.raises(InputError, match="idx '9' has no votes"):
        recorded_verdicts([votes, more])
