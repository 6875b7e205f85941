"""Answers of several models to the same prompts, joined on the prompt and never by row number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.outputs import Outputs
from veneer.records import Answer

SHOWN = 10  # prompts shown of those that do not join


@dataclass(frozen=True)
class Join:
    """What of a file met the teacher's prompts, and what did not."""

    role: str
    file: str
    model: str
    rows: int
    joined: int
    only_here: int
    only_teacher: int
    repeated: int
    not_joined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A JSON object, fields in order."""
        found = asdict(self)
        return found | {"not_joined": list(self.not_joined), "notes": list(self.notes)}


def join(
    teacher: Outputs, role: str, other: Outputs
) -> tuple[tuple[Answer, ...], tuple[Answer, ...], Join]:
    """(the teacher's answers, the other's answers, the account), prompts in the teacher's order.

    Raises:
        InputError: no prompt in common, or the other file holds the teacher's very answers.
    """
    theirs = {answer.prompt: answer for answer in other.answers()}
    asked = teacher.answers()
    both = [answer for answer in asked if answer.prompt in theirs]
    if not both:
        raise InputError(
            f"{other.path} ({role}) answers other prompts than the teacher's {teacher.path}: "
            f"0 of {len(theirs)} join.",
            "Give outputs for the same prompts; for files with question ids only, the same "
            "questions (--questions FILE gives them their text).",
        )
    kept = {answer.prompt for answer in both}
    mine = tuple(theirs[answer.prompt] for answer in both)
    if all(a.text == b.text for a, b in zip(both, mine, strict=True)):
        raise InputError(
            f"The {role} {other.path} holds the same answers as the teacher {teacher.path}.",
            f"Give the {role}'s own outputs.",
        )
    missing = [prompt for prompt in theirs if prompt not in kept]
    account = Join(
        role=role,
        file=other.path.name,
        model=other.model,
        rows=len(other.said) + other.repeated,
        joined=len(both),
        only_here=len(missing),
        only_teacher=len(asked) - len(both),
        repeated=other.repeated,
        not_joined=tuple(prompt[:200] for prompt in missing[:SHOWN]),
        notes=other.notes,
    )
    return tuple(both), mine, account


def of_teacher(teacher: Outputs) -> Join:
    """The teacher's own line of the account."""
    size = len(teacher.said)
    rows = size + teacher.repeated
    return Join(
        "teacher", teacher.path.name, teacher.model, rows, size, 0, 0, teacher.repeated,
        notes=teacher.notes,
    )  # fmt: skip


def check_roles(files: Sequence[tuple[str, Outputs]]) -> None:
    """Refuse one file, or one model, in two roles.

    The teacher's second sample may be of the same model as the teacher, and is then only
    held to be another file.
    """
    for k, (role, one) in enumerate(files):
        for other_role, other in files[:k]:
            if one.path.resolve() == other.path.resolve():
                raise InputError(
                    f"The {role} and the {other_role} are the same file, {one.path}.",
                    f"Give the {role}'s own outputs.",
                )
            again = {role, other_role} == {"teacher", "teacher-again"}
            if one.model == other.model and one.named_inside and other.named_inside and not again:
                raise InputError(
                    f"The {role} {one.path} and the {other_role} {other.path} both hold answers of "
                    f"{one.model!r}.",
                    f"Give the {role}'s own outputs: comparing a model with itself closes no gap.",
                )
