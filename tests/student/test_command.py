"""`veneer train`, as a person types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from veneer.errors import InputError, RunFolderError
from veneer.training import amounts, recipe_from, train_students

SMALL = ["block=16", "batch=2", "schedule=matched", "like={}"]


def typed(*words, **how):
    settings = [word for change in SMALL for word in ("--set", change)]
    command = [sys.executable, "-m", "veneer", "train", *map(str, words), *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def students(out):
    return {path.parent.name: path.read_bytes() for path in out.glob("*/model.safetensors")}


def test_a_mistake_leaves_the_folder_free_and_a_second_run_trains_nothing(tmp_path, base, corpus):
    recipe, out = recipe_from(None, SMALL), tmp_path / "out"
    with pytest.raises(InputError, match="1,000,000 tokens are asked for"):
        train_students(str(base), corpus, [1_000_000], out, recipe=recipe)
    done = train_students(str(base), corpus, [160, 320], out, recipe=recipe)
    assert [s["steps"] for s in done["students"]] == [5, 10]
    assert done["steps"] == 10
    assert (out / "tokens-160" / "README.md").read_text().startswith("---\n")
    assert sorted(p.name for p in out.iterdir()) == [
        ".lock", "loss.jsonl", "study.json", "tokens-160", "tokens-320", "train.json"
    ]  # fmt: skip
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert train_students(str(base), corpus, [320, 160], out, recipe=recipe) == done
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == before
    with pytest.raises(RunFolderError, match="budgets"):
        train_students(str(base), corpus, [160, 330], out, recipe=recipe)


def test_a_base_that_cannot_fit_is_refused_before_its_weights_are_read(tmp_path, base, corpus):
    """Half a trillion weights, and no file of them: what is missed first is memory."""
    huge = tmp_path / "huge"
    shutil.copytree(base, huge)
    (huge / "model.safetensors").unlink()
    config = json.loads((huge / "config.json").read_text())
    config |= {"hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 8}
    (huge / "config.json").write_text(json.dumps(config))
    recipe = recipe_from(None, SMALL)
    with pytest.raises(InputError, match=r"does not fit: one block of 16 tokens needs .* TB"):
        train_students(str(huge), corpus, [160], tmp_path / "out", recipe=recipe)


def test_killed_it_goes_on_from_its_last_state_to_the_same_students(tmp_path, base, corpus):
    from veneer.records import Dialogue, read_rows, write_rows

    rows = list(read_rows(corpus / "corpus.jsonl", Dialogue))
    large = tmp_path / "corpus.jsonl"
    write_rows(large, rows * 14)
    words = ["--base", base, "--data", large, "--tokens", "2k,8k", "--keep-every", "0"]
    whole = typed(*words, "--out", tmp_path / "whole", "--json")
    said, error = whole.communicate()
    assert whole.returncode == 0, error
    assert json.loads(said)["steps"] == 250
    out = tmp_path / "killed"
    place = out / ".scratch" / "place.json"
    first = typed(*words, "--out", out)
    while not (place.is_file() and json.loads(place.read_text())["taken"] > 20):
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    taken = json.loads(place.read_text())["taken"]
    assert 20 < taken < 250
    second = typed(*words, "--out", out)
    assert second.wait() == 0
    assert students(out) == students(tmp_path / "whole")
    assert (out / "loss.jsonl").read_text() == (tmp_path / "whole" / "loss.jsonl").read_text()
    assert not (out / ".scratch").exists()


def test_the_first_batch_is_shown_with_its_mask_and_nothing_is_trained(tmp_path, base, corpus):
    shown = typed("--base", base, "--data", corpus, "--show-batch")
    said, error = shown.communicate()
    assert shown.returncode == 0, error
    assert "<|user|>where is the" in said
    assert "⟦" in said
    assert "learned share" in said
    assert error == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("blok=16", "Did you mean 'block'"),
        ("optimiser=sgd", "'sgd' was given"),
        ("lora.rnk=2", "Did you mean 'rank'"),
        ("batch", "changes nothing"),
    ],
)
def test_a_wrong_key_of_a_recipe_is_named(change, said):
    with pytest.raises(InputError) as raised:
        recipe_from(None, [change])
    assert said in str(raised.value)


def test_recipes_come_by_name_by_file_and_by_key(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("recipe: {preset: vicuna, batch: 16}\n")
    recipe = recipe_from(str(mine), ["epochs=1", "lora.rank=4"])
    assert (recipe.learning_rate, recipe.batch, recipe.epochs) == (2e-5, 16, 1)
    assert recipe.lora.rank == 4
    assert recipe_from("vicuna", []).batch == 128
    with pytest.raises(InputError, match="'vicunia'"):
        recipe_from("vicunia", [])
    assert amounts("300k,20M") == [300_000, 20_000_000]
    with pytest.raises(InputError, match="20Q"):
        amounts("20Q")
