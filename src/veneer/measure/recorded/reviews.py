"""Reviews that name the two answers by id, and who wrote these answers.

- Vicuna reviews `{question_id, answer1_id, answer2_id, text, score: [a, b]}` (Chiang et al.
  2023): the first line of the text holds exactly two numbers, commas count as spaces;
  anything else is unparsed and not guessed;
- three-class reviews (QLoRA, Dettmers et al. 2023): `score` is one number, and the last line of
  the text says 1, 2, or 3 for a draw.

Who is who is said by the answer ids, never by a file's name: QLoRA's files called "A-vs-B" do not
all show A first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.naming import same_model
from veneer.measure.recorded.outputs import Outputs, prompt_of
from veneer.records import Comparison

DRAW = 0.5
_IDS = ("answer1_id", "answer2_id")


@dataclass(frozen=True)
class Answered:
    """Who wrote an answer, to which prompt, and how many characters."""

    model: str
    prompt: str
    length: int | None
    category: str = ""


@dataclass(frozen=True)
class Reviews:
    """Verdicts; `unresolved` are on answers of nobody known; `claimed`: prompt to answer id."""

    comparisons: tuple[Comparison, ...]
    unresolved: int
    claimed: dict[str, str]


def read_reviews(
    path: Path, rows: Sequence[Row], outputs: Sequence[Outputs], model: str | None = None
) -> Reviews:
    """Resolve a file's reviews.

    An id belongs to the model whose answers carry it. Without any answers, ids that stay the same
    from question to question are the models' names. Where one of two answers is known and `model`
    is none of the models with ids, the other answer is taken to be model's: that is the caller's
    claim, and answers of his without ids give its lengths.

    Raises:
        InputError: answers to two different prompts, or no review can be resolved.
    """
    owners = _owners(outputs)
    if not owners:
        owners = _names_as_ids(rows)
    named = {one.model for one in owners.values()}
    claim = model if model and not any(same_model(model, name) for name in named) else None
    mine = {
        prompt_of(said): said
        for file in outputs
        for said in file.said
        if claim and same_model(claim, file.model)
    }
    found, lost, claimed = [], 0, {}
    for row in rows:
        ids = tuple(str(row.fields.get(k)) for k in _IDS)
        known = [owners.get(one) for one in ids]
        there = next((one for one in known if one), None)
        if claim and there and None in known:
            said = mine.get(there.prompt)
            length = None if said is None or said.answer is None else len(said.answer)
            claimed[there.prompt] = ids[known.index(None)]
            known[known.index(None)] = Answered(claim, there.prompt, length, there.category)
        one, two = known
        if one is None or two is None:
            lost += 1
            continue
        prompts = [answer.prompt or _question(row) for answer in (one, two)]
        if prompts[0] != prompts[1]:
            raise InputError(
                f"{path}, {row.at}: compares answers to two different prompts.",
                "Give the reviews of these answer files.",
            )
        wins, reason, scores = _rated(row.fields)
        judge = row.fields.get("reviewer_id")
        lengths = (one.length, two.length)
        found.append(
            Comparison(
                prompt=prompts[0],
                first=one.model,
                second=two.model,
                second_wins=wins,
                reason=reason,
                scores=scores,
                lengths=None if None in lengths else lengths,
                category=one.category or two.category,
                judge="" if judge is None else str(judge),
                text=str(row.fields.get("text") or ""),
            )
        )
    if not found:
        raise _nobody_known(path, rows, outputs)
    return Reviews(tuple(found), lost, claimed)


def parse_scores(text: str) -> tuple[float, float] | None:
    """The two ratings on the first line of a review, or None: exactly two numbers, no more."""
    words = text.strip().split("\n")[0].replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    finite = all(abs(number) < float("inf") for number in numbers)
    return (numbers[0], numbers[1]) if len(numbers) == 2 and finite else None


def parse_class(text: str) -> float | None:
    """How far the second won by a three-class review's last line: 1, 2, or 3 for a draw."""
    last = text.strip().split("\n")[-1].strip().rstrip(".")
    return {"1": 0.0, "2": 1.0, "3": DRAW}.get(last)


def _owners(outputs: Sequence[Outputs]) -> dict[str, Answered]:
    return {
        said.answer_id: Answered(
            file.model,
            prompt_of(said),
            None if said.answer is None else len(said.answer),
            said.category,
        )
        for file in outputs
        for said in file.said
        if said.answer_id
    }


def _names_as_ids(rows: Sequence[Row]) -> dict[str, Answered]:
    """Two ids in a file of several questions are names; an id of an answer never repeats."""
    ids = {str(row.fields.get(k)) for row in rows for k in _IDS}
    questions = {_question(row) for row in rows}
    if len(ids) != 2 or len(questions) < 2:
        return {}
    return {name: Answered(name, "", None) for name in ids}


def _question(row: Row) -> str:
    return f"question {row.fields.get('question_id')}"


def _nobody_known(path: Path, rows: Sequence[Row], outputs: Sequence[Outputs]) -> InputError:
    if not outputs:
        return InputError(
            f"{path} names answers by id only ({rows[0].fields.get(_IDS[0])} and "
            f"{rows[0].fields.get(_IDS[1])}), so nobody can tell whose they are.",
            "Add the answers that it reviews, with their answer_id: --outputs FILE, twice; with "
            "one model's only, say whose the others are: --model NAME.",
        )
    models = ", ".join(sorted(file.model for file in outputs))
    return InputError(
        f"{path}: none of its {len(rows)} reviews compares two answers of the outputs given "
        f"({models}).",
        "Give the answer files that it reviews; they are known by their answer_id. If only one "
        "model's answers carry ids, say whose the others are: --model NAME.",
    )


def _rated(fields: dict[str, Any]) -> tuple[float | None, str, tuple[float, float] | None]:
    """(how far the second won, why not, the ratings as recorded)."""
    text, given = str(fields.get("text") or ""), fields.get("score")
    if is_three_class(fields):
        wins = parse_class(text)
        return wins, "" if wins is not None else "the last line is not 1, 2 or 3", None
    recorded = None
    if isinstance(given, list) and len(given) == 2 and all(map(_is_number, given)):
        recorded = (float(given[0]), float(given[1]))
        if min(recorded) < 0:
            return None, "the reviewer's verdict was not parsed", None
    parsed = parse_scores(text)
    if parsed is None or min(parsed) < 0:
        return None, "the scores are not on the first line of the review", recorded
    first, second = parsed
    return (DRAW if first == second else float(second > first)), "", recorded or parsed


def is_three_class(fields: dict[str, Any]) -> bool:
    """Whether a review's `score` is one of three classes, not two ratings."""
    return _is_number(fields.get("score"))


def _is_number(value: Any) -> bool:
    finite = isinstance(value, int | float) and abs(value) < float("inf")
    return finite and not isinstance(value, bool)
