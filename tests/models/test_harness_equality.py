"""Our scorer beside lm-eval's own Hugging Face backend, on several architectures."""

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from small_models import byte_tokenizer, gpt2, llama
from transformers import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from veneer.measure.harness import Harness
from veneer.models import scoring
from veneer.models.local import LocalModel

CONTEXT = 96
SHAPE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.3,
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip


def qwen2(vocab):
    torch.manual_seed(5)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab, **SHAPE)).eval()
    for layer in model.model.layers:  # a fresh model's are zero
        torch.nn.init.normal_(layer.self_attn.q_proj.bias)
        torch.nn.init.normal_(layer.self_attn.k_proj.bias)
    return model


def qwen3(vocab):
    torch.manual_seed(6)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=vocab, head_dim=16, **SHAPE)).eval()
    for layer in model.model.layers:  # a fresh model's are one
        torch.nn.init.normal_(layer.self_attn.q_norm.weight, mean=1.0, std=0.3)
        torch.nn.init.normal_(layer.self_attn.k_norm.weight, mean=1.0, std=0.3)
    return model


MAKERS = {
    "llama": lambda vocab: llama(vocab, context=CONTEXT),
    "gpt2": lambda vocab: gpt2(vocab, context=CONTEXT),
    "qwen2": qwen2,
    "qwen3": qwen3,
}


@pytest.fixture(params=MAKERS)
def local(request):
    tokenizer = byte_tokenizer()
    assert tokenizer.pad_token_id is None
    return LocalModel(MAKERS[request.param](len(tokenizer)), tokenizer)


SHOTS = "Q: who wrote it?\nA: nobody\n\nQ: does the dog run?\nA: the lazy dog\n\n"
PAIRS = [
    *[(f"{SHOTS}Q: is it {n}?\nA:", f" {letter}") for n in range(4) for letter in "ABCD"],
    *[(f"{SHOTS}Q: what?\nA:", said) for said in (" the fox", " the fox jumps", " nobody knows")],
    ("Q: who?\nA: ", "fox"),  # the space goes to the continuation
    ("", "the dog"),
    ("", "the lazy dog"),
    ("the", " quick brown fox jumps"),
    (f"{SHOTS}Q: is it 0?\nA:", " A"),  # asked before
    (SHOTS * 5 + "Q: long?\nA:", " A"),  # does not fit
    (SHOTS * 5 + "Q: long?\nA:", " the quick brown fox jumps over"),
]


@pytest.mark.parametrize("piece", [11, 512])
def test_equal_to_lm_evals_hf_backend(local, piece, monkeypatch):
    monkeypatch.setattr(scoring, "PIECE", piece)
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0, metadata=("t", i, 1))
        for i, pair in enumerate(PAIRS)
    ]
    theirs = HFLM(pretrained=local.model, tokenizer=local.tokenizer, batch_size=4)
    assert theirs.max_length == CONTEXT
    expected = theirs.loglikelihood(asked, disable_tqdm=True)
    found = Harness(local).loglikelihood(asked)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    values = [value for value, _ in expected]
    assert [value for value, _ in found] == pytest.approx(values, abs=1e-5, rel=1e-6)
    assert local.work.computed < local.work.naive / 3
