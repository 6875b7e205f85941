"""What a chat completion says: a reply for each choice, or why none can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from veneer.models.api.entries import Usage
from veneer.models.asking import Reply, ended


@dataclass(frozen=True)
class Read:
    """A response as read. `trouble` says why it is no answer; then there are no replies.

    `usage` counts the tokens of the whole response, None where the endpoint does not say.
    """

    replies: tuple[Reply, ...] = ()
    usage: Usage | None = None
    id: str = ""
    model: str = ""
    trouble: str = ""
    without_logprobs: bool = False


def read_completion(
    body: bytes | str | Mapping[str, Any], *, limit: int, logprobs: bool = False
) -> Read:
    """Read a `chat.completion`.

    Args:
        body: as it came, or parsed.
        limit: the token limit that was asked for, for the reason of a truncated answer.
        logprobs: whether they were asked for; `without_logprobs` tells that some lack them.
    """
    if not isinstance(body, Mapping):
        try:
            body = json.loads(body)
        except (ValueError, UnicodeDecodeError):
            return Read(trouble="the reply is not JSON")
    if not isinstance(body, Mapping):
        return Read(trouble="the reply is not a JSON object")
    usage = _usage(body.get("usage"))
    kind, choices = body.get("object", "chat.completion"), body.get("choices")
    if kind != "chat.completion":
        return Read(usage=usage, trouble=f"the reply is a {kind!r}, not a chat completion")
    for name in ("id", "model"):
        if not isinstance(body.get(name), str) or not body[name]:
            return Read(usage=usage, trouble=f"the reply has no {name}")
    if not isinstance(choices, list) or not choices:
        return Read(usage=usage, trouble="the reply has no choices")
    try:
        ordered = sorted(choices, key=lambda choice: choice.get("index", 0))
        replies = [_reply(choice, limit) for choice in ordered]
    except (AttributeError, KeyError, TypeError, ValueError):
        return Read(usage=usage, trouble="a choice of the reply has another shape")
    told = [r.logprob for r in replies if r.outcome in ("answered", "truncated") and r.text]
    lacking = logprobs and None in told
    return Read(
        tuple(_counted(replies, usage)),
        usage=usage,
        id=body["id"],
        model=body["model"],
        without_logprobs=lacking,
    )


def _reply(choice: Mapping[str, Any], limit: int) -> Reply:
    message = choice["message"]
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise TypeError("content is no text")
    finish = choice.get("finish_reason") or "stop"
    if finish in ("tool_calls", "function_call"):
        raise ValueError("a call of a tool that was not offered")
    if refusal:
        reply = Reply(refusal.strip(), "refused", "the model refused")
    else:
        reply = ended(content or "", finish, limit)
    return Reply(reply.text, reply.outcome, reply.reason, logprob=_logprob(choice))


def _logprob(choice: Mapping[str, Any]) -> float | None:
    """Mean over the tokens of a choice (nats), None where they are not given."""
    given = choice.get("logprobs")
    tokens = given.get("content") if isinstance(given, Mapping) else None
    if not tokens:
        return None
    values = [float(token["logprob"]) for token in tokens]
    return sum(values) / len(values)


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, Mapping):
        return None
    asked, said = given.get("prompt_tokens"), given.get("completion_tokens")
    if not isinstance(asked, int) or not isinstance(said, int) or asked < 0 or said < 0:
        return None
    return Usage(asked, said, usd=None)


def _counted(replies: list[Reply], usage: Usage | None) -> list[Reply]:
    """Replies with their tokens: those of the prompt are each reply's, the completion's are
    shared out by length in characters, so that they add up to what was counted."""
    if usage is None:
        return replies
    lengths = [len(reply.text) + 1 for reply in replies]
    counted, given, seen = [], 0, 0
    for reply, length in zip(replies, lengths, strict=True):
        seen += length
        upto = usage.completion_tokens * seen // sum(lengths)
        counted.append(
            Reply(
                reply.text,
                reply.outcome,
                reply.reason,
                usage.prompt_tokens,
                upto - given,
                reply.logprob,
            )
        )
        given = upto
    return counted
