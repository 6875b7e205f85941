"""A study whose bases are shaped like T5 and GPT-2, from folders, by way of the command."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from veneer.records import Prompt, write_rows

sys.path.insert(0, str(Path(__file__).parent / "models"))  # models made on the spot

MEASURES = ["nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity"]
WORDS = "the quick brown fox jumps over a lazy dog and runs away from nobody".split()  # noqa: SIM905


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def models(folder):
    """Teacher and bases with random weights; the teacher speaks, and has a template."""
    from odd_shapes import gpt2, gpt2_tokenizer, t5, t5_tokenizer

    from veneer.models import chat

    for name, tokenizer, make in (
        ("teacher", gpt2_tokenizer(), lambda tok: gpt2(tok, seed=5)),
        ("gpt2", gpt2_tokenizer(), gpt2),
        # Like Flan-T5: a head of its own, and more rows than tokens.
        ("t5", t5_tokenizer(), lambda tok: t5(len(tok) + 28, tied=False)),
    ):
        model = make(tokenizer)
        if name == "teacher":
            chat.fit_embeddings(model, tokenizer, chat.add_chat_tokens(tokenizer))
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def evaluation(folder):
    folder.mkdir()
    asked = [{"question": f"who is fox {i}?", "answer": ["dog"]} for i in range(3)]
    lines(folder / "nq.jsonl", asked)
    shots = [{"question": f"what is {i}", "answer": [f"a{i}"]} for i in range(3)]
    lines(folder / "nq_shots.jsonl", shots)
    choices = ["red", "blue", "green", "None"]
    items = [
        {"subject": "dogs", "question": f"Which {i}?", "choices": choices, "answer": i % 4}
        for i in range(4)
    ]
    lines(folder / "mmlu_test.jsonl", items)
    lines(
        folder / "mmlu_dev.jsonl",
        [{**item, "question": f"{item['question']} Say!"} for item in items],
    )
    problem = {
        "prompt": 'def add(a, b):\n    """Add."""\n',
        "entry_point": "add",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "canonical_solution": "    return a + b\n",
    }
    lines(folder / "humaneval.jsonl", [{"task_id": f"T/{i}", **problem} for i in range(2)])
    write_rows(
        folder / "prompts.jsonl", [Prompt(text=f"write {i}", category="c") for i in range(4)]
    )
    write_rows(folder / "toxicity.jsonl", [Prompt(text=f"insult {i}") for i in range(3)])
    (folder / "toxic_words.txt").write_text("blorp\n")


def talk(n):
    """Conversations of one and two rounds, as ShareGPT writes them."""
    return [
        {
            "id": str(i),
            "conversations": [
                {"from": who, "value": text}
                for k in range(1 + i % 2)
                for who, text in (
                    ("human", f"please tell me of {WORDS[i % 13]} {WORDS[i % 11]} number {i} {k}"),
                    ("gpt", " ".join(WORDS[(i * j + k) % 13] for j in range(1, 5 + i % 5)) + "."),
                )
            ],
        }
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    models(folder)
    evaluation(folder / "evaluation")
    (folder / "said.json").write_text(json.dumps(talk(60)))
    study = {
        "name": "odd",
        "teacher": "hf:teacher",
        "bases": {"t5": "hf:t5", "gpt2": "hf:gpt2"},
        "corpora": {
            "said": {"import": ["said.json"], "categories": False, "diversity": 0, "kind": "broad"}
        },
        "tokens": [300, 700],
        "recipe": {"block": 64, "batch": 2, "schedule": "matched", "learning_rate": 1e-3},
        "measures": MEASURES,
        "answer_tokens": {"nq": 6, "nq-0shot": 6, "humaneval": 12, "style": 16, "toxicity": 8},
        "evaluation": "evaluation",
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    ran = subprocess.run(
        [sys.executable, "-m", "veneer", "run", "study.yaml", "--out", "run", "--json"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "VENEER_CACHE": ""},
    )
    assert ran.returncode == 0, ran.stderr
    return folder / "run", ran


def test_every_base_and_student_is_measured_on_everything(done):
    run, ran = done
    assert "transformers" not in ran.stderr
    assert "Traceback" not in ran.stderr
    rows = [json.loads(line) for line in (run / "measurements.jsonl").open()]
    for base in ("t5", "gpt2"):
        for role, amounts in (("base", 1), ("student", 2)):
            own = [r for r in rows if r["base"] == base and r["role"] == role]
            for measure in MEASURES:
                of_measure = [r for r in own if r["measure"] == measure]
                assert len({r["tokens"] for r in of_measure}) == amounts, (base, role, measure)
                if measure != "humaneval":  # which needs a sandbox
                    scored = [r for r in of_measure if r["n"]]
                    assert scored, (base, role, measure)
                    assert all(math.isfinite(r["value"]) for r in scored if r["value"] is not None)


def test_students_are_nested_and_their_folders_load(done):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from veneer.models.local import LocalModel

    run = done[0]
    for base, apart in (("t5", True), ("gpt2", False)):
        step = next((run / "steps").glob(f"trained-{base}-said-*"))
        facts = json.loads((step / "train.json").read_text())
        tokens = [amount["tokens"] for amount in facts["amounts"]]
        steps = [amount["steps"] for amount in facts["amounts"]]
        assert steps == [round(300 / 128), round(700 / 128)]
        if apart:
            assert all(0 <= seen - 128 * n < 64 for seen, n in zip(tokens, steps, strict=True))
        else:
            assert tokens == [128 * n for n in steps]
        assert len((step / "loss.jsonl").read_text().splitlines()) == steps[-1]
        student = LocalModel.load(step / "tokens-700", device="cpu")
        assert student.is_chat
        assert student.reads_apart == apart
    plain = AutoModelForSeq2SeqLM.from_pretrained(
        next((run / "steps").glob("trained-t5-said-*")) / "tokens-300"
    )
    assert plain.lm_head.weight is not plain.shared.weight
    assert (
        plain.shared.weight.shape[0] == len(AutoTokenizer.from_pretrained(plain.name_or_path)) + 25
    )
