import pytest
from small_models import byte_tokenizer, llama

from veneer.errors import InputError
from veneer.models.asking import Ask, Reply
from veneer.models.chat import add_chat_tokens, fit_embeddings
from veneer.models.local import LocalModel
from veneer.records import Message

QUESTIONS = ["who wrote the book?", "the quick brown fox", "", "add 1 and 2"]


@pytest.fixture(scope="module")
def plain():
    tokenizer = byte_tokenizer()
    return LocalModel(llama(len(tokenizer)), tokenizer, name="plain")


@pytest.fixture(scope="module")
def chatty():
    tokenizer = byte_tokenizer()
    model = llama(len(tokenizer))
    added = add_chat_tokens(tokenizer)
    fit_embeddings(model, tokenizer, added)
    return LocalModel(model, tokenizer, name="chatty")


def test_replies_are_the_answers_with_how_they_ended(plain):
    how = {"max_new_tokens": 12, "temperature": 1.0, "seed": 4}
    said = plain.answer(QUESTIONS * 20, **how)
    replies = plain.ask([Ask.of(text) for text in QUESTIONS * 20], **how)
    assert len({one.finish for one in said}) == 2
    for one, reply, prompt in zip(said, replies, QUESTIONS * 20, strict=True):
        if one.finish == "length":
            wanted = ("truncated", "cut off after 12 tokens")
        elif not one.text.strip():
            wanted = ("empty", "ended without a word")
        else:
            wanted = ("answered", "")
        assert (reply.outcome, reply.reason) == wanted
        assert reply.text == one.text.strip()
        assert reply.completion_tokens == one.tokens
        assert reply.prompt_tokens == len(plain.encode(prompt))


def test_a_conversation_is_asked_in_the_models_template(chatty):
    turns = (
        Message(role="user", content="who?"),
        Message(role="assistant", content="nobody"),
        Message(role="user", content="why?"),
    )
    (reply,) = chatty.ask([Ask(turns)], max_new_tokens=5)
    ids = []
    for turn in turns:
        marker = "<|user|>" if turn.role == "user" else "<|assistant|>"
        for piece in (marker, turn.content, "<|end|>"):
            ids += chatty.encode(piece)
    ids += chatty.encode("<|assistant|>")
    (same,) = chatty.generate([ids], max_new_tokens=5)
    assert reply.prompt_tokens == len(ids)
    assert reply.text == same.text.strip()


def test_a_model_without_a_template_takes_single_questions_only(plain):
    turns = (Message(role="user", content="a"), Message(role="assistant", content="b"))
    with pytest.raises(InputError, match="no chat template"):
        plain.ask([Ask(turns)], max_new_tokens=5)
    assert plain.ask([], max_new_tokens=5) == []
    assert isinstance(plain.ask([Ask.of("a")], max_new_tokens=2)[0], Reply)
