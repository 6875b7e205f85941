"""Verdicts in sum: both orders, attempts, intervals, and a judge whose biases are known."""

from __future__ import annotations

import random
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.records import Comparison, Subject, content_id

ME = Subject(model="s", role="student", base="b")


def verdict(prompt: str, second_wins: float | None, *, mine_first: bool = False, **more):
    first, second = ("s", "t") if mine_first else ("t", "s")
    return Comparison(prompt=prompt, first=first, second=second, second_wins=second_wins, **more)


def both(prompt: str, mine_second: float | None, mine_first: float | None, **more):
    """A prompt in both orders, each told as how far `s` won."""
    other = None if mine_first is None else 1 - mine_first
    return [
        verdict(prompt, mine_second, **more),
        verdict(prompt, other, mine_first=True, **more),
    ]


def report(rows, **more):
    return preference_report(rows, ME, "t", **more)


def test_one_order_counts_and_standard_error() -> None:
    values = [1, 0, 0.5, 1, 1, 0.25]
    rows = [verdict(f"q{k}", v) for k, v in enumerate(values)]
    rows.append(verdict("q9", None, reason="prose"))
    found = report(rows)
    assert (found.wins, found.losses, found.ties, found.orders) == (3, 2, 1, "one")
    assert found.win_rate.value == pytest.approx(mean(values))
    assert found.standard_error == pytest.approx(stdev(values) / 6**0.5)
    assert found.win_or_tie_rate.value == pytest.approx(4 / 6)
    assert (found.win_rate.n, found.win_rate.unscored, found.reasons) == (6, 1, {"prose": 1})
    assert found.first_position is None  # the student was second throughout
    assert found.orders_agree is None


@pytest.mark.parametrize(
    ("second", "first", "value"),
    [(1, 1, 1), (0, 0, 0), (1, 0, 0.5), (0, 1, 0.5), (1, 0.5, 0.5), (0.5, 0.5, 0.5)],
)
def test_orders_that_disagree_are_a_tie(second, first, value) -> None:
    (win, _) = preference_sheets_of(both("q", second, first), ME, "t")
    assert win.values == (value,)


def test_continuous_orders_are_averaged() -> None:
    (win, tie) = preference_sheets_of(both("q", 0.9, 0.2), ME, "t")
    assert win.values == (pytest.approx(0.55),)
    assert tie.values == (1.0,)
    assert report(both("q", 0.9, 0.2)).orders_agree.value == 0.0


def test_one_order_of_two_is_not_a_verdict() -> None:
    rows = [*both("a", 1, 1), *both("b", 1, None, reason="prose"), *both("c", 0, 0)]
    rows += [verdict("d", 1.0)]
    (win, tie) = preference_sheets_of(rows, ME, "t")
    assert win.values == tie.values == (1.0, None, 0.0, None)
    assert win.reasons == ("", "prose", "", "judged in one order only")
    found = report(rows)
    assert found.orders == "both"
    assert found.win_rate.unscored == 2
    assert found.orders_agree.value == 1.0


def test_the_last_parsed_attempt_counts() -> None:
    rows = [
        verdict("a", None, reason="prose", attempt=0),
        verdict("a", 1.0, attempt=1),
        verdict("b", 0.0, attempt=0),
        verdict("b", 1.0, attempt=2),
        verdict("b", None, reason="cut", attempt=3),
        verdict("c", None, reason="prose", attempt=0),
        verdict("c", None, reason="cut", attempt=1),
    ]
    for order in (rows, rows[::-1]):
        (win, _) = preference_sheets_of(order, ME, "t")
        told = dict(zip(win.items, zip(win.values, win.reasons, strict=True), strict=True))
        assert told == {
            content_id("a"): (1.0, ""),
            content_id("b"): (1.0, ""),
            content_id("c"): (None, "cut"),
        }


def test_several_verdicts_of_one_attempt_are_averaged() -> None:
    (win, _) = preference_sheets_of([verdict("a", 1.0), verdict("a", 0.0)], ME, "t")
    assert win.values == (0.5,)


def test_categories_and_names() -> None:
    rows = [verdict("a", 1.0, category="math", judge="j", template="p"), verdict("b", 0.0)]
    (win, tie) = preference_sheets_of(rows, ME, "teacher")
    assert (win.categories, win.measure, win.against) == (("math", ""), "preference", "teacher")
    assert (win.metric, tie.metric) == ("win_rate", "win_or_tie_rate")
    found = preference_report(rows, Subject(model="mine", role="student"), "t", me="s")
    assert (found.subject.model, found.judge, found.template) == ("mine", "j", "p")


def test_strangers_are_refused() -> None:
    with pytest.raises(ValueError, match="says nothing of x"):
        preference_report([verdict("a", 1.0)], ME, "t", me="x")
    two = [verdict("a", 1.0), Comparison(prompt="b", first="u", second="s", second_wins=1.0)]
    with pytest.raises(ValueError, match="several opponents of s: t, u"):
        report(two)


def test_no_verdict_at_all_is_undefined_not_zero() -> None:
    for rows in ([], [verdict("a", None, reason="prose")]):
        found = report(rows)
        assert found.win_rate.value is None
        assert found.win_rate.note == "no item was scored"
        assert found.standard_error is None


def test_certainty_is_not_claimed_from_a_few_equal_verdicts() -> None:
    rate = report([verdict(f"q{k}", 1.0) for k in range(10)]).win_rate
    assert rate.value == rate.high == 1.0
    assert 0.6 < rate.low < 0.9  # Jeffreys: 0.78


def test_the_interval_is_the_binomial_one() -> None:
    rows = [verdict(f"q{k}", float(k % 10 < 3)) for k in range(400)]
    rate = report(rows).win_rate
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert rate.low == pytest.approx(0.3 - half, abs=0.01)
    assert rate.high == pytest.approx(0.3 + half, abs=0.01)
    assert report(rows[::-1]) == report(rows)
    assert report(rows, seed=1).win_rate != rate


def biased_judge(position: float, length: float, *, orders: int = 2, prompts: int = 400):
    """A judge with known biases: log-odds = truth ± position + length · sign of Δ, truth −0.5."""
    rng = random.Random(7)
    logistic = lambda x: 1 / (1 + 2.718281828459045**-x)  # noqa: E731
    rows = []
    for k in range(prompts):
        mine, theirs = rng.randint(200, 900), rng.randint(100, 600)
        luck = rng.random()
        for mine_first in (False, True)[:orders]:
            pull = length if mine > theirs else -length
            chance = logistic(-0.5 + (position if mine_first else -position) + pull)
            won = float(luck < chance)
            lengths = (mine, theirs) if mine_first else (theirs, mine)
            value = 1 - won if mine_first else won
            rows.append(verdict(f"q{k}", value, mine_first=mine_first, lengths=lengths))
    return rows


def test_position_bias_is_named_and_cancelled() -> None:
    found = report(biased_judge(position=0.8, length=0.0))
    assert found.first_position.low > 0.5
    assert any(text.startswith("the first answer shown won") for text in found.biases)
    assert not any("answers win" in text for text in found.biases)
    truth = 1 / (1 + 2.718281828**0.5)
    assert found.win_rate.low < truth < found.win_rate.high
    assert found.orders_agree.value < 1
    other = report(biased_judge(position=-0.8, length=0.0))
    assert any(text.startswith("the second answer shown won") for text in other.biases)


def test_length_bias_is_named_and_taken_out() -> None:
    found = report(biased_judge(position=0.0, length=1.2))
    truth = 1 / (1 + 2.718281828**0.5)
    assert found.win_rate.low > truth  # the student writes more, and that wins
    assert found.length_controlled.low < truth < found.length_controlled.high
    assert [text.split(":")[0] for text in found.biases] == ["longer answers win"]


def test_a_fair_judge_is_not_accused() -> None:
    found = report(biased_judge(position=0.0, length=0.0))
    assert found.biases == ()
    assert found.first_position.low <= 0.5 <= found.first_position.high


def test_position_is_told_apart_from_the_better_model() -> None:
    """One order a prompt, sides drawn unevenly: a strong student is no position bias."""
    rng = random.Random(1)
    rows = []
    for k in range(600):
        mine_first, won = rng.random() < 0.8, float(rng.random() < 0.9)
        rows.append(verdict(f"q{k}", 1 - won if mine_first else won, mine_first=mine_first))
    found = report(rows)
    assert found.orders == "one"
    assert found.first_position.low <= 0.5 <= found.first_position.high


def test_lengths_of_some_prompts_only() -> None:
    rows = biased_judge(position=0.0, length=1.2)
    cut = [row.model_copy(update={"lengths": None}) if row.prompt < "q2" else row for row in rows]
    found = report(cut).length_controlled
    known = len({row.prompt for row in cut if row.lengths})
    assert (found.n, found.unscored) == (known, 400 - known)
    assert report([row.model_copy(update={"lengths": None}) for row in rows]).length_effect is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.booleans(),
            st.sampled_from([None, 0.0, 0.5, 1.0]),
            st.integers(0, 2),
        ),
        max_size=20,
    )
)
def test_swapping_the_sides_mirrors_everything(rows) -> None:
    told = [
        verdict(f"q{k}", wins, mine_first=first, attempt=attempt)
        for k, first, wins, attempt in rows
    ]
    mine, theirs = report(told), preference_report(told, ME, "s", me="t")
    assert (mine.wins, mine.ties) == (theirs.losses, theirs.ties)
    assert mine.win_rate.n + mine.win_rate.unscored == len({row.prompt for row in told})
    if mine.win_rate.value is not None:
        assert mine.win_rate.value == pytest.approx(1 - theirs.win_rate.value)
    assert mine.first_position == theirs.first_position
