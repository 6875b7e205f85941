"""One token a row through a small Llama-shaped model, in as few operations as possible.

A model of a few million parameters spends most of a generated token in the library's calls, not
in arithmetic. `LlamaStep` does the same sums (Touvron et al. 2023, and what Mistral, Qwen2 and
Qwen3 add to it) with about a third of the operations: queries, keys and values in one product,
rotation by precomputed tables, no repeated key–value heads.

Shapes: B rows, W hidden size, H heads, K key–value heads, G = H / K, D head width, T columns.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

WIDEST = 512  # hidden size; above, arithmetic is what takes the time
FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
STEADY_ROTATIONS = ("default", "linear", "llama3", "yarn")  # the others look at the text's length


class Columns(Protocol):
    """Keys and values of one layer, (B, K, T, D) each."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add a column, (B, K, 1, D) each, and return all."""


def is_llama_shaped(model: PreTrainedModel) -> bool:
    """Whether `LlamaStep` does what the model does, and is worth while."""
    config: Any = model.config
    kind = type(model)
    if kind.__name__ not in FAMILIES or not kind.__module__.startswith("transformers.models."):
        return False
    rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    return (
        model.device.type == "cpu"
        and model.dtype == torch.float32
        and config.hidden_size <= WIDEST
        and config.hidden_act == "silu"
        and rotation in STEADY_ROTATIONS
        and not model.training
        and not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
        and all(type(part) is nn.Linear for part in _maps(model))
    )


def _maps(model: Any) -> list[nn.Module]:
    """Every linear map; adapters and quantisation put other things in their place."""
    found: list[nn.Module] = [model.get_output_embeddings()]
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        found += [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
        found += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    return found


class LlamaStep:
    """The model's weights, as they are now, arranged for single tokens.

    Args:
        columns: positions that may come.
    """

    def __init__(self, model: PreTrainedModel, columns: int) -> None:
        inner: Any = model.model
        self.embedding, self.last_norm = inner.embed_tokens.weight, inner.norm
        self.head: Any = model.get_output_embeddings()
        self.layers = [_Layer(layer) for layer in inner.layers]
        positions = torch.arange(columns, device=model.device)[None]
        cos, sin = inner.rotary_emb(self.embedding, positions)  # (1, columns, D)
        half = cos.shape[-1] // 2
        self.cos, self.sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)

    def __call__(
        self, tokens: torch.Tensor, positions: torch.Tensor, bar: torch.Tensor, cache: list[Any]
    ) -> torch.Tensor:
        """Logits of the next token, (B, V).

        Args:
            tokens, positions: (B,).
            bar: (B, 1, 1, T), 0 or the lowest number, the new column included.
            cache: `Columns` a layer.
        """
        hidden = F.embedding(tokens, self.embedding)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]  # (B, 1, D)
        for layer, columns in zip(self.layers, cache, strict=True):
            hidden = layer(hidden, cos, sin, bar, columns)
        return F.linear(_normed(hidden, self.last_norm), self.head.weight, self.head.bias)


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.before, self.between = layer.input_layernorm, layer.post_attention_layernorm
        self.inward = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.outward, self.gate, self.up = attention.o_proj, mlp.gate_proj, mlp.up_proj
        self.down = mlp.down_proj
        self.width, self.scaling = attention.head_dim, attention.scaling
        self.shared = attention.k_proj.out_features // self.width  # K
        self.heads = attention.q_proj.out_features // self.width  # H
        self.own_norms = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)

    def __call__(
        self,
        hidden: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        bar: torch.Tensor,
        columns: Columns,
    ) -> torch.Tensor:
        rows, turned = len(hidden), self.heads + self.shared
        joint = F.linear(_normed(hidden, self.before), *self.inward)
        joint = joint.view(rows, -1, self.width)  # (B, H + 2K, D)
        ahead = joint[:, :turned]
        if self.own_norms[0] is not None:
            parts = ahead.split([self.heads, self.shared], dim=1)
            ahead = torch.cat(
                [_normed(x, norm) for x, norm in zip(parts, self.own_norms, strict=True)], dim=1
            )
        ahead = ahead * cos + ahead.roll(self.width // 2, -1) * sin
        keys, values = columns.update(ahead[:, self.heads :, None], joint[:, turned:, None])
        query = ahead[:, : self.heads].view(rows, self.shared, -1, self.width)  # (B, K, G, D)
        scores = torch.matmul(query, keys.transpose(2, 3)).mul_(self.scaling).add_(bar)
        seen = torch.matmul(scores.softmax(dim=-1), values).view(rows, -1)
        hidden = hidden + F.linear(seen, self.outward.weight, self.outward.bias)
        read = _normed(hidden, self.between)
        gate = F.linear(read, self.gate.weight, self.gate.bias)
        up = F.linear(read, self.up.weight, self.up.bias)
        return hidden + F.linear(F.silu(gate) * up, self.down.weight, self.down.bias)


def _normed(x: torch.Tensor, norm: Any) -> torch.Tensor:
    """Root-mean-square norm (Zhang and Sennrich 2019)."""
    return F.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _joined(*parts: nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of several linear maps of one input."""
    weights: list[torch.Tensor] = [part.weight for part in parts]
    biases: list[torch.Tensor] = [part.bias for part in parts if part.bias is not None]
    return torch.cat(weights), torch.cat(biases) if len(biases) == len(parts) else None
