"""Encoder–decoder models (T5 and its kin, BART): the prompt is read, the answer written apart.

    encoder   [ prompt | padding ]          seen by every token of the answer
    decoder   [ start ][ answer … ]         rows begin together, so nothing is padded

`Answers` is to these models what `cache.Batch` is to decoder-only ones, so one loop generates
with both. Log-likelihoods are those of lm-eval's seq2seq back end: the context goes to the
encoder, the continuation to the decoder, neither loses its place to the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from veneer.errors import InputError
from veneer.models.cache import rows_that_fit
from veneer.models.scoring import Work

CONTEXT = 512  # tokens that T5, mT5 and umT5 were pretrained on
BATCH_TOKENS = 8192


def is_encoder_decoder(model: PreTrainedModel) -> bool:
    """Whether the prompt is read by an encoder of its own."""
    return bool(getattr(model.config, "is_encoder_decoder", False))


def language_model(path_or_id: str | Path, **how: Any) -> PreTrainedModel:
    """The language model in a folder or hub id, of whichever shape its settings say.

    Args:
        how: as `from_pretrained` takes it.

    Raises:
        OSError, ValueError: there is none.
    """
    config = AutoConfig.from_pretrained(path_or_id)
    apart = getattr(config, "is_encoder_decoder", False)
    kind: Any = AutoModelForSeq2SeqLM if apart else AutoModelForCausalLM
    log = logging.getLogger("transformers.modeling_utils")
    log.addFilter(_no_word_of_ties)
    try:
        return kind.from_pretrained(path_or_id, **how)
    finally:
        log.removeFilter(_no_word_of_ties)


def _no_word_of_ties(record: logging.LogRecord) -> bool:
    """Flan-T5 is rightly loaded with a head of its own, but never without a warning."""
    return "tied weights mapping" not in record.getMessage()


def context_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that the encoder reads, and as many that the decoder writes.

    Learned positions (BART) set a limit. T5's are relative and set none: the tokenizer's
    `model_max_length` counts (512 in every published T5), or the 512 of its pretraining where
    the tokenizer says nothing.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        return int(positions)
    told = int(tokenizer.model_max_length)
    return told if told < 1_000_000 else CONTEXT  # "unlimited" is a number with 30 digits


def fitted(
    prompts: Sequence[Sequence[int]], context: int, max_new_tokens: int
) -> tuple[list[list[int]], list[int]]:
    """Prompts without what exceeds the encoder (their beginning), and each answer's limit."""
    rows = [list(prompt)[-context:] for prompt in prompts]
    return rows, [min(max_new_tokens, context)] * len(rows)


def start_of(model: PreTrainedModel) -> int:
    """The token that every answer starts behind; it is not part of the answer."""
    for source in (getattr(model, "generation_config", None), model.config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            token = getattr(source, name, None)
            if token is not None:
                return int(token)
    raise InputError(
        f"The model of type {model.config.model_type!r} does not say how an answer starts.",
        "Set decoder_start_token_id in its config.json (T5: 0, the padding token).",
    )


class Answers:
    """A static batch whose answers grow; `logits` are those of their first tokens, (B, 1, V).

    Args:
        rows: token ids of each prompt, at least one each.
    """

    def __init__(self, model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> None:
        self.model = model
        self.read, self.mask = _encoded(model, rows)
        self.cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = torch.full((len(rows),), start_of(model), device=model.device)
        self.logits = self.step(start)[:, None]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token a row, (B,), and return the logits of the next, (B, V)."""
        run: Any = self.model
        return run(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.read),
            attention_mask=self.mask,
            decoder_input_ids=tokens[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these rows, (kept,)."""
        self.read, self.mask = self.read[rows], self.mask[rows]
        self.cache.batch_select_indices(rows)


def _encoded(
    model: PreTrainedModel, rows: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the encoder makes of the rows, (B, T, width), and which columns are real, (B, T)."""
    wide = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), wide, dtype=torch.long)
    mask = torch.zeros(len(rows), wide, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    mask = mask.to(model.device)
    encoder: Any = model.get_encoder()
    read = encoder(input_ids=ids.to(model.device), attention_mask=mask)
    return read.last_hidden_state, mask


# ---- log-likelihoods --------------------------------------------------------------------------

_Said = tuple[int, tuple[int, ...]]
"""(number of the request, its continuation)"""


def loglikelihoods(
    model: PreTrainedModel,
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    context: int,
    batch_size: int = 64,
    work: Work | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[float, bool]]:
    """(sum of log-probabilities of the continuation, whether greedy decoding would say it).

    A request is (context ids, continuation ids), both at least one token; either loses the
    beginning that exceeds `context`. Every distinct context is encoded once a batch, and a
    continuation that begins another of the same context rides along with it.
    """
    work = work if work is not None else Work()
    rows = _rows(requests, context, work)
    answers: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
    answered = at = 0
    while at < len(rows):
        columns = len(rows[at][0]) + max(len(said) for _, said, _ in rows[at : at + batch_size])
        fitting = min(batch_size, max(1, BATCH_TOKENS // columns))
        batch = rows[at : at + rows_that_fit(model, columns, fitting)]
        for request, answer in _scored(model, batch, work):
            answers[request] = answer
            answered += 1
        at += len(batch)
        if progress:
            progress(answered, len(requests))
    return answers


_Row = tuple[tuple[int, ...], tuple[int, ...], list[_Said]]
"""(context, continuation, the requests that its logits answer)"""


def _rows(
    requests: Sequence[tuple[Sequence[int], Sequence[int]]], context: int, work: Work
) -> list[_Row]:
    """Distinct pairs of encoder and decoder input, the longest contexts first.

    A decoder's input lacks the last token of its continuation, which is only asked for: options
    of one token each are one row.
    """
    asks: dict[tuple[int, ...], list[_Said]] = {}
    for number, (before, continuation) in enumerate(requests):
        if not before or not continuation:
            raise ValueError("context and continuation need at least one token each")
        read, said = tuple(before)[-context:], tuple(continuation)[-context:]
        asks.setdefault(read, []).append((number, said))
        work.naive += len(read) + len(said)
    rows: list[_Row] = []
    for read in sorted(asks, key=lambda ids: (-len(ids), ids)):
        riders: list[_Said] = []
        longest: tuple[int, ...] | None = None
        # Sorted downwards, an input comes right after the inputs that it begins.
        for number, said in sorted(asks[read], key=lambda one: one[1][:-1], reverse=True):
            if longest is None or longest[: len(said) - 1] != said[:-1]:
                longest, riders = said[:-1], []
                rows.append((read, said, riders))
            riders.append((number, said))
    return rows


def _scored(
    model: PreTrainedModel, batch: Sequence[_Row], work: Work
) -> list[tuple[int, tuple[float, bool]]]:
    logits, ran = _decoded(model, [(read, said) for read, said, _ in batch])
    work.computed += ran
    scored = []
    for i, (_, _, riders) in enumerate(batch):
        chances = logits[i].float().log_softmax(dim=-1)  # (wide, V)
        for number, said in riders:
            target = torch.tensor(said, device=chances.device)
            chosen = chances[: len(said)].gather(1, target[:, None])[:, 0]
            greedy = bool((chances[: len(said)].argmax(dim=-1) == target).all())
            scored.append((number, (float(chosen.double().sum()), greedy)))
    return scored


def answer_logits(
    model: PreTrainedModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[torch.Tensor]:
    """Logits of every token of each answer, (tokens, V) each; a pair is (prompt, answer) ids."""
    logits, _ = _decoded(model, [(tuple(read), tuple(said)) for read, said in pairs])
    return [row[: len(said)] for row, (_, said) in zip(logits, pairs, strict=True)]


def _decoded(
    model: PreTrainedModel, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
) -> tuple[torch.Tensor, int]:
    """Logits of all answers' tokens, (pairs, longest answer, V), and how many tokens that took.

    A prompt that several answers have is encoded once.
    """
    contexts = list(dict.fromkeys(read for read, _ in pairs))
    place = {read: i for i, read in enumerate(contexts)}
    states, mask = _encoded(model, contexts)
    owner = torch.tensor([place[read] for read, _ in pairs], device=model.device)
    wide = max(len(said) for _, said in pairs)
    ids = torch.zeros(len(pairs), wide, dtype=torch.long)
    ids[:, 0] = start_of(model)
    for i, (_, said) in enumerate(pairs):
        ids[i, 1 : len(said)] = torch.tensor(said[:-1])
    run: Any = model
    logits = run(
        encoder_outputs=BaseModelOutput(last_hidden_state=states[owner]),
        attention_mask=mask[owner],
        decoder_input_ids=ids.to(model.device),
        use_cache=False,
    ).logits
    return logits, mask.numel() + ids.numel()
