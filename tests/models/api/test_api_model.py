"""The client against a server that answers, fails, limits and bills like a provider."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from api_answers import answer_to
from api_server import start
from veneer.errors import InputError
from veneer.models.api.budget import Budget
from veneer.models.api.client import ApiModel
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.journal import Journal
from veneer.models.asking import Ask

HOSTILE = {
    "p_500": 0.05,
    "p_503": 0.03,
    "p_reset_before": 0.03,
    "p_reset_mid": 0.03,
    "p_empty_choices": 0.03,
    "p_malformed": 0.03,
    "p_missing_id": 0.03,
    "p_wrong_id": 0.03,
}


def asks(count, samples=1):
    return [Ask.of(f"question {i}", k) for i in range(count) for k in range(samples)]


def right(wanted, replies):
    return all(
        r is not None and r.text == answer_to(a.messages[0].content, a.sample)
        for a, r in zip(wanted, replies, strict=True)
    )


def billed_twice(server):
    return sum(n - 1 for n in Counter(line["key"] for line in server.ledger()["billed"]).values())


def model(server, name="gpt-4o", **options):
    return ApiModel(Endpoint(name, server.url), **options)


@pytest.mark.parametrize("honours", [True, False])
def test_every_answer_comes_once_from_a_hostile_server(honours, monkeypatch):
    monkeypatch.setattr("veneer.models.api.pacing.BACKOFF_SECONDS", (0.1, 2.0))
    with start(**HOSTILE, honours_idempotency=honours) as server, model(server) as api:
        wanted = asks(80)
        told = []
        replies = api.ask(wanted, max_new_tokens=50, progress=lambda *at: told.append(at))
        report = api.report()
        assert right(wanted, replies)
        assert told[-1] == (80, 80)
        assert billed_twice(server) == 0 if honours else billed_twice(server) <= report.in_doubt
        assert report.in_doubt > 0
        assert report.answers == 80
        assert report.requests == 80 + report.retries
        assert not report.unpriced
        before = len(server.ledger()["arrived"])
        assert api.ask(wanted, max_new_tokens=50) == replies
        assert api.ask(asks(81), max_new_tokens=50)[-1].text == answer_to("question 80")
        assert api.report().from_journal == 160
        assert len(server.ledger()["arrived"]) <= before + 6


def test_samples_go_in_one_request_and_replies_do_not_depend_on_concurrency(tmp_path):
    wanted = asks(8, samples=3)
    with start(latency=0.05, latency_sigma=1.0) as server:
        said = []
        for concurrency in (1, 64):
            journal = tmp_path / str(concurrency)
            with model(server, journal=journal, concurrency=concurrency) as api:
                said.append(api.ask(wanted, max_new_tokens=50, temperature=1.0))
                assert api.report().requests == 8
        assert said[0] == said[1]
        assert right(wanted, said[0])
        billed = server.ledger()["billed"][:8]
        tokens = [sum(r.completion_tokens for r in said[0][3 * i : 3 * i + 3]) for i in range(8)]
        assert [line["completion_tokens"] for line in billed] == tokens


def test_n_that_is_ignored_is_refused_and_what_came_is_kept():
    with start(ignores_n=True) as server, model(server) as api:
        with pytest.raises(InputError, match=r"ignored n=2 \(1 answer came back\)"):
            api.ask(asks(1, samples=2), max_new_tokens=50)
        with model(server, samples_per_request=1) as single:
            replies = single.ask(asks(1, samples=2), max_new_tokens=50)
            assert [r.outcome for r in replies] == ["answered", "answered"]
            assert single.report().from_journal == 1


def test_logprobs_are_the_mean_over_tokens_or_refused():
    from api_answers import logprob

    with start() as server, model(server, logprobs=True) as api:
        (reply,) = api.ask([Ask.of("q")], max_new_tokens=50)
        count = -(-len(reply.text) // 4)
        mean = sum(logprob(reply.text, i) for i in range(count)) / count
        assert reply.logprob == pytest.approx(mean)
        server.change(ignores_logprobs=True)
        with pytest.raises(InputError, match="ignored logprobs"):
            api.ask([Ask.of("other")], max_new_tokens=50)
        with pytest.raises(InputError, match="ignored logprobs"):
            api.ask([Ask.of("cut off [words 90]")], max_new_tokens=5)
        with model(server) as plain:
            assert plain.ask([Ask.of("other")], max_new_tokens=50)[0].outcome == "answered"
            assert plain.report().from_journal == 1


def test_top_p_is_sent_and_told_apart_only_below_one():
    with start(unsupported="top_p") as server, model(server) as api:
        (plain,) = api.ask([Ask.of("q")], max_new_tokens=9, top_p=1.0)
        assert plain.outcome == "answered"
        with pytest.raises(InputError, match="does not take the parameter 'top_p'"):
            api.ask([Ask.of("q")], max_new_tokens=9, top_p=0.9)
        server.change(unsupported="")
        api.ask([Ask.of("q")], max_new_tokens=9, top_p=0.9)
        api.ask([Ask.of("q")], max_new_tokens=9)
        assert len(server.ledger()["billed"]) == 2


def test_every_ending_has_its_outcome():
    texts = ["fine", "[refuse]", "[stop]", "[empty]", "[filter]", "[long]", "[words 90]"]
    with start() as server, model(server) as api:
        replies = api.ask([Ask.of(text) for text in texts], max_new_tokens=20)
    assert [r.outcome for r in replies] == [
        "answered",
        "refused",
        "filtered",
        "empty",
        "filtered",
        "failed",
        "truncated",
    ]
    assert all(r.reason for r in replies[1:])
    assert "context length" in replies[5].reason


def test_replies_that_stay_unreadable_are_malformed_and_paid_once_more_never():
    with start(p_malformed=1.0) as server, model(server) as api:
        (reply,) = api.ask([Ask.of("q")], max_new_tokens=20)
        assert (reply.outcome, reply.reason) == ("malformed", "the reply is not JSON")
        assert api.report().in_doubt == 2
        assert api.ask([Ask.of("q")], max_new_tokens=20) == [reply]
        assert len(server.ledger()["arrived"]) == 3


def test_a_failed_request_is_asked_again_next_time():
    with start(p_503=1.0) as server, model(server, attempts=2) as api:
        (reply,) = api.ask([Ask.of("q")], max_new_tokens=20)
        assert reply.outcome == "failed"
        assert "503" in reply.reason
        server.change(p_503=0.0)
        assert api.ask([Ask.of("q")], max_new_tokens=20)[0].outcome == "answered"


def test_an_endpoint_that_is_not_there_is_said_and_costs_nothing(monkeypatch):
    monkeypatch.setattr("veneer.models.api.pacing.BACKOFF_SECONDS", (0.01, 0.02))
    with ApiModel(Endpoint("m", "http://127.0.0.1:9/v1"), attempts=2) as api:
        with pytest.raises(InputError, match="answered none of the first 10"):
            api.ask(asks(30), max_new_tokens=20)
        assert api.spent().requests == api.report().in_doubt == 0


def test_a_long_stall_is_waited_for_and_not_paid_twice():
    with start(p_stall=1.0, stall_seconds=3.0) as server, model(server) as api:
        assert right(asks(3), api.ask(asks(3), max_new_tokens=20))
        assert len(server.ledger()["arrived"]) == 3


def test_text_that_cannot_be_sent_is_a_failed_item():
    with start() as server, model(server) as api:
        bad, good = api.ask([Ask.of("half \ud83d"), Ask.of("q")], max_new_tokens=20)
    assert (bad.outcome, good.outcome) == ("failed", "answered")


def test_the_other_name_of_the_token_limit_is_found():
    with start(unsupported="max_tokens") as server, model(server) as api:
        assert right(asks(5), api.ask(asks(5), max_new_tokens=20))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "another"}, "MY_KEY"),
        ({"models": "only-this"}, "no model 'gpt-4o'"),
        ({"quota_usd": 1e-9}, "credit"),
        ({"unsupported": "temperature"}, "temperature"),
        ({"unsupported": "messages"}, "answered none of the first 10"),
    ],
)
def test_what_no_request_survives_stops_all_and_shows_no_key(options, said, monkeypatch, tmp_path):
    key = "sk-secret-0123456789abcdef-of-a-user"
    monkeypatch.setenv("MY_KEY", key)
    with start(**options) as server:
        endpoint = Endpoint("gpt-4o", server.url, key_name="MY_KEY")
        with (
            ApiModel(endpoint, journal=tmp_path / "j", concurrency=4) as api,
            pytest.raises(InputError) as error,
        ):
            api.ask(asks(60), max_new_tokens=20, temperature=0.5)
        assert len(server.ledger()["arrived"]) <= 15
    assert said in str(error.value)
    assert key not in str(error.value) + repr(endpoint) + repr(api.report())
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()


def test_a_key_that_a_server_echoes_is_taken_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "echo-key-123456")
    endpoint = Endpoint("m", "http://localhost:1/v1")
    assert "123456" not in endpoint.redacted("you sent echo-key-123456")
    assert "abcdefgh" not in endpoint.redacted("Authorization: Bearer abcdefghijkl")
    assert endpoint.redacted("key sk-abc***xyz") == "key sk-abc***xyz"
    with pytest.raises(InputError, match="password"):
        Endpoint("m", "http://me:secret@host/v1")


def test_a_missing_key_names_its_variable(monkeypatch):
    with pytest.raises(InputError, match="export OPENAI_API_KEY"):
        ApiModel(Endpoint("gpt-4o"))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1/")
    assert Endpoint("gpt-4o").url == "http://localhost:9/v1"


def test_a_budget_stops_before_it_is_exceeded_and_goes_on_when_raised():
    with start(price_in=2.5, price_out=10.0) as server:
        wanted = asks(60)
        with model(server, budget=Budget(usd=0.003)) as api:
            replies = api.ask(wanted, max_new_tokens=50)
            left = replies.count(None)
            assert 0 < left < 60
            assert server.ledger()["usd"] <= 0.003
            assert f"{left} are left" in api.stopped
            assert api.spent().usd == pytest.approx(server.ledger()["usd"])
        with model(server, budget=Budget(usd=1.0)) as api:
            assert right(wanted, api.ask(wanted, max_new_tokens=50))
            assert api.report().from_journal == 60 - left
            assert api.stopped == ""
        assert billed_twice(server) == 0


def test_a_budget_needs_a_price(tmp_path):
    endpoint = Endpoint("unheard-of", "http://localhost:9/v1")
    with pytest.raises(InputError, match="VENEER_PRICES"):
        ApiModel(endpoint, budget=Budget(usd=1))
    table = tmp_path / "prices.yaml"
    table.write_text("models: {unheard-of: {in: 1, out: 2}}")
    ApiModel(endpoint, budget=Budget(usd=1), prices=table).close()
    ApiModel(endpoint, budget=Budget(tokens=100)).close()


CHILD = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
from veneer.models.api.client import ApiModel
from veneer.models.api.endpoint import Endpoint
from veneer.models.asking import Ask
with ApiModel(Endpoint("gpt-4o", sys.argv[1]), concurrency=16) as api:
    print("go", flush=True)
    replies = api.ask([Ask.of(f"question {i}") for i in range(int(sys.argv[2]))], max_new_tokens=50)
    print(sum(r.outcome == "answered" for r in replies), flush=True)
"""


def child(server, count):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("honours", [True, False])
def test_killed_and_started_again_nothing_is_lost_or_paid_unaccounted(honours):
    with start(latency=0.3, honours_idempotency=honours) as server:
        process = child(server, 100)
        process.stdout.readline()
        while len(server.ledger()["arrived"]) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with model(server) as api:
            wanted = asks(100)
            assert right(wanted, api.ask(wanted, max_new_tokens=50))
            doubt = api.spent().in_doubt
        assert doubt > 0
        assert billed_twice(server) <= (0 if honours else doubt)


def test_two_processes_ask_each_question_once():
    with start(latency=0.05) as server:
        both = [child(server, 60) for _ in range(2)]
        said = [process.communicate()[0].split() for process in both]
        assert said == [["go", "60"], ["go", "60"]]
        assert len(server.ledger()["billed"]) == 60
        assert billed_twice(server) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_runs(number):
    with start(latency=0.4) as server:
        process = child(server, 2000)
        process.stdout.readline()
        while len(server.ledger()["arrived"]) < 20:
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == -number
        billed = len(server.ledger()["billed"])
        with Journal(Path(os.environ["VENEER_JOURNAL"])) as journal:
            assert journal.spent("gpt-4o").in_doubt == 0
            assert journal.spent("gpt-4o").requests == billed
