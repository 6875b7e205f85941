"""A whole study, every stage real: run, read, killed, gone on with."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from veneer.findings import conclude, measurements
from veneer.raters.packet import read_packet
from veneer.rating.packing import PackSettings, pack_run
from veneer.records import Answer, Findings, Measurement, ScoreSheet, StudyFacts, read_rows

TINY = Path(__file__).parent / "tiny.yaml"
RESULTS = ("measurements.jsonl", "findings.json", "facts.json", "examples.jsonl")
KILLS = int(os.environ.get("VENEER_KILLS", "3"))
FIELDS = [
    "model", "role", "base", "corpus", "tokens", "seed", "measure", "metric",
    "value", "low", "high", "n", "unscored",
]  # fmt: skip
CLAIMS = [
    "style-improves-with-data",
    "broad-imitation-leaves-capability",
    "local-imitation-works",
    "better-base-beats-more-data",
    "raters-are-fooled-by-style",
    "safety-style-is-inherited",
]


def veneer(*words, **options):
    """The command, in a process group of its own, without a cache."""
    environment = {**os.environ, "VENEER_CACHE": ""}
    command = [sys.executable, "-m", "veneer", *map(str, words)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **options,
    )


def finished(*words):
    process = veneer(*words)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    code, out, err = finished("run", TINY, "--out", run, "--json", "--workers", "2")
    assert code == 0, err
    return run, json.loads(out), err


def test_the_run_says_how_it_ended_in_one_object_and_is_quiet_in_a_pipe(undisturbed):
    run, said, err = undisturbed
    assert err == ""
    assert said["run"] == str(run)
    assert Path(said["report"]).is_file()
    assert list(said["claims"]) == CLAIMS
    assert set(said["veneer"]) == {"style", "capability"}


def test_every_student_has_a_card_with_its_own_measurements(undisturbed):
    run = undisturbed[0]
    rows = list(read_rows(run / "measurements.jsonl", Measurement))
    cards = sorted(run.glob("steps/trained-*/tokens-*/README.md"))
    assert len(cards) == len(list(run.glob("steps/trained-*/tokens-*")))
    for path in cards:
        text = path.read_text("utf-8")
        front = yaml.safe_load(text.split("---\n")[1])
        assert front["pipeline_tag"] == "text-generation"
        amount = json.loads((path.parent / "trained_on.json").read_text())
        _, base, corpus, _ = path.parents[1].name.split("-", 3)
        mine = [r for r in rows if (r.base, r.corpus, r.tokens) == (base, corpus, amount["tokens"])]
        shown = re.findall(
            r"^\| ([^| ]+) \| ([^|]+) \| ([^|]+) \| \S* ?\S* ?\| ", text, re.MULTILINE
        )
        said = {(m, metric.replace("\\", ""), value) for m, metric, value in shown}
        assert mine
        for row in mine:
            value = "undefined" if row.value is None else f"{row.value:.3f}"
            assert (row.measure, row.metric, value) in said
        assert "pocket:teacher" in text
        assert "imitation closed" in text


def test_measurements_have_the_promised_fields_and_cover_every_model(undisturbed):
    run = undisturbed[0]
    lines = (run / "measurements.jsonl").read_text().splitlines()
    assert all(list(json.loads(line)) == FIELDS for line in lines)
    rows = list(read_rows(run / "measurements.jsonl", Measurement))
    study = yaml.safe_load(TINY.read_text())
    students = {(r.base, r.corpus, r.tokens) for r in rows if r.role == "student"}
    assert len(students) == len(study["bases"]) * (2 + 1 + 1)
    for model in {r.model for r in rows if r.role in ("base", "student")}:
        measured = {r.measure for r in rows if r.model == model}
        assert measured == {"nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity"}
    for row in rows:
        if row.value is not None and row.low is not None and row.metric != "length_correlation":
            assert 0 <= row.low <= row.value <= row.high <= 1
    # 32 tokens × 2 blocks a step: amounts are whole steps, and the true ones are reported.
    assert all(r.tokens % 64 == 0 for r in rows if r.role == "student")


def test_findings_follow_from_the_scores_on_disk_and_nothing_else(undisturbed):
    """Recompute from the steps' sheets, in another order."""
    run = undisturbed[0]
    sheets = [s for path in run.glob("steps/*/sheets.jsonl") for s in read_rows(path, ScoreSheet)]
    sheets = list({s.content_id(): s for s in sheets}.values())
    random.Random(1).shuffle(sheets)
    facts = StudyFacts.model_validate_json((run / "facts.json").read_text())
    written = Findings.model_validate_json((run / "findings.json").read_text())
    assert {curve.corpus for curve in written.support} == set(facts.corpora)
    found = conclude(facts, sheets).model_copy(update={"support": written.support})
    assert found == written
    rows = list(read_rows(run / "measurements.jsonl", Measurement))
    assert measurements(sheets) == rows
    assert facts.corpora["local"].task == "nq"
    assert all(count and count > 100 for count in facts.parameters.values())


def test_students_never_saw_a_test_question(undisturbed):
    run = undisturbed[0]
    world = next(run.glob("steps/world-*"))
    kept_out = {json.loads(line)["text"].casefold() for line in (world / "eval_text.jsonl").open()}
    corpora = list(run.glob("steps/corpus-*/corpus.jsonl"))
    assert len(corpora) == 2
    for path in corpora:
        for line in path.open():
            for message in json.loads(line)["messages"]:
                assert message["content"].casefold().strip(" ?") not in kept_out


def test_models_load_in_plain_transformers(undisturbed):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = next(undisturbed[0].glob("steps/trained-M-broad-*/tokens-2000"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    turn = [{"role": "user", "content": "hello"}]
    prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt")
    ids = prompt if hasattr(prompt, "shape") else prompt["input_ids"]
    said = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert said.shape[1] > ids.shape[1]


def test_a_second_run_does_nothing_again_and_ends_alike(undisturbed):
    run = undisturbed[0]
    before = {path: path.stat().st_mtime_ns for path in run.glob("steps/*/step.json")}
    results = {name: (run / name).read_bytes() for name in RESULTS}
    code, out, err = finished("run", TINY, "--out", run)
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in run.glob("steps/*/step.json")} == before
    assert {name: (run / name).read_bytes() for name in RESULTS} == results
    assert "Report:" in out
    code, out, err = finished("status", run)
    assert code == 0
    assert f"{len(before)} of {len(before)} steps done" in out


def test_its_answers_are_packed_for_raters_as_they_were_given(undisturbed, tmp_path):
    run = undisturbed[0]
    wide = PackSettings(bleu=None, language=None, keep_coding=True)
    packed = pack_run(run, tmp_path / "packet", settings=wide)
    packet = read_packet(tmp_path / "packet")
    said = {
        (row.model, row.prompt): row.text.strip()
        for path in run.glob("steps/measured-*/answers.jsonl")
        for row in read_rows(path, Answer)
    }
    rated = [pair for pair in packet.pairs if packet.keys[pair.item].gold is None]
    assert len(rated) + len(packet.settled) == 6 * packed["prompts"]
    for pair in rated:
        key = packet.keys[pair.item]
        assert {key.first, key.second} & {"teacher"}
        assert pair.output_1 == said[key.first, pair.prompt]
        assert pair.output_2 == said[key.second, pair.prompt]
    assert all(
        said[row.first, row.prompt] == said[row.second, row.prompt] for row in packet.settled
    )
    sheets = {
        s.subject for path in run.glob("steps/*/sheets.jsonl") for s in read_rows(path, ScoreSheet)
    }
    assert set(packet.facts.subjects.values()) <= sheets


def test_more_seeds_extend_a_run_and_other_studies_are_refused(undisturbed, tmp_path):
    run = undisturbed[0]
    other = yaml.safe_load(TINY.read_text())
    other["recipe"]["learning_rate"] = 5e-4
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(other))
    code, out, err = finished("run", path, "--out", run)
    assert code == 2
    assert "spec.recipe.learning_rate: 0.0015 there, 0.0005 here" in err
    assert "Traceback" not in err
    assert out == ""


def test_a_second_process_on_the_folder_is_told_so(tmp_path):
    run = tmp_path / "run"
    first = veneer("run", TINY, "--out", run, "--workers", "1")
    try:
        deadline = time.monotonic() + 60
        while not list(run.glob("steps/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        code, out, err = finished("run", TINY, "--out", run)
        assert code == 2
        assert f"Another veneer (process {first.pid}) is working on {run}" in err
        assert out == ""
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


def test_killed_at_random_moments_it_ends_the_same(undisturbed, tmp_path):
    """SIGKILL to the process group; then the same command, until it gets through."""
    run = tmp_path / "run"
    luck = random.Random(20)
    for _ in range(KILLS):
        process = veneer("run", TINY, "--out", run, "--workers", "2")
        try:
            process.wait(timeout=luck.uniform(1, 12))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    code, _, err = finished("run", TINY, "--out", run, "--workers", "2")
    assert code == 0, err
    for name in RESULTS:
        assert (run / name).read_bytes() == (undisturbed[0] / name).read_bytes(), name
    assert not list(run.glob("steps/.partial-*"))


def test_ctrl_c_says_that_the_run_can_go_on(tmp_path):
    # A shell's background job, as this may be, passes on that SIGINT is ignored.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = veneer("run", TINY, "--out", tmp_path / "run", "--workers", "1", **heard)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("run/steps/world-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "what was done is kept" in err
    assert "Traceback" not in err
