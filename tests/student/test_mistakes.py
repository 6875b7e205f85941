"""What a person can give wrongly to training: one message each, and nothing left behind."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from veneer.errors import InputError
from veneer.records import Dialogue, Message, write_rows
from veneer.steps import Job
from veneer.student.train import train

SMALL = {"block": 16, "batch": 2}


def config(base):
    return json.loads((base / "config.json").read_text())


def without_weights(base, corpus):
    (base / "model.safetensors").unlink()


def empty_folder(base, corpus):
    shutil.rmtree(base)
    base.mkdir()


def no_config(base, corpus):
    (base / "config.json").unlink()


def no_tokenizer(base, corpus):
    for path in base.glob("*token*"):
        path.unlink()


def cut_weights(base, corpus):
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_weights_at_all_in_the_file(base, corpus):
    (base / "model.safetensors").write_bytes(b"not weights")


def a_tensor_of_another_shape(base, corpus):
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(3)
    save_file(weights, base / "model.safetensors", {"format": "pt"})


def weights_of_another_model(base, corpus):
    save_file({"other.weight": torch.ones(3)}, base / "model.safetensors", {"format": "pt"})


def unknown_architecture(base, corpus):
    (base / "config.json").write_text(json.dumps({**config(base), "model_type": "perceptron9"}))


def broken_config(base, corpus):
    (base / "config.json").write_text('{"model_type": ')


def no_language_model(base, corpus):
    (base / "config.json").write_text(json.dumps({"model_type": "vit", "architectures": ["ViT"]}))


def broken_tokenizer(base, corpus):
    (base / "tokenizer.json").write_text('{"version": ')


def not_finite(base, corpus):
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, base / "model.safetensors", {"format": "pt"})


def no_corpus(base, corpus):
    (corpus / "corpus.jsonl").unlink()


def empty_corpus(base, corpus):
    (corpus / "corpus.jsonl").write_text("")


def broken_corpus(base, corpus):
    with (corpus / "corpus.jsonl").open("a") as out:
        out.write('{"messages": \n')


def no_output(base, corpus):
    asked = [Dialogue(messages=(Message(role="user", content="the cat sat . " * 30),))] * 9
    write_rows(corpus / "corpus.jsonl", asked)


BASES = {
    without_weights: ("base holds no model that can be trained", "no file named model.safetensors"),
    empty_folder: ("is no model folder", "config.json"),
    no_config: ("is no model folder", "config.json"),
    no_tokenizer: ("has no tokenizer", "tokenizer.json"),
    cut_weights: ("weights in", "cannot be read", "fetch the model again"),
    no_weights_at_all_in_the_file: ("weights in", "cannot be read", "fetch the model again"),
    a_tensor_of_another_shape: ("have other shapes than its config.json says",),
    weights_of_another_model: ("lack 2", "they would be random numbers"),
    unknown_architecture: ("perceptron9",),
    broken_config: ("config.json is no JSON",),
    no_language_model: ("holds no model that can be trained", "ViTConfig"),
    broken_tokenizer: ("The tokenizer in", "cannot be read"),
    not_finite: ("model.norm.weight", "no number"),
}
CORPORA = {
    no_corpus: ("has no corpus.jsonl",),
    empty_corpus: ("no output to learn from",),
    broken_corpus: ("corpus.jsonl, line 61", "not a Dialogue row"),
    no_output: ("no output to learn from", "dropped.jsonl"),
}
GIVEN = {
    "more than there is": ({"budgets": [10**9]}, ("1,000,000,000 tokens", "at most 900")),
    "no tokens": ({"budgets": [0]}, ("0 tokens trains nothing",)),
    "no amount": ({"budgets": []}, ("No data amount is given",)),
    "one step twice": ({"budgets": [100, 101]}, ("both 3 optimiser steps", "Leave one out")),
    "a long block": ({"recipe": {**SMALL, "block": 128}}, ("128 tokens", "reads 64")),
    "a large batch": ({"recipe": {**SMALL, "batch": 900}}, ("takes 900 of them",)),
    "a misspelt key": ({"recipe": {"blok": 3}}, ("'blok'", "Did you mean 'block'?")),
    "an impossible value": ({"recipe": {"block": 3}}, ("recipe.block: 3 was given",)),
    "an unknown preset": ({"recipe": "papr"}, ("'papr'", "Did you mean 'paper'?")),
}


@pytest.fixture
def own(base, corpus, tmp_path):
    """Copies of the tiny base and corpus that a test may spoil."""
    for name, folder in (("base", base), ("corpus", corpus)):
        shutil.copytree(folder, tmp_path / name)
    (tmp_path / "out").mkdir()
    return tmp_path


def refused(place, **params):
    given = {"recipe": SMALL, "budgets": [300], "seed": 0, **params}
    job = Job(place / "out", given, {"base": place / "base", "corpus": place / "corpus"})
    with pytest.raises(InputError) as caught:
        train(job)
    assert list((place / "out").iterdir()) == []
    assert caught.value.hint, "no word on what to do"
    return str(caught.value)


@pytest.mark.parametrize("spoil", [*BASES, *CORPORA])
def test_what_cannot_be_trained_is_said_in_one_message(own, spoil):
    spoil(own / "base", own / "corpus")
    said = refused(own)
    for part in {**BASES, **CORPORA}[spoil]:
        assert part in said


@pytest.mark.parametrize("name", GIVEN)
def test_what_cannot_be_asked_for_is_said_in_one_message(own, name):
    params, parts = GIVEN[name]
    said = refused(own, **params)
    for part in parts:
        assert part in said
