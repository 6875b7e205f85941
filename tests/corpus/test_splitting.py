"""Splitting: no turn lost, order kept, pairs together, every part within the limit or noted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.corpus.rows import batch_of
from veneer.corpus.splitting import SPLIT, TOO_LONG, split


def turn(role, words, mark=""):
    return {"role": role, "content": " ".join([mark or role[0]] * words)}


def split_rows(messages, limit, measure="words", **row):
    batch = batch_of([{"messages": messages, "origin": "f.json:3", **row}])
    return split(batch, limit, measure).to_pylist()


def test_a_conversation_that_fits_stays_one_row():
    talk = [turn("user", 2), turn("assistant", 3), turn("user", 2), turn("assistant", 3)]
    row = {"notes": ["n"], "trimmed": ["an empty turn\t"], "asked": "u u", "starts": "user"}
    batch = batch_of([{"messages": talk, "origin": "f.json:3", **row}])
    assert split(batch, 10).equals(batch)


def test_parts_start_with_a_question_and_repeat_the_system_turn():
    system = turn("system", 1)
    pairs = [[turn("user", 2, f"q{k}"), turn("assistant", 3, f"a{k}")] for k in range(5)]
    rows = split_rows(
        [system, *(t for pair in pairs for t in pair)],
        11,
        notes=["n"],
        trimmed=["an empty turn\t"],
        asked="q",
        starts="system",
    )
    assert [row["messages"] for row in rows] == [
        [system, *pairs[0], *pairs[1]],
        [system, *pairs[2], *pairs[3]],
        [system, *pairs[4]],
    ]
    assert [row["origin"] for row in rows] == ["f.json:3", "f.json:3#2", "f.json:3#3"]
    assert [row["notes"] for row in rows] == [["n"], [SPLIT], [SPLIT]]
    assert [row["trimmed"] for row in rows] == [["an empty turn\t"], [], []], "counted once"
    assert [row["asked"] for row in rows] == ["q", "", ""]


def test_a_pair_beyond_the_limit_stays_whole_and_is_noted():
    short = [turn("user", 1), turn("assistant", 1)]
    long = [turn("user", 1), turn("assistant", 50)]
    rows = split_rows([*short, *long, *short], 10)
    assert [row["messages"] for row in rows] == [short, long, short]
    assert [TOO_LONG in row["notes"] for row in rows] == [False, True, False]


def test_the_last_pair_on_overflow_is_not_dropped():
    """What FastChat's splitter loses: the pair that does not fit, when it is the last."""
    first, last = [turn("user", 3), turn("assistant", 6)], [turn("user", 3), turn("assistant", 6)]
    assert [row["messages"] for row in split_rows([*first, *last], 10)] == [first, last]


def test_a_later_system_turn_goes_with_the_question_after_it():
    talk = [turn("user", 1), turn("assistant", 1), turn("user", 1), turn("assistant", 1)]
    later = [turn("system", 1, "now"), turn("user", 1), turn("assistant", 1)]
    assert [row["messages"] for row in split_rows([*talk, *later], 5)] == [talk, later]


def test_tokens_by_a_function_of_ours():
    talk = [turn("user", 2), turn("assistant", 2), turn("user", 2), turn("assistant", 2)]
    assert len(split_rows(talk, 12, len)) == 1, "four texts of three characters"
    assert len(split_rows(talk, 11, len)) == 2


def test_rejected_rows_and_replayed_text_pass_through():
    rejected = {"messages": [turn("user", 90)], "reason": "no answer", "text": "{}"}
    plain = {"messages": [turn("assistant", 90)], "source": "replay"}
    batch = batch_of([rejected, plain])
    after = split(batch, 5).to_pylist()
    assert after[0] == batch.to_pylist()[0]
    assert after[1]["messages"] == plain["messages"]
    assert after[1]["notes"] == [TOO_LONG]


talks = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "assistant", "system"]), st.integers(0, 9)),
    min_size=1,
    max_size=14,
)


@given(talks, st.integers(0, 30))
def test_no_turn_is_lost_and_the_order_is_kept(talk, limit):
    messages = [turn(role, words, f"{role[0]}{k}") for k, (role, words) in enumerate(talk)]
    rows = split_rows(messages, limit)
    head = 0
    while head < len(messages) and messages[head]["role"] == "system":
        head += 1
    rest = [message for row in rows for message in row["messages"][head:]]
    assert messages[:head] + rest == messages
    for row in rows:
        assert row["messages"][:head] == messages[:head]
        body = row["messages"][head:]
        words = sum(len(m["content"].split()) for m in row["messages"])
        cuts = [
            k for k in range(1, len(body))
            if body[k]["role"] != "assistant" and body[k - 1]["role"] == "assistant"
        ]  # fmt: skip
        assert (words <= limit) == (TOO_LONG not in row["notes"])
        assert words <= limit or not cuts, "a part that could be cut fits"
        assert body or len(rows) == 1
    for row in rows[1:]:
        assert row["messages"][head]["role"] != "assistant"


@pytest.mark.parametrize("limit", [0, 3, 1000])
def test_as_many_parts_as_are_needed_and_no_more(limit):
    talk = [turn("user", 1), turn("assistant", 2)] * 4
    assert len(split_rows(talk, limit)) == (1 if limit == 1000 else 4)
