"""A model that can only be asked goes through the same tasks as one that runs here."""

import json

import pytest

from veneer.measure.benchmarks import run_benchmarks
from veneer.models.asking import Reply
from veneer.records import Subject


def benchmark(*given, **how):
    found = run_benchmarks(*given, **how)
    return found.sheets, found.answers


TEACHER = Subject(model="teacher", role="teacher")


class Endpoint:
    """Answers from a table; what is not in it failed."""

    name = "openai:somebody"

    def __init__(self, table):
        self.table, self.asked = table, []

    def ask(self, asks, *, max_new_tokens, temperature=0.0, top_p=1.0, seed=0, progress=None):
        texts = [ask.messages[-1].content for ask in asks]
        self.asked += texts
        lost = Reply("", "failed", "no reply after 6 tries")
        return [next((r for q, r in self.table.items() if q in t), lost) for t in texts]


@pytest.fixture
def evaluation(tmp_path):
    def write(name, rows):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(
        "nq.jsonl",
        [
            {"question": "who wrote emma", "answer": ["Jane Austen"]},
            {"question": "what is the capital of peru", "answer": ["Lima"]},
            {"question": "who fell silent", "answer": ["Garbo"]},
        ],
    )
    write("nq_shots.jsonl", [{"question": f"shot {i}", "answer": ["yes"]} for i in range(3)])
    item = {"subject": "logic", "question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 1}
    write("mmlu_test.jsonl", [item, {**item, "question": "What?"}])
    write("mmlu_dev.jsonl", [item])
    return tmp_path


def test_answers_are_scored_and_failures_are_unscored(evaluation):
    table = {
        "who wrote emma": Reply("The Jane Austen.\nShe lived …"),
        "capital of peru": Reply("Cusco", "truncated", "cut off after 32 tokens"),
    }
    endpoint = Endpoint(table)
    sheets, answers = benchmark(endpoint, ["nq", "nq-0shot"], evaluation, TEACHER)
    for sheet in sheets:
        assert sheet.values == (1.0, 0.0, None)
        assert sheet.reasons[2] == "failed: no reply after 6 tries"
    assert len(answers) == 6
    assert sum("shot 2" in text for text in endpoint.asked) == 3, "3-shot prompts show the shots"


def test_mmlu_is_unscored_with_the_reason_and_nothing_is_asked(evaluation):
    endpoint = Endpoint({})
    sheets, answers = benchmark(endpoint, ["mmlu"], evaluation, TEACHER)
    assert [sheet.values for sheet in sheets] == [(None, None)]
    assert "no log-probabilities" in sheets[0].reasons[0]
    assert answers == []
    assert endpoint.asked == []
