"""One run for all data amounts: the tree's arithmetic, and students bitwise equal to their own."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.steps import Job
from veneer.student.recipe import Recipe
from veneer.student.sweep import cost, runs_of, segments_of

QUICK = {"block": 16, "batch": 2, "learning_rate": 1e-2, "optimiser": "adamw", "like": {}}


class Rows:
    """A corpus of so many rows, all of them full."""

    tail = 0

    def __init__(self, count, block):
        self.count, self.block = count, block

    def __len__(self):
        return self.count

    def seen(self, rows):
        return self.block * len(range(self.count)[rows])

    def learned(self, rows):
        return self.seen(rows) // 2


@st.composite
def recipes(draw):
    return Recipe(
        block=8,
        batch=2,
        schedule=draw(st.sampled_from(["faithful", "matched"])),
        warmup_steps=draw(st.sampled_from([None, 0, 3, 1000])),
        warmup_share=draw(st.sampled_from([0.0, 0.1, 0.5])),
        decay=draw(st.sampled_from(["none", "linear", "cosine"])),
        decay_share=draw(st.sampled_from([0.2, 0.5, 1.0])),
        epochs=draw(st.sampled_from([1, 1, 3])),
    )


@given(recipes(), st.sets(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 3))
def test_every_amount_takes_its_own_steps_and_shared_ones_are_paid_once(recipe, steps, seed):
    runs = runs_of([16 * n for n in sorted(steps)], recipe, Rows(120, 8), seed)
    segments = segments_of(runs)
    walked = {}
    for number, segment in enumerate(segments):
        assert segment.after is None or segment.after < number
        before = walked[segment.after] if segment.after is not None else []
        assert segment.first == len(before)
        walked[number] = before + list(zip(segment.batches, segment.factors, strict=True))
    ended = {amount.asked: walked[n] for n, s in enumerate(segments) for amount in s.ends}
    own = {r.amount.asked: list(zip(r.batches, r.factors, strict=True)) for r in runs}
    assert ended == own
    prefixes = {tuple(run[:n]) for run in own.values() for n in range(1, len(run) + 1)}
    assert cost(segments) == len(prefixes)


def test_a_constant_rate_costs_one_run_and_a_decay_only_its_branches():
    budgets = [16 * n for n in (3, 200, 400, 800, 1500)]
    rows = Rows(3000, 8)
    constant = segments_of(runs_of(budgets, Recipe(block=8, batch=2, warmup_steps=3), rows, 0))
    assert cost(constant) == 1500
    assert [len(s.ends) for s in constant] == [1] * 5
    falling = Recipe(block=8, batch=2, warmup_steps=3, decay="linear", decay_share=0.2)
    assert cost(segments_of(runs_of(budgets, falling, rows, 0))) == 1500 + 39 + 79 + 159
    cosine = falling.model_copy(update={"decay": "cosine", "decay_share": 1.0})
    apart = segments_of(runs_of(budgets, cosine, rows, 0))
    shared = 3 + 3 * 4  # the warm-up, and the step at the peak
    assert cost(apart) == sum((3, 200, 400, 800, 1500)) - shared


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_rates_equal_the_field_s_own_schedules(decay):
    import torch
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    from veneer.student.recipe import rate_factors

    named = {"linear": get_linear_schedule_with_warmup, "cosine": get_cosine_schedule_with_warmup}
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = named[decay](optimiser, 12, 100)
    theirs = []
    for _ in range(100):
        theirs.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    recipe = Recipe(decay=decay, decay_share=1.0, warmup_steps=None, warmup_share=0.12)
    assert rate_factors(recipe, 100, 5).tolist() == pytest.approx(theirs, abs=1e-12)


# ---- really trained ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory, make_tokenizer):
    """A GPT-2 with dropout, whose random numbers a branch must get back."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    folder, tokenizer = tmp_path_factory.mktemp("gpt2"), make_tokenizer()
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "resid_pdrop": 0.2}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained(out, base, corpus, budgets, progress=lambda *_: None, **recipe):
    from veneer.student.train import train

    out.mkdir(parents=True, exist_ok=True)
    params = {"recipe": QUICK | recipe, "budgets": budgets, "seed": 0}
    train(Job(out, params, {"base": base, "corpus": corpus}, progress))
    return {p.parent.name: p.read_bytes() for p in out.glob("*/model.safetensors")}


CASES = {
    "constant": {"warmup_steps": 2},
    "warm-up, stable, decay": {"warmup_steps": 2, "decay": "linear", "decay_share": 0.4},
    "cosine": {"warmup_steps": None, "decay": "cosine", "decay_share": 1.0},
    "two epochs": {"schedule": "matched", "epochs": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_students_of_one_sweep_equal_those_of_runs_of_their_own(case, tmp_path, forgetful, corpus):
    budgets = [96, 160, 320]
    together = trained(tmp_path / "all", forgetful, corpus, budgets, **CASES[case])
    assert len(set(together.values())) == 3
    recipe = CASES[case]
    if "schedule" in recipe:  # "matched" warms up as the sweep's smallest amount does
        recipe = recipe | {"warmup_share": 0.0}
        together = trained(tmp_path / "flat", forgetful, corpus, budgets, **recipe)
    for budget in budgets:
        alone = trained(tmp_path / str(budget), forgetful, corpus, [budget], **recipe)
        assert alone[f"tokens-{budget}"] == together[f"tokens-{budget}"]
    steps = json.loads((tmp_path / "all" / "train.json").read_text())["steps"]
    assert len((tmp_path / "all" / "loss.jsonl").read_text().splitlines()) == steps


class Killed(Exception):
    pass


@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_goes_on_to_the_same_students(case, tmp_path, forgetful, corpus, monkeypatch):
    """Stopped after every third step, with a state kept at each, it never starts over."""
    from veneer.student import loop

    budgets = [96, 160, 320]
    undisturbed = trained(tmp_path / "whole", forgetful, corpus, budgets, **CASES[case])
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.0)
    taken, out = [], tmp_path / "killed"

    def stop_at_times(done, total, note=""):
        taken.append(done)
        if len(taken) % 3 == 0:
            raise Killed

    for _ in range(100):
        try:
            again = trained(out, forgetful, corpus, budgets, stop_at_times, **CASES[case])
            break
        except Killed:
            continue
    assert again == undisturbed
    assert (out / "loss.jsonl").read_text() == (tmp_path / "whole/loss.jsonl").read_text()
    assert len(taken) <= 2 * np.unique(taken).size
