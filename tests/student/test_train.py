import json
from pathlib import Path

import pytest

from veneer.errors import InputError, StepFailed
from veneer.steps import Job

RECIPE = {
    "block": 16,
    "batch": 2,
    "learning_rate": 1e-2,
    "schedule": "matched",
    "optimiser": "adamw",
    "like": {},
}


def run(out: Path, base, corpus, budgets, seed=0, rows=None, **recipe):
    from veneer.student.train import train

    out.mkdir(parents=True)
    told = []
    params = {"recipe": RECIPE | recipe, "budgets": budgets, "seed": seed}
    inputs = {"base": base, "corpus": corpus}
    tell = lambda done, total, note="": told.append((done, total))  # noqa: E731
    train(Job(out, params, inputs, tell, {"rows": rows}))
    return json.loads((out / "train.json").read_text()), told


def test_rows_that_a_person_gives_go_over_those_of_the_run_that_ended(tmp_path, base, corpus):
    from veneer.student.keeping import Keeper
    from veneer.student.train import train

    params = {"recipe": RECIPE, "budgets": [160], "seed": 0}
    inputs = {"base": base, "corpus": corpus}
    for given, expected in ((None, 2), (1, 1)):
        out = tmp_path / f"out-{expected}"
        out.mkdir()
        kept = tmp_path / f"kept-{expected}"
        assert Keeper(kept).first_said("rows", 2) == 2  # as a run that ran out of memory left it
        train(Job(out, params, inputs, means={"rows": given}, scratch=kept))
        facts = json.loads((out / "train.json").read_text())
        assert facts["rows_in_pass"] == expected


def test_one_run_equals_separate_runs_bit_for_bit(tmp_path, base, corpus, capfd):
    warm = {"schedule": "faithful", "warmup_steps": 3}
    facts, told = run(tmp_path / "both", base, corpus, [160, 320], **warm)
    run(tmp_path / "small", base, corpus, [160], **warm)
    run(tmp_path / "large", base, corpus, [320], **warm)
    assert [a["steps"] for a in facts["amounts"]] == [5, 10]
    assert [a["tokens"] for a in facts["amounts"]] == [160, 320]
    assert told[-1] == (10, 10)
    for name, other in (("tokens-160", "small"), ("tokens-320", "large")):
        ours = (tmp_path / "both" / name / "model.safetensors").read_bytes()
        assert ours == (tmp_path / other / name / "model.safetensors").read_bytes()
    two = [(tmp_path / "both" / f"tokens-{n}/model.safetensors").read_bytes() for n in (160, 320)]
    assert two[0] != two[1]
    said = capfd.readouterr()
    assert said.out == ""
    assert "%|" not in said.err


@pytest.mark.parametrize("passes", [1, 2])
def test_losses_equal_a_plain_loop(tmp_path, base, corpus, passes):
    """The same training written by hand: HF's own loss, torch's AdamW, no trainer."""
    import torch

    from veneer.records import Dialogue, read_rows
    from veneer.student.bases import load_base
    from veneer.student.packing import pack
    from veneer.student.recipe import Recipe

    recipe = Recipe(**RECIPE)
    facts, _ = run(tmp_path / "run", base, corpus, [192], rows=2 // passes, weight_decay=0.1)
    assert facts["rows_in_pass"] == 2 // passes
    model, tokenizer, _ = load_base(base, recipe, 0)
    packed = pack(
        list(read_rows(corpus / "corpus.jsonl", Dialogue)), tokenizer, recipe.block, seed=0
    )
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=1e-2,
    )
    expected = []
    for step in range(6):
        rows = slice(step * 2, step * 2 + 2)
        ids, labels = (torch.tensor(a[rows], dtype=torch.long) for a in (packed.ids, packed.labels))
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        expected.append(loss.item())
    rows = [json.loads(line) for line in (tmp_path / "run" / "loss.jsonl").open()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4, 5, 6]
    assert [r["loss"] for r in rows] == pytest.approx(expected, rel=1e-5)


def test_a_student_is_a_chat_model_that_learnt_to_stop(tmp_path, base, corpus):
    """Trained long enough on one answer, the saved folder alone gives that answer and stops."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from veneer.models.chat import END, render_prompt
    from veneer.records import Dialogue, Message, write_rows

    question = Message(role="user", content="who ran ?")
    answer = Message(role="assistant", content="the dog ran .")
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_rows(folder / "corpus.jsonl", [Dialogue(messages=(question, answer))] * 400)
    run(tmp_path / "run", base, folder, [2560], learning_rate=2e-2)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "tokens-2560")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "tokens-2560")
    import torch

    ids = torch.tensor([render_prompt([question], tokenizer)])
    said = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(said).replace(" ", "") == "thedogran." + END


def test_frozen_embeddings_move_only_for_new_tokens(tmp_path, base, corpus):
    import torch
    from safetensors.torch import load_file

    from veneer.student.bases import load_base
    from veneer.student.recipe import Recipe

    run(tmp_path / "run", base, corpus, [320], freeze_embeddings=True, weight_decay=0.1)
    before = load_base(base, Recipe(**RECIPE), 0)[0].get_input_embeddings().weight
    after = load_file(tmp_path / "run" / "tokens-320" / "model.safetensors")
    moved = (after["model.embed_tokens.weight"] != before).any(dim=1)
    assert moved[-3:].all()
    assert not moved[:-3].any()
    assert not torch.equal(
        after["model.layers.0.mlp.up_proj.weight"],
        load_base(base, Recipe(**RECIPE), 0)[0].model.layers[0].mlp.up_proj.weight,
    )


def test_amounts_must_fit_and_differ(tmp_path, base, corpus):
    with pytest.raises(InputError, match=r"1,000,000 tokens are asked for, but the corpus has"):
        run(tmp_path / "a", base, corpus, [160, 1_000_000])
    with pytest.raises(InputError, match="both 5 optimiser steps"):
        run(tmp_path / "b", base, corpus, [160, 161])
    with pytest.raises(InputError, match="no key 'lerning_rate'") as raised:
        run(tmp_path / "c", base, corpus, [160], lerning_rate=1)
    assert "learning_rate" in raised.value.hint
    with pytest.raises(InputError, match="has no corpus"):
        run(tmp_path / "d", base, tmp_path, [160])
    with pytest.raises(InputError, match="is no model folder"):
        run(tmp_path / "e", corpus, corpus, [160])
    with pytest.raises(InputError, match="do not fit the base, which reads 64"):
        run(tmp_path / "f", base, corpus, [160], block=65)


def test_a_run_that_diverges_says_so(tmp_path, base, corpus):
    with pytest.raises(StepFailed, match="diverged") as raised:
        run(tmp_path / "run", base, corpus, [320], learning_rate=1e30)
    assert "learning_rate" in raised.value.hint


def test_bf16_and_fp32_in_one_process(tmp_path, base, corpus):
    half, _ = run(tmp_path / "half", base, corpus, [160], precision="bf16")
    full, _ = run(tmp_path / "full", base, corpus, [160])
    assert (half["precision"], full["precision"]) == ("bf16", "fp32")
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "loss.jsonl").open()]
        for name in ("half", "full")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3"])
def test_the_loss_equals_each_familys_own(family):
    """Gemma 2 caps its logits after the output layer, GPT-2 has biases, Llama here is untied."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from veneer.student.losses import imitation_loss

    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "head_dim": 8}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24}
    if family == "gpt2":
        sizes = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
    if family == "gemma2":
        sizes["final_logit_softcapping"] = 0.2
    torch.manual_seed(0)
    tie = family != "llama"
    config = AutoConfig.for_model(family, tie_word_embeddings=tie, pad_token_id=0, **sizes)
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(1, 40, (3, 12))
    labels = torch.where(torch.rand(ids.shape) < 0.5, ids, -100)
    expected = model(input_ids=ids, labels=labels).loss
    ours = imitation_loss(model, {"ids": ids, "labels": labels}) / (labels[:, 1:] != -100).sum()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    grads = [torch.autograd.grad(loss, list(model.parameters())) for loss in (ours, expected)]
    for mine, theirs in zip(*grads, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
