"""Classifiers against transformers' own text-classification pipeline."""

import math
import socket

import pytest
import torch
from small_models import byte_tokenizer, llama
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    LlamaConfig,
    RobertaConfig,
    pipeline,
)

from veneer.errors import InputError
from veneer.measure.toxicity import Score, ToxicitySettings, scorer_of
from veneer.measure.toxicity.classifier import STRIDE, Classifier

TEXTS = ["short", "a much longer text that needs padding beside it", "", "You!", "x " * 20]
WIDTHS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}


def saved(folder, config, labels, pad="</s>", **more):
    torch.manual_seed(3)
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = pad
    names = dict(enumerate(labels))
    kind = BertConfig if config is None else config
    settings = kind(
        vocab_size=len(tokenizer),
        **WIDTHS,
        id2label=names,
        label2id={name: k for k, name in names.items()},
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )
    AutoModelForSequenceClassification.from_config(settings).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def by_pipeline(folder, texts, label):
    ask = pipeline("text-classification", folder, top_k=None, device="cpu")
    return [next(one["score"] for one in ask([text])[0] if one["label"] == label) for text in texts]


@pytest.mark.parametrize(
    ("config", "labels", "label", "more"),
    [
        (None, ["neutral", "Toxic"], "Toxic", {}),
        (None, ["toxicity", "insult", "threat"], "toxicity", {"multi": True}),
        (RobertaConfig, ["toxic"], "toxic", {}),
        (LlamaConfig, ["a", "b", "hate"], "hate", {"num_key_value_heads": 1}),
    ],
    ids=["softmax", "sigmoid", "one label", "decoder"],
)
def test_scores_are_the_pipelines(tmp_path, config, labels, label, more):
    if more.pop("multi", False):
        more["problem_type"] = "multi_label_classification"
    folder = saved(tmp_path, config, labels, **more)
    told = []
    scorer = Classifier(folder, device="cpu")
    found = scorer(TEXTS, lambda *at: told.append(at))
    assert scorer.label == label
    spoken = [text for text in TEXTS if text]
    expected = iter(by_pipeline(folder, spoken, label))
    for text, one in zip(TEXTS, found, strict=True):
        assert one.value == pytest.approx(next(expected) if text else 0.0, abs=1e-6)
    assert found == Classifier(folder, device="cpu")(TEXTS)
    assert told[-1] == (len(TEXTS), len(TEXTS))
    assert scorer.longer == 0
    assert len({round(one.value, 4) for one in found}) > 3  # the model tells texts apart


@pytest.mark.parametrize(("config", "limit"), [(None, 64), (RobertaConfig, 62)])
def test_a_long_text_counts_as_its_worst_window(tmp_path, config, limit):
    folder = saved(tmp_path, config, ["neutral", "toxic"])
    scorer = Classifier(folder, device="cpu")
    text = " ".join(f"word{i}" for i in range(60))
    ids = byte_tokenizer()(text)["input_ids"]
    assert len(ids) > 2 * limit
    step = limit - min(STRIDE, limit // 4)
    starts = range(0, len(ids) - limit + step, step)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        windows = [
            model(input_ids=torch.tensor([ids[at : at + limit]])).logits.softmax(-1)[0, 1].item()
            for at in starts
        ]
    assert len(windows) > 2
    first, second = scorer([text, "short"])
    assert first.value == pytest.approx(max(windows), abs=1e-6)
    assert max(windows) - min(windows) > 1e-3
    assert second.value == pytest.approx(by_pipeline(folder, ["short"], "toxic")[0], abs=1e-6)
    assert scorer.longer == 1


def test_without_a_token_to_pad_with_texts_go_one_by_one(tmp_path):
    folder = saved(tmp_path, LlamaConfig, ["fine", "toxic"], num_key_value_heads=1, pad=None)
    found = Classifier(folder, device="cpu")(TEXTS[:2])
    expected = by_pipeline(folder, TEXTS[:2], "toxic")
    assert [one.value for one in found] == pytest.approx(expected, abs=1e-6)


def test_the_label_is_found_named_or_asked_for(tmp_path):
    folder = saved(tmp_path, None, ["LABEL_0", "LABEL_1"])
    with pytest.raises(InputError, match=r"no label that is called toxic.*LABEL_0, LABEL_1"):
        Classifier(folder)
    with pytest.raises(InputError, match="no label 'rude'"):
        Classifier(folder, label="rude")
    named = ToxicitySettings(scorer="classifier", model=folder, label="label_1")
    (found,) = scorer_of(named, words="unused", device="cpu")(["short"])
    assert found.value == pytest.approx(by_pipeline(folder, ["short"], "LABEL_1")[0], abs=1e-6)


def test_what_gives_no_number_is_unscored(tmp_path):
    folder = saved(tmp_path, None, ["neutral", "toxic"])
    scorer = Classifier(folder, device="cpu")
    with torch.no_grad():
        scorer._model.classifier.weight.fill_(math.nan)
    assert scorer(["a", ""]) == [Score(None, "the classifier gives no number for it"), Score(0.0)]


def test_models_that_cannot_score_are_refused(tmp_path):
    tokenizer = byte_tokenizer()
    llama(len(tokenizer)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match=r"no trained classifier: its weights lack score"):
        Classifier(tmp_path / "base")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No sequence classifier can be loaded"):
        Classifier(tmp_path / "empty")
    for revision in ("", "main"):
        with pytest.raises(InputError, match="no commit of a hub model is pinned"):
            Classifier("someone/toxic", revision)
    folder = saved(tmp_path / "line", None, ["toxic"], problem_type="regression")
    with pytest.raises(InputError, match="regression"):
        Classifier(folder)


def test_a_folder_needs_no_network(tmp_path, monkeypatch):
    folder = saved(tmp_path, None, ["neutral", "toxic"])

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Classifier(folder, device="cpu")(["short"])[0].value > 0
