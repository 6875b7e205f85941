"""Bases as they are met in the wild: each can be given our markers, trained, saved and asked."""

import json

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Tokenizer,
    GPTNeoXConfig,
    LlamaConfig,
    LlamaTokenizer,
    OPTConfig,
)
from transformers import PreTrainedTokenizerFast as Fast

from veneer.models import chat
from veneer.models.chat import ASSISTANT, END, USER, add_chat_tokens, fit_embeddings
from veneer.records import Message

TEXTS = ["the quick brown fox jumps over the lazy dog", "who wrote it ? nobody knows", "naïve café"]
MESSAGES = [
    Message(role="user", content=" who wrote <|end|> it ?\n"),
    Message(role="assistant", content="nobody  knows</s> "),
    Message(role="user", content=""),
    Message(role="assistant", content="\nthe fox 狐"),
]


def byte_level(special=("<s>", "</s>")):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXTS, trainer)
    return inner


def parts(inner):
    model = json.loads(inner.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def like_gpt2():
    return GPT2Tokenizer(**parts(byte_level(["<|endoftext|>"])))


def like_llama():
    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=310, special_tokens=special, show_progress=False)
    inner.train_from_iterator(TEXTS, trainer)
    return LlamaTokenizer(**parts(inner), add_bos_token=True)


def that_ends_everything():
    inner = byte_level()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return Fast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def with_markers_of_its_own():
    """As Phi-3: our three markers are there and take in the spaces that follow or precede."""
    inner = byte_level()
    beside = [AddedToken(m, special=True, rstrip=True, lstrip=m == END) for m in (USER, END)]
    inner.add_special_tokens(beside)
    tokenizer = Fast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    return tokenizer


def with_gaps():
    """Ids that are not consecutive, as in tokenizers whose unused tokens were removed."""
    described = json.loads(byte_level().to_str())
    for at, token in enumerate(["<extra>", "<more>"]):
        described["added_tokens"].append(
            {"id": 330 + 9 * at, "content": token, "special": True}
            | dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
        )
        described["model"]["vocab"][token] = 330 + 9 * at
    inner = Tokenizer.from_str(json.dumps(described))
    return Fast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {
    "nothing special": lambda: Fast(tokenizer_object=byte_level(())),
    "no bos": lambda: Fast(tokenizer_object=byte_level(), eos_token="</s>"),
    "no eos": lambda: Fast(tokenizer_object=byte_level(), bos_token="<s>", pad_token="</s>"),
    "bos is eos is pad": lambda: Fast(
        tokenizer_object=byte_level(),
        **dict.fromkeys(["bos_token", "eos_token", "pad_token"], "<s>"),
    ),
    "GPT-2": like_gpt2,
    "LLaMA": like_llama,
    "adds its eos": that_ends_everything,
    "template and markers of its own": with_markers_of_its_own,
    "gaps": with_gaps,
}

SHAPES = {
    "tied": (LlamaConfig, {"tie_word_embeddings": True}),
    "untied": (GPTNeoXConfig, {"tie_word_embeddings": False}),
    "projected": (OPTConfig, {"word_embed_proj_dim": 8, "ffn_dim": 24}),
}


def base_of(shape, rows):
    kind, more = SHAPES[shape]
    torch.manual_seed(0)
    config = kind(
        vocab_size=rows,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
        **more,
    )
    return AutoModelForCausalLM.from_config(config)


CASES = [
    (name, spare, list(SHAPES)[(i + j) % len(SHAPES)])
    for i, name in enumerate(TOKENIZERS)
    for j, spare in enumerate(["to 64", -2, 0])
]


@pytest.mark.parametrize(("name", "spare", "shape"), CASES)
def test_an_odd_base_is_trained_saved_and_rendered_alike(name, spare, shape, tmp_path):
    tokenizer = TOKENIZERS[name]()
    known = max(tokenizer.get_vocab().values()) + 1
    rows = -(-known // 64) * 64 if spare == "to 64" else known + spare
    model = base_of(shape, rows)
    added = add_chat_tokens(tokenizer)
    assert set(added) == {USER, ASSISTANT, END} - ({USER, END} if "own" in name else set())
    fit_embeddings(model, tokenizer, added)
    width = model.get_input_embeddings().weight.shape[0]
    assert width == max(rows, max(tokenizer.get_vocab().values()) + 1)
    assert model.config.vocab_size == model.get_output_embeddings().weight.shape[0] == width

    rendered = chat.render(MESSAGES, tokenizer)
    end = tokenizer.convert_tokens_to_ids(END)
    assert rendered.ids.count(end) == len(MESSAGES)
    assert [rendered.ids[i] for i, m in enumerate(rendered.mask) if m].count(end) == 2
    markers = [tokenizer.convert_tokens_to_ids(marker) for marker in chat.MARKERS]
    known_as = [tokenizer.added_tokens_decoder[marker] for marker in markers]
    assert not any(token.lstrip or token.rstrip for token in known_as)
    ids = torch.tensor([rendered.ids])
    labels = torch.where(torch.tensor([rendered.mask]), ids, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = model.get_output_embeddings().weight[end].detach().clone()
    losses = []
    for _ in range(3):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not torch.equal(model.get_output_embeddings().weight[end], before)

    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    reader = AutoTokenizer.from_pretrained(tmp_path)
    assert torch.equal(again(ids).logits, model.eval()(ids).logits)
    turns = [m.model_dump() for m in MESSAGES]
    assert reader.apply_chat_template(turns, return_dict=True)["input_ids"] == rendered.ids
    assert chat.render(MESSAGES, reader) == rendered
    asked = reader.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=True)
    assert asked["input_ids"] == chat.render_prompt(MESSAGES[:1], tokenizer)
    assert end in again.generation_config.eos_token_id


def test_rows_of_tokens_that_the_base_never_had_are_the_mean():
    tokenizer = TOKENIZERS["gaps"]()
    model = base_of("untied", 320)
    old = [m.weight.detach().clone() for m in (model.get_input_embeddings(), model.lm_head)]
    known = [i for i in tokenizer.get_vocab().values() if i < 320]
    assert len(known) == 290
    added = add_chat_tokens(tokenizer)
    fit_embeddings(model, tokenizer, added)
    new = [m.weight.detach() for m in (model.get_input_embeddings(), model.lm_head)]
    for matrix, first in zip(new, old, strict=True):
        assert torch.equal(matrix[:320], first)
        mean = first[known].mean(0).expand(len(matrix) - 320, -1)
        torch.testing.assert_close(matrix[320:], mean)


def test_no_text_can_spell_any_special_token():
    tokenizer = TOKENIZERS["gaps"]()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra>", "<more>"]})
    add_chat_tokens(tokenizer)
    said = "".join(tokenizer.all_special_tokens)
    assert "<extra>" in said
    rendered = chat.render([Message(role="user", content=said)], tokenizer)
    (plain,) = chat.render_plain([said], tokenizer)
    assert plain.ids == [*rendered.ids[1:-1], tokenizer.eos_token_id]
    assert not set(rendered.ids[1:-1]) & set(tokenizer.all_special_ids)
