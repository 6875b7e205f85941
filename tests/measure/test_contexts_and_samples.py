"""Prompts that a context does not hold, several samples a problem, and the items' texts."""

import json

import pytest
from small_models import byte_tokenizer, llama

from veneer.errors import InputError
from veneer.measure import mmlu
from veneer.measure.benchmarks import Options, item_texts, run_benchmarks
from veneer.measure.humaneval import pass_at_k
from veneer.measure.lm_eval_results import ModelInfo, write_results
from veneer.models import chat
from veneer.models.asking import Reply
from veneer.models.decoding import Generated
from veneer.models.local import LocalModel
from veneer.records import Subject

SUBJECT = Subject(model="tiny", role="base", base="tiny", tokens=0)
PROMPT = "def one():\n"
TEST = "def check(candidate):\n    assert candidate() == 1\n"


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path):
    questions = [
        {"question": f"who is {'fox ' * (30 * (i == 2))}{i}", "answer": ["dog"]} for i in range(3)
    ]
    lines(tmp_path / "nq.jsonl", questions)
    shots = [{"question": f"what is {i} {'lazy dog ' * 3}", "answer": ["fox"]} for i in range(4)]
    lines(tmp_path / "nq_shots.jsonl", shots)
    problem = {"entry_point": "one", "prompt": PROMPT, "test": TEST}
    lines(tmp_path / "humaneval.jsonl", [{"task_id": f"T/{i}", **problem} for i in range(3)])
    item = {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 1}
    items = [{**item, "subject": name} for name in ("logic", "law", "logic")]
    lines(tmp_path / "mmlu_test.jsonl", items)
    lines(tmp_path / "mmlu_dev.jsonl", items[:1])
    return tmp_path


def small(context):
    tokenizer = byte_tokenizer()
    return LocalModel(llama(len(tokenizer), context=context), tokenizer, name="tiny")


def test_worked_examples_that_do_not_fit_are_dropped_and_counted(data):
    local = small(110)
    asked, generate = [], local.generate
    local.generate = lambda prompts, **how: asked.extend(prompts) or generate(prompts, **how)
    found = run_benchmarks(local, ["nq"], data, SUBJECT, max_new_tokens={"nq": 8})
    (sheet,) = found.sheets
    assert [value is None for value in sheet.values] == [False, False, True]
    assert sheet.reasons[2] == "does not fit the model's context of 110 tokens, even without shots"
    assert found.notes == ["nq: 2 prompts were asked with fewer worked examples."]
    assert len(asked) == 2
    for ids in asked:
        text = local.tokenizer.decode(ids)
        assert len(ids) <= 110 - 8
        assert text.startswith("Answer these questions:\n\nQ: what is 0")
        assert text.count("Q: ") == 2, "one worked example and the question"
    write_results(data / "out", found.results, ModelInfo.of(local))
    result = json.loads((data / "out" / "results.json").read_text())["results"]["veneer_nq"]
    assert result["exact_match,none"] == 0.0, "the mean of what has a score"


def test_a_problem_that_does_not_fit_is_unscored_and_not_asked_in_part(data):
    tokenizer = byte_tokenizer()
    model = llama(len(tokenizer), context=40)
    chat.fit_embeddings(model, tokenizer, chat.add_chat_tokens(tokenizer))
    local = LocalModel(model, tokenizer, name="tiny")
    problem = {"entry_point": "one", "prompt": f"{'# fox' * 20}\n{PROMPT}", "test": TEST}
    lines(data / "humaneval.jsonl", [{"task_id": "T/0", **problem}])
    found = run_benchmarks(local, ["humaneval"], data, SUBJECT)
    (sheet,) = found.sheets
    assert sheet.values == (None,)
    assert sheet.reasons == ("does not fit the model's context of 40 tokens",)


def test_several_samples_are_drawn_and_counted(data):
    local = small(256)
    asked = {}

    def generate(prompts, **how):
        asked.update(how, prompts=len(prompts))
        # Of every problem's five samples as many are right as its number says.
        return [
            Generated("    return 1\n" if i % 5 < i // 5 else "    return 2\n", 4, "stop")
            for i in range(len(prompts))
        ]

    local.generate = generate
    options = Options(samples=5, ks=(1, 3, 5, 10), seed=7)
    found = run_benchmarks(local, ["humaneval"], data, SUBJECT, options=options)
    assert asked["prompts"] == 15
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.8, 0.95, 7)
    sheets = {sheet.metric: sheet.values for sheet in found.sheets}
    assert found.notes == ["humaneval: pass@10 skipped, which 5 samples a problem do not tell."]
    if None in sheets["pass@1"]:
        pytest.skip("no sandbox here")
    assert sheets == {f"pass@{k}": tuple(pass_at_k(5, c, k) for c in range(3)) for k in (1, 3, 5)}
    assert [answer.sample for answer in found.answers] == [0, 1, 2, 3, 4] * 3
    assert found.results["results"]["veneer_humaneval"]["pass@3,run"] == pytest.approx(
        sum(sheets["pass@3"]) / 3
    )


def test_each_sample_has_random_numbers_of_its_own(data):
    options = Options(samples=4, ks=(1,), seed=3)
    run = [
        run_benchmarks(
            small(256),
            ["humaneval"],
            data,
            SUBJECT,
            max_new_tokens={"humaneval": 12},
            options=options,
        )
        for _ in range(2)
    ]
    texts = [answer.text for answer in run[0].answers]
    assert len(set(texts)) > 8
    assert texts == [answer.text for answer in run[1].answers]
    greedy = run_benchmarks(
        small(256), ["humaneval"], data, SUBJECT, max_new_tokens={"humaneval": 12}
    )
    assert [sheet.metric for sheet in greedy.sheets] == ["pass@1"]
    assert greedy.notes == []
    assert len({answer.text for answer in greedy.answers}) == 1


class Endpoint:
    name = "openai:somebody"

    def __init__(self):
        self.asked = []

    def ask(self, asks, *, max_new_tokens, temperature=0.0, top_p=1.0, seed=0, progress=None):
        self.asked += [(ask.sample, temperature, top_p) for ask in asks]
        return [Reply(f"```python\ndef one():\n    return {ask.sample}\n```") for ask in asks]


def test_an_endpoint_is_asked_for_samples_that_are_told_apart(data):
    endpoint = Endpoint()
    problems = [
        {"task_id": f"T/{i}", "entry_point": "one", "prompt": f"# {i}\n{PROMPT}", "test": TEST}
        for i in range(3)
    ]
    lines(data / "humaneval.jsonl", problems)
    options = Options(samples=3, ks=(1,))
    found = run_benchmarks(endpoint, ["humaneval"], data, SUBJECT, options=options)
    assert endpoint.asked == [(0, 0.8, 0.95), (1, 0.8, 0.95), (2, 0.8, 0.95)] * 3
    assert found.notes == []
    (sheet,) = found.sheets
    if None not in sheet.values:
        assert sheet.values == pytest.approx((1 / 3,) * 3)
        one = Endpoint()
        (sheet,) = run_benchmarks(one, ["humaneval"], data, SUBJECT).sheets
        assert (sheet.values, one.asked) == ((0.0,) * 3, [(0, 0.0, 1.0)] * 3)


def test_item_texts_are_named_as_in_the_sheets(data):
    local = small(256)
    found = run_benchmarks(
        local,
        ["nq", "nq-0shot", "mmlu", "humaneval"],
        data,
        SUBJECT,
        max_new_tokens={"nq": 2, "nq-0shot": 2, "humaneval": 2},
    )
    texts = {}
    for sheet in found.sheets:
        items = item_texts(sheet.measure, data)
        assert tuple(item.item for item in items) == sheet.items
        assert tuple(item.category for item in items if item.category) == sheet.categories
        assert {item.measure for item in items} == {sheet.measure}
        texts[sheet.measure] = [item.text for item in items]
    assert texts["nq"][0] == texts["nq-0shot"][0] == "who is 0?"
    assert texts["mmlu"] == ["Which?"] * 3
    assert texts["humaneval"] == [PROMPT] * 3
    assert [item.category for item in item_texts("mmlu", data, limit=2)] == ["logic", "law"]
    renamed = item_texts("nq", data, {"nq.jsonl": "nq_shots.jsonl"})
    assert renamed[0].text == "what is 0 lazy dog lazy dog lazy dog?"
    with pytest.raises(InputError, match="'nk' has no item texts"):
        item_texts("nk", data)


@pytest.mark.parametrize("broken", ["", '{"subject": "law"}\n', "{\n", '{"subject": 1}\n'])
def test_a_broken_file_is_one_message_with_its_place(data, broken):
    (data / "mmlu_dev.jsonl").write_text(broken)
    with pytest.raises(InputError, match=r"mmlu_dev\.jsonl(, line 1|  *holds no items)"):
        run_benchmarks(small(256), ["mmlu"], data, SUBJECT)


def test_a_question_without_an_answer_is_one_message(data):
    for golds in ([], [1776]):
        lines(data / "nq.jsonl", [{"question": "when", "answer": golds}])
        with pytest.raises(InputError, match=r"nq\.jsonl, line 1: 'answer' is no list of texts"):
            item_texts("nq", data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": 4}, "line 2: answer 4 is none of 4 choices"),
        ({"answer": -1}, "line 2: answer -1"),
        ({"choices": ["only"]}, "line 2: 1 choices"),
    ],
)
def test_an_mmlu_item_that_no_letter_answers_is_one_message(data, change, message):
    item = {"subject": "law", "question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 1}
    lines(data / "mmlu_test.jsonl", [item, {**item, **change}])
    with pytest.raises(InputError, match=message):
        mmlu.documents(str(data / "mmlu_test.jsonl"), str(data / "mmlu_dev.jsonl"))
