from types import SimpleNamespace

import pytest

from veneer.records import Answer, Prompt, read_rows, write_rows
from veneer.teacher.collect import collect, unique_prompts

PROMPTS = [Prompt(text=f"who {w}", category=f"c{i}") for i, w in enumerate(["ran", "sat", "flew"])]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    """A random tiny chat model: its answers mean nothing but are real samples."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from veneer.models.chat import add_chat_tokens

    words = ["<unk>", "</s>", "who", "ran", "sat", "flew", "Q", "A", ":", "dog", "cat"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")
    add_chat_tokens(tokenizer)
    torch.manual_seed(3)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), intermediate_size=16, **shape)
    folder = tmp_path_factory.mktemp("chatty")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(tmp_path, model, name="out", prompts=PROMPTS, **params):
    write_rows(tmp_path / "prompts.jsonl", prompts)
    out = tmp_path / name
    out.mkdir()
    told = []
    params = {
        "name": "t",
        "samples": 1,
        "temperature": 1.0,
        "seed": 5,
        "max_new_tokens": 8,
    } | params
    collect(
        SimpleNamespace(
            out=out,
            params=params,
            inputs={"model": model, "prompts": tmp_path / "prompts.jsonl"},
            progress=lambda done, total, note="": told.append((done, total)),
        )
    )
    assert told[-1][0] == told[-1][1]
    return list(read_rows(out / "answers.jsonl", Answer))


def test_every_prompt_is_asked_once_a_sample(tmp_path, chatty):
    answers = run(tmp_path, chatty, prompts=[*PROMPTS, PROMPTS[0]], samples=2)
    assert [(a.prompt, a.sample) for a in answers] == [
        (p.text, sample) for sample in (0, 1) for p in PROMPTS
    ]
    assert [a.category for a in answers[:3]] == ["c0", "c1", "c2"]
    assert {a.model for a in answers} == {"t"}
    assert [a.text for a in answers[:3]] != [a.text for a in answers[3:]]
    first = run(tmp_path, chatty, name="again", samples=1)
    assert first == answers[:3]


def test_answers_that_reach_the_limit_are_truncated(tmp_path, chatty):
    answers = run(tmp_path, chatty, samples=20, max_new_tokens=3)
    outcomes = {a.outcome for a in answers}
    assert outcomes == {"answered", "truncated", "empty"}
    for answer in answers:
        assert (answer.outcome == "answered") == (answer.reason == "")
        if answer.outcome == "empty":
            assert answer.text == ""


def test_shards_split_the_pool(tmp_path, chatty):
    parts = [run(tmp_path, chatty, name=f"shard{i}", shard=[i, 2], temperature=0.0) for i in (0, 1)]
    assert [[a.prompt for a in part] for part in parts] == [["who ran", "who flew"], ["who sat"]]
    whole = run(tmp_path, chatty, temperature=0.0)
    assert sorted(a.text for part in parts for a in part) == sorted(a.text for a in whole)


def test_unique_prompts_keep_the_first():
    twin = Prompt(text="who ran", category="other")
    assert unique_prompts([*PROMPTS, twin]) == PROMPTS
