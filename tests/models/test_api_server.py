"""The test server itself: what it promises the tests that go by its ledger."""

import copy
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead, RemoteDisconnected

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_answers import REFUSAL, answer_to
from api_limits import Limit
from api_server import start


def ask(server, text, timeout=10.0, headers=None, **body):
    """(status, headers, body) of one chat request, by the standard library's client."""
    data = {"model": "m", "messages": [{"role": "user", "content": text}], **body}
    named = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(
        f"{server.url}/chat/completions", json.dumps(data).encode(), named
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as got:
            return got.status, got.headers, json.load(got)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


@pytest.fixture(scope="module")
def plain():
    with start(key="sk-0123456789abcdefghij", models="m,other") as server:
        yield server


KEY = {"authorization": "Bearer sk-0123456789abcdefghij"}


def test_answers_are_known_from_their_prompts_and_billed_by_their_tokens(plain):
    status, _, said = ask(plain, "hello", headers=KEY, n=2, logprobs=True)
    assert status == 200
    texts = [choice["message"]["content"] for choice in said["choices"]]
    assert texts == [answer_to("hello"), answer_to("hello", sample=1)]
    parts = said["choices"][1]["logprobs"]["content"]
    assert "".join(part["token"] for part in parts) == texts[1]
    assert said["usage"]["completion_tokens"] == 2 * len(parts)
    line = plain.ledger()["billed"][-1]
    assert line["prompt"] == "hello"
    used = said["usage"]
    usd = (used["prompt_tokens"] * 1.0 + used["completion_tokens"] * 4.0) / 1e6
    assert line["usd"] == pytest.approx(usd)


def test_a_seed_draws_only_where_there_is_a_temperature(plain):
    def text(**body):
        return ask(plain, "dice", headers=KEY, **body)[2]["choices"][0]["message"]["content"]

    assert text(seed=1) != text(seed=2)
    assert text(seed=1, temperature=0) == text(seed=2, temperature=0) == answer_to("dice")
    assert text(seed=1) == answer_to("dice", seed=1)


def test_the_token_limit_cuts_the_answer(plain):
    said = ask(plain, "tell [words 100]", headers=KEY, max_tokens=7)[2]
    assert said["choices"][0]["finish_reason"] == "length"
    assert said["usage"]["completion_tokens"] == 7
    whole = answer_to("tell [words 100]")
    assert len(whole.split()) == 100
    assert whole.startswith(said["choices"][0]["message"]["content"])


def test_marked_prompts_end_as_they_ask_to(plain):
    refused = ask(plain, "x [refuse]", headers=KEY)[2]["choices"][0]["message"]
    assert (refused["content"], refused["refusal"]) == (None, REFUSAL)
    stopped = ask(plain, "x [stop]", headers=KEY)[2]["choices"][0]
    assert stopped["finish_reason"] == "content_filter"
    assert ask(plain, "x [empty]", headers=KEY)[2]["choices"][0]["message"]["content"] == ""
    billed = len(plain.ledger()["billed"])
    for mark, code in (("[filter]", "content_filter"), ("[long]", "context_length_exceeded")):
        status, _, said = ask(plain, f"x {mark}", headers=KEY)
        assert (status, said["error"]["code"]) == (400, code)
    assert len(plain.ledger()["billed"]) == billed


def test_a_wrong_key_is_echoed_in_part_and_a_wrong_model_by_name(plain):
    status, _, said = ask(plain, "x", headers={"authorization": "Bearer sk-9876543210zyxwvuts"})
    assert status == 401
    assert "sk-98765" in said["error"]["message"]
    assert "sk-9876543210zyxwvuts" not in said["error"]["message"]
    status, _, said = ask(plain, "x", headers=KEY, model="none")
    assert (status, said["error"]["code"]) == (404, "model_not_found")


@given(
    kind=st.sampled_from(["bucket", "sliding", "fixed60", "fixed1"]),
    gaps=st.lists(st.floats(0, 0.4), min_size=1, max_size=200),
    rate=st.integers(60, 1200),
)
def test_limits_let_through_what_they_say_and_say_when(kind, gaps, rate):
    limit = Limit(kind, rate, burst=2.0, window=3.0)
    now, taken = 0.0, []
    for gap in gaps:
        now += gap
        wait = limit.wait(now, 1)
        if wait == 0:
            limit.take(now, 1)
            taken.append(now)
        else:
            assert copy.deepcopy(limit).wait(now + wait + 1e-6, 1) <= 1e-6
    window = 1.0 if kind == "fixed1" else 3.0
    for start_of in taken:
        if kind == "bucket":
            within = [t for t in taken if t >= start_of]
            allowed = rate / 60 * (2.0 + within[-1] - start_of)
            assert len(within) <= allowed + 1e-6 + 1
        elif kind == "sliding":
            assert sum(start_of <= t < start_of + window for t in taken) <= rate / 60 * window
        else:
            same = [t for t in taken if t // window == start_of // window]
            assert len(same) <= rate / 60 * window


def test_what_comes_too_fast_is_told_when_to_come_back():
    with start(limit="sliding", requests_per_minute=600, window=0.5) as server:
        assert [ask(server, f"p{i}")[0] for i in range(5)] == [200] * 5
        status, headers, said = ask(server, "p6")
        assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")
        assert headers["x-ratelimit-remaining-requests"] == "0"
        time.sleep(int(headers["retry-after-ms"]) / 1000)
        assert ask(server, "p6")[0] == 200
        server.change(tokens_per_minute=600.0, limit_headers=False, retry_after="none")
        status, headers, said = ask(server, "p7 " + "long " * 20, max_tokens=500)
        assert status == 200  # more than a window holds: let through when the window is empty
        status, headers, said = ask(server, "p8")
        assert (status, said["error"]["type"]) == (429, "tokens")
        assert "retry-after" not in headers
        assert "x-ratelimit-limit-tokens" not in headers
        assert len(server.ledger()["rejected"]) == 2


def test_faults_end_and_a_cut_answer_is_billed():
    faults = {"p_500": 0.2, "p_503": 0.1, "p_reset_before": 0.2, "p_reset_mid": 0.2}
    with start(**faults, p_malformed=0.1) as server:
        for i in range(40):
            for _ in range(60):
                try:
                    if ask(server, f"p{i}")[0] == 200:
                        break
                except (ConnectionError, RemoteDisconnected, IncompleteRead, ValueError):
                    continue
            else:
                pytest.fail("a fault did not end")
        ledger = server.ledger()
    faults = ledger["faults"]
    assert all(faults[name] for name in ("500", "503", "reset_before", "reset_mid", "malformed"))
    assert len(ledger["billed"]) == 40 + faults["reset_mid"] + faults["malformed"]


@pytest.mark.parametrize("honours", [True, False])
def test_a_repeated_idempotency_key_is_billed_once_where_it_is_honoured(honours):
    with start(honours_idempotency=honours, latency=0.3) as server:
        named = {"idempotency-key": "k1"}
        with ThreadPoolExecutor(3) as pool:
            got = list(pool.map(lambda _: ask(server, "same", headers=named)[2], range(3)))
        assert len({said["id"] for said in got}) == (1 if honours else 3)
        assert len(server.ledger()["billed"]) == (1 if honours else 3)


@pytest.mark.parametrize("bills", [True, False])
def test_whoever_hangs_up_is_billed_or_not(bills):
    with start(latency=0.4, bills_disconnected=bills) as server:
        with pytest.raises(TimeoutError):
            ask(server, "slow", timeout=0.1)
        time.sleep(0.5)
        assert len(server.ledger()["billed"]) == bills


def test_options_it_ignores_are_dropped_without_a_word():
    with start(ignores_n=True, ignores_logprobs=True, unsupported="max_tokens") as server:
        said = ask(server, "x", n=3, logprobs=True)[2]
        assert len(said["choices"]) == 1
        assert said["choices"][0]["logprobs"] is None
        assert ask(server, "x", max_tokens=3)[2]["error"]["param"] == "max_tokens"
