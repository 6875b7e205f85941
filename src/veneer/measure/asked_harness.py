"""lm-eval's view of a model that can only be asked, such as one behind an endpoint.

Every prompt of a task goes out as a user's message. Log-probabilities of given texts are not to
be had, so tasks that choose among options cannot run; `benchmark` says so item by item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from veneer.errors import InputError
from veneer.models.asking import Ask, Model, out_of_budget
from veneer.records import UNHEARD


def with_equal_settings(requests: Sequence[Instance]) -> list[list[int]]:
    """Places of generation requests that belong to one task and have the same settings."""
    groups: dict[str, list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault(repr((request.task_name, request.args[1])), []).append(i)
    return list(groups.values())


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
            task, settings = requests[members[0]].task_name or "", requests[members[0]].args[1]
            texts = [requests[i].args[0] for i in members]
            for i, said in zip(members, self._said(texts, settings, task), strict=True):
                answers[i] = said
        return answers

    def _said(self, texts: list[str], settings: Mapping[str, Any], task: str) -> list[str]:
        until = settings.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        replies = self.model.ask(
            [Ask.of(text) for text in texts],
            max_new_tokens=self.max_new_tokens.get(task, int(settings.get("max_gen_toks", 256))),
            temperature=float(settings.get("temperature", 0.0)),
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
