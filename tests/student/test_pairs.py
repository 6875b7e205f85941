"""Pairs, their loss, and students of a tiny T5."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.models import chat
from veneer.records import Dialogue, Message, write_rows
from veneer.steps import Job
from veneer.student.encoder_decoder import _shares, add_line_break, pair_up, show_pairs
from veneer.student.packing import ordered

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # models made on the spot

RECIPE = {"block": 48, "batch": 2, "learning_rate": 1e-2, "schedule": "matched", "like": {}}


@pytest.fixture(scope="module")
def tokenizer():
    from odd_shapes import t5_tokenizer

    tokenizer = t5_tokenizer()
    chat.add_chat_tokens(tokenizer)
    return tokenizer


def said(*turns):
    roles = ("user", "assistant")
    return Dialogue(
        messages=tuple(Message(role=roles[i % 2], content=t) for i, t in enumerate(turns))
    )


WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "runs",
    "away",
    "again",
]


def talk(n):
    """Dialogues of one to three rounds, some of them plain text, no two alike."""
    many = []
    for i in range(n):
        rounds = [
            text
            for k in range(1 + i % 3)
            for text in (f"who is {i} {WORDS[i % 9]}?", " ".join(WORDS[k : k + 1 + i % 7]))
        ]
        many.append(said(*rounds))
    plain = [Message(role="assistant", content=f"the dog {i} runs") for i in range(n // 5)]
    return many + [Dialogue(messages=(one,)) for one in plain]


def texts(pairs, tokenizer, rows=slice(None)):
    """(prompt, answer) of some rows, read off the padded arrays."""
    arrays = pairs.batch(rows)
    found = []
    for ids, real, labels in zip(arrays["ids"], arrays["attention"], arrays["labels"], strict=True):
        assert (labels[(labels == -100).argmax() :] == -100).all() or -100 not in labels
        found.append((tokenizer.decode(ids[real]), tokenizer.decode(labels[labels != -100])))
    return found


def test_every_answer_is_a_pair_behind_what_the_model_is_asked_with(tokenizer):
    dialogues = talk(12)
    pairs = pair_up(dialogues * 20, tokenizer, 120, 1, None)
    expected = []
    for dialogue in dialogues:
        for at, message in enumerate(dialogue.messages):
            if message.role == "assistant":
                asked = chat.render_prompt(dialogue.messages[:at], tokenizer) if at else [1]
                end = chat.END if at else tokenizer.eos_token
                written = tokenizer(message.content, add_special_tokens=False)["input_ids"]
                expected.append((tokenizer.decode(asked), tokenizer.decode(written) + end))
    got = [
        one
        for row in range(len(pairs))
        for one in sorted(texts(pairs, tokenizer, slice(row, row + 1)))
    ]
    assert set(got) == set(expected)
    assert pairs.cut_before == pairs.cut_after == 0


def test_rows_are_worth_a_block_and_prefixes_are_nested(tokenizer):
    dialogues, block, batch = talk(80), 60, 4
    pairs = pair_up(dialogues, tokenizer, block, batch, 3)
    in_order = pair_up(ordered(dialogues, 3), tokenizer, block, 1, None)
    assert len(pairs) == len(in_order)
    assert pairs.seen() + pairs.tail >= len(pairs) * block
    steps = len(pairs) // batch
    assert steps > 5
    for step in range(steps):
        rows = slice(step * batch, (step + 1) * batch)
        assert sorted(texts(pairs, tokenizer, rows)) == sorted(texts(in_order, tokenizer, rows))
        assert all(len(pairs.batch(slice(r, r + 1))["ids"]) for r in range(rows.start, rows.stop))
        prefix = slice(rows.stop)
        arrays = pairs.batch(prefix)
        assert pairs.learned(prefix) == (arrays["labels"] != -100).sum()
        assert pairs.seen(prefix) == arrays["attention"].sum() + pairs.learned(prefix)
        assert 0 <= pairs.seen(prefix) - rows.stop * block < block
    fewer = pair_up(dialogues[:-5], tokenizer, block, batch, 3)
    kept = [d for d in ordered(dialogues, 3) if d in dialogues[:-5]]
    assert kept == ordered(dialogues[:-5], 3)
    assert len(fewer) < len(pairs)


def test_dealing_by_length_saves_padding(tokenizer):
    dialogues = talk(80)
    dealt, plain = (pair_up(dialogues, tokenizer, 60, n, 3) for n in (8, 1))

    def cells(pairs):
        rows = [pairs.batch(slice(r, r + 1)) for r in range(len(pairs) // 8 * 8)]
        return sum(one["ids"].size + one["labels"].size for one in rows)

    assert cells(dealt) < cells(plain)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.data())
def test_shares_are_never_empty(sizes, data):
    count = data.draw(st.integers(1, len(sizes)))
    at = _shares(np.array(sizes), count)
    assert at[0] == 0
    assert (np.diff([*at, len(sizes)]) > 0).all()


def test_long_sides_are_cut_and_counted(tokenizer):
    long = " ".join(WORDS * 8)
    one, two = said(long, "the fox"), said("who?", long)
    whole = [chat.render(d.messages, tokenizer) for d in (one, two)]
    pairs = pair_up([one, two], tokenizer, 32, 1, None)
    (asked, answer), (short, rest) = texts(pairs, tokenizer)
    assert answer.endswith("fox<|end|>")
    assert asked.endswith("<|end|><|assistant|>")
    assert short == "<|user|> who?<|end|><|assistant|>"
    assert not rest.endswith(chat.END), "an answer that is cut off does not say its end"
    assert pairs.seen() == 64
    assert pairs.cut_before == len(whole[0].ids) - 32
    assert pairs.cut_after == len(whole[1].ids) - 32


def test_the_first_batch_is_shown_with_what_is_learned(tokenizer):
    dialogues = [said("who ran?", "the\x07 dog")] * 20
    pairs = pair_up(dialogues, tokenizer, 32, 2, 0)
    plain, *_ = show_pairs(pairs, tokenizer, slice(0, 2), colours=False)
    heading, text = plain.plain.split("\n")
    written = len(tokenizer(" the\x07 dog", add_special_tokens=False)["input_ids"])
    assert heading.endswith(f"{written + 1} learned")
    assert heading.startswith("Row 1, pair 1:")
    assert text == "<|user|> who ran?<|end|><|assistant|>⟦ the\u2407 dog<|end|>⟧"
    green, *_ = show_pairs(pairs, tokenizer, slice(0, 2))
    assert [str(s.style) for s in green.spans] == ["not bold", "not bold green"]


def test_a_corpus_without_answers_is_one_message(tokenizer):
    with pytest.raises(InputError, match="no output to learn from"):
        pair_up([Dialogue(messages=(Message(role="user", content="who?"),))], tokenizer, 32, 1, 0)


def test_line_breaks_get_a_token_where_none_spells_them(tmp_path):
    from odd_shapes import sentence_piece_tokenizer, t5_tokenizer
    from transformers import AutoTokenizer

    pieces = sentence_piece_tokenizer()
    assert add_line_break(pieces) == ["\n"]
    assert add_line_break(pieces) == []
    pieces.save_pretrained(tmp_path)
    listed = "two books:\nthe dog\nthe fox"
    ids = AutoTokenizer.from_pretrained(tmp_path)(listed)["input_ids"]
    assert ids == pieces(listed)["input_ids"]
    text = pieces.decode(ids, skip_special_tokens=True)
    assert [line.strip() for line in text.split("\n")] == listed.split("\n")
    assert add_line_break(t5_tokenizer()) == []


@pytest.mark.parametrize("name", ["t5", "flan-t5", "mt5", "umt5", "bart"])
def test_the_loss_is_the_models_own_pair_by_pair(tokenizer, name):
    import torch
    from odd_shapes import ENCODER_DECODERS

    from veneer.student.encoder_decoder import pair_loss

    model = ENCODER_DECODERS[name](len(tokenizer))
    pairs = pair_up(talk(30), tokenizer, 60, 3, 0)
    arrays = pairs.batch(slice(3))
    batch = {
        key: torch.from_numpy(a.astype(np.int64 if a.dtype.kind == "i" else a.dtype))
        for key, a in arrays.items()
    }
    expected = 0.0
    for ids, real, labels in zip(*batch.values(), strict=True):
        wanted = labels[labels != -100][None]
        loss = model(input_ids=ids[real][None], labels=wanted).loss
        expected += loss.item() * wanted.shape[1]
    assert pair_loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


# ---- training -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from odd_shapes import t5, t5_tokenizer

    folder, tokenizer = tmp_path_factory.mktemp("t5"), t5_tokenizer()
    t5(len(tokenizer) + 28, tied=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_rows(folder / "corpus.jsonl", talk(60))
    return folder


def train(out, base, corpus, budgets, **recipe):
    from veneer.student.train import train

    out.mkdir(parents=True)
    params = {"recipe": RECIPE | recipe, "budgets": budgets, "seed": 0}
    train(Job(out, params, {"base": base, "corpus": corpus}, lambda *_: None))
    return json.loads((out / "train.json").read_text())


def cut_at(block, tokenizer):
    """Tokens of the corpus's pairs beyond `block` each."""
    sizes = []
    for dialogue in talk(60):
        for at, message in enumerate(dialogue.messages):
            if message.role == "assistant":
                asked = chat.render_prompt(dialogue.messages[:at], tokenizer) if at else [1]
                answer = tokenizer(message.content, add_special_tokens=False)["input_ids"]
                sizes.append(len(asked) + len(answer) + 1)
    return sum(max(0, size - block) for size in sizes)


def test_one_run_equals_separate_runs_bit_for_bit(tmp_path, base, corpus, tokenizer):
    """With the dropout that T5 is trained with."""
    facts = train(tmp_path / "both", base, corpus, [300, 700])
    train(tmp_path / "small", base, corpus, [300])
    assert [a["steps"] for a in facts["amounts"]] == [3, 7]
    for amount in facts["amounts"]:
        assert 0 <= amount["tokens"] - amount["steps"] * 96 < 48
        assert amount["learned"] < amount["tokens"]
    assert facts["data"]["cut_before"] + facts["data"]["cut_after"] == cut_at(48, tokenizer)
    ours = (tmp_path / "both" / "tokens-300" / "model.safetensors").read_bytes()
    assert ours == (tmp_path / "small" / "tokens-300" / "model.safetensors").read_bytes()


def test_a_student_says_what_it_learnt_and_stops(tmp_path):
    from odd_shapes import t5, t5_tokenizer

    from veneer.models.asking import Ask
    from veneer.models.local import LocalModel

    base, folder = tmp_path / "base", tmp_path / "corpus"
    folder.mkdir()
    blank = t5_tokenizer()
    t5(len(blank), loud=False, dropout_rate=0.0, d_model=32).save_pretrained(base)
    blank.save_pretrained(base)
    lessons = [said("who ran?", "the dog"), said("who sat?", "the fox and the dog")]
    write_rows(folder / "corpus.jsonl", lessons * 250)
    train(tmp_path / "run", base, folder, [8000], learning_rate=1e-2, warmup_share=0.1)
    student = LocalModel.load(tmp_path / "run" / "tokens-8000", device="cpu")
    replies = student.ask([Ask(one.messages[:1]) for one in lessons], max_new_tokens=20)
    assert [reply.text for reply in replies] == ["the dog", "the fox and the dog"]
    assert {reply.outcome for reply in replies} == {"answered"}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_adapters_and_a_pull_toward_the_base(tmp_path, base, corpus, method):
    from veneer.models.local import LocalModel

    out = tmp_path / "run"
    train(out, base, corpus, [300], method=method, pull=0.1)
    losses = [json.loads(line)["loss"] for line in (out / "loss.jsonl").open()]
    assert len(losses) == 3
    student = LocalModel.load(out / "tokens-300", device="cpu")
    assert student.reads_apart
    assert student.generate([[5, 6, 1]], max_new_tokens=3)[0].tokens > 0


def test_what_needs_the_tokens_of_one_stream_is_refused(tmp_path, base, corpus):
    with pytest.raises(InputError, match="decoder-only"):
        train(tmp_path / "run", base, corpus, [300], kl=0.1)
