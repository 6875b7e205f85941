"""A full disk: one message, exit code 1, and the same command goes on when there is space."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from veneer.errors import StepFailed
from veneer.steps import disk_full, no_space, told_when_full, whole

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())
MB = 1_000_000


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB, and a function that gives it another size."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(size):
        mounted = "remount," if place.is_mount() else ""
        words = ["mount", "-t", "tmpfs", "-o", f"{mounted}size={size}", "tmpfs", str(place)]
        return subprocess.run(words, capture_output=True, text=True)

    if shutil.which("mount") is None or (tried := sized(MB)).returncode:
        why = tried.stderr.strip() if shutil.which("mount") else "there is no mount command"
        pytest.skip(f"a small file system cannot be mounted here: {why}")
    yield place, sized
    subprocess.run(["umount", "-l", str(place)], check=True)  # some libraries leave files open


def command(*words, cwd, before=()):
    kept = {"VENEER_CACHE": "", "VENEER_JOURNAL": str(cwd / "journal.sqlite")}
    return subprocess.run(
        [*before, sys.executable, "-m", "veneer", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **kept},
    )


def told(done, where):
    """That one message was printed, and no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    first, second = done.stderr.strip().splitlines()
    assert "no space is left on the disk of" in first.lower()
    assert where in first
    assert "free" in first
    assert "the same command" in second


def dialogues(path, count):
    rows = [
        {"instruction": f"Question {i}?", "output": f"{i} " + "word " * 60} for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_curation_goes_on_when_there_is_space(tmp_path, small_disk):
    place, sized = small_disk
    words = ["curate", dialogues(tmp_path / "data.jsonl", 3000), "--out"]
    told(command(*words, place / "out", cwd=tmp_path), "disk/out")
    assert not (place / "out/stats.json").exists()
    sized(20 * MB)
    done = command(*words, place / "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert command(*words, tmp_path / "other", cwd=tmp_path).returncode == 0
    for name in ("corpus.jsonl", "dropped.jsonl", "stats.json", "card.md"):
        assert (place / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert {p.name for p in (place / "out").iterdir()} == {
        "corpus.jsonl", "dropped.jsonl", "stats.json", "card.md", ".lock",
    }  # fmt: skip


def test_a_study_whose_folder_is_full_from_the_start_can_be_run_there_later(tmp_path, small_disk):
    place, sized = small_disk
    with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    words = ["run", "tiny.yaml", "--workers", "1", "--out", place / "run"]
    told(command(*words, cwd=tmp_path), "disk/run")
    left = [p for p in (place / "run").rglob("*") if p.is_file() and p.stat().st_size]
    assert left == []
    (place / "filler").unlink()
    sized(200_000)  # the study's file fits, the first steps do not
    done = command(*words, cwd=tmp_path)
    told(done, "disk/run")
    assert done.stderr.startswith("veneer: Step "), "a step names itself"
    assert json.loads((place / "run/study.json").read_text())["kind"] == "study"
    for step in (place / "run/steps").glob("[!.]*"):
        assert json.loads((step / "step.json").read_text()), "what has its name is whole"


def test_a_limit_on_the_size_of_files_is_no_traceback_either(tmp_path):
    data = dialogues(tmp_path / "data.jsonl", 1000)
    limit = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh"]  # of 512 bytes
    told(command("curate", data, "--out", "out", cwd=tmp_path, before=limit), "out")
    assert command("curate", data, "--out", "out", cwd=tmp_path).returncode == 0


# ---- what libraries say -----------------------------------------------------------------------


def _text(place):
    (place / "x").write_text("x" * 3 * MB)


def _torch(place):
    torch.save({"a": torch.zeros(MB)}, place / "x")


def _safetensors(place):
    save_file({"a": torch.zeros(MB)}, place / "x")


def _arrow(place):
    table = pa.table({"a": list(range(MB))})
    with pa.OSFile(str(place / "x"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def _tokenizer(place):
    words = {f"word{i}": i for i in range(100_000)}
    Tokenizer(models.WordLevel(words, unk_token="word0")).save(str(place / "x"))


def _sqlite(place):
    with contextlib.closing(sqlite3.connect(place / "x")) as base:
        base.execute("create table t (a)")
        base.executemany("insert into t values (?)", [("x" * 1000,)] * 3000)
        base.commit()


def _copies(place):
    (place.parent / "big").mkdir(exist_ok=True)
    (place.parent / "big/a").write_bytes(b"x" * 3 * MB)
    shutil.copytree(place.parent / "big", place, dirs_exist_ok=True)


@pytest.mark.parametrize(
    "write", [_text, _torch, _safetensors, _arrow, _tokenizer, _sqlite, _copies]
)
def test_what_each_library_says_of_a_full_disk_is_known(small_disk, write):
    place, _ = small_disk
    with pytest.raises(StepFailed) as caught, told_when_full(place):
        write(place)
    assert str(place) in str(caught.value)
    assert disk_full(caught.value.__cause__)


def test_other_errors_stay_what_they_are(tmp_path):
    assert not disk_full(FileNotFoundError(2, "No such file or directory"))
    assert not disk_full(RuntimeError("out of memory"))
    assert not disk_full(None)
    with pytest.raises(ZeroDivisionError), told_when_full(tmp_path):
        _ = 1 / 0
    with pytest.raises(OSError, match="No space left") as caught, open("/dev/full", "w") as out:
        out.write("x" * 100_000)
    assert disk_full(caught.value)
    said = no_space(caught.value, tmp_path / "a/b", "Step x failed: ")
    assert said.message.startswith(
        f"Step x failed: no space is left on the disk of {tmp_path}/a/b ("
    )


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "x").write_text("old")

    def written(text):
        with whole(tmp_path / "x", tmp_path / ".x.new") as scratch:
            scratch.write_text(text)
            if text == "bad":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written("bad")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"x": "old"}
    written("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"x": "new"}
