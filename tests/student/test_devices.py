"""Two processes train what one trains: sharded, split, killed and resumed; then one loads it."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import rank_work
import torch
from safetensors.torch import load_file

from veneer.steps import Job
from veneer.student import launch as launching
from veneer.student.launch import launch
from veneer.student.train import train

pytestmark = pytest.mark.skipif(launching._cores() < 2, reason="two processes take two cores")

RECIPE = {
    "block": 16,
    "batch": 4,
    "learning_rate": 3e-4,  # Adam turns rounding of tiny gradients into shares of the rate
    "optimiser": "adamw",
    "schedule": "matched",
    "weight_decay": 0.1,
    "precision": "fp32",
    "like": {},
}
BUDGETS = [320, 768]  # 5 and 12 steps of 64 tokens
FROZEN = {**RECIPE, "freeze_embeddings": True}
APART = {
    **RECIPE,
    "packing": "best-fit",
    "optimiser": "adamw-rms",
    "learning_rate": 1e-3,
    "pull": 0.1,
}
HALF = {"devices": 2, "tensor_parallel": 2}
WHOLE = {"devices": 2}


@pytest.fixture(scope="module")
def environment():
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    yield
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory, make_tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    folder, tokenizer = tmp_path_factory.mktemp("gpt2"), make_tokenizer()
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory, base, corpus):
    """Students of one process, by the recipe's name."""
    folder = tmp_path_factory.mktemp("alone")
    for name, recipe in {"plain": RECIPE, "frozen": FROZEN, "apart": APART}.items():
        (folder / name).mkdir()
        params = {"recipe": recipe, "budgets": BUDGETS, "seed": 0}
        means = {"keep_every": 0.0}
        train(Job(folder / name, params, {"base": base, "corpus": corpus}, means=means))
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory, alone, base, corpus, gpt2, environment):
    """Students of two processes, and what they refuse; "continued" takes only the last step."""
    folder = tmp_path_factory.mktemp("together")
    shutil.copytree(alone / ".scratch-plain", folder / ".scratch-continued")
    runs = {
        "sharded": (RECIPE, WHOLE),
        "split": (RECIPE, HALF),
        "frozen": (FROZEN, WHOLE),
        "apart": (APART, WHOLE),
        "continued": (RECIPE, WHOLE),
        "uneven": ({**RECIPE, "batch": 3}, WHOLE),
        "planless": (RECIPE, HALF),
    }
    params = {"runs": runs, "budgets": BUDGETS, "bases": {"planless": str(gpt2)}}
    job = Job(folder, params, {"base": base, "corpus": corpus}, means=WHOLE)
    launch(rank_work.train_several, job, 2, restarts=0)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory, base, corpus, environment):
    """Students of two processes, one of which was killed on the way; and the progress shown."""
    folder, seen = tmp_path_factory.mktemp("killed"), []
    params = {"recipe": RECIPE, "budgets": BUDGETS, "seed": 0}
    means = {**WHOLE, "keep_every": 0.0}
    inputs = {"base": base, "corpus": corpus}
    job = Job(folder, params, inputs, lambda *fields: seen.append(fields), means)
    launch(rank_work.train_and_be_killed, job, 2)
    return folder, seen


def weights(folder, amount):
    return load_file(folder / f"tokens-{amount}" / "model.safetensors")


def rows(folder):
    return [json.loads(line) for line in (folder / "loss.jsonl").open()]


def apart(one, other):
    """The largest difference of two state dicts of the same names."""
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("amount", BUDGETS)
@pytest.mark.parametrize(
    ("name", "by"), [("sharded", "plain"), ("split", "plain"), ("frozen",) * 2, ("apart",) * 2]
)
def test_two_processes_train_what_one_trains(name, by, amount, alone, together):
    assert apart(weights(alone / by, amount), weights(together / name, amount)) <= 1e-6


def test_the_students_have_moved_far_and_say_the_same_of_themselves(alone, together, base):
    plain = weights(alone / "plain", 768)
    assert apart(plain, weights(alone / "plain", 320)) > 1e-3
    assert apart(plain, weights(alone / "frozen", 768)) > 1e-3
    for name in ("tokens-768/trained_on.json", "tokens-768/config.json", "train.json"):
        own, other = ((f / name).read_text() for f in (alone / "plain", together / "sharded"))
        if name == "train.json":  # two processes share the rows of a pass
            own = own.replace('"rows_in_pass": 4', '"rows_in_pass": 2')
        assert own == other
    losses = [rows(f) for f in (alone / "plain", together / "sharded", together / "split")]
    for own in losses[1:]:
        assert [row["step"] for row in own] == list(range(1, 13))
        assert [r["loss"] for r in own] == pytest.approx([r["loss"] for r in losses[0]], abs=1e-5)


def test_a_killed_process_is_replaced_and_the_run_goes_on_to_the_same_weights(killed, together):
    folder, seen = killed
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, *range(5, 13)]  # kept after step 4
    again = ["(restart 1, after a process died)" in note for _, _, note in seen]
    assert again == [False] * 5 + [True] * 8
    for amount in BUDGETS:
        assert apart(weights(folder, amount), weights(together / "sharded", amount)) == 0
    assert (folder / "loss.jsonl").read_text() == (together / "sharded/loss.jsonl").read_text()


def test_two_processes_go_on_where_one_was_and_one_where_two_were(
    alone, together, killed, base, corpus, tmp_path
):
    assert rows(together / "continued")[:11] == rows(alone / "plain")[:11]
    assert rows(together / "continued")[:11] != rows(together / "sharded")[:11]
    assert apart(weights(alone / "plain", 768), weights(together / "continued", 768)) <= 1e-6
    shutil.copytree(killed[0].with_name(f".scratch-{killed[0].name}"), tmp_path / ".scratch-out")
    (tmp_path / "out").mkdir()
    params = {"recipe": RECIPE, "budgets": BUDGETS, "seed": 0}
    train(Job(tmp_path / "out", params, {"base": base, "corpus": corpus}))
    assert rows(tmp_path / "out")[:11] == rows(together / "sharded")[:11]
    assert apart(weights(alone / "plain", 768), weights(tmp_path / "out", 768)) <= 1e-6


def test_a_process_that_had_no_part_in_it_loads_the_student_and_writes_the_same(alone, together):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = []
    for place in (alone / "plain", together / "sharded", together / "split"):
        folder = place / "tokens-768"
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer("where is the cat ?", return_tensors="pt").input_ids
        made = model.generate(ids, max_new_tokens=24, do_sample=False)
        texts.append(tokenizer.decode(made[0]))
    assert len(texts[0].split()) > 10
    assert texts[1:] == texts[:1] * 2


def test_what_cannot_be_shared_is_refused(together):
    said = json.loads((together / "said.json").read_text())
    assert "A step of 3 blocks cannot be shared by 2 devices" in said["uneven"][0]
    assert "Models of type gpt2 have no plan for tensor parallelism" in said["planless"][0]
    assert "FSDP2" in said["planless"][1]


def test_shares_of_a_step_cover_it():
    from veneer.student.devices import World

    for size, tensor in ((1, 1), (4, 1), (4, 2), (6, 3)):
        worlds = [World(torch.device("cpu"), rank, size, tensor) for rank in range(size)]
        shares = [range(24)[world.rows(slice(12, 24))] for world in worlds]
        read = [
            row
            for world, mine in zip(worlds, shares, strict=True)
            for row in mine
            if world.rank % tensor == 0
        ]
        assert read == list(range(12, 24))
        assert all(shares[r] == shares[r - r % tensor] for r in range(size))
