"""A static batch with its key–value cache: rows behind a shared prefix, padded on the left.

`Walk` is the other way to run a model here: one row through a tree of tokens, for scoring.

    columns   [ shared prefix ][ padding | rest of the row ][ tokens added by step() ]

Shapes: B rows, H key–value heads, T columns, D head width, V vocabulary. The prefix is
computed once and copied into every row. Keys and values live in one preallocated slab a layer
(growing by concatenation copies the whole cache for every token), and the mask is handed to
the model ready-made (building it took longer than a small model's layer).
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from veneer.errors import InputError
from veneer.models.llama_step import LlamaStep, is_llama_shaped


class _Slab(DynamicLayer):
    """One layer's keys and values, (B, H, room, D), of which the first `length` columns are set."""

    def __init__(self, room: int, prefix: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        super().__init__()
        self.room, self.prefix, self.length = room, prefix, 0
        self.filled: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, heads, new, _ = key_states.shape
        if not self.filled:
            for states in (key_states, value_states):
                self.filled.append(states.new_empty(rows, heads, self.room, states.shape[-1]))
            if self.prefix is not None:
                self.length = self.prefix[0].shape[2]
                for slab, states in zip(self.filled, self.prefix, strict=True):
                    slab[:, :, : self.length] = states
        end = self.length + new
        keys, values = self.filled
        keys.narrow(2, self.length, new).copy_(key_states)
        values.narrow(2, self.length, new).copy_(value_states)
        self.length = end
        return keys.narrow(2, 0, end), values.narrow(2, 0, end)

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def select(self, rows: torch.Tensor) -> None:
        kept = []
        for slab in self.filled:
            new = slab.new_empty(len(rows), *slab.shape[1:])
            new[:, :, : self.length] = slab[:, :, : self.length].index_select(0, rows)
            kept.append(new)
        self.filled = kept

    def keep(self, columns: torch.Tensor) -> None:
        """Of one row, keep only these columns, (kept,), in rising order."""
        for slab in self.filled:
            slab[:, :, : len(columns)] = slab.index_select(2, columns)
        self.length = len(columns)


class Walk:
    """A single row that goes through a tree of tokens, depth first (plain models only).

    Args:
        columns: how many tokens the cache has room for.
    """

    def __init__(self, model: PreTrainedModel, columns: int) -> None:
        self.model = model
        depth = model.config.get_text_config().num_hidden_layers
        self.layers = [_Slab(columns, None) for _ in range(depth)]
        self.cache = Cache(layers=list(self.layers))

    def run(
        self, ids: np.ndarray, positions: np.ndarray, seen: np.ndarray, places: np.ndarray
    ) -> torch.Tensor:
        """Add tokens, and return the logits of some of them, (places, V).

        Args:
            ids, positions: (tokens,).
            seen: which columns each may look at, (tokens, columns in the cache + tokens).
            places: (places,) numbers of tokens.
        """
        device = self.model.device
        chosen = torch.from_numpy(places).to(device)
        more = {"logits_to_keep": chosen} if _takes(self.model, "logits_to_keep") else {}
        mask = _bar(torch.from_numpy(seen)[None, None].to(device), self.model.dtype)
        with _sdpa(self.model):
            logits = self.model(
                input_ids=torch.from_numpy(ids)[None].to(device),
                attention_mask=mask,
                position_ids=torch.from_numpy(positions)[None].to(device),
                past_key_values=self.cache,
                use_cache=True,
                **more,
            ).logits[0]
        return logits if more else logits[chosen]

    def keep(self, columns: np.ndarray) -> None:
        """Forget every token but those in these columns, (kept,), in rising order."""
        for layer in self.layers:
            layer.keep(torch.from_numpy(columns).to(self.model.device))


class Prefix:
    """Tokens that many rows begin with, computed once: keys and values of every layer."""

    def __init__(self, model: PreTrainedModel, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        batch = Batch(model, [self.ids], room=0)
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = [
            (layer.filled[0], layer.filled[1]) for layer in batch.layers
        ]


def is_plain(model: PreTrainedModel) -> bool:
    """Whether full causal attention with position ids is all there is, so that our slab fits.

    Sliding windows, ALiBi and recurrent layers are left to the library's own cache and masks.
    """
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        full = all(kind == "full_attention" for kind in kinds)
    else:
        full = not getattr(config, "sliding_window", None)
    return (
        full
        and not getattr(config, "alibi", False)
        and not getattr(config, "attention_types", None)  # GPT-Neo: local layers
        and getattr(config, "attention_chunk_size", None) is None
        and _takes(model, "position_ids")
    )


class Batch:
    """Rows of token ids, run once; `logits` holds the last `keep` positions, (B, keep, V).

    Args:
        rows: token ids of each row after the prefix, at least one each.
        room: how many tokens `step` may add.
        prefix: what every row begins with (plain models only).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Sequence[Sequence[int]],
        room: int,
        keep: int = 1,
        prefix: Prefix | None = None,
    ) -> None:
        if not _takes(model, "past_key_values"):
            raise InputError(
                f"Models of type {model.config.model_type!r} keep no key-value cache.",
                "Choose a decoder-only transformer (Llama, Qwen, GPT-2, …).",
            )
        device = model.device
        self.model, self.plain = model, is_plain(model)
        start = len(prefix.ids) if prefix else 0
        lengths = torch.tensor([len(row) for row in rows])
        wide = int(lengths.max())
        ids = torch.zeros(len(rows), wide, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, wide - len(row) :] = torch.tensor(row)
        column = torch.arange(wide)
        real = column >= (wide - lengths)[:, None]  # (B, wide)
        positions = (start + column - (wide - lengths)[:, None]).clamp(min=0)
        self.used = start + wide
        self.next_position = (start + lengths)[:, None].to(device)
        self.valid = torch.ones(len(rows), self.used + room, dtype=torch.bool)
        self.valid[:, start : self.used] = real
        self.valid = self.valid.to(device)
        self.cache: Cache
        self.layers: list[_Slab] = []
        self.quick = None
        if room > 0 and self.plain and is_llama_shaped(model):
            self.quick = LlamaStep(model, self.used + room)
        if self.plain:
            depth = model.config.get_text_config().num_hidden_layers
            self.layers = [
                _Slab(self.used + room, prefix.layers[i] if prefix else None) for i in range(depth)
            ]
            self.cache = Cache(layers=list(self.layers))
            self.bar = _bar(self.valid[:, None, None, :], model.dtype)  # (B, 1, 1, T)
            causal = torch.arange(self.used)[None, :] <= start + column[:, None]
            own = torch.arange(self.used)[None, :] == start + column[:, None]
            seen = causal.to(device) & self.valid[:, None, None, : self.used] | own.to(device)
            mask = _bar(seen, model.dtype)
        else:
            if prefix is not None:
                raise ValueError("a shared prefix needs a plain model")
            self.cache = DynamicCache(config=model.config)
            mask = self.valid[:, : self.used].long()
        self.logits = self._forward(ids.to(device), mask, positions.to(device), keep)[:, -keep:]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token a row, (B,), and return the logits of the next, (B, V)."""
        self.used += 1
        if self.quick:
            bar = self.bar.narrow(3, 0, self.used)
            logits = self.quick(tokens, self.next_position[:, 0], bar, self.layers)
            self.next_position = self.next_position + 1
            return logits
        narrow = self.bar.narrow(3, 0, self.used) if self.plain else None
        mask = self.valid[:, : self.used].long() if narrow is None else narrow
        logits = self._forward(tokens[:, None], mask, self.next_position, 1)
        self.next_position = self.next_position + 1
        return logits[:, -1]

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these rows, (kept,)."""
        self.valid = self.valid[rows]
        self.next_position = self.next_position[rows]
        if self.plain:
            self.bar = self.bar[rows]
            for layer in self.layers:
                layer.select(rows)
        else:
            self.cache.reorder_cache(rows)  # type: ignore[arg-type]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, keep: int
    ) -> torch.Tensor:
        more: dict[str, Any] = {}
        if _takes(self.model, "position_ids"):
            more["position_ids"] = positions
        if _takes(self.model, "logits_to_keep"):
            more["logits_to_keep"] = keep
        return self.model(
            input_ids=ids, attention_mask=mask, past_key_values=self.cache, use_cache=True, **more
        ).logits


@contextlib.contextmanager
def _sdpa(model: PreTrainedModel) -> Iterator[None]:
    """The library's usual attention: many tokens at once gain by it also in small models."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before == "eager" and model._supports_sdpa:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        config._attn_implementation = before


def _bar(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where attention is allowed, the lowest number where it is not."""
    bar = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return bar.masked_fill_(~allowed, torch.finfo(dtype).min)


def _takes(model: PreTrainedModel, argument: str) -> bool:
    names = _ARGUMENTS.get(type(model))
    if names is None:
        names = frozenset(inspect.signature(model.forward).parameters)
        _ARGUMENTS[type(model)] = names
    return argument in names


_ARGUMENTS: dict[type, frozenset[str]] = {}


def rows_that_fit(model: PreTrainedModel, columns: int, wanted: int, memory: int = 2**31) -> int:
    """How many rows of this many columns keep cache and activations within `memory` bytes."""
    config = model.config.get_text_config()
    width = getattr(config, "hidden_size", 1024)
    wide = 4 * max(width, getattr(config, "intermediate_size", None) or 4 * width)
    per_row = columns * 4 * max(2 * getattr(config, "num_hidden_layers", 12) * width, wide)
    return max(1, min(wanted, memory // max(per_row, 1)))
