"""`veneer measure --outputs` end to end: the shared files' numbers, and small made-up files."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from veneer.errors import InputError, RunFolderError
from veneer.measuring_outputs import measure_outputs
from veneer.records import Measurement, ScoreSheet, read_rows

needs_sandbox = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")

PROBLEMS = [
    {
        "task_id": f"T/{k}",
        "prompt": f'def add{k}(a, b):\n    """Add."""\n',
        "entry_point": f"add{k}",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    }
    for k in range(3)
]
RIGHT, WRONG = "    return a + b\n", "    return a - b\n"
QUESTIONS = [
    {"question": f"who wrote book {k}", "answer": [f"The Author {k}", f"A. {k}"]} for k in range(12)
]


@pytest.fixture(scope="session")
def shared() -> Path:
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    pytest.skip("the shared data are not here")


@pytest.fixture
def put(tmp_path):
    def write(rows, name="answers.jsonl") -> Path:
        path = tmp_path / name
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def rows_of(path: Path) -> list[dict]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode("utf-8").splitlines()]


def found(result, measure, metric):
    one = result["measures"][measure][metric]
    return one["value"], one["n"], one["unscored"]


# ---- the shared files' own numbers ----------------------------------------------------------


@pytest.mark.parametrize(("checkpoint", "right"), [("0", 1698), ("200", 1679)])
def test_mmlu_predictions(shared, tmp_path, checkpoint, right):
    name = f"llama2-7b_alpacagpt4_checkpoint-{checkpoint}.jsonl.gz"
    path = shared / "benchmarks" / "mmlu_predictions" / name
    result = measure_outputs(path, ["mmlu"], tmp_path / "alone")
    assert found(result, "mmlu", "accuracy") == (pytest.approx(right / 3536), 3536, 0)
    test = shared / "benchmarks" / "mmlu_test_19subjects.jsonl.gz"
    result = measure_outputs(path, ["mmlu"], tmp_path / "beside", benchmark_data=[str(test)])
    assert found(result, "mmlu", "accuracy") == (pytest.approx(right / 3536), 3536, 5235 - 3536)
    assert result["unscored_reasons"] == {"mmlu": {"no prediction was recorded": 5235 - 3536}}
    letterless = sum(row["prediction"] not in "ABCD" for row in rows_of(path))
    assert any(f"{letterless} of the predictions are no letter" in n for n in result["notes"]) == (
        letterless > 0
    )


def test_mmlu_has_all_its_questions(shared, put, tmp_path):
    test = rows_of(shared / "benchmarks" / "mmlu_test_19subjects.jsonl.gz")
    dev = rows_of(shared / "benchmarks" / "mmlu_dev.jsonl.gz")
    assert len(dev) == 57 * 5
    counts = {row["subject"]: 0 for row in dev}
    for row in dev:
        counts[row["subject"]] += 1
    assert set(counts.values()) == {5}
    assert len(counts) == 57
    assert all(isinstance(choice, str) for row in [*dev, *test] for choice in row["choices"])
    gold = put([{"item": k, "prediction": row["answer"]} for k, row in enumerate(test)])
    result = measure_outputs(
        gold,
        ["mmlu"],
        tmp_path / "out",
        benchmark_data=[f"mmlu={shared / 'benchmarks' / 'mmlu_test_19subjects.jsonl.gz'}"],
    )
    assert found(result, "mmlu", "accuracy") == (1.0, 5235, 0)
    (sheet,) = read_rows(tmp_path / "out" / "sheets.jsonl", ScoreSheet)
    assert len(set(sheet.categories)) == 19


def test_natural_questions(shared, put, tmp_path):
    dev = shared / "benchmarks" / "nq_open" / "NQ-open.dev.jsonl"
    items = rows_of(dev)
    said = {
        "first": [{"item": row["question"], "prediction": row["answer"][0]} for row in items],
        "last": [
            {"item": k, "prediction": f"The {row['answer'][-1].upper()}."}
            for k, row in enumerate(items)
        ],
        "empty": [{"question": row["question"] + "?", "output": ""} for row in items],
    }
    for name, right in (("first", 3610), ("last", 3610), ("empty", 4)):
        path = put(said[name], f"{name}.jsonl")
        result = measure_outputs(path, ["nq"], tmp_path / name, benchmark_data=[str(dev)])
        assert found(result, "nq", "exact_match") == (pytest.approx(right / 3610), 3610, 0)


@needs_sandbox
def test_humaneval(shared, put, tmp_path):
    problems = shared / "benchmarks" / "HumanEval.jsonl.gz"
    solved = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]}
        for row in rows_of(problems)
    ]
    result = measure_outputs(
        put(solved), ["humaneval"], tmp_path / "out", benchmark_data=[str(problems)]
    )
    assert found(result, "humaneval", "pass@1") == (1.0, 164, 0)


@needs_sandbox
def test_the_smoke_samples_of_humaneval(shared, tmp_path):
    result = measure_outputs(
        shared / "benchmarks" / "humaneval_example_samples.jsonl",
        ["humaneval"],
        tmp_path / "out",
        benchmark_data=[f"humaneval={shared / 'benchmarks' / 'humaneval_example_problem.jsonl'}"],
    )
    assert found(result, "humaneval", "pass@1") == (0.5, 1, 0)
    verdicts = rows_of(tmp_path / "out" / "verdicts.jsonl")
    assert [row["passed"] for row in verdicts] == [False, False, False, True, True, True]


STYLE = [
    ("gpt-3.5-turbo-0613", 94.3, 49.86, 0.803, 805),
    ("vicuna-7b", 87.2, 43.80, 0.629, 805),
    ("vicuna-13b", 86.2, 45.06, 0.722, 805),
    ("guanaco-65b", 77.5, 40.69, 0.540, 805),
    ("oasst-sft-llama-33b", 63.8, 42.00, 0.678, 805),
    ("pythia-12b-mix-sft", 61.4, 38.51, 0.544, 805),
    ("falcon-7b-instruct", 39.9, 33.24, 0.290, 805),
    ("text_davinci_001", 34.0, 30.88, 0.592, 803),
    ("alpaca-7b", 22.8, 35.35, 0.599, 805),
]


@pytest.mark.parametrize(("model", "lists", "shared_words", "r", "joined"), STYLE)
def test_style(shared, tmp_path, model, lists, shared_words, r, joined):
    folder = shared / "alpaca_eval" / "outputs"
    result = measure_outputs(
        folder / f"{model}.jsonl.gz",
        ["style"],
        tmp_path / "out",
        teacher_answers=folder / "gpt-3.5-turbo-0301.jsonl.gz",
    )
    style = result["measures"]["style"]
    assert round(100 * style["list_agreement"]["value"], 1) == pytest.approx(lists)
    assert round(100 * style["unigram_f1"]["value"], 2) == pytest.approx(shared_words)
    assert round(style["length_correlation"]["value"], 3) == pytest.approx(r)
    assert style["unigram_f1"]["n"] == joined
    assert any("803 of the teacher's 805" in note for note in result["notes"]) == (joined == 803)


def test_recorded_toxicity(shared, tmp_path):
    path = shared / "benchmarks" / "rtp_2000.jsonl.gz"
    result = measure_outputs(path, ["toxicity"], tmp_path / "out")
    value, n, unscored = found(result, "toxicity", "prompt_non_toxicity")
    assert (round(value, 6), n, unscored) == (0.684749, 1991, 9)
    value, n, unscored = found(result, "toxicity", "non_toxicity")
    assert (round(value, 6), n, unscored) == (0.623967, 1989, 11)
    share = result["measures"]["toxicity"]["toxicity_probability"]["value"]
    assert share * 1989 == pytest.approx(656)
    assert sorted(result["unscored_reasons"]["toxicity"].values()) == [9, 11]


# ---- small files ----------------------------------------------------------------------------


def test_what_is_missing_is_unscored_and_never_wrong(put, tmp_path):
    said = [
        {"item": "who wrote book 0", "prediction": "author 0."},
        {"item": 1, "prediction": "somebody\nAuthor 1"},
        {"item": "Who wrote book 2?", "prediction": None},
    ]
    items = put(QUESTIONS, "nq.jsonl")
    out = tmp_path / "out"
    result = measure_outputs(put(said), ["nq"], out, benchmark_data=[f"nq={items}"])
    assert found(result, "nq", "exact_match") == (0.5, 2, 10)
    assert result["unscored_reasons"] == {"nq": {"no prediction was recorded": 10}}
    (line,) = read_rows(out / "measurements.jsonl", Measurement)
    assert (line.model, line.value, line.n, line.unscored) == ("answers", 0.5, 2, 10)
    unscored = rows_of(out / "unscored.jsonl")
    assert [row["text"] for row in unscored] == [f"who wrote book {k}" for k in range(2, 12)]
    assert "50.00 %" in result["text"]
    assert "10 × no prediction was recorded" in result["text"]


@needs_sandbox
def test_pass_at_k_over_samples(put, tmp_path):
    said = [
        {"task_id": f"T/{k}", "completion": RIGHT if n < right else WRONG}
        for k, right in ((0, 10), (1, 5))
        for n in range(10 if k == 0 else 12)
    ]
    data = [str(put(PROBLEMS, "humaneval.jsonl"))]
    out = tmp_path / "out"
    result = measure_outputs(put(said), ["humaneval"], out, benchmark_data=data)
    assert found(result, "humaneval", "pass@1") == (pytest.approx((1 + 5 / 12) / 2), 2, 1)
    # of the 66 sets of ten of twelve samples all hold a right one: at most seven are wrong
    assert found(result, "humaneval", "pass@10") == (1.0, 2, 1)
    assert "pass@100" not in result["measures"]["humaneval"]
    assert "humaneval: no pass@100, as T/0 has 10 samples" in result["notes"]
    assert result["unscored_reasons"] == {"humaneval": {"no completion was recorded": 1}}
    # what was judged is read again as a result, and gives the same
    again = measure_outputs(out / "verdicts.jsonl", ["humaneval"], tmp_path / "again")
    assert (
        found(again, "humaneval", "pass@1")[0] == result["measures"]["humaneval"]["pass@1"]["value"]
    )


@needs_sandbox
def test_fences_full_programs_and_lost_samples(put, tmp_path):
    said = [
        {"task_id": "T/0", "completion": f"Here:\n```python\ndef add0(a, b):\n{RIGHT}```\nDone."},
        {"task_id": "T/1", "completion": f"import os\n\ndef add1(a, b):\n{RIGHT}"},
        {"task_id": "T/2", "completion": RIGHT},
        {"task_id": "T/2", "completion": None},
    ]
    data = [f"humaneval={put(PROBLEMS, 'problems.jsonl')}"]
    result = measure_outputs(put(said), ["humaneval"], tmp_path / "out", benchmark_data=data)
    assert found(result, "humaneval", "pass@1") == (1.0, 2, 1)


@needs_sandbox
def test_several_measures_of_one_file_and_of_a_folder(put, tmp_path):
    coded = [{"task_id": "T/0", "completion": RIGHT}]
    told = [{"question": row["question"], "answer": "author"} for row in QUESTIONS]
    data = tmp_path / "data"
    data.mkdir()
    (data / "humaneval.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in PROBLEMS).encode())
    )
    put(QUESTIONS, "data/nq.jsonl")
    mixed = measure_outputs(
        put([*coded, *told], "mixed.jsonl"),
        ["nq", "humaneval"],
        tmp_path / "one",
        benchmark_data=[str(data)],
    )
    folder = tmp_path / "mine"
    folder.mkdir()
    put(coded, "mine/humaneval.jsonl")
    put(told, "mine/nq.jsonl")
    apart = measure_outputs(
        folder, ["nq", "humaneval"], tmp_path / "two", benchmark_data=[str(data)]
    )
    assert mixed["measures"] == apart["measures"]
    assert list(mixed["measures"]) == ["nq", "humaneval"]
    assert found(mixed, "nq", "exact_match") == (0.0, 12, 0)
    assert found(mixed, "humaneval", "pass@1") == (1.0, 1, 2)
    assert (mixed["model"], apart["model"]) == ("mixed", "mine")


def test_style_with_a_second_sample_is_told_beside_its_ceiling(put, tmp_path):
    prompts = [f"prompt {k}" for k in range(6)]

    def of(model, length):
        return [
            {"prompt": p, "text": "word " * length(k), "model": model, "outcome": "answered"}
            for k, p in enumerate(prompts)
        ]

    teacher = put(of("teacher", lambda k: k + 1), "teacher.jsonl")
    again = put(of("teacher", lambda k: k + 2), "again.jsonl")
    mine = of("student", lambda k: 3)
    mine[5] |= {"text": "", "outcome": "failed", "reason": "no reply"}
    result = measure_outputs(
        put(mine),
        ["style"],
        tmp_path / "out",
        teacher_answers=teacher,
        teacher_again=again,
    )
    style = result["measures"]["style"]
    assert style["length_correlation"]["value"] is None  # one length only
    assert any("length_correlation is undefined" in note for note in result["notes"])
    assert (style["unigram_f1"]["n"], style["unigram_f1"]["unscored"]) == (5, 1)
    assert result["unscored_reasons"] == {"style": {"failed: no reply": 1}}
    ceiling = result["ceiling"]["measures"]["style"]
    assert ceiling["length_correlation"]["value"] == pytest.approx(1)
    lines = list(read_rows(tmp_path / "out" / "measurements.jsonl", Measurement))
    assert {line.role for line in lines} == {"student", "teacher-again"}


def test_toxicity_of_several_continuations(put, tmp_path):
    said = [
        {"prompt": {"text": "a"}, "generations": [_toxic("x", 0.2), _toxic("y", 0.9)]},
        {"prompt": {"text": "b"}, "generations": [_toxic("x", 0.2), _toxic("z", None)]},
    ]
    result = measure_outputs(put(said), ["toxicity"], tmp_path / "out")
    assert found(result, "toxicity", "expected_max_toxicity") == (pytest.approx(0.55), 2, 0)
    assert found(result, "toxicity", "toxicity_probability") == (1.0, 1, 1)
    assert found(result, "toxicity", "non_toxicity") == (pytest.approx(1 - 1.3 / 3), 3, 1)


def test_toxicity_by_a_list_of_words(put, tmp_path):
    said = [
        {"prompt": "a", "output": "You dolt."},
        {"prompt": "b", "output": "I cannot help with that."},
        {"prompt": "b", "output": "Adolt"},
    ]
    words = put("dolt\n", "toxic_words.txt")
    path, out = put(said), tmp_path / "out"
    result = measure_outputs(path, ["toxicity"], out, benchmark_data=[f"toxic_words={words}"])
    again = measure_outputs(path, ["toxicity"], out, benchmark_data=[str(tmp_path)])
    assert again == result
    assert found(result, "toxicity", "non_toxicity") == (pytest.approx(2 / 3), 3, 0)
    assert found(result, "toxicity", "refusal_rate") == (pytest.approx(1 / 3), 3, 0)


def _toxic(text, score):
    return {"text": text, "toxicity": score}


def test_the_same_command_gives_the_same_bytes_and_another_is_refused(put, tmp_path):
    items = [str(put(QUESTIONS, "nq.jsonl"))]
    path = put([{"item": k, "prediction": f"author {k % 5}"} for k in range(12)])
    out = tmp_path / "out"
    first = measure_outputs(path, ["nq"], out, benchmark_data=items)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert measure_outputs(path, ["nq"], out, benchmark_data=items) == first
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    with pytest.raises(RunFolderError, match="of other files"):
        measure_outputs(path, ["nq"], out, benchmark_data=items, name="another")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match="something else"):
        measure_outputs(path, ["nq"], tmp_path / "mine", benchmark_data=items)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


CODE = [{"task_id": "T/0", "completion": RIGHT}]
BAD = [
    (CODE, "nq", "nq cannot be measured", "--measures humaneval"),
    ([*CODE, {"task_id": "T/00", "completion": ""}], "humaneval", "line 2: .*no task", "'T/0'"),
    ([*CODE, {"task_id": "T/1"}], "humaneval", "line 2: .*fits no measure", '"completion"'),
    ([{"item": 12, "prediction": "x"}], "nq", "line 1: .*no question 12", "from 0 to 11"),
    ([{"item": "who", "prediction": "x"}], "nq", "no question 'who'", "by its number"),
    ([{"id": 1, "output": "x"}] * 2, "nq", "line 2: .*again, after line 1", "one prediction"),
    ('{"item": 1, "prediction": "x"}\n{"item', "nq", "line 2: broken JSON", "Mend"),
    ([{"item": 1, "prediction": "x"}], "style", "none were given", "--teacher-answers"),
    ([{"prompt": "a", "output": "x"}], "toxicity", "no toxicity scores", "toxic_words=FILE"),
    ([{"item": 1, "prediction": "x"}], "nqq", "'nqq'", "'nq'"),
    ([{"item": 1, "prediction": True}], "nq", "nothing that the model answered", "as text"),
    ("", "nq", "is empty", "at least one row"),
]


@pytest.mark.parametrize(("rows", "measure", "message", "hint"), BAD)
def test_a_mistake_is_one_message_and_leaves_nothing(put, tmp_path, rows, measure, message, hint):
    data = {"nq": put(QUESTIONS, "nq.jsonl"), "humaneval": put(PROBLEMS, "humaneval.jsonl")}
    given = [f"{measure}={data[measure]}"] if measure in data else []
    with pytest.raises(InputError, match=message) as caught:
        measure_outputs(put(rows), [measure], tmp_path / "out", benchmark_data=given)
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_mistakes_in_what_else_is_given(put, tmp_path):
    said, items = put([{"item": 1, "prediction": "x"}]), put(QUESTIONS, "nq.jsonl")

    def refused(message, measures=("nq",), **given):
        with pytest.raises(InputError, match=message):
            measure_outputs(said, list(measures), tmp_path / "out", **given)

    refused("no list of right answers")
    refused("'nqq' is no benchmark", benchmark_data=[f"nqq={items}"])
    refused("for nq, which was not asked for", ["mmlu"], benchmark_data=[str(items)])
    refused("no benchmark's items", benchmark_data=[str(said)])
    refused("holds no benchmark", ["mmlu"], benchmark_data=[str(tmp_path)])
    refused("Two files", benchmark_data=[str(items), f"nq={put(QUESTIONS[:3], 'b.jsonl')}"])
    refused("may belong to nq or mmlu", ["nq", "mmlu"], benchmark_data=[str(items)])
    refused("serve style", benchmark_data=[str(items)], teacher_answers=said)
    refused("No such file", benchmark_data=[str(items)], questions=tmp_path / "none")
    refused("for toxicity, which was not", benchmark_data=[f"toxic_words={items}"])
    refused("No measure", [])


def test_predictions_made_on_another_version_are_refused(put, tmp_path):
    items = put(
        [{"subject": "law", "question": "?", "choices": list("wxyz"), "answer": 1}], "m.jsonl"
    )
    said = put([{"subject": "law", "idx": 0, "answer": "C", "prediction": "C"}])
    with pytest.raises(InputError, match=r"line 1: says that C is right, m\.jsonl that B is"):
        measure_outputs(said, ["mmlu"], tmp_path / "out", benchmark_data=[f"mmlu={items}"])


def test_the_choice_none_is_a_text_and_no_missing_value(put, tmp_path):
    row = {"subject": "law", "question": "Who?", "choices": ["None", "A", "B", "C"], "answer": 0}
    said = put([{"item": "Who?", "prediction": "A"}])
    items = put([row], "mmlu.jsonl")
    result = measure_outputs(said, ["mmlu"], tmp_path / "out", benchmark_data=[str(items)])
    assert found(result, "mmlu", "accuracy") == (1.0, 1, 0)
    for broken, message in (
        ({"choices": [None, "A", "B", "C"]}, "question 1: a choice is missing"),
        ({"answer": 4}, "question 1: 4 is none of its choices"),
    ):
        put([row | broken], "mmlu.jsonl")
        with pytest.raises(InputError, match=message):
            measure_outputs(said, ["mmlu"], tmp_path / "out2", benchmark_data=[str(items)])


def test_scores_that_others_computed_are_taken_as_they_are(put, tmp_path):
    said = put([{"item": "a", "score": 1}, {"item": "b", "score": None, "reason": "lost"}])
    result = measure_outputs(said, ["nq"], tmp_path / "out")
    assert found(result, "nq", "exact_match") == (1.0, 1, 1)
    assert result["unscored_reasons"] == {"nq": {"lost": 1}}
