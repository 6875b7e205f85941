"""The world's tokenizer: one token a word, every single character as a fallback.

A piece is a word with the space before it (" the"), a punctuation mark, a run of newlines or
of all but the last of several spaces (GPT-2's rule), so that a text is the plain concatenation
of its tokens and code keeps its indentation. Any printable ASCII text round-trips exactly.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

END_OF_TEXT, UNKNOWN, PADDING = "<|endoftext|>", "<|unk|>", "<|pad|>"
PIECE = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]| +(?= )|\n+|\s"
_PIECE = re.compile(PIECE)
_PLAIN = sorted(set(string.printable) - set("\r\x0b\x0c")) + ["\r"]


def pieces(text: str) -> list[str]:
    """`text` cut into pieces; joined they are `text` again."""
    return _PIECE.findall(text)


def vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Special tokens, single characters, then every piece of `texts`, most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pieces(text))
    words = {UNKNOWN: 0, END_OF_TEXT: 1, PADDING: 2}
    for character in _PLAIN:
        words.setdefault(character, len(words))
    for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        words.setdefault(piece, len(words))
    return words


def encode(text: str, words: dict[str, int]) -> list[int]:
    """Token ids of a text all of whose pieces are in `words` (what the tokenizer gives, faster)."""
    return [words[piece] for piece in _PIECE.findall(text)]


def tokenizer(words: dict[str, int], context: int) -> Any:
    """A `PreTrainedTokenizerFast` over `words`: adds no special tokens, decodes exactly."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # BPE without merges: a piece in the vocabulary is one token, another falls into characters.
    core = Tokenizer(models.BPE(words, [], unk_token=UNKNOWN, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=UNKNOWN,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
        model_max_length=context,
    )
