"""Generation: static batches by length, a shared prefix computed once, ended rows dropped.

Greedy answers are those of `transformers.generate` one by one; a prompt's answer does not
depend on the prompts beside it (up to the last bit of floating-point sums). Sampling draws one
uniform number a token from a stream that belongs to (seed, index of the prompt).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from veneer.models.cache import Batch, Prefix, is_plain, rows_that_fit
from veneer.models.encoder_decoder import Answers, fitted, is_encoder_decoder

if TYPE_CHECKING:
    from torch import Tensor

SHORTEST_PREFIX = 16  # tokens; below, copying it into the rows costs more than computing it
STOP_CHECK_EVERY = 8  # steps between looks for stop strings of several characters


@dataclass(frozen=True)
class Generated:
    """An answer. `tokens` counts what was generated, the end token included.

    `finish` is "stop" at an end token or a stop string (which is cut off), else "length".
    """

    text: str
    tokens: int
    finish: Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """Temperature 0 is greedy; `top_p` keeps the smallest set of tokens with that much mass."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    context: int,
    ends: Collection[int],
    max_new_tokens: int,
    sampling: Sampling,
    stop: Sequence[str] = (),
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> list[Generated]:
    """Answer every prompt (token ids); see `LocalModel.generate` for the meaning."""
    apart = is_encoder_decoder(model)
    rows, limits = (fitted if apart else _fitted)(prompts, context, max_new_tokens)
    behind = [[]] * len(rows) if apart else rows  # what an answer's text goes on from
    prefix = None if apart else _shared(model, rows)
    start = len(prefix.ids) if prefix else 0
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i))
    ending = _ending_tokens(tokenizer, model, ends, stop)
    outputs: list[list[int]] = [[] for _ in rows]
    done = 0
    while done < len(order):
        columns = len(rows[order[done]]) + max_new_tokens
        batch = order[done : done + rows_that_fit(model, columns, batch_size)]
        asked, room = [rows[i][start:] for i in batch], max(limits[i] for i in batch) - 1
        made = _run(
            Answers(model, asked) if apart else Batch(model, asked, room=room, prefix=prefix),
            [limits[i] for i in batch],
            _uniforms(sampling, batch, max_new_tokens),
            sampling,
            ending,
            _stop_finder(tokenizer, [behind[i] for i in batch], stop),
        )
        for i, ids in zip(batch, made, strict=True):
            outputs[i] = ids
        done += len(batch)
        if progress:
            progress(done, len(order))
    return [
        _finished(tokenizer, row, ids, ends, stop) for row, ids in zip(behind, outputs, strict=True)
    ]


# ---- before the loop --------------------------------------------------------------------------


def _fitted(
    prompts: Sequence[Sequence[int]], context: int, max_new_tokens: int
) -> tuple[list[list[int]], list[int]]:
    """Prompts that fit, and how many tokens each may get.

    A prompt that leaves too little room loses its beginning, until the answer has
    `max_new_tokens`, or half the context if that is less.
    """
    room = min(max_new_tokens, max(1, context // 2))
    rows = [list(prompt)[-(context - room) :] for prompt in prompts]
    return rows, [min(max_new_tokens, context - len(row)) for row in rows]


def _shared(model: PreTrainedModel, rows: Sequence[list[int]]) -> Prefix | None:
    """What all the prompts begin with, computed once; at least one token is left to each."""
    if len(rows) < 2 or not is_plain(model):
        return None
    first, last = min(rows), max(rows)
    length = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        length += 1
    length = min(length, min(len(row) for row in rows) - 1)
    return Prefix(model, first[:length]) if length >= SHORTEST_PREFIX else None


def _ending_tokens(
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    ends: Collection[int],
    stop: Sequence[str],
) -> np.ndarray:
    """(V,) True for tokens that end a row at once: end tokens, those that spell a short stop."""
    size = model.get_output_embeddings().weight.shape[0]
    ending = np.zeros(size, dtype=bool)
    ending[[i for i in ends if i < size]] = True
    short = [s for s in stop if len(s) == 1]
    if short:
        pieces = tokenizer.batch_decode([[i] for i in range(min(size, len(tokenizer)))])
        spelling = [i for i, piece in enumerate(pieces) if any(s in piece for s in short)]
        special = set(tokenizer.all_special_ids)
        ending[[i for i in spelling if i not in special]] = True
    return ending


def _uniforms(sampling: Sampling, indices: Sequence[int], count: int) -> np.ndarray | None:
    """(rows, count) uniform numbers; a row's belong to (seed, prompt index) alone."""
    if sampling.temperature <= 0:
        return None
    drawn = [
        np.random.Generator(np.random.Philox(key=[sampling.seed % 2**64, i])).random(count)
        for i in indices
    ]
    return np.stack(drawn)


# ---- the loop ---------------------------------------------------------------------------------


def _run(
    batch: Batch | Answers,
    limits: Sequence[int],
    uniforms: np.ndarray | None,
    sampling: Sampling,
    ending: np.ndarray,
    stopped: Callable[[Sequence[int], np.ndarray], list[bool]] | None,
) -> list[list[int]]:
    """Token ids of every row, its end token included."""
    device = batch.logits.device
    limit = np.array(limits)
    made = np.zeros((len(limit), limit.max()), dtype=np.int64)
    lengths = np.zeros(len(limit), dtype=np.int64)
    alive = np.arange(len(limit))  # original row of each row of the batch
    over = np.zeros(len(limit), dtype=bool)
    shortest = limit.min()
    logits = batch.logits[:, -1]
    for t in range(made.shape[1]):
        if uniforms is None:
            tokens = _largest(logits)
        else:
            point = torch.from_numpy(uniforms[alive, t]).to(device)
            tokens = _draw(logits, point, sampling).cpu().numpy()
        made[alive, t] = tokens
        now = ending[tokens]
        if t + 1 >= shortest:
            now |= limit[alive] <= t + 1
        if stopped and (t + 1) % STOP_CHECK_EVERY == 0:
            now |= stopped(alive.tolist(), made[alive, : t + 1])
        new = now & ~over
        if new.any():
            lengths[alive[new]] = t + 1
            over |= new
            running = len(over) - over.sum()
            if running == 0:
                break
            if running <= 0.8 * len(over):
                kept = (~over).nonzero()[0]
                batch.select(torch.from_numpy(kept).to(device))
                alive, tokens, over = alive[kept], tokens[kept], over[kept]
        logits = batch.step(torch.from_numpy(tokens).to(device))
    return [row[:length].tolist() for row, length in zip(made, lengths, strict=True)]


def _largest(logits: Tensor) -> np.ndarray:
    """The likeliest token of each row, (B,); on a CPU NumPy finds it ten times as fast."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        found: np.ndarray = logits.numpy().argmax(axis=-1)
        return found
    return logits.argmax(dim=-1).cpu().numpy()


def _draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at its uniform number."""
    chances = torch.softmax(logits.float() / sampling.temperature, dim=-1)
    order = None
    if sampling.top_p < 1:
        chances, order = _likeliest(chances, sampling.top_p)
        before = chances.cumsum(dim=-1) - chances
        chances = chances.masked_fill(before >= sampling.top_p, 0.0)
        chances[:, 0] = chances[:, 0].clamp(min=1e-30)
    total = chances.cumsum(dim=-1, dtype=torch.double)
    point = (uniform * total[:, -1])[:, None]
    index = torch.searchsorted(total, point, right=True).clamp(max=total.shape[1] - 1)
    return (index if order is None else order.gather(1, index))[:, 0]


def _likeliest(chances: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """Chances in falling order, at least as many as hold `mass`; sorting all is the slow part."""
    few = min(128, chances.shape[-1])
    top, order = chances.topk(few, dim=-1)
    if few == chances.shape[-1] or bool((top.double().sum(dim=-1) >= mass + 1e-6).all()):
        return top, order
    return chances.sort(dim=-1, descending=True)


# ---- text -------------------------------------------------------------------------------------


def _texts(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
) -> list[str]:
    """What the outputs spell after their prompts.

    Decoded behind the prompt's last tokens, since many tokenizers drop the space of a first
    token: a function body alone would lose a column of its indentation.
    """
    tails = [list(prompt)[-4:] for prompt in prompts]
    whole = tokenizer.batch_decode(
        [[*tail, *ids] for tail, ids in zip(tails, outputs, strict=True)],
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    before = tokenizer.batch_decode(
        tails, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return [
        text[len(head) :] if text.startswith(head) else text
        for text, head in zip(whole, before, strict=True)
    ]


def _stop_finder(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]], stop: Sequence[str]
) -> Callable[[Sequence[int], np.ndarray], list[bool]] | None:
    """Tells which rows already hold a stop string of several characters."""
    long = [s for s in stop if len(s) > 1]
    if not long:
        return None

    def stopped(rows: Sequence[int], ids: np.ndarray) -> list[bool]:
        texts = _texts(tokenizer, [prompts[i] for i in rows], ids.tolist())
        return [any(s in text for s in long) for text in texts]

    return stopped


def _finished(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
    ids: list[int],
    ends: Collection[int],
    stop: Sequence[str],
) -> Generated:
    ended = bool(ids) and ids[-1] in ends
    kept = ids[:-1] if ended else ids
    text = _texts(tokenizer, [prompt], [kept])[0]
    cut = min((text.find(s) for s in stop if s in text), default=-1)
    if cut < 0:
        return Generated(text, len(ids), "stop" if ended else "length")
    # The number of tokens until the stop was spelled, however far the loop ran past it.
    low, high = 1, len(kept)
    while low < high:
        middle = (low + high) // 2
        spelled = _texts(tokenizer, [prompt], [kept[:middle]])[0]
        low, high = (low, middle) if any(s in spelled for s in stop) else (middle + 1, high)
    return Generated(text[:cut], low, "stop")
