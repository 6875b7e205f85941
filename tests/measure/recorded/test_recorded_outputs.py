"""Outputs in the shapes that tools leave behind, and who they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from veneer.errors import InputError
from veneer.measure.recorded import check_roles, join, read_outputs, split_claim, with_prompts


def pairs(outputs) -> list[tuple[str, str]]:
    return [(a.prompt, a.text) for a in outputs.answers()]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Q", "output": "A", "generator": "m", "dataset": "d"},
        {"prompt": "Q", "output": "A", "model": "m"},
        {"prompt": "Q", "completion": "A", "model": "m"},
        {"question": "Q", "answer": "A", "model_id": "m"},
        {"instruction": "Q", "input": "", "response": "A", "model_name": "m"},
        {
            "question_id": 1,
            "text": "Q",
            "generation": "A and on",
            "generation_truncated": "A",
            "model": "m",
        },
    ],
)
def test_shapes_with_text(rows_file, row) -> None:
    found = read_outputs(rows_file([row]))
    assert pairs(found) == [("Q", "A")]
    assert found.model == "m"


def test_alpaca_input_is_part_of_the_prompt(rows_file) -> None:
    rows = [{"instruction": "Add.", "input": "1 2", "output": "3"}]
    assert pairs(read_outputs(rows_file(rows))) == [("Add.\n1 2", "3")]


def test_without_a_models_name_the_claim_or_the_file_names_it(rows_file) -> None:
    path = rows_file([{"prompt": "Q", "output": "A"}], "my-model.jsonl")
    assert read_outputs(path).model == "my-model"
    assert read_outputs(path, claimed="other").model == "other"


def test_mt_bench_turns_meet_their_questions(rows_file) -> None:
    answers = [
        {
            "question_id": 81,
            "answer_id": "x",
            "model_id": "m",
            "choices": [
                {"index": 0, "turns": ["first", "second"]},
                {"index": 1, "turns": ["no", "no"]},
            ],
        }
    ]
    questions = rows_file(
        [{"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."]}], "q.jsonl"
    )
    plain = read_outputs(rows_file(answers))
    assert pairs(plain) == [("question 81", "first"), ("question 81, turn 2", "second")]
    (asked,) = with_prompts([plain], questions)
    assert pairs(asked) == [("Write.", "first"), ("Write.\n\nRewrite.", "second")]
    assert {a.category for a in asked.answers()} == {"writing"}


def test_a_file_with_ids_learns_its_text_from_another(rows_file) -> None:
    ids = read_outputs(
        rows_file([{"question_id": 7, "text": "A1", "answer_id": "x", "model_id": "m"}])
    )
    both = read_outputs(
        rows_file([{"question_id": 7, "text": "Why?", "generation": "A2"}], "both.jsonl")
    )
    one, two = with_prompts([ids, both])
    assert pairs(one) == [("Why?", "A1")]
    assert pairs(two) == [("Why?", "A2")]


def test_a_missing_answer_is_a_row_with_its_reason(rows_file) -> None:
    rows = [
        {"prompt": "a", "output": None},
        {"prompt": "b", "output": " "},
        {"prompt": "c", "output": "x"},
    ]
    found = read_outputs(rows_file(rows)).answers()
    assert [a.outcome for a in found] == ["failed", "empty", "answered"]
    assert found[0].reason


def test_a_repeated_prompt_counts_once_and_is_counted(rows_file) -> None:
    rows = [{"prompt": "a", "output": str(k)} for k in range(3)]
    found = read_outputs(rows_file(rows))
    assert pairs(found) == [("a", "0")]
    assert found.repeated == 2


def test_claims(rows_file, tmp_path) -> None:
    path = rows_file([{"prompt": "a", "output": "b", "model_id": "vicuna-13b:20230322"}])
    assert read_outputs(path, claimed="Vicuna-13b").model == "vicuna-13b:20230322"
    with pytest.raises(InputError) as caught:
        read_outputs(path, claimed="gpt-4")
    assert "'vicuna-13b:20230322'" in caught.value.message
    assert "'gpt-4'" in caught.value.message


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("gpt-3.5-turbo-0301.jsonl", "vicuna-13b"),
        ("vicuna-7b.jsonl", "vicuna-13b"),
        ("vicuna-13b.jsonl", "llama-13b:v1"),
        ("gpt-3.5-turbo-0301.json", "gpt-3.5-turbo-0613"),
        ("gpt4.jsonl", "gpt-3.5-turbo:20230327"),
        ("text_davinci_003_0.jsonl", "alpaca-7b"),
    ],
)
def test_a_file_called_after_another_model_is_refused(rows_file, name, inside) -> None:
    path = rows_file([{"prompt": "a", "output": "b", "generator": inside}], name)
    with pytest.raises(InputError) as caught:
        read_outputs(path)
    assert repr(inside) in caught.value.message
    assert repr(name.split(".json")[0]) in caught.value.message
    assert read_outputs(path, claimed=inside).model == inside


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("teacher.jsonl", "gpt-4"),
        ("answer_gpt35.jsonl", "gpt-3.5-turbo:20230327"),
        ("gpt35.jsonl", "gpt-3.5-turbo:20230327"),
        ("gpt-4_outputs_run2.jsonl", "gpt-4-0613"),
        ("vicuna.jsonl", "vicuna-13b"),
        ("vicuna-13b.jsonl", "vicuna-13b:20230322-clean-lang"),
        ("llama-7b-tuned.jsonl", "our-student-v3"),
        ("our-student-v3.jsonl", "llama-7b"),
        ("llama2-7b.jsonl", "llama-2-7b-alpaca"),
        ("model_outputs.json", "alpaca-7b"),
        ("phineas.jsonl", "gpt-4"),
    ],
)
def test_names_that_may_be_of_one_model_pass(rows_file, name, inside) -> None:
    path = rows_file([{"prompt": "a", "output": "b", "generator": inside}], name)
    assert read_outputs(path).model == inside


def test_a_claim_is_split_from_its_file(tmp_path) -> None:
    assert split_claim("gpt-4=out.jsonl") == ("gpt-4", Path("out.jsonl"))
    assert split_claim("dir/a=b.jsonl") == (None, Path("dir/a=b.jsonl"))
    odd = tmp_path / "t=0.7.jsonl"
    odd.write_text("{}")
    assert split_claim(str(odd)) == (None, odd)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "output": "b", "model": m} for m in "xy"], "several models"),
        ([{"prompt": "a"}], "no answers"),
        ([{"prompt": "a", "output": "b"}, {"output": "b"}], "line 2"),
        ([{"prompt": "a", "output": ["b"]}], "not text"),
        ([{"question_id": 1, "choices": [{}]}], "turns"),
    ],
)
def test_what_cannot_be_read_is_refused(rows_file, rows, message) -> None:
    with pytest.raises(InputError) as caught:
        read_outputs(rows_file(rows))
    assert message in str(caught.value)
    assert caught.value.hint


# ---- joining ------------------------------------------------------------------------------


def test_joined_on_the_prompt_never_by_row(rows_file) -> None:
    teacher = read_outputs(rows_file([{"prompt": p, "output": f"t{p}"} for p in "abcd"], "t.jsonl"))
    other = read_outputs(rows_file([{"prompt": p, "output": f"o{p}"} for p in "xdca"], "o.jsonl"))
    asked, said, account = join(teacher, "student", other)
    assert [(a.text, s.text) for a, s in zip(asked, said, strict=True)] == [
        ("ta", "oa"), ("tc", "oc"), ("td", "od"),
    ]  # fmt: skip
    assert (account.joined, account.only_here, account.only_teacher) == (3, 1, 1)
    assert account.not_joined == ("x",)


def test_other_prompts_and_equal_answers_are_refused(rows_file) -> None:
    teacher = read_outputs(rows_file([{"prompt": "a", "output": "1"}], "t.jsonl"))
    with pytest.raises(InputError, match="answers other prompts"):
        join(teacher, "base", read_outputs(rows_file([{"prompt": "b", "output": "1"}], "b.jsonl")))
    with pytest.raises(InputError, match="same answers as the teacher"):
        join(teacher, "base", read_outputs(rows_file([{"prompt": "a", "output": "1"}], "c.jsonl")))


def test_one_model_in_two_roles_is_refused(rows_file) -> None:
    one = read_outputs(rows_file([{"prompt": "a", "output": "1", "model": "m"}], "1.jsonl"))
    two = read_outputs(rows_file([{"prompt": "a", "output": "2", "model": "m"}], "2.jsonl"))
    with pytest.raises(InputError, match="both hold answers of 'm'"):
        check_roles([("teacher", one), ("base", two)])
    check_roles([("teacher", one), ("teacher-again", two)])
    with pytest.raises(InputError, match="same file"):
        check_roles([("teacher", one), ("teacher-again", one)])


# ---- real files ----------------------------------------------------------------------------


def test_the_shared_outputs(shared) -> None:
    teacher = read_outputs(shared / "alpaca_eval/outputs/gpt-3.5-turbo-0301.jsonl.gz")
    base = read_outputs(
        shared / "alpaca_eval/outputs/text_davinci_001.jsonl.gz", "text_davinci_001"
    )
    assert (len(teacher.said), len(base.said)) == (805, 803)
    assert join(teacher, "base", base)[2].joined == 803
    assert join(teacher, "base", base)[2].only_teacher == 2


def test_every_shared_output_file_passes_under_its_own_name(shared) -> None:
    paths = sorted((shared / "alpaca_eval/outputs").glob("*.gz"))
    assert len(paths) == 14
    for path in paths:
        assert read_outputs(path).model == path.name.removesuffix(".jsonl.gz")


def test_the_shared_vicuna_answers(shared) -> None:
    names = ("gpt35", "llama-13b", "alpaca-13b", "vicuna-13b", "bard")
    files = [read_outputs(shared / f"vicuna_blog/answer_{name}.jsonl") for name in names]
    assert [f.model.split(":")[0] for f in files] == ["gpt-3.5-turbo", *names[1:]]
    ready = with_prompts(files, shared / "vicuna_blog/question.jsonl")
    assert {len(f.said) for f in ready} == {80}
    assert ready[0].answers()[0].prompt == "How can I improve my time management skills?"
    guanaco = read_outputs(
        shared / "qlora/generations/13b-guanaco-vicuna-generations-topp0.9-temp0.7.jsonl"
    )
    assert join(ready[0], "student", guanaco)[2].joined == 80


def test_the_shared_mt_bench_reference(shared) -> None:
    found = read_outputs(shared / "prompts/mt_bench_reference_gpt-4.jsonl")
    (asked,) = with_prompts([found], shared / "prompts/mt_bench_question.jsonl")
    assert found.model == "gpt-4"
    assert len(asked.said) == 60  # 30 questions, two turns
    assert not any(a.prompt.startswith("question ") for a in asked.answers())
