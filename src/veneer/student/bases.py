"""Base models as students start from them: loaded, given the chat tokens, placed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.models.chat import END, add_chat_tokens, fit_embeddings
from veneer.student.opening import open_model, open_tokenizer
from veneer.student.recipe import Recipe
from veneer.student.sharding import keep_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WIDE = 192
"""From this width on, bf16 beats fp32 on a CPU that has AMX: by a quarter at width 192; at 64 it is
slower by a sixth (`bench/sft.py`)."""


def load_base(
    folder: Path, recipe: Recipe, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[str]]:
    """Base and tokenizer with the chat tokens added; also which tokens are new.

    Weights are fp32, those of linear layers 4-bit for QLoRA. Attention is torch's SDPA, which is
    FlashAttention on a GPU, and on a CPU faster than eager in both precisions: by half at width
    512 in bf16.
    """
    import torch
    from transformers.utils import logging

    from veneer.models.encoder_decoder import is_encoder_decoder
    from veneer.student.adapters import four_bits, steady
    from veneer.student.encoder_decoder import add_line_break

    logging.disable_progress_bar()
    torch.manual_seed(seed)  # transformers' set_seed would import peft and all behind it
    packed = (
        {"quantization_config": four_bits(recipe.precision)} if recipe.method == "qlora" else {}
    )
    tokenizer = open_tokenizer(folder)
    model = open_model(folder, dtype=torch.float32, **packed)
    steady(model)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context and recipe.block > context:
        raise InputError(
            f"Blocks of {recipe.block:,} tokens do not fit the base, which reads {context:,}.",
            f"Set recipe.block to {context} or less.",
        )
    model.set_attn_implementation("sdpa")
    added = add_chat_tokens(tokenizer)
    if is_encoder_decoder(model):
        added += add_line_break(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = END
    like = {token: list(words) for token, words in recipe.like.items()}
    if tokenizer.eos_token:
        like.setdefault(END, []).append(tokenizer.eos_token)
    fit_embeddings(model, tokenizer, added, like)
    return model, tokenizer, added


def load_teacher(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An open teacher whose distribution is learned, in fp32, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no teacher that can be listened to: {str(error).splitlines()[0]}",
            "Give a folder with config.json, weights and tokenizer, as save_pretrained writes it.",
        ) from error


def precision_of(model: PreTrainedModel, recipe: Recipe) -> str:
    """ "bf16" or "fp32": "auto" is bf16 where the hardware gains by it at this width."""
    import torch

    if recipe.precision != "auto":
        return recipe.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if model.config.get_text_config().hidden_size >= WIDE else "fp32"


def parameter_groups(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, added: list[str]
) -> list[dict[str, Any]]:
    """Weight decay on matrices, none on norms, biases and frozen embeddings."""
    frozen: set[int] = set()
    if recipe.freeze_embeddings and recipe.method == "full":  # adapters leave them frozen anyway
        ids: Any = tokenizer.convert_tokens_to_ids(added)
        rows: list[int] = list(ids)
        layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
        for layer in layers:
            if layer is not None and id(layer.weight) not in frozen:
                frozen.add(id(layer.weight))
                layer.weight.register_post_accumulate_grad_hook(partial(keep_rows, rows=rows))
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.dim() > 1 and id(p) not in frozen]
    rest = [p for p in trained if p.dim() <= 1 or id(p) in frozen]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}]
    return [*groups, {"params": rest, "weight_decay": 0.0}]
