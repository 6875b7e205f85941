"""Questions as a judge on this machine can be asked them, in his own chat template.

Endpoints keep texts and control tokens apart; a tokenizer reads "<|im_end|>" in a text as the end
of a turn, so that an answer could speak for the user, or for the judge. And some templates
(Gemma's) refuse system messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from veneer.models.asking import Model
from veneer.records import Message

Conversation = tuple[Message, ...]


def as_it_can_be_asked(model: Model, conversations: Sequence[Conversation]) -> list[Conversation]:
    """Conversations whose texts spell no control token of the judge's ("<|im_end|>" becomes
    "< |im_end|>"), with the system message at the head of the question where his template takes
    none. Those for an endpoint are as they were.
    """
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None or not getattr(model, "is_chat", False):
        return list(conversations)
    control = _control_tokens(tokenizer)
    takes_system = _takes_system(tokenizer)
    return [_fitted(messages, control, takes_system) for messages in conversations]


def _fitted(messages: Conversation, control: Sequence[str], takes_system: bool) -> Conversation:
    if not takes_system and messages[0].role == "system":
        system, user, *rest = messages
        asked = Message(role="user", content=f"{system.content}\n\n{user.content}")
        messages = (asked, *rest)
    return tuple(Message(role=m.role, content=_broken(m.content, control)) for m in messages)


def _control_tokens(tokenizer: Any) -> list[str]:
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    named = {str(token) for token in tokenizer.all_special_tokens}
    named |= {token.content for token in added if token.special}
    return sorted((token for token in named if len(token) > 1), key=len, reverse=True)


def _takes_system(tokenizer: Any) -> bool:
    from jinja2 import TemplateError

    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    try:
        tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except TemplateError:
        return False
    return True


def _broken(text: str, control: Sequence[str]) -> str:
    for token in control:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
