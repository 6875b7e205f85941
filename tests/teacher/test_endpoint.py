"""Collecting and synthesising through an endpoint, against a server that keeps its own ledger."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from veneer.models.api.budget import Budget
from veneer.models.api.client import ApiModel
from veneer.models.api.endpoint import Endpoint
from veneer.models.opening import account_of
from veneer.records import Answer, read_rows
from veneer.teacher.collection import collect_files
from veneer.teacher.synthesis import synthesize_files

sys.path.insert(0, str(Path(__file__).parent.parent))
from api_server import start

KEY = "sk-0123456789abcdefghij"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("VENEER_JOURNAL", str(tmp_path / "journal.sqlite"))
    with start(key=KEY, models="m") as running:
        yield running


@contextmanager
def teacher(server, out, tokens=None):
    out.mkdir(exist_ok=True)
    with ApiModel(
        Endpoint("m", server.url, "OPENAI_API_KEY"),
        collection=account_of(out),
        budget=Budget(None, tokens) if tokens else None,
        concurrency=4,
    ) as model:
        yield model


def test_a_collection_through_an_endpoint_pays_for_each_answer_once(tmp_path, server):
    path, out = tmp_path / "p.jsonl", tmp_path / "out"
    texts = [f"question {n} {mark}".strip() for n in range(30) for mark in ("", "[refuse]")]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    with teacher(server, out, tokens=1_000) as model:
        told = collect_files(path, model, out, samples=2, max_new_tokens=50)
    some = list(read_rows(out / "answers.jsonl", Answer))
    assert told["complete"] is False
    assert 0 < len(some) == 120 - told["not_asked"]
    assert "Stopped: " in told["text"]
    assert "--budget" in told["text"]
    with teacher(server, out) as model:
        told = collect_files(path, model, out, samples=2, max_new_tokens=50)
    rows = list(read_rows(out / "answers.jsonl", Answer))
    assert told["complete"] is True
    assert [(r.prompt, r.sample) for r in rows] == [(t, s) for t in texts for s in (0, 1)]
    assert {(r.prompt, r.sample): r for r in some}.items() <= {
        (r.prompt, r.sample): r for r in rows
    }.items()
    assert {r.outcome for r in rows if "[refuse]" in r.prompt} == {"refused"}
    assert told["spending"]["this_run"]["from_journal"] == len(some)
    bill = server.ledger()
    with teacher(server, tmp_path / "another") as model:
        again = collect_files(path, model, tmp_path / "another", samples=2, max_new_tokens=50)
    assert again["spending"]["this_run"]["answers"] == 0
    assert server.ledger() == bill
    assert (tmp_path / "another" / "answers.jsonl").read_bytes() == (
        out / "answers.jsonl"
    ).read_bytes()
    for file in out.iterdir():
        assert KEY not in file.read_text()


def test_synthesis_through_an_endpoint_is_served_from_the_journal(tmp_path, server):
    out = tmp_path / "out"
    with teacher(server, out) as model:
        first = synthesize_files(None, model, out, count=5, requests=20, max_new_tokens=60)
    bill = server.ledger()
    with teacher(server, out) as model:
        second = synthesize_files(None, model, out, count=5, requests=20, max_new_tokens=60)
    assert server.ledger() == bill
    assert second["spending"]["this_run"]["from_journal"] == 20
    same = ("requests", "raw", "kept", "dropped", "ended_by")
    assert {k: first[k] for k in same} == {k: second[k] for k in same}
    assert first["raw"] == first["kept"] + sum(first["dropped"].values()) > 0
