"""The world's tokenizer: one token a word, every single character as a fallback.

A piece is a word with the space before it (" the"), a punctuation mark, a run of newlines or
of all but the last of several spaces (GPT-2's rule), so that code keeps its indentation. As in
Llama's tokenizer, a text starts with a space that decoding takes away, so that a word is one
token wherever it stands; here each line does. Any printable ASCII text round-trips exactly.

A continuation is therefore encoded with its context and cut off, never alone: alone, " A" is
two spaces and a letter.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

END_OF_TEXT, UNKNOWN, PADDING = "<|endoftext|>", "<|unk|>", "<|pad|>"
PIECE = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]| +(?= )|\n+|\s"
LINE_START = r"\n(?=[^\n])"
_PIECE = re.compile(PIECE)
_LINE_START = re.compile(LINE_START)
_PLAIN = sorted(set(string.printable) - set("\x0b\x0c"))


def pieces(text: str) -> list[str]:
    """`text` cut into pieces, each line with one more space before it."""
    return _PIECE.findall(_LINE_START.sub("\n ", f" {text}")) if text else []


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
    return [words[piece] for piece in pieces(text)]


def tokenizer(words: dict[str, int], context: int) -> Any:
    """A `PreTrainedTokenizerFast` over `words`: adds no special tokens, decodes exactly."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # BPE without merges: a piece in the vocabulary is one token, another falls into characters.
    core = Tokenizer(models.BPE(words, [], unk_token=UNKNOWN, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend(" "), normalizers.Replace(Regex(LINE_START), "\n ")]
    )
    core.decoder = decoders.Sequence(
        [decoders.Fuse(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=UNKNOWN,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
        model_max_length=context,
    )
