"""How unsure a local model is of what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from veneer.models import chat
from veneer.models.asking import Ask, Reply
from veneer.models.cache import rows_that_fit
from veneer.models.local import LocalModel
from veneer.records import Message

LOGITS_IN_MEMORY = 1 << 26
"""Logits of one pass (rows × positions × vocabulary), at most."""


@dataclass(frozen=True)
class Own:
    """A model's own greedy answer to a question, and how unsure it was on the way.

    `surprise`: mean negative log-probability of the answer's tokens; `entropy`: mean entropy of
    the distributions they were taken from; both in nats a token, over `tokens` tokens, the end
    of the answer included where the model ended it. None where there is no token to look at.
    """

    reply: Reply
    surprise: float | None
    entropy: float | None
    tokens: int


def own_answers(
    model: LocalModel,
    questions: Sequence[str],
    *,
    max_new_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Own]:
    """The model's greedy answers with their uncertainty, in order."""
    replies = model.ask(
        [Ask.of(question) for question in questions],
        max_new_tokens=max_new_tokens,
        progress=progress,
    )
    asked = _split(model, questions, replies)
    found: list[tuple[float | None, float | None]] = [(None, None)] * len(asked)
    order = [i for i, (_, said) in enumerate(asked) if said]
    order.sort(key=lambda i: -len(asked[i][0]) - len(asked[i][1]))
    vocabulary = int(model.model.config.get_text_config().vocab_size)
    at = 0
    while at < len(order):
        columns = len(asked[order[at]][0]) + len(asked[order[at]][1])
        rows = rows_that_fit(model.model, columns, 64)
        rows = max(1, min(rows, LOGITS_IN_MEMORY // (columns * vocabulary)))
        batch = order[at : at + rows]
        for i, told in zip(batch, _measured(model, [asked[i] for i in batch]), strict=True):
            found[i] = told
        at += rows
    return [
        Own(reply, surprise, entropy, len(said))
        for reply, (_, said), (surprise, entropy) in zip(replies, asked, found, strict=True)
    ]


def _split(
    model: LocalModel, questions: Sequence[str], replies: Sequence[Reply]
) -> list[tuple[list[int], list[int]]]:
    """Token ids before each answer, and those of the answer, as much as the context holds."""
    pieces: list[tuple[list[int], list[int]]] = []
    if model.is_chat:
        dialogues = [
            (Message(role="user", content=q), Message(role="assistant", content=r.text))
            for q, r in zip(questions, replies, strict=True)
        ]
        for one, reply in zip(chat.render_many(dialogues, model.tokenizer), replies, strict=True):
            first = one.mask.index(True) if True in one.mask else len(one.ids)
            last = len(one.mask) - one.mask[::-1].index(True) if True in one.mask else first
            said = one.ids[first:last]
            # A model that was cut off did not say the end.
            pieces.append((one.ids[:first], said[:-1] if reply.outcome == "truncated" else said))
    else:
        for question, reply in zip(questions, replies, strict=True):
            said = model.tokenizer(reply.text, add_special_tokens=False)["input_ids"]
            pieces.append((model.encode(question), list(said)))
    kept = [(before, said[: model.context - 1]) for before, said in pieces]
    return [
        (before[-(model.context - len(said)) :], said if before else []) for before, said in kept
    ]


@torch.inference_mode()
def _measured(
    model: LocalModel, batch: Sequence[tuple[list[int], list[int]]]
) -> list[tuple[float, float]]:
    told = []
    for logits, (_, said) in zip(model.answer_logits(batch), batch, strict=True):
        logp = logits.float().log_softmax(dim=-1)  # (tokens, vocabulary)
        entropy = -(logp.exp() * logp).nan_to_num(0.0).sum(dim=-1)
        chosen = logp.gather(1, torch.tensor(said, device=logp.device)[:, None])[:, 0]
        told.append((float(-chosen.double().mean()), float(entropy.double().mean())))
    return told
