"""Self-Instruct's requests, what is read from the replies, and which instructions are fit.

The rules are those of the published code (`bootstrap_instructions.py` of Wang et al., 2022): 4 to
150 words, no word of a list of things that a language model cannot make, not "Write a program",
no punctuation or character beyond ASCII at the start.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.files import read_records
from veneer.teacher.parsing import CUT_OFF, NEITHER, Broken, parse
from veneer.teacher.tasks import Side, Task

SHORTEST, LONGEST = 4, 150
"""Words of an instruction."""
KEYWORDS = (
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
    "draw",
    "plot",
    "go to",
    "video",
    "audio",
    "music",
    "flowchart",
    "diagram",
)
"""Whole words, case aside: thirteen of Self-Instruct's code and the five that Alpaca added."""
NO_INPUT = frozenset({"", "none", "n/a", "<noinput>", "noinput", "no input"})

_KEYWORD = re.compile(r"\b(?:" + "|".join(map(re.escape, KEYWORDS)) + r")\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?:^|\n)[ \t]*(?:task[ \t]*)?\d+[ \t]?[.):][ \t]+", re.IGNORECASE)
_FIELD = re.compile(
    r"^[ \t]*(?:\d+[ \t]?[.)][ \t]*)?\**(instruction|input|output)[ \t]*:\**[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_INSTANCE = Task(
    name="instance",
    instruction="",
    input=Side(field="input", labels=("Input",)),
    output=Side(field="output", labels=("Output",)),
    parsing="blocks",
)


@dataclass(frozen=True)
class SeedTask:
    """A human task: an instruction with an example, whose input may be empty."""

    instruction: str
    input: str = ""
    output: str = ""


@dataclass(frozen=True)
class Made:
    """A generated task and the request that it came from."""

    instruction: str
    input: str = ""
    output: str = ""
    origin: str = ""

    @property
    def question(self) -> str:
        """What the student is asked."""
        return f"{self.instruction}\n{self.input}" if self.input else self.instruction


def read_seed_tasks(path: Path, fewest: int) -> list[SeedTask]:
    """Human tasks from rows {"instruction", "input", "output"} or Self-Instruct's `instances`.

    Raises:
        InputError: a row has no instruction, or there are fewer than a request shows.
    """
    tasks: list[SeedTask] = []
    for record in read_records(path):
        row = record.value if isinstance(record.value, Mapping) else {}
        found: Any = row.get("instruction")
        if not isinstance(found, str) or not found.strip():
            raise InputError(
                f"{path}, {record.at}: not a seed task.",
                'Write each line as {"instruction": "…", "input": "…", "output": "…"}.',
            )
        instances = row.get("instances")
        example = instances[0] if isinstance(instances, list) and instances else row
        if not isinstance(example, Mapping):
            example = {}
        given, said = (str(example.get(name) or "") for name in ("input", "output"))
        tasks.append(SeedTask(found, given, said))
    tasks = list(dict.fromkeys(tasks))
    if len(tasks) < fewest:
        raise InputError(
            f"{path} has {len(tasks)} seed tasks; a request shows {fewest} of them.",
            "Add seed tasks (Self-Instruct began with 175).",
        )
    return tasks


def unfit(instruction: str) -> str:
    """Which rule is against an instruction, or nothing."""
    words = len(instruction.split())
    if words < SHORTEST:
        return f"fewer than {SHORTEST} words"
    if words > LONGEST:
        return f"more than {LONGEST} words"
    if _KEYWORD.search(instruction):
        return "names what a language model cannot make"
    if instruction.startswith("Write a program"):
        return 'starts with "Write a program"'
    if instruction[0] in string.punctuation:
        return "starts with punctuation"
    if not instruction[0].isascii():
        return "starts with a character that is not ASCII"
    return ""


# ---- requests ---------------------------------------------------------------------------


def bootstrap_request(shown: Sequence[str]) -> str:
    """A numbered list to go on with."""
    lines = [f"{n}. {_line(text)}" for n, text in enumerate(shown, 1)]
    return "\n".join(["Come up with a series of tasks:", *lines, f"{len(shown) + 1}."])


def instance_request(shown: Sequence[SeedTask], instruction: str) -> str:
    """A request for one example of an instruction, after some worked ones."""
    head = (
        "Write one example for the last task below: an input that it is about, and the output "
        'that it asks for. If the instruction says all there is, write "Input: none".'
    )
    parts = [head]
    for task in shown:
        parts.append(
            f"Task: {_line(task.instruction)}\nInput: {task.input or 'none'}\nOutput: {task.output}"
        )
    return "\n\n".join([*parts, f"Task: {_line(instruction)}"])


def alpaca_request(shown: Sequence[SeedTask]) -> str:
    """A request for whole tasks after some whole ones."""
    head = (
        "Continue this list of 20 different tasks for a language model. Vary verbs, forms and "
        "subjects; mix questions and orders. Each instruction is one or two sentences in English "
        "that a model can answer in text alone. Give a realistic input of at most 100 words where "
        'the instruction needs one, "<noinput>" where it does not, and an output of at most 100 '
        'words. Keep the form and write "###" between tasks.'
    )
    parts = [head]
    for n, task in enumerate(shown, 1):
        parts.append(
            f"###\n{n}. Instruction: {_line(task.instruction)}\n{n}. Input:\n"
            f"{task.input or '<noinput>'}\n{n}. Output:\n{task.output}"
        )
    return "\n".join([*parts, f"###\n{len(shown) + 1}. Instruction:"])


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(":")


# ---- replies ----------------------------------------------------------------------------


def parse_instructions(reply: str, cut_off: bool = False) -> tuple[list[str], list[Broken]]:
    """The instructions of a numbered list, and (reason, text) of what is none.

    The reply may go on behind the number that the request ends with, or number its own. A first
    part that ends in a colon is talk before the list. With `cut_off` the last is incomplete.
    """
    parts = [" ".join(part.split()) for part in _NUMBER.split(reply)]
    broken: list[Broken] = []
    if cut_off and parts and parts[-1]:
        broken.append((CUT_OFF, parts.pop()))
    if parts and parts[0].endswith(":"):
        broken.insert(0, (NEITHER, parts.pop(0)))
    return [part[0].upper() + part[1:] for part in parts if part], broken


def parse_instances(
    reply: str, cut_off: bool = False
) -> tuple[list[tuple[str, str]], list[Broken]]:
    """(input, output) of each example; a missing input is empty."""
    text = reply if re.match(r"\s*\**Input\s*:", reply) else f"Input: none\n{reply}"
    if not re.search(r"^\s*\**Output\s*:", text, re.MULTILINE):
        return [], [("no output", reply)] if not cut_off else [(CUT_OFF, reply)]
    pairs, broken = parse(_INSTANCE, text, cut_off)
    return [(_input(given), said) for given, said in pairs], broken


def parse_alpaca(reply: str, cut_off: bool = False) -> tuple[list[Made], list[Broken]]:
    """Whole tasks between "###", and (reason, text) of what is none."""
    parts = reply.split("###")
    made: list[Made] = []
    broken: list[Broken] = []
    for k, part in enumerate(parts):
        text = part.strip()
        if cut_off and k == len(parts) - 1:
            if text:
                broken.append((CUT_OFF, text))
            continue
        if not text:
            continue
        # The request ends in "Instruction:", so the first task may begin behind it.
        if k == 0 and not re.match(r"\s*(?:\d+[ \t]?[.)])?[ \t]*\**instruction", text, re.I):
            text = f"Instruction: {text}"
        cells = _FIELD.split(text)
        names = [name.lower() for name in cells[1::2]]
        if names != ["instruction", "input", "output"] or cells[0].strip():
            broken.append(("not one instruction, input and output", part.strip()))
            continue
        instruction, given, said = (cell.strip() for cell in cells[2::2])
        instruction = " ".join(instruction.split())
        if instruction:
            made.append(Made(instruction, _input(given), said))
        else:
            broken.append(("no instruction", part.strip()))
    return made, broken


def _input(text: str) -> str:
    return "" if text.strip().lower().rstrip(".") in NO_INPUT else text.strip()
