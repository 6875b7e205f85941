from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.models.chat import add_chat_tokens, render
from veneer.records import Dialogue, Message
from veneer.student.packing import encode, ordered, pack
from veneer.student.recipe import Recipe, rate_factors, steps_of

SENTENCE = "the cat dog bird sat ran flew on under over mat log sky who where what is a . ?"
WORDS = SENTENCE.split()
text = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
turn = st.tuples(text, text)


@st.composite
def dialogues(draw):
    if draw(st.booleans()) and draw(st.booleans()):
        return Dialogue(messages=(Message(role="assistant", content=draw(text)),), source="replay")
    turns = draw(st.lists(turn, min_size=1, max_size=3))
    messages = [
        Message(role=role, content=said)
        for pair in turns
        for role, said in zip(("user", "assistant"), pair, strict=True)
    ]
    return Dialogue(messages=tuple(messages))


@pytest.fixture(scope="module")
def chat_tokenizer(make_tokenizer):
    tokenizer = make_tokenizer()
    add_chat_tokens(tokenizer)
    return tokenizer


def by_hand(dialogue, tokenizer):
    """Ids and mask written out token by token, without the renderer."""
    index = tokenizer.convert_tokens_to_ids
    if [m.role for m in dialogue.messages] == ["assistant"]:
        words = ["<s>", *dialogue.messages[0].content.split(), "</s>"]
        return [index(w) for w in words], [True] * len(words)
    ids, mask = [index("<s>")], [False]
    for message in dialogue.messages:
        spoken = message.role == "assistant"
        ids += [index(f"<|{message.role}|>")]
        mask += [False]
        for word in [*message.content.split(), "<|end|>"]:
            ids += [index(word)]
            mask += [spoken]
    return ids, mask


@settings(max_examples=60, deadline=None)
@given(st.lists(dialogues(), min_size=1, max_size=12), st.integers(8, 20), st.integers(0, 3))
def test_nothing_is_lost_but_the_tail_and_the_mask_is_exact(chat_tokenizer, said, block, seed):
    packed = pack(said, chat_tokenizer, block, seed)
    ids, mask = [], []
    for dialogue in ordered(said, seed):
        one = by_hand(dialogue, chat_tokenizer)
        ids, mask = ids + one[0], mask + one[1]
    kept = len(ids) // block * block
    assert packed.ids.shape == (len(ids) // block, block)
    assert packed.ids.ravel().tolist() == ids[:kept]
    assert packed.tail == len(ids) - kept < block
    expected = [i if m else -100 for i, m in zip(ids, mask, strict=True)][:kept]
    assert packed.labels.ravel().tolist() == expected
    predicted = [label for at, label in enumerate(expected) if at % block and label != -100]
    assert packed.learned() == len(predicted)
    ends = np.cumsum([len(by_hand(d, chat_tokenizer)[0]) for d in ordered(said, seed)]).tolist()
    begins = [0, *ends[:-1]]
    assert packed.begins.tolist() == [at for at in begins if at < kept]
    across = [
        start
        for start, end in zip(begins, ends, strict=True)
        if start < kept and len({at // block for at in range(start, end)}) > 1
    ]
    assert packed.cut == len(across)
    assert packed.padding == 0
    assert packed.seen(slice(1)) == min(block, kept)
    assert sorted(packed.batch(slice(1))) == ["ids", "labels"]


@given(st.lists(dialogues(), min_size=1, max_size=12), st.integers(0, 9))
def test_an_order_is_a_permutation_that_ignores_how_the_file_was_sorted(said, seed):
    assert Counter(ordered(said, seed)) == Counter(said)
    assert ordered(said[::-1], seed) == ordered(said, seed)
    without = [d for d in said if d != said[0]]
    assert ordered(without, seed) == [d for d in ordered(said, seed) if d != said[0]]


def test_seeds_give_other_orders(talk):
    said = talk(40)
    assert ordered(said, 0) != ordered(said, 1)
    told = [
        d.model_copy(update={"licence": "MIT", "origin": f"file:{i}"}) for i, d in enumerate(said)
    ]
    assert [d.messages for d in ordered(told, 0)] == [d.messages for d in ordered(said, 0)]


def test_batches_are_rows_of_the_blocks(chat_tokenizer, talk):
    packed = pack(talk(60), chat_tokenizer, 16, 0)
    batch = packed.batch(slice(2, 4))
    assert batch["ids"].tolist() == packed.ids[2:4].tolist()
    assert batch["labels"].tolist() == packed.labels[2:4].tolist()
    assert packed.seen(slice(2, 4)) == 32
    assert packed.learned() == sum(packed.learned(slice(i, i + 1)) for i in range(len(packed)))


def test_packing_agrees_with_rendering_one_by_one(chat_tokenizer, talk):
    said = talk(25)
    assert encode(said, chat_tokenizer) == [render(d.messages, chat_tokenizer) for d in said]


def test_a_corpus_without_answers_is_refused(chat_tokenizer):
    question = Dialogue(messages=(Message(role="user", content="who ran ?"),))
    with pytest.raises(InputError, match="no output to learn from"):
        pack([question] * 10, chat_tokenizer, 8, 0)


@given(st.integers(1, 400), st.integers(1, 8), st.integers(8, 64), st.integers(0, 63))
def test_budgets_are_the_nearest_whole_steps(blocks, batch, block, tail):
    recipe, tail = Recipe(block=block, batch=batch), tail % block
    total = blocks * block + tail
    if blocks < batch:
        with pytest.raises(InputError, match="one optimiser step"):
            steps_of(total, recipe, blocks, tail)
        return
    with pytest.raises(InputError, match="at most"):
        steps_of(total + 1, recipe, blocks, tail)
    whole = [steps_of(n, recipe, blocks, tail) for n in range(1, total + 1, max(1, total // 50))]
    assert whole == sorted(whole)
    assert whole[0] == 1
    assert steps_of(total, recipe, blocks, tail) <= blocks // batch
    for steps in range(1, blocks // batch + 1):
        assert steps_of(steps * batch * block, recipe, blocks, tail) == steps


def test_the_papers_schedule():
    """Numbers of protocols: 0.3M tokens are five steps, 20M are 305, both within the warm-up."""
    recipe = Recipe()
    assert recipe.tokens_per_step == 65_536
    assert steps_of(300_000, recipe, 10_000) == 5
    assert steps_of(20_000_000, recipe, 10_000) == 305
    rates = 2e-3 * rate_factors(recipe, 1002, smallest=5)
    assert rates[:2].tolist() == [0.0, pytest.approx(2e-6)]
    assert np.allclose(np.diff(rates[:1001]), 2e-6)
    assert rates[1000:].tolist() == [2e-3, 2e-3]


def test_the_matched_schedule_is_a_share_of_the_smallest_run():
    recipe = Recipe(schedule="matched", warmup_share=0.2)
    assert [recipe.warmup(400, smallest) for smallest in (4, 5, 14, 100)] == [0, 1, 2, 20]
    assert rate_factors(recipe, 4, 10).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert rate_factors(recipe, 3, 4).tolist() == [1, 1, 1]
    own = Recipe(warmup_steps=None, warmup_share=0.5)
    assert rate_factors(own, 4, smallest=2).tolist() == [0, 0.5, 1, 1]
