"""lm-eval's own vLLM backend in place of ours, where vLLM is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from veneer.errors import InputError


def vllm_harness(path: str, **settings: Any) -> Any:
    """An lm-eval model in vLLM, for log-likelihoods and generation.

    It takes `max_new_tokens` ({task: tokens}) as ours does, and asks in the model's own template
    where a task's generation settings say `ask: true`. What does not fit the model's context
    loses its beginning, as in lm-eval: no worked examples are dropped.

    Raises:
        InputError: vLLM is not installed.
    """
    if find_spec("vllm") is None:
        raise InputError("The engine vllm is not installed.", "pip install vllm")
    from lm_eval.models.vllm_causallms import VLLM

    class VllmHarness(VLLM):  # type: ignore[misc, unused-ignore]
        max_new_tokens: dict[str, int] = {}  # noqa: RUF012

        def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
            for request in requests:
                text, given = request.args
                given = dict(given)
                if given.pop("ask", False):
                    turns = [{"role": "user", "content": text}]
                    text = self.apply_chat_template(turns)
                tokens = self.max_new_tokens.get(request.task_name or "")
                if tokens is not None:
                    given["max_gen_toks"] = tokens
                request.arguments = (text, given)
            return super().generate_until(requests, disable_tqdm=disable_tqdm)

    return VllmHarness(pretrained=path, **settings)
