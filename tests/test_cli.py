"""The command line as a person meets it: one message, exit code 2, nothing lost, no traceback."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api_server import start

TINY = (Path(__file__).parent / "tiny.yaml").read_text()


def veneer(*words, cwd=None):
    environment = {**os.environ, "COLUMNS": "100", "VENEER_JOURNAL": f"{cwd}/.journal"}
    environment.pop("OPENAI_API_KEY", None)
    environment.pop("OPENAI_BASE_URL", None)
    command = [sys.executable, "-m", "veneer", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def outputs(path, generator, answers):
    rows = [{"instruction": q, "output": a, "generator": generator} for q, a in answers.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def files(tmp_path):
    asked = {f"Question {i}?": "An answer of a few words. " * (i % 5 + 1) for i in range(20)}
    said = {q: f"{a}And more." for q, a in asked.items()}
    other = {q.replace("Question", "Riddle"): a for q, a in asked.items()}
    outputs(tmp_path / "teacher.jsonl", "gpt", asked)
    outputs(tmp_path / "student.jsonl", "vicuna", said)
    outputs(tmp_path / "base.jsonl", "llama", {q: a.upper() for q, a in said.items()})
    outputs(tmp_path / "elsewhere.jsonl", "vicuna", other)
    whole = gzip.compress((tmp_path / "student.jsonl").read_bytes())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    lines = (tmp_path / "student.jsonl").read_text().splitlines()
    lines[6] = lines[6][:-9]
    (tmp_path / "broken.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "prompts.jsonl").write_text('{"text": "Who?"}\n')
    (tmp_path / "unknown-key.yaml").write_text(TINY + "\nteecher: x\n")
    (tmp_path / "scheme.yaml").write_text(TINY.replace("pocket:teacher", "openapi:gpt"))
    (tmp_path / "itself.yaml").write_text(TINY.replace("pocket:M", "pocket:teacher"))
    other_run = tmp_path / "other-run"
    other_run.mkdir()
    (other_run / "study.json").write_text(json.dumps({"kind": "study", "spec": {"name": "x"}}))
    return tmp_path


URL = "http://127.0.0.1:9/v1"
GIVEN = ["audit", "--teacher", "teacher.jsonl", "--out", "run"]
ASKED = ["collect", "prompts.jsonl", "--teacher", "openai:m", "--base-url", URL]
WRITTEN = ["synthesize", "--teacher", "openai:m", "--base-url", URL, "--count", "3"]
MISTAKES = {
    "a missing file": ([*GIVEN, "--student", "nothing.jsonl"], ["nothing.jsonl"]),
    "truncated gzip": ([*GIVEN, "--student", "cut.jsonl.gz"], ["cut.jsonl.gz"]),
    "broken JSON": ([*GIVEN, "--student", "broken.jsonl"], ["broken.jsonl", "line 7"]),
    "other prompts": ([*GIVEN, "--student", "elsewhere.jsonl"], ["elsewhere.jsonl"]),
    "an empty file": ([*GIVEN, "--student", "empty.jsonl"], ["empty.jsonl"]),
    "another model": ([*GIVEN, "--student", "koala=student.jsonl"], ["koala", "vicuna"]),
    "base is teacher": (
        [*GIVEN, "--student", "student.jsonl", "--base", "teacher.jsonl"],
        ["base", "teacher"],
    ),
    "an unknown key": (["run", "unknown-key.yaml"], ["'teecher'", "Did you mean 'teacher'?"]),
    "an unknown scheme": (["run", "scheme.yaml"], ["'openapi'", "hf:", "pocket:"]),
    "base is the teacher": (["run", "itself.yaml"], ["base M is the teacher itself"]),
    "no such study": (["run", "poket"], ["'poket'", "pocket"]),
    "another study's folder": (
        ["run", "pocket", "--out", "other-run"],
        ["other-run was written by another study"],
    ),
    "no run folder": (["report", "nowhere"], ["nowhere"]),
    "no study in it": (["status", "nowhere"], ["nowhere is not a run folder"]),
    "no key": (
        ["collect", "teacher.jsonl", "--teacher", "openai:gpt-5", "--out", "o"],
        ["OPENAI_API_KEY is not set", "export OPENAI_API_KEY"],
    ),
    "no such prompts": (
        ["collect", "no.jsonl", "--teacher", "openai:m", "--base-url", URL, "--out", "o"],
        ["no.jsonl"],
    ),
    "no endpoint there": (
        [
            "collect",
            "prompts.jsonl",
            "--teacher",
            "openai:m",
            "--base-url",
            "localhost",
            "--out",
            "o",
        ],
        ["'localhost' is not the address of an endpoint", "http://"],
    ),
    "a base URL for a local model": (
        ["collect", "prompts.jsonl", "--teacher", "hf:x", "--base-url", URL, "--out", "o"],
        ["hf:x runs on this machine", "openai:x"],
    ),
    "a budget without a price": (
        [*ASKED, "--budget-usd", "1", "--out", "o"],
        ["price of m", "models: {m:"],
    ),
    "no such template": (
        [*WRITTEN, "--template", "cyper", "--out", "o"],
        ["'cyper'", "cypher"],
    ),
    "a value without a name": (
        [*WRITTEN, "--value", "x", "--out", "o"],
        ["'x' gives no value", "NAME=TEXT"],
    ),
    "nothing to curate": (["curate", "no.jsonl", "--out", "o"], ["no.jsonl"]),
    "another folder's results": (
        ["curate", "prompts.jsonl", "--out", "other-run"],
        ["other-run"],
    ),
    "an impossible threshold": (
        ["curate", "prompts.jsonl", "--bleu", "1", "--out", "o"],
        ["decontaminate.bleu cannot be 1"],
    ),
    "an unknown data set": (["curate", "hub:", "--out", "o"], ["hub:"]),
    "no queries": (["nearest", "no.jsonl"], ["no.jsonl"]),
    "an empty file of queries": (["nearest", "empty.jsonl"], ["empty.jsonl"]),
    "an unknown command": (["audits"], ["audits"]),
    "an unknown option": (["run", "pocket", "--sedes", "3"], ["--sedes"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_message_and_exit_code_2(files, mistake):
    words, said = MISTAKES[mistake]
    before = {p: p.read_bytes() for p in files.rglob("*") if p.is_file()}
    done = veneer(*words, cwd=files)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for part in said:
        assert part in done.stderr
    if words[0] not in ("audits",) and "--sedes" not in words:
        assert done.stderr.startswith("veneer: ")
        assert len(done.stderr.splitlines()) >= 2, "no word on what to type next"
    quiet = {".lock", ".account"}
    left = {
        p: p.read_bytes()
        for p in files.rglob("*")
        if p.is_file() and p.name not in quiet and not p.name.startswith(".journal")
    }
    assert {p: c for p, c in left.items() if p in before} == before
    assert set(left) <= set(before), "something was left behind"


def test_every_command_has_help_with_an_example():
    commands = ("collect", "synthesize", "curate", "nearest", "run", "audit", "report", "status")
    for command in (*commands, "schema"):
        done = veneer(command, "--help")
        assert done.returncode == 0
        assert f"Example:  veneer {command}" in done.stdout


def test_an_audit_prints_one_json_object_and_writes_what_was_promised(files):
    words = [*GIVEN, "--student", "student.jsonl", "--base", "base.jsonl", "--json"]
    done = veneer(*words, cwd=files)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert done.stderr == ""
    run = files / "run"
    findings = json.loads((run / "findings.json").read_text())
    assert {"gap_closed", "veneer", "claims", "forecasts", "advice"} <= findings.keys()
    assert said["verdict"] == findings["verdict"]
    assert (run / "measurements.jsonl").is_file()
    assert (run / "report" / "index.html").is_file()
    assert list((run / "report").rglob("*.svg"))
    assert list((run / "report").rglob("*.csv"))
    again = veneer("report", "run", cwd=files)
    assert again.returncode == 0, again.stderr


def test_categories_are_judged_by_a_model_that_the_command_names(tmp_path):
    words = [["Write a poem about rain", "Rain, rain."], ["What is the sun?", "A star."]]
    rows = [{"instruction": asked, "output": said} for asked, said in words]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with start() as server:
        command = ["curate", "data.jsonl", "--category-judge", "openai:judge", "--json"]
        command += ["--base-url", server.url, "--out", "out"]
        done = veneer(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        asked = [entry["prompt"] for entry in server.ledger()["billed"]]
        assert sum("Write a poem about rain" in text for text in asked) == 1
        assert json.loads(done.stdout)["kept"] == 2
        again = veneer(*command, cwd=tmp_path)
        assert (again.returncode, again.stdout) == (0, done.stdout)
        assert len(server.ledger()["billed"]) == len(asked)


def test_the_schema_and_the_version_are_printed():
    assert json.loads(veneer("schema").stdout)["properties"].keys() >= {"teacher", "bases"}
    assert veneer("--version").stdout.startswith("veneer ")
