"""Tasks to synthesise data for: how a request reads and how a reply is read back.

A template is a YAML or JSON file; `templates/` holds the built-in ones:

    name: sql
    instruction: I want you to generate …          # may name {values}
    values: {schema: "…"}
    input: {field: question, labels: [Question, Q]}
    output: {field: sql, labels: [SQL]}
    parsing: code                                   # lines, blocks or code; see `parsing`
    code: sql                                       # language of the code blocks
    ask: "{schema}\\n{question}"                     # what the student is asked; default: the input
    shots: 5
    seeds: [{question: …, sql: …}]                  # used where no seeds are given

The first label is written, all are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from veneer.errors import InputError
from veneer.files import read_records

TEMPLATES = Path(__file__).parent / "templates"
BUILT_IN = tuple(sorted(path.stem for path in TEMPLATES.glob("*.yaml")))

Pair = tuple[str, str]
"""An input and its output."""

_PLACE = re.compile(r"\{(\w+)\}")


class Strict(BaseModel):
    """A frozen part of a template; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(Strict):
    """One side of a pair: its field in seed files and its labels in requests and replies."""

    field: str
    labels: tuple[str, ...] = Field(min_length=1)


class Task(Strict):
    """A task by template; see the module's text."""

    name: str
    instruction: str
    input: Side
    output: Side
    parsing: Literal["lines", "blocks", "code"] = "lines"
    code: str = ""
    ask: str = ""
    values: dict[str, str] = Field(default_factory=dict)
    shots: int = Field(default=5, ge=1)
    seeds: tuple[dict[str, str], ...] = ()

    @model_validator(mode="after")
    def _fields_are_known(self) -> Task:
        for text, known in (
            (self.instruction, set(self.values)),
            (self.ask, {*self.values, self.input.field}),
        ):
            for name in _PLACE.findall(text):
                if name not in known:
                    raise ValueError(f"{{{name}}} has no value; known: {', '.join(sorted(known))}")
        for seed in self.seeds:
            if set(seed) != {self.input.field, self.output.field}:
                raise ValueError(f"a seed has the fields {sorted(seed)}")
        return self

    @property
    def pairs(self) -> list[Pair]:
        """The built-in seeds."""
        return [(seed[self.input.field], seed[self.output.field]) for seed in self.seeds]

    def request(self, shots: Sequence[Pair]) -> str:
        """The prompt around some seed pairs; for `nq` the paper's Table 4."""
        gap = "\n" if self.parsing == "lines" else "\n\n"
        return gap.join([_filled(self.instruction, self.values), *map(self.shown, shots)])

    def shown(self, pair: Pair) -> str:
        """A pair as a request shows it."""
        asked, answered = f"{self.input.labels[0]}:", f"{self.output.labels[0]}:"
        if self.parsing == "code":
            return f"{asked} {pair[0]}\n{answered}\n```{self.code}\n{pair[1]}\n```"
        return f"{asked} {pair[0]}\n{answered} {pair[1]}"

    def question(self, pair: Pair) -> str:
        """What the student will be asked."""
        if not self.ask:
            return pair[0]
        return _filled(self.ask, {**self.values, self.input.field: pair[0]})


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text)


def load_task(given: str | Mapping[str, Any] | Task, values: Mapping[str, str] = {}) -> Task:
    """A task by built-in name, path of a template, or its fields; `values` replace its own.

    Raises:
        InputError: no such template, or it says something that no task can mean.
    """
    if isinstance(given, Task):
        content: Any = given.model_dump()
    elif isinstance(given, str):
        content = _read(given)
    else:
        content = dict(given)
    if not isinstance(content, dict):
        raise InputError(f"{given} holds no template.", "Start it with:  name: my-task")
    if values:
        content = {**content, "values": {**(content.get("values") or {}), **values}}
    try:
        return Task.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        name = content.get("name") or given
        raise InputError(
            f"Template {name}: {where + ': ' if where else ''}{message}.",
            f"Known keys: {', '.join(Task.model_fields)}.",
        ) from error


def _read(given: str) -> Any:
    path = TEMPLATES / f"{given}.yaml" if given in BUILT_IN else Path(given)
    if not path.is_file():
        raise InputError(
            f"There is no template {given!r}: neither a file nor a built-in one.",
            f"Built in: {', '.join(BUILT_IN)}.",
        )
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{given} is not YAML: {error}", "Mend the line it names.") from error


def read_seeds(path: Path, task: Task) -> list[Pair]:
    """Seed pairs from rows in the task's field names; other fields are left alone.

    Raises:
        InputError: a row has no such fields, or there are fewer than a request shows.
    """
    pairs: list[Pair] = []
    names = (task.input.field, task.output.field)
    for record in read_records(path):
        fields = record.value if isinstance(record.value, Mapping) else {}
        found = [fields.get(name) for name in names]
        if not all(isinstance(text, str | int | float) and str(text).strip() for text in found):
            raise InputError(
                f"{path}, {record.at}: not a seed pair.",
                f'Write each line as {{"{names[0]}": "…", "{names[1]}": "…"}}.',
            )
        pairs.append((str(found[0]), str(found[1])))
    return enough(pairs, task, str(path))


def enough(pairs: list[Pair], task: Task, where: str) -> list[Pair]:
    """The pairs, if a request can be made of them; two equal ones count once."""
    pairs = list(dict.fromkeys(pairs))
    if len(pairs) < task.shots:
        raise InputError(
            f"{where} has {len(pairs)} seed pairs; a request shows {task.shots}.",
            "Add seed pairs (the paper used ten).",
        )
    return pairs
