"""The pull toward the base, against the formula written out."""

import pytest

from veneer.errors import InputError


def weights(seed=0):
    import torch

    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(5))]


def test_the_formula():
    """Plain gradient descent on ½ · pull · ‖p − p₀‖², step for step in double precision."""
    import torch

    from veneer.student.regularisers import Pull

    moved = [torch.nn.Parameter(p.double()) for p in weights()]
    pull = Pull(moved, strength=30.0, rate=0.02)
    start = [p.detach().clone() for p in moved]
    by_hand = [p.detach().clone() for p in moved]
    for step, rate in enumerate([0.001, 0.01, 0.02]):
        for p, h in zip(moved, by_hand, strict=True):
            change = torch.sin(torch.arange(p.numel()).double() + step).view_as(p)
            with torch.no_grad():
                p += change  # what an optimiser did
            h += change
        for at, h in enumerate(by_hand):
            leaf = h.clone().requires_grad_()
            (15.0 * (leaf - start[at]).square().sum()).backward()
            h -= rate * leaf.grad
        pull.after_step(rate)
    for p, h in zip(moved, by_hand, strict=True):
        torch.testing.assert_close(p.detach(), h, rtol=1e-13, atol=1e-13)


def test_frozen_weights_and_weights_at_home_stay_bit_for_bit():
    import torch

    from veneer.student.regularisers import Pull

    moving, fixed = weights()
    fixed.requires_grad_(False)
    was, at_home = fixed.clone(), moving.detach().clone()
    pull = Pull([moving, fixed], strength=20.0, rate=0.02)
    with torch.no_grad():
        fixed += 1  # nobody's business
        moving[0] += 1
    pull.after_step(0.02)
    assert torch.equal(fixed, was + 1)
    assert torch.equal(moving[1:].detach(), at_home[1:])
    assert (moving[0] < at_home[0] + 1).all()


def test_a_pull_made_again_from_the_base_continues_a_run():
    """Nothing of it needs saving: made from the base, then the snapshot's weights restored."""
    import torch

    from veneer.student.regularisers import Pull

    def step(parameters, pull):
        with torch.no_grad():
            for p in parameters:
                p.mul_(1.01).add_(0.1)
        pull.after_step(0.01)

    whole = weights()
    pull = Pull(whole, 10.0, 0.01)
    step(whole, pull)
    snapshot = [p.detach().clone() for p in whole]
    step(whole, pull)
    again = weights()
    pull = Pull(again, 10.0, 0.01)
    with torch.no_grad():
        for p, saved in zip(again, snapshot, strict=True):
            p.copy_(saved)
    step(again, pull)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))


def test_a_pull_that_undoes_every_step_is_refused():
    from veneer.student.regularisers import Pull

    with pytest.raises(InputError, match="takes back 120%") as said:
        Pull(weights(), strength=60.0, rate=0.02)
    assert "below 50" in said.value.hint
