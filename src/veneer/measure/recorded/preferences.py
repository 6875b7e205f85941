"""Whose answer was preferred: verdicts of judges and raters that others recorded.

Shapes read, plain or gzipped:
- AlpacaEval annotations `{instruction, generator_1, generator_2, preference}`: preference
  runs from 1 (the first wins) to 2 (the second wins), 1.5 is a draw and so is the older 0,
  null was never scored; who is who is said by the generators;
- Vicuna reviews `{question_id, answer1_id, answer2_id, text, score: [a, b]}` (Chiang et al.
  2023): the first line of the text holds exactly two numbers, commas count as spaces;
  anything else is unparsed and not guessed. Who is who is said by the answer ids;
- three-class reviews (QLoRA): `score` 1, 2, or 3 for a draw, the last line of the text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row, read_rows_of
from veneer.measure.recorded.naming import same_model
from veneer.measure.recorded.outputs import Outputs
from veneer.records import ScoreSheet, Subject, content_id

DRAW = 0.5


@dataclass(frozen=True)
class Comparison:
    """One verdict on two answers to a prompt.

    `second_wins` is 0 (the first won) to 1 (the second won), 0.5 for a draw, None where
    there is no verdict, with the reason. `scores` are the two ratings as recorded, if any.
    """

    prompt: str
    first: str
    second: str
    second_wins: float | None
    reason: str = ""
    scores: tuple[float, float] | None = None


@dataclass(frozen=True)
class Preferences:
    """A file of comparisons; `unresolved` counts verdicts on answers that nobody gave us."""

    path: Path
    comparisons: tuple[Comparison, ...]
    unresolved: int = 0


def read_preferences(path: Path, outputs: Sequence[Outputs] = ()) -> Preferences:
    """Read one file of verdicts.

    Args:
        path: the file.
        outputs: the files of answers that reviews refer to by answer id.

    Raises:
        InputError: as in `files`; unknown shape; reviews of answers that are not at hand.
    """
    rows = read_rows_of(path)
    fields = rows[0].fields
    if {"generator_1", "generator_2", "preference"} <= set(fields):
        return Preferences(path, tuple(_annotation(path, row) for row in rows))
    if {"answer1_id", "answer2_id"} <= set(fields):
        return _reviews(path, rows, outputs)
    raise InputError(
        f"{path}, {rows[0].at}: no verdicts in the fields {', '.join(sorted(fields))}.",
        "Known shapes: AlpacaEval annotations (generator_1, generator_2, preference) and Vicuna "
        "reviews (answer1_id, answer2_id, text, score).",
    )


def preference_sheets(
    files: Sequence[Preferences], subjects: Mapping[str, Subject]
) -> list[ScoreSheet]:
    """Win rate and win-or-tie rate of each known model against each opponent.

    `subjects` are the audited models by name, the teacher among them. A comparison of two
    of them is told from the side of the student, or of the base against the teacher.

    An item judged several times (in both orders, by several judges) counts with the mean
    of its verdicts. The measure is "preference" for comparisons with the teacher
    (`against` is then "teacher"), or where there is only one opponent at all; further
    opponents give "preference-vs-NAME".

    Raises:
        InputError: a file compares no model of `subjects`.
    """
    verdicts: dict[tuple[str, str], dict[str, list[float]]] = {}
    reasons: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for file in files:
        known = False
        for one in file.comparisons:
            for me, other, wins in _sides(one):
                name, foe = _known_name(me, subjects), _known_name(other, subjects)
                known = known or name is not None
                if name is None or (foe and _rank(subjects[name]) < _rank(subjects[foe])):
                    continue
                foe = foe or other
                items = verdicts.setdefault((name, foe), {})
                scored = items.setdefault(content_id(one.prompt), [])
                if wins is None:
                    reasons[name, foe].setdefault(content_id(one.prompt), one.reason)
                else:
                    scored.append(wins)
        if not known:
            pairs = {f"{c.first} and {c.second}" for c in file.comparisons}
            raise InputError(
                f"{file.path} compares {', '.join(sorted(pairs)[:3])}; none of them is a model "
                f"of this audit ({', '.join(sorted(subjects))}).",
                "Give verdicts on the models that are audited.",
            )
    teachers = {name for name, who in subjects.items() if who.role == "teacher"}
    foes = {foe for _, foe in verdicts}
    sheets = []
    for (name, foe), items in sorted(verdicts.items()):
        is_teacher = foe in teachers
        plain = is_teacher or len(foes) == 1
        for metric, of in (("win_rate", _mean), ("win_or_tie_rate", _at_least_tied)):
            sheets.append(
                ScoreSheet(
                    subject=subjects[name],
                    measure="preference" if plain else f"preference-vs-{foe}",
                    metric=metric,
                    items=tuple(items),
                    values=tuple(of(found) if found else None for found in items.values()),
                    reasons=tuple(
                        "" if found else reasons[name, foe].get(item, "no verdict")
                        for item, found in items.items()
                    ),
                    against="teacher" if is_teacher else foe,
                )
            )
    return sheets


def parse_scores(text: str) -> tuple[float, float] | None:
    """The two ratings on the first line of a review, or None: exactly two numbers, no more."""
    words = text.strip().split("\n")[0].replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def parse_class(text: str) -> float | None:
    """How far the second won by a three-class review's last line: 1, 2, or 3 for a draw."""
    last = text.strip().split("\n")[-1].strip().rstrip(".")
    return {"1": 0.0, "2": 1.0, "3": DRAW}.get(last)


def score_ratio(files: Sequence[Preferences], model: str, other: str) -> float | None:
    """model's ratings as a share of other's: each file's ratio of sums, averaged over files.

    Over one file for each order this is QLoRA's "percent of ChatGPT's score" (Dettmers et
    al. 2023, Table 6). Ratings count as recorded, also where their text was not parsed.
    """
    ratios = []
    for file in files:
        mine = theirs = 0.0
        for one in file.comparisons:
            if one.scores is not None and {one.first, one.second} == {model, other}:
                first, second = one.scores
                mine += first if one.first == model else second
                theirs += second if one.first == model else first
        if theirs:
            ratios.append(mine / theirs)
    return sum(ratios) / len(ratios) if ratios else None


def _annotation(path: Path, row: Row) -> Comparison:
    fields = row.fields
    prompt, one, two = (fields.get(k) for k in ("instruction", "generator_1", "generator_2"))
    if not all(isinstance(value, str) for value in (prompt, one, two)):
        raise InputError(
            f"{path}, {row.at}: lacks the instruction or a generator's name.",
            'Each row needs "instruction", "generator_1", "generator_2" and "preference".',
        )
    given = fields.get("preference")
    if given is None or given != given:
        return Comparison(str(prompt), str(one), str(two), None, "the annotator gave no preference")
    if isinstance(given, bool) or not isinstance(given, int | float):
        wins, reason = None, f"preference {given!r} is not a number"
    elif given == 0:
        wins, reason = DRAW, ""
    elif 1 <= given <= 2:
        wins, reason = float(given) - 1, ""
    else:
        wins, reason = None, f"preference {given!r} is outside 1..2"
    return Comparison(str(prompt), str(one), str(two), wins, reason)


def _reviews(path: Path, rows: Sequence[Row], outputs: Sequence[Outputs]) -> Preferences:
    owners: dict[str, tuple[str, str]] = {}
    for file in outputs:
        for answer, prompt in file.by_answer_id().items():
            owners[answer] = (file.model, prompt)
    found, lost = [], 0
    for row in rows:
        one, two = (owners.get(str(row.fields.get(k))) for k in ("answer1_id", "answer2_id"))
        if one is None or two is None:
            lost += 1
            continue
        if one[1] != two[1]:
            raise InputError(
                f"{path}, {row.at}: compares answers to two different prompts.",
                "Give the reviews of these answer files.",
            )
        wins, reason, scores = _rated(row.fields)
        found.append(Comparison(one[1], one[0], two[0], wins, reason, scores))
    if not found:
        models = ", ".join(sorted(file.model for file in outputs)) or "none"
        raise InputError(
            f"{path}: none of its {len(rows)} reviews compares two answers of the outputs given "
            f"({models}).",
            "Give the answer files that it reviews; they are known by their answer_id.",
        )
    return Preferences(path, tuple(found), lost)


def _rated(fields: dict[str, Any]) -> tuple[float | None, str, tuple[float, float] | None]:
    """(how far the second won, why not, the ratings as recorded)."""
    text, given = str(fields.get("text") or ""), fields.get("score")
    if isinstance(given, int | float) and not isinstance(given, bool):
        wins = parse_class(text)
        return wins, "" if wins is not None else "the last line is not 1, 2 or 3", None
    recorded = None
    if isinstance(given, list) and len(given) == 2:
        recorded = (float(given[0]), float(given[1]))
        if min(recorded) < 0:
            return None, "the reviewer's verdict was not parsed", None
    parsed = parse_scores(text)
    if parsed is None:
        return None, "the scores are not on the first line of the review", recorded
    first, second = parsed
    return (DRAW if first == second else float(second > first)), "", recorded or parsed


def _sides(one: Comparison) -> list[tuple[str, str, float | None]]:
    flipped = None if one.second_wins is None else 1 - one.second_wins
    return [(one.second, one.first, one.second_wins), (one.first, one.second, flipped)]


def _known_name(model: str, subjects: Mapping[str, Subject]) -> str | None:
    if model in subjects:
        return model
    return next((name for name in sorted(subjects) if same_model(model, name)), None)


def _rank(subject: Subject) -> int:
    return ("teacher", "teacher-again", "base", "student").index(subject.role)


def _mean(found: Sequence[float]) -> float:
    return sum(found) / len(found)


def _at_least_tied(found: Sequence[float]) -> float:
    return float(_mean(found) >= DRAW)
