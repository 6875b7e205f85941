"""lm-eval's view of a model that can only be asked, such as one behind an endpoint.

Every prompt of a task goes out as a user's message. Log-probabilities of given texts are not to
be had, so tasks that choose among options cannot run; `benchmark` says so item by item. Where
answers are drawn, a repeated prompt asks for another sample.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.utils import normalize_gen_kwargs

from veneer.errors import InputError
from veneer.models.asking import Ask, Model, out_of_budget
from veneer.records import UNHEARD, Message


def with_equal_settings(requests: Sequence[Instance]) -> list[list[int]]:
    """Places of generation requests that belong to one task and have the same settings."""
    groups: dict[str, list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault(repr((request.task_name, request.args[1])), []).append(i)
    return list(groups.values())


TURNS = "conversation: "
"""What a prompt begins with that is a conversation in JSON."""


def _messages(text: str) -> tuple[Message, ...]:
    if not text.startswith(TURNS):
        return (Message(role="user", content=text),)
    return tuple(Message.model_validate(turn) for turn in json.loads(text.removeprefix(TURNS)))


class AskedHarness(LM):
    """An lm-eval model that asks.

    `unscored` maps a prompt to the reason why it has no answer, once it was asked.

    Args:
        model: whatever can be asked.
        max_new_tokens: task name → tokens, in place of the task's own limit.
    """

    def __init__(self, model: Model, max_new_tokens: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.model = model
        self.max_new_tokens = dict(max_new_tokens or {})
        self.unscored: dict[str, str] = {}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Answers in the order of the requests, each up to its first stop."""
        answers = [""] * len(requests)
        for members in with_equal_settings(requests):
            task, given = requests[members[0]].task_name or "", requests[members[0]].args[1]
            settings: Any = normalize_gen_kwargs(given)
            texts = [requests[i].args[0] for i in members]
            for i, said in zip(members, self._said(texts, settings, task), strict=True):
                answers[i] = said
        return answers

    @property
    def tokenizer_name(self) -> str:
        """A name for lm-eval's request caches."""
        return self.model.name.replace("/", "__")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as a prompt that `generate_until` reads back turn by turn."""
        return TURNS + json.dumps(chat_history, ensure_ascii=False)

    def _said(self, texts: list[str], settings: Mapping[str, Any], task: str) -> list[str]:
        stops = [stop for stop in settings["until"] if stop]
        asked_before: Counter[str] = Counter()
        asks = []
        for text in texts:
            asks.append(Ask(_messages(text), asked_before[text]))
            asked_before[text] += bool(settings["do_sample"])
        replies = self.model.ask(
            asks,
            max_new_tokens=self.max_new_tokens.get(task, int(settings["max_gen_toks"])),
            temperature=float(settings.get("temperature") or 0.0),
            top_p=float(settings.get("top_p") or 1.0) if settings["do_sample"] else 1.0,
        )
        asked = [reply for reply in replies if reply is not None]
        if len(asked) < len(texts):
            raise out_of_budget(self.model, len(asked), len(texts))
        said = []
        for text, reply in zip(texts, asked, strict=True):
            if reply.outcome in UNHEARD:
                self.unscored[text] = f"{reply.outcome}: {reply.reason}"
            ends = [at for stop in stops if (at := reply.text.find(stop)) >= 0]
            said.append(reply.text[: min(ends, default=len(reply.text))])
        return said

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> Any:
        """Refused: an endpoint does not score given texts."""
        raise InputError(
            f"{self.model.name} gives no log-probabilities of given texts.",
            "Leave measures that choose among options to models that run here.",
        )

    loglikelihood_rolling = loglikelihood
