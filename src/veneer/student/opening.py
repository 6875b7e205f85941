"""Open a base's folder: its tokenizer and its weights, or one message on what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WHOLE = "Give a folder with config.json, weights and tokenizer, as save_pretrained writes it."
AGAIN = "It was cut off or changed, perhaps on its way here: fetch the model again."
TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")
"""Files of which every tokenizer has one."""


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    Raises:
        InputError: there is none, or none that can be read.
    """
    from transformers import AutoTokenizer

    _expect_config(folder)
    if not any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        raise InputError(
            f"{folder} has no tokenizer.",
            "Put the base's tokenizer.json and tokenizer_config.json beside its weights.",
        )
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # each tokenizer class has errors of its own
        raise InputError(
            f"The tokenizer in {folder} cannot be read: {_said(error)}", AGAIN
        ) from error
    return tokenizer


def open_model(folder: Path, **how: Any) -> PreTrainedModel:
    """The model of a folder, with every weight that its configuration asks for.

    Args:
        folder: config.json and weights.
        how: for `from_pretrained` (dtype, quantisation).

    Raises:
        InputError: no weights, of another shape, or for another model (whose missing ones would
            be random numbers); an architecture that transformers does not know, or one that is
            no language model; a file that cannot be read; a weight that is no number.
    """
    import torch
    from safetensors import SafetensorError

    from veneer.models.encoder_decoder import language_model

    _expect_config(folder)
    try:
        opened: Any = language_model(folder, output_loading_info=True, **how)
        model, found = opened
    except SafetensorError as error:
        raise InputError(
            f"The weights in {folder} cannot be read: {_said(error)}", AGAIN
        ) from error
    except RuntimeError as error:
        if "mismatched" not in str(error):
            raise
        raise InputError(
            f"The weights in {folder} have other shapes than its config.json says.", AGAIN
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no model that can be trained: {_said(error)}", WHOLE
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise InputError(
            f"The files in {folder} lack {len(missing)} of the weights that its config.json asks "
            f"for ({missing[0]} is the first); they would be random numbers.",
            "Give a folder whose weights and config.json belong together.",
        )
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight.detach().sum()):
            raise InputError(f"{name} in {folder} holds what is no number.", "Give another base.")
    whole: PreTrainedModel = model
    return whole


def _expect_config(folder: Path) -> None:
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is no model folder: it has no config.json.", WHOLE)
    try:
        json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {_said(error)}", AGAIN) from error


def _said(error: Exception) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
