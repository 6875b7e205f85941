"""Killed anywhere and started again, a curation ends with the bytes of an undisturbed one."""

import fcntl
import json
import signal
import subprocess
import sys

import pytest

from veneer.corpus.pipeline import Curation, curate_files
from veneer.errors import InputError, RunFolderError

RESULTS = ("corpus.jsonl", "dropped.jsonl", "stats.json", "card.md")
OPTIONS = {"split": 8, "sameness": "folded", "diversity": 0, "keywords": ["zebra"]}

CHILD = """
import os, signal, sys
from pathlib import Path
from veneer.corpus.pipeline import Curation, curate_files

calls = 0
def progress(done, total, note):
    global calls
    calls += 1
    print(done, total, note, flush=True)
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    curate_files(
        [Path(sys.argv[1])], Path(sys.argv[2]), settings=Curation.model_validate_json(sys.argv[4]),
        against=[Path(sys.argv[5])], workers=2, progress=progress,
    )
"""


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    """12 parts: more than one process does before it starts others."""
    folder = tmp_path_factory.mktemp("talks")
    with (folder / "talks.jsonl").open("w") as out:
        for n in range(11_500):
            words = f"question {n % 9000} about {'a zebra' if n % 700 == 0 else 'a horse'}"
            turns = [words, f"answer {n}", "go on", f"more {n}"][: 2 + 2 * (n % 3 == 0)]
            roles = ["human", "gpt"] * 2
            said = [{"from": r, "value": t} for r, t in zip(roles, turns, strict=False)]
            out.write(json.dumps({"conversations": said}) + "\n" if n % 997 else "{broken\n")
    (folder / "test.jsonl").write_text('{"text": "Question 17 about a horse!"}\n')
    return folder


def contents(out):
    return {name: (out / name).read_bytes() for name in RESULTS}


def options(**more):
    return Curation.model_validate({**OPTIONS, "decontaminate": {"bleu": None}, **more})


@pytest.fixture(scope="module")
def undisturbed(talks, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    args = ([talks / "talks.jsonl"], out)
    curate_files(*args, settings=options(), against=[talks / "test.jsonl"], workers=1)
    return contents(out)


def killed(talks, out, after):
    command = [sys.executable, "-c", CHILD, str(talks / "talks.jsonl"), str(out), str(after)]
    command += [options().model_dump_json(), str(talks / "test.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()


def test_killed_again_and_again(talks, undisturbed, tmp_path):
    out = tmp_path / "out"
    said = [killed(talks, out, after)[-1] for after in (4, 7, 22)]
    assert "records, " in said[0]
    assert not (out / "stats.json").exists()
    assert any(note in said[2] for note in ("evaluation", "writing"))
    parts = sorted((out / ".work").glob("parts-*/part-*.arrow"))
    made = {path: path.stat().st_mtime_ns for path in parts}
    seen = []
    curate_files(
        [talks / "talks.jsonl"],
        out,
        settings=options(),
        against=[talks / "test.jsonl"],
        progress=lambda *_: seen.extend(p for p in parts if p.stat().st_mtime_ns != made[p]),
    )
    assert contents(out) == undisturbed
    assert len(parts) == 12
    assert not seen, "a finished part was made again"
    assert not (out / ".work").exists()


def test_other_options_are_never_served_what_a_killed_run_left(talks, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    killed(talks, out, 6)
    other = options(keywords=["horse"], dedup="pair")
    for place in (out, fresh):
        curate_files([talks / "talks.jsonl"], place, settings=other, workers=1)
    assert contents(out) == contents(fresh)


def test_the_same_again_is_not_done_again(talks, undisturbed, tmp_path):
    out = tmp_path / "out"
    arguments = {"settings": options(), "against": [talks / "test.jsonl"], "workers": 1}
    first = curate_files([talks / "talks.jsonl"], out, **arguments)
    times = {name: (out / name).stat().st_mtime_ns for name in RESULTS}
    assert curate_files([talks / "talks.jsonl"], out, **arguments) == first
    assert {name: (out / name).stat().st_mtime_ns for name in RESULTS} == times
    (out / "dropped.jsonl").unlink()
    curate_files([talks / "talks.jsonl"], out, **arguments)
    assert contents(out) == undisturbed


def test_a_folder_with_another_result_is_not_overwritten(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "b.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    out = tmp_path / "out"
    curate_files([tmp_path / "a.jsonl"], out, settings=options())
    before = contents(out)
    with pytest.raises(InputError, match=r"settings\.dedup: \"query\" there, \"pair\" here"):
        curate_files([tmp_path / "a.jsonl"], out, settings=options(dedup="pair"))
    with pytest.raises(InputError, match="another curation's result"):
        curate_files([tmp_path / "b.jsonl"], out, settings=options())
    (tmp_path / "a.jsonl").write_text('{"prompt": "c", "completion": "b"}\n')
    with pytest.raises(InputError, match="another curation's result"):
        curate_files([tmp_path / "a.jsonl"], out, settings=options())
    assert contents(out) == before
    with pytest.raises(InputError, match="is not empty and holds no curation"):
        curate_files([tmp_path / "b.jsonl"], tmp_path, settings=options())


def test_a_second_process_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunFolderError, match="is working on"):
            curate_files([tmp_path / "a.jsonl"], out, settings=options())
    assert curate_files([tmp_path / "a.jsonl"], out, settings=options())["kept"] == 1
