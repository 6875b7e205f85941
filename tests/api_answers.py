"""What the test server says: the answer to each prompt, and the provider's words for errors.

An answer is known from its prompt, so a test can tell the right answer without the server:
`answer_to("hello")`, `answer_to("hello", sample=1)`. A token is four characters.

A prompt may ask for an ending: "[refuse]" the refusal field, "[stop]" finish_reason
content_filter, "[empty]" no text, "[filter]" HTTP 400 content_filter, "[long]" HTTP 400
context_length_exceeded, "[words 300]" an answer of 300 words.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

REFUSAL = "I'm sorry, I can't help with that."


def sha(value: Any) -> str:
    """16 hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def tokens(text: str) -> int:
    return math.ceil(len(text) / 4)


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    return 3 + sum(4 + tokens(text_of(message.get("content"))) for message in messages)


def answer_to(
    messages: str | list[dict[str, Any]],
    sample: int = 0,
    seed: int | None = None,
    temperature: float | None = None,
) -> str:
    """The whole answer. The seed matters only where there is something to draw."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    turns = [[m["role"], text_of(m.get("content"))] for m in messages]
    said = f"echo {sha(turns)} sample {sample}"
    if seed is not None and temperature != 0:
        said += f" seed {seed}"
    wanted = re.search(r"\[words (\d+)\]", turns[-1][1])
    if wanted:
        said += "".join(f" word{i}" for i in range(int(wanted[1]) - len(said.split())))
    return said


def choice(
    body: dict[str, Any], index: int, sample: int, ending: str, logprobs: bool
) -> dict[str, Any]:
    """One entry of `choices`, cut off at the token limit as a real server does."""
    content: str | None = answer_to(
        body["messages"], sample, body.get("seed"), body.get("temperature")
    )
    refusal, finish = None, "stop"
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if ending == "refusal":
        content, refusal = None, REFUSAL
    elif ending == "content_filter":
        content, finish = (content or "")[:12], "content_filter"
    elif ending == "empty":
        content = ""
    elif limit and tokens(content or "") > limit:
        content, finish = (content or "")[: 4 * limit], "length"
    made: dict[str, Any] = {
        "index": index,
        "message": {
            "role": "assistant",
            "content": content,
            "refusal": refusal,
            "annotations": [],
        },
        "logprobs": None,
        "finish_reason": finish,
    }
    if body.get("logprobs") and logprobs and content is not None:
        pieces = [content[i : i + 4] for i in range(0, len(content), 4)]
        made["logprobs"] = {
            "content": [
                {
                    "token": piece,
                    "logprob": logprob(content, i),
                    "bytes": list(piece.encode()),
                    "top_logprobs": [],
                }
                for i, piece in enumerate(pieces)
            ],
            "refusal": None,
        }
    return made


def logprob(content: str, position: int) -> float:
    """The log-probability of the token at `position`, in nats."""
    return math.log(0.05 + 0.95 * uniform("logprob", content, position))


def completion(
    body: dict[str, Any], id: str, created: int, ending: str, ignores_n: bool, logprobs: bool
) -> dict[str, Any]:
    """A `chat.completion` object with its usage."""
    n = 1 if ignores_n else int(body.get("n") or 1)
    choices = [choice(body, i, i, ending, logprobs) for i in range(n)]
    asked = prompt_tokens(body["messages"])
    said = sum(
        tokens(c["message"]["content"] or "") + tokens(c["message"]["refusal"] or "")
        for c in choices
    )
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": body["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_" + sha(body["model"])[:10],
    }


def asked_ending(messages: list[dict[str, Any]]) -> str:
    """The ending a prompt asks for by a mark, "" for none."""
    text = text_of(messages[-1].get("content"))
    marks = {
        "[refuse]": "refusal",
        "[stop]": "content_filter",
        "[empty]": "empty",
        "[filter]": "400 content_filter",
        "[long]": "400 context_length_exceeded",
    }
    return next((ending for mark, ending in marks.items() if mark in text), "")


# ---- errors, in the provider's words ---------------------------------------------------


def error(
    message: str, type: str | None, code: str | None = None, param: str | None = None, **more: Any
) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code, **more}}


def refused_prompt(ending: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of an HTTP 400 for a prompt that is not answered at all."""
    if ending == "400 content_filter":
        return error(
            "The response was filtered due to the prompt triggering the content management "
            "policy. Please modify your prompt and retry.",
            None,
            "content_filter",
            "prompt",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation"},
        )
    return error(
        "This model's maximum context length is 128000 tokens. However, your messages resulted "
        f"in {128000 + prompt_tokens(messages)} tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    )


def wrong_key(given: str) -> dict[str, Any]:
    shown = given[:8] + "*" * max(0, len(given) - 12) + given[-4:] if len(given) > 12 else "****"
    return error(
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    )


def no_model(model: object) -> dict[str, Any]:
    return error(
        f"The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    )


def no_quota() -> dict[str, Any]:
    return error(
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, read the docs: "
        "https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "insufficient_quota",
        "insufficient_quota",
    )


def too_fast(model: str, what: str, limit: float, cost: float, wait: float) -> dict[str, Any]:
    unit = "requests per min (RPM)" if what == "requests" else "tokens per min (TPM)"
    return error(
        f"Rate limit reached for {model} in organization org-test on {unit}: Limit {limit:.0f}, "
        f"Used {limit:.0f}, Requested {cost:.0f}. Please try again in {span(wait)}. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
        what,
        "rate_limit_exceeded",
    )


def span(seconds: float) -> str:
    """A duration as the rate limit headers write it: "120ms", "1.5s", "6m0s"."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{math.ceil(seconds % 60)}s"


def broken_server(status: int) -> dict[str, Any]:
    if status == 503:
        return error(
            "The engine is currently overloaded, please try again later", "server_error", None
        )
    return error(
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
    )
