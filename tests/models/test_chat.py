import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import byte_tokenizer, gpt2, llama, sentence_tokenizer

from veneer.errors import InputError
from veneer.models import chat
from veneer.records import Message

WORDS = st.text(max_size=30) | st.sampled_from(
    ["<|end|>", "a<|user|>b", " lead and trail ", "</s>", "{{ x }}", "line\n\n", "", "the dog"]
)


def prepared(make, **how):
    tokenizer = make(**how)
    chat.add_chat_tokens(tokenizer)
    return tokenizer


TOKENIZERS = {
    "bytes": prepared(byte_tokenizer),
    "bytes-bos": prepared(byte_tokenizer, bos=True),
    "sentence-first": prepared(sentence_tokenizer, scheme="first"),
    "sentence-always": prepared(sentence_tokenizer, scheme="always", bos=False),
}


def dialogue(texts):
    roles = ["user", "assistant"]
    return [Message(role=roles[i % 2], content=text) for i, text in enumerate(texts)]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=5))
def test_tokens_are_those_of_the_tokenizers_own_template(name, texts):
    tokenizer, messages = TOKENIZERS[name], dialogue(texts)
    turns = [m.model_dump() for m in messages]
    own = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    rendered = chat.render(messages, tokenizer)
    assert rendered.ids == own["input_ids"]
    asked = tokenizer.apply_chat_template(turns, return_dict=True, add_generation_prompt=True)
    assert chat.render_prompt(messages, tokenizer) == asked["input_ids"]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=5))
def test_loss_is_on_answers_and_their_end_token_only(name, texts):
    tokenizer = TOKENIZERS[name]
    rendered = chat.render(dialogue(texts), tokenizer)
    assert len(rendered.ids) == len(rendered.mask)
    learning, expected = False, []
    opening, end = (tokenizer.convert_tokens_to_ids(t) for t in (chat.ASSISTANT, chat.END))
    for token in rendered.ids:  # a turn's text can hold no marker, so a scan is exact
        expected.append(learning)
        if token == opening:
            learning = True
        elif token == end:
            learning = False
    assert rendered.mask == expected
    assert rendered.ids.count(end) == len(texts)


def test_bytes_tokenizer_spells_the_documented_format():
    tokenizer = TOKENIZERS["bytes-bos"]
    rendered = chat.render(dialogue(["hi there", "well", "so", "no"]), tokenizer)
    assert tokenizer.decode(rendered.ids) == (
        "<s><|user|>hi there<|end|><|assistant|>well<|end|><|user|>so<|end|><|assistant|>no<|end|>"
    )
    assert tokenizer.decode([i for i, m in zip(rendered.ids, rendered.mask, strict=True) if m]) == (
        "well<|end|>no<|end|>"
    )


def test_template_survives_saving(tmp_path):
    from transformers import AutoTokenizer

    for name, tokenizer in TOKENIZERS.items():
        tokenizer.save_pretrained(tmp_path / name)
        again = AutoTokenizer.from_pretrained(tmp_path / name)
        messages = dialogue(["a <|end|> b", "c"])
        assert chat.is_chat(again)
        assert chat.render(messages, again) == chat.render(messages, tokenizer)
        assert chat.add_chat_tokens(again) == []
        assert len(again) == len(tokenizer)


def test_many_at_once_equals_one_by_one():
    tokenizer = TOKENIZERS["sentence-first"]
    dialogues = [dialogue(["one"]), dialogue(["two", "three"]), []]
    assert chat.render_many(dialogues, tokenizer) == [chat.render(d, tokenizer) for d in dialogues]


FOREIGN = (
    "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)


def test_another_models_template_is_used_as_it_is():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = FOREIGN
    messages = dialogue(["ask", "answer", "again", "more"])
    rendered = chat.render(messages, tokenizer)
    text = "[user]ask\n[assistant]answer\n[user]again\n[assistant]more\n"
    assert tokenizer.decode(rendered.ids) == text
    learned = [i for i, m in zip(rendered.ids, rendered.mask, strict=True) if m]
    assert tokenizer.decode(learned) == "answer\nmore\n"
    assert tokenizer.decode(chat.render_prompt(messages[:1], tokenizer)) == "[user]ask\n[assistant]"


def test_a_template_that_rewrites_history_gets_no_mask():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ messages | length }}" + FOREIGN
    with pytest.raises(InputError, match="rewrites earlier turns"):
        chat.render(dialogue(["a", "b", "c", "d"]), tokenizer)


def test_no_template_is_an_error_that_says_what_to_do():
    with pytest.raises(InputError, match="add_chat_tokens"):
        chat.render(dialogue(["a"]), byte_tokenizer())
    assert not chat.is_chat(byte_tokenizer())


@pytest.mark.parametrize("make", [llama, gpt2, lambda n: llama(n, tied=False)])
@pytest.mark.parametrize("spare", [0, 1, 64])
def test_new_rows_are_the_mean_of_related_words(make, spare):
    tokenizer = byte_tokenizer()
    old = len(tokenizer)
    model = make(old + spare)
    before = [m.weight.detach().clone() for m in (model.get_input_embeddings(), model.lm_head)]
    added = chat.add_chat_tokens(tokenizer)
    chat.fit_embeddings(model, tokenizer, added, like={chat.USER: ["Q", "who"]})
    assert model.get_input_embeddings().weight.shape[0] == max(old + spare, old + 3)
    assert model.config.vocab_size == max(old + spare, old + 3)
    words = sorted(set(tokenizer("Q").input_ids + tokenizer("who").input_ids))
    for matrix, first in zip((model.get_input_embeddings(), model.lm_head), before, strict=True):
        assert torch.equal(matrix.weight[:old], first[:old])
        user, end = (tokenizer.convert_tokens_to_ids(t) for t in (chat.USER, chat.END))
        assert torch.allclose(matrix.weight[user], first[words].mean(0), atol=1e-6)
        assert torch.allclose(matrix.weight[end], first[:old].mean(0), atol=1e-6)
    assert tokenizer.convert_tokens_to_ids(chat.END) in model.generation_config.eos_token_id
