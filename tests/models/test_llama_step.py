"""The short way of a single token is the library's, weight for weight."""

import pytest
import torch
from small_models import gpt2, llama
from test_harness_equality import qwen2, qwen3
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from veneer.models.cache import Batch
from veneer.models.llama_step import is_llama_shaped

SHAPE = {
    "vocab_size": 250, "hidden_size": 24, "intermediate_size": 44, "num_hidden_layers": 2,
    "num_attention_heads": 6, "num_key_value_heads": 2, "initializer_range": 0.3,
}  # fmt: skip


def odd_llama(vocab):
    torch.manual_seed(8)
    rotation = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    }  # fmt: skip
    config = LlamaConfig(
        attention_bias=True, mlp_bias=True, tie_word_embeddings=False, rope_parameters=rotation,
        **SHAPE,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    for name, value in model.named_parameters():
        if "bias" in name or "norm" in name:
            torch.nn.init.normal_(value, mean=0.5)
    return model


def mistral(vocab):
    torch.manual_seed(9)
    return MistralForCausalLM(MistralConfig(sliding_window=None, head_dim=10, **SHAPE)).eval()


ROWS = [[5], [7, 8, 9, 10], list(range(20, 60)), [200, 3, 99] * 5]


@pytest.mark.parametrize("make", [llama, odd_llama, mistral, qwen2, qwen3])
@torch.inference_mode()
def test_steps_are_those_of_the_library(make):
    model = make(250)
    model.set_attn_implementation("eager")
    ours, theirs = (Batch(model, ROWS, room=12) for _ in range(2))
    assert ours.quick is not None
    theirs.quick = None
    for t in range(12):
        if t == 6:
            ours.select(torch.tensor([0, 2, 3]))
            theirs.select(torch.tensor([0, 2, 3]))
        tokens = torch.arange(len(ours.next_position)) * 40 + 3 * t
        expected = theirs.step(tokens)
        assert torch.allclose(ours.step(tokens), expected, atol=2e-5, rtol=1e-5)
    assert expected.std() > 0.1


@torch.inference_mode()
def test_weights_that_change_between_batches_are_seen():
    model = llama(250)
    before = Batch(model, ROWS, room=2).step(torch.tensor([1, 2, 3, 4]))
    model.model.layers[0].self_attn.v_proj.weight *= 2
    after = Batch(model, ROWS, room=2)
    slow = Batch(model, ROWS, room=2)
    slow.quick = None
    found = after.step(torch.tensor([1, 2, 3, 4]))
    assert not torch.allclose(found, before, atol=1e-3)
    assert torch.allclose(found, slow.step(torch.tensor([1, 2, 3, 4])), atol=2e-5)


def test_other_models_go_the_librarys_way():
    assert is_llama_shaped(llama(250))
    assert not is_llama_shaped(gpt2(250))
    assert not is_llama_shaped(llama(250).train())
    assert not is_llama_shaped(llama(250).to(torch.bfloat16))
    hooked = llama(250)
    hooked.model.layers[1].mlp.register_forward_hook(lambda part, given, made: made * 2)
    assert not is_llama_shaped(hooked)
    swapped = llama(250)
    swapped.model.layers[0].self_attn.q_proj = torch.nn.Sequential(torch.nn.Linear(32, 32))
    assert not is_llama_shaped(swapped)
