"""`veneer audit` end to end: on real outputs where they are, and on small made-up ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from veneer.audit import audit
from veneer.errors import InputError, RunFolderError
from veneer.records import Example, Findings, Measurement, StudyFacts, read_rows

LIST = "Here you are:\n- one thing\n- another thing\n\nOverall, that is all."


def answers(model: str, texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"instruction": p, "output": t, "generator": model} for p, t in texts.items()]


@pytest.fixture
def files(tmp_path):
    """Outputs of five models to forty prompts: the student sounds like the teacher."""
    prompts = [f"prompt {k}" for k in range(40)]

    def write(name: str, texts: dict[str, str]) -> str:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in answers(name, texts)))
        return str(path)

    def long(k: int, salt: str) -> str:
        return f"{LIST} " + f"word{k % 7} {salt} " * (k % 5 + 1)

    return {
        "teacher": write("teacher-model", {p: long(k, "t") for k, p in enumerate(prompts)}),
        "again": write("second-sample", {p: long(k, "again") for k, p in enumerate(prompts)}),
        "base": write("base-model", {p: f"no idea {k * 7 % 11}" for k, p in enumerate(prompts)}),
        "student": write(
            "student-model",
            {p: long(k, "s") if k % 3 else "short" for k, p in enumerate(reversed(prompts))},
        ),
    }


def run(out: Path, files: dict[str, str], **more) -> Findings:
    given = {
        "teacher": files["teacher"],
        "teacher_again": files["again"],
        "base": files["base"],
        "students": [files["student"]],
        "report": False,
    }
    return audit(out, **(given | more))


def scores(path: Path, right: int, n: int = 200) -> Path:
    path.write_text(
        "".join(
            json.dumps({"item": f"q{k}", "score": k < right, "measure": "nq"}) + "\n"
            for k in range(n)
        )
    )
    return path


def test_the_run_folder_holds_everything(files, tmp_path) -> None:
    out = tmp_path / "run"
    found = run(out, files, command="veneer audit …")
    names = {path.name for path in out.iterdir()}
    assert names == {
        "measurements.jsonl", "findings.json", "examples.jsonl", "joins.json", "facts.json",
        "provenance.json", "categories.jsonl", "preferences.jsonl",
    }  # fmt: skip
    assert Findings.model_validate_json((out / "findings.json").read_text()) == found
    rows = list(read_rows(out / "measurements.jsonl", Measurement))
    assert {row.role for row in rows} == {"teacher-again", "base", "student"}
    assert StudyFacts.model_validate_json((out / "facts.json").read_text()).parameters == {
        "base-model": None
    }
    examples = list(read_rows(out / "examples.jsonl", Example))
    assert len(examples) == 12
    for example in examples:
        assert [who.role for who, _ in example.answers] == [
            "teacher", "teacher-again", "base", "student",
        ]  # fmt: skip
    assert json.loads((out / "provenance.json").read_text())["kind"] == "audit"
    assert found.veneer["style"].value > 0
    assert found.verdict.startswith("student-model (from base-model) closed ")


def test_the_same_bytes_every_time(files, tmp_path) -> None:
    for name in ("one", "two"):
        run(tmp_path / name, files)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_what_does_not_join_is_counted_and_shown(files, tmp_path) -> None:
    path = Path(files["student"])
    extra = {"instruction": "another prompt", "output": "x", "generator": "student-model"}
    lines = path.read_text().splitlines()[2:]
    path.write_text("\n".join([*lines, json.dumps(extra)]) + "\n")
    out = tmp_path / "run"
    run(out, files)
    account = json.loads((out / "joins.json").read_text())[-1]
    assert (account["joined"], account["only_here"], account["only_teacher"]) == (38, 1, 2)
    assert account["not_joined"] == ["another prompt"]
    facts = json.loads((out / "facts.json").read_text())
    assert "student-model: 38 of 40 prompts joined; 1 answer other prompts" in facts["notes"]


def test_benchmarks_complete_the_pair(files, tmp_path) -> None:
    given = [
        f"{role}={scores(tmp_path / f'{role}-nq.jsonl', right)}"
        for role, right in (("teacher", 160), ("base", 80), ("student", 76))
    ]
    found = run(tmp_path / "run", files, benchmarks=given)
    assert found.veneer["capability"].value == pytest.approx((76 - 80) / (160 - 80))
    claims = {claim.id: claim.verdict for claim in found.claims}
    assert claims["broad-imitation-leaves-capability"] == "holds"


def test_benchmarks_alone_reach_as_far_as_they_do(tmp_path) -> None:
    """Whatever the order in which they are given."""
    base, student = (scores(tmp_path / f"{n}.jsonl", r) for n, r in (("b", 80), ("s", 79)))
    given = [f"student={student}", f"base={base}"]
    found = audit(tmp_path / "one", benchmarks=given, report=False)
    assert found == audit(tmp_path / "two", benchmarks=given[::-1], report=False)
    assert "no improvement" in found.verdict
    assert found.veneer["capability"].value is None


def test_totals_of_lm_eval_are_unpaired_and_say_so(tmp_path) -> None:
    given = []
    for role, value in (("teacher", 0.8), ("base", 0.4), ("student", 0.42)):
        path = tmp_path / f"results_{role}.json"
        results = {"mmlu": {"acc,none": value, "acc_stderr,none": 0.01}}
        path.write_text(json.dumps({"results": results, "n-samples": {}}, indent=1))
        given.append(f"{role}={path}")
    found = audit(tmp_path / "run", benchmarks=given, report=False)
    (row,) = found.gap_closed
    assert row.value == pytest.approx(0.05)
    # Delta method: sd of the ratio ≈ sqrt(.01² + .95²·.01² + .05²·.01²) / 0.4
    sd = (0.01**2 * (1 + 0.95**2 + 0.05**2)) ** 0.5 / 0.4
    assert row.high - row.low == pytest.approx(2 * 1.96 * sd, rel=0.08)
    assert "unpaired" in row.note


def test_two_students_stand_side_by_side(files, tmp_path) -> None:
    again = Path(files["again"])
    second = tmp_path / "second-student.jsonl"
    second.write_text(again.read_text().replace("second-sample", "second-student"))
    found = run(
        tmp_path / "run", files, students=[files["student"], str(second)], teacher_again=None
    )
    assert {g.corpus for g in found.gap_closed} == {"student-model", "second-student"}


# ---- bad input: one message, exit 2 ----------------------------------------------------------


def refused(out: Path, **given) -> str:
    with pytest.raises(InputError) as caught:
        audit(out, report=False, **given)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert not out.exists(), "nothing is left behind"
    return caught.value.message


def test_refusals(files, tmp_path) -> None:
    out = tmp_path / "run"
    teacher, base, student = files["teacher"], files["base"], files["student"]
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"prompt": "unheard of", "output": "x"}) + "\n")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    broken = tmp_path / "broken.jsonl"
    broken.write_text(Path(student).read_text() + '{"instruction": ')
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(Path(student).read_bytes() * 50)[:-20])
    copy = tmp_path / "copy.jsonl"
    copy.write_text(Path(teacher).read_text())

    pair = {"teacher": teacher, "students": [student]}
    assert "No such file" in refused(out, teacher="nowhere.jsonl", students=[student])
    assert "truncated" in refused(out, teacher=teacher, students=[str(cut)])
    assert "line 41: broken JSON" in refused(out, teacher=teacher, students=[str(broken)])
    assert "answers other prompts" in refused(out, teacher=teacher, students=[str(other)])
    assert "is empty" in refused(out, **pair, base=str(empty))
    assert "same file" in refused(out, **pair, base=teacher)
    assert "'teacher-model'" in refused(out, **pair, base=str(copy))
    message = refused(out, teacher=f"gpt-4={teacher}", students=[student])
    assert "'teacher-model'" in message
    assert "'gpt-4'" in message
    assert "no teacher was given" in refused(out, students=[student], base=base)
    assert "Nothing to audit" in refused(out)
    assert "does not say whose" in refused(out, **pair, benchmarks=[str(other)])
    assert "no model of this audit" in refused(out, **pair, benchmarks=[f"pupil={other}"])


def test_equal_answers_under_another_name_are_refused(files, tmp_path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text(Path(files["teacher"]).read_text().replace("teacher-model", "honest-base"))
    message = refused(
        tmp_path / "run", teacher=files["teacher"], students=[files["student"]], base=str(copy)
    )
    assert "same answers as the teacher" in message


def test_folders_of_others_are_left_alone(files, tmp_path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="something else"):
        run(out, files)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]

    ours = tmp_path / "ours"
    run(ours, files)
    before = (ours / "findings.json").read_bytes()
    run(ours, files)  # the same files again: the same audit
    assert (ours / "findings.json").read_bytes() == before
    with pytest.raises(RunFolderError, match="audit of other files"):
        run(ours, files, base=None)
    assert (ours / "findings.json").read_bytes() == before
    assert not list(tmp_path.glob(".*")), "no scratch folders stay"


# ---- real files ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared() -> Path:
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    pytest.skip("the shared data are not here")


def measured(out: Path, model: str, measure: str) -> dict[str, Measurement]:
    rows = read_rows(out / "measurements.jsonl", Measurement)
    return {row.metric: row for row in rows if (row.model, row.measure) == (model, measure)}


EXPECTED_STYLE = {  # list agreement %, F1 %, r, prompts joined
    "gpt-3.5-turbo-0613": (94.3, 49.86, 0.803, 805),
    "vicuna-13b": (86.2, 45.06, 0.722, 805),
    "text_davinci_001": (34.0, 30.88, 0.592, 803),
}


def test_the_alpaca_eval_case(shared, tmp_path) -> None:
    folder, out = shared / "alpaca_eval/outputs", tmp_path / "run"
    found = audit(
        out,
        teacher=str(folder / "gpt-3.5-turbo-0301.jsonl.gz"),
        teacher_again=f"gpt-3.5-turbo-0613={folder / 'gpt-3.5-turbo-0613.jsonl.gz'}",
        base=str(folder / "text_davinci_001.jsonl.gz"),
        students=[str(folder / "vicuna-13b.jsonl.gz")],
        preferences=[
            str(shared / f"alpaca_eval/annotations_gpt4/{name}.jsonl.gz")
            for name in ("gpt-3.5-turbo-0301", "text_davinci_001", "vicuna-13b")
        ],
        report=False,
    )
    for model, (lists, f1, r, n) in EXPECTED_STYLE.items():
        rows = measured(out, model, "style")
        assert round(100 * rows["list_agreement"].value, 1) == lists
        assert round(100 * rows["unigram_f1"].value, 2) == f1
        assert round(rows["length_correlation"].value, 3) == r
        assert rows["length_correlation"].n == n
    closed = {g.metric: g for g in found.gap_closed}
    assert closed["win_rate"].value == pytest.approx(
        (0.70434783 - 0.15174129) / (0.89365672 - 0.15174129), abs=2e-3
    )
    assert closed["list_agreement"].value == pytest.approx((86.2 - 34.0) / (94.3 - 34.0), abs=5e-3)
    assert found.veneer["style"].low > 0.5
    assert found.veneer["capability"].value is None
    assert "no benchmark was measured" in found.verdict


def test_the_vicuna_blog_case(shared, tmp_path) -> None:
    folder, out = shared / "vicuna_blog", tmp_path / "run"
    found = audit(
        out,
        teacher=str(folder / "answer_gpt35.jsonl"),
        base=str(folder / "answer_llama-13b.jsonl"),
        students=[str(folder / "answer_vicuna-13b.jsonl")],
        preferences=[
            str(folder / f"reviews/review_{name}_vicuna-13b.jsonl")
            for name in ("gpt35", "llama-13b")
        ],
        report=False,
    )
    student = "vicuna-13b:20230322-clean-lang"
    direct = measured(out, student, "preference")["win_rate"]
    assert (direct.n, direct.unscored) == (77, 3)
    assert direct.value < 0.5
    assert measured(out, student, "preference-vs-llama-13b:v1")["win_rate"].value > 0.9
    assert {claim.verdict for claim in found.claims} == {"undecided"}
    assert "second sample of the teacher was not measured" in found.verdict


def test_the_mmlu_case_says_no_improvement(shared, tmp_path) -> None:
    stem = shared / "benchmarks/mmlu_predictions/llama2-7b_alpacagpt4_checkpoint-"
    found = audit(
        tmp_path / "run",
        benchmarks=[f"base={stem}0.jsonl.gz", f"student={stem}200.jsonl.gz"],
        report=False,
    )
    assert "−0.5 pp" in found.verdict
    assert "no improvement" in found.verdict
    rows = [row.value for row in read_rows(tmp_path / "run/measurements.jsonl", Measurement)]
    assert rows == pytest.approx([1698 / 3536, 1679 / 3536])


def test_auditing_loads_no_model_code() -> None:
    code = (
        "import sys, veneer.audit\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'matplotlib', 'datasets', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
