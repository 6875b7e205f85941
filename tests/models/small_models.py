"""Small real models and tokenizers, made on the spot."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as Fast

TEXT = [
    "the quick brown fox jumps over the lazy dog and runs away",
    "Q: who wrote the book? A: nobody knows, it was never signed",
    "def add(a, b):\n    return a + b\n\nprint(add(1, 2))",
    "Überall schöne Wörter – naïve café, 12,345.67 and $9!",
]


def byte_tokenizer(bos: bool = False, size: int = 320) -> Fast:
    """Byte-level BPE; any text survives the way there and back."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(TEXT, trainer)
    return _wrapped(tok, bos)


def sentence_tokenizer(bos: bool = True, scheme: str = "first") -> Fast:
    """Llama-2-like: spaces are ▁, and the first word of a text gets one."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tok.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    tok.train_from_iterator(TEXT, trainer)
    return _wrapped(tok, bos, unk_token="<unk>")


def _wrapped(tok: Tokenizer, bos: bool, **more: str) -> Fast:
    if bos:
        from tokenizers.processors import TemplateProcessing

        tok.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tok.token_to_id("<s>"))]
        )
    return Fast(tokenizer_object=tok, bos_token="<s>", eos_token="</s>", **more)


def llama(vocab: int, tied: bool = True, seed: int = 0, context: int = 256) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=tied,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config).eval()


def gpt2(vocab: int, seed: int = 0, context: int = 256) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocab,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=context,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config).eval()
