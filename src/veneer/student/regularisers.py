"""What holds a student near its base, applied after each optimiser step.

The pull toward the base is L2-SP (Li, Grandvalet and Davoine, 2018, "Explicit inductive bias for
transfer learning with convolutional networks", eq. 3): ½ · pull · ‖p − p₀‖², where p₀ are the
weights that training started from. As a gradient in the loss, Adam would divide it by the
gradient's size, as it does with weight decay; so it is decoupled in the way of AdamW (Loshchilov
and Hutter, 2019, algorithm 2), after the optimiser has moved the weights:

    p ← p − rate · pull · (p − p₀)

At a constant rate the steps' memory is 1 / (rate · pull): far longer than the run, and nothing
happens; far shorter, and the weights stay where the last few steps led.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from veneer.errors import InputError


class Pull:
    """The pull of parameters toward where they started.

    Made before the first step (and before a snapshot is restored), from the weights of the
    base; so it holds nothing that a snapshot would have to save. The rows of new tokens are
    pulled toward their first values; an adapter's matrices toward theirs, which is the base.
    Frozen parameters are left alone. Memory: the trained weights once more.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], strength: float, rate: float):
        """strength: `pull` above, 1 / unit of rate. rate: the largest rate to come."""
        if strength * rate >= 1:
            raise InputError(
                f"pull {strength:g} at a learning rate of {rate:g} takes back "
                f"{strength * rate:.0%} of the way in every step, so nothing is learned.",
                f"Set recipe.pull below {1 / rate:g}.",
            )
        self.strength = strength
        self.moved = [p for p in parameters if p.requires_grad]
        self.start = [p.detach().clone() for p in self.moved]

    @torch.no_grad()
    def after_step(self, rate: float) -> None:
        """Call after each optimiser step, with the rate of that step."""
        for now, start in zip(self.moved, self.start, strict=True):
            now.lerp_(start, rate * self.strength)
