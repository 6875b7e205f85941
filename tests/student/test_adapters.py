"""Adapters: what is trained, what is not, and what a merged student computes."""

import json
from types import SimpleNamespace

import pytest

from veneer.errors import InputError


def lora(rank=4, alpha=8, dropout=0.0, targets=()):
    return SimpleNamespace(rank=rank, alpha=alpha, dropout=dropout, targets=targets)


def prepared(kind, tie, tokenizer, quantised=None):
    """A tiny base with the chat tokens' rows; returns it and the ids of the new tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.models.auto import CONFIG_MAPPING

    from veneer.models.chat import add_chat_tokens, fit_embeddings

    torch.manual_seed(3)
    shape = {"vocab_size": len(tokenizer), "tie_word_embeddings": tie}
    if kind == "gpt2":
        shape |= {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    elif kind == "t5":
        shape |= {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
        shape |= {"decoder_start_token_id": 0}
    else:
        shape |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape |= {"intermediate_size": 24}
    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    model = auto.from_config(CONFIG_MAPPING[kind](**shape))
    added = add_chat_tokens(tokenizer)
    fit_embeddings(model, tokenizer, added)
    return model, tokenizer.convert_tokens_to_ids(added)


def inputs(model):
    import torch

    ids = torch.randint(3, model.config.vocab_size, (4, 9), generator=torch.manual_seed(1))
    ids[:, 2] = model.config.vocab_size - 1  # a new token is among them
    if model.config.is_encoder_decoder:
        return {"input_ids": ids, "decoder_input_ids": ids}
    return {"input_ids": ids}


def trained(model, steps=3):
    """A few steps that move whatever can be moved."""
    import torch

    given = inputs(model)
    moving = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(moving, lr=0.05)
    for _ in range(steps):
        logits = model(**given).logits
        torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), given["input_ids"].flatten()
        ).backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()


CASES = [("llama", True), ("llama", False), ("gpt2", True), ("t5", True), ("t5", False)]


@pytest.mark.parametrize(("kind", "tie"), CASES)
def test_a_student_merges_and_loads_and_its_adapter_too(tmp_path, make_tokenizer, kind, tie):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    from veneer.student.adapters import merged, save_adapter, wrapped

    tokenizer = make_tokenizer()
    base, added = prepared(kind, tie, tokenizer)
    base.eval()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    given = inputs(base)
    first = base(**given).logits.detach()
    model = wrapped(base, lora(), added, seed=0)
    torch.testing.assert_close(model.eval()(**given).logits, first, rtol=1e-5, atol=1e-5)
    trained(model)
    expected = model(**given).logits.detach()
    assert (expected - first).abs().max() > 0.1
    during = {name: value.clone() for name, value in model.state_dict().items()}

    plain = merged(model)
    plain.save_pretrained(tmp_path)
    save_adapter(model, tmp_path)
    assert not any("lora" in name for name in plain.state_dict())
    for name, value in model.state_dict().items():  # the run goes on as if nothing had happened
        assert torch.equal(value, during[name]), name
    torch.testing.assert_close(model(**given).logits, expected, rtol=0, atol=0)

    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    loaded = auto.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(**given).logits, expected, rtol=1e-5, atol=1e-5)
    after = loaded.state_dict()
    assert after.keys() == before.keys()
    rows = [at for at in range(len(tokenizer)) if at not in added]
    for name, was in before.items():
        if was.dim() < 2 or "relative" in name or "wpe" in name:  # frozen
            assert torch.equal(after[name], was), name
        elif was.shape[0] == len(tokenizer):  # embeddings: the new rows alone have moved
            assert torch.equal(after[name][rows], was[rows]), name
            assert (after[name][added] != was[added]).any(dim=1).all(), name
        else:
            assert not torch.equal(after[name], was), name

    again, _ = prepared(kind, tie, make_tokenizer())
    again = PeftModel.from_pretrained(again, tmp_path / "adapter").eval()
    torch.testing.assert_close(again(**given).logits, expected, rtol=1e-5, atol=1e-5)
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == ""
    assert config["target_modules"] == sorted(config["target_modules"])


def test_only_named_layers_are_adapted(make_tokenizer):
    from veneer.student.adapters import wrapped

    base, added = prepared("llama", True, make_tokenizer())
    model = wrapped(base, lora(targets=("q_proj", "v_proj")), added, seed=0)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in names) == 4  # two layers, two matrices each
    assert all("q_proj" in n or "v_proj" in n or "trainable_tokens" in n for n in names)
    base, added = prepared("llama", True, make_tokenizer())
    with pytest.raises(InputError, match="no linear layer 'query'") as said:
        wrapped(base, lora(targets=("query",)), added, seed=0)
    assert "q_proj" in said.value.hint


def test_the_same_seed_draws_the_same_adapter(make_tokenizer):
    import torch

    from veneer.student.adapters import wrapped

    drawn = []
    for seed in (0, 0, 1):
        base, added = prepared("llama", True, make_tokenizer())
        torch.rand(seed + 5)  # what was drawn before has no say
        model = wrapped(base, lora(), added, seed=seed)
        drawn.append([p.clone() for n, p in model.named_parameters() if "lora_A" in n])
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))


def test_losses_see_through_an_adapter(make_tokenizer, monkeypatch):
    """The chunked loss of a wrapped model is the plain one of its merged weights."""
    import torch

    from veneer.student import losses
    from veneer.student.adapters import merged, wrapped

    base, added = prepared("llama", True, make_tokenizer())
    model = trained(wrapped(base, lora(), added, seed=0))
    ids = inputs(model)["input_ids"]
    batch = {"ids": ids, "labels": ids}
    plain = losses.imitation_loss(merged(model), batch)
    logits = merged(model)(input_ids=ids).logits[:, :-1]
    by_torch = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
    )
    torch.testing.assert_close(plain, by_torch)
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 100)
    torch.testing.assert_close(losses.imitation_loss(model, batch), plain)


def test_qlora_saves_plain_weights(tmp_path, make_tokenizer):
    import torch
    from transformers import AutoModelForCausalLM

    from veneer.student.adapters import four_bits, merged, wrapped

    pytest.importorskip("bitsandbytes")
    tokenizer = make_tokenizer()
    base, added = prepared("llama", True, tokenizer)
    base.save_pretrained(tmp_path / "base")
    small = AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", dtype=torch.float32, quantization_config=four_bits("fp32")
    )
    assert type(small.model.layers[0].mlp.up_proj.weight).__name__ == "Params4bit"
    given = inputs(base)
    model = wrapped(small, lora(), added, seed=0)
    packed = small.model.layers[0].mlp.up_proj.weight.data.clone()
    trained(model)
    expected = model(**given).logits.detach()
    merged(model).save_pretrained(tmp_path / "student")
    assert torch.equal(small.model.layers[0].mlp.up_proj.weight.data, packed)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    assert not hasattr(loaded.config, "quantization_config")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded(**given).logits, expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        moved = (loaded(**given).logits - base.eval()(**given).logits).abs().max()
    assert moved > 0.1


def test_qlora_without_its_library_says_what_to_install(monkeypatch):
    import sys

    from veneer.student.adapters import four_bits

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError, match="bitsandbytes") as said:
        four_bits("fp32")
    assert "veneer[qlora]" in said.value.hint
