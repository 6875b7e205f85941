"""DPO against a computation by hand."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from veneer.errors import StepFailed
from veneer.models.local import LocalModel
from veneer.records import read_rows
from veneer.student.refine import Pair, read_refinement, training
from veneer.student.refine.preference import prefer, tokens_of


def logp(model, tokenizer, prompt, text):
    """log p(answer and its end | prompt) by one plain forward pass, in the tokenizer's template."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    before = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        chances = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return sum(chances[i - 1, whole[i]].item() for i in range(len(before), len(whole)))


def margins(folder, pairs):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    return [
        logp(model, tokenizer, p.prompt, p.chosen) - logp(model, tokenizer, p.prompt, p.rejected)
        for p in pairs
    ]


def test_the_margin_of_the_chosen_answers_rises(preferred, student):
    out, _ = preferred
    pairs = list(read_rows(out / "pairs.jsonl", Pair))
    facts = json.loads((out / "refine.json").read_text())
    before, after = margins(student, pairs), margins(out / "refined", pairs)
    mean = [sum(values) / len(pairs) for values in (before, after)]
    assert facts["margin"]["start"] == pytest.approx(mean[0], abs=1e-4)
    assert facts["margin"]["end"] == pytest.approx(mean[1], abs=1e-4)
    assert mean[1] > mean[0] + 0.5
    assert facts["preferred"]["end"] == pytest.approx(sum(m > 0 for m in after) / len(pairs))
    rows = [json.loads(line) for line in (out / "loss.jsonl").open()]
    assert len(rows) == facts["steps"] == 3 * math.ceil(len(pairs) / 8)
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-5), "the student is its reference"
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize("tokens_in_pass", [training.TOKENS_IN_PASS, 80])
def test_every_step_follows_the_gradient_of_the_formula(
    student, questions, tokens_in_pass, monkeypatch
):
    """All pairs in one batch, in one pass or several: loss and reward margin of three steps."""
    monkeypatch.setattr(training, "TOKENS_IN_PASS", tokens_in_pass)
    pairs = [
        Pair(prompt=question, chosen="the cat sat", rejected="dog ran over")
        for question in questions(6)
    ]
    settings = {"by": "preference", "prompts": 6, "learning_rate": 5e-3, "batch": 6, "epochs": 3}
    refinement = read_refinement({**settings, "warmup_share": 0.0, "beta": 0.3})
    start, model = LocalModel.load(student), LocalModel.load(student)
    _, losses = prefer(model, pairs, refinement, 0, lambda *a: None)
    reference = torch.tensor(
        [
            [logp(start.model, start.tokenizer, p.prompt, t) for t in (p.chosen, p.rejected)]
            for p in pairs
        ]
    )
    ours = LocalModel.load(student)
    optimiser = torch.optim.AdamW(ours.model.parameters(), lr=5e-3, weight_decay=0.0)
    tokens = tokens_of(pairs, ours)
    for row in losses:
        now = []
        for question, *both in tokens:
            for said in both:
                logits = ours.model(torch.tensor([question + said])).logits[0]
                chances = logits[len(question) - 1 : -1].log_softmax(-1)
                now.append(chances.gather(1, torch.tensor(said)[:, None]).sum())
        ratios = torch.stack(now).reshape(-1, 2) - reference
        reward = 0.3 * (ratios[:, 0] - ratios[:, 1])
        loss = -torch.nn.functional.logsigmoid(reward).mean()
        assert row["loss"] == pytest.approx(loss.item(), abs=2e-5)
        assert row["reward_margin"] == pytest.approx(reward.mean().item(), abs=1e-4)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ours.model.parameters(), 1.0)
        optimiser.step()


def test_trl_is_fed_what_the_tokenizers_own_template_writes(student, questions):
    model = LocalModel.load(student)
    texts = ["the cat", "dog <|end|> sat", "mat"]
    pairs = [
        Pair(prompt=q, chosen=texts[i % 3], rejected="bird flew .")
        for i, q in enumerate([*questions(20), "who <|assistant|> is </s> ?"])
    ]
    template = model.tokenizer.apply_chat_template
    for pair, (question, chosen, rejected) in zip(pairs, tokens_of(pairs, model), strict=True):
        turn = {"role": "user", "content": pair.prompt}
        assert question == template([turn], add_generation_prompt=True, return_dict=False)
        for text, ids in ((pair.chosen, chosen), (pair.rejected, rejected)):
            turns = [turn, {"role": "assistant", "content": text}]
            assert question + ids == template(turns, return_dict=False)


def test_the_refined_student_is_a_folder_like_the_student(preferred, student):
    out, seen = preferred
    theirs = {p.name for p in student.iterdir()}
    assert {p.name for p in (out / "refined").iterdir()} == theirs
    for name in sorted(theirs - {"model.safetensors", "tokenizer_config.json"}):
        assert (out / "refined" / name).read_bytes() == (student / name).read_bytes(), name
    ours, before = (
        json.loads((folder / "tokenizer_config.json").read_text())
        for folder in (out / "refined", student)
    )
    assert before.items() <= ours.items(), "a tokenizer that was loaded says so beside"
    assert LocalModel.load(out / "refined").answer(["who sat ?"], max_new_tokens=4)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_the_same_seed_writes_the_same_bytes(preferred, refined, student, pool, teacher, tmp_path):
    first, _ = preferred
    settings = json.loads((first / "refine.json").read_text())["refinement"]
    again, _ = refined(tmp_path / "again", student, pool, teacher, **settings)
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for name in files:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_pairs_that_fit_no_context_are_said(student):
    pair = Pair(prompt="the cat " * 40, chosen="sat", rejected="ran")
    refinement = read_refinement({"by": "preference", "prompts": 1})
    with pytest.raises(StepFailed, match="None of 1 pairs fits the student's 64 tokens"):
        prefer(LocalModel.load(student), [pair], refinement, 0, lambda *a: None)
