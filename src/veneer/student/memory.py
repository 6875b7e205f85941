"""What a training run puts into memory, what is there, and what would fit.

Bytes throughout. The need of a pass is the sum of five parts (`Need`):

- weights: fp32 (`frozen_bytes` a weight for those that are not trained), with a bf16 copy for
  the pass where the pass is bf16;
- gradients: fp32, of the weights that are trained;
- optimiser: two fp32 moments of the weights that are trained;
- activations: what the layers keep for the backward pass, counted tensor by tensor as Korthikanti
  et al. do (2022, "Reducing Activation Recomputation in Large Transformer Models", §4), here for
  the Llama and GPT-2 of transformers without dropout. With checkpointing each layer keeps its
  input, and one layer at a time the rest;
- logits: (rows × block, vocabulary), their log-softmax and its gradient.

Measured peaks lie between 0.75 and 1.25 times the estimate (`tests/student/test_memory.py`) where
the allocator gives back what is freed. On a CPU glibc keeps some of it: by default, up to 1.7
times the estimate was resident. `SPARE` leaves room for that.

How many rows go through the model in one pass changes nothing but the rounding of sums: the loss
is divided by the labelled tokens of the whole optimiser step. So the number may differ between
machines and be made smaller after a run ended for want of memory; the weights are then equal up
to rounding and not bitwise. Within a run, and when a killed one goes on, it must stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from veneer.errors import InputError, StepFailed, VeneerError
from veneer.student.resources import available, held

TOKENS_IN_PASS = 1 << 14
"""Tokens of one pass, at most: beyond it a pass gains no speed."""

SPARE = {"cpu": 0.6, "cuda": 0.9}
"""Share of what is there that a run may plan with; the allocator keeps the rest."""

PER_INNER = {"fp32": 20, "bf16": 10}
PER_WIDTH = {"fp32": 40, "bf16": 34}
PER_SCORE = {"fp32": 4, "bf16": 6}
"""Bytes that a layer keeps a token and unit of the feed-forward's width, of the model's width,
and (eager attention alone) a head and position: tensors saved for the backward pass, counted in
transformers 5.23. Llama has 16 + 40 and GPT-2 20 + 32 in fp32; the larger of both is taken."""

PER_LOGIT = {"fp32": 16, "bf16": 20}
"""Bytes a logit: itself, its log-softmax and the gradients of both, in fp32; and the bf16 one."""

SMALLEST_BLOCK = 64
MOST_DEVICES = 64
LORA_SHARE = 0.02
"""Weights of an adapter of rank 16 on all linear layers, of those of the base, on the safe side:
0.6 % of a 7B Llama, 1 to 2 % of smaller ones."""

OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
    "Cannot allocate memory",
)
"""How torch, CUDA, C++ and the system say it (in a RuntimeError or an OSError)."""

OPTION = "--rows-in-pass"
"""How a person makes passes smaller."""


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory.

    trained: weights with a gradient. inner: width of the feed-forward layers. frozen_bytes: bytes
    of a weight that is not trained (half a byte in 4 bits).
    """

    parameters: int
    trained: int
    width: int
    inner: int
    layers: int
    heads: int
    vocabulary: int
    frozen_bytes: float = 4.0


@dataclass(frozen=True)
class Load:
    """A training run but for the rows of its passes.

    block: tokens a row. batch: rows of an optimiser step on this device. attention: "eager" keeps
    its scores; others do not. world: devices over which weights, gradients and optimiser state
    are sharded. learned: share of tokens with a loss, which alone have logits.
    """

    shape: Shape
    block: int
    batch: int
    precision: Literal["fp32", "bf16"] = "fp32"
    attention: str = "sdpa"
    checkpointing: bool = False
    world: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    learned: float = 1.0


@dataclass(frozen=True)
class Need:
    """Bytes on one device, by what they are for."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """The peak of an optimiser step."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.logits

    def __str__(self) -> str:
        parts = [f"{name} {gigabytes(value)}" for name, value in vars(self).items() if value]
        return ", ".join(parts)


def shape_of(model: Any) -> Shape:
    """The shape of a transformers model."""
    config = model.config.get_text_config()
    width = config.hidden_size
    inner = next(
        (
            getattr(config, name)
            for name in ("intermediate_size", "n_inner", "ffn_dim", "d_ff")
            if getattr(config, name, None)
        ),
        4 * width,
    )
    weights = list(model.parameters())
    trained = sum(p.numel() for p in weights if p.requires_grad)
    frozen = [p for p in weights if not p.requires_grad]
    count = sum(p.numel() for p in frozen)
    # Quantised weights are packed: two of 4 bits in an element of one byte.
    packed = sum(p.numel() for p in frozen if str(p.dtype) == "torch.uint8")
    held = sum(p.numel() * p.element_size() for p in frozen)
    parameters = trained + count + packed
    return Shape(
        parameters=parameters,
        trained=trained,
        width=width,
        inner=inner,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        frozen_bytes=held / (count + packed) if frozen else 4.0,
    )


def shape_at(folder: Path) -> Shape:
    """The shape of the model in a folder, all weights trained, before any weight is loaded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        return shape_of(kind.from_config(config))


def loaded(load: Load) -> int:
    """Bytes of the weights themselves on one device, which are held once the model is loaded."""
    shape = load.shape
    frozen = (shape.parameters - shape.trained) * shape.frozen_bytes
    return int((shape.trained * 4 + frozen) / load.world)


def needed(load: Load, rows: int) -> Need:
    """What an optimiser step needs at its peak, with `rows` rows of `load.block` tokens a pass."""
    shape, precision = load.shape, load.precision
    copied = 2 * shape.parameters if precision == "bf16" else 0
    if load.world > 1:  # a layer at a time, and the next one, are gathered whole
        copied = 2 * (copied or 4 * shape.parameters) // max(shape.layers, 1)
    tokens = rows * load.block
    layer = PER_INNER[precision] * shape.inner + PER_WIDTH[precision] * shape.width
    if load.attention == "eager":
        layer += PER_SCORE[precision] * shape.heads * load.block
    kept = layer * shape.layers
    if load.checkpointing:
        kept = 4 * shape.width * shape.layers + layer
    kept += 8 * (shape.inner + shape.width)  # gradients of the layer that is on its way back
    if load.attention == "eager":
        kept += 8 * shape.heads * load.block
    return Need(
        weights=loaded(load) + copied,
        gradients=4 * shape.trained // load.world,
        optimiser=8 * shape.trained // load.world,
        activations=tokens * kept,
        logits=int(tokens * load.learned) * shape.vocabulary * PER_LOGIT[precision],
    )


def rows_that_fit(load: Load, there: int | None = None, taken: int = 0) -> int:
    """Rows of a pass: the most that fit, divide the batch and stay within TOKENS_IN_PASS.

    Args:
        load: the run.
        there: free bytes; by default what is `available`.
        taken: bytes of the need that are held already, such as the weights when they are loaded.

    Raises:
        InputError: not one row fits; says what is needed, what is there and what would fit.
    """
    there = available(load.device) if there is None else there
    for rows in range(load.batch, 0, -1):
        within = rows == 1 or rows * load.block <= TOKENS_IN_PASS
        if load.batch % rows == 0 and within and fits(load, rows, there, taken):
            return rows
    need = needed(load, 1)
    raise InputError(
        f"Training does not fit: one block of {load.block:,} tokens needs "
        f"{gigabytes(need.total)} ({need}); {gigabytes(there + taken)} are there, of which "
        f"{SPARE[load.device]:.0%} can be planned with.",
        _advice(load, there, taken),
    )


def fits(load: Load, rows: int, there: int, taken: int = 0) -> bool:
    """Whether passes of `rows` rows fit into `there` free bytes."""
    return needed(load, rows).total <= SPARE[load.device] * (there + taken)


def alternatives(load: Load, there: int, taken: int = 0) -> Iterator[str]:
    """Changes that would make one row fit, each with the option that makes it."""
    block = load.block // 2
    while block >= SMALLEST_BLOCK and not fits(replace(load, block=block), 1, there, taken):
        block //= 2
    if block >= SMALLEST_BLOCK:
        yield f"blocks of {block:,} tokens (recipe.block: {block})"
    spared = replace(load, checkpointing=True)
    if not load.checkpointing and fits(spared, 1, there, taken):
        yield "computing activations twice instead of keeping them (--recompute)"
    shape = load.shape
    added = int(LORA_SHARE * shape.parameters)
    adapted = replace(shape, parameters=shape.parameters + added, trained=added)
    if shape.trained > added and fits(replace(load, shape=adapted), 1, there, taken):
        yield "an adapter (recipe.method: lora)"
    if load.device != "cpu":  # processes on a CPU share one memory
        world = 2 * load.world
        while world <= MOST_DEVICES:
            if fits(replace(load, world=world), 1, there, 0):
                yield f"{world} devices (--devices {world})"
                break
            world *= 2


def _advice(load: Load, there: int, taken: int) -> str:
    found = list(alternatives(load, there, taken))
    if found:
        return f"What would fit: {'; or '.join(found)}."
    return "Nothing that can be set makes it fit: take a smaller base, or a machine with more."


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: on a CPU, on a GPU, in Python or in the system."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = isinstance(error, RuntimeError | OSError) or type(error).__name__ == "SafetensorError"
    return said and any(words in str(error) for words in OUT_OF_MEMORY)


def explained(error: BaseException, load: Load, rows: int, there: int | None = None) -> VeneerError:
    """An out-of-memory error in words: what ran, and which rows or which change would fit.

    Args:
        error: what `out_of_memory` recognised; becomes the cause.
        load: the run.
        rows: rows of the pass that failed.
        there: bytes that the run could have had; by default what is free now and what this
            process holds.
    """
    what = f"{rows} block{'s' if rows > 1 else ''} of {load.block:,} tokens a pass"
    message = f"Out of memory with {what} (estimated: {gigabytes(needed(load, rows).total)})."
    smaller = next((n for n in range(rows // 2, 0, -1) if load.batch % n == 0), 0)
    if there is None:
        there = available(load.device) + held(load.device)
    failed: VeneerError
    if smaller:
        fitting = [n for n in range(smaller, 0, -1) if load.batch % n == 0 and fits(load, n, there)]
        fewer = fitting[0] if fitting else 1
        hint = (
            f"Type {OPTION} {fewer} (about {gigabytes(needed(load, fewer).total)}): the student "
            "is the same up to the rounding of sums."
        )
        failed = StepFailed(message, hint if fitting else f"{hint}\n{_advice(load, there, 0)}")
    else:
        failed = InputError(message, _advice(load, min(there, needed(load, rows).total - 1), 0))
    failed.__cause__ = error
    return failed


def gigabytes(count: float) -> str:
    """Bytes as people say them, in powers of 1,000."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
