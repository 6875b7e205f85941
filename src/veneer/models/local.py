"""A model on this machine that generates, scores continuations and answers in its own template."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as hugging_face_log

from veneer.errors import InputError
from veneer.models import chat, decoding, encoder_decoder, scoring
from veneer.models.asking import Ask, Reply, ended
from veneer.models.cache import Batch
from veneer.models.decoding import Generated, Sampling
from veneer.models.scoring import Work
from veneer.records import Message

__all__ = ["Generated", "LocalModel"]

EAGER_WIDTH = 512  # up to this hidden size eager attention beats SDPA on a CPU core


class LocalModel:
    """A Hugging Face language model with its tokenizer, ready to answer.

    Attributes:
        parameters: how many (tied weights counted once).
        reads_apart: whether an encoder reads the prompt and a decoder writes the answer (T5).
        context: tokens that prompt and answer may have together; each where they are apart.
        is_chat: whether `answer` asks in the model's chat template.
        work: tokens computed by `loglikelihoods`, beside the naive count.
        seeded: what it answers follows from the seed that it is asked with.
    """

    seeded = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str = "",
        chat_template: bool | None = None,
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.parameters = sum(p.numel() for p in model.parameters())
        self.reads_apart = encoder_decoder.is_encoder_decoder(model)
        config = model.config.get_text_config()
        self.context = int(getattr(config, "max_position_embeddings", None) or 2048)
        if self.reads_apart:
            self.context = encoder_decoder.context_of(model, tokenizer)
        self.is_chat = chat.is_chat(tokenizer) if chat_template is None else chat_template
        self.ends = _end_tokens(model, tokenizer)
        self.work = Work()

    @classmethod
    def load(
        cls, path_or_id: str | Path, device: str = "auto", chat: bool | None = None
    ) -> LocalModel:
        """Load a folder or hub id: float32 on the CPU, the checkpoint's own type on a GPU.

        Args:
            device: "auto" takes a GPU where there is one.
            chat: False asks in plain text although the tokenizer has a template (base models
                that ship one); None lets the tokenizer decide.
        """
        hugging_face_log.disable_progress_bar()  # a step reports its own progress
        place = device
        if device == "auto":
            place = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            config = AutoConfig.from_pretrained(path_or_id)
            small = getattr(config.get_text_config(), "hidden_size", 1024) <= EAGER_WIDTH
            model: Any = encoder_decoder.language_model(
                path_or_id,
                dtype=torch.float32 if place == "cpu" else "auto",
                attn_implementation="eager" if place == "cpu" and small else None,
            )
            tokenizer = AutoTokenizer.from_pretrained(path_or_id)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No language model can be loaded from {str(path_or_id)!r}: "
                f"{str(error).splitlines()[0]}",
                "Give a folder that holds config.json, weights and tokenizer, or a hub id.",
            ) from error
        # What is too long for the model is our callers' to say, not the library's to warn of.
        told = "sequence-length-is-longer-than-the-specified-maximum"
        tokenizer.deprecation_warnings[told] = True
        return cls(model.to(place), tokenizer, name=str(path_or_id), chat_template=chat)

    def encode(self, text: str) -> list[int]:
        """Plain text as the model reads it, with a start token where the tokenizer adds one."""
        return list(self.tokenizer(text)["input_ids"])

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        batch_size: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generated]:
        """Continue every prompt (token ids), up to an end token, a stop string or the limit.

        Args:
            max_new_tokens: tokens. A prompt that leaves less room in the context loses its
                beginning.
            temperature: 0 is greedy.
            seed: a prompt's random numbers depend on this and its place in `prompts` only.
            stop: strings that end an answer and are cut off; case-sensitive.
            progress: called with (prompts done, prompts) after every batch.
        """
        if not prompts:
            return []
        start = [chat.start_token(self.tokenizer)]
        return decoding.generate(
            self.model,
            self.tokenizer,
            [list(prompt) or start for prompt in prompts],
            context=self.context,
            ends=self.ends,
            max_new_tokens=max_new_tokens,
            sampling=Sampling(temperature, top_p, seed),
            stop=stop,
            batch_size=batch_size,
            progress=progress,
        )

    @torch.inference_mode()
    def loglikelihoods(
        self,
        requests: Sequence[tuple[Sequence[int], Sequence[int]]],
        progress: Callable[[int, int], None] | None = None,
        batch_size: int = 64,
    ) -> list[tuple[float, bool]]:
        """(log-probability of the continuation, in nats; whether greedy decoding says it).

        A request is (context ids, continuation ids). An empty context becomes the start token.
        """
        if not requests:
            return []
        start = [chat.start_token(self.tokenizer)]
        score = encoder_decoder.loglikelihoods if self.reads_apart else scoring.loglikelihoods
        return score(
            self.model,
            [(list(before) or start, list(said)) for before, said in requests],
            context=self.context,
            batch_size=batch_size,
            work=self.work,
            progress=progress,
        )

    @torch.inference_mode()
    def answer_logits(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> list[torch.Tensor]:
        """Logits of every token of each answer, (tokens, V) each, all in one batch.

        A pair is (prompt, answer) as token ids, at least one token each.
        """
        if self.reads_apart:
            return encoder_decoder.answer_logits(self.model, pairs)
        keep = max(len(said) for _, said in pairs)
        rows = [[*before, *said][:-1] for before, said in pairs]
        logits = Batch(self.model, rows, room=0, keep=keep).logits
        return [row[-len(said) :] for row, (_, said) in zip(logits, pairs, strict=True)]

    def pair_ids(
        self, pairs: Sequence[tuple[str, str]], known: Mapping[str, list[int]] | None = None
    ) -> list[tuple[list[int], list[int]]]:
        """Contexts and continuations (plain text) as token ids, for `loglikelihoods`.

        Split as lm-eval's `_encode_pair` does: spaces at a context's end belong to what follows;
        both are tokenised as one text, or each for itself where they are read apart. Every
        distinct text is tokenised once; `known` are token ids of contexts that were before.
        """
        split = [(before.rstrip(), before + said) for before, said in pairs]
        begun = dict(known or {})
        begun |= self.token_ids({b for b, _ in split if b and b not in begun}, True)
        if self.reads_apart:
            rest = [whole[len(before) :] for before, whole in split]
            said = self.token_ids(set(rest), False)
            return [(begun.get(b, []), said[r]) for (b, _), r in zip(split, rest, strict=True)]
        whole = self.token_ids({whole for before, whole in split if before}, True)
        alone = self.token_ids({whole for before, whole in split if not before}, False)
        return [
            (begun[b], whole[text][len(begun[b]) :]) if b else ([], alone[text])
            for b, text in split
        ]

    def token_ids(self, texts: Collection[str], start: bool) -> dict[str, list[int]]:
        """Token ids by text, with the tokenizer's own start (and end) tokens or without."""
        distinct = sorted(texts)
        if not distinct:
            return {}
        tokenizer: Any = self.tokenizer
        if _is_plain_fast(tokenizer):  # without offsets, which take a third of the time
            fast = tokenizer.backend_tokenizer
            fast.no_truncation()
            fast.no_padding()
            fast.encode_special_tokens = tokenizer.split_special_tokens
            made = fast.encode_batch_fast(distinct, add_special_tokens=start)
            return {text: one.ids for text, one in zip(distinct, made, strict=True)}
        ids: Any = tokenizer(distinct, add_special_tokens=start)["input_ids"]
        return dict(zip(distinct, ids, strict=True))

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Prompts as token ids: in the model's template if it is a chat model, else as they are."""
        return self._ids([(Message(role="user", content=prompt),) for prompt in prompts])

    def _ids(self, dialogues: Sequence[Sequence[Message]]) -> list[list[int]]:
        if self.is_chat:
            return chat.render_prompts(dialogues, self.tokenizer)
        if any(len(messages) != 1 for messages in dialogues):
            raise InputError(
                f"{self.name or 'This model'} has no chat template, so it can be asked single "
                "questions only, not conversations.",
                "Choose a chat model, or prompts of one user turn.",
            )
        return [self.encode(messages[0].content) for messages in dialogues]

    def ask(
        self,
        asks: Sequence[Ask],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply]:
        """A reply to each conversation, as `veneer.models.asking.Model` has it; never None.

        An answer's random numbers depend on `seed` and its place in `asks`, so equal questions
        are told apart by where they stand and `Ask.sample` is not looked at.
        """
        prompts = self._ids([ask.messages for ask in asks])
        said = self.generate(
            prompts,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            progress=progress,
        )
        return [
            replace(
                ended(one.text, one.finish, max_new_tokens),
                prompt_tokens=len(prompt),
                completion_tokens=one.tokens,
            )
            for prompt, one in zip(prompts, said, strict=True)
        ]

    def answer(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        batch_size: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generated]:
        """Answer user prompts: in the model's own template, or by continuing the plain text."""
        return self.generate(
            self.prompt_ids(prompts),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            stop=stop,
            batch_size=batch_size,
            progress=progress,
        )


def _is_plain_fast(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the library asks the `tokenizers` package and adds nothing of its own."""
    kind = type(tokenizer)
    return (
        isinstance(tokenizer, PreTrainedTokenizerFast)
        and kind.__call__ is PreTrainedTokenizerBase.__call__
        and kind._encode_plus is PreTrainedTokenizerFast._encode_plus
        and not hasattr(tokenizer, "_switch_to_input_mode")
    )


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an answer: the model's settings, the tokenizer's, and `<|end|>`."""
    ends = [tokenizer.eos_token_id, tokenizer.get_vocab().get(chat.END)]
    settings = getattr(model, "generation_config", None)
    for source in (settings, model.config):
        ids = getattr(source, "eos_token_id", None)
        ends += ids if isinstance(ids, list) else [ids]
    return frozenset(int(i) for i in ends if i is not None)
