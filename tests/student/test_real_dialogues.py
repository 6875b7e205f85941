"""Real dialogues, token by token, against the tokenizer's own template; and hostile ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast as Fast

from veneer.corpus.importing import read_batches
from veneer.corpus.rows import dialogues as rows_of
from veneer.models.chat import END, add_chat_tokens
from veneer.records import Dialogue, Message
from veneer.student.packing import encode, pack

SHARED = Path(__file__).parents[2].parent / "shared/data/dialogues"
FILES = {
    "sharegpt_real_dialogues.jsonl": 5,
    "moss003_sharegpt_raw.jsonl.gz": 95,
    "alpaca_gpt4_1000.jsonl.gz": 400,
    "gpteacher_roleplay.jsonl.gz": 400,
    "fastchat_dummy_conversation.jsonl.gz": 100,
}
TEXTS = [
    "the quick brown fox jumps over the lazy dog and runs away, who knows where?",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))  # 3",
    "Überall schöne Wörter – naïve café, 12,345.67 and $9! 狐狸",
] * 4


def like_gpt2(texts):
    """Byte-level BPE without a BOS in front, as GPT-2 and Qwen have it.

    (Where offsets are trimmed, transformers finds no token at the space that an answer begins
    with and leaves the whole dialogue's mask 0.)
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    names = ["bos_token", "eos_token", "unk_token"]
    return Fast(tokenizer_object=inner, **dict.fromkeys(names, "<|endoftext|>"))


def like_llama(texts, kind="bpe", legacy=False):
    """SentencePiece's way: ▁ for spaces, bytes for what is unknown, a BOS in front.

    `legacy` puts a ▁ before every stretch of text between special tokens, as LLaMA 1 and 2 do.
    """
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    if kind == "bpe":
        inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        trainer = trainers.BpeTrainer(
            vocab_size=1500, special_tokens=special, limit_alphabet=200, show_progress=False
        )
    else:
        inner = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=900, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    inner.train_from_iterator(texts, trainer)
    described = json.loads(inner.to_str())
    described["model"]["byte_fallback"] = True
    described["added_tokens"] = described["added_tokens"][:3]
    if legacy:
        described["pre_tokenizer"] = None
        described["normalizer"] = {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        }
    inner = Tokenizer.from_str(json.dumps(described))
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return Fast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


MAKERS = {
    "GPT-2": like_gpt2,
    "LLaMA": like_llama,
    "LLaMA, legacy": lambda texts: like_llama(texts, legacy=True),
    "Unigram": lambda texts: like_llama(texts, kind="unigram"),
}


def by_template(said, tokenizer):
    """Ids and labels of each dialogue as any Hugging Face tool renders them."""
    own = tokenizer.apply_chat_template(
        [[m.model_dump() for m in dialogue.messages] for dialogue in said],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    return [
        (np.array(ids), np.where(mask, ids, -100))
        for ids, mask in zip(own["input_ids"], own["assistant_masks"], strict=True)
    ]


@pytest.fixture(scope="module")
def real():
    if not SHARED.is_dir():
        pytest.skip("the shared dialogues are not here")
    said = []
    for name, count in FILES.items():
        kept = [d for batch in read_batches(SHARED / name) for d in rows_of(batch)]
        said += kept[:count]
    assert len(said) == 1000
    return said


@pytest.mark.parametrize("name", ["GPT-2", "LLaMA, legacy"])
def test_a_thousand_real_dialogues_token_by_token(real, name):
    tokenizer = MAKERS[name]([m.content for d in real[::5] for m in d.messages])
    add_chat_tokens(tokenizer)
    expected = by_template(real, tokenizer)
    packed = pack(real, tokenizer, 2048, None)
    ids, labels = (np.concatenate(each) for each in zip(*expected, strict=True))
    assert packed.ids.shape == (len(ids) // 2048, 2048)
    kept = packed.ids.size
    assert packed.tail == len(ids) - kept < 2048
    assert np.array_equal(packed.ids.ravel(), ids[:kept])
    assert np.array_equal(packed.labels.ravel(), labels[:kept])
    # What the tail cut off, and each dialogue's place.
    ends = np.cumsum([len(one) for one, _ in expected])
    assert np.array_equal(packed.begins, np.array([0, *ends[:-1]])[: packed.dialogues])
    last = [d for d, end in zip(real, ends, strict=True) if end > kept]
    rendered = encode(last, tokenizer)
    assert [r.ids for r in rendered] == [one.tolist() for one, _ in expected[-len(last) :]]
    # No loss outside the answers and their end: what has one spells them, and nothing else.
    if name == "GPT-2":
        learned = tokenizer.decode(labels[labels != -100])
        answers = [m.content for d in real for m in d.messages if m.role == "assistant"]
        assert learned == "".join(answer + END for answer in answers)


def test_real_dialogues_stand_whole_in_nearly_full_blocks(real):
    tokenizer = like_gpt2([m.content for d in real[::5] for m in d.messages])
    add_chat_tokens(tokenizer)
    some = [d for d in real[200:] if len(d.messages[-1].content) < 2000]
    packed = pack(some, tokenizer, 2048, 0, "best-fit")
    assert packed.cut == 0
    assert packed.seen() / packed.ids.size > 0.99
    found = []
    for ids, positions, filled in zip(packed.ids, packed.positions, packed.filled, strict=True):
        opens = np.flatnonzero(positions[:filled] == 0)
        found += [piece.tobytes() for piece in np.split(ids[:filled], opens)[1:]]
    expected = [ids.astype(np.int32).tobytes() for ids, _ in by_template(some, tokenizer)]
    assert sorted(found) == sorted(expected)


# ---- hostile text, always -------------------------------------------------------------------

SPELLINGS = (
    "<|end|> <|user|> <|assistant|> <|assistant| |> <|en <s> </s> <unk> <|endoftext|> <0x0A>"
)
SPACES = ["▁", " ", "  ", "\n\n", "\t", "\r\n", "\x00", "\u200b", "\ufeff", "{{ x }}", "{% raw %}"]
LETTERS = ["é", "e\u0301", "狐", "🦊", "👩\u200d👩\u200d👧", "\ufb01", "\uff21", "the dog"]
PIECES = st.sampled_from([*SPELLINGS.split(), *SPACES, *LETTERS])
HOSTILE = st.lists(PIECES | st.text(max_size=6), max_size=6).map("".join)
TURNS = st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def prepared():
    tokenizers = {name: make(TEXTS) for name, make in MAKERS.items()}
    for tokenizer in tokenizers.values():
        add_chat_tokens(tokenizer)
    return tokenizers


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=25, deadline=None)
@given(said=st.lists(TURNS, min_size=1, max_size=2))
def test_hostile_text_is_rendered_as_the_template_does(prepared, name, said):
    tokenizer = prepared[name]
    talks = [
        Dialogue(
            messages=tuple(
                Message(role=role, content=text)
                for pair in turns
                for role, text in zip(("user", "assistant"), pair, strict=True)
            )
        )
        for turns in said
    ]
    markers = set(tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>", END]))
    for talk, ours, (ids, labels) in zip(
        talks, encode(talks, tokenizer), by_template(talks, tokenizer), strict=True
    ):
        assert ours.ids == ids.tolist()
        assert np.where(ours.mask, ours.ids, -100).tolist() == labels.tolist()
        assert sum(i in markers for i in ours.ids) == 2 * len(talk.messages)
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        opening = tokenizer.bos_token_id in ours.ids[:1]
        assert not special & set(ours.ids[opening:])
