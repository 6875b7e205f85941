"""Read pairs back from what a teacher wrote; what is none ends with its reason.

    lines   a pair is a line "Q: …" followed by a line "A: …"
    blocks  each part runs on to the next label, over blank lines
    code    the output is a code block, or the lines up to a blank one

Labels may be numbered ("3. Q: …") and bold ("**Q:** …"). Inside a code block nothing is a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from veneer.teacher.tasks import Pair, Task

LONE_INPUT = "question without an answer"
LONE_OUTPUT = "answer without a question"
EMPTY = "empty question or answer"
NEITHER = "neither a question nor an answer"
CUT_OFF = "cut off at the token limit"
AROUND = "text around a code block"
OPEN = "code block without an end"

Broken = tuple[str, str]
"""A reason and the text it is about."""

_FENCE = "```"


def parse(task: Task, reply: str, cut_off: bool = False) -> tuple[list[Pair], list[Broken]]:
    """The pairs in a reply, and (reason, text) of what is none.

    With `cut_off` the reply ended at its token limit, so what it was writing is not used: the
    last line of "lines", the last pair otherwise.
    """
    reading = _Reading(_label(task.input.labels), _label(task.output.labels), task.input.labels[0])
    if task.parsing == "lines":
        return reading.lines(reply, cut_off)
    return reading.blocks(reply, cut_off, code=task.parsing == "code")


def _label(labels: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(label) for label in labels)
    return re.compile(rf"\s*(?:\d+[.)]\s*)?\**(?:{names})\s*:\**\s*(.*?)\s*$")


@dataclass
class _Part:
    """A pair while it is read: lines of its input and, once its label came, of its output."""

    asked: list[str]
    answered: list[str] | None = None


@dataclass
class _Reading:
    input: re.Pattern[str]
    output: re.Pattern[str]
    label: str
    pairs: list[Pair] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    def lines(self, reply: str, cut_off: bool) -> tuple[list[Pair], list[Broken]]:
        lines = [line for line in reply.splitlines() if line.strip()]
        last = lines.pop() if cut_off and lines else None
        question: str | None = None
        for line in lines:
            asked, answered = self.input.match(line), self.output.match(line)
            if asked:
                if question is not None:
                    self.broken.append((LONE_INPUT, f"{self.label}: {question}"))
                question = asked[1]
            elif answered and question is not None:
                if question and answered[1]:
                    self.pairs.append((question, answered[1]))
                else:
                    self.broken.append((EMPTY, f"{self.label}: {question}\n{line}"))
                question = None
            elif answered:
                self.broken.append((LONE_OUTPUT, line))
            else:
                self.broken.append((NEITHER, line))
        if last is not None:
            text = last if question is None else f"{self.label}: {question}\n{last}"
            self.broken.append((CUT_OFF, text))
        elif question is not None:
            self.broken.append((LONE_INPUT, f"{self.label}: {question}"))
        return self.pairs, self.broken

    def blocks(self, reply: str, cut_off: bool, code: bool) -> tuple[list[Pair], list[Broken]]:
        part: _Part | None = None
        fenced = False
        stray: list[str] = []
        for line in reply.splitlines():
            asked = None if fenced else self.input.match(line)
            answered = None if fenced else self.output.match(line)
            if _fence(line):
                fenced = not fenced
            if asked:
                self._close(part, code)
                self._stray(stray, NEITHER)
                part = _Part([asked[1]] if asked[1] else [])
            elif answered and part is not None and part.answered is None:
                part.answered = [answered[1]] if answered[1] else []
                fenced = _fence(answered[1])
            elif answered:
                self._close(part, code)
                self._stray(stray, NEITHER)
                part = None
                self.broken.append((LONE_OUTPUT, line))
            elif part is None:
                stray.append(line)
            else:
                (part.asked if part.answered is None else part.answered).append(line)
        self._stray(stray, NEITHER)
        if cut_off and part is not None:
            self.broken.append((CUT_OFF, self._text(part)))
        else:
            self._close(part, code)
        return self.pairs, self.broken

    def _close(self, part: _Part | None, code: bool) -> None:
        """A part is over: it is a pair, or the reason why not."""
        if part is None:
            return
        if part.answered is None:
            self.broken.append((LONE_INPUT, self._text(part)))
            return
        asked = "\n".join(part.asked).strip()
        around: list[str] = []
        answered: str | None = "\n".join(part.answered).strip()
        if code:
            answered, around = _code(part.answered)
        if answered is None:
            self.broken.append((OPEN, self._text(part)))
        elif asked and answered:
            self.pairs.append((asked, answered))
            self._stray(around, AROUND)
        else:
            self.broken.append((EMPTY, self._text(part)))

    def _stray(self, lines: list[str], reason: str) -> None:
        text = "\n".join(lines).strip()
        lines.clear()
        if text:
            self.broken.append((reason, text))

    def _text(self, part: _Part) -> str:
        asked = f"{self.label}: " + "\n".join(part.asked)
        return "\n".join([asked, *(part.answered or [])]).strip()


def _fence(line: str) -> bool:
    """Whether a line opens or closes a code block; one that does both does neither."""
    return line.lstrip().startswith(_FENCE) and line.count(_FENCE) % 2 == 1


def _code(lines: list[str]) -> tuple[str | None, list[str]]:
    """(code, other lines): the first code block, or the lines up to a blank one.

    None where a code block has no end.
    """
    fences = [n for n, line in enumerate(lines) if _fence(line)]
    if len(fences) == 1:
        return None, []
    if fences:
        begin, end = fences[0], fences[1]
        return "\n".join(lines[begin + 1 : end]).strip("\n"), [*lines[:begin], *lines[end + 1 :]]
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    code = "\n".join(lines[start:end]).strip()
    quoted = re.fullmatch(r"(`+)([^`]+)\1", code)
    return (quoted[2].strip() if quoted else code), [*lines[:start], *lines[end:]]
