from types import SimpleNamespace

import pytest
from tellers import Teller

from veneer.errors import StepFailed
from veneer.models.asking import Reply
from veneer.records import Answer, Prompt, read_rows, write_rows
from veneer.teacher.collect import collect, collect_from, collected
from veneer.teacher.pool import unique_prompts

PROMPTS = [Prompt(text=f"who {w}", category=f"c{i}") for i, w in enumerate(["ran", "sat", "flew"])]


def run(tmp_path, model, name="out", prompts=PROMPTS, **params):
    write_rows(tmp_path / "prompts.jsonl", prompts)
    out = tmp_path / name
    out.mkdir()
    told = []
    params = {
        "name": "t",
        "samples": 1,
        "temperature": 1.0,
        "seed": 5,
        "max_new_tokens": 8,
    } | params
    collect(
        SimpleNamespace(
            out=out,
            params=params,
            inputs={"model": model, "prompts": tmp_path / "prompts.jsonl"},
            progress=lambda done, total, note="": told.append((done, total)),
        )
    )
    assert told[-1][0] == told[-1][1]
    return list(read_rows(out / "answers.jsonl", Answer))


def test_every_prompt_is_asked_once_a_sample(tmp_path, chatty):
    answers = run(tmp_path, chatty, prompts=[*PROMPTS, PROMPTS[0]], samples=2)
    assert [(a.prompt, a.sample) for a in answers] == [
        (p.text, sample) for sample in (0, 1) for p in PROMPTS
    ]
    assert [a.category for a in answers[:3]] == ["c0", "c1", "c2"]
    assert {a.model for a in answers} == {"t"}
    assert [a.text for a in answers[:3]] != [a.text for a in answers[3:]]
    first = run(tmp_path, chatty, name="again", samples=1)
    assert first == answers[:3]


def test_answers_that_reach_the_limit_are_truncated(tmp_path, chatty):
    answers = run(tmp_path, chatty, samples=20, max_new_tokens=3)
    outcomes = {a.outcome for a in answers}
    assert outcomes == {"answered", "truncated", "empty"}
    for answer in answers:
        assert (answer.outcome == "answered") == (answer.reason == "")
        if answer.outcome == "empty":
            assert answer.text == ""


def test_shards_split_the_pool(tmp_path, chatty):
    parts = [run(tmp_path, chatty, name=f"shard{i}", shard=[i, 2], temperature=0.0) for i in (0, 1)]
    assert [[a.prompt for a in part] for part in parts] == [["who ran", "who flew"], ["who sat"]]
    whole = run(tmp_path, chatty, temperature=0.0)
    assert sorted(a.text for part in parts for a in part) == sorted(a.text for a in whole)


def test_unique_prompts_keep_the_first():
    twin = Prompt(text="who ran", category="other")
    assert unique_prompts([*PROMPTS, twin]) == PROMPTS


def test_every_reply_is_a_row_that_says_where_its_prompt_came_from():
    prompts = [Prompt(text=f"q{i}", category="c", source=f"s{i}", licence="MIT") for i in range(3)]
    said = [
        Reply("yes", logprob=-0.5),
        Reply("", "failed", "HTTP 500"),
        Reply("no", "refused", "it says so"),
    ]
    model = Teller(lambda text, number, seed: said[number % 3])
    rows = collected(model, prompts, samples=2, temperature=0.5, max_new_tokens=9)
    assert [(r.prompt, r.sample, r.source, r.licence, r.model) for r in rows] == [
        (f"q{i}", sample, f"s{i}", "MIT", "teller") for sample in (0, 1) for i in range(3)
    ]
    assert [(r.text, r.outcome, r.reason, r.logprob) for r in rows[3:]] == [
        ("yes", "answered", "", -0.5),
        ("", "failed", "HTTP 500", None),
        ("no", "refused", "it says so", None),
    ]


def test_a_step_whose_budget_ended_fails_and_says_how_far_it_came(tmp_path):
    write_rows(tmp_path / "prompts.jsonl", PROMPTS)
    model = Teller(lambda text, number, seed: "x", budget=4)
    job = SimpleNamespace(
        out=tmp_path,
        inputs={"prompts": tmp_path / "prompts.jsonl"},
        params={"name": "t", "samples": 2, "temperature": 1.0, "seed": 0, "max_new_tokens": 5},
        progress=lambda *told: None,
    )
    with pytest.raises(StepFailed, match="4 of 6 answers were collected: the budget of 4"):
        collect_from(job, model)
    model.budget = 6
    collect_from(job, model)
    assert len(list(read_rows(tmp_path / "answers.jsonl", Answer))) == 6
    assert len(model.paid) == 6
