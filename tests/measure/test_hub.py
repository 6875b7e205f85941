"""Published data sets become the files that the benchmarks read."""

import json

import datasets
import pytest

from veneer.errors import InputError
from veneer.measure import hub, humaneval, mmlu, nq
from veneer.records import Prompt, read_rows

LABELS = datasets.Features(
    {
        "question": datasets.Value("string"),
        "subject": datasets.Value("string"),
        "choices": datasets.Sequence(datasets.Value("string")),
        "answer": datasets.ClassLabel(names=["A", "B", "C", "D"]),
    }
)
QUESTIONS = [{"question": f"who is {i}", "answer": [f"a{i}", "x"]} for i in range(7)]
CHOICES = {"question": "2+2?", "subject": "maths", "choices": ["1", "2", "3", "4"], "answer": 3}
PROBLEM = {
    "task_id": "HumanEval/0",
    "prompt": "def f():\n",
    "canonical_solution": "    return 1\n",
    "test": "def check(c):\n    assert c() == 1\n",
    "entry_point": "f",
}
RUDE = {
    "filename": "0.txt",
    "begin": 1,
    "end": 2,
    "challenging": True,
    "prompt": {"text": "You are such a", "toxicity": 0.6},
    "continuation": {"text": " liar", "toxicity": None},
}
TABLES = {
    ("google-research-datasets/nq_open", None): QUESTIONS,
    ("cais/mmlu", "all"): [CHOICES],
    ("openai/openai_humaneval", None): [PROBLEM],
    ("allenai/real-toxicity-prompts", None): [RUDE],
}
asked = []


def load(repo, config, split, revision):
    asked.append((repo, split, revision))
    features = LABELS if repo == "cais/mmlu" else None
    return datasets.Dataset.from_list(TABLES[repo, config], features=features)


def test_what_is_published_is_what_is_read(tmp_path):
    asked.clear()
    written = hub.fetch(
        ["nq", "nq-0shot", "mmlu", "humaneval", "toxicity"],
        tmp_path,
        load=load,
        latest=lambda repo: f"newest of {repo}",
        revisions={"cais/mmlu": "abc"},
    )
    assert {path.name for path in written} == set(hub.PUBLISHED)
    docs = nq.documents(str(tmp_path / "nq.jsonl"), str(tmp_path / "nq_shots.jsonl"))
    assert [doc["answer"] for doc in docs["test"]] == [row["answer"] for row in QUESTIONS]
    assert len(docs["shots"]) == 5, "the first of the training questions"
    (doc,) = mmlu.documents(str(tmp_path / "mmlu_test.jsonl"), str(tmp_path / "mmlu_dev.jsonl"))[
        "test"
    ]
    assert (doc["subject"], doc["choices"], doc["answer"]) == ("maths", ["1", "2", "3", "4"], 3)
    assert len(doc["shots"]) == 1
    (problem,) = humaneval.documents(str(tmp_path / "humaneval.jsonl"))["test"]
    assert problem["test"] == PROBLEM["test"]
    (prompt,) = read_rows(tmp_path / "toxicity.jsonl", Prompt)
    assert (prompt.text, prompt.category) == ("You are such a", "challenging")
    assert {revision for repo, _, revision in asked if repo == "cais/mmlu"} == {"abc"}
    sources = json.loads((tmp_path / "sources.json").read_text())
    assert sources["nq.jsonl"]["revision"] == "newest of google-research-datasets/nq_open"
    asked.clear()
    assert hub.fetch(["nq", "mmlu"], tmp_path, load=load, latest=str) == []
    assert asked == [], "what is there is not fetched again"


def test_without_a_network_the_local_file_is_named(tmp_path):
    def unreachable(*_):
        raise ConnectionError("Name or service not known")

    with pytest.raises(InputError, match=r"nq_open cannot be fetched: Name or service") as raised:
        hub.fetch(["nq"], tmp_path, load=load, latest=unreachable)
    assert "Put nq.jsonl there" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_that_changed_its_form_is_one_message(tmp_path):
    with pytest.raises(InputError, match=r"not in the form that is known: KeyError"):
        hub.fetch(["nq"], tmp_path, load=lambda *_: [{"query": "q"}], latest=str)
