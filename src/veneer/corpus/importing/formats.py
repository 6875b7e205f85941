"""The shapes of records met in the wild, told apart by their fields, record by record.

{"prompt", "text", "model", "outcome"}               answers that `veneer` collected
{"messages" | "conversations" | "items" |            turns: {"role", "content"} or {"from",
 "conversation" | "dialogue": [turn, …]}             "value"}, [question, answer] pairs or
                                                     {"human", "assistant"} pairs
{"turns": [text, …]}                                 questions only (MT-bench)
{"data": [text, …]}                                  question and answer in turn (UltraChat)
{"chat": {"turn_1": {"Human", "MOSS", …}}}           MOSS 003; {"plain_text"}: MOSS before it
{"human_0", "gpt_1", "human_2", …}                   Koala
{"question", "chatgpt_answers", "human_answers"}     HC3: a dialogue for each ChatGPT answer
{"question", "cypher", "database"}                   query: question, newline, database
{"instruction", "instances": [{"input", "output"}]}  Self-Instruct: a dialogue an instance
{"instruction", "input", "output" | "response"}      Alpaca; query: instruction, newline, input
{"prompt", "completion" | "response" | …}            TRL (texts or lists of turns), Discord
{"question" | "query" | "input" | "user" | "human",  pairs
 "answer" | "output" | "response" | "assistant" | …}
{"text" | "prompt" | "question" | "instruction"}     a query without an answer
[question, answer]                                   a pair as a list
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from veneer.corpus.importing import markup
from veneer.corpus.importing.roles import role_of
from veneer.corpus.importing.turns import Turn

TURNS = ("messages", "conversations", "conversation", "items", "dialogue", "dialog")
SCRAPED = ("conversations", "items")
WHO = ("role", "from", "speaker", "author")
WHAT = ("content", "value", "text")
ASKED = ("prompt", "question", "query", "input", "user", "human")
SAID = ("completion", "response", "output", "answer", "reply", "generation", "assistant", "gpt",
        "chatgpt", "bot", "model_output")  # fmt: skip
ALONE = ("text", *ASKED)

AGAIN = "another answer to the same question"
HUMAN_ANSWERS = "human answers left out"
CALLS = "a tool call kept as JSON text"
THOUGHTS = "inner thoughts of the model"


class NoDialogue(Exception):
    """A record that cannot be read as turns; its text is the reason."""


@dataclass
class Conversation:
    """Turns as they stand in a record. `reason`: why they are no dialogue, where that is known
    before they are looked at. `cut`: texts left out, each "reason\\ttext"."""

    turns: list[Turn]
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


def conversations(record: Any) -> list[Conversation]:
    """The conversations of one record, at least one.

    Raises:
        NoDialogue: "not an object", "no known fields: a, b, c", "unknown role 'x'", or what is
            wrong with its turns.
    """
    if isinstance(record, list) and len(record) == 2 and all(isinstance(x, str) for x in record):
        return [Conversation(_pair(*record))]
    if not isinstance(record, dict):
        raise NoDialogue("not an object")
    for read in READERS:
        found = read(record)
        if found is not None:
            return found
    names = [str(name)[:30] for name in list(record)[:6]] + ["…"] * (len(record) > 6)
    raise NoDialogue(f"no known fields: {', '.join(names)}" if names else "no fields")


# ---- lists of turns -------------------------------------------------------------------------


def _from_turns(record: dict[str, Any]) -> list[Conversation] | None:
    name = next((name for name in TURNS if name in record), None)
    if name is None:
        return None
    talk = Conversation([])
    for key in ("system", "system_prompt"):
        if isinstance(record.get(key), str) and record[key].strip():
            talk.turns.append(("system", record[key]))
            break
    _add_turns(talk, record[name])
    if name in SCRAPED:
        talk.turns, converted = markup.as_markdown(talk.turns)
        talk.notes += [markup.NOTE] * converted
    return [talk]


def _add_turns(talk: Conversation, turns: Any) -> None:
    if isinstance(turns, str) and turns.lstrip().startswith("["):  # a column of JSON text
        try:
            turns = json.loads(turns)
        except ValueError:
            raise NoDialogue("turns are no list") from None
    if turns is None:
        turns = []
    if not isinstance(turns, list):
        raise NoDialogue("turns are no list")
    for turn in turns:
        if isinstance(turn, list) and len(turn) == 2:
            talk.turns += _pair(_text(turn[0]), _text(turn[1]))
        elif isinstance(turn, dict) and "human" in turn and "assistant" in turn:
            talk.turns += _pair(_text(turn["human"]), _text(turn["assistant"]))
        elif isinstance(turn, dict):
            _add_turn(talk, turn)
        else:
            raise NoDialogue("a turn without role and content")


def _add_turn(talk: Conversation, turn: dict[str, Any]) -> None:
    who = next((name for name in WHO if name in turn), None)
    what = next((name for name in WHAT if name in turn), None)
    calls = next((turn[n] for n in ("tool_calls", "function_call") if turn.get(n)), None)
    if who is None or (what is None and calls is None):
        raise NoDialogue("a turn without role and content")
    name = turn[who]
    if isinstance(name, dict):
        name = name.get("role", "")
    known = role_of(str(name))
    if known is None:
        raise NoDialogue(f"unknown role {str(name)[:40]!r}")
    role, note = known
    text = _text(turn[what]) if what else ""
    if calls is not None:
        written = json.dumps(calls, ensure_ascii=False, default=str)
        text = f"{text}\n\n{written}" if text.strip() else written
        talk.notes.append(CALLS)
    talk.turns.append((role, text))
    talk.notes += [note] if note else []


def _from_questions(record: dict[str, Any]) -> list[Conversation] | None:
    turns = record.get("turns")
    if not isinstance(turns, list):
        return None
    if all(isinstance(turn, str) for turn in turns):
        return [Conversation([("user", turn) for turn in turns])]
    talk = Conversation([])
    _add_turns(talk, turns)
    return [talk]


def _from_alternating(record: dict[str, Any]) -> list[Conversation] | None:
    data = record.get("data")
    if not isinstance(data, list) or not data or not all(isinstance(each, str) for each in data):
        return None
    return [Conversation([(("user", "assistant")[k % 2], text) for k, text in enumerate(data)])]


# ---- MOSS and Koala -------------------------------------------------------------------------

_MOSS_START = re.compile(r"\A\s*<\|[^|>]*\|>:\s*")
_MOSS_END = re.compile(r"\s*<eo[a-z]>\s*\Z")
_MOSS_PLAIN = re.compile(r"(?:\[(Human|MOSS)\]|<\|(Human|MOSS)\|>):\s*")
_NUMBERED = re.compile(r"turn_(\d+)")
_KOALA = re.compile(r"(human|user|gpt|chatgpt|assistant|bot|bing|system)_(\d+)")


def _from_moss(record: dict[str, Any]) -> list[Conversation] | None:
    chat, plain = record.get("chat"), record.get("plain_text")
    talk = Conversation([])
    said_first = record.get("meta_instruction") or record.get("prefix")
    if isinstance(said_first, str) and said_first.strip():
        talk.turns.append(("system", said_first.strip()))
    if isinstance(chat, dict) and any(_NUMBERED.fullmatch(name) for name in chat):
        numbered = {int(m[1]): v for k, v in chat.items() if (m := _NUMBERED.fullmatch(k))}
        for _, turn in sorted(numbered.items()):
            if not isinstance(turn, dict):
                raise NoDialogue("a turn without role and content")
            _add_moss_turn(talk, turn)
        return [talk]
    if isinstance(plain, str):
        _, *parts = _MOSS_PLAIN.split(plain)
        for bracketed, barred, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            role = "user" if (bracketed or barred) == "Human" else "assistant"
            talk.turns.append((role, _MOSS_END.sub("", text)))
        return [talk]
    return None


def _add_moss_turn(talk: Conversation, turn: dict[str, Any]) -> None:
    said = {
        name: _MOSS_END.sub("", _MOSS_START.sub("", _text(text))) for name, text in turn.items()
    }
    said = {name: "" if text.strip() == "None" else text for name, text in said.items()}
    talk.turns.append(("user", said.get("Human", "")))
    if thoughts := said.get("Inner Thoughts"):
        talk.cut.append(f"{THOUGHTS}\t{thoughts}")
    if said.get("Commands"):
        talk.turns.append(("assistant", said["Commands"]))
        talk.notes.append("role 'commands' read as assistant")
    if said.get("Tool Responses"):
        talk.turns.append(("user", said["Tool Responses"]))
        talk.notes.append("role 'tool responses' read as user")
    talk.turns.append(("assistant", said.get("MOSS", "")))


def _from_koala(record: dict[str, Any]) -> list[Conversation] | None:
    found = sorted(
        (int(match[2]), match[1], name) for name in record if (match := _KOALA.fullmatch(str(name)))
    )
    if not found:
        return None
    talk = Conversation([])
    for _, who, name in found:
        _add_turn(talk, {"role": who, "content": record[name]})
    return [talk]


# ---- a question and its answer --------------------------------------------------------------


def _from_hc3(record: dict[str, Any]) -> list[Conversation] | None:
    if "question" not in record or "chatgpt_answers" not in record:
        return None
    question, answers = _text(record["question"]), record["chatgpt_answers"]
    if isinstance(answers, str):
        answers = [answers]
    if not isinstance(answers, list):
        raise NoDialogue("answers are no list")
    talks = [Conversation(_pair(question, _text(answer))) for answer in answers]
    talks = talks or [Conversation([("user", question)])]
    if record.get("human_answers"):
        talks[0].notes.append(HUMAN_ANSWERS)
    return talks


def _from_cypher(record: dict[str, Any]) -> list[Conversation] | None:
    if "question" not in record or "cypher" not in record:
        return None
    asked = _with_input(record["question"], record.get("database"))
    return [Conversation(_pair(asked, _text(record["cypher"])))]


def _from_instruction(record: dict[str, Any]) -> list[Conversation] | None:
    if "instruction" not in record:
        return None
    instruction = record["instruction"]
    instances = record.get("instances")
    if isinstance(instances, list) and instances:
        talks = []
        for instance in instances:
            if not isinstance(instance, dict):
                raise NoDialogue("an instance that is no object")
            asked = _with_input(instruction, instance.get("input"))
            talks.append(Conversation(_pair(asked, _text(instance.get("output")))))
        return talks
    asked = _with_input(instruction, record.get("input") or record.get("context"))
    said = next((name for name in SAID if name in record), None)
    if said is None:
        return [Conversation([("user", asked)])]
    talk = Conversation([])
    system = record.get("system")
    if isinstance(system, str) and system.strip():
        talk.turns.append(("system", system))
    return [_answered(talk, asked, record[said])]


def _from_pair(record: dict[str, Any]) -> list[Conversation] | None:
    asked = next((name for name in ASKED if name in record), None)
    said = next((name for name in SAID if name in record), None)
    if asked is None or said is None:
        return None
    talk = Conversation([])
    question, answer = record[asked], record[said]
    if isinstance(question, list):
        _add_turns(talk, question)
        if isinstance(answer, list):
            _add_turns(talk, answer)
        else:
            talk.turns.append(("assistant", _text(answer)))
        return [talk]
    if isinstance(answer, list) and answer and all(isinstance(each, dict) for each in answer):
        talk.turns.append(("user", _text(question)))
        _add_turns(talk, answer)
        return [talk]
    return [_answered(talk, _text(question), answer)]


def _answered(talk: Conversation, asked: str, answer: Any) -> Conversation:
    talk.turns.append(("user", asked))
    if isinstance(answer, str) or answer is None:
        talk.turns.append(("assistant", answer or ""))
    else:
        several = isinstance(answer, list)
        talk.reason = "several answers in a list" if several else "an answer that is no text"
    return talk


def _from_query(record: dict[str, Any]) -> list[Conversation] | None:
    name = next((name for name in ALONE if name in record), None)
    if name is None or "answer_id" in record:  # a row of answers whose questions are elsewhere
        return None
    if isinstance(record[name], list):
        talk = Conversation([])
        _add_turns(talk, record[name])
        return [talk]
    return [Conversation([("user", _text(record[name]))])]


def _pair(asked: str, said: str) -> list[Turn]:
    return [("user", asked), ("assistant", said)]


def _with_input(asked: Any, given: Any) -> str:
    extra = _text(given)
    return f"{_text(asked)}\n{extra}" if extra.strip() else _text(asked)


def _text(value: Any) -> str:
    """Text, or the text parts of a list of parts; null is empty text."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        texts = []
        for part in value:
            if not isinstance(part.get("text"), str):
                raise NoDialogue(f"a turn with a part of type {str(part.get('type'))[:30]!r}")
            texts.append(part["text"])
        return "\n".join(texts)
    if not isinstance(value, str):
        raise NoDialogue("a turn that is no text")
    return value


READERS: tuple[Callable[[dict[str, Any]], list[Conversation] | None], ...] = (
    _from_turns,
    _from_moss,
    _from_questions,
    _from_alternating,
    _from_koala,
    _from_hc3,
    _from_cypher,
    _from_instruction,
    _from_pair,
    _from_query,
)
