"""Dialogues as blocks of tokens, in one order per seed; two ways.

`chunk` is the paper's (§4.1): the dialogues, rendered, are joined into one stream that is cut
every `block` tokens; the tail that fills no block is dropped once, over all the data. Blocks may
begin inside a dialogue and attention crosses from one dialogue to the next, as in the paper.

`best-fit` keeps dialogues whole and apart: each has positions of its own, from 0, which models
turn into attention that stays within it (`veneer.student.isolation` makes sure of that), and the
places left over in a block are padding without a loss. Only a dialogue longer than a block is
cut, and each piece then stands alone.

Either way a smaller amount of data is a prefix of the blocks of a larger one. A token is learned
from what stands before it, so the first token of a block (`chunk`) or of a piece (`best-fit`) has
no loss: of a dialogue that is cut, one label a cut is lost where it falls into an answer.

A dialogue of one assistant turn and nothing else is plain text (pretraining-like text that is
replayed beside the imitation data): [BOS]text[EOS], with the loss on every token. Every other
dialogue goes through the chat renderer, with the loss on the answers and their end tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from veneer.errors import InputError
from veneer.models.chat import END, Rendered, render_many, render_plain
from veneer.records import Dialogue, content_id
from veneer.student.best_fit import best_fit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Packing = Literal["chunk", "best-fit"]

IGNORED = -100
"""The label of a token without a loss."""

TOGETHER = 1000
"""Dialogues that are rendered in one pass."""

COPIED = 1 << 16
"""Pieces that are copied into their places at once."""


@dataclass(frozen=True)
class Packed:
    """Blocks ready to train on.

    Shapes: `ids` and `labels` (blocks, block), int32; `labels` is `ids` where there is a loss
    and -100 elsewhere. `positions`, of the same shape, counts from 0 in every dialogue, piece of
    one and run of padding; None where they run over the whole block. `begins` (dialogues,),
    int64, ascending: at which places of the flattened blocks a dialogue begins. `filled`
    (blocks,), int32: tokens of a block that are no padding, which comes last; None where there
    is none. `cut` dialogues do not stand whole in one block; `tail` tokens filled no block.
    """

    ids: np.ndarray
    labels: np.ndarray
    tail: int = 0
    positions: np.ndarray | None = None
    begins: np.ndarray | None = None
    filled: np.ndarray | None = None
    cut: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def block(self) -> int:
        """Tokens of a block."""
        return int(self.ids.shape[1])

    @property
    def dialogues(self) -> int:
        """Dialogues that begin in some block."""
        return 0 if self.begins is None else len(self.begins)

    @property
    def padding(self) -> int:
        """Places that hold no token of a dialogue."""
        return self.ids.size - self.seen()

    def batch(self, rows: slice) -> dict[str, np.ndarray]:
        """These blocks: ids, labels, and positions where a dialogue has its own."""
        batch = {"ids": self.ids[rows], "labels": self.labels[rows]}
        return batch if self.positions is None else batch | {"positions": self.positions[rows]}

    def seen(self, rows: slice = slice(None)) -> int:
        """Tokens of dialogues in some blocks (all by default): no padding."""
        if self.filled is None:
            return self.ids[rows].size
        return int(self.filled[rows].sum(dtype=np.int64))

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


def encode(dialogues: Sequence[Dialogue], tokenizer: PreTrainedTokenizerBase) -> list[Rendered]:
    """Tokens and loss mask of each dialogue, in the order given."""
    spoken = iter(render_many([d.messages for d in dialogues if not is_plain(d)], tokenizer))
    texts = [d.messages[0].content for d in dialogues if is_plain(d)]
    plain = iter(render_plain(texts, tokenizer))
    return [next(plain) if is_plain(d) else next(spoken) for d in dialogues]


def pack(
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerBase,
    block: int,
    seed: int | None,
    packing: Packing = "chunk",
) -> Packed:
    """Blocks of exactly `block` tokens with all dialogues; see the module.

    Without a seed the dialogues stay in the order given (that of a mixture, say).

    Raises:
        InputError: no dialogue holds anything to learn.
    """
    in_order = list(dialogues) if seed is None else ordered(dialogues, seed)
    ids, mask, lengths = _stream(in_order, tokenizer)
    if not mask.any():
        raise InputError(
            "The corpus has no output to learn from: no assistant turn with text.",
            "Look at dropped.jsonl beside the corpus, or give another corpus.",
        )
    if packing == "chunk":
        return _chunk(ids, mask, lengths, block)
    pad = tokenizer.pad_token_id
    blank: Any = tokenizer.convert_tokens_to_ids(END) if pad is None else pad
    return _best_fit(ids, mask, lengths, block, blank)


def _stream(
    dialogues: list[Dialogue], tokenizer: PreTrainedTokenizerBase
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All tokens, whether each has a loss, and how many there are of each dialogue."""
    ids, mask, lengths = [np.empty(0, np.int32)], [np.empty(0, bool)], []
    for start in range(0, len(dialogues), TOGETHER):
        for each in encode(dialogues[start : start + TOGETHER], tokenizer):
            ids.append(np.array(each.ids, dtype=np.int32))
            mask.append(np.array(each.mask, dtype=bool))
            lengths.append(len(each.ids))
    return np.concatenate(ids), np.concatenate(mask), np.array(lengths, dtype=np.int64)


def _chunk(ids: np.ndarray, mask: np.ndarray, lengths: np.ndarray, block: int) -> Packed:
    blocks = len(ids) // block
    kept = blocks * block
    lengths = lengths[lengths > 0]
    ends = np.cumsum(lengths)
    begins = ends - lengths
    crossing = (begins // block != (ends - 1) // block) & (begins < kept)
    return Packed(
        ids=ids[:kept].reshape(blocks, block),
        labels=np.where(mask[:kept], ids[:kept], np.int32(IGNORED)).reshape(blocks, block),
        tail=len(ids) - kept,
        begins=begins[begins < kept],
        cut=int(crossing.sum()),
    )


def _best_fit(
    ids: np.ndarray, mask: np.ndarray, lengths: np.ndarray, block: int, pad: int
) -> Packed:
    plan = best_fit(lengths, block)
    shape = (plan.blocks, block)
    filled = np.bincount(plan.block, plan.length, minlength=plan.blocks).astype(np.int32)
    packed = np.full(shape, pad, dtype=np.int32)
    labels = np.full(shape, IGNORED, dtype=np.int32)
    positions = np.arange(block, dtype=np.int32) - filled[:, None]
    places = plan.block * block + plan.column
    for start in range(0, len(places), COPIED):
        part = slice(start, start + COPIED)
        length = plan.length[part]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        source = np.repeat(plan.source[part], length) + within
        place = np.repeat(places[part], length) + within
        packed.ravel()[place] = ids[source]
        labels.ravel()[place] = np.where(mask[source] & (within > 0), ids[source], IGNORED)
        positions.ravel()[place] = within
    begins = places[plan.first]
    return Packed(packed, labels, 0, positions, begins, filled, plan.cut)
