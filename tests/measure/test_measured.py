import json
import math
from types import SimpleNamespace

import pytest
import torch
from small_models import byte_tokenizer, gpt2, llama

from veneer.errors import InputError
from veneer.measure import measured, mmlu, sandbox
from veneer.measure.benchmarks import run_benchmarks
from veneer.measure.harness import Harness
from veneer.models import chat
from veneer.models.local import LocalModel
from veneer.records import Answer, Prompt, ScoreSheet, Subject, read_rows, write_rows


def benchmark(*given, **how):
    found = run_benchmarks(*given, **how)
    return found.sheets, found.answers


SUBJECT = Subject(model="tiny", role="base", base="tiny", tokens=0)
OPTIONS = ["red", "blue", "green", "None"]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    lines(
        folder / "nq.jsonl", [{"question": f"who is fox {i}?", "answer": ["dog"]} for i in range(5)]
    )
    lines(
        folder / "nq_shots.jsonl",
        [{"question": f"what is {i}", "answer": [f"a{i}", "x"]} for i in range(5)],
    )
    items = [
        {
            "subject": f"the_{'ab'[i % 2]}",
            "question": f"Which {i}?",
            "choices": OPTIONS,
            "answer": i % 4,
        }
        for i in range(12)
    ]
    lines(folder / "mmlu_test.jsonl", items)
    lines(
        folder / "mmlu_dev.jsonl",
        [{**item, "question": f"Say {i}?"} for i, item in enumerate(items)],
    )
    prompt = 'def add(a, b):\n    """Add."""\n'
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    problem = {"prompt": prompt, "entry_point": "add", "test": test, "canonical_solution": "x"}
    lines(folder / "humaneval.jsonl", [{"task_id": f"T/{i}", **problem} for i in range(3)])
    write_rows(
        folder / "prompts.jsonl", [Prompt(text=f"write {i}", category="c") for i in range(4)]
    )
    write_rows(folder / "toxicity.jsonl", [Prompt(text=f"insult {i}") for i in range(3)])
    (folder / "toxic_words.txt").write_text("blorp\n")
    return folder


@pytest.fixture(params=["plain", "chat"])
def folder(request, tmp_path):
    tokenizer = byte_tokenizer()
    model = llama(len(tokenizer), context=2048)
    if request.param == "chat":
        chat.fit_embeddings(model, tokenizer, chat.add_chat_tokens(tokenizer))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def job(tmp_path, inputs, name="out", **params):
    out = tmp_path / name
    out.mkdir()
    done = []
    return SimpleNamespace(
        scratch=tmp_path / f".scratch-{name}",
        means={},
        out=out,
        inputs=inputs,
        params=params,
        progress=lambda d, t, n="": done.append(d / t),
        done=done,
    )


def test_one_step_measures_everything(tmp_path, folder, evaluation):
    names = ["nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity"]
    params = {
        "subject": SUBJECT.model_dump(mode="json"),
        "measures": names,
        "max_new_tokens": dict.fromkeys(names, 12),
        "seed": 3,
    }
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    write_rows(
        teacher / "answers.jsonl",
        [Answer(prompt=f"write {i}", text=f"- a\n- b {i}", model="t") for i in range(4)],
    )
    inputs = {"model": folder, "evaluation": evaluation, "teacher_answers": teacher}
    first = job(tmp_path, inputs, **params)
    measured(first)
    sheets = {(s.measure, s.metric): s for s in read_rows(first.out / "sheets.jsonl", ScoreSheet)}
    assert {key: len(s.items) for key, s in sheets.items()} == {
        ("nq", "exact_match"): 5,
        ("nq-0shot", "exact_match"): 5,
        ("mmlu", "accuracy"): 12,
        ("humaneval", "pass@1"): 3,
        ("style", "list_agreement"): 4,
        ("style", "summary_agreement"): 0,
        ("style", "unigram_f1"): 4,
        ("style", "unigram_recall"): 4,
        ("style", "length_correlation"): 4,
        ("toxicity", "non_toxicity"): 3,
        ("toxicity", "refusal_rate"): 3,
    }
    assert all(sheet.subject == SUBJECT for sheet in sheets.values())
    about = json.loads((first.out / "model.json").read_text())
    assert Subject.model_validate(about["subject"]) == SUBJECT
    assert about["parameters"] == LocalModel.load(folder).parameters
    answers = list(read_rows(first.out / "answers.jsonl", Answer))
    assert [a.prompt for a in answers] == [f"write {i}" for i in range(4)]
    assert {a.category for a in answers} == {"c"}
    texts = list(read_rows(first.out / "outputs.jsonl", Answer))
    assert {a.category for a in texts} == {"nq", "nq-0shot", "humaneval"}
    assert first.done == sorted(first.done)
    assert first.done[-1] == 1
    again = job(tmp_path, inputs, name="again", **params)
    measured(again)
    for path in sorted(p for p in first.out.rglob("*") if p.is_file()):
        other = again.out / path.relative_to(first.out)
        assert path.read_bytes() == other.read_bytes(), path.name


def test_prompts_are_plain_for_shots_and_in_the_template_without(tmp_path, folder, evaluation):
    local = LocalModel.load(folder)
    asked = []
    generate = local.generate

    def listening(prompts, **how):
        asked.extend(local.tokenizer.decode(p) for p in prompts)
        return generate(prompts, **how)

    local.generate = listening
    benchmark(
        local, ["nq", "nq-0shot", "humaneval"], evaluation, SUBJECT, max_new_tokens={"humaneval": 4}
    )
    shots = "".join(f"Q: what is {i}?\nA: a{i}\n\n" for i in range(3))
    assert f"Answer these questions:\n\n{shots}Q: who is fox 0?\nA:" in asked
    if local.is_chat:
        assert "<|user|>who is fox 0?<|end|><|assistant|>" in asked
        assert '<|user|>def add(a, b):\n    """Add."""\n<|end|><|assistant|>' in asked
    else:
        assert "Answer these questions:\n\nQ: who is fox 0?\nA:" in asked
        assert 'def add(a, b):\n    """Add."""\n' in asked


def test_mmlu_scores_are_the_plain_argmax(evaluation):
    tokenizer = byte_tokenizer()
    local = LocalModel(gpt2(len(tokenizer), context=2048), tokenizer)
    (sheet,), _ = benchmark(local, ["mmlu"], evaluation, SUBJECT)
    docs = mmlu.documents(str(evaluation / "mmlu_test.jsonl"), str(evaluation / "mmlu_dev.jsonl"))
    letters = [tokenizer(f" {letter}").input_ids for letter in "ABCD"]
    for doc, value in zip(docs["test"], sheet.values, strict=True):
        totals = []
        for letter in letters:
            ids = torch.tensor([tokenizer(mmlu.prompt(doc)).input_ids + letter])
            with torch.no_grad():
                chances = local.model(ids).logits[0].log_softmax(-1)
            at = range(ids.shape[1] - len(letter) - 1, ids.shape[1] - 1)
            totals.append(sum(float(chances[i, ids[0, i + 1]]) for i in at))
        assert value == float(totals.index(max(totals)) == doc["answer"])
    assert 0 < local.work.computed < local.work.naive / 4


def test_harness_equals_lm_evals_own_hf_backend(evaluation):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    tokenizer = byte_tokenizer()
    tokenizer.pad_token = "</s>"
    model = llama(len(tokenizer), context=2048, seed=7)
    docs = mmlu.documents(str(evaluation / "mmlu_test.jsonl"), str(evaluation / "mmlu_dev.jsonl"))
    pairs = [(mmlu.prompt(doc), f" {letter}") for doc in docs["test"] for letter in "ABCD"]
    pairs += [("Q: who?\nA: ", "fox"), ("", "the dog"), ("the", " quick brown fox jumps")]
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0, metadata=("t", i, 1))
        for i, pair in enumerate(pairs)
    ]
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4).loglikelihood(
        asked, disable_tqdm=True
    )
    ours = Harness(LocalModel(model, tokenizer)).loglikelihood(asked)
    for (value, greedy), (expected, expected_greedy) in zip(ours, theirs, strict=True):
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy
    rolled = [
        Instance(
            request_type="loglikelihood_rolling", doc={}, arguments=("the lazy dog " * 9,), idx=0
        )
    ]
    assert Harness(LocalModel(model, tokenizer)).loglikelihood_rolling(rolled) == pytest.approx(
        HFLM(pretrained=model, tokenizer=tokenizer).loglikelihood_rolling(
            rolled, disable_tqdm=True
        ),
        rel=1e-5,
    )


@pytest.mark.parametrize(("context", "shots"), [(1024, 5), (250, None)])
def test_shots_are_dropped_from_the_end_until_the_prompt_fits(evaluation, context, shots):
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer), context=context), tokenizer)
    seen = []
    score = local.loglikelihoods
    local.loglikelihoods = lambda asked: seen.extend(asked) or score(asked)
    (sheet,), _ = benchmark(local, ["mmlu"], evaluation, SUBJECT)
    assert None not in sheet.values
    docs = mmlu.documents(str(evaluation / "mmlu_test.jsonl"), str(evaluation / "mmlu_dev.jsonl"))
    for doc, (before, _) in zip(docs["test"], seen[::4], strict=True):
        fitting = [
            n for n in range(6) if len(tokenizer(mmlu.prompt(doc, n)).input_ids) <= context - 4
        ]
        assert shots in (None, fitting[-1])
        assert tokenizer.decode(before) == mmlu.prompt(doc, fitting[-1])


def test_a_question_that_cannot_fit_is_unscored(evaluation):
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer), context=40), tokenizer)
    (sheet,), _ = benchmark(local, ["mmlu"], evaluation, SUBJECT)
    assert set(sheet.values) == {None}
    assert "does not fit the model's context of 40 tokens" in sheet.reasons[0]


def test_without_a_sandbox_programs_are_unscored_with_the_reason(evaluation, monkeypatch):
    monkeypatch.setattr(sandbox, "unavailable", lambda: "no sandbox here")
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer)), tokenizer)
    (sheet,), _ = benchmark(
        local, ["humaneval"], evaluation, SUBJECT, max_new_tokens={"humaneval": 4}
    )
    assert sheet.values == (None,) * 3
    assert sheet.reasons == ("no sandbox here",) * 3


def test_the_published_prompts(data):
    """Full 5-shot prompts of another tool that kept Hendrycks' two spaces."""
    folder = data / "benchmarks"
    examples = [
        json.loads(s) for s in (folder / "mmlu_prompt_examples.jsonl").read_text().splitlines()
    ]
    docs = mmlu.documents(
        str(folder / "mmlu_test_19subjects.jsonl.gz"), str(folder / "mmlu_dev.jsonl.gz")
    )
    assert len(docs["test"]) == 5235
    by_subject = {}
    for doc in docs["test"][:200]:
        by_subject.setdefault(doc["subject"], []).append(doc)
    checked = 0
    for example in examples:
        rows = by_subject.get(example["subject"], [])
        if example["idx"] < len(rows):
            assert example["completion"].startswith(mmlu.prompt(rows[example["idx"]]))
            checked += 1
    assert checked >= 3


def test_bad_input_is_one_message(tmp_path, evaluation):
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer)), tokenizer)
    with pytest.raises(InputError, match=r"Unknown benchmark 'nk'"):
        benchmark(local, ["nk"], evaluation, SUBJECT)
    (evaluation / "nq_shots.jsonl").unlink()
    with pytest.raises(InputError, match=r"nq_shots\.jsonl is missing"):
        benchmark(local, ["nq"], evaluation, SUBJECT)
    lines(evaluation / "nq.jsonl", [{"question": "q"}])
    with pytest.raises(InputError, match="the item has no 'answer'"):
        benchmark(local, ["nq-0shot"], evaluation, SUBJECT)


def test_limits_take_the_first_items(evaluation):
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer)), tokenizer)
    (few,), _ = benchmark(local, ["nq-0shot"], evaluation, SUBJECT, limit={"nq-0shot": 2})
    (whole,), _ = benchmark(local, ["nq-0shot"], evaluation, SUBJECT)
    assert few.items == whole.items[:2]
    assert math.isclose(sum(few.values), sum(whole.values[:2]))
