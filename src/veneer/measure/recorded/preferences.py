"""Whose answer was preferred: verdicts of judges and raters that others recorded.

Shapes read, plain or gzipped:
- AlpacaEval annotations `{instruction, generator_1, generator_2, preference}`: preference
  runs from 1 (the first wins) to 2 (the second wins), 1.5 is a draw and so is the older 0,
  null was never scored; who is who is said by the generators;
- Vicuna and three-class reviews: see `reviews`;
- judgments in both orders of FastChat: see `pair_judgments`;
- votes of human raters, and a judge's verdicts beside them: see `human_votes`;
- Veneer's own comparisons `{prompt, first, second, second_wins, …}`, a judge's or raters'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from veneer.errors import InputError
from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.measure.recorded.files import Row, own_row, read_rows_of
from veneer.measure.recorded.human_votes import (
    Pair,
    has_result,
    has_votes,
    read_results,
    read_votes,
)
from veneer.measure.recorded.naming import same_model
from veneer.measure.recorded.outputs import Outputs, prompt_of
from veneer.measure.recorded.pair_judgments import has_games, read_games
from veneer.measure.recorded.reviews import is_three_class, read_reviews
from veneer.records import (
    BY_RATERS,
    RATERS,
    Comparison,
    PreferenceReport,
    ScoreSheet,
    Subject,
)

DRAW = 0.5
Kind = Literal["annotations", "reviews", "three-class", "games", "votes", "results", "comparisons"]


@dataclass(frozen=True)
class Preferences:
    """A file of comparisons; `unresolved` counts verdicts on answers that nobody gave us.

    `votes` are those behind each comparison, for human raters; `pairs` their items by idx.
    `claimed` are the ids of answers that were taken to be of the model claimed, by prompt.
    """

    path: Path
    comparisons: tuple[Comparison, ...]
    unresolved: int = 0
    kind: Kind = "annotations"
    votes: tuple[tuple[int, ...], ...] = ()
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    claimed: Mapping[str, str] = field(default_factory=dict)


def read_preferences(
    path: Path,
    outputs: Sequence[Outputs] = (),
    *,
    model: str | None = None,
    pairs: Mapping[str, Pair] | None = None,
) -> Preferences:
    """Read one file of verdicts.

    Args:
        path: the file.
        outputs: the answers judged: reviews refer to them by answer id, and they tell lengths.
        model: whose the answers are that reviews name and `outputs` do not know.
        pairs: items by idx, from the votes that a judge's verdicts stand beside.

    Raises:
        InputError: as in `files`; unknown shape; reviews of answers that are not at hand.
    """
    rows = read_rows_of(path)
    fields = rows[0].fields
    if {"generator_1", "generator_2", "preference"} <= set(fields):
        lengths = _lengths(outputs)
        return Preferences(path, tuple(_annotation(path, row, lengths) for row in rows))
    if {"prompt", "first", "second", "second_wins"} <= set(fields):
        return Preferences(
            path,
            tuple(own_row(path, row, Comparison, "a comparison") for row in rows),
            kind="comparisons",
        )
    if {"answer1_id", "answer2_id"} <= set(fields):
        found = read_reviews(path, rows, outputs, model)
        kind: Kind = "three-class" if is_three_class(fields) else "reviews"
        return Preferences(path, found.comparisons, found.unresolved, kind, claimed=found.claimed)
    if has_games(fields):
        return Preferences(path, read_games(path, rows, outputs), kind="games")
    if has_votes(fields):
        votes = read_votes(path, rows)
        return Preferences(
            path, votes.comparisons, kind="votes", votes=votes.votes, pairs=votes.pairs
        )
    if has_result(fields):
        return Preferences(path, read_results(path, rows, pairs or {}), kind="results")
    raise InputError(
        f"{path}, {rows[0].at}: no verdicts in the fields {', '.join(sorted(fields))}.",
        "Known shapes: AlpacaEval annotations (generator_1, generator_2, preference), Vicuna "
        "reviews (answer1_id, answer2_id, text, score), FastChat's pairwise judgments (model_1, "
        "model_2, g1_winner, g2_winner), votes of raters (cmp_key, annotator1, annotator2, …), "
        "a judge's results on the same items (idx, gpt_result), and comparisons.jsonl as "
        "veneer judge and veneer rate results write it.",
    )


def preferences_of(
    files: Sequence[Preferences], subjects: Mapping[str, Subject]
) -> tuple[list[ScoreSheet], list[PreferenceReport]]:
    """Win rate and win-or-tie rate of each known model against each opponent, and both in sum.

    `subjects` are the audited models by name, the teacher among them. A comparison of two
    of them is told from the side of the student, or of the base against the teacher.

    Verdicts on one prompt are put together as in `veneer.measure.preference`. The measure is
    "preference" for comparisons with the teacher (`against` is then "teacher"), or where there
    is only one opponent at all; further opponents give "preference-vs-NAME". Raters are kept
    apart from judges: beside a judge's, their measure is `BY_RATERS`.

    Raises:
        InputError: a file compares no model of `subjects`.
    """
    verdicts: dict[tuple[str, str, bool], list[Comparison]] = {}
    for file in files:
        known = False
        for one in file.comparisons:
            names = [_known_name(name, subjects) for name in (one.first, one.second)]
            first, second = (a or b for a, b in zip(names, (one.first, one.second), strict=True))
            told = one.model_copy(update={"first": first, "second": second})
            for name, foe in ((names[1], first), (names[0], second)):
                known = known or name is not None
                if name is None or (
                    foe in subjects and _rank(subjects[name]) < _rank(subjects[foe])
                ):
                    continue
                key = (name, foe, one.judge == RATERS)
                verdicts.setdefault(key, []).append(told)
        if not known:
            pairs = {f"{c.first} and {c.second}" for c in file.comparisons}
            raise InputError(
                f"{file.path} compares {', '.join(sorted(pairs)[:3])}; none of them is a model "
                f"of this audit ({', '.join(sorted(subjects))}).",
                "Give verdicts on the models that are audited.",
            )
    teachers = {name for name, who in subjects.items() if who.role == "teacher"}
    foes = {foe for _, foe, _ in verdicts}
    judges = {by_raters for *_, by_raters in verdicts}
    sheets, reports = [], []
    for (name, foe, by_raters), told_of in sorted(verdicts.items(), key=lambda entry: entry[0]):
        is_teacher = foe in teachers
        measure = BY_RATERS if by_raters and len(judges) > 1 else "preference"
        measure += "" if is_teacher or len(foes) == 1 else f"-vs-{foe}"
        against = "teacher" if is_teacher else foe
        for sheet in preference_sheets_of(told_of, subjects[name], against, me=name):
            sheets.append(sheet.model_copy(update={"measure": measure}))
        reports.append(preference_report(told_of, subjects[name], against, me=name))
    return sheets, reports


def score_sums(files: Sequence[Preferences], model: str, other: str) -> tuple[float, float] | None:
    """Sums of the two models' ratings as recorded, also where their text was not parsed."""
    mine = theirs = 0.0
    rated = False
    for one in (one for file in files for one in file.comparisons):
        if one.scores is not None and {one.first, one.second} == {model, other}:
            first, second = one.scores
            mine += first if one.first == model else second
            theirs += second if one.first == model else first
            rated = True
    return (mine, theirs) if rated else None


def score_ratio(files: Sequence[Preferences], model: str, other: str) -> float | None:
    """model's ratings as a share of other's: each file's ratio of sums, averaged over files.

    Over one file for each order this is QLoRA's "percent of ChatGPT's score" (Dettmers et
    al. 2023, Table 6). Ratings count as recorded, also where their text was not parsed.
    """
    sums = [score_sums([file], model, other) for file in files]
    ratios = [found[0] / found[1] for found in sums if found and found[1]]
    return sum(ratios) / len(ratios) if ratios else None


def _annotation(path: Path, row: Row, lengths: Mapping[tuple[str, str], int]) -> Comparison:
    fields = row.fields
    prompt, one, two = (fields.get(k) for k in ("instruction", "generator_1", "generator_2"))
    if not (isinstance(prompt, str) and isinstance(one, str) and isinstance(two, str)):
        raise InputError(
            f"{path}, {row.at}: lacks the instruction or a generator's name.",
            'Each row needs "instruction", "generator_1", "generator_2" and "preference".',
        )
    wins, reason = _preferred(fields.get("preference"))
    sizes = [
        len(text) if isinstance(text := fields.get(key), str) else lengths.get((name, prompt))
        for key, name in (("output_1", one), ("output_2", two))
    ]
    return Comparison(
        prompt=prompt,
        first=one,
        second=two,
        second_wins=wins,
        reason=reason,
        lengths=None if sizes[0] is None or sizes[1] is None else (sizes[0], sizes[1]),
        category=_word(fields.get("dataset")),
        judge=_word(fields.get("annotator")),
    )


def _preferred(given: Any) -> tuple[float | None, str]:
    if given is None or given != given:
        return None, "the annotator gave no preference"
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None, f"preference {given!r} is not a number"
    if given == 0:
        return DRAW, ""
    if 1 <= given <= 2:
        return float(given) - 1, ""
    return None, f"preference {given!r} is outside 1..2"


def _lengths(outputs: Sequence[Outputs]) -> dict[tuple[str, str], int]:
    """Characters of each answer by its model and prompt."""
    return {
        (file.model, prompt_of(said)): len(said.answer)
        for file in outputs
        for said in file.said
        if said.answer is not None
    }


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _known_name(model: str, subjects: Mapping[str, Subject]) -> str | None:
    if model in subjects:
        return model
    return next((name for name in sorted(subjects) if same_model(model, name)), None)


def _rank(subject: Subject) -> int:
    return ("teacher", "teacher-again", "base", "student").index(subject.role)
