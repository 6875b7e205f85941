"""What people who distil do not want to teach: answers that name their maker, and refusals.

Where such phrases are collected: the word lists by which "unfiltered" ShareGPT and WizardLM sets
were made ("as a language model", "my knowledge cutoff", "I cannot fulfill your request"), and the
card of UltraChat 200k, which drops answers with "I do not have emotions" or "I don't have
opinions". Those lists match anywhere and reject good answers with them ("ethical", "important
to"). The patterns here are our own: an identity needs a first person, so that an answer *about*
OpenAI or language models stays; a refusal stands at the beginning of an answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from veneer.corpus.filters.keywords import compiled
from veneer.corpus.rows import where_kept

if TYPE_CHECKING:
    import pyarrow as pa

_MAKERS = (
    r"(?:Open\s?AI|Anthropic|Google(?:\s+DeepMind)?|DeepMind|Meta(?:\s+AI)?|Microsoft|Mistral(?:\s"
    r"?AI)?|Alibaba(?:\s+Cloud)?|DeepSeek|Cohere|xAI|LMSYS|Large Model Systems Organization)"
)
_NAMES = (
    r"(?:Chat\s?GPT|GPT-?\s?[345][\w.]*|Claude|Bard|Gemini|Bing Chat|Copilot|LLaMA|Llama|Mistral|"
    r"Qwen|Tongyi Qianwen|DeepSeek|Grok|Vicuna|MOSS)"
)
_KIND = r"(?:AI|A\.I\.|artificial intelligence|large|language|machine[- ]learning|virtual)"
_MODEL = r"(?:language\s+model|AI\s+model|assistant|chat\s?bot|AI|LLM)"

IDENTITY: dict[str, str] = {
    "as an AI": rf"\bas (?:an?|your) (?:{_KIND}[- ,]*)+(?:{_MODEL})?\b"
    r"(?!\s+(?:tool|researcher|engineer|developer|company|expert|student|scientist))"
    r"(?:[^.!?\n]{0,80}?\b(?:I|me|my)\b)",
    "I am an AI": rf"\bI(?:['’]m| am) (?:just |only |simply |merely )?an? (?:{_KIND}[- ]*)*"
    rf"{_MODEL}\b(?!\s+(?:researcher|engineer|developer|company|expert|student|scientist))",
    "I am NAME": rf"\b(?:I(?:['’]m| am)|my name is|you can call me)\s+"
    rf"(?:{_NAMES}|OpenAI)\b",
    "made by MAKER": r"\b(?:I (?:was|am|have been)|I['’](?:m|ve been))\s[^.!?\n]{0,60}?"
    r"(?:trained|developed|created|built|made|designed)\s+by\s+"
    rf"(?:the (?:team|researchers|engineers) at\s+)?{_MAKERS}\b",
    "MAKER's model": r"\b(?:language model|assistant|chat\s?bot|AI|model),?\s+"
    rf"(?:(?:that|which) (?:is|was)\s+)?"
    rf"(?:trained|developed|created|built|made|designed)\s+by\s+{_MAKERS}\b",
    "knowledge cutoff": r"\bmy (?:knowledge|training(?: data)?)(?:\s+\w+)? "
    r"(?:cut-?\s?off|only goes up to|was last updated)",
    "no feelings": r"\bI (?:do not|don['’]t|cannot|can['’]t) (?:have|possess|experience|feel)\s+"
    r"(?:any\s+)?(?:personal\s+|human\s+|subjective\s+)*"
    r"(?:feelings|emotions|opinions|beliefs|consciousness|experiences)\b",
    "作为AI": r"作为(?:一个|一名|一款)?\s*(?:AI|人工智能|大型|语言模型|聊天机器人)|"
    r"我是(?:一个|一名|一款)?\s*(?:AI|人工智能|语言模型|ChatGPT|MOSS)",
}
"""What an answer says of itself: name of the pattern → regular expression, in any case."""

REFUSALS: dict[str, str] = {
    "sorry": r"\A\W*(?:(?:I['’]?m|I am)\s+(?:very |so |really |truly )?sorry|sorry|"
    r"I apologi[sz]e|my apologies|unfortunately)\b[^.!?\n]{0,120}?\b"
    r"(?:can(?:no|['’])t|can not|unable|not able|won['’]t|will not|"
    r"not (?:comfortable|allowed|permitted|appropriate)|"
    r"(?:don['’]t|do not) have (?:access|enough|real-?time|the (?:ability|capability)))",
    "cannot": r"\A\W*(?:as an? [^.!?\n]{0,60}?,\s*)?I\s+"
    r"(?:cannot|can['’]t|can not|won['’]t|will not|am (?:unable|not able) to|"
    r"must (?:decline|refuse))\b"
    r"(?!\s+(?:wait|help (?:but|it|the)|stress|emphasi[sz]e|recommend .{0,20}enough|agree more))",
    "I'm unable": r"\A\W*I['’]m (?:unable|not able)\b",
    "not appropriate": r"\A[^.!?\n]{0,80}\bit (?:is|would be|['’]s) (?:not|in|un)\s?"
    r"(?:appropriate|ethical)\b",
    "对不起": r"\A\W*(?:对不起|抱歉|很抱歉|非常抱歉)[^。！？\n]{0,40}(?:无法|不能|没有办法|没办法)",
}
"""How an answer that is none begins: name of the pattern → regular expression, in any case."""


def reject_identity(batch: pa.RecordBatch, extra: Sequence[str] = ()) -> pa.RecordBatch:
    """Reject rows an answer of which says what made it ("identity: I am NAME").

    `extra`: more regular expressions, used as they are; a bad one is an InputError.
    """
    return _reject(batch, "identity", _patterns(IDENTITY, extra))


def reject_refusals(batch: pa.RecordBatch, extra: Sequence[str] = ()) -> pa.RecordBatch:
    """Reject rows with an answer that begins as refusals do ("refusal: sorry").

    An answer that goes on after its apology and does what was asked is rejected too: count first.
    """
    return _reject(batch, "refusal", _patterns(REFUSALS, extra))


def answers_with_identity(batch: pa.RecordBatch, extra: Sequence[str] = ()) -> Counter[str]:
    """How many kept rows each identity pattern would reject; a row counts under its first."""
    return _count(batch, _patterns(IDENTITY, extra))


def answers_with_refusal(batch: pa.RecordBatch, extra: Sequence[str] = ()) -> Counter[str]:
    """How many kept rows each refusal pattern would reject; a row counts under its first."""
    return _count(batch, _patterns(REFUSALS, extra))


def identity_in(text: str) -> str:
    """The first identity pattern that an answer fits, "" where it fits none."""
    return _found([text], _patterns(IDENTITY, ()))


def refusal_in(text: str) -> str:
    """The first refusal pattern that an answer fits, "" where it fits none."""
    return _found([text], _patterns(REFUSALS, ()))


Patterns = list[tuple[str, "re.Pattern[str]"]]


def _patterns(own: dict[str, str], extra: Sequence[str]) -> Patterns:
    return [(name, re.compile(text, re.IGNORECASE)) for name, text in own.items()] + compiled(
        patterns=extra
    )


def _first(row: dict[str, Any], patterns: Patterns) -> str:
    said = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
    return _found(said, patterns)


def _found(said: Sequence[str], patterns: Patterns) -> str:
    for name, pattern in patterns:
        if any(pattern.search(text) for text in said):
            return name
    return ""


def _reject(batch: pa.RecordBatch, what: str, patterns: Patterns) -> pa.RecordBatch:
    def judge(row: dict[str, Any]) -> str:
        name = _first(row, patterns)
        return f"{what}: {name}" if name else ""

    return where_kept(batch, judge)


def _count(batch: pa.RecordBatch, patterns: Patterns) -> Counter[str]:
    named = (_first(row, patterns) for row in batch.to_pylist() if not row["reason"])
    return Counter(name for name in named if name)
