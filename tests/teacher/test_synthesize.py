import json
import random
from types import SimpleNamespace

import pytest
from tellers import Teller

from veneer.errors import InputError
from veneer.models.asking import Reply
from veneer.models.local import LocalModel
from veneer.records import Dialogue, Dropped, Message, read_rows
from veneer.teacher.parsing import parse
from veneer.teacher.synthesis import synthesize_files
from veneer.teacher.synthesize import ROUND, generate_pairs, synthesize, synthesize_from
from veneer.teacher.tasks import load_task

NQ = load_task("nq")
SEEDS = NQ.pairs


def writer(variety, **more):
    """Writes three pairs a reply out of `variety` possible ones."""

    def say(text, number, seed):
        rng = random.Random(f"{text} {number} {seed}")
        return "\n".join(
            f"Q: question {n}\nA: answer {n}" for n in (rng.randrange(variety) for _ in range(3))
        )

    return Teller(say, **more)


def draw(model, count, requests, **more):
    return generate_pairs(model, SEEDS, task=NQ, count=count, requests=requests, **more)


def test_it_stops_at_the_count():
    model = writer(variety=10_000)
    drawn = draw(model, count=100, requests=1000)
    assert len(drawn.kept) == len(set(drawn.kept)) == 100
    counts = drawn.counts()
    assert counts["ended_by"] == "count"
    assert counts["requests"] == len(model.asked) == ROUND
    assert counts["outcomes"] == {"answered": ROUND}
    assert counts["raw"] == 3 * ROUND == counts["kept"] + sum(counts["dropped"].values())
    prompts = [text for text, *_ in model.asked]
    assert len(set(prompts)) > ROUND // 2
    assert {temperature for _, _, temperature, *_ in model.asked} == {1.0}
    for prompt in prompts:
        shown = parse(NQ, prompt.split("For example,\n")[1])[0]
        assert len(set(shown)) == 5
        assert set(shown) <= set(SEEDS)


def test_it_stops_at_the_cap_when_the_teacher_runs_out():
    drawn = draw(writer(variety=20), count=100, requests=100)
    assert sorted(drawn.kept) == sorted((f"question {n}", f"answer {n}") for n in range(20))
    assert drawn.counts() == {
        "requests": 100,
        "outcomes": {"answered": 100},
        "raw": 300,
        "kept": 20,
        "dropped": {"duplicate pair": 280},
        "ended_by": "requests",
    }


def test_the_same_seed_writes_the_same_pairs():
    same = [draw(writer(500), count=50, requests=99, seed=s) for s in (1, 1, 2)]
    assert same[0] == same[1]
    assert same[0].kept != same[2].kept


def test_the_requests_do_not_depend_on_what_was_answered():
    few, many = writer(variety=3), writer(variety=9000)
    draw(few, count=10_000, requests=150)
    draw(many, count=10_000, requests=150)
    assert few.asked == many.asked
    more = writer(variety=3)
    draw(more, count=10_000, requests=170)
    assert more.asked[:150] == few.asked


def test_a_request_that_occurs_again_is_another_sample():
    model = writer(variety=9000)
    three = [("a", "1"), ("b", "2")]
    task = NQ.model_copy(update={"shots": 2})
    generate_pairs(model, three, task=task, count=10**6, requests=20)
    samples = {}
    for text, sample, *_ in model.asked:
        samples.setdefault(text, []).append(sample)
    assert len(samples) == 2
    assert all(found == list(range(len(found))) for found in samples.values())


def test_a_budget_that_ends_is_said_and_a_larger_one_pays_for_the_rest_only():
    model = writer(variety=9000, budget=70)
    drawn = draw(model, count=300, requests=200)
    assert (drawn.ended, drawn.requests, len(model.paid)) == ("budget", 70, 70)
    model.budget = None
    again = draw(model, count=300, requests=200)
    assert again == draw(writer(variety=9000), count=300, requests=200)
    assert len(model.paid) == again.requests


def test_replies_without_pairs_are_dropped_with_their_outcome():
    said = [
        Reply("I cannot do that.", "refused", "it says so"),
        Reply("", "failed", "HTTP 500"),
        Reply("Q: a\nA: b\nQ: c\nA: hal", "truncated", "cut off after 9 tokens"),
        Reply("Q: WHO owns the rights to baby shark  song\nA: smartstudy"),
    ]
    drawn = draw(Teller(lambda text, n, seed: said[n]), count=9, requests=4)
    assert drawn.kept == [("a", "b")]
    assert [(d.reason, d.text, d.origin) for d in drawn.dropped] == [
        ("reply refused", "I cannot do that.", "request-0"),
        ("reply failed", "HTTP 500", "request-1"),
        ("cut off at the token limit", "Q: c\nA: hal", "request-2"),
        (
            "repeats a seed",
            "Q: WHO owns the rights to baby shark  song\nA: smartstudy",
            "request-3",
        ),
    ]
    assert drawn.counts()["outcomes"] == {
        "answered": 1,
        "failed": 1,
        "refused": 1,
        "truncated": 1,
    }


def job(tmp_path, name, inputs, **params):
    out = tmp_path / name
    out.mkdir()
    told = []
    return SimpleNamespace(
        out=out,
        params={"count": 25, "requests": 200, "seed": 0, "max_new_tokens": 64} | params,
        inputs=inputs,
        told=told,
        progress=lambda done, total, note="": told.append((done, total)),
    )


def test_the_step_writes_rows_that_add_up(tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in SEEDS[:6]))
    work = job(tmp_path, "out", {"seeds": seeds})
    synthesize_from(work, writer(variety=30))
    rows = list(read_rows(work.out / "pairs.jsonl", Dialogue))
    assert len(rows) == 25
    first = rows[0]
    assert (first.source, first.category, first.teacher) == ("synthesized", "nq", "teacher")
    assert [m.role for m in first.messages] == ["user", "assistant"]
    dropped = list(read_rows(work.out / "dropped.jsonl", Dropped))
    counts = json.loads((work.out / "counts.json").read_text())
    assert counts["raw"] == 25 + len(dropped)
    assert work.told[-1] == (25, 25)


def test_the_step_asks_a_real_model(tmp_path, chatty):
    work = job(tmp_path, "real", {"model": chatty}, requests=3, max_new_tokens=8)
    synthesize(work)
    counts = json.loads((work.out / "counts.json").read_text())
    assert counts["requests"] == 3
    assert counts["raw"] == counts["kept"] + sum(counts["dropped"].values()) > 0


def test_a_folder_of_cypher_pairs(tmp_path):
    def say(text, number, seed):
        return (
            f"Sure.\n\nQuestion: how many of kind {number}?\nCypher:\n```cypher\n"
            f"MATCH (n:Kind{number})\nRETURN count(n)\n```"
        )

    model = Teller(say, name="openai:gpt")
    out = tmp_path / "out"
    told = synthesize_files(None, model, out, count=20, template="cypher", requests=12)
    rows = list(read_rows(out / "pairs.jsonl", Dialogue))
    assert rows[3].messages[1] == Message(
        role="assistant", content="MATCH (n:Kind3)\nRETURN count(n)"
    )
    assert rows[3].query.endswith("Write a Cypher query: how many of kind 3?")
    assert (rows[3].teacher, rows[3].category) == ("openai:gpt", "cypher")
    fields = [json.loads(line) for line in (out / "fields.jsonl").open()]
    assert fields[3] == {
        "question": "how many of kind 3?",
        "cypher": "MATCH (n:Kind3)\nRETURN count(n)",
    }
    assert told["dropped"] == {"neither a question nor an answer": 12}
    assert (told["kept"], told["requests"], told["ended_by"]) == (12, 12, "requests")
    assert told["complete"] is False
    assert "The cap on requests ended it" in told["text"]
    # What was written can be the seeds of the next round.
    more = synthesize_files(
        out / "fields.jsonl", model, tmp_path / "o2", count=3, template="cypher"
    )
    assert more["complete"] is False
    assert more["dropped"]["repeats a seed"] == 3


def test_a_larger_count_goes_on_in_the_same_folder(tmp_path):
    model = writer(variety=9000, budget=30)
    out = tmp_path / "out"
    told = synthesize_files(None, model, out, count=150)
    assert told["ended_by"] == "budget"
    assert "the budget of 30 requests is used up" in told["text"]
    model.budget = None
    first = synthesize_files(None, model, out, count=150)
    assert first["complete"] is True
    kept = (out / "pairs.jsonl").read_text()
    paid = len(model.paid)
    second = synthesize_files(None, model, out, count=250, requests=150)
    assert second["complete"] is True
    assert (out / "pairs.jsonl").read_text().startswith(kept)
    assert len(model.paid) - paid == second["requests"] - paid
    with pytest.raises(InputError, match="max_new_tokens: 1024 there, 99 here"):
        synthesize_files(None, model, out, count=250, max_new_tokens=99)
    with pytest.raises(InputError, match="task: "):
        synthesize_files(None, model, out, count=250, template="cypher")
    with pytest.raises(InputError, match="asks for nothing"):
        synthesize_files(None, model, out, count=0)


def test_a_local_model_as_the_teacher_of_a_folder(tmp_path, chatty):
    told = synthesize_files(
        None, LocalModel.load(chatty), tmp_path / "out", count=2, requests=2, max_new_tokens=6
    )
    assert told["requests"] == 2
    assert told["raw"] == told["kept"] + sum(told["dropped"].values())
