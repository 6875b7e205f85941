"""Benchmark results of others: items where there are items, totals where not."""

from __future__ import annotations

import json

import pytest

from veneer.errors import InputError
from veneer.measure.recorded import merged, read_benchmark
from veneer.records import Aggregate, Subject

WHO = Subject(model="m", role="student")


def test_mmlu_predictions(rows_file) -> None:
    rows = [
        {"subject": "law", "idx": 0, "answer": "B", "prediction": "B"},
        {"subject": "law", "idx": 1, "answer": "B", "prediction": " A"},
        {"subject": "art", "idx": 0, "answer": "C", "prediction": None},
    ]
    (sheet,) = read_benchmark(rows_file(rows), WHO)
    assert (sheet.measure, sheet.metric) == ("mmlu", "accuracy")
    assert sheet.items == ("law/0", "law/1", "art/0")
    assert sheet.values == (1.0, 0.0, None)
    assert sheet.reasons[2]


def test_item_and_score(rows_file) -> None:
    rows = [
        {"item": "a", "score": 1, "measure": "nq"},
        {"item": "b", "score": False, "measure": "nq"},
        {"item": "a", "score": 0.25, "measure": "other", "metric": "f1"},
        {"item": "c", "score": None, "measure": "nq"},
    ]
    nq, other = read_benchmark(rows_file(rows), WHO)
    assert (nq.measure, nq.metric, nq.items) == ("nq", "exact_match", ("a", "b", "c"))
    assert nq.values == (1.0, 0.0, None)
    assert (other.measure, other.metric, other.values) == ("other", "f1", (0.25,))


def test_humaneval_results_average_the_samples_of_a_task(rows_file) -> None:
    rows = [{"task_id": "T/0", "passed": p} for p in (True, False, False, True)]
    rows += [{"task_id": "T/1", "passed": False}, {"task_id": "T/2", "passed": None}]
    (sheet,) = read_benchmark(rows_file(rows), WHO)
    assert (sheet.measure, sheet.metric) == ("humaneval", "pass@1")
    assert sheet.items == ("T/0", "T/1", "T/2")
    assert sheet.values == (0.5, 0.0, None)


def test_bare_scores_are_called_after_the_file(rows_file) -> None:
    rows = [{"item": "a", "score": 1}]
    assert read_benchmark(rows_file(rows, "student-nq.jsonl"), WHO)[0].measure == "nq"
    assert read_benchmark(rows_file(rows, "student.jsonl"), WHO)[0].measure == "benchmark"


def samples(task: str, k: int, **scores) -> dict:
    return {"doc_id": k, "doc_hash": f"{task}{k}" * 8, "metrics": list(scores), **scores}


def test_lm_eval_samples_of_subtasks_become_one_measure(rows_file) -> None:
    law = rows_file(
        [samples("law", k, acc=k / 1, acc_norm=1.0) for k in range(2)],
        "samples_mmlu_law_2026-01-01T00-00-00.0.jsonl",
    )
    art = rows_file(
        [samples("art", k, acc=1.0, acc_norm=0.0) for k in range(2)],
        "samples_mmlu_art_2026-01-01T00-00-00.0.jsonl",
    )
    scores = merged([*read_benchmark(law, WHO), *read_benchmark(art, WHO)])
    found = {s.metric: s for s in scores}
    assert set(found) == {"accuracy", "acc_norm"}
    assert found["accuracy"].measure == "mmlu"
    assert found["accuracy"].values == (0.0, 1.0, 1.0, 1.0)
    assert len(set(found["accuracy"].items)) == 4


def test_a_further_filter_is_a_metric_of_its_own(rows_file) -> None:
    rows = [
        {**samples("gsm8k", 0, exact_match=1.0), "filter": "strict"},
        {**samples("gsm8k", 0, exact_match=0.0), "filter": "flexible"},
    ]
    found = read_benchmark(rows_file(rows, "samples_gsm8k.jsonl"), WHO)
    assert [(s.measure, s.metric, s.values) for s in found] == [
        ("gsm8k", "exact_match", (1.0,)),
        ("gsm8k", "exact_match:flexible", (0.0,)),
    ]


def test_lm_eval_samples_as_the_harness_writes_them(tmp_path) -> None:
    """Written by the harness's own tracker, read back by us."""
    tracker = pytest.importorskip("lm_eval.loggers").EvaluationTracker(output_path=str(tmp_path))
    tracker.general_config_tracker.model_name_sanitized = "m"
    tracker.date_id = "2026-01-01T00-00-00.000000"
    docs = [
        {
            "doc_id": k, "doc": {"q": str(k)}, "target": "x", "arguments": [("c", "d")],
            "resps": [["r"]], "filtered_resps": ["r"], "filter": "none", "metrics": ["exact_match"],
            "doc_hash": f"h{k}", "prompt_hash": "p", "target_hash": "t", "exact_match": float(k % 2),
        }
        for k in range(4)
    ]  # fmt: skip
    tracker.save_results_samples("nq_open", docs)
    (path,) = tmp_path.rglob("samples_*.jsonl")
    (sheet,) = read_benchmark(path, WHO)
    assert (sheet.measure, sheet.metric) == ("nq", "exact_match")
    assert sheet.values == (0.0, 1.0, 0.0, 1.0)


RESULTS = {
    "results": {
        "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "mmlu"},
        "mmlu_law": {"acc,none": 0.4, "acc_stderr,none": 0.02, "alias": " - law"},
        "mmlu_art": {"acc,none": 0.6, "acc_stderr,none": 0.02, "alias": " - art"},
        "nq_open": {
            "exact_match,remove_whitespace": 0.2,
            "exact_match_stderr,remove_whitespace": "N/A",
        },
    },
    "groups": {"mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "mmlu"}},
    "group_subtasks": {"mmlu": ["mmlu_law", "mmlu_art"]},
    "n-samples": {
        "mmlu_law": {"original": 100, "effective": 100},
        "mmlu_art": {"original": 50, "effective": 50},
        "nq_open": {"original": 3610, "effective": 3610},
    },
}


def test_lm_eval_totals(tmp_path) -> None:
    path = tmp_path / "results_2026.json"
    path.write_text(json.dumps(RESULTS, indent=2))
    mmlu, nq = read_benchmark(path, WHO)
    assert isinstance(mmlu, Aggregate)
    assert (mmlu.measure, mmlu.metric, mmlu.value) == ("mmlu", "accuracy", 0.5)
    assert (mmlu.standard_error, mmlu.n) == (0.01, 150)
    assert (nq.measure, nq.value, nq.standard_error, nq.n) == ("nq", 0.2, None, 3610)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"x": 1}], "no benchmark scores"),
        ([{"item": "a", "score": "good"}], "not a number"),
        ([{"item": "a", "score": 1}, {"item": "a", "score": 0}], "scored twice"),
        ([{"item": "a", "score": 1}, {"score": 0}], "line 2"),
        ([{"subject": "s", "idx": 1, "answer": "A", "prediction": "A"}, {"answer": "A"}], "line 2"),
    ],
)
def test_what_cannot_be_read_is_refused(rows_file, rows, message) -> None:
    with pytest.raises(InputError) as caught:
        read_benchmark(rows_file(rows), WHO)
    assert message in caught.value.message
    assert caught.value.hint


def test_one_result_given_twice_is_refused(rows_file) -> None:
    sheets = read_benchmark(rows_file([{"item": "a", "score": 1}]), WHO)
    with pytest.raises(InputError, match="same items"):
        merged([*sheets, *sheets])


def test_the_shared_predictions(shared) -> None:
    folder = shared / "benchmarks/mmlu_predictions"
    right = {}
    for step in (0, 200):
        (sheet,) = read_benchmark(folder / f"llama2-7b_alpacagpt4_checkpoint-{step}.jsonl.gz", WHO)
        assert len(sheet.items) == 3536
        right[step] = sum(sheet.values)
    assert right == {0: 1698, 200: 1679}
