"""lm-eval's view of a local model: the field's own harness over our fast scorer and generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from veneer.errors import InputError
from veneer.measure.asked_harness import with_equal_settings
from veneer.models.local import LocalModel

Shorter = Callable[[dict[str, Any], str], str | None]


class Harness(TemplateLM):
    """An lm-eval model that computes shared prefixes once and generates in static batches.

    Generation settings may hold `ask: true`: the text is a user's message and is asked in the
    model's own template.

    Args:
        local: the model.
        max_new_tokens: task name → tokens, in place of the task's own limit.
        shorter: task name → function of (document, prompt) that gives a prompt with one worked
            example less, or None. Used while a prompt does not fit the model's context.
    """

    def __init__(
        self,
        local: LocalModel,
        max_new_tokens: Mapping[str, int] | None = None,
        shorter: Mapping[str, Shorter] | None = None,
    ) -> None:
        super().__init__()
        self.local = local
        self.tokenizer: Any = local.tokenizer
        self.max_new_tokens = dict(max_new_tokens or {})
        self.shorter = dict(shorter or {})

    @property
    def eot_token_id(self) -> int:
        """A token that ends an answer."""
        return min(self.local.ends) if self.local.ends else 0

    @property
    def prefix_token_id(self) -> int:
        """What stands for an empty context."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    @property
    def tokenizer_name(self) -> str:
        """A name for lm-eval's request caches."""
        return self.local.name.replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Token ids; the tokenizer's own start token unless told otherwise."""
        special = True if add_special_tokens is None else add_special_tokens
        return list(self.tokenizer(string, add_special_tokens=special)["input_ids"])

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """(log-probability, greedy) a request; not a number where even no shots fit the model.

        Split as lm-eval's `_encode_pair` does; see `LocalModel.pair_ids`.
        """
        texts = self._fitting(requests)
        asked = self.local.pair_ids(
            [
                (text, request.args[1])
                for text, request in zip(texts, requests, strict=True)
                if text is not None
            ]
        )
        found = iter(self.local.loglikelihoods(asked))
        return [(math.nan, False) if text is None else next(found) for text in texts]

    def _fitting(self, requests: Sequence[Instance]) -> list[str | None]:
        """The requests' prompts, with worked examples dropped until each fits the context."""
        room = self.local.context - 4  # the continuation, and a start token
        droppable = [r for r in requests if (r.task_name or "") in self.shorter]
        lengths = {text: len(i) for text, i in self._tokens(r.args[0] for r in droppable).items()}
        fitted: dict[str, str | None] = {}
        for request in droppable:
            drop, text = self.shorter[request.task_name or ""], request.args[0]
            if text in fitted:
                continue
            while text is not None:
                if text not in lengths:
                    lengths[text] = len(self.tok_encode(text))
                if lengths[text] <= room:
                    break
                text = drop(request.doc, text)
            fitted[request.args[0]] = text
        return [fitted.get(r.args[0], r.args[0]) for r in requests]

    def _tokens(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Token ids by text; every distinct text is tokenised once, in one batch."""
        distinct = list(dict.fromkeys(text for text in texts if text))
        if not distinct:
            return {}
        return dict(zip(distinct, self.tokenizer(distinct)["input_ids"], strict=True))

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        return self.local.loglikelihoods([(before, said) for _, before, said in requests])

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[float]:
        """Log-probability of whole texts, in disjoint windows of the model's context."""
        totals = []
        for request in requests:
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.local.context,
                context_len=1,
            )
            pairs = [make_disjoint_window(window) for window in windows]
            totals.append(sum(value for value, _ in self.local.loglikelihoods(pairs)))
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Answers in the order of the requests; requests with equal settings run together."""
        answers = [""] * len(requests)
        for members in with_equal_settings(requests):
            first = requests[members[0]]
            texts = [requests[i].args[0] for i in members]
            made = self._generated(texts, dict(first.args[1]), first.task_name or "")
            for i, text in zip(members, made, strict=True):
                answers[i] = text
        return answers

    def _generated(self, texts: Sequence[str], settings: dict[str, Any], task: str) -> list[str]:
        until = settings.get("until") or []
        sampled = bool(settings.get("do_sample", False))
        if settings.get("ask"):
            if not self.local.is_chat:
                raise InputError(
                    f"Task {task!r} asks in a chat template, which {self.local.name} lacks.",
                    "Choose the task's plain form.",
                )
            prompts = self.local.prompt_ids(texts)
        else:
            prompts = self.tokenizer(list(texts))["input_ids"]
        made = self.local.generate(
            prompts,
            max_new_tokens=self.max_new_tokens.get(task, int(settings.get("max_gen_toks", 256))),
            temperature=float(settings.get("temperature", 1.0)) if sampled else 0.0,
            top_p=float(settings.get("top_p", 1.0)) if sampled else 1.0,
            seed=int(settings.get("seed", 0)),
            stop=[until] if isinstance(until, str) else list(until),
        )
        return [one.text for one in made]
