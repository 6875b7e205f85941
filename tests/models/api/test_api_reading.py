"""Responses as providers write them, and as they should not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_answers import completion
from veneer.errors import InputError
from veneer.models.api.budget import worst_case
from veneer.models.api.headers import seconds_to_wait, span
from veneer.models.api.prices import Price, price_of, read_prices
from veneer.models.api.reading import read_completion
from veneer.records import Message

ASKED = {"model": "m", "messages": [{"role": "user", "content": "q"}], "n": 3}
WHOLE = completion(ASKED, "id-1", 0, "", False, True)


def test_choices_are_replies_in_the_order_of_their_index_and_tokens_add_up():
    mixed = WHOLE | {"choices": WHOLE["choices"][::-1]}
    read = read_completion(json.dumps(mixed), limit=50)
    assert [r.text for r in read.replies] == [c["message"]["content"] for c in WHOLE["choices"]]
    assert sum(r.completion_tokens for r in read.replies) == WHOLE["usage"]["completion_tokens"]
    assert {r.prompt_tokens for r in read.replies} == {WHOLE["usage"]["prompt_tokens"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "no id"),
        ({"model": ""}, "no model"),
        ({"choices": []}, "no choices"),
        ({"choices": None}, "no choices"),
        ({"choices": [{}]}, "another shape"),
        ({"choices": [{"message": {"content": 3}}]}, "another shape"),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "tool_calls"}]}, "another"),
        ({"object": "error"}, "not a chat completion"),
    ],
)
def test_what_is_no_answer_says_why(change, said):
    read = read_completion(WHOLE | change, limit=50)
    assert said in read.trouble
    assert read.replies == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "model", "choices", "message", "content", "usage", "index"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
    | st.binary(max_size=30)
)
def test_no_body_crashes_the_reader(body):
    text = body if isinstance(body, bytes) else json.dumps(body)
    read = read_completion(text, limit=5, logprobs=True)
    assert bool(read.trouble) != bool(read.replies)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers, seconds):
    assert seconds_to_wait(headers, now=60.0) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("120ms", 0.12), ("1.5s", 1.5), ("1h2m3s", 3723.0), ("2", 2.0), (None, None)],
)
def test_spans_of_time_in_headers(text, seconds):
    assert span(text) == (None if seconds is None else pytest.approx(seconds))


def test_prices_go_by_family_and_snapshots_but_not_by_prefix():
    assert price_of("gpt-4o-2024-08-06") == price_of("gpt-4o")
    assert price_of("gpt-4o-mini-2024-07-18") == price_of("gpt-4o-mini") != price_of("gpt-4o")
    assert price_of("gpt-4-0613") == price_of("gpt-4")
    assert price_of("gpt-3.5-turbo-0125") == price_of("gpt-3.5-turbo")
    assert price_of("gpt-4o-nonesuch") is None
    assert price_of("gpt-5.1").usd(1_000_000, 100_000) == pytest.approx(1.25 + 1.0)
    assert price_of("gpt-5.1").usd(1_000_000, 100_000, batch=True) == pytest.approx(1.125)


def test_a_users_table_goes_first_and_a_wrong_one_is_said(tmp_path, monkeypatch):
    table = tmp_path / "p.yaml"
    table.write_text("models: {gpt-4o: {in: 7, out: 8}}")
    monkeypatch.setenv("VENEER_PRICES", str(table))
    assert price_of("gpt-4o") == Price(7, 8)
    assert price_of("gpt-4o-mini").prompt == 0.15
    for wrong in ("x: 1", "models: {m: {in: 1}}", "models: {m: {in: a, out: 2}}", "{", "[1]"):
        table.write_text(wrong)
        with pytest.raises(InputError, match="price table"):
            read_prices(table)
    with pytest.raises(InputError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")


@given(st.text(max_size=200))
def test_the_worst_case_is_no_less_than_a_byte_a_token(text):
    worst = worst_case(
        [Message(role="user", content=text)], max_tokens=10, samples=3, price=Price(1, 2)
    )
    assert worst.prompt_tokens >= len(text.encode("utf-8", "surrogatepass"))
    assert worst.completion_tokens == 30
    assert worst.usd == pytest.approx((worst.prompt_tokens + 60) / 1e6)
