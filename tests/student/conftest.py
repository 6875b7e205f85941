"""A tiny world for training tests: a word-level tokenizer, a random Llama, some dialogues."""

import pytest

from veneer.records import Dialogue, Message, write_rows

SENTENCE = "the cat dog bird sat ran flew on under over mat log sky who where what is a . ?"
WORDS = SENTENCE.split()


def tiny_tokenizer(bos=True):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def tiny_base(folder, tie=True):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        tie_word_embeddings=tie,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def talk(n):
    """`n` dialogues, no two alike."""
    return [
        Dialogue(
            messages=(
                Message(role="user", content=f"where is the {WORDS[1 + i % 3]} ?"),
                Message(
                    role="assistant",
                    content=" ".join(WORDS[(i * k + k) % len(WORDS)] for k in range(1, 4 + i % 5)),
                ),
            )
        )
        for i in range(n)
    ]


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_rows(folder / "corpus.jsonl", talk(60))
    return folder


@pytest.fixture(scope="session")
def make_tokenizer():
    return tiny_tokenizer


@pytest.fixture(scope="session", name="talk")
def _talk():
    return talk
