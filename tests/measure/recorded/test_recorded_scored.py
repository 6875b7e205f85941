"""How recorded rows find their items, their measures and their scores."""

from pathlib import Path

import pytest

from veneer.errors import InputError
from veneer.measure import humaneval, mmlu, nq
from veneer.measure.items import item_ids
from veneer.measure.recorded import read_benchmark, read_outputs
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.finding import benchmark_files, output_files
from veneer.measure.recorded.matching import Items
from veneer.measure.recorded.programs import humaneval_data, scored_humaneval
from veneer.measure.recorded.scored import letter, mmlu_data, nq_data, scored_nq
from veneer.measure.recorded.sharing import fits, shared_out
from veneer.records import Subject

PATH = Path("f.jsonl")
ME = Subject(model="me", role="student")
ITEMS = Items(
    Path("items.jsonl"), "question", ["who is it", "What? Who?", "who is it", "7"],
    ["a1", "b2", "c3", "d4"], ["law", "law", "art", "art"],
)  # fmt: skip


def row(at=1, **fields) -> Row:
    return Row(f"line {at}", fields)


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"question": "Who  is it?"}, [0, 2]),
        ({"item": "what? who"}, [1]),
        ({"item": 1}, [1]),
        ({"item": "1"}, [1]),
        ({"item": "7"}, [3]),  # a text before a number
        ({"id": "c3"}, [2]),
        ({"item": 4}, []),
        ({"item": -1}, []),
        ({"item": True}, []),
        ({"item": "who was it"}, []),
        ({"subject": "art", "idx": 0}, [2]),
        ({"subject": "art", "idx": 2}, []),
        ({"subject": "art", "idx": -1}, []),
        ({"subject": "music", "idx": 0}, []),
        ({"subject": "law", "question": "who is it"}, [0]),
        ({"prediction": "x"}, []),
    ],
)
def test_an_item_is_known_by_text_id_or_number(fields, places):
    assert ITEMS.candidates(fields) == places


def test_questions_with_one_text_are_taken_in_turn():
    assert ITEMS.find(PATH, row(question="who is it"), set()) == 0
    assert ITEMS.find(PATH, row(question="who is it"), {0}) == 2


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", "B"), (" b\n", "B"), ("(C)", "C"), ("D.", "D"), ("A. Because", "A"), ("b) x\ny", "B"),
        ("C: so", "C"), ("0", "A"), ("3", "D"), ("4", None), ("E", None), ("A man", None),
        ("AB", None), ("", None), ("[Invalid] : (", None), ("The answer is B", None),
        ("A.5", None),
    ],
)  # fmt: skip
def test_a_letter_is_taken_only_where_it_is_plain(text, choice):
    assert letter(text) == choice


@pytest.mark.parametrize(
    ("fields", "measures"),
    [
        ({"task_id", "completion"}, {"humaneval"}),
        ({"task_id", "passed"}, {"humaneval"}),
        ({"task_id", "prompt", "completion"}, {"humaneval", "style", "toxicity"}),
        ({"subject", "idx", "answer", "prediction"}, {"mmlu"}),
        ({"question", "prediction"}, {"nq", "nq-0shot", "mmlu"}),
        ({"item", "score"}, {"nq", "nq-0shot", "mmlu", "humaneval"}),
        ({"instruction", "output"}, {"nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity"}),
        ({"question", "answer"}, {"nq", "nq-0shot", "mmlu", "style", "toxicity"}),
        ({"begin", "end"}, set()),
    ],
)
def test_fields_say_what_can_be_measured(fields, measures):
    row = {name: 3 if name == "idx" else "x" for name in fields}
    every = ("nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity")
    assert {measure for measure in every if fits(measure, row)} == measures


def test_rows_go_to_the_benchmark_whose_items_they_name(rows_file):
    data = {
        "nq": nq_data(rows_file([{"question": "who", "answer": ["x"]}], "nq.jsonl")),
        "humaneval": humaneval_data(
            rows_file([{"task_id": "T/0", "prompt": "", "entry_point": "f", "test": ""}], "h.jsonl")
        ),
    }
    rows = [
        row(1, item="who", prediction="x"),
        row(2, item="T/0", prediction="pass"),
        row(3, prompt="Hello?", output="Hi"),
        row(4, measure="nq", item=0, prediction="y"),
    ]
    shares = shared_out(PATH, rows, ["nq", "humaneval", "toxicity"], data)
    places = {measure: [one.at for one in share] for measure, share in shares.items()}
    assert places == {"nq": ["line 1", "line 4"], "humaneval": ["line 2"], "toxicity": ["line 3"]}
    with pytest.raises(InputError, match=r"line 2: .*fits no measure"):
        shared_out(PATH, [rows[0], row(2, begin=1)], ["nq"], data)
    with pytest.raises(InputError, match="'nqq', which is not known"):
        shared_out(PATH, [row(1, measure="nqq", item=1, prediction="x")], ["nq"], data)


def test_items_are_named_as_in_the_sheets_of_models_that_were_asked(rows_file):
    """What `benchmark` makes of the same files: items must meet in a study."""
    questions = [{"question": " Who is it? ", "answer": ["a", "b"]}] * 2
    choices = [{"subject": "law", "question": "Q", "choices": ["w", "x", "y", "z"], "answer": 2}]
    problems = [{"task_id": "T/0", "prompt": "", "entry_point": "f", "test": ""}]
    path = rows_file(questions, "nq.jsonl")
    docs = [{"question": d["question"], "answer": d["answer"]} for d in nq._read(path)]
    assert nq_data(path).items.ids == item_ids([d["question"], *d["answer"]] for d in docs)
    path = rows_file(choices, "mmlu.jsonl")
    docs = [mmlu._texts(one) for one in choices]
    assert mmlu_data(path).items.ids == item_ids(
        [d["subject"], d["question"], *d["choices"]] for d in docs
    )
    path = rows_file(problems, "humaneval.jsonl")
    assert humaneval_data(path).items.ids == item_ids(["T/0"])


def test_only_the_first_line_of_a_prediction_counts(rows_file):
    data = nq_data(rows_file([{"question": "who", "answer": ["Ada", "Bob"]}], "nq.jsonl"))
    for said, value in (("\n bob.\nQ: next", 1.0), ("Carl\nAda", 0.0), ("", 0.0), (None, None)):
        found = scored_nq(PATH, [row(item=0, prediction=said)], ME, data)
        assert found.sheets[0].values == (value,)
        assert bool(found.sheets[0].reasons[0]) == (value is None)


def test_recorded_verdicts_give_the_unbiased_estimate():
    told = [row(k, task_id="T/0", passed=k < 4) for k in range(12)]
    told += [row(k, task_id="T/1", passed=False) for k in range(10)]
    found = scored_humaneval(PATH, told, ME, None)
    values = {sheet.metric: sheet.values for sheet in found.sheets}
    assert values["pass@1"] == pytest.approx((4 / 12, 0))
    assert values["pass@10"] == (humaneval.pass_at_k(12, 4, 10), 0.0)
    assert found.notes == ("humaneval: no pass@100, as T/1 has 10 samples",)


def test_where_files_lie(tmp_path, rows_file):
    nq_file = rows_file([{"question": "who", "answer": ["x"]}], "nq.jsonl")
    assert benchmark_files([str(nq_file)], ["nq-0shot", "nq"]) == {
        "nq": nq_file, "nq-0shot": nq_file,
    }  # fmt: skip
    assert benchmark_files([str(tmp_path)], ["nq", "style"]) == {"nq": nq_file}
    answers = rows_file([{"prompt": "a", "output": "b"}], "answers.jsonl")
    assert output_files(tmp_path, ["style", "nq"]) == {answers: ["style"], nq_file: ["nq"]}
    with pytest.raises(InputError, match="holds no outputs for mmlu") as caught:
        output_files(tmp_path, ["mmlu"])
    assert "mmlu.jsonl" in caught.value.hint


def test_answers_that_were_collected_here_keep_their_outcome(rows_file):
    path = rows_file(
        [
            {"prompt": "p", "text": "second", "model": "m", "sample": 1, "outcome": "answered"},
            {"prompt": "p", "text": "first", "model": "m", "sample": 0, "outcome": "answered"},
            {"prompt": "q", "text": "", "model": "m", "outcome": "filtered", "reason": "policy"},
            {"prompt": "r", "text": "cut", "model": "m", "outcome": "truncated"},
        ]
    )
    outputs = read_outputs(path)
    told = [(a.prompt, a.text, a.outcome, a.reason) for a in outputs.answers()]
    assert sorted(told) == [
        ("p", "first", "answered", ""),
        ("q", "", "filtered", "policy"),
        ("r", "cut", "truncated", ""),
    ]
    assert (outputs.model, outputs.repeated) == ("m", 1)
    broken = rows_file([{"prompt": "p", "text": 3, "model": "m", "outcome": "answered"}], "b.jsonl")
    with pytest.raises(InputError, match=r"line 1: not an answer .*text"):
        read_outputs(broken)


def test_verdicts_that_were_written_are_read_by_an_audit(rows_file):
    path = rows_file(
        [{"task_id": "T/0", "sample": k, "passed": k > 0, "reason": ""} for k in range(4)]
    )
    (sheet,) = read_benchmark(path, ME)
    assert (sheet.metric, sheet.values) == ("pass@1", (0.75,))
