"""The batch mode against a server whose own ledger says what was paid."""

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_answers import REFUSAL, answer_to
from api_server import start
from veneer.errors import InputError
from veneer.models.api import desk as desks
from veneer.models.api import jobs
from veneer.models.api.batch import BatchModel
from veneer.models.api.budget import Budget, worst_case
from veneer.models.api.client import ApiModel
from veneer.models.api.desk import Desk, Line
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.entries import Intent, request_key
from veneer.models.api.journal import Journal
from veneer.models.api.prices import Price
from veneer.models.asking import Ask
from veneer.records import Message

PRICE = Price(1.0, 4.0)
PROMPTS = [f"question {i}" for i in range(40)]


def line(text, url, samples=(0,), limit=100):
    messages = [{"role": "user", "content": text}]
    keys = tuple(
        request_key(
            base_url=url,
            model="m",
            messages=messages,
            temperature=1.0,
            max_tokens=limit,
            seed=None,
            logprobs=False,
            sample=sample,
        )
        for sample in samples
    )
    asked = [Message(role="user", content=text)]
    worst = worst_case(asked, max_tokens=limit, samples=len(samples), price=PRICE)
    body = {"model": "m", "messages": messages, "max_tokens": limit, "temperature": 1.0}
    if len(samples) > 1:
        body["n"] = len(samples)
    return Line(Intent(keys, samples, "c", worst), body)


@contextlib.contextmanager
def desk(server, path, **options):
    with Journal(path) as journal:
        client = openai.OpenAI(api_key="sk-a-key-to-be-seen-nowhere", base_url=server.url)
        options = {"limit": 100, "price": PRICE, "poll": 0.05, **options}
        yield Desk(client, Endpoint("m", server.url), journal, "c", **options)


def texts(server, answers, prompts):
    """The replies' texts by prompt."""
    keyed = {line(p, server.url).intent.keys[0]: p for p in prompts}
    return {keyed[key]: reply.text for key, reply in answers.items()}


def paid_once(server, prompts):
    """Whether the server billed each prompt exactly once."""
    return Counter(b["prompt"] for b in server.ledger()["billed"]) == Counter(prompts)


RIGHT = {p: answer_to(p) for p in PROMPTS}


def test_all_are_answered_once_at_half_the_price_and_never_sent_again(tmp_path):
    seen = []
    with start(download_resets=1) as server:
        lines = [line(p, server.url) for p in PROMPTS]
        with desk(
            server, tmp_path / "j", max_requests=15, progress=lambda *at: seen.append(at)
        ) as d:
            answers = d.ask(lines)
            spent = d.journal.spent("c")
            assert d.ask(lines) == answers
            assert d.journal.batches(base_url=d.endpoint.url) == []
        assert texts(server, answers, PROMPTS) == RIGHT
        ledger = server.ledger()
        assert paid_once(server, PROMPTS)
    assert [b["request_counts"]["total"] for b in ledger["batches"]] == [15, 15, 10]
    usd = sum(b["prompt_tokens"] * 1.0 + b["completion_tokens"] * 4.0 for b in ledger["billed"])
    assert spent.usd == pytest.approx(usd / 2e6)
    assert spent.usd == pytest.approx(ledger["usd"])
    assert spent.tokens == sum(
        b["prompt_tokens"] + b["completion_tokens"] for b in ledger["billed"]
    )
    assert seen == sorted(seen)
    assert seen[-1] == (40, 40)
    assert any(0 < done < 40 for done, _ in seen)


def test_every_ending_is_an_outcome_with_its_reason(tmp_path):
    prompts = [
        "a",
        "b [refuse]",
        "c [stop]",
        "d [filter]",
        "e [long]",
        "f [empty]",
        "g [words 500]",
    ]
    with start() as server, desk(server, tmp_path / "j") as d:
        answers = d.ask([line(p, server.url) for p in prompts])
        got = {p: answers[line(p, server.url).intent.keys[0]] for p in prompts}
    outcomes = [got[p].outcome for p in prompts]
    assert outcomes == [
        "answered", "refused", "filtered", "filtered", "failed", "empty", "truncated",
    ]  # fmt: skip
    assert got["b [refuse]"].text == REFUSAL
    assert got["g [words 500]"].text == answer_to("g [words 500]")[:400].strip()
    assert "maximum context length" in got["e [long]"].reason
    assert all(reply.reason for reply in got.values() if reply.outcome != "answered")


def test_several_samples_come_from_one_request_and_missing_ones_are_asked_for(tmp_path):
    with start() as server, desk(server, tmp_path / "j") as d:
        first = d.ask([line("x", server.url, (0, 1))])
        assert [reply.text for reply in first.values()] == [answer_to("x"), answer_to("x", 1)]
        more = d.ask([line("x", server.url, (0, 1, 2))])
        assert len(more) == 3
        assert first.items() <= more.items()
        assert len(server.ledger()["billed"]) == 2


def test_an_endpoint_that_ignores_options_is_found_out_and_what_came_is_kept(tmp_path):
    with start(ignores_n=True, ignores_logprobs=True) as server, desk(server, tmp_path / "j") as d:
        with pytest.raises(InputError, match="ignored n"):
            d.ask([line("x", server.url, (0, 1))])
        kept = d.ask([line("x", server.url)])
        assert [reply.text for reply in kept.values()] == [answer_to("x")]
        assert len(server.ledger()["billed"]) == 1
    with start(ignores_logprobs=True) as server:
        with desk(server, tmp_path / "k", logprobs=True) as d:
            (reply,) = d.ask([line("y", server.url)]).values()
        assert (reply.outcome, reply.text) == ("malformed", answer_to("y"))
        assert "log-probabilities" in reply.reason


def test_lines_that_fail_are_asked_again_and_no_more_than_so_often(tmp_path):
    with start(batch_p_failed=0.5, batch_running=0.05) as server:
        with desk(server, tmp_path / "j") as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
        good = [p for p, text in texts(server, answers, PROMPTS).items() if text]
        assert paid_once(server, good)
        sizes = [b["request_counts"]["total"] for b in server.ledger()["batches"]]
    bad = [reply for reply in answers.values() if reply.outcome != "answered"]
    assert len(answers) == 40
    assert 0 < len(bad) < 15
    assert all("in 3 batches" in reply.reason and "HTTP 500" in reply.reason for reply in bad)
    assert len(sizes) == 3
    assert sizes[0] > sizes[1] > sizes[2] > len(bad)


def test_what_a_batch_that_expired_left_is_asked_again(tmp_path):
    with start(batch_expires=2, batch_expires_share=0.4) as server:
        with desk(server, tmp_path / "j") as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
        assert texts(server, answers, PROMPTS) == RIGHT
        assert paid_once(server, PROMPTS)
        ledger = server.ledger()
    assert [b["status"] for b in ledger["batches"]] == ["expired", "expired", "completed"]
    assert [b["request_counts"]["total"] for b in ledger["batches"]] == [40, 24, 15]


def test_a_failed_batch_says_why_and_may_be_handed_in_again(tmp_path):
    with start(batch_fails=1) as server, desk(server, tmp_path / "j") as d:
        lines = [line(p, server.url) for p in PROMPTS[:3]]
        with pytest.raises(InputError, match="token_limit_exceeded: Enqueued token limit"):
            d.ask(lines)
        assert d.journal.spent("c").requests == 0
        assert len(d.ask(lines)) == 3


def test_a_cancelled_batch_keeps_what_was_answered(tmp_path):
    with start(batch_running=2.0) as server, desk(server, tmp_path / "j") as d:
        lines = [line(p, server.url) for p in PROMPTS]

        def cancel():
            while not any(b["request_counts"]["completed"] > 5 for b in server.ledger()["batches"]):
                time.sleep(0.05)
            d.client.batches.cancel(server.ledger()["batches"][0]["id"])

        thread = threading.Thread(target=cancel)
        thread.start()
        answers = d.ask(lines)
        thread.join()
        left = [reply for reply in answers.values() if reply.outcome == "failed"]
        assert 0 < len(left) < 35
        assert all("cancelled at the provider" in reply.reason for reply in left)
        server.change(batch_running=0.1)
        assert texts(server, d.ask(lines), PROMPTS) == RIGHT
        assert paid_once(server, PROMPTS)


@pytest.mark.parametrize("resets", [1, 3])
def test_a_batch_whose_creation_was_not_heard_of_is_found_not_created_again(tmp_path, resets):
    with start(batch_create_resets=resets, batch_pages=1) as server:
        with desk(server, tmp_path / "j", max_requests=20) as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
        assert texts(server, answers, PROMPTS) == RIGHT
        assert len(server.ledger()["batches"]) == 2
        assert paid_once(server, PROMPTS)


def test_answers_under_a_name_nobody_gave_are_in_doubt_and_asked_again(tmp_path):
    with start(p_wrong_id=0.3) as server:
        with desk(server, tmp_path / "j") as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
            spent = d.journal.spent("c")
        answered = [reply for reply in answers.values() if reply.outcome == "answered"]
        ledger = server.ledger()
    assert len(answers) == 40
    assert len(answered) > 30
    assert spent.in_doubt == len(ledger["billed"]) - len(answered) > 0
    assert spent.usd >= ledger["usd"]


# ---- kills ----------------------------------------------------------------------------


def collect(server, path, prompts=PROMPTS, **options):
    """In a process of its own."""
    with desk(server, path, **options) as d:
        d.ask([line(p, server.url) for p in prompts])


def begin(*args, **options):
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=collect, args=args, kwargs=options)
    process.start()
    return process


def killed_at(point, monkeypatch):
    """Make a process end, as by SIGKILL, when it comes to `point`."""
    where, name = point.split(" ")
    real = getattr(jobs.Counter, name)

    def die(self, *args):
        if where == "after":
            real(self, *args)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(jobs.Counter, name, die)


@pytest.mark.parametrize(
    "point", ["before upload", "after upload", "before create", "after create", "after look"]
)
def test_a_kill_costs_nothing_and_submits_nothing_twice(tmp_path, monkeypatch, point):
    with start() as server:
        with monkeypatch.context() as patched:
            killed_at(point, patched)
            process = begin(server, tmp_path / "j")
            process.join()
        assert process.exitcode == -signal.SIGKILL
        with desk(server, tmp_path / "j") as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
            assert d.journal.spent("c").in_doubt == 0
        assert texts(server, answers, PROMPTS) == RIGHT
        assert len(server.ledger()["batches"]) == 1
        assert paid_once(server, PROMPTS)


def test_kills_at_any_time_and_two_at_once_pay_once(tmp_path):
    draw = random.Random(3)
    with start(batch_running=0.5, batch_validating=0.1, batch_finalizing=0.1) as server:
        for _ in range(8):
            two = [begin(server, tmp_path / "j", max_requests=9) for _ in range(2)]
            time.sleep(draw.uniform(0.05, 0.5))
            for process in two:
                process.kill()
                process.join()
        two = [begin(server, tmp_path / "j", max_requests=9) for _ in range(2)]
        for process in two:
            process.join()
            assert process.exitcode == 0
        assert paid_once(server, PROMPTS)
        with desk(server, tmp_path / "j") as d:
            answers = d.ask([line(p, server.url) for p in PROMPTS])
            assert d.journal.spent("c").usd == pytest.approx(server.ledger()["usd"])
        assert texts(server, answers, PROMPTS) == RIGHT


def test_a_batch_with_nothing_wanted_is_not_waited_for_and_is_kept_when_it_is_ready(tmp_path):
    with start(batch_running=1.5) as server:
        process = begin(server, tmp_path / "j", PROMPTS[:20])
        while not server.ledger()["batches"]:
            time.sleep(0.02)
        time.sleep(0.3)
        process.kill()
        process.join()
        server.change(batch_running=30.0)
        with desk(server, tmp_path / "j") as d:
            threading.Timer(0.5, lambda: d.client.batches.cancel("batch_000001")).start()
            d.ask([line(p, server.url) for p in PROMPTS[20:]])
            assert server.ledger()["batches"][0]["status"] == "in_progress"
            server.change(batch_running=0.1)
            server.ledger()
            d.ask([line(PROMPTS[20], server.url)])
            kept = d.journal.answers([line(p, server.url).intent.keys[0] for p in PROMPTS[:20]])
            assert texts(server, kept, PROMPTS) == {p: RIGHT[p] for p in PROMPTS[:20]}


# ---- budget, key, files ----------------------------------------------------------------


def test_a_batch_holds_no_more_than_the_budget_allows(tmp_path):
    with start() as server:
        lines = [line(p, server.url, limit=100) for p in PROMPTS]
        worst = lines[0].intent.worst.usd / 2
        with desk(server, tmp_path / "j", budget=Budget(usd=4.5 * worst)) as d:
            answers = d.ask(lines)
            spent = d.journal.spent("c").usd
        ledger = server.ledger()
        assert ledger["batches"][0]["request_counts"]["total"] == 4
        assert spent == pytest.approx(ledger["usd"])
        assert spent <= 4.5 * worst
        assert 4 < len(answers) < 40  # answers cost less than their worst: more fitted later
        with desk(server, tmp_path / "j", budget=Budget(usd=100.0)) as d:
            assert texts(server, d.ask(lines), PROMPTS) == RIGHT
        assert paid_once(server, PROMPTS)


def test_a_rejected_key_is_a_users_error_without_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-to-be-seen-nowhere")
    with start(key="sk-the-right-one-0123456789") as server, desk(server, tmp_path / "j") as d:
        with pytest.raises(InputError, match="rejects the key") as caught:
            d.ask([line("x", server.url)])
        assert "seen-nowhere" not in str(caught.value)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"seen-nowhere" not in file.read_bytes()


# ---- as a model ------------------------------------------------------------------------


def test_it_answers_as_the_live_client_does_and_shares_its_journal(tmp_path):
    asks = [Ask.of(p, sample) for p in PROMPTS[:5] for sample in (0, 1)]
    options = {"max_new_tokens": 50, "temperature": 0.0, "seed": 7}
    with start() as server, Journal(tmp_path / "j") as journal:
        endpoint = Endpoint("m", server.url)
        batched = BatchModel(endpoint, journal=journal, collection="c", logprobs=True)
        batched.poll = 0.05
        replies = batched.ask(asks, **options)
        assert [r.text for r in replies] == [
            answer_to(a.messages[0].content, a.sample) for a in asks
        ]
        ledger = server.ledger()
        assert len(ledger["billed"]) == 5  # two samples a request
        report = batched.report()
        assert (report.requests, report.answers) == (5, 10)
        assert report.completion_tokens == sum(b["completion_tokens"] for b in ledger["billed"])
        live = ApiModel(endpoint, journal=journal, collection="c", logprobs=True)
        assert live.ask(asks, **options) == replies
        assert server.ledger()["requests"] == 0
        one = live.ask([Ask.of("new")], **options)
        seen = []
        again = batched.ask([Ask.of("new"), *asks], **options, progress=lambda *at: seen.append(at))
        assert again == [*one, *replies]
        other = batched.ask([Ask.of("newer")], **options)
        with Journal(tmp_path / "another") as apart:
            fresh = ApiModel(endpoint, journal=apart, logprobs=True)
            assert fresh.ask([Ask.of("newer")], **options) == other


def test_the_budget_ends_a_batch_in_words_and_raised_it_goes_on(tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: {m: {in: 1.0, out: 4.0}}")
    asks = [Ask.of(p) for p in PROMPTS]
    with start() as server, Journal(tmp_path / "j") as journal:

        def model(usd):
            made = BatchModel(
                Endpoint("m", server.url), journal=journal, budget=Budget(usd=usd), prices=prices
            )
            made.poll = 0.05
            return made

        small = model(0.001)
        replies = small.ask(asks, max_new_tokens=100)
        left = replies.count(None)
        assert 0 < left < 40
        assert f"{left} are left" in small.stopped
        assert small.report().usd == pytest.approx(server.ledger()["usd"])
        assert server.ledger()["usd"] <= 0.001
        raised = model(1.0)
        assert [r.text for r in raised.ask(asks, max_new_tokens=100)] == list(RIGHT.values())
        assert raised.stopped == ""
        assert paid_once(server, PROMPTS)


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 7), st.integers(400, 900))
def test_files_hold_all_lines_in_order_within_their_limits(sizes, most, size):
    lines = [line("x" * n, "http://localhost/v1") for n in sizes]
    parts = list(desks._parts(lines, most, size))
    assert [x for part in parts for x in part] == lines
    for part in parts:
        length = sum(len(desks._line(x)) for x in part)
        assert 0 < len(part) <= most
        assert length <= size or len(part) == 1
    for part, after in itertools.pairwise(parts):
        length = sum(len(desks._line(x)) for x in [*part, after[0]])
        assert len(part) == most or length > size
