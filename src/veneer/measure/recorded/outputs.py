"""What models answered, from the files that evaluation tools leave behind.

Shapes read, plain or gzipped, JSON array or JSONL:
- AlpacaEval `{instruction, output, generator}`;
- MT-bench answers `{question_id, model_id, choices: [{turns}]}` (a row a turn);
- Vicuna answers `{answer_id, model_id, question_id, text}`;
- QLoRA generations `{question_id, text, generation, generation_truncated}` (the answer is
  the truncated one, cut where the model went on to talk to itself);
- any `{prompt | instruction [+ input] | question, output | response | completion | answer |
  continuation | generation}`;
- Veneer's own answers `{prompt, text, model, sample, outcome, reason}`: of several samples of a
  prompt the lowest counts, and an answer that failed stays failed.

Answers are known by their prompt's text, or by `question_id` where a file has no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row, own_row, read_rows_of
from veneer.measure.recorded.naming import contradicts, same_model, stem_of
from veneer.records import Answer, Outcome

MODEL_FIELDS = ("generator", "model_id", "model", "model_name")
ANSWER_FIELDS = (
    "output", "response", "completion", "answer", "continuation", "generation_truncated",
    "generation",
)  # fmt: skip
PROMPT_FIELDS = ("instruction", "prompt", "question", "query")
SHAPES = (
    'Known shapes: {"instruction", "output", "generator"}, {"question_id", "model_id", "choices"}, '
    '{"question_id", "answer_id", "text"}, {"prompt", "output"}.'
)


@dataclass(frozen=True)
class Said:
    """One answer as found: what it answers is known by text, by question and turn, or both."""

    prompt: str | None
    question: tuple[str, int] | None
    answer: str | None
    answer_id: str = ""
    category: str = ""
    outcome: Outcome = "answered"
    reason: str = ""


Reader = Callable[[Path, Row], Iterable[Said]]


@dataclass(frozen=True)
class Outputs:
    """A file of one model's answers. `model` is what its fields say, else what was claimed."""

    path: Path
    model: str
    said: tuple[Said, ...]
    named_inside: bool
    repeated: int = 0
    notes: tuple[str, ...] = field(default=())

    def answers(self) -> tuple[Answer, ...]:
        """As records. An empty or missing answer is a row with its outcome and reason."""
        return tuple(_answer(self.model, one) for one in self.said)


def split_claim(given: str) -> tuple[str | None, Path]:
    """`NAME=FILE` or `FILE`. A file that exists under the whole text is meant as a file."""
    name, equals, rest = given.partition("=")
    if equals and rest and name and "/" not in name and not Path(given).exists():
        return name, Path(rest)
    return None, Path(given)


def read_outputs(path: Path, claimed: str | None = None) -> Outputs:
    """Read one model's answers.

    Args:
        path: the file.
        claimed: the model that it is said to belong to; a file whose own fields name
            another is refused with both names. A version after a colon may be left out
            of the claim ("vicuna-13b" for "vicuna-13b:20230322"). Without a claim, a file
            that is plainly called after another model is refused likewise.

    Raises:
        InputError: as in `files`, and for unknown shapes, several models in one file, or
            a model other than the one claimed.
    """
    return outputs_of(path, read_rows_of(path), claimed)


def outputs_of(
    path: Path, rows: Sequence[Row], claimed: str | None = None, every: bool = False
) -> Outputs:
    """`read_outputs` of rows at hand, at least one; `every`: all answers to a prompt are kept."""
    inside = model_in(path, rows, claimed)
    read = _reader(path, rows[0])
    if read is _own:
        rows = sorted(rows, key=_sample)
    found = [one for row in rows for one in read(path, row)]
    first: dict[Any, Said] = {}
    for one in found:
        first.setdefault(one.prompt if one.prompt is not None else one.question, one)
    said = tuple(found if every else first.values())
    return Outputs(
        path=path,
        model=inside or claimed or stem_of(path),
        said=said,
        named_inside=inside is not None,
        repeated=len(found) - len(said),
    )


def model_in(path: Path, rows: Sequence[Row], claimed: str | None = None) -> str | None:
    """The model that the rows of a file name, if they name one; errors as `read_outputs`."""
    names = Counter(name for row in rows if (name := _model(row.fields)))
    if len(names) > 1:
        told = ", ".join(f"{name} ({count} rows)" for name, count in names.most_common())
        raise InputError(
            f"{path} mixes the answers of several models: {told}.", "Give one file a model."
        )
    inside = next(iter(names), None)
    if claimed is not None and inside is not None and not same_model(claimed, inside):
        raise InputError(
            f"{path} says that it belongs to {inside!r}, not to {claimed!r} as claimed.",
            f"Give the file of {claimed!r}, or claim {inside!r}.",
        )
    if claimed is None and inside is not None and contradicts(path, inside):
        raise InputError(
            f"{path} is called after {stem_of(path)!r}, but says that it belongs to {inside!r}.",
            f"Give the right file, or write {inside}=FILE if that is the model you mean.",
        )
    return inside


def holds_answers(fields: Mapping[str, Any]) -> bool:
    """Whether a row with these fields is of a shape that is read here."""
    return _reader_of(fields) is not None


def with_prompts(files: Sequence[Outputs], questions: Path | None = None) -> list[Outputs]:
    """Give answers that know only their `question_id` the prompt's text.

    The text comes from the question file `{question_id, text | turns}`, else from any of
    the other files that has both; where nobody knows it, "question ID" stands for it in
    every file, so that answers still meet on the id.
    """
    texts: dict[tuple[str, int], str] = {}
    kinds: dict[str, str] = {}
    if questions is not None:
        for row in read_rows_of(questions):
            number = str(row.fields.get("question_id", ""))
            turns = row.fields.get("turns") or [row.fields.get("text")]
            if not number or not all(isinstance(turn, str) for turn in turns):
                raise InputError(
                    f"{questions}, {row.at}: not a question.",
                    'Each row needs "question_id" and "text" or "turns".',
                )
            for k in range(len(turns)):
                texts[number, k] = "\n\n".join(turns[: k + 1])
            kinds[number] = str(row.fields.get("category") or "")
    for one in (said for file in files for said in file.said):
        if one.question is not None and one.prompt is not None:
            texts.setdefault(one.question, one.prompt)
    return [
        replace(file, said=tuple(_completed(one, texts, kinds) for one in file.said))
        for file in files
    ]


def prompt_of(said: Said) -> str:
    """The prompt's text, or what stands for it."""
    if said.prompt is not None:
        return said.prompt
    number, turn = said.question or ("", 0)
    return f"question {number}" + (f", turn {turn + 1}" if turn else "")


def _answer(model: str, said: Said) -> Answer:
    text = said.answer or ""
    outcome, reason = said.outcome, said.reason
    if said.answer is None:
        outcome, reason = "failed", "the file holds no answer"
    elif outcome == "answered" and not text.strip():
        outcome, reason = "empty", "the answer is empty"
    return Answer(
        prompt=prompt_of(said),
        text=text,
        model=model,
        outcome=outcome,
        reason=reason,
        category=said.category,
    )


def _completed(said: Said, texts: dict[tuple[str, int], str], kinds: dict[str, str]) -> Said:
    if said.question is None:
        return said
    prompt = said.prompt if said.prompt is not None else texts.get(said.question)
    category = said.category or kinds.get(said.question[0], "")
    return replace(said, prompt=prompt, category=category)


def _model(fields: dict[str, Any]) -> str | None:
    for name in MODEL_FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _reader(path: Path, row: Row) -> Reader:
    read = _reader_of(row.fields)
    if read is None:
        raise InputError(
            f"{path}, {row.at}: no answers in the fields {_listed(row.fields)}.", SHAPES
        )
    return read


def _reader_of(fields: Mapping[str, Any]) -> Reader | None:
    if isinstance(fields.get("choices"), list) and "question_id" in fields:
        return _mt_bench
    if {"prompt", "text", "outcome"} <= set(fields):
        return _own
    answered = any(name in fields for name in ANSWER_FIELDS)
    if "question_id" in fields and "text" in fields:
        return _generation if answered else _vicuna
    if answered and ("question_id" in fields or any(name in fields for name in PROMPT_FIELDS)):
        return _plain
    return None


def _mt_bench(path: Path, row: Row) -> Iterable[Said]:
    choices = row.fields.get("choices") or [{}]
    turns = choices[0].get("turns") if isinstance(choices[0], dict) else None
    if not isinstance(turns, list) or not turns or "question_id" not in row.fields:
        raise _misfit(path, row, '"question_id" and "choices": [{"turns": […]}]')
    number = str(row.fields["question_id"])
    for k, turn in enumerate(turns):
        answer = turn if isinstance(turn, str) else None
        identity = str(row.fields.get("answer_id") or "") if k == 0 else ""
        yield Said(None, (number, k), answer, identity, _category(row))


def _vicuna(path: Path, row: Row) -> Iterable[Said]:
    if "question_id" not in row.fields or "text" not in row.fields:
        raise _misfit(path, row, '"question_id" and "text"')
    yield Said(
        None,
        (str(row.fields["question_id"]), 0),
        _text(path, row, "text"),
        str(row.fields.get("answer_id") or ""),
        _category(row),
    )


def _generation(path: Path, row: Row) -> Iterable[Said]:
    name = next((n for n in ANSWER_FIELDS if n in row.fields), None)
    prompt = row.fields.get("text")
    if name is None or not isinstance(prompt, str) or "question_id" not in row.fields:
        raise _misfit(path, row, '"question_id", "text" and "generation"')
    identity = str(row.fields.get("answer_id") or "")
    question = (str(row.fields["question_id"]), 0)
    yield Said(prompt, question, _text(path, row, name), identity, _category(row))


def _plain(path: Path, row: Row) -> Iterable[Said]:
    fields = row.fields
    name = next((n for n in ANSWER_FIELDS if n in fields), None)
    prompt = next((fields[n] for n in PROMPT_FIELDS if isinstance(fields.get(n), str)), None)
    number = fields.get("question_id")
    if name is None or (prompt is None and number is None):
        raise _misfit(path, row, "a prompt and an answer")
    more = fields.get("input")
    if prompt is not None and isinstance(more, str) and more and "instruction" in fields:
        prompt = f"{prompt}\n{more}"
    question = None if number is None else (str(number), 0)
    identity = str(fields.get("answer_id") or "")
    yield Said(prompt, question, _text(path, row, name), identity, _category(row))


def _own(path: Path, row: Row) -> Iterable[Said]:
    one = own_row(path, row, Answer, "an answer")
    yield Said(
        one.prompt,
        None,
        one.text,
        category=one.category,
        outcome=one.outcome,
        reason=one.reason,
    )


def _sample(row: Row) -> int:
    number = row.fields.get("sample")
    return number if isinstance(number, int) else 0


def _text(path: Path, row: Row, name: str) -> str | None:
    value = row.fields[name]
    if value is None or isinstance(value, str):
        return value
    raise InputError(
        f"{path}, {row.at}: {name!r} is a {type(value).__name__}, not text.",
        "An answer is a string, or null where there was none.",
    )


def _category(row: Row) -> str:
    value = row.fields.get("category") or row.fields.get("dataset") or ""
    return value if isinstance(value, str) else ""


def _misfit(path: Path, row: Row, needed: str) -> InputError:
    return InputError(
        f"{path}, {row.at}: has the fields {_listed(row.fields)}, unlike the rows before it.",
        f"Each row of this file needs {needed}.",
    )


def _listed(fields: dict[str, Any]) -> str:
    return ", ".join(sorted(fields)[:8]) or "(none)"
