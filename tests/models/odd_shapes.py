"""Small models of shapes other than Llama's, made on the spot; and a tokenizer like T5's."""

from __future__ import annotations

import json

import torch
from small_models import TEXT, byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    GemmaConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    MT5Config,
    MT5ForConditionalGeneration,
    OPTConfig,
    Qwen3Config,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
    UMT5Config,
    UMT5ForConditionalGeneration,
)
from transformers import PreTrainedTokenizerFast as Fast

SENTINELS = [f"<extra_id_{i}>" for i in range(8)]


def t5_tokenizer(longest: int | None = 512) -> Fast:
    """Like T5's: no start token, text ends in </s>, a space before every word, sentinels.

    Unlike T5's it spells every byte, so that random models say something.
    """
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(TEXT, trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    limit = {} if longest is None else {"model_max_length": longest}
    return Fast(
        tokenizer_object=tok,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=SENTINELS,
        **limit,
    )


def sentence_piece_tokenizer() -> T5Tokenizer:
    """T5's own kind: pieces with ▁ for spaces; line breaks are read as spaces."""
    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tok.train_from_iterator(TEXT * 4, trainer)
    pieces = json.loads(tok.to_str())["model"]["vocab"]
    return T5Tokenizer(vocab=[tuple(piece) for piece in pieces], extra_ids=len(SENTINELS))


def t5(vocab: int, tied: bool = True, seed: int = 0, **more) -> T5ForConditionalGeneration:
    """T5's shape; with `tied` False that of T5 1.1 and Flan-T5: a head apart, gated layers."""
    return _shaped(T5ForConditionalGeneration, T5Config, vocab, tied, seed, **more)


def _shaped(kind, config, vocab, tied=True, seed=0, loud=True, **more):
    torch.manual_seed(seed)
    how = {
        "vocab_size": vocab, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
        "num_decoder_layers": 2, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
        "feed_forward_proj": "relu" if tied else "gated-gelu", "tie_word_embeddings": tied,
    }  # fmt: skip
    model = kind(config(**how | more))
    if not tied:
        head = torch.randn(model.lm_head.weight.shape)
        model.lm_head.weight = torch.nn.Parameter(head)
    return _loud(model) if loud else model


def bart(vocab: int, seed: int = 0) -> BartForConditionalGeneration:
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=vocab, d_model=16, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, max_position_embeddings=160, init_std=0.4, pad_token_id=0,
        eos_token_id=1, bos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    return _loud(BartForConditionalGeneration(config))


def _loud(model):
    """Random weights apart from zero, so that two answers are seldom alike."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "relative_attention_bias" not in name:
                weight.normal_(0.0, 0.1 if "shared" in name else 0.5)
    return model.eval()


ENCODER_DECODERS = {
    "t5": t5,
    "flan-t5": lambda vocab: t5(vocab + 5, tied=False, seed=1, num_decoder_layers=1),
    "mt5": lambda vocab: _shaped(
        MT5ForConditionalGeneration, MT5Config, vocab, seed=2, feed_forward_proj="gated-gelu"
    ),
    "umt5": lambda vocab: _shaped(
        UMT5ForConditionalGeneration, UMT5Config, vocab, seed=3, feed_forward_proj="gated-gelu"
    ),
    "bart": bart,
}


def gpt2_tokenizer() -> Fast:
    """Byte-level, and one special token for everything: <|endoftext|>, the last of an odd number.

    The tokenizer adds none of them to a text, as GPT-2's does not.
    """
    inner = byte_tokenizer().backend_tokenizer
    tok = Tokenizer(inner.model)
    tok.pre_tokenizer, tok.decoder = inner.pre_tokenizer, inner.decoder
    everything = "<|endoftext|>"
    return Fast(tokenizer_object=tok, bos_token=everything, eos_token=everything)


def gpt2(tokenizer: Fast, seed: int = 0, context: int = 256) -> GPT2LMHeadModel:
    """Learned positions, dropout 0.1, Conv1D, one token that both begins and ends."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=context,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.4,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


DECODERS = {
    "opt": lambda vocab: OPTConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, ffn_dim=24, num_attention_heads=2,
        max_position_embeddings=256, word_embed_proj_dim=16, pad_token_id=0, bos_token_id=1,
        eos_token_id=1,
    ),
    "gpt-neox": lambda vocab: GPTNeoXConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=256, bos_token_id=1, eos_token_id=1,
    ),
    "gemma": lambda vocab: GemmaConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, intermediate_size=24, max_position_embeddings=256,
        pad_token_id=0, bos_token_id=1, eos_token_id=1,
    ),
    "qwen3": lambda vocab: Qwen3Config(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, intermediate_size=24, max_position_embeddings=256,
        bos_token_id=1, eos_token_id=1,
    ),
}  # fmt: skip


def decoder(name: str, vocab: int):
    """A random decoder-only model of this family."""
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(DECODERS[name](vocab))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 0.5)
    return model.eval()
