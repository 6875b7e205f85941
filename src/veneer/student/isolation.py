"""Packed dialogues kept apart: attention that stays within each of them, proven on the model.

Most models of transformers read `position_ids` that begin anew as several sequences and build a
block-diagonal mask (`masking_utils.find_packed_sequence_indices`), if there is no attention
mask and no cache. Two things break that silently, so that dialogues leak into each other:

- FlashAttention looks at positions in a batch of one row only
  (`modeling_flash_attention_utils._is_packed_sequence`);
- some models (OPT, BioGPT, MPT in 5.23) never pass the positions on; a mask of our own mends it.

Models that carry a state along the tokens (Mamba, RWKV, RecurrentGemma) and those that take no
such mask (BLOOM) cannot be helped and are refused. Which case a model is gets measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

Batch = dict[str, "Tensor"]

FORBIDDEN = -65504.0
"""Added to a score that attention must not see: the lowest number of fp16, e^that is 0."""


def isolation(model: PreTrainedModel) -> Callable[[Batch], Batch]:
    """How this model keeps packed dialogues apart: a change to every batch before its loss.

    The function takes and returns `ids`, `labels`, `positions` (batch, block) and may add `mask`
    (batch, 1, block, block) or lay the rows end to end (1, batch * block); `model_inputs` makes
    the model's arguments of it. Each way is tried on two small rows: the tokens of one dialogue
    are changed, and what the model says of its neighbours must not move.

    Raises:
        InputError: the model lets dialogues see each other whatever is done.
    """
    for way in (unchanged, in_one_row, partial(with_mask, dtype=model.dtype)):
        if _apart(model, way):
            return way
    raise InputError(
        f"Dialogues packed into one block leak into each other in this base "
        f"({model.config.model_type}): it takes no mask that keeps them apart.",
        "Set recipe.packing to chunk, where dialogues follow each other as in the paper.",
    )


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """A batch as the arguments of a model's forward pass, labels left out."""
    inputs: dict[str, Any] = {"input_ids": batch["ids"], "use_cache": False}
    names = {"position_ids": "positions", "attention_mask": "mask"}
    return inputs | {name: batch[key] for name, key in names.items() if key in batch}


def unchanged(batch: Batch) -> Batch:
    """Positions alone."""
    return batch


def in_one_row(batch: Batch) -> Batch:
    """All rows end to end. (A row's first label is ignored, so no row predicts the next.)"""
    return {key: value.reshape(1, -1) for key, value in batch.items()}


def with_mask(batch: Batch, dtype: torch.dtype) -> Batch:
    """An additive mask: attention within the same dialogue and not ahead, nothing else."""
    import torch

    number = (batch["positions"] == 0).cumsum(1)
    places = torch.arange(number.shape[1], device=number.device)
    seen = (number[:, :, None] == number[:, None, :]) & (places[:, None] >= places)
    hidden = torch.full(seen.shape, FORBIDDEN, dtype=dtype, device=number.device)
    return batch | {"mask": hidden.masked_fill(seen, 0.0)[:, None]}


def _apart(model: PreTrainedModel, way: Callable[[Batch], Batch]) -> bool:
    """Whether a dialogue's neighbours stay as they were when its tokens change.

    What counts as a change is measured against the same tokens as one text, where it does reach
    them.
    """
    import torch

    device: Any = model.get_input_embeddings().weight.device
    rows = model.config.get_text_config().vocab_size
    ids = (torch.arange(24, device=device).reshape(2, 12) * 7 + 3) % rows
    other = ids.clone()
    other[0, :5], other[1, 1:8] = (ids[0, :5] + 5) % rows, (ids[1, 1:8] + 5) % rows
    counts = [[5, 7], [1, 7, 4]]
    apart = [[at for count in row for at in range(count)] for row in counts]
    positions = torch.tensor(apart, device=device)
    joined = torch.arange(12, device=device).expand(2, 12)

    def said(ids: Tensor) -> Tensor:
        batch = way({"ids": ids, "labels": ids, "positions": positions})
        return model(**model_inputs(batch)).logits.float().reshape(2, 12, -1)

    def moved(one: Tensor, two: Tensor) -> float:
        change = (one - two).abs()
        return float(torch.stack([change[0, 5:].max(), change[1, 8:].max()]).max())

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            leak = moved(said(ids), said(other))
            whole = [
                model(input_ids=each, position_ids=joined, use_cache=False).logits.float()
                for each in (ids, other)
            ]
    except (TypeError, ValueError, IndexError, RuntimeError):
        if isinstance(way, partial):
            return False  # it takes no such mask
        raise
    finally:
        model.train(training)
    return leak <= 0.01 * moved(*whole)
