"""Studies whose teacher is behind an endpoint, and data that is chosen and mixed: end to end."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from api_server import start

sys.path.append(str(Path(__file__).parent / "measure" / "judging"))
from judge_server import Taste, judging

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())
KEY = "sk-test-0123456789abcdefghij"
PLAIN = {"categories": False, "diversity": 0}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder, and an environment whose cache and journal lie in it."""
    folder = tmp_path_factory.mktemp("endpoint")
    kept = {"VENEER_CACHE": str(folder / "cache"), "VENEER_JOURNAL": str(folder / "journal.sqlite")}
    return folder, {**os.environ, **kept, "OPENAI_API_KEY": KEY}


def run(place, study, out, *words):
    folder, environment = place
    (folder / f"{out}.yaml").write_text(yaml.safe_dump(study))
    command = [sys.executable, "-m", "veneer", "run", f"{out}.yaml", "--out", out, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_a_teacher_behind_an_endpoint_is_paid_once_and_its_key_is_in_no_file(place):
    with start(key=KEY, models="gpt-4o-mini") as server:
        study = {
            **TINY,
            "name": "bought",
            "teacher": {"model": "openai:gpt-4o-mini", "base_url": server.url},
            "bases": {"S": "pocket:S"},
            "corpora": {"broad": {"collect": "pocket:queries.jsonl", "answer_tokens": 60, **PLAIN}},
            "tokens": [600],
            "measures": ["nq", "mmlu", "style", "toxicity"],
            "budget": {"usd": 0.0002},
        }
        done = run(place, study, "bought")
        assert done.returncode == 1
        assert "The budget ends here" in done.stderr
        assert "Traceback" not in done.stderr
        study["budget"]["usd"] = 1.0
        done = run(place, study, "bought", "--json")
        assert done.returncode == 0, done.stderr
        assert "forbids training competing models" in done.stderr, (
            "what the teacher's terms forbid is said before training"
        )
        bill = server.ledger()
        assert len({entry["idempotency_key"] for entry in bill["billed"]}) == len(bill["billed"])
        assert run(place, study, "again").returncode == 0
        assert server.ledger()["billed"] == bill["billed"], "another study asks nothing twice"
    folder = place[0] / "bought"
    rows = [json.loads(line) for line in (folder / "measurements.jsonl").open()]
    scores = {(r["role"], r["measure"]): r for r in rows}
    assert scores["teacher", "mmlu"]["value"] is None
    assert scores["teacher", "mmlu"]["unscored"] > 0
    assert scores["teacher", "nq"]["n"] > 0
    assert ("teacher-again", "style") in scores
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["corpora"]["broad"]["ledger"][0]["compete"] == "forbidden"
    assert facts["corpora"]["broad"]["conflicts"]
    assert "may train a competing model" in (folder / "report" / "index.html").read_text()
    for path in [*place[0].rglob("*")]:
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_judge_is_part_of_a_study_and_is_paid_once(place):
    with judging(Taste(first=0.4), key=KEY, models="gpt-4o-mini") as (judge, address):
        study = {
            **TINY,
            "name": "judged",
            "bases": {"S": "pocket:S"},
            "corpora": {"broad": TINY["corpora"]["broad"]},
            "tokens": [600],
            "measures": ["nq", "style", "judge"],
            "judge": {"model": "openai:gpt-4o-mini", "base_url": address},
        }
        done = run(place, study, "judged", "--json")
        assert done.returncode == 0, done.stderr
        billed = len(judge.billed)
        assert billed == len({entry["idempotency_key"] for entry in judge.billed})
        for lost in [*(place[0] / "judged" / "steps").glob("judged-*")]:
            shutil.rmtree(lost)
        assert run(place, study, "judged").returncode == 0
        assert len(judge.billed) == billed, "steps that are done again ask no verdict twice"
        assert not any("broad" in asked or "teacher" in asked for asked in judge.shown)
    folder = place[0] / "judged"
    rows = [json.loads(line) for line in (folder / "measurements.jsonl").open()]
    scores = {(r["role"], r["metric"]): r for r in rows if r["measure"] != "nq"}
    for role in ("base", "student"):
        assert scores[role, "win_rate"]["n"] + scores[role, "win_rate"]["unscored"] > 5
        assert ("base", "win_or_tie_rate") in scores
    assert {role for role, metric in scores if metric == "authoritative_tone"} == {
        "teacher", "teacher-again", "base", "student",
    }  # fmt: skip
    reports = [json.loads(line) for line in (folder / "preferences.jsonl").open()]
    assert {report["against"] for report in reports} == {"teacher"}
    findings = json.loads((folder / "findings.json").read_text())
    curves = {curve["measure"] for curve in findings["support"]}
    assert curves == {"nq"}
    assert (folder / "categories.jsonl").stat().st_size > 0


def test_chosen_prompts_and_mixed_corpora_are_trained_on(place):
    how = {"after": 30, "tokens": 300, "count": 20, "base": "S"}
    ask = {"collect": "pocket:queries.jsonl", "answer_tokens": 60, **PLAIN}
    study = {
        **TINY,
        "name": "chosen",
        "bases": {"S": "pocket:S"},
        "corpora": {
            "uncertain": {**ask, "choose": {**how, "by": "uncertainty"}},
            "any": {**ask, "choose": {**how, "by": "random"}},
            "both": {"mix": {"uncertain": 2, "any": 1}},
        },
        "tokens": [300],
        "measures": ["style"],
    }
    done = run(place, study, "chosen", "--json")
    assert done.returncode == 0, done.stderr
    steps = place[0] / "chosen" / "steps"
    lines = {
        "-".join(folder.name.split("-")[:2]): len((folder / "prompts.jsonl").open().readlines())
        for folder in [*steps.glob("drawn-*"), *steps.glob("chosen-*")]
    }
    assert sorted(lines.values()) == [20, 20, 30], "both begin with the same prompts, asked once"
    assert {"chosen-any", "chosen-uncertain"} <= lines.keys()
    mixed = json.loads((next(steps.glob("blended-both-*")) / "stats.json").read_text())
    for name, share in (("uncertain", 2 / 3), ("any", 1 / 3)):
        assert mixed["corpora"][name]["true_share"] == pytest.approx(share, abs=0.02)
    rows = [json.loads(line) for line in (place[0] / "chosen/measurements.jsonl").open()]
    assert {r["corpus"] for r in rows} == {None, "uncertain", "any", "both"}
