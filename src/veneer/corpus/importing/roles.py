"""Who speaks: the names that data sets give to the roles, and what became of the odd ones.

A call of a function is something the model writes and its result something the model is given,
so the first becomes an assistant turn and the second a user turn; both are noted.
"""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["system", "user", "assistant"]

USER = {"user", "human", "prompter", "question"}
ASSISTANT = {
    "assistant", "gpt", "chatgpt", "bing", "bard", "model", "bot", "chatbot", "ai", "llm",
    "claude", "gemini", "moss", "answer",
}  # fmt: skip
SYSTEM = {"system", "developer", "system_prompt"}
CALLS = {"function_call", "tool_call", "tool_calls"}
RESULTS = {
    "observation", "function", "function_response", "function_result", "tool", "tool_response",
    "tool_result", "ipython", "environment",
}  # fmt: skip

_GPT = re.compile(r"(chat)?gpt[-_.\w]*")


def role_of(name: str) -> tuple[Role, str] | None:
    """The role that a data set's name for a speaker means, and a note where it is odd.

    None for a name that is not known: the record is not guessed at.
    """
    folded = name.strip().lower().replace("-", "_").replace(" ", "_")
    if folded in USER:
        return "user", ""
    if folded in ASSISTANT or _GPT.fullmatch(folded):
        return "assistant", ""
    if folded in SYSTEM:
        return "system", ""
    if folded in CALLS:
        return "assistant", f"role {folded!r} read as assistant"
    if folded in RESULTS:
        return "user", f"role {folded!r} read as user"
    return None
