import json

import pytest
from tellers import Teller

from veneer.errors import InputError
from veneer.models.asking import Reply
from veneer.models.local import LocalModel
from veneer.records import Answer, Dropped, read_rows
from veneer.teacher.collection import collect_files


def prompts(path, texts):
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return path


def answers(out):
    return list(read_rows(out / "answers.jsonl", Answer))


def about(out):
    return json.loads((out / "collection.json").read_text())


def shout(text, number, seed):
    return text.upper()


def test_a_collection_is_complete_whatever_became_of_its_prompts(tmp_path):
    path = prompts(tmp_path / "p.jsonl", ["b", "a", "c", "b"])
    with path.open("a") as more:
        more.write("not json\n")
    model = Teller(lambda text, n, s: Reply("", "failed", "HTTP 500") if text == "a" else text * 2)
    told = collect_files(path, model, tmp_path / "out", samples=2, max_new_tokens=7)
    rows = answers(tmp_path / "out")
    assert [(r.prompt, r.sample, r.outcome) for r in rows] == [
        (p, sample, "failed" if p == "a" else "answered") for p in "bac" for sample in (0, 1)
    ]
    # First samples are asked before any second one.
    assert [(text, sample) for text, sample, *_ in model.asked] == [
        (p, sample) for sample in (0, 1) for p in "bac"
    ]
    facts = about(tmp_path / "out")
    assert facts["outcomes"] == {"answered": 4, "failed": 2}
    assert facts["complete"] is True
    assert facts["spending"] == {"this_run": {"requests": 6}}
    assert facts["pool"]["repeats"] == 1
    assert {**facts, "out": told["out"], "text": told["text"]} == {
        **told,
        "schema_version": facts["schema_version"],
        "settings": facts["settings"],
    }
    (broken,) = read_rows(tmp_path / "out" / "dropped.jsonl", Dropped)
    assert broken.origin == "p.jsonl:5"
    assert "1 repeated prompt asked once" in told["text"]
    assert "1 row held no prompt (p.jsonl:5: not JSON" in told["text"]


def test_a_budget_that_ends_leaves_what_there_is_and_a_larger_one_goes_on(tmp_path):
    path = prompts(tmp_path / "p.jsonl", list("abcde"))
    model = Teller(shout, budget=7)
    out = tmp_path / "out"
    told = collect_files(path, model, out, samples=2)
    assert [(r.prompt, r.sample) for r in answers(out)] == [
        *(("a", 0), ("a", 1), ("b", 0), ("b", 1)),
        *(("c", 0), ("d", 0), ("e", 0)),
    ]
    assert told["complete"] is False
    assert told["not_asked"] == 3
    assert "Stopped: the budget of 7 requests is used up. 3 answers are still" in told["text"]
    assert "--budget-usd" in told["text"]
    model.budget = None
    told = collect_files(path, model, out, samples=2)
    assert told["complete"] is True
    assert len(model.paid) == len(answers(out)) == 10
    whole = tmp_path / "whole"
    collect_files(path, Teller(shout), whole, samples=2)
    assert (whole / "answers.jsonl").read_bytes() == (out / "answers.jsonl").read_bytes()


def test_added_prompts_are_the_only_ones_asked(tmp_path):
    model = Teller(shout)
    out = tmp_path / "out"
    collect_files(prompts(tmp_path / "p.jsonl", ["a", "b"]), model, out)
    collect_files(prompts(tmp_path / "p.jsonl", ["new", "a", "b"]), model, out)
    assert [r.prompt for r in answers(out)] == ["new", "a", "b"]
    assert len(model.paid) == 3


def test_another_collections_folder_is_refused_with_what_differs(tmp_path):
    path = prompts(tmp_path / "p.jsonl", ["a", "b"])
    out = tmp_path / "out"
    collect_files(path, Teller(shout), out, samples=2, temperature=0.7)
    before = (out / "answers.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"temperature: 0\.7 there, 0\.2 here"):
        collect_files(path, Teller(shout), out, samples=2, temperature=0.2)
    with pytest.raises(InputError, match='teacher: "teller" there, "other" here'):
        collect_files(path, Teller(shout, name="other"), out, samples=2)
    with pytest.raises(InputError, match="has 2 answers a prompt; 1 are asked for"):
        collect_files(path, Teller(shout), out, samples=1)
    other = prompts(tmp_path / "q.jsonl", ["a", "z"])
    with pytest.raises(InputError, match="answers to 1 prompt that the given files do not ask"):
        collect_files(other, Teller(shout), out, samples=2)
    assert (out / "answers.jsonl").read_bytes() == before
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "answers.jsonl").write_text("mine\n")
    with pytest.raises(InputError, match=r"no collection\.json"):
        collect_files(path, Teller(shout), strange)
    (strange / "collection.json").write_text("[]")
    with pytest.raises(InputError, match="was not written by this command"):
        collect_files(path, Teller(shout), strange)
    assert (strange / "answers.jsonl").read_text() == "mine\n"


def test_a_real_model_on_this_machine_is_a_teacher_too(tmp_path, chatty):
    path = prompts(tmp_path / "p.jsonl", ["who ran", "who sat", "who flew"])
    model = LocalModel.load(chatty)
    asked = ["who ran", "who sat", "who flew"]
    how = {"max_new_tokens": 6, "temperature": 0.7}
    # With a seed the k-th sample is asked with seed + k; without, all in one go.
    told = collect_files(path, model, tmp_path / "out", samples=3, max_new_tokens=6, seed=2)
    said = [one for k in range(3) for one in model.answer(asked, seed=2 + k, **how)]
    collect_files(path, model, tmp_path / "free", samples=3, max_new_tokens=6)
    free = model.answer(asked * 3, **how)
    for out, wanted in (("out", said), ("free", free)):
        rows = answers(tmp_path / out)
        for k, one in enumerate(wanted):
            row = rows[3 * (k % 3) + k // 3]
            assert (row.sample, row.text) == (k // 3, one.text.strip())
    assert told["complete"] is True
    assert told["answers"] == 9
    assert told["spending"] == {}
    json.dumps(told)
