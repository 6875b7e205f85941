"""The three optimisers beside optax's, beside plain arithmetic, sharded, and resumed."""

import copy
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from veneer.errors import InputError
from veneer.student.optimiser import make_optimiser, rms
from veneer.student.recipe import Recipe

NAMES = ("adamw", "adamw-rms", "easylm")
STEPS = 24
RATES = 2e-3 * np.minimum(np.arange(STEPS) / 8, 1.0)  # a warm-up from 0, then constant

SHAPES = {
    "scalar": (),
    "vector": (5,),
    "matrix": (7, 3),
    "tensor": (2, 3, 4),
    "zeros": (4, 4),
    "many pieces": (300, 300),
    "transposed": (301, 300),
    "no gradient in parts": (6, 6),
}


def recipe(name, **fields):
    return Recipe(optimiser=name, **fields)


def arrays(dtype=np.float32, seed=0):
    """Weights of every shape, and their gradients over STEPS steps, of very unequal size."""
    rng = np.random.default_rng(seed)
    weights = {
        name: np.zeros(shape) if name == "zeros" else rng.normal(0, 10 ** rng.uniform(-3, 1), shape)
        for name, shape in SHAPES.items()
    }
    steps = []
    for _ in range(STEPS):
        gradients = {n: rng.normal(0, 10 ** rng.uniform(-4, 1), s) for n, s in SHAPES.items()}
        gradients["no gradient in parts"][:3] = 0
        steps.append({n: np.asarray(g, dtype) for n, g in gradients.items()})
    return {name: np.asarray(w, dtype) for name, w in weights.items()}, steps


def parameters(weights):
    found = {}
    for name, array in weights.items():
        tensor = torch.from_numpy(array.copy())
        found[name] = torch.nn.Parameter(
            tensor.T.contiguous().T if name == "transposed" else tensor
        )
    assert not found["transposed"].is_contiguous()
    return found


def trained(name, weights, steps, decay=0.0, rates=RATES):
    """Our optimiser's weights after some steps."""
    params = parameters(weights)
    optimiser = make_optimiser(
        [{"params": params.values(), "weight_decay": decay}], recipe(name, weight_decay=0.5)
    )
    go_on(optimiser, params, steps, rates)
    return {key: p.detach().numpy() for key, p in params.items()}


def go_on(optimiser, params, steps, rates):
    for gradients, rate in zip(steps, rates, strict=True):
        for key, p in params.items():
            p.grad = torch.empty_like(p).copy_(torch.from_numpy(gradients[key]))
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        optimiser.step()


def reference(name, decay):
    """The same optimiser as its authors put it together from optax's parts."""
    rate = lambda count: jnp.asarray(RATES)[count]  # noqa: E731
    if name == "adamw":
        return optax.adamw(rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=decay)
    if name == "adamw-rms":
        return optax.chain(
            optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
            optax.scale_by_param_block_rms(min_scale=1e-3),
            optax.add_decayed_weights(decay),
            optax.scale_by_learning_rate(rate),
        )
    # EasyLM optimizers.py: adafactor without factoring or clipping, then its own weight decay.
    return optax.chain(
        optax.adafactor(
            learning_rate=rate,
            multiply_by_parameter_scale=True,
            momentum=0.9,
            decay_rate=0.95,
            factored=False,
            clipping_threshold=None,
            dtype_momentum=jnp.asarray(0.0).dtype,
        ),
        scheduled_weight_decay(lambda count: -rate(count) * decay),
    )


def scheduled_weight_decay(schedule):
    """Adds schedule(step) × weight to an update."""

    def update(updates, count, params):
        share = schedule(count)
        return jax.tree.map(lambda u, p: u + share * p, updates, params), count + 1

    return optax.GradientTransformation(lambda params: jnp.zeros([], jnp.int32), update)


def reference_trained(name, weights, steps, decay):
    transformation = reference(name, decay)
    params = {key: jnp.asarray(array) for key, array in weights.items()}
    state = transformation.init(params)
    update = jax.jit(transformation.update)
    for gradients in steps:
        updates, state = update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    return {key: np.asarray(array) for key, array in params.items()}


def furthest(ours, theirs, start):
    """Largest difference of a weight, as a share of how far or how large its tensor's are."""
    return max(
        np.abs(ours[key] - theirs[key]).max() / np.abs([theirs[key], start[key]]).max()
        for key in ours
    )


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_equals_optax(name, decay):
    """In both precisions beside optax's in double, whose own single is 6e-6 off in 1 − 0.999¹."""
    weights, steps = arrays(np.float32)
    with jax.enable_x64(True):
        double = [
            {key: np.asarray(g, np.float64) for key, g in gradients.items()} for gradients in steps
        ]
        start = {key: np.asarray(w, np.float64) for key, w in weights.items()}
        theirs = reference_trained(name, start, double, decay)
    assert all(np.abs(theirs[key] - weights[key]).max() > 0 for key in weights), "all moved"
    assert furthest(trained(name, weights, steps, decay), theirs, weights) < 1e-6
    # optax rounds the decay of the second moment to single precision even here
    tolerance = 2e-7 if name == "easylm" else 1e-13
    assert furthest(trained(name, start, double, decay), theirs, weights) < tolerance


def test_easylm_equals_its_formula_in_double_precision():
    weights, steps = arrays(np.float64)
    expected = {}
    for key, p in weights.items():
        second, momentum = np.zeros_like(p), np.zeros_like(p)
        for t, (gradients, rate) in enumerate(zip(steps, RATES, strict=True), 1):
            keep = 1 - t**-0.95
            second = keep * second + (1 - keep) * (gradients[key] ** 2 + 1e-30)
            scale = max(np.sqrt(np.mean(p**2)), 1e-3)
            momentum = 0.9 * momentum + 0.1 * rate * scale * gradients[key] / np.sqrt(second)
            p = p - momentum - rate * 0.1 * p
        expected[key] = p
    assert furthest(trained("easylm", weights, steps, 0.1), expected, weights) < 1e-13


def test_the_papers_words_and_the_papers_code_differ_by_half():
    """Both at the paper's 2e-3, over 20 steps: neither stands in for the other."""
    weights, steps = arrays()
    rates = np.full(20, 2e-3)
    words = trained("adamw-rms", weights, steps[:20], rates=rates)
    code = trained("easylm", weights, steps[:20], rates=rates)
    for key in ("matrix", "many pieces", "zeros"):
        moved = np.linalg.norm(words[key] - weights[key])
        assert 0.4 < np.linalg.norm(words[key] - code[key]) / moved < 1.0


def test_a_step_is_relative_to_the_weights_size():
    for name, first in (("adamw-rms", 1.0), ("easylm", 0.1)):
        for size in (10.0, 0.1, 1e-5):
            p = torch.nn.Parameter(torch.full((8,), size))
            optimiser = make_optimiser([{"params": [p]}], recipe(name))
            p.grad = torch.full((8,), 3.0)
            optimiser.step()
            expected = 2e-3 * first * max(size, 1e-3)
            assert (size - p).mean().item() == pytest.approx(expected, rel=1e-2, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_groups_decay_by_their_own_share(name):
    """With no gradient to speak of, weights shrink by lr × weight_decay of their group."""
    decayed, kept, unsaid = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    groups = [
        {"params": [decayed], "weight_decay": 0.5},
        {"params": [kept], "weight_decay": 0.0},
        {"params": [unsaid]},
    ]
    optimiser = make_optimiser(iter(groups), recipe(name, learning_rate=0.1, weight_decay=0.2))
    for p in (decayed, kept, unsaid):
        p.grad = torch.zeros(3)
    optimiser.step()
    assert decayed.tolist() == pytest.approx([0.95] * 3)
    assert kept.tolist() == [1.0] * 3
    assert unsaid.tolist() == pytest.approx([0.98] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_of_nothing_moves_nothing_and_no_gradient_no_weight(name):
    weights, steps = arrays()
    params = parameters(weights)
    frozen = torch.nn.Parameter(torch.ones(3))
    optimiser = make_optimiser(
        [{"params": [*params.values(), frozen], "weight_decay": 0.1}], recipe(name)
    )
    go_on(optimiser, params, steps[:1], [0.0])
    assert all((params[key].detach().numpy() == weights[key]).all() for key in weights)
    go_on(optimiser, params, steps[1:2], [1e-3])
    assert frozen.tolist() == [1.0] * 3
    assert frozen not in optimiser.state


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_goes_on_bit_for_bit(name, tmp_path):
    weights, steps = arrays()
    whole, rates = trained(name, weights, steps[:10], 0.1, RATES[5:15]), RATES[5:15]

    params = parameters(weights)
    groups = [{"params": list(params.values()), "weight_decay": 0.1}]
    optimiser = make_optimiser(groups, recipe(name))
    untouched = copy.deepcopy(optimiser.state_dict())
    go_on(optimiser, params, steps[:5], rates[:5])
    kept = {key: p.detach().clone() for key, p in params.items()}
    torch.save(optimiser.state_dict(), tmp_path / "state.pt")

    # Another process: fresh objects. Then the same ones again, which have gone elsewhere since.
    again = {key: torch.nn.Parameter(p.clone()) for key, p in kept.items()}
    fresh = make_optimiser([{"params": list(again.values()), "weight_decay": 0.1}], recipe(name))
    go_on(optimiser, params, steps[10:13], rates[:3])
    for opt, ps in ((fresh, again), (optimiser, params)):
        with torch.no_grad():
            for key, p in ps.items():
                p.copy_(kept[key])
        opt.load_state_dict(torch.load(tmp_path / "state.pt"))
        go_on(opt, ps, steps[5:10], rates[5:])
        assert all((ps[key].detach().numpy() == whole[key]).all() for key in weights)

    # And back to before the first step.
    with torch.no_grad():
        for key, p in params.items():
            p.copy_(torch.from_numpy(weights[key]))
    optimiser.load_state_dict(untouched)
    go_on(optimiser, params, steps[:10], rates)
    assert all((params[key].detach().numpy() == whole[key]).all() for key in weights)


def test_rms_of_large_tensors_is_exact():
    """torch's own norm is 1e-5 off here, and 2e-3 at 30 million."""
    torch.manual_seed(0)
    large = torch.randn(1500, 1000) * 0.02
    exact = large.double().square().mean().sqrt().item()
    assert rms([large])[0].item() == pytest.approx(exact, rel=1e-6)
    assert rms([large.T])[0].item() == pytest.approx(exact, rel=1e-4)
    half, empty = rms([torch.full((4,), 300.0, dtype=torch.float16), torch.empty(0, 3)])
    assert half.item() == pytest.approx(300.0), "300² overflows half precision"
    assert empty.item() == pytest.approx(1e-3)


@pytest.mark.parametrize("name", ["adamw-rms", "easylm"])
def test_a_gradient_may_lie_otherwise_than_its_weight(name):
    """Fused kernels read memory in order, whatever the strides say."""
    rows, columns = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    gradient = torch.arange(6.0).reshape(3, 2) - 2.5
    rows.grad, columns.grad = gradient, gradient.T.contiguous().T
    make_optimiser([{"params": [rows, columns]}], recipe(name)).step()
    assert (rows == columns).all()


def test_an_unknown_optimiser_is_refused():
    wrong = Recipe().model_copy(update={"optimiser": "lion"})
    with pytest.raises(InputError, match="'lion'"):
        make_optimiser([{"params": [torch.nn.Parameter(torch.ones(1))]}], wrong)


def test_two_processes_scale_by_the_whole_weight(tmp_path):
    """FSDP2 over a small network and hand-made shards, on two gloo processes: as one process."""
    script = Path(__file__).with_name("sharded_optimiser.py")
    running = [
        subprocess.Popen([sys.executable, script, str(rank), str(tmp_path / "meeting")])
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
