"""Training data and loss of encoder–decoder bases (T5): pairs instead of blocks.

Every assistant turn is a pair: the dialogue so far, up to the marker that opens the answer, goes
to the encoder; the answer and its end token to the decoder, all of it with a loss. That is how
`LocalModel` asks such a student. Plain text that is replayed has nothing before it: the encoder
reads what it reads for an empty prompt (the end token in T5), the decoder says the text.

A pair has at most `block` tokens on both sides together. Where it has more, the dialogue loses
its beginning down to half a block, then the answer its end; both are counted. The pairs follow
one another in the training order of `packing.ordered`, and a row is worth `block` tokens: row r
holds the pairs that begin among the tokens r·block … (r+1)·block of the whole sequence. A pair
is never divided, so n rows hold n·block tokens and at most one pair's overhang; `seen` counts
them. A smaller amount of data is a prefix of a larger one, in whole optimiser steps. Within a
step the pairs are dealt to its rows by length, which saves padding and changes no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veneer.errors import InputError
from veneer.models.chat import start_token
from veneer.records import Dialogue
from veneer.student.checks import VISIBLE
from veneer.student.packing import IGNORED, encode, ordered

if TYPE_CHECKING:
    import torch
    from rich.text import Text
    from transformers import PreTrainedTokenizerBase

LINE = "\n"


@dataclass(frozen=True)
class Pairs:
    """Pairs ready to train on, laid end to end, in rows worth `block` tokens.

    read, said: all encoder and all decoder tokens, int32.
    reads, says: (pairs + 1,) where each pair's begin in them.
    first: (rows + 1,) the first pair of each row.
    tail: tokens that fill no row. cut_before, cut_after: tokens of dialogues that lost their
        beginning and of answers that lost their end.
    """

    read: np.ndarray
    said: np.ndarray
    reads: np.ndarray
    says: np.ndarray
    first: np.ndarray
    tail: int
    cut_before: int
    cut_after: int

    def __len__(self) -> int:
        return len(self.first) - 1

    def batch(self, rows: slice) -> dict[str, np.ndarray]:
        """The pairs of some rows, padded on the right.

        Shapes: `ids` (pairs, longest prompt) and `attention`, False at padding; `labels` (pairs,
        longest answer), −100 at padding.
        """
        begin, end = self._pairs(rows)
        ids, attention = _padded(self.read, self.reads[begin : end + 1], 0)
        labels, _ = _padded(self.said, self.says[begin : end + 1], IGNORED)
        return {"ids": ids, "attention": attention, "labels": labels}

    def seen(self, rows: slice = slice(None)) -> int:
        """Tokens in some rows, on both sides, padding apart."""
        begin, end = self._pairs(rows)
        return int(self.reads[end] - self.reads[begin]) + self.learned(rows)

    def learned(self, rows: slice = slice(None)) -> int:
        """Tokens with a loss in some rows: all that the decoder says."""
        begin, end = self._pairs(rows)
        return int(self.says[end] - self.says[begin])

    def _pairs(self, rows: slice) -> tuple[int, int]:
        start, stop, _ = rows.indices(len(self))
        return int(self.first[start]), int(self.first[max(start, stop)])


def _padded(tokens: np.ndarray, ends: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.diff(ends)
    real = np.arange(lengths.max(initial=1)) < lengths[:, None]
    table = np.full(real.shape, padding, dtype=np.int32)
    table[real] = tokens[ends[0] : ends[-1]]
    return table, real


def pair_up(
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerBase,
    block: int,
    batch: int,
    seed: int | None,
) -> Pairs:
    """Pairs of all dialogues in rows worth `block` tokens, `batch` rows a step; see the module.

    Without a seed the dialogues stay in the order given (that of a mixture, say).

    Raises:
        InputError: no assistant turn in the whole corpus.
    """
    rendered = encode(list(dialogues) if seed is None else ordered(dialogues, seed), tokenizer)
    empty = [start_token(tokenizer)]
    sides: list[tuple[list[int], list[int]]] = []
    cut_before = cut_after = 0
    for one in rendered:
        for begin, end in _answers(one.mask):
            read, said = one.ids[:begin] or empty, one.ids[begin:end]
            room = block - min(len(read), block // 2)
            kept = said[:room]
            left = read[-(block - len(kept)) :]
            cut_before += len(read) - len(left)
            cut_after += len(said) - len(kept)
            sides.append((left, kept))
    if not sides:
        raise InputError(
            "The corpus has no output to learn from: no assistant turn with text.",
            "Look at dropped.jsonl beside the corpus, or give another corpus.",
        )
    sizes = np.array([len(read) + len(said) for read, said in sides])
    total, starts = int(sizes.sum()), np.cumsum(sizes) - sizes
    first = np.searchsorted(starts, np.arange(total // block + 1) * block)
    order = np.arange(len(sides))
    for step in range(0, len(first) - batch, batch):
        begin, end = first[step], first[step + batch]
        lengths = [(len(sides[i][0]), len(sides[i][1])) for i in range(begin, end)]
        order[begin:end] = begin + np.array(sorted(range(end - begin), key=lengths.__getitem__))
        first[step : step + batch] = begin + _shares(sizes[order[begin:end]], batch)
    reads, says = ([sides[i][side] for i in order] for side in (0, 1))
    return Pairs(
        read=_flat(reads),
        said=_flat(says),
        reads=_ends(reads),
        says=_ends(says),
        first=first,
        tail=total % block,
        cut_before=cut_before,
        cut_after=cut_after,
    )


def _answers(mask: Sequence[bool]) -> list[tuple[int, int]]:
    """Where a dialogue's stretches with a loss begin and end."""
    edges = np.flatnonzero(np.diff(np.array([False, *mask, False]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """(count,) first item of each share: about equal sums, in order, no share empty."""
    starts, share = np.cumsum(sizes) - sizes, np.arange(count)
    at = np.searchsorted(starts, share * sizes.sum() / count)
    later = np.maximum.accumulate(at - share) + share
    return np.minimum(later, len(sizes) - count + share)


def _flat(parts: list[list[int]]) -> np.ndarray:
    return np.concatenate([np.array(part, dtype=np.int32) for part in parts])


def _ends(parts: list[list[int]]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])])


def add_line_break(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Give a tokenizer that reads line breaks as spaces (T5's) a token for them; returns it.

    Without it no student could write a list. Follow with `fit_embeddings` on the model.
    """
    from tokenizers import AddedToken

    spelled: Any = tokenizer(f"a{LINE}b", add_special_tokens=False)["input_ids"]
    if LINE in tokenizer.decode(spelled):
        return []
    tokenizer.add_tokens([AddedToken(LINE, special=False, normalized=False)])
    return [LINE]


def show_pairs(
    pairs: Pairs, tokenizer: PreTrainedTokenizerBase, rows: slice, *, colours: bool = True
) -> list[Text]:
    """The pairs of these rows as they are trained on, one text each.

    What the decoder learns is green; without colours it stands between ⟦ and ⟧. Characters that
    a terminal would obey are spelled out.
    """
    from rich.text import Text

    first, last = pairs._pairs(rows)
    shown = []
    for at in range(first, last):
        read = pairs.read[pairs.reads[at] : pairs.reads[at + 1]]
        said = pairs.said[pairs.says[at] : pairs.says[at + 1]]
        row = int(np.searchsorted(pairs.first, at, side="right"))
        heading = f"Row {row}, pair {at + 1}: {len(read):,} tokens read, {len(said):,} learned"
        text = Text(heading + "\n", style="bold")
        text.append(_spelled(tokenizer, read), style="not bold")
        learned = _spelled(tokenizer, said)
        text.append(learned if colours else f"⟦{learned}⟧", style="not bold green")
        shown.append(text)
    return shown


def _spelled(tokenizer: PreTrainedTokenizerBase, ids: np.ndarray) -> str:
    text: Any = tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False)
    return str(text).translate(VISIBLE)


def pair_loss(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy summed over the answers' tokens, a scalar; shapes as `Pairs.batch` has them.

    Only real positions reach the output layer, whatever the model does around it (T5 scales).
    """
    import torch

    from veneer.models.encoder_decoder import start_of

    labels = batch["labels"]
    kept = labels != IGNORED
    start = torch.full_like(labels[:, :1], start_of(model))

    def narrow(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][kept], *args[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(narrow)
    try:
        logits = model(
            input_ids=batch["ids"],
            attention_mask=batch["attention"].long(),
            decoder_input_ids=torch.cat([start, labels[:, :-1].clamp(min=0)], dim=1),
            use_cache=False,
        ).logits
    finally:
        hook.remove()
    return torch.nn.functional.cross_entropy(logits.float(), labels[kept], reduction="sum")
