"""`veneer measure MODEL`: one small model through the command's function, its mistakes, its kills."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parent / "models"))
from small_models import byte_tokenizer, llama

from veneer.cli import app
from veneer.errors import InputError, RunFolderError
from veneer.measure.sandbox import unavailable
from veneer.measuring import measure_model, toxicity_from
from veneer.models import chat
from veneer.records import Measurement, ScoreSheet, read_rows
from veneer.spec import load_study
from veneer.study import graph


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = byte_tokenizer()
    made = llama(len(tokenizer), context=512)
    chat.fit_embeddings(made, tokenizer, chat.add_chat_tokens(tokenizer))
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    lines(folder / "nq.jsonl", [{"question": f"who is {i}?", "answer": ["x"]} for i in range(4)])
    lines(folder / "nq_shots.jsonl", [{"question": f"q{i}", "answer": ["a"]} for i in range(3)])
    lines(folder / "toxicity.jsonl", [{"prompt": {"text": f"be rude {i}"}} for i in range(3)])
    (folder / "toxic_words.txt").write_text("blorp\n")
    return folder


def test_a_folder_is_measured_and_the_same_command_only_tells_it_again(model, data, tmp_path):
    out = tmp_path / "out"
    teacher = lines(
        tmp_path / "teacher.jsonl",
        [{"prompt": f"write {i}", "output": "- a\n- b", "model": "t"} for i in range(3)],
    )
    settings = {"max_new_tokens": {"nq": 4, "style": 6, "toxicity": 6}, "limit": {"nq": 2}}

    def measured():
        return measure_model(
            f"hf:{model}",
            ["nq", "style", "toxicity"],
            out,
            benchmark_data=[str(data)],
            teacher_answers=str(teacher),
            settings=settings,
        )

    found = measured()
    assert found["measures"]["nq"]["exact_match"]["n"] == 2
    assert found["measures"]["style"]["list_agreement"]["n"] == 3, "the teacher's prompts are asked"
    assert {"non_toxicity", "refusal_rate"} == set(found["measures"]["toxicity"])
    rows = list(read_rows(out / "measurements.jsonl", Measurement))
    assert {row.model for row in rows} == {"tiny"}
    assert not [path for path in out.iterdir() if path.name.startswith((".part", ".prep"))]
    results = json.loads((out / "lm_eval" / "results.json").read_text())
    exact = found["measures"]["nq"]["exact_match"]["value"]
    assert results["results"]["veneer_nq"]["exact_match,none"] == exact
    before = {p: p.stat().st_mtime_ns for p in (out / "sheets.jsonl", out / "model.json")}
    assert measured() == found
    assert {p: p.stat().st_mtime_ns for p in before} == before, "nothing was measured again"
    with pytest.raises(RunFolderError, match="differs"):
        measure_model(f"hf:{model}", ["nq"], out, benchmark_data=[str(data)])


def test_a_measure_that_is_done_is_not_done_again_after_a_kill(model, data, tmp_path, monkeypatch):
    from veneer.measure import measuring

    out, whole, asked = tmp_path / "out", tmp_path / "whole", []
    given = {"benchmark_data": [str(data)], "settings": {"max_new_tokens": {"nq": 4}}}
    measures = ["nq", "nq-0shot", "toxicity"]
    score = measuring.Exam.scored

    def until_killed(exam, name, *place):
        asked.append(name)
        if name == "toxicity" and asked.count("toxicity") == 1:
            raise MemoryError
        return score(exam, name, *place)

    monkeypatch.setattr(measuring.Exam, "scored", until_killed)
    with pytest.raises(MemoryError):
        measure_model(str(model), measures, out, **given)
    measure_model(str(model), measures, out, **given)
    assert asked == ["nq", "nq-0shot", "toxicity", "toxicity"]
    measure_model(str(model), measures, whole, **given)
    for name in ("sheets.jsonl", "outputs.jsonl", "lm_eval/results.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_a_short_context_and_a_classifier_leave_reasons_not_crashes(tmp_path, data):
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = None
    llama(len(tokenizer), context=48).save_pretrained(tmp_path / "short")
    tokenizer.save_pretrained(tmp_path / "short")
    item = {"subject": "s", "question": "Q" * 90, "choices": list("wxyz"), "answer": 1}
    lines(data / "mmlu_test.jsonl", [item])
    lines(data / "mmlu_dev.jsonl", [item])
    found = measure_model(
        str(tmp_path / "short"), ["mmlu", "nq"], tmp_path / "out", benchmark_data=[str(data)]
    )
    assert found["measures"]["mmlu"]["accuracy"]["n"] == 0
    assert found["measures"]["mmlu"]["accuracy"]["unscored"] == 1
    assert "context" in " ".join(found["unscored_reasons"]["mmlu"])
    sheets = {s.measure: s for s in read_rows(tmp_path / "out" / "sheets.jsonl", ScoreSheet)}
    assert len(sheets["nq"].values) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--measures", "nqq"], "Did you mean 'nq'?"),
        (["--measures", "nq", "--benchmark-data", "FOLDER/empty"], "nq.jsonl"),
        (["--measures", "nq", "--benchmark-data", "nope.jsonl"], "nope.jsonl does not exist"),
        (["--measures", "nq", "--benchmark-data", "hm=x.jsonl"], "no measure reads 'hm'"),
        (["--measures", "toxicity", "--toxicity", "scorer=guess"], "scorer"),
        (["--measures", "nq", "--benchmark-data", "FOLDER/broken"], "line 2"),
    ],
)
def test_mistakes_end_in_one_message_and_leave_the_folder_free(model, data, tmp_path, words, said):
    broken = data / "broken"
    broken.mkdir()
    (data / "empty").mkdir()
    lines(broken / "nq.jsonl", [{"question": "q", "answer": ["a"]}, {"question": "q"}])
    lines(broken / "nq_shots.jsonl", [{"question": f"q{i}", "answer": ["a"]} for i in range(3)])
    words = [word.replace("FOLDER", str(data)) for word in words]
    out = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(
            app, ["measure", str(model), *words, "--out", str(out)], catch_exceptions=False
        )
    assert said in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (out / "study.json").exists()


def test_toxicity_settings_of_the_command():
    assert toxicity_from([]) is None
    found = toxicity_from(["form=continuations", "samples=5"])
    assert (found["samples"], found["max_new_tokens"], found["top_p"]) == (5, 20, 0.9)


@pytest.fixture
def no_sandbox(monkeypatch):
    monkeypatch.setenv("PATH", "")
    unavailable.cache_clear()
    yield
    monkeypatch.undo()
    unavailable.cache_clear()


def test_without_a_sandbox_programs_are_refused_before_anything_runs(
    model, data, tmp_path, no_sandbox
):
    with pytest.raises(InputError, match="apt-get install bubblewrap"):
        measure_model(str(model), ["nq", "humaneval"], tmp_path / "out", benchmark_data=[str(data)])
    assert not (tmp_path / "out" / "study.json").exists()


def test_what_was_unscored_for_want_of_a_sandbox_is_another_step(no_sandbox):
    study, here = load_study(str(Path(__file__).parent / "tiny.yaml"))
    without = graph(study, here).fingerprint
    unavailable.cache_clear()
    with pytest.MonkeyPatch.context() as there:
        there.setattr("veneer.study.unavailable", lambda: "")
        assert graph(study, here).fingerprint != without, "the same command measures again"
