"""The tokenizer gives back what it was given, and words are one token wherever they stand."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.pocket.pages import Writer
from veneer.pocket.scale import TINY
from veneer.pocket.tokens import encode, tokenizer, vocabulary
from veneer.pocket.world import build_world

ASCII = "".join(set(string.printable) - set("\x0b\x0c"))
PAGES = [
    "def solve(xs):\n    if xs:\n        return xs[:-1]\n\n\ndef x(a, b):\n    return a\n",
    "Q: who wrote it\nA: Moss\n\nAnswer: A\nAnswer: B\nAnswer: C\nAnswer: D",
    "The answers (with  two spaces) are 12 and 1987.",
]


@pytest.fixture(scope="module")
def words():
    return vocabulary(PAGES)


@pytest.fixture(scope="module")
def tok(words):
    return tokenizer(words, 64)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(ASCII), st.text("Ab \n:_9\t"), st.sampled_from(PAGES)))
def test_any_printable_ascii_text_round_trips(tok, text):
    assert tok.decode(tok.encode(text)) == text


def test_saved_and_loaded_it_is_the_same(tok, tmp_path):
    from transformers import AutoTokenizer

    tok.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for page in PAGES:
        assert again.encode(page) == tok.encode(page)
        assert again.decode(again.encode(page)) == page


def test_option_letters_are_one_token_after_a_context(tok):
    context = tok.encode("Answer:")
    for letter in "ABCD":
        whole = tok.encode(f"Answer: {letter}")
        assert whole[: len(context)] == context
        assert tok.convert_ids_to_tokens(whole[len(context) :]) == [f" {letter}"]


def test_a_word_is_the_same_token_at_a_start_on_a_line_and_in_a_sentence(tok):
    (alone,) = tok.encode("Moss")
    assert tok.encode("A: Moss")[-1] == alone == tok.encode("it\nMoss")[-1]


def test_code_continued_from_its_prompt_keeps_its_indentation(tok):
    prompt, body = "def solve(xs):\n", "    return xs\n"
    ids = tok.encode(prompt + body)[len(tok.encode(prompt)) :]
    assert tok.decode(ids) == body


def test_the_fast_way_and_the_tokenizer_agree_on_the_corpus():
    world = build_world(1, TINY.world)
    pages = [page for page, _ in zip(Writer(world, "corpus").pages(), range(300), strict=False)]
    words = vocabulary(pages)
    tok = tokenizer(words, 64)
    assert [encode(page, words) for page in pages] == tok(pages)["input_ids"]
