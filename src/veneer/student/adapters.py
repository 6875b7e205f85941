"""Low-rank adapters (LoRA) through peft, on plain and on 4-bit weights (QLoRA).

A run trains two matrices beside each linear layer and the rows of the new tokens; everything
else stays as it was (Hu et al., 2021; Dettmers et al., 2023). A student is saved merged, as a
folder that plain `from_pretrained` loads, with the adapter itself beside in `adapter/`.

Merging never touches the model that is trained: adding the product to a weight and taking it
off again is not exact in floating point, and a run saves several students on its way.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from veneer.errors import InputError

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel

ADAPTER = "adapter"
"""The folder beside a student's weights that holds the adapter alone."""

NAME = "default"
"""peft's name for the only adapter there is."""


class LoraSettings(Protocol):
    """What a recipe says of its adapters.

    rank: width of the two matrices. alpha: their product is scaled by alpha / rank. dropout:
    on their input. targets: names of linear layers as the model calls them (`q_proj`), or none
    for all but the output layer, the setting that QLoRA found to match full fine-tuning.
    """

    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def alpha(self) -> float: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def targets(self) -> Sequence[str]: ...  # noqa: D102


def wrapped(
    model: PreTrainedModel, lora: LoraSettings, added: Sequence[int], seed: int
) -> PeftModel:
    """The model with adapters to train, and the rows of the token ids `added`; the rest is frozen.

    At first it computes what the model did: one matrix is drawn from `seed`, the other is 0.
    Tied embeddings stay tied; where the output layer has rows of its own, those of the new
    tokens are trained too. A target that is no linear layer is an InputError.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    names = linear_layers(model)
    wrong = [target for target in lora.targets if not any(_ends(n, target) for n in names)]
    if wrong:
        known = sorted({name.rpartition(".")[2] for name in names})
        raise InputError(
            f"lora.targets: this base has no linear layer {wrong[0]!r}.",
            f"Its linear layers are {', '.join(known)}; without targets all are adapted.",
        )
    alpha: Any = lora.alpha  # peft says int, and scales by any number
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        trainable_token_indices=_token_rows(model, added),
        fan_in_fan_out=any(type(m).__name__ == "Conv1D" for m in model.modules()),
        task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what peft still asks of transformers
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Full names of the layers that an adapter can stand beside, the output layer left out."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]


def merged(model: PeftModel) -> PreTrainedModel:
    """A plain model with the adapters added to its weights; the given one stays as it is.

    4-bit weights are written out in fp32 first. Weights that no adapter touches are shared
    with the given model, so the result is for saving and reading, not for training.
    """
    import torch

    inner: Any = model.get_base_model()
    config = deepcopy(inner.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    modules = dict(inner.named_modules())
    with torch.device("meta"):
        names = list(type(inner)(config).state_dict())
    weights = {}
    with torch.no_grad():
        for name in names:
            owner, _, leaf = name.rpartition(".")
            weights[name] = _weight(modules[owner], leaf)
    twin = type(inner).from_pretrained(
        None, config=config, state_dict=weights, dtype=inner.get_input_embeddings().weight.dtype
    )
    twin.generation_config = inner.generation_config
    return twin.eval()


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write `folder/adapter/`; `PeftModel.from_pretrained(base, …)` reads it.

    The base it belongs on is the one that was trained: with the chat tokens' rows there
    (`fit_embeddings`), whose trained values the adapter holds. It names no folder of this
    machine.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    target = folder / ADAPTER
    target.mkdir(parents=True, exist_ok=True)
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file(
        {name: weights[name].detach().cpu().contiguous() for name in sorted(weights)},
        target / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    config: Any = deepcopy(model.peft_config[NAME])
    config.base_model_name_or_path = ""
    config.inference_mode = True
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(target))


def four_bits(precision: str) -> BitsAndBytesConfig:
    """How `from_pretrained` loads a base for QLoRA: NF4, quantised twice (its §3).

    precision: the recipe's; products are computed in bf16, or in fp32 where it says so (and on
    a CPU unless it says "bf16"). Without bitsandbytes an InputError says what to install.
    """
    import torch
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise InputError(
            "method: qlora keeps the base in 4 bits, which needs bitsandbytes.",
            "pip install 'veneer[qlora]', or set recipe.method to lora.",
        ) from error
    half = precision == "bf16" or (precision == "auto" and torch.cuda.is_available())
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if half else torch.float32,
    )


def steady(model: PreTrainedModel) -> PreTrainedModel:
    """Let 4-bit layers compute the same in training and out of it; returns the model.

    On some CPUs bitsandbytes repacks the weights at the first look without gradients, for a
    product in bf16 that only some widths allow; a base that is compared with its student in
    training must not differ from it by that.
    """
    layers: Any = model.modules()
    for module in layers:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _token_rows(model: PreTrainedModel, added: Sequence[int]) -> dict[str, list[int]] | None:
    """Which rows of which embedding matrices are trained."""
    if not added:
        return None
    names = {id(module): name for name, module in model.named_modules()}
    inputs: Any = model.get_input_embeddings()
    outputs: Any = model.get_output_embeddings()
    layers = [inputs]
    if outputs is not None and outputs.weight is not inputs.weight:
        layers.append(outputs)
    return {names[id(layer)]: list(added) for layer in layers}


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _weight(module: Any, leaf: str) -> torch.Tensor:
    """A weight as a plain model has it, whatever peft and bitsandbytes made of its module."""
    from peft.tuners.lora import LoraLayer
    from peft.utils.other import TrainableTokensWrapper

    if isinstance(module, TrainableTokensWrapper):
        if leaf == "weight":
            return module.token_adapter.get_merged_weights([NAME]).detach()
        return getattr(module.token_adapter.get_base_layer(), leaf)
    if isinstance(module, LoraLayer):
        adapted: Any = module
        weight = _unpacked(getattr(adapted.get_base_layer(), leaf))
        if leaf == "weight":
            weight = weight + adapted.get_delta_weight(NAME).to(weight)
        return weight.detach()
    return _unpacked(getattr(module, leaf)).detach()


def _unpacked(weight: Any) -> Any:
    """A 4-bit weight in fp32; any other as it is."""
    if type(weight).__name__ != "Params4bit":
        return weight
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data, weight.quant_state).float()
