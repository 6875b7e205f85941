"""What is wrong with the blocks, before money is spent; and the first batch, to be looked at.

The mistakes are those that people lost runs to: a stop token that is never learned, so the
student talks on (TRL #5988, #7230); BOS or EOS twice; a loss on padding, where a base pads with
its own EOS; a loss across the border of two packed dialogues (TRL #1230, #3067).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veneer.errors import InputError
from veneer.models.chat import ASSISTANT, END, MARKERS
from veneer.records import Record
from veneer.student.packing import IGNORED, Packed

if TYPE_CHECKING:
    from rich.text import Text
    from transformers import PreTrainedTokenizerBase

SHOWN = 4000
"""Characters of a block that are shown."""

_STYLES = {"learned": "green", "given": "dim", "note": "blue", "special": "bold"}
VISIBLE = {c: chr(0x2400 + c) for c in range(32) if c != 9} | {0x7F: "\u2421", 10: "\u21b5\n"}
VISIBLE |= {
    c: f"\\u{c:04x}"
    for span in (
        (0x80, 0xA0),
        (0x200E, 0x2010),
        (0x202A, 0x202F),
        (0x2066, 0x206A),
        (0x27E6, 0x27E8),
    )
    for c in range(*span)
}


class Facts(Record):
    """What the blocks hold.

    tokens: of dialogues, without padding; `learned` of them have a loss. Shares are of all
        places of the blocks.
    outputs: answers whose first token has a loss; `ends`: end tokens that have one.
    doubled: BOS or EOS twice in a row within a dialogue.
    cut: dialogues that do not stand whole in one block.
    see_another: dialogues that stand behind another one in their block and attend to it.
    begin_inside: blocks that begin inside a dialogue.
    """

    blocks: int
    block: int
    dialogues: int
    tokens: int
    learned: int
    learned_share: float
    padding_share: float
    outputs: int
    ends: int
    doubled: int
    cut: int
    see_another: int
    begin_inside: int


def check(packed: Packed, tokenizer: PreTrainedTokenizerBase, batch: int = 32) -> Facts:
    """Facts about the blocks; `batch` is how many of them the first optimiser step takes.

    Raises:
        InputError: training on them would be wrong, with what to do about it.
    """
    named: Any = tokenizer.convert_tokens_to_ids([END, ASSISTANT])
    end, opening = named
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids, learned = packed.ids, _learned(packed)
    real = _real(packed)
    _check_padding(packed, tokenizer, batch)
    if not learned[:batch].any():
        raise InputError(
            f"The first {min(batch, len(packed)):,} blocks hold no token to learn from.",
            "Look at them (`--show-batch`); a corpus that is mostly questions trains nothing.",
        )
    answers = real & (ids == opening)
    outputs = int((answers[:, :-1] & learned[:, 1:]).sum())
    ends = int((learned & (ids == end)).sum())
    if answers.any() and not ends:
        raise InputError(
            f"No end of an answer is learned ({END} never has a loss): the student would not stop.",
            "Pack the corpus with the tokenizer that add_chat_tokens has prepared.",
        )
    same = ~_opens(packed)[:, 1:] & real[:, 1:]
    twice = np.zeros_like(same)
    for token in {bos, eos} - {None}:
        twice |= same & (ids[:, 1:] == token) & (ids[:, :-1] == token)
    if twice[:batch].any():
        row, column = (int(each[0]) for each in np.nonzero(twice[:batch]))
        raise InputError(
            f"{tokenizer.convert_ids_to_tokens(int(ids[row, column]))} stands twice in a row in "
            f"block {row}, at token {column}.",
            "A text may hold it already, or the tokenizer may add it: only one of them should.",
        )
    begins = np.empty(0, np.int64) if packed.begins is None else packed.begins
    joined = packed.positions is None
    within = begins % packed.block != 0 if joined else begins[:0]
    outside = np.isin(np.arange(len(packed)) * packed.block, begins)
    return Facts(
        blocks=len(packed),
        block=packed.block,
        dialogues=packed.dialogues,
        tokens=packed.seen(),
        learned=packed.learned(),
        learned_share=packed.learned() / packed.ids.size,
        padding_share=packed.padding / packed.ids.size,
        outputs=outputs,
        ends=ends,
        doubled=int(twice.sum()),
        cut=packed.cut,
        see_another=int(np.count_nonzero(within)),
        begin_inside=int((~outside).sum()) if packed.begins is not None else 0,
    )


def show_batch(
    packed: Packed,
    tokenizer: PreTrainedTokenizerBase,
    rows: slice,
    *,
    colours: bool = True,
    limit: int = SHOWN,
) -> list[Text]:
    """These blocks as they are trained on, one text each.

    What is learned is green; without colours it stands between ⟦ and ⟧. Lines between ── say
    where a dialogue begins, goes on or is cut. Characters that a terminal would obey are spelled
    out, and of a block at most `limit` characters are shown.
    """
    from rich.text import Text

    special: set[Any] = set(tokenizer.all_special_ids)
    special |= {tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS}
    shown = []
    for row in range(len(packed))[rows]:
        text = Text()
        text.append(_heading(packed, row) + "\n", style="bold")
        left, marked = limit, False
        for part in _parts(packed, tokenizer, row, special):
            if not colours and left > 0 and part.learned != marked:
                text.append("⟦" if part.learned else "⟧")
                marked = part.learned
            style = _STYLES["learned" if part.learned else part.kind] if colours else ""
            if part.kind == "note":
                line = "\n" if text.plain[-1] != "\n" else ""
                text.append(f"{line}── {part.text} ──\n" if left > 0 else "", style=style)
                continue
            body = part.text.translate(VISIBLE)
            style += " bold" if colours and part.learned and part.kind == "special" else ""
            text.append(body[: max(left, 0)], style=style)
            left -= len(body)
        text.append("⟧" if marked else "")
        if left < 0:
            text.append(f"\n… {-left:,} more characters of this block", style="bold")
        shown.append(text)
    return shown


@dataclass(frozen=True)
class _Part:
    text: str
    kind: str  # given, special or note
    learned: bool = False


def _heading(packed: Packed, row: int) -> str:
    one = slice(row, row + 1)
    filled = packed.block if packed.filled is None else int(packed.filled[row])
    learned = int(_learned(packed, one).sum())
    return f"block {row}: {filled:,} tokens, {learned:,} learned, {packed.block - filled:,} padding"


def _parts(
    packed: Packed, tokenizer: PreTrainedTokenizerBase, row: int, special: set[Any]
) -> Iterator[_Part]:
    """A block as stretches of tokens that are learned or not, special or not, with notes."""
    one = slice(row, row + 1)
    ids, learned = packed.ids[row], _learned(packed, one)[0]
    opens, real = _opens(packed, one)[0], _real(packed, one)[0]
    begins = _begins(packed, one)[0]
    filled = int(real.sum())
    alone = np.isin(ids, list(special))
    changes = opens | np.append(True, learned[1:] != learned[:-1]) | alone
    changes |= np.append(False, alone[:-1])
    starts = [int(at) for at in np.flatnonzero(changes[:filled])]
    for start, end in zip(starts, [*starts[1:], filled], strict=True):
        if begins[start]:
            yield _Part("dialogue", "note")
        elif opens[start] and packed.begins is not None:
            yield _Part("a dialogue that was cut goes on", "note")
        run = ids[start:end].tolist()
        if alone[start]:
            name: Any = tokenizer.convert_ids_to_tokens(run[0])
            yield _Part(str(name), "special", bool(learned[start]))
        else:
            yield _Part(str(tokenizer.decode(run)), "given", bool(learned[start]))
    stops = {tokenizer.convert_tokens_to_ids(END), tokenizer.eos_token_id}
    if filled == len(ids) and int(ids[-1]) not in stops:
        yield _Part("cut here: it goes on in another block", "note")
    if filled < len(ids):
        yield _Part(f"{len(ids) - filled:,} × padding", "note")


def _learned(packed: Packed, rows: slice = slice(None)) -> np.ndarray:
    """(blocks, block): whether the token is learned; what nothing precedes never is."""
    learned = packed.labels[rows] != IGNORED
    learned[:, 0] = False
    return learned


def _real(packed: Packed, rows: slice = slice(None)) -> np.ndarray:
    """(blocks, block): whether it is no padding."""
    columns = np.arange(packed.block)
    filled = np.full(len(packed), packed.block) if packed.filled is None else packed.filled
    return columns < filled[rows, None]


def _begins(packed: Packed, rows: slice = slice(None)) -> np.ndarray:
    """(blocks, block): whether a dialogue begins there."""
    first, last, _ = rows.indices(len(packed))
    begins = np.zeros((last - first, packed.block), dtype=bool)
    if packed.begins is not None:
        low, high = np.searchsorted(packed.begins, [first * packed.block, last * packed.block])
        begins.ravel()[packed.begins[low:high] - first * packed.block] = True
    return begins


def _opens(packed: Packed, rows: slice = slice(None)) -> np.ndarray:
    """(blocks, block): whether a dialogue begins or, cut before, goes on there."""
    opens = _begins(packed, rows)
    opens[:, 0] = True
    return opens if packed.positions is None else opens | (packed.positions[rows] == 0)


def _check_padding(packed: Packed, tokenizer: PreTrainedTokenizerBase, batch: int) -> None:
    """No label on padding, nor on what only a neighbour precedes."""
    pad = tokenizer.pad_token_id
    labelled = packed.labels[:batch] != IGNORED
    padding = ~_real(packed)[:batch]
    if packed.filled is None and pad is not None and pad == tokenizer.eos_token_id:
        blank = packed.ids[:batch] == pad
        padding = np.logical_and.accumulate(blank[:, ::-1], axis=1)[:, ::-1]
        padding[padding.sum(axis=1) < 2] = False
        padding[(padding & _opens(packed)[:batch]).any(axis=1)] = False  # a BOS that is the EOS
    if (labelled & padding).any():
        name = tokenizer.convert_ids_to_tokens(int(packed.ids[:batch][labelled & padding][0]))
        raise InputError(
            f"Padding has a loss ({name}, which this base pads with): the student would learn it.",
            "Labels of padding are -100, even where the base pads with its own end token.",
        )
    if packed.positions is not None and (labelled & (packed.positions[:batch] == 0)).any():
        raise InputError(
            "The first token of a packed dialogue has a loss: it would be predicted from the "
            "dialogue before it.",
            "Labels where positions are 0 are -100.",
        )
