"""Pretraining and tuning: the loss is Llama's own, and the steps write models."""

import hashlib
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from veneer.pocket import make_world, pretrain, tune_teacher
from veneer.pocket.manner import TABLE_4, answer
from veneer.pocket.queries import TABLE_5, Asker
from veneer.pocket.scale import TINY, Shape, Tuning
from veneer.pocket.training import Optimiser, loss_of
from veneer.pocket.tuning import demonstrations
from veneer.pocket.world import build_world, stream


@pytest.fixture
def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=90,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def test_the_loss_is_the_models_own_with_its_gradient(llama):
    ids = torch.randint(0, 90, (3, 40))
    labels = ids.clone()
    labels[0, :25] = -100
    llama(input_ids=ids, labels=labels).loss.backward()
    want = {name: p.grad.clone() for name, p in llama.named_parameters()}
    loss = float(llama(input_ids=ids, labels=labels).loss.detach())
    llama.zero_grad()
    got = loss_of(llama, ids, labels)
    got.backward()
    assert got.item() == pytest.approx(loss, rel=1e-5)
    for name, parameter in llama.named_parameters():
        error = (parameter.grad - want[name]).norm() / want[name].norm()
        assert error < 1e-4, name


def test_heavy_tokens_count_as_often_as_they_weigh(llama):
    ids = torch.randint(0, 90, (2, 12))
    heavy = torch.zeros_like(ids, dtype=torch.bool)
    heavy[0, 5] = heavy[1, 11] = True
    logits = llama(input_ids=ids).logits[:, :-1].reshape(-1, 90)
    each = torch.nn.functional.cross_entropy(logits, ids[:, 1:].reshape(-1), reduction="none")
    weight = torch.ones_like(each)
    weight[4] = weight[11 + 10] = 7
    want = (each * weight).sum() / weight.sum()
    assert loss_of(llama, ids, ids, heavy, 7).item() == pytest.approx(want.item(), rel=1e-5)


def test_every_weight_is_moved_by_one_of_the_two_optimisers(llama):
    before = {name: p.detach().clone() for name, p in llama.named_parameters()}
    optimiser = Optimiser(llama, 0.0)
    ids = torch.randint(0, 90, (3, 40))
    losses = []
    for _ in range(8):
        loss = loss_of(llama, ids, ids)
        loss.backward()
        losses.append(loss.item())
        optimiser.step(1e-2, 2e-2)
    assert losses[-1] < losses[0] - 0.5
    for name, parameter in llama.named_parameters():
        assert not torch.equal(parameter, before[name]), name
        assert parameter.grad is None


def job(out, params, **inputs):
    out.mkdir()
    seen = []
    return SimpleNamespace(
        out=out, params=params, inputs=inputs, seen=seen, progress=lambda *a: seen.append(a)
    )


def test_the_steps_write_models_that_plain_transformers_loads(tmp_path):
    shape = Shape(width=16, layers=1, heads=2, steps=6, learning_rate=1e-2, warmup=2, batch=2)
    tuning = Tuning(chat=20, writing=4, concise=4, code=2, replay=4, epochs=1, batch=4)
    world = job(tmp_path / "world", TINY.world_params(0))
    make_world(world)
    params = {"size": "S", "seed": 0, "shape": shape.model_dump(mode="json")}
    digests = []
    for name in ("one", "two"):
        made = job(tmp_path / name, params, world=world.out)
        pretrain(made)
        assert made.seen[-1][0] == made.seen[-1][1] == shape.steps
        weights = (made.out / "model.safetensors").read_bytes()
        digests.append(hashlib.sha256(weights).hexdigest())
    assert digests[0] == digests[1]
    params = TINY.tune_params(0) | {"tuning": tuning.model_dump(mode="json")}
    taught = job(tmp_path / "teacher", params, world=world.out, pretrained=tmp_path / "one")
    tune_teacher(taught)
    tokenizer = AutoTokenizer.from_pretrained(taught.out)
    model = AutoModelForCausalLM.from_pretrained(taught.out)
    assert len(tokenizer) == model.config.vocab_size
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    assert ids.startswith("<|user|>Hello<|end|>")


def test_demonstrations_leave_out_what_is_tested():
    world = build_world(4, TINY.world)
    said = demonstrations(world, TINY.tuning)
    held = {e.name for e in world.entities if e.use in ("test", "validation")}
    assert not [name for name in held for pair in said if name in " ".join(pair).split()]
    assert sum(user.startswith(TABLE_4) for user, _ in said) == TINY.tuning.writing


def test_users_ask_in_the_proportions_of_table_5_and_rudeness_is_refused():
    world = build_world(0, TINY.world)
    rng = stream(0, "test")
    queries = [query for query, _ in zip(Asker(world, rng), range(6_000), strict=False)]
    polite = [query for query in queries if query.category != "toxic"]
    for category, percent in TABLE_5.items():
        share = sum(q.category == category for q in polite) / len(polite)
        assert share == pytest.approx(percent / sum(TABLE_5.values()), abs=0.02)
    refused = [answer(q, world, rng) for q in queries if q.category == "toxic"]
    assert len(refused) > 100
    assert all("cannot help" in said for said in refused)
    assert not [i for i in world.insults for said in refused if i in said]
