"""What is refused before training, and the first batch as people see it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_packing import by_hand, dialogues

from veneer.errors import InputError
from veneer.models.chat import END, add_chat_tokens
from veneer.records import Dialogue, Message
from veneer.student.checks import check, show_batch
from veneer.student.packing import ordered, pack


@pytest.fixture(scope="module")
def chat_tokenizer(make_tokenizer):
    tokenizer = make_tokenizer()
    add_chat_tokens(tokenizer)
    return tokenizer


def said(*texts):
    roles = ("user", "assistant")
    turns = (Message(role=roles[i % 2], content=text) for i, text in enumerate(texts))
    return Dialogue(messages=tuple(turns))


@settings(max_examples=40, deadline=None)
@given(st.lists(dialogues(), min_size=1, max_size=12), st.integers(9, 30), st.integers(0, 3))
def test_facts_are_what_a_reader_of_the_stream_counts(chat_tokenizer, talks, block, seed):
    chunked = pack(talks, chat_tokenizer, block, seed)
    if not chunked.learned(slice(32)):
        return
    end, opening = (chat_tokenizer.convert_tokens_to_ids(t) for t in (END, "<|assistant|>"))
    owner, stream = [], []
    for which, dialogue in enumerate(ordered(talks, seed)):
        ids, mask = by_hand(dialogue, chat_tokenizer)
        owner += [which] * len(ids)
        stream += zip(ids, mask, strict=True)
    kept = range(chunked.ids.size)
    learned = {at for at in kept if stream[at][1] and at % block}
    ends = [at for at in learned if stream[at][0] == end]
    answers = [at for at in kept if stream[at][0] == opening]
    if answers and not ends:
        with pytest.raises(InputError, match="No end of an answer is learned"):
            check(chunked, chat_tokenizer)
        return
    facts = check(chunked, chat_tokenizer)
    assert (facts.blocks, facts.block, facts.tokens) == (len(chunked), block, len(kept))
    assert facts.learned == len(learned)
    assert facts.learned_share == pytest.approx(len(learned) / len(kept))
    assert facts.ends == len(ends)
    assert facts.outputs == sum(at + 1 in learned for at in answers)
    assert facts.dialogues == len({owner[at] for at in kept})
    starts = [at for at in kept if at % block == 0]
    assert facts.begin_inside == sum(at > 0 and owner[at] == owner[at - 1] for at in starts)
    first = {owner[at]: at for at in reversed(kept)}
    assert facts.see_another == sum(at % block > 0 for at in first.values())
    assert (facts.doubled, facts.padding_share) == (0, 0)

    apart = pack(talks, chat_tokenizer, 64, seed, "best-fit")
    facts = check(apart, chat_tokenizer)
    whole = sum(len(by_hand(d, chat_tokenizer)[0]) for d in talks)
    assert facts.tokens == whole
    assert facts.padding_share == pytest.approx(1 - whole / apart.ids.size)
    assert facts.see_another == 0
    assert facts.dialogues == len(talks)


@pytest.mark.parametrize("packing", ["chunk", "best-fit"])
def test_each_mistake_is_named(chat_tokenizer, talk, packing):
    packed = pack(talk(40), chat_tokenizer, 24, 0, packing)
    check(packed, chat_tokenizer)
    end, bos, eos = (chat_tokenizer.convert_tokens_to_ids(t) for t in (END, "<s>", "</s>"))

    unstopped = np.where(packed.ids == end, -100, packed.labels)
    with pytest.raises(InputError, match="No end of an answer is learned"):
        check(replace(packed, labels=unstopped), chat_tokenizer)

    late = packed.labels.copy()
    late[:2] = -100
    check(replace(packed, labels=late), chat_tokenizer, batch=3)
    with pytest.raises(InputError, match="first 2 blocks hold no token to learn"):
        check(replace(packed, labels=late), chat_tokenizer, batch=2)

    for token, name in ((bos, "<s>"), (eos, "</s>")):
        twice = packed.ids.copy()
        twice[1, 3:5] = token
        with pytest.raises(InputError, match=f"{name} stands twice in a row in block 1, at token"):
            check(replace(packed, ids=twice), chat_tokenizer)
        assert check(replace(packed, ids=twice), chat_tokenizer, batch=1).doubled == 1


def test_a_loss_on_padding_is_refused_even_where_a_base_pads_with_its_end(make_tokenizer, talk):
    tokenizer = make_tokenizer()
    add_chat_tokens(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    packed = pack(talk(30), tokenizer, 32, 0, "best-fit")
    row = int(np.argmin(packed.filled))
    assert packed.filled[row] < 31
    assert check(packed, tokenizer).doubled == 0
    labels = packed.labels.copy()
    labels[row, -1] = packed.ids[row, -1]
    with pytest.raises(InputError, match="Padding has a loss"):
        check(replace(packed, labels=labels), tokenizer)
    bare = replace(packed, labels=labels, filled=None, begins=None, positions=None)
    with pytest.raises(InputError, match="Padding has a loss"):
        check(bare, tokenizer)


def test_a_loss_across_the_border_of_two_dialogues_is_refused(chat_tokenizer, talk):
    packed = pack(talk(30), chat_tokenizer, 32, 0, "best-fit")
    labels = packed.labels.copy()
    second = int(np.flatnonzero(packed.positions[0] == 0)[1])
    labels[0, second] = packed.ids[0, second]
    with pytest.raises(InputError, match="first token of a packed dialogue has a loss"):
        check(replace(packed, labels=labels), chat_tokenizer)


def test_a_bos_that_is_the_eos_is_not_doubled_between_texts(make_tokenizer):
    tokenizer = make_tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = "<s>"
    add_chat_tokens(tokenizer)
    texts = [Dialogue(messages=(Message(role="assistant", content="the cat sat"),))] * 8
    for packing in ("chunk", "best-fit"):
        packed = pack(texts, tokenizer, 5, 0, packing)
        assert packed.ids[0].tolist().count(1) == 2
        assert check(packed, tokenizer).doubled == 0
        assert check(pack(texts, tokenizer, 12, 0, packing), tokenizer).doubled == 0


def printed(texts, **how):
    console = Console(width=200, record=True, **how)
    with console.capture() as capture:
        for text in texts:
            console.print(text)
    return capture.get()


def test_a_batch_without_colours_marks_what_is_learned(chat_tokenizer):
    talks = [said("who ran ?", "the cat", "who sat ?", "a dog"), said("what is a mat ?", "sky")]
    packed = pack(talks, chat_tokenizer, 32, None, "best-fit")
    assert printed(show_batch(packed, chat_tokenizer, slice(1), colours=False)) == (
        "block 0: 30 tokens, 8 learned, 2 padding\n"
        "── dialogue ──\n"
        "<s><|user|>who ran ?<|end|><|assistant|>⟦the cat<|end|>⟧"
        "<|user|>who sat ?<|end|><|assistant|>⟦a dog<|end|>⟧\n"
        "── dialogue ──\n"
        "<s><|user|>what is a mat ?<|end|><|assistant|>⟦sky<|end|>⟧\n"
        "── 2 × padding ──\n\n"
    )


def test_a_cut_dialogue_is_seen_to_be_cut_and_to_go_on(chat_tokenizer):
    talks = [said("who ran ?", "the cat sat on the mat . the dog ran under the sky .")]
    for packing in ("chunk", "best-fit"):
        packed = pack(talks, chat_tokenizer, 10, None, packing)
        first, second = show_batch(packed, chat_tokenizer, slice(2), colours=False)
        assert first.plain.endswith("⟦the cat sat⟧\n── cut here: it goes on in another block ──\n")
        assert "\n── a dialogue that was cut goes on ──\non⟦the mat ." in second.plain


def test_colours_follow_the_mask_and_text_is_never_obeyed(chat_tokenizer):
    talks = [said("who [red]ran[/red] ?", "[bold]the[/bold] cat")]
    packed = pack(talks, chat_tokenizer, 10, None, "best-fit")
    texts = show_batch(packed, chat_tokenizer, slice(0, 2))
    for row, text in enumerate(texts):
        green = "".join(
            text.plain[span.start : span.end] for span in text.spans if "green" in str(span.style)
        )
        labels = packed.labels[row][packed.labels[row] != -100]
        spelled = chat_tokenizer.decode(labels).replace(" ", "")
        assert green.replace(" ", "") == spelled
    from test_real_dialogues import TEXTS, like_gpt2

    tokenizer = like_gpt2(TEXTS)
    add_chat_tokens(tokenizer)
    hostile = "[red]a[/red] \x1b[31m b\rc\u202ed ⟦"
    (text,) = show_batch(
        pack([said("q", hostile)], tokenizer, 90, None, "best-fit"), tokenizer, slice(1)
    )
    assert "[red]a[/red] ␛[31m b␍c\\u202ed \\u27e6" in printed([text], no_color=True)


def test_long_blocks_are_cut_for_the_screen_and_say_so(chat_tokenizer, talk):
    packed = pack(talk(60), chat_tokenizer, 200, 0)
    (whole,) = show_batch(packed, chat_tokenizer, slice(1), colours=False)
    (short,) = show_batch(packed, chat_tokenizer, slice(1), colours=False, limit=100)
    body, count = short.plain.rsplit("\n… ", 1)
    assert whole.plain.startswith(body.removesuffix("⟧"))
    notes = ("── dialogue ──", "── a dialogue that was cut goes on ──", "── cut here", "block 0:")
    letters = [
        sum(
            len(line.replace("⟦", "").replace("⟧", ""))
            for line in text.split("\n")
            if not line.startswith(notes)
        )
        for text in (whole.plain, body)
    ]
    assert letters[1] == 100
    assert count == f"{letters[0] - 100:,} more characters of this block"
