"""From turns as they were read to a dialogue: what is cut off is kept with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

JOINED = "a turn joined with the one before by the same speaker"
EMPTY_TURN = "an empty turn"
BEFORE = "answer before any question"
AFTER = "no answer after it"

Turn = tuple[str, str]
"""(role, content); the role is system, user or assistant."""


@dataclass
class Shaped:
    """Turns of a dialogue, or all turns as they were read and the reason why they are none.

    trimmed: turns cut off, each "reason\\ttext"; empty where there is a reason.
    """

    turns: list[Turn]
    reason: str = ""
    trimmed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def shaped(turns: Sequence[Turn]) -> Shaped:
    """A dialogue out of turns: system turns, then questions and answers, the last an answer.

    Empty turns are removed; answers before the first question and what follows the last answer
    are cut off; turns of one speaker in a row are joined with a blank line. Reasons why there
    is no dialogue: "no turns", "empty query" (no user turn has text), "no answer".
    """
    if not turns:
        return Shaped([], "no turns")
    filled = [turn for turn in turns if turn[1].strip()]
    trimmed = [f"{EMPTY_TURN}\t{content}" for _, content in turns if not content.strip()]
    questions = [at for at, (role, _) in enumerate(filled) if role == "user"]
    if not questions:
        return Shaped(list(turns), "empty query")
    answers = [at for at, (role, _) in enumerate(filled) if role == "assistant"]
    if not answers or answers[-1] < questions[0]:
        return Shaped(list(turns), "no answer")
    kept: list[Turn] = []
    notes = []
    for at, (role, content) in enumerate(filled):
        if role == "assistant" and at < questions[0]:
            trimmed.append(f"{BEFORE}\t{content}")
        elif at > answers[-1]:
            trimmed.append(f"{AFTER}\t{content}")
        elif kept and kept[-1][0] == role:
            kept[-1] = (role, f"{kept[-1][1]}\n\n{content}")
            notes.append(JOINED)
        else:
            kept.append((role, content))
    return Shaped(kept, "", trimmed, notes)
