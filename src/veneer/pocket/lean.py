"""A faster forward and backward for small Llamas on one CPU core.

Same parameters, same function as `LlamaForCausalLM` (a test compares them); less of what costs
time at widths of 16 to 128: one matmul for queries, keys and values, one for gate and up, hand
written backward for norm, rotation and SwiGLU, and a cross-entropy that never holds all logits.
Matmuls run in bfloat16, the residual stream in float32.

Shapes: B batch, T time, D width, H heads, V vocabulary.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_ROWS = 256  # rows of logits held at a time
HALF = torch.bfloat16


def keep_memory() -> None:
    """Ask glibc to reuse freed memory: fresh pages for every tensor cost a third of a step."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**30)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        return


class _Norm(Function):
    """RMS norm of float32 (N, D) rows, given in bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = scale.div_(x.shape[-1]).add_(eps).rsqrt_()
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return (normed * weight).to(HALF)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        normed, scale, weight = ctx.saved_tensors
        grad = grads[0].float()
        back = grad * weight
        to_weight = grad.mul_(normed).sum(0)
        inner = torch.linalg.vecdot(back, normed).div_(normed.shape[-1]).unsqueeze_(-1)
        return back.sub_(normed * inner).mul_(scale), to_weight, None


class _Rotate(Function):
    """Rotary positions on (B, T, H, D/H), halves paired as in Llama; cos, sin (T, 1, D/2H)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, -sin), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    out = torch.empty(x.shape, dtype=x.dtype)
    torch.mul(first, cos, out=out[..., :half]).sub_(second * sin)
    torch.mul(second, cos, out=out[..., half:]).add_(first * sin)
    return out


class _Swiglu(Function):
    """silu(gate) · up of (N, 2F) rows, in bfloat16."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        gate, up = both.chunk(2, dim=-1)
        chance = torch.sigmoid(gate)
        active = gate * chance
        ctx.save_for_backward(both, chance, active)
        return active * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        both, chance, active = ctx.saved_tensors
        grad = grads[0]
        up = both[:, both.shape[1] // 2 :]
        out = torch.empty_like(both)
        to_gate, to_up = out.chunk(2, dim=-1)
        torch.mul(grad, active, out=to_up)
        # d silu(g)/dg = s + silu(g) (1 − s)
        slope = torch.addcmul(chance + active, active, chance, value=-1)
        torch.mul(grad, up, out=to_gate)
        to_gate.mul_(slope)
        return out


class _Loss(Function):
    """Mean cross-entropy of rows (N, D) against targets (N,) under an output matrix (V, D)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, matrix: Tensor, targets: Tensor) -> Tensor:
        matrix = matrix.to(HALF)
        total = torch.zeros(())
        to_hidden = torch.empty_like(hidden)
        to_matrix = torch.zeros(matrix.shape)
        for start in range(0, len(hidden), _ROWS):
            rows, wanted = hidden[start : start + _ROWS], targets[start : start + _ROWS, None]
            chances = torch.log_softmax(rows @ matrix.T, dim=-1, dtype=torch.float32)
            total -= chances.gather(1, wanted).sum()
            chances = chances.exp_()
            chances.scatter_add_(1, wanted, torch.full(wanted.shape, -1.0))
            grad = chances.mul_(1 / len(hidden)).to(HALF)
            torch.mm(grad, matrix, out=to_hidden[start : start + _ROWS])
            to_matrix += grad.T @ rows
        ctx.save_for_backward(to_hidden, to_matrix)
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        to_hidden, to_matrix = ctx.saved_tensors
        return to_hidden * grads[0].to(HALF), to_matrix * grads[0], None


class Lean:
    """The lean way through one `LlamaForCausalLM`. `loss` is what training needs."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model, self.eps = model, config.rms_norm_eps
        self.heads = config.num_attention_heads
        self.size = config.hidden_size // self.heads
        theta = config.rope_parameters["rope_theta"]
        slow = 1.0 / theta ** (torch.arange(0, self.size, 2).float() / self.size)
        angles = torch.outer(torch.arange(config.max_position_embeddings).float(), slow)
        self.cos, self.sin = angles.cos().to(HALF)[:, None], angles.sin().to(HALF)[:, None]

    def loss(
        self, ids: Tensor, labels: Tensor, heavy: Tensor | None = None, weight: int = 1
    ) -> Tensor:
        """Mean next-token cross-entropy; `ids`, `labels` (B, T); labels of −100 carry none.

        Where `heavy` (B, T) is True, the token at that position counts `weight` times.
        """
        hidden = self._hidden(ids)
        targets = torch.full_like(labels, -100)
        targets[:, :-1] = labels[:, 1:]
        kept = (targets.view(-1) >= 0).nonzero().squeeze(1)
        if heavy is not None and weight > 1:
            more = heavy[:, 1:].nonzero()
            kept = torch.cat([kept, (more[:, 0] * ids.shape[1] + more[:, 1]).repeat(weight - 1)])
        normed = _Norm.apply(hidden.index_select(0, kept), self.model.model.norm.weight, self.eps)
        return _Loss.apply(normed, self.model.lm_head.weight, targets.view(-1)[kept])

    def _hidden(self, ids: Tensor) -> Tensor:
        """The residual stream before the final norm, (B·T, D)."""
        batch, time = ids.shape
        mask = torch.full((1, time, time), float("-inf"), dtype=HALF).triu_(1)
        x = torch.nn.functional.embedding(ids.view(-1), self.model.model.embed_tokens.weight)
        for layer in self.model.model.layers:
            attend, mlp = layer.self_attn, layer.mlp
            y = _Norm.apply(x, layer.input_layernorm.weight, self.eps)
            weight = torch.cat([attend.q_proj.weight, attend.k_proj.weight, attend.v_proj.weight])
            mixed = (y @ weight.to(HALF).T).view(batch, time, 3 * self.heads, self.size)
            turned = _Rotate.apply(mixed[:, :, : 2 * self.heads], self.cos[:time], self.sin[:time])
            query, key = (
                part.transpose(1, 2).reshape(-1, time, self.size)
                for part in turned.split(self.heads, dim=2)
            )
            value = mixed[:, :, 2 * self.heads :].transpose(1, 2).reshape(-1, time, self.size)
            scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=self.size**-0.5)
            seen = torch.bmm(scores.softmax(-1), value).view(batch, self.heads, time, self.size)
            flat = seen.transpose(1, 2).reshape(batch * time, -1)
            x = x + flat @ attend.o_proj.weight.to(HALF).T
            y = _Norm.apply(x, layer.post_attention_layernorm.weight, self.eps)
            weight = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
            x = x + _Swiglu.apply(y @ weight.to(HALF).T) @ mlp.down_proj.weight.to(HALF).T
        return x
