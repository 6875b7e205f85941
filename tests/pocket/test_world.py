"""The invented world: decided by its seed, in the published formats, nothing tested given away."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest

from veneer.errors import SpecError
from veneer.pocket import files, make_world, pocket_scale
from veneer.pocket.scale import FULL, TINY, WorldScale
from veneer.pocket.world import build_world
from veneer.records import Prompt, read_rows


def made(folder: Path, seed: int = 0, scale: WorldScale = TINY.world) -> dict[str, Path]:
    folder.mkdir(parents=True)
    params = {"seed": seed, "world": scale.model_dump(mode="json")}
    make_world(SimpleNamespace(out=folder, params=params, inputs={}, progress=lambda *_: None))
    return files(folder)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The full world with a short corpus: everything but its length is the real thing."""
    scale = FULL.world.model_copy(update={"tokens": 150_000, "replay_texts": 500})
    return made(tmp_path_factory.mktemp("full") / "world", 3, scale)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def decoded(data: dict[str, Path]) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(data["tokenizer"])
    return tokenizer.decode(numpy.load(data["blocks"]).reshape(-1).tolist())


def test_a_seed_decides_every_file(tmp_path):
    made(tmp_path / "a", 0)
    made(tmp_path / "b", 0)
    made(tmp_path / "c", 1)
    first, again, other = (digest(tmp_path / name) for name in "abc")
    assert first == again
    same = {name for name in first if first[name] == other[name]}
    assert same <= {"tokenizer/tokenizer_config.json"}


def test_every_named_file_is_there(full):
    assert all(path.exists() for path in full.values())


def test_no_held_out_question_is_asked_in_any_wording(full):
    text = decoded(full) + full["replay"].read_text(encoding="utf-8")
    queries = full["queries"].read_text(encoding="utf-8")
    wordings = [row["text"] for row in rows(full["eval_text"])]
    wordings += [row["question"] for row in rows(full["nq_validation"])]
    assert len(wordings) > 500
    assert not [w for w in wordings if w in text or w in queries]


def test_exam_questions_that_are_tested_have_no_quiz_page(full):
    text = decoded(full) + full["replay"].read_text(encoding="utf-8")
    for key in ("mmlu_test", "mmlu_validation"):
        assert not [row for row in rows(full[key]) if row["question"] in text]
    assert all(row["question"] for row in rows(full["mmlu_dev"]))


def test_held_out_facts_are_read_about_and_users_never_ask_of_them(full):
    text, asked = decoded(full), full["queries"].read_text(encoding="utf-8")
    held = [e["name"] for e in rows_of_facts(full) if e["use"] in ("test", "validation")]
    assert sum(name in text for name in held) > 0.95 * len(held)
    assert not [name for name in held if f" {name}" in asked]


def rows_of_facts(data: dict[str, Path]) -> list[dict]:
    return json.loads(data["facts"].read_text(encoding="utf-8"))


def test_tests_and_validation_share_no_item(full):
    def texts(key: str, field: str) -> set[str]:
        return {row[field] for row in rows(full[key])}

    assert not texts("nq", "question") & texts("nq_validation", "question")
    assert not texts("mmlu_test", "question") & texts("mmlu_validation", "question")
    assert not texts("humaneval", "test") & texts("humaneval_validation", "test")
    for pair in (("prompts", "prompts_validation"), ("toxicity", "toxicity_validation")):
        assert not texts(pair[0], "text") & texts(pair[1], "text")
    asked = texts("queries", "text")
    assert not asked & texts("prompts", "text")
    assert not asked & texts("toxicity", "text")


def test_published_formats_and_sizes(full):
    nq = rows(full["nq"])
    assert len(nq) == 5 * FULL.world.test_entities * 3
    assert all(set(r) == {"question", "answer"} and len(r["answer"]) == 1 for r in nq)
    assert all(r["question"][0].islower() and not r["question"].endswith("?") for r in nq)
    mmlu = rows(full["mmlu_test"])
    assert all(set(r) == {"subject", "question", "choices", "answer"} for r in mmlu)
    assert all(len(set(r["choices"])) == 4 and 0 <= r["answer"] < 4 for r in mmlu)
    dev = rows(full["mmlu_dev"])
    assert {
        s: sum(r["subject"] == s for r in dev) for s in {r["subject"] for r in mmlu}
    } == dict.fromkeys({r["subject"] for r in dev}, 5)
    code = rows(full["humaneval"])
    fields = {"task_id", "prompt", "entry_point", "canonical_solution", "test"}
    assert all(set(r) == fields for r in code)
    assert len(rows(full["seeds"])) == 10
    assert len(list(read_rows(full["queries"], Prompt))) >= 7_900
    assert len(list(read_rows(full["prompts"], Prompt))) == FULL.world.style_prompts


def test_answers_of_an_exam_are_balanced(full):
    for key in ("mmlu_test", "mmlu_validation"):
        answers = [row["answer"] for row in rows(full[key])]
        counts = [answers.count(n) for n in range(4)]
        assert len(answers) >= 60
        assert max(counts) == min(counts)


def test_the_key_of_an_exam_is_what_the_world_says(full):
    facts = {entity["name"]: entity for entity in rows_of_facts(full)}
    for row in rows(full["mmlu_test"]):
        (entity,) = [facts[w] for w in row["question"].rstrip("?").split() if w in facts]
        assert row["choices"][row["answer"]] in entity.values()
        others = set(row["choices"]) - {row["choices"][row["answer"]]}
        assert not others & set(entity.values())


def test_toxic_prompts_and_their_lexicon(full):
    insults = full["insults"].read_text(encoding="utf-8").split()
    assert len(set(insults)) == len(insults) >= 10
    text = decoded(full)
    assert all(insult in text for insult in insults)
    assert not [i for i in insults if i in full["toxicity"].read_text(encoding="utf-8")]


def test_impossible_scales_are_refused():
    scale = WorldScale(entities_per_domain=4, test_entities=3, validation_entities=2)
    with pytest.raises(SpecError, match="held-out"):
        build_world(0, scale)
    with pytest.raises(SpecError, match="no scale 'ful'"):
        pocket_scale("ful")
    with pytest.raises(SpecError, match="no model size 'XL'"):
        FULL.pretrain_params("XL", 0)
