"""Dialogues as blocks: the paper's chunking (§4.1), in one order per seed.

The dialogues, in an order that depends on the seed and on their content alone, are rendered,
joined into one stream and cut every `block` tokens; the tail that fills no block is dropped
once, over all the data. Blocks may begin inside a dialogue and attention crosses from one
dialogue to the next, as in the paper. A smaller amount of data is a prefix of a larger one.

A dialogue of one assistant turn and nothing else is plain text (pretraining-like text that is
replayed beside the imitation data): [BOS]text[EOS], with the loss on every token. Every other
dialogue goes through the chat renderer, with the loss on the answers and their end tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veneer.errors import InputError
from veneer.models.chat import Rendered, render_many
from veneer.records import Dialogue, content_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a token without a loss."""


@dataclass(frozen=True)
class Packed:
    """Blocks ready to train on.

    Shapes: `ids` and `labels` (blocks, block), int32; `labels` is `ids` where there is a loss
    and -100 elsewhere. `tail` tokens filled no block.
    """

    ids: np.ndarray
    labels: np.ndarray
    tail: int

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: slice) -> dict[str, np.ndarray]:
        """`ids` and `labels` of some blocks, (blocks, block)."""
        return {"ids": self.ids[rows], "labels": self.labels[rows]}

    def seen(self, rows: slice) -> int:
        """Tokens in some blocks."""
        return int(self.ids[rows].size)

    def learned(self, rows: slice = slice(None)) -> int:
        """Tokens with a loss in some blocks.

        A block's first token follows nothing within the block, so it is never predicted.
        """
        return int((self.labels[rows, 1:] != IGNORED).sum())


def is_plain(dialogue: Dialogue) -> bool:
    """Whether it is plain text: one assistant turn that answers nothing."""
    return len(dialogue.messages) == 1 and dialogue.messages[0].role == "assistant"


def ordered(dialogues: Sequence[Dialogue], seed: int) -> list[Dialogue]:
    """The training order of a seed, the same on every machine.

    Each dialogue has a place drawn from its turns and the seed, so removing one leaves the order
    of the others as it was, and what else is known of it (a licence, a category) changes
    nothing. Repeated dialogues get places of their own.
    """
    seen: dict[str, int] = {}
    keyed = []
    for at, dialogue in enumerate(dialogues):
        name = content_id([message.model_dump() for message in dialogue.messages])
        seen[name] = seen.get(name, 0) + 1
        place = hashlib.sha256(f"{seed}/{name}/{seen[name]}".encode()).digest()
        keyed.append((place, at))
    return [dialogues[at] for _, at in sorted(keyed)]


def encode(
    dialogues: Sequence[Dialogue], tokenizer: PreTrainedTokenizerBase, batch: int = 1000
) -> list[Rendered]:
    """Tokens and loss mask of each dialogue, in the order given."""
    rendered: list[Rendered] = []
    for start in range(0, len(dialogues), batch):
        part = dialogues[start : start + batch]
        spoken = iter(render_many([d.messages for d in part if not is_plain(d)], tokenizer))
        plain = iter(_plain([d.messages[0].content for d in part if is_plain(d)], tokenizer))
        rendered += [next(plain) if is_plain(d) else next(spoken) for d in part]
    return rendered


def _plain(texts: list[str], tokenizer: Any) -> list[Rendered]:
    if not texts:
        return []
    start = tokenizer("a")["input_ids"][:1]
    bos = start if tokenizer.bos_token_id is not None and start == [tokenizer.bos_token_id] else []
    eos = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [Rendered(ids, [True] * len(ids)) for ids in (bos + each + eos for each in encoded)]


def pack(
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerBase,
    block: int,
    seed: int | None,
) -> Packed:
    """Blocks of exactly `block` tokens over the stream of all dialogues; see the module.

    Without a seed the dialogues stay in the order given (that of a mixture, say).
    """
    stream_of = list(dialogues) if seed is None else ordered(dialogues, seed)
    rendered = encode(stream_of, tokenizer)
    total = sum(len(r.ids) for r in rendered)
    stream = np.empty(total, dtype=np.int32)
    mask = np.empty(total, dtype=bool)
    at = 0
    for each in rendered:
        stream[at : at + len(each.ids)] = each.ids
        mask[at : at + len(each.ids)] = each.mask
        at += len(each.ids)
    if not mask.any():
        raise InputError(
            "The corpus has no output to learn from: no assistant turn with text.",
            "Look at dropped.jsonl beside the corpus, or give another corpus.",
        )
    blocks = total // block
    ids = stream[: blocks * block].reshape(blocks, block)
    labels = np.where(mask[: blocks * block].reshape(blocks, block), ids, np.int32(IGNORED))
    return Packed(ids, labels, tail=total - blocks * block)
