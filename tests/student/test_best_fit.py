"""Best-fit packing: nothing lost, nothing cut that fits, nothing seen of a neighbour."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_packing import by_hand, dialogues
from transformers import (
    AutoModelForCausalLM,
    BioGptConfig,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MptConfig,
    OPTConfig,
)

from veneer.errors import InputError
from veneer.models.chat import add_chat_tokens
from veneer.student.best_fit import best_fit
from veneer.student.isolation import in_one_row, isolation, model_inputs, unchanged
from veneer.student.packing import ordered, pack

lengths = st.lists(st.integers(0, 40), max_size=60)


@pytest.fixture(scope="module")
def chat_tokenizer(make_tokenizer):
    tokenizer = make_tokenizer()
    add_chat_tokens(tokenizer)
    return tokenizer


def by_brute_force(lengths, block, window):
    """The blocks as lists of (dialogue, offset), found by looking at every piece every time."""
    pieces = [
        (min(block, n - at), which, at)
        for which, n in enumerate(lengths)
        for at in range(0, n, block)
    ]
    left, blocks = list(range(len(pieces))), []
    while left:
        taken, room = [], block
        while fits := [
            at for at in left if pieces[at][0] <= room and (not taken or at < left[0] + window)
        ]:
            best = max(fits, key=lambda at: (pieces[at][0], -at)) if taken else left[0]
            taken.append(best)
            left.remove(best)
            room -= pieces[best][0]
        blocks.append([pieces[at][1:] for at in taken])
    return blocks


@settings(max_examples=150, deadline=None)
@given(lengths, st.integers(8, 20), st.sampled_from([1, 2, 5, 16, 1000]))
def test_it_is_the_best_fit_among_those_ahead(lengths, block, window):
    plan = best_fit(np.array(lengths, int), block, window)
    starts = np.cumsum([0, *lengths])
    blocks = [[] for _ in range(plan.blocks)]
    column = [0] * plan.blocks
    rows = zip(plan.source, plan.length, plan.block, plan.column, plan.first, strict=True)
    for source, length, at, col, first in rows:
        which = int(np.searchsorted(starts, source, side="right")) - 1
        blocks[at].append((which, int(source - starts[which])))
        assert col == column[at]
        column[at] += length
        assert first == (source == starts[which])
    assert max(column, default=0) <= block
    assert plan.length.sum() == sum(lengths)
    assert plan.cut == sum(n > block for n in lengths)
    assert blocks == by_brute_force(lengths, block, window)


@settings(max_examples=80, deadline=None)
@given(lengths, lengths, st.integers(8, 20), st.integers(1, 12))
def test_the_first_blocks_know_nothing_beyond_the_window(shared, more, block, window):
    """So a corpus that grows at its end changes no block of which the window saw no end."""
    whole = best_fit(np.array(shared + more, int), block, window)
    alone = best_fit(np.array(shared, int), block, window)
    pieces = sum(-(-n // block) for n in shared)
    of_piece = {int(s): k for k, s in enumerate(np.sort(alone.source))}
    placed, sure = set(), 0
    for at in range(alone.blocks):
        placed |= {of_piece[int(s)] for s in alone.source[alone.block == at]}
        oldest = next(k for k in range(pieces + 1) if k not in placed)
        if oldest + window > pieces:
            break
        sure = at + 1
    for name in ("source", "length", "block", "column"):
        first, second = getattr(alone, name), getattr(whole, name)
        assert first[alone.block < sure].tolist() == second[whole.block < sure].tolist()


def test_blocks_are_nearly_full_and_early_ones_are_like_late_ones():
    drawn = np.random.default_rng(0).lognormal(3, 1, 60_000).astype(int) % 300 + 5
    plan = best_fit(drawn, 256)
    assert drawn.sum() / (plan.blocks * 256) > 0.98
    early = plan.length[plan.block < plan.blocks // 20].mean()
    assert early == pytest.approx(plan.length.mean(), rel=0.05)


@settings(max_examples=60, deadline=None)
@given(st.lists(dialogues(), min_size=1, max_size=14), st.integers(8, 30), st.integers(0, 3))
def test_every_dialogue_stands_whole_with_its_own_positions(chat_tokenizer, said, block, seed):
    packed = pack(said, chat_tokenizer, block, seed, "best-fit")
    pad = chat_tokenizer.convert_tokens_to_ids("<|end|>")
    expected, lost, cut = Counter(), 0, 0
    for dialogue in ordered(said, seed):
        ids, mask = by_hand(dialogue, chat_tokenizer)
        cut += len(ids) > block
        for at in range(0, len(ids), block):
            labels = [i if m else -100 for i, m in zip(ids, mask, strict=True)][at : at + block]
            lost += labels[0] != -100
            expected[tuple(ids[at : at + block]), (-100, *labels[1:])] += 1
    found, real = Counter(), 0
    for row in range(len(packed)):
        batch = packed.batch(slice(row, row + 1))
        ids, labels, positions = (batch[k][0].tolist() for k in ("ids", "labels", "positions"))
        filled = int(packed.filled[row])
        assert set(ids[filled:]) <= {pad}
        assert set(labels[filled:]) <= {-100}
        assert positions[filled:] == list(range(block - filled))
        opens = [at for at, position in enumerate(positions[:filled]) if position == 0]
        for start, end in zip(opens, [*opens[1:], filled], strict=True):
            assert positions[start:end] == list(range(end - start))
            found[tuple(ids[start:end]), tuple(labels[start:end])] += 1
        real += filled
    assert found == expected
    assert packed.cut == cut
    assert packed.dialogues == len(said)
    assert packed.tail == 0
    assert packed.seen() == real == packed.ids.size - packed.padding
    assert packed.learned() == (packed.labels != -100).sum()
    flat = packed.ids.ravel()
    opening = Counter(by_hand(d, chat_tokenizer)[0][0] for d in said)
    assert Counter(flat[packed.begins].tolist()) == opening


# ---- leaks ----------------------------------------------------------------------------------

SHAPES = {
    "llama": (LlamaConfig, {}),
    "gpt2": (GPT2Config, {}),
    "mistral": (MistralConfig, {"sliding_window": 4, "num_key_value_heads": 1}),
    "opt": (OPTConfig, {"word_embed_proj_dim": 16, "ffn_dim": 24}),
    "biogpt": (BioGptConfig, {}),
    "mpt": (MptConfig, {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 64}),
    "bloom": (BloomConfig, {}),
    "mamba": (MambaConfig, {}),
}


def model_of(shape, rows, attention="sdpa"):
    kind, more = SHAPES[shape]
    usual = {"vocab_size": rows, "hidden_size": 16, "intermediate_size": 24}
    usual |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    config = kind(pad_token_id=None, **usual, **more)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model.double().eval()


def summed(model, batch, prepare=unchanged):
    batch = prepare({key: torch.as_tensor(value).long() for key, value in batch.items()})
    with torch.no_grad():
        logits = model(**model_inputs(batch)).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum"
    ).item()


def each_alone(model, said, tokenizer):
    total = learned = 0
    for dialogue in said:
        ids, mask = by_hand(dialogue, tokenizer)
        labels = [i if m else -100 for i, m in zip(ids, mask, strict=True)]
        total += summed(model, {"ids": [ids], "labels": [labels]})
        learned += sum(label != -100 for label in labels[1:])
    return total, learned


@pytest.mark.parametrize(
    ("shape", "attention", "way"),
    [
        ("llama", "eager", "unchanged"),
        ("llama", "sdpa", "unchanged"),
        ("gpt2", "eager", "unchanged"),
        ("gpt2", "sdpa", "unchanged"),
        ("mistral", "sdpa", "unchanged"),
        ("opt", "sdpa", "with_mask"),
        ("biogpt", "eager", "with_mask"),
        ("mpt", "eager", "with_mask"),
    ],
)
def test_packed_loss_is_the_loss_of_every_dialogue_alone(
    chat_tokenizer, talk, shape, attention, way
):
    said = talk(30)
    model = model_of(shape, len(chat_tokenizer), attention)
    prepare = isolation(model)
    assert getattr(prepare, "func", prepare).__name__ == way
    packed = pack(said, chat_tokenizer, 40, 0, "best-fit")
    assert packed.cut == 0
    assert packed.padding > 0
    assert len(packed) > 4
    alone, learned = each_alone(model, said, chat_tokenizer)
    together = summed(model, packed.batch(slice(None)), prepare)
    assert packed.learned() == learned
    assert together == pytest.approx(alone, rel=1e-7)
    chunked = pack(said, chat_tokenizer, 40, 0)
    across = summed(model, chunked.batch(slice(None))) / chunked.learned()
    assert abs(across - alone / learned) > 0.01
    if way != "unchanged":
        assert abs(summed(model, packed.batch(slice(None))) - alone) / learned > 0.01


def test_rows_end_to_end_give_the_same_loss(chat_tokenizer, talk):
    """What FlashAttention needs, which tells sequences apart in a batch of one row only."""
    said = talk(30)
    model = model_of("gpt2", len(chat_tokenizer))
    packed = pack(said, chat_tokenizer, 40, 0, "best-fit")
    together = summed(model, packed.batch(slice(None)), in_one_row)
    assert together == pytest.approx(each_alone(model, said, chat_tokenizer)[0], rel=1e-7)


@pytest.mark.parametrize("shape", ["opt", "mpt"])
def test_a_mask_serves_a_model_in_half_precision(shape, chat_tokenizer, talk):
    packed = pack(talk(8), chat_tokenizer, 40, 0, "best-fit")
    attention = "sdpa" if shape == "opt" else "eager"
    model = model_of(shape, len(chat_tokenizer), attention)
    exact = summed(model, packed.batch(slice(None)), isolation(model)) / packed.learned()
    half = model.bfloat16()
    rounded = summed(half, packed.batch(slice(None)), isolation(half)) / packed.learned()
    assert rounded == pytest.approx(exact, rel=0.05)
    whole = model.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = summed(whole, packed.batch(slice(None)), isolation(whole)) / packed.learned()
    assert mixed == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("shape", ["bloom", "mamba"])
def test_a_base_that_cannot_keep_them_apart_is_refused(shape):
    model = model_of(shape, 40, "eager").train()
    with pytest.raises(InputError, match="leak into each other") as refusal:
        isolation(model)
    assert "recipe.packing to chunk" in refusal.value.hint
    assert model.training


def test_gradients_stay_within_a_dialogue(chat_tokenizer, talk):
    """No embedding of a word that only a neighbour says is moved by a dialogue's loss."""
    packed = pack(talk(12), chat_tokenizer, 40, 0, "best-fit")
    model = model_of("llama", len(chat_tokenizer))
    batch = {k: torch.as_tensor(v).long() for k, v in packed.batch(slice(0, 2)).items()}
    vectors = model.get_input_embeddings()(batch["ids"]).detach().requires_grad_()
    inputs = model_inputs(isolation(model)(batch))
    del inputs["input_ids"]
    logits = model(inputs_embeds=vectors, **inputs).logits
    opens = (batch["positions"][1] == 0).nonzero().ravel().tolist()
    start, end = opens[1], opens[2]
    logits[1, start:end].square().sum().backward()
    reached = vectors.grad.abs().sum(-1) > 0
    assert reached[1, start:end].all()
    assert reached.sum() == end - start
