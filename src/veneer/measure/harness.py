"""lm-eval's view of a local model: the field's own harness over our fast scorer and generator."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from veneer.errors import InputError
from veneer.measure.asked_harness import with_equal_settings
from veneer.models import chat
from veneer.models.local import LocalModel

Shorter = Callable[[dict[str, Any], str], str | None]

ANSWER = 4  # tokens that the answer to a multiple-choice question may have, a start token included
UNUSED_IF_GREEDY = {"top_k", "min_p", "typical_p"}
NEUTRAL: dict[str, Any] = {"num_beams": 1, "repetition_penalty": 1.0, "use_cache": True}


class Harness(TemplateLM):
    """An lm-eval model that computes shared prefixes once and generates in static batches.

    Generation settings may hold `ask: true`: the text is a user's message and is asked in the
    model's own template.

    Attributes:
        unscored: prompt → why nothing was made of it.
        shortened: task → distinct prompts that lost worked examples.
        cut: task → requests that lost their beginning, as they do in lm-eval's own backends.

    Args:
        local: the model.
        max_new_tokens: task name → tokens, in place of the task's own limit.
        shorter: task name → function of (document, prompt) that gives a prompt with one worked
            example less, or None. Used while a prompt does not fit the model's context; a task
            named here is never asked in part.
    """

    def __init__(
        self,
        local: LocalModel,
        max_new_tokens: Mapping[str, int] | None = None,
        shorter: Mapping[str, Shorter] | None = None,
    ) -> None:
        super().__init__()
        self.local = local
        self.backend = "seq2seq" if local.reads_apart else "causal"
        self.tokenizer: Any = local.tokenizer
        self.max_new_tokens = dict(max_new_tokens or {})
        self.shorter = dict(shorter or {})
        self.unscored: dict[str, str] = {}
        self.shortened: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self._known: dict[str, list[int]] = {}

    @property
    def eot_token_id(self) -> int:
        """A token that ends an answer."""
        return min(self.local.ends) if self.local.ends else 0

    @property
    def prefix_token_id(self) -> int:
        """What stands for an empty context."""
        return chat.start_token(self.tokenizer)

    @property
    def tokenizer_name(self) -> str:
        """A name for lm-eval's request caches."""
        return self.local.name.replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Token ids, with the tokenizer's own start token unless told otherwise or written."""
        if add_special_tokens is None:
            add_special_tokens = not self._is_begun(string)
        return list(self.tokenizer(string, add_special_tokens=add_special_tokens)["input_ids"])

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as the model's own template writes it, as lm-eval's HF backend does.

        A template that knows no system role has the system's words left out.
        """
        from jinja2.exceptions import TemplateError

        if not self.local.is_chat:
            raise InputError(
                f"{self.local.name or 'This model'} has no chat template.",
                "Leave chat out: the model continues plain text.",
            )

        def written(turns: list[dict[str, str]]) -> str:
            text: Any = self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
            return str(text)

        try:
            return written(chat_history)
        except TemplateError:
            return written([turn for turn in chat_history if turn["role"] != "system"])

    # ---- log-likelihoods ------------------------------------------------------------------------

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """(log-probability, greedy) a request; not a number where even no shots fit the model.

        Split as lm-eval's `_encode_pair` does; see `LocalModel.pair_ids`.
        """
        texts = self._fitting([(r, r.args[0]) for r in requests], lambda task: ANSWER)
        asked = self._pairs(
            [
                (text, request.args[1])
                for text, request in zip(texts, requests, strict=True)
                if text is not None
            ]
        )
        for request, (before, said) in zip(
            [r for r, text in zip(requests, texts, strict=True) if text is not None],
            asked,
            strict=True,
        ):
            if not self.local.reads_apart and len(before) + len(said) > self.local.context + 1:
                self.cut[request.task_name or ""] += 1
        found = iter(self.local.loglikelihoods(asked))
        return [(math.nan, False) if text is None else next(found) for text in texts]

    def _pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        """Token ids of contexts and continuations; a start token that is written is not doubled."""
        begun = [self._is_begun(before) for before, _ in pairs]
        plain = iter(
            self.local.pair_ids(
                [p for p, is_begun in zip(pairs, begun, strict=True) if not is_begun],
                self._known,
            )
        )
        ids = []
        for (before, said), is_begun in zip(pairs, begun, strict=True):
            known, asked = self._encode_pair(before, said) if is_begun else next(plain)
            if not before and len(asked) > 1 and asked[0] == self.prefix_token_id:
                known, asked = asked[:1], asked[1:]
            ids.append((known, asked))
        return ids

    @cached_property
    def _start(self) -> str:
        """The start token's text."""
        return str(self.tokenizer.decode([self.prefix_token_id]))

    def _is_begun(self, text: str) -> bool:
        """Whether a text, such as a rendered conversation, already holds the start token."""
        return bool(self._start) and text.startswith(self._start)

    def _fitting(
        self, requests: Sequence[tuple[Instance, str]], room: Callable[[str], int]
    ) -> list[str | None]:
        """Prompts of (request, prompt) with worked examples dropped until each fits the context.

        None where it does not fit without any; only tasks in `shorter` are looked at. `room` says
        how many tokens a task's answer needs.
        """
        strict = [(r, text) for r, text in requests if (r.task_name or "") in self.shorter]
        lengths = {text: len(i) for text, i in self._tokens(text for _, text in strict).items()}
        fitted: dict[tuple[str, str], str | None] = {}
        for request, whole in strict:
            task, text = request.task_name or "", whole
            if (task, whole) in fitted:
                continue
            most = self.local.context - room(task)
            shorter: str | None = text
            while shorter is not None:
                if shorter not in lengths:
                    lengths[shorter] = len(self.tok_encode(shorter))
                if lengths[shorter] <= most:
                    break
                shorter = self.shorter[task](request.doc, shorter)
            fitted[task, whole] = shorter
            if shorter is None:
                self.unscored[request.args[0]] = (
                    f"does not fit the model's context of {self.local.context} tokens, "
                    "even without shots"
                )
            elif shorter != whole:
                self.shortened[task] += 1
        return [fitted.get((r.task_name or "", text), text) for r, text in requests]

    def _tokens(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Token ids by text; every distinct text is tokenised once, what is new in one batch."""
        distinct = dict.fromkeys(text for text in texts if text)
        new = [text for text in distinct if text not in self._known]
        if new:
            self._known |= self.local.token_ids(new, True)
        return {text: self._known[text] for text in distinct}

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        return self.local.loglikelihoods([(before, said) for _, before, said in requests])

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[float]:
        """Log-probability of whole texts, in disjoint windows of the model's context."""
        pairs, owners = [], []
        for number, request in enumerate(requests):
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.local.context,
                context_len=1,
            )
            for window in windows:
                pairs.append(make_disjoint_window(window))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, (value, _) in zip(owners, self.local.loglikelihoods(pairs), strict=True):
            totals[number] += value
        return totals

    # ---- generation -----------------------------------------------------------------------------

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Answers in the order of the requests; requests with equal settings run together."""
        answers = [""] * len(requests)
        for members in with_equal_settings(requests):
            made = self._generated([requests[i] for i in members])
            for i, text in zip(members, made, strict=True):
                answers[i] = text
        return answers

    def _generated(self, requests: Sequence[Instance]) -> list[str]:
        task, given = requests[0].task_name or "", dict(requests[0].args[1])
        is_asked = given.pop("ask", False)
        settings: Any = normalize_gen_kwargs(given)
        refuse_unknown(task, settings)
        tokens = self.max_new_tokens.get(task, int(settings["max_gen_toks"]))
        texts: list[str | None] = [request.args[0] for request in requests]
        most = self.local.context
        if not self.local.reads_apart:
            most -= min(tokens, max(1, self.local.context // 2))
        if is_asked:
            if not self.local.is_chat:
                raise InputError(
                    f"Task {task!r} asks in a chat template, which {self.local.name} lacks.",
                    "Choose the task's plain form.",
                )
            prompts: list[Any] = self.local.prompt_ids([r.args[0] for r in requests])
        elif task in self.shorter:
            texts = self._fitting(
                [(r, r.args[0]) for r in requests], lambda task: self.local.context - most
            )
            prompts = self._encoded([text or "" for text in texts])
        else:
            prompts = self._encoded([r.args[0] for r in requests])
            if not self.local.reads_apart and self.local.context > tokens:
                most = self.local.context - tokens  # as lm-eval has it, however short that is
            self.cut[task] += sum(len(prompt) > most for prompt in prompts)
            prompts = [prompt[-most:] for prompt in prompts]
        for i, prompt in enumerate(prompts):
            if task in self.shorter and len(prompt) > most:
                texts[i] = None
                self.unscored[requests[i].args[0]] = (
                    f"does not fit the model's context of {self.local.context} tokens"
                )
        kept = [i for i, text in enumerate(texts) if text is not None]
        sampled = bool(settings["do_sample"])
        made = self.local.generate(
            [prompts[i] for i in kept],
            max_new_tokens=tokens,
            temperature=float(settings.get("temperature", 1.0)) if sampled else 0.0,
            top_p=float(settings.get("top_p", 1.0)) if sampled else 1.0,
            seed=int(settings.get("seed", 0)),
            stop=[stop for stop in settings["until"] if stop],
        )
        answers = [""] * len(requests)
        for i, one in zip(kept, made, strict=True):
            drops = task not in self.shorter and self._drops_space and one.text.startswith(" ")
            answers[i] = one.text[1:] if drops else one.text
        return answers

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """Prompts as token ids; a start token that is written is not doubled."""
        known = self._tokens(text for text in texts if not self._is_begun(text))
        return [known[t] if t in known else self.tok_encode(t) for t in texts]

    @cached_property
    def _drops_space(self) -> bool:
        """Whether the tokenizer, decoding an answer by itself, drops its first space.

        Those of Llama 2 do. lm-eval decodes so, we decode behind the prompt and keep the space.
        """
        ids = self.tokenizer("a a", add_special_tokens=False)["input_ids"]
        whole, last = self.tokenizer.decode(ids), self.tokenizer.decode(ids[-1:])
        return len(ids) > 1 and whole.endswith(" a") and last == "a"


def refuse_unknown(task: str, settings: Mapping[str, Any]) -> None:
    """Raise InputError for generation settings that would change answers and that we lack."""
    known = {"until", "max_gen_toks", "do_sample", "temperature", "top_p", "seed"}
    for name, value in settings.items():
        is_idle = name in UNUSED_IF_GREEDY and not settings["do_sample"]
        if name not in known and not is_idle and NEUTRAL.get(name) != value and value is not None:
            raise InputError(
                f"lm-eval's task {task!r} generates with {name}={value!r}, not known here.",
                f"Known: {', '.join(sorted(known))}. Leave it out in a task of your own.",
            )
