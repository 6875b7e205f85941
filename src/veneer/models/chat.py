"""The one chat renderer: text, tokens and loss mask for training and for sampling.

    [BOS]<|user|>question<|end|><|assistant|>answer<|end|><|user|>…

The markers follow the paper, §4.1 ("special tokens mark the start of each user query and each
model output", loss on the outputs and on their end token); question and answer are tokenised
separately, as Koala did (EasyLM `docs/koala.md`). The same text is written into the tokenizer
as its `chat_template`, so every other tool samples a student exactly as it was trained.

A text that spells a marker or another special token is no way out of its turn: the spelling is
broken with a space ("< |end|>"). A system message is rendered as a turn of the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.records import Message

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
MARKERS = (USER, ASSISTANT, END)

_UNUSED = "<|unused "  # followed by an id
_HEADER = re.compile(r"\{#- veneer chat (\{.*?\}) -#\}")


@dataclass(frozen=True)
class Rendered:
    """Token ids of a dialogue; `mask` (same length) is True where the loss is."""

    ids: list[int]
    mask: list[bool]


def is_chat(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer says how a conversation is written.

    Some base models ship a template they were never trained on: whoever measures one as a base
    says so (`LocalModel.load(…, chat=False)`).
    """
    return bool(getattr(tokenizer, "chat_template", None))


def start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """What stands for an empty prompt: the token that begins texts, or else the one that ends."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if isinstance(token, int):
            return token
    return 0


def add_chat_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Give a tokenizer the markers and the template; returns the tokens that were not there.

    A template of another kind is replaced, and markers that a base brings along no longer take in
    the spaces beside them (Phi-3's do). Follow with `fit_embeddings` on the model.
    """
    from tokenizers import AddedToken

    _fill_gaps(tokenizer)
    vocabulary = tokenizer.get_vocab()
    added = [marker for marker in MARKERS if marker not in vocabulary]
    tokenizer.add_tokens(
        [AddedToken(marker, special=True, normalized=False) for marker in MARKERS],
        special_tokens=True,
    )
    tokenizer.chat_template = _template(tokenizer)
    return added


def fit_embeddings(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    added: Sequence[str],
    like: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Give the model rows for the added tokens: the mean of related words' rows.

    `like` maps a marker to words; without it, the mean over all rows. (Rows left at random
    initialisation lowered exact match from .57 to .25 in the pocket study.) Rows that padding
    of the vocabulary left unused are taken first; the matrix never shrinks. Whatever other rows
    it gains (a tokenizer may know more tokens than its base, and its ids may have gaps) are the
    mean too. The generation settings learn to stop at `<|end|>`.
    """
    import torch

    before = _weight(model.get_input_embeddings()).shape[0]
    vocabulary = tokenizer.get_vocab()
    rows_needed = max(vocabulary.values()) + 1
    if rows_needed > before:
        _leave_apart(model)
        model.resize_token_embeddings(rows_needed, mean_resizing=False)
    known = [
        i
        for token, i in vocabulary.items()
        if token not in added and i < before and not token.startswith(_UNUSED)
    ]
    matrices = [_weight(model.get_input_embeddings())]
    head = model.get_output_embeddings()
    if head is not None and _weight(head) is not matrices[0]:
        matrices.append(_weight(head))
        bias: Any = getattr(head, "bias", None)
        if bias is not None:
            matrices.append(bias)
    with torch.no_grad():
        for matrix in matrices:
            matrix[before:] = matrix[sorted(known)].mean(dim=0)
        for token in added:
            words = (like or {}).get(token, ())
            near = sorted({i for word in words for i in _plain_ids(tokenizer, word)} & set(known))
            rows = torch.tensor(near or sorted(known), device=matrices[0].device)
            for matrix in matrices:
                mean = matrix[rows].mean(dim=0)
                matrix[tokenizer.convert_tokens_to_ids(token)] = mean
    settings = getattr(model, "generation_config", None)
    if settings is not None:
        ends = settings.eos_token_id
        ends = list(ends) if isinstance(ends, list) else [] if ends is None else [ends]
        end = tokenizer.convert_tokens_to_ids(END)
        settings.eos_token_id = [*ends, end] if end not in ends else ends


def _leave_apart(model: PreTrainedModel) -> None:
    """Keep an output matrix of its own as it is, whatever the settings say.

    transformers writes `tie_word_embeddings` into every T5's settings and unties Flan-T5's head
    only while it loads; resizing would tie it, and the head would be lost.
    """
    head = model.get_output_embeddings()
    if head is not None and _weight(head) is not _weight(model.get_input_embeddings()):
        model.config.tie_word_embeddings = False


def render(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """A dialogue as tokens, with the loss on the assistant's tokens and their end token only."""
    return render_many([messages], tokenizer)[0]


def render_many(
    dialogues: Sequence[Sequence[Message]], tokenizer: PreTrainedTokenizerBase
) -> list[Rendered]:
    """`render` for many dialogues in one pass of the tokenizer (10× faster for short ones)."""
    layout = _layout(tokenizer)
    if layout is None:
        return [_render_foreign(messages, tokenizer) for messages in dialogues]
    texts = [
        _marker(message) + _broken(message.content, layout.reserved) + END
        for messages in dialogues
        for message in messages
    ]
    pieces = iter(_encode(tokenizer, texts))
    start: Any = [tokenizer.bos_token_id] if layout.bos else []
    rendered = []
    for messages in dialogues:
        ids: list[int] = list(start)
        mask = [False] * len(ids)
        for message in messages:
            piece = next(pieces)
            ids += piece
            learned = message.role == "assistant"
            mask += [False] + [learned] * (len(piece) - 1)
        rendered.append(Rendered(ids, mask))
    return rendered


def render_plain(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[Rendered]:
    """Texts that answer nothing: [BOS]text[EOS], as in pretraining, the loss on every token."""
    layout = _layout_for(tokenizer)
    bos: Any = [tokenizer.bos_token_id] if layout.bos else []
    eos: Any = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    encoded = _encode(tokenizer, [_broken(text, layout.reserved) for text in texts])
    return [Rendered(ids, [True] * len(ids)) for ids in ([*bos, *each, *eos] for each in encoded)]


def render_prompt(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that the model answers after: everything up to the assistant's marker."""
    return render_prompts([messages], tokenizer)[0]


def render_prompts(
    dialogues: Sequence[Sequence[Message]], tokenizer: PreTrainedTokenizerBase
) -> list[list[int]]:
    """`render_prompt` for many dialogues in one pass of the tokenizer."""
    if _layout(tokenizer) is None:
        return [_foreign_ids(messages, tokenizer, ask=True) for messages in dialogues]
    opening: Any = tokenizer.convert_tokens_to_ids(ASSISTANT)
    return [[*r.ids, opening] for r in render_many(dialogues, tokenizer)]


def _fill_gaps(tokenizer: Any) -> None:
    """Give ids that no token has a name that no text spells.

    A token that is added beyond a gap would have another id once the tokenizer is loaded again,
    maybe that of another token: loading counts tokens instead of looking for the last id.
    """
    from tokenizers import Tokenizer

    ids = set(tokenizer.get_vocab().values())
    gaps = set(range(max(ids))) - ids
    if gaps and tokenizer.is_fast:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        state["model"]["vocab"] |= {f"{_UNUSED}{i}|>": i for i in sorted(gaps)}
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))


# ---- our template ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    bos: bool
    reserved: tuple[str, ...]


def _layout_for(tokenizer: PreTrainedTokenizerBase) -> _Layout:
    """A BOS where the tokenizer itself writes one; no text may spell a special token."""
    named = [str(token) for token in tokenizer.all_special_tokens]
    reserved = sorted({token for token in named if len(token) > 1} | set(MARKERS))
    start = tokenizer("a").input_ids
    bos = tokenizer.bos_token_id is not None and start[:1] == [tokenizer.bos_token_id]
    return _Layout(bos, tuple(reserved))


def _template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The jinja template; its first comment carries what `_layout` reads back."""
    layout = _layout_for(tokenizer)
    bos, reserved = layout.bos, layout.reserved
    header = json.dumps({"bos": bos, "reserved": reserved}, ensure_ascii=False)
    breaks = "".join(
        f" | replace({json.dumps(t, ensure_ascii=False)}, "
        f"{json.dumps(_broken(t, (t,)), ensure_ascii=False)})"
        for t in reserved
    )
    text = "{{- message['content']" + breaks + " -}}"
    return (
        f"{{#- veneer chat {header} -#}}"
        + ("{{- bos_token -}}" if bos else "")
        + "{%- for message in messages -%}"
        + "{%- if message['role'] == 'assistant' -%}"
        + f"{{{{- '{ASSISTANT}' -}}}}"
        + f"{{%- generation -%}}{text}{{{{- '{END}' -}}}}{{%- endgeneration -%}}"
        + "{%- else -%}"
        + f"{{{{- '{USER}' -}}}}{text}{{{{- '{END}' -}}}}"
        + "{%- endif -%}{%- endfor -%}"
        + f"{{%- if add_generation_prompt -%}}{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}"
    )


def _layout(tokenizer: PreTrainedTokenizerBase) -> _Layout | None:
    """What our template says of itself; None for a template of another kind."""
    template = tokenizer.chat_template
    if not template:
        raise InputError(
            "This tokenizer has no chat template: nothing says how a conversation is written.",
            "Call add_chat_tokens(tokenizer) first, or ask the model in plain text.",
        )
    return _read_header(template) if isinstance(template, str) else None


@lru_cache(maxsize=64)
def _read_header(template: str) -> _Layout | None:
    match = _HEADER.match(template)
    if not match:
        return None
    header = json.loads(match[1])
    return _Layout(bos=header["bos"], reserved=tuple(header["reserved"]))


def _marker(message: Message) -> str:
    return ASSISTANT if message.role == "assistant" else USER


def _broken(text: str, reserved: Sequence[str]) -> str:
    for token in reserved:
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Tokens of each text. A turn has its markers, so that it is treated as in a dialogue."""
    if not texts:
        return []
    encoded: Any = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return list(encoded)


def _weight(module: Any) -> torch.Tensor:
    return module.weight


def _plain_ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    ids: Any = tokenizer(word, add_special_tokens=False)["input_ids"]
    return [i for i in ids if i != tokenizer.unk_token_id]


# ---- templates of other models --------------------------------------------------------------


def _foreign_ids(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, ask: bool
) -> list[int]:
    turns: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in messages]
    written: Any = tokenizer.apply_chat_template(
        turns, tokenize=True, add_generation_prompt=ask, return_dict=True
    )
    return list(written["input_ids"])


def _render_foreign(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """Loss on whatever the template adds after the point where the model answers."""
    ids = _foreign_ids(messages, tokenizer, ask=False)
    mask = [False] * len(ids)
    for turn, message in enumerate(messages):
        if message.role != "assistant":
            continue
        asked = _foreign_ids(messages[:turn], tokenizer, ask=True)
        answered = _foreign_ids(messages[: turn + 1], tokenizer, ask=False)
        if ids[: len(answered)] != answered or answered[: len(asked)] != asked:
            raise InputError(
                "This model's chat template rewrites earlier turns, so no loss mask fits it.",
                "Train with our template instead: add_chat_tokens(tokenizer).",
            )
        mask[len(asked) : len(answered)] = [True] * (len(answered) - len(asked))
    return Rendered(ids, mask)
