"""Judging through a real endpoint whose judge has known habits."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from judge_server import Taste, judging
from pydantic import ValidationError

from veneer.errors import InputError, StepFailed
from veneer.measure.judging import (
    JudgeSettings,
    Pair,
    Side,
    judge_pairs,
    last_attempts,
    pairs_of,
    tone_sheet,
)
from veneer.measure.judging.asking import IDENTICAL
from veneer.measure.judging.verdicts import CUT_OFF, FAILED, FILTERED, REFUSED, UNREADABLE
from veneer.measure.preference import preference_report
from veneer.models.api.budget import Budget
from veneer.models.api.client import ApiModel
from veneer.models.api.endpoint import Endpoint
from veneer.records import Answer, Subject

STUDENT = Subject(model="student", role="student", base="b")
BOTH = JudgeSettings(model="openai:judge")
GIVEN = JudgeSettings(model="openai:judge", orders="given")


def pairs(count, better):
    """Pairs in which the student's answer is the good one for the first `better` of `count`."""
    words = [("vague", "sound") if i < better else ("sound", "vague") for i in range(count)]
    return [
        Pair(f"question {i}", Side("teacher", f"{a} {i}"), Side("student", f"{b} {i}"))
        for i, (a, b) in enumerate(words)
    ]


def model(url, **options):
    return ApiModel(Endpoint("judge", url), **options)


def report_of(rows):
    return preference_report(rows, STUDENT, "teacher")


def holds(estimate, value):
    return estimate.low <= value <= estimate.high


def test_both_orders_find_the_true_preference_and_one_order_does_not():
    true = 0.44
    wanted = pairs(200, better=88)
    with judging(Taste(first=0.3)) as (judge, url), model(url) as api:
        both = report_of(judge_pairs(api, wanted, BOTH))
        # The same pairs in the order given are verdicts that are paid for already.
        paid = len(judge.billed)
        one = report_of(judge_pairs(api, wanted, GIVEN))
        drawn = report_of(judge_pairs(api, wanted, BOTH.model_copy(update={"orders": "drawn"})))
    assert paid == len(judge.billed) == 400
    assert holds(both.win_rate, true)
    assert holds(drawn.win_rate, true)
    assert not holds(one.win_rate, true)
    assert one.win_rate.high < true  # the student was always shown second
    assert both.orders == "both"
    assert holds(both.first_position, 0.5 + 0.3 / 2)
    assert holds(both.orders_agree, 1 - 0.3)
    assert "the first answer shown" in " ".join(both.biases)
    assert one.orders == drawn.orders == "one"


def test_length_and_position_together_are_named_and_taken_out():
    """Longer answers of the student's win more than they should; at equal lengths they do not."""
    wanted, chances = [], []
    for i in range(200):
        better = 1 if i % 5 < 2 else -1  # the student's answers are the worse ones
        longer = (17 * i) % 240 - 40  # and the longer ones, most of them
        words = ("vague", "sound")[::better]
        texts = [f"{w} {i} ".ljust(100 + n, ".") for w, n in zip(words, (0, longer), strict=True)]
        sides = [Side(name, text) for name, text in zip(("teacher", "student"), texts, strict=True)]
        wanted.append(Pair(f"question {i}", *sides))
        chances.append(1 / (1 + math.exp(-1.2 * better)))
    true = sum(chances) / len(chances)
    with judging(Taste(first=0.2, length=2.0, quality=1.2)) as (_, url), model(url) as api:
        report = report_of(judge_pairs(api, wanted, BOTH))
    assert report.win_rate.low > true + 0.02
    assert holds(report.length_controlled, true)
    assert report.length_effect.low > 0
    assert report.first_position.low > 0.5
    told = " ".join(report.biases)
    assert "longer" in told
    assert "the first answer shown" in told


def test_a_judge_without_habits_is_accused_of_none():
    with judging() as (_, url), model(url) as api:
        report = report_of(judge_pairs(api, pairs(32, better=24), BOTH))
    assert (report.wins, report.losses, report.ties) == (24, 8, 0)
    assert report.win_rate.value == 0.75
    assert report.orders_agree.value == 1.0
    assert report.biases == ()


def test_what_says_nothing_is_kept_retried_and_never_guessed():
    wanted = pairs(40, better=20)
    with judging(Taste(prose=0.5, refuses=0.2)) as (judge, url), model(url) as api:
        rows = judge_pairs(api, wanted, BOTH)
        requests = len(judge.billed)
        report = report_of(rows)
        assert judge_pairs(api, wanted, BOTH) == rows
        assert len(judge.billed) == requests
        more = judge_pairs(api, wanted, BOTH.model_copy(update={"retries": 6}))
    assert len(rows) == requests  # every paid answer is a row
    tried = Counter((row.prompt, row.first) for row in rows)
    assert len(tried) == 80
    assert set(tried.values()) == {1, 2, 3}
    unread = [row for row in rows if row.second_wins is None]
    assert {row.reason for row in unread} == {UNREADABLE, REFUSED}
    assert all(row.text for row in rows)
    for row in rows:
        assert row.attempt < tried[row.prompt, row.first]
        last = row.attempt == tried[row.prompt, row.first] - 1
        assert last or row.second_wins is None
    counted = last_attempts(rows)
    lost = {row.prompt for row in counted if row.second_wins is None}
    assert 0 < len(lost) == report.win_rate.unscored == 40 - report.win_rate.n
    assert report_of(counted) == report
    assert sum(report.reasons.values()) == len(lost)
    # More retries go on from the attempts there were.
    assert set(rows) <= set(more)
    assert sum(row.second_wins is None for row in last_attempts(more)) < len(lost)


@pytest.mark.parametrize(
    ("template", "temperature", "tokens"),
    [("pair-v2", 0.0, 2048), ("vicuna", 0.2, 1024), ("alpaca-eval", 0.0, 100)],
)
def test_each_template_is_asked_as_it_was_published(template, temperature, tokens):
    settings = BOTH.model_copy(update={"template": template})
    own = settings.model_copy(update={"temperature": 1.0, "max_new_tokens": 300})
    with judging() as (judge, url), model(url) as api:
        rows = judge_pairs(api, pairs(4, better=1), settings)
        judge_pairs(api, pairs(1, better=1), own)
    assert [row.second_wins for row in rows] == [1, 0, 0, 0, 0, 1, 1, 1]
    assert {row.template for row in rows} == {template}
    if template == "vicuna":
        assert {row.scores for row in rows} == {(9.0, 6.5), (3.0, 8.0)}
    sent = {(body["temperature"], body["max_tokens"]) for body in judge.bodies[:8]}
    assert sent == {(temperature, tokens)}
    sent = {(body["temperature"], body["max_tokens"]) for body in judge.bodies[8:]}
    assert sent == {(1.0, 300)}
    roles = [[message["role"] for message in body["messages"]] for body in judge.bodies]
    assert roles == [["system", "user"]] * 10


def test_every_way_to_say_nothing_is_a_counted_reason():
    """The marks make the test server end its answers so; see `api_answers`."""
    sides = Side("teacher", "vague"), Side("student", "sound")
    ends = {"[stop]": FILTERED, "[filter]": FILTERED, "[refuse]": REFUSED, "[long]": FAILED}
    wanted = [Pair(f"{mark} question", *sides) for mark in [*ends, "plain"]]
    with judging() as (_, url), model(url) as api:
        rows = judge_pairs(api, wanted, GIVEN)
        short = judge_pairs(api, wanted[-1:], GIVEN.model_copy(update={"max_new_tokens": 3}))
    tried = Counter((row.prompt, row.reason) for row in rows)
    # What the endpoint cannot take is sent once more, and no more than that.
    assert tried == {
        **{(f"{mark} question", why): 2 if why == FAILED else 3 for mark, why in ends.items()},
        ("plain question", ""): 1,
    }
    assert any("maximum context length" in row.text for row in rows if row.reason == FAILED)
    assert [row.reason for row in short] == [CUT_OFF] * 3
    report = report_of(rows)
    assert report.reasons == {FILTERED: 2, REFUSED: 1, FAILED: 1}
    assert (report.win_rate.n, report.win_rate.unscored) == (1, 4)


def test_only_answers_that_differ_are_shown_and_never_a_name():
    student, teacher = Side("student-name", "sound!!!!"), Side("teacher-name", "vague")
    wanted = [
        Pair("differ", teacher, student, "c"),
        Pair("same", replace(teacher, text=student.text), student),
        Pair("empty", teacher, Side("student-name", "")),
        Pair("failed", Side.of("teacher-name", answer("failed", "", "filtered")), student),
    ]
    with judging() as (judge, url), model(url) as api:
        rows = judge_pairs(api, wanted, BOTH)
    assert not any("-name" in text for text in judge.shown)
    assert Counter(len(text.split("differ")) - 1 for text in judge.shown) == {1: 2, 0: 2}
    assert len(judge.shown) == 4
    by_prompt = {prompt: [r for r in rows if r.prompt == prompt] for prompt in wanted_of(wanted)}
    assert [r.second_wins for r in by_prompt["differ"]] == [1.0, 0.0]
    assert [r.lengths for r in by_prompt["differ"]] == [(5, 9), (9, 5)]
    assert {r.category for r in by_prompt["differ"]} == {"c"}
    assert [(r.second_wins, r.text) for r in by_prompt["same"]] == [(0.5, IDENTICAL)] * 2
    assert all(r.second_wins is not None for r in by_prompt["empty"])
    assert {(r.second_wins, r.reason) for r in by_prompt["failed"]} == {
        (None, "teacher-name's answer failed: by the provider")
    }


def wanted_of(given):
    return [pair.prompt for pair in given]


def answer(prompt, text, outcome="answered", sample=0, **more):
    reason = "" if outcome == "answered" else "by the provider"
    return Answer(
        prompt=prompt, text=text, model="m", outcome=outcome, reason=reason, sample=sample, **more
    )


def test_answers_are_joined_by_prompt_and_none_is_lost():
    mine = [
        answer("a", "2", sample=1),
        answer("a", "1", category="x"),
        answer("b", "cut", "truncated"),
    ]
    theirs = [answer("c", "t"), answer("a", "t")]
    found = pairs_of(mine, theirs, "s", "t")
    assert [(p.prompt, p.first.text, p.second.text, p.category) for p in found] == [
        ("a", "t", "1", "x"),
        ("b", "", "cut", ""),
        ("c", "t", "", ""),
    ]
    assert [bool(p.failed) for p in found] == [False, True, True]
    with pytest.raises(InputError, match="no prompt in common"):
        pairs_of(mine, [answer("z", "t")], "s", "t")
    with pytest.raises(InputError, match="called 's'"):
        pairs_of(mine, theirs, "s", "s")
    with pytest.raises(InputError, match="twice"):
        judge_pairs(None, [found[0], found[0]], BOTH)


def test_a_drawn_order_hangs_on_the_prompt_and_the_seed_alone():
    wanted = [Pair(f"q{i}", Side("t", "x"), Side("s", "x")) for i in range(200)]

    def firsts(given, **more):  # equal answers are asked of nobody
        rows = judge_pairs(None, given, GIVEN.model_copy(update={"orders": "drawn", **more}))
        return {row.prompt: row.first for row in rows}

    drawn = firsts(wanted)
    assert 70 < Counter(drawn.values())["t"] < 130
    assert firsts(wanted[::-3]).items() <= drawn.items()
    assert firsts(wanted, seed=1) != drawn


def test_a_budget_that_ends_is_told_and_raised_nothing_is_asked_again():
    wanted = pairs(30, better=15)
    with judging() as (judge, url):
        with model(url, budget=Budget(tokens=12_000), concurrency=4) as api:
            told = r"of 60 answers were collected: .*budget ends"
            with pytest.raises(StepFailed, match=told) as failed:
                judge_pairs(api, wanted, BOTH)
            assert "raise the budget" in failed.value.hint
        before = len(judge.billed)
        assert 0 < before < 60
        with model(url) as api:
            rows = judge_pairs(api, wanted, BOTH)
    assert len(judge.billed) == 60
    assert len({line["idempotency_key"] for line in judge.billed}) == 60
    assert sum(row.second_wins is not None for row in rows) == 60


def test_the_tone_is_a_share_of_the_models_own_answers():
    said = [
        answer(f"q{i}", f"{'sound' if i % 4 else 'vague'} {i}", category="c") for i in range(40)
    ]
    said += [
        answer("lost", "", "failed"),
        answer("empty", "", "empty"),
        answer("cut", "sound", "truncated"),
    ]
    said += [answer("q1", "vague", sample=1)]
    with judging(Taste(prose=0.2)) as (judge, url), model(url) as api:
        sheet = tone_sheet(api, said, STUDENT, BOTH)
        stubborn = tone_sheet(api, said, STUDENT, BOTH.model_copy(update={"retries": 0}))
    assert (sheet.measure, sheet.metric, sheet.kind) == ("style", "authoritative_tone", "mean")
    assert sheet.items == tuple(dict.fromkeys(one.prompt_id for one in said))
    values = dict(zip(sheet.items, sheet.values, strict=True))
    reasons = dict(zip(sheet.items, sheet.reasons, strict=True))
    for one in said[:40]:
        value = values[one.prompt_id]
        assert value == (None if reasons[one.prompt_id] else float("sound" in one.text))
    assert values[said[40].prompt_id] is None
    assert values[said[41].prompt_id] == 0.0
    assert sheet.categories[0] == "c"
    assert sum(v is None for v in stubborn.values) > sum(v is None for v in sheet.values)
    assert UNREADABLE in stubborn.reasons
    assert not any("q1" in text for text in judge.shown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "gpt-4"},
        {"model": "hf:x", "base_url": "http://h/v1"},
        {"model": "openai:x", "template": "pair-v3"},
        {"model": "openai:x", "orders": "one"},
        {"model": "openai:x", "retries": -1},
        {"model": "openai:x", "key": "sk-123"},
        {"model": "openai:x", "judge": 1},
    ],
)
def test_settings_know_what_they_allow(wrong):
    with pytest.raises((ValidationError, InputError)):
        JudgeSettings(**wrong)


def test_the_way_to_the_endpoint_decides_no_verdict():
    there = JudgeSettings(model="openai:x", base_url="http://h/v1", key="K", retries=1)
    assert there.deciding() == JudgeSettings(model="openai:x", retries=1).deciding()
    assert JudgeSettings(**there.deciding()).retries == 1
