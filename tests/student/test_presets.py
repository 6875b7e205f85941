"""Published recipes: what they say, and rate curves drawn by two other libraries."""

import numpy as np
import optax
import pytest
import torch
import transformers

from veneer.errors import SpecError
from veneer.student.presets import PRESETS, preset
from veneer.student.recipe import Recipe, rate_factors


def curve(scheduler, steps):
    """Rates that a scheduler of transformers gives to each step."""
    [peak], [factor] = scheduler.base_lrs, scheduler.lr_lambdas
    return np.array([peak * factor(step) for step in range(steps)])


def adamw(rate):
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(()))], lr=rate)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_recipe_and_a_recipe_of_its_own(name):
    recipe = Recipe.model_validate(name)
    said = recipe.model_dump(include=set(preset(name)))
    assert said == preset(name), "a field that Recipe reads otherwise"
    unsaid = set(Recipe.model_fields) - set(preset(name))
    assert recipe.model_dump(include=unsaid) == Recipe().model_dump(include=unsaid)
    assert sum(Recipe(**other) == recipe for other in PRESETS.values()) == 1


def test_the_defaults_are_the_papers():
    assert Recipe.model_validate("paper") == Recipe()


@pytest.mark.parametrize(("name", "steps"), [("paper", 3000), ("koala", 3000), ("paper", 40)])
def test_warm_up_then_constant(name, steps):
    recipe = Recipe.model_validate(name)
    ours = recipe.learning_rate * rate_factors(recipe, steps, steps)
    theirs = curve(
        transformers.get_constant_schedule_with_warmup(adamw(2e-3), num_warmup_steps=1000), steps
    )
    assert ours == pytest.approx(theirs, rel=1e-12)
    jax = optax.warmup_constant_schedule(0.0, 2e-3, warmup_steps=1000)
    assert ours == pytest.approx(np.array(jax(np.arange(steps))), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", ["vicuna", "alpaca"])
@pytest.mark.parametrize("steps", [100, 1000, 1830])
def test_warm_up_then_half_a_cosine(name, steps, tmp_path):
    recipe = Recipe.model_validate(name)
    ours = recipe.learning_rate * rate_factors(recipe, steps, smallest=7)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), warmup_steps=0.03, learning_rate=2e-5
    )
    warmup = arguments.get_warmup_steps(steps)
    assert abs(recipe.warmup(steps, 7) - warmup) <= 1, "a share of each run, to a whole step"
    theirs = curve(
        transformers.get_cosine_schedule_with_warmup(
            adamw(2e-5), recipe.warmup(steps, 7), num_training_steps=steps
        ),
        steps,
    )
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-20)
    jax = optax.warmup_cosine_decay_schedule(0.0, 2e-5, recipe.warmup(steps, 7), steps)
    assert ours == pytest.approx(np.array(jax(np.arange(steps))), rel=1e-4, abs=1e-11)


def test_what_transformers_leaves_at_its_defaults_is_what_the_presets_say(tmp_path):
    defaults = transformers.TrainingArguments(output_dir=str(tmp_path))
    for name in ("vicuna", "alpaca"):
        assert preset(name)["betas"] == (defaults.adam_beta1, defaults.adam_beta2)
        assert preset(name)["clip"] == defaults.max_grad_norm


def test_other_keys_beside_a_preset_change_it():
    recipe = Recipe.model_validate({"preset": "alpaca", "learning_rate": 1e-5, "epochs": 5})
    assert (recipe.learning_rate, recipe.epochs, recipe.block) == (1e-5, 5, 512)
    assert Recipe.model_validate("alpaca").learning_rate == 2e-5


def test_a_preset_is_a_fresh_dict():
    preset("paper")["block"] = 1
    assert preset("paper")["block"] == 2048


@pytest.mark.parametrize("name", ["vicunia", "", 3, ["paper"]])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(SpecError) as refusal:
        Recipe.model_validate({"preset": name})
    assert repr(name) in refusal.value.message
    if name == "vicunia":
        assert "vicuna" in refusal.value.hint
