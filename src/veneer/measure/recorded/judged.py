"""Files of recorded verdicts in sum: what `veneer judge --recorded` says.

Files are put together by pair of models and kind of verdict (two orders of one review are two
files of one pair); annotations of different annotators stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.measure.recorded.files import read_rows_of
from veneer.measure.recorded.human_votes import Pair, has_result
from veneer.measure.recorded.naming import same_model
from veneer.measure.recorded.outputs import (
    Outputs,
    Said,
    prompt_of,
    read_outputs,
    split_claim,
    with_prompts,
)
from veneer.measure.recorded.preferences import (
    Kind,
    Preferences,
    read_preferences,
    score_ratio,
    score_sums,
)
from veneer.records import RULE, PreferenceReport, ScoreSheet, Subject

_SECOND = {0.0: "first", 1.0: "second", 0.5: "tie"}
_OPTIONS = ("tie", "first", "second")
_SEVERAL = "all opponents"
_JUDGES_NAMED = ("annotations", "games", "comparisons")
"""Kinds of files whose rows say who judged."""


@dataclass(frozen=True)
class Raters:
    """How raters voted: items by majority, items on which all agreed, raters an item."""

    majority: dict[str, int]
    unanimous: int
    raters: float


@dataclass(frozen=True)
class PairVerdicts:
    """Verdicts of one kind on two models, told from the side of `report.subject`."""

    kind: Kind
    report: PreferenceReport
    sheets: tuple[ScoreSheet, ...]
    score_sums: dict[str, float] | None = None
    score_ratio: float | None = None
    raters: Raters | None = None

    def as_json(self) -> dict[str, Any]:
        """Rates as fractions; estimates as {value, low, high, n, unscored, note}."""
        told = facts_of(self.report) | {"kind": self.kind}
        if self.score_sums is not None:
            told |= {"score_sums": self.score_sums, "score_ratio": self.score_ratio}
        return told | (_votes_told(self.raters) if self.raters else {})


@dataclass(frozen=True)
class RecordedVerdicts:
    """All that files of verdicts say. `total` is the model against all opponents, if several.

    `unresolved` reviews are of answers that nobody gave. `agreement` is the share of items where
    a judge said what most raters said, of those with a verdict of both.
    """

    pairs: tuple[PairVerdicts, ...]
    total: PreferenceReport | None = None
    raters: Raters | None = None
    agreement: float | None = None
    unresolved: int = 0
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """One pair: its fields; several: "pairs", with the totals beside them."""
        if len(self.pairs) == 1:
            told = self.pairs[0].as_json()
        else:
            told = self._totals() | {"pairs": [pair.as_json() for pair in self.pairs]}
        if self.agreement is not None:
            told["agreement_with_raters"] = self.agreement
        return told | {"unresolved": self.unresolved, "notes": list(self.notes)}

    def _totals(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.total is not None:
            told = facts_of(self.total)
        elif len({pair.kind for pair in self.pairs}) == 1:
            reports = [pair.report for pair in self.pairs]
            reasons: Counter[str] = Counter()
            for report in reports:
                reasons.update(report.reasons)
            told = {
                "n": sum(report.win_rate.n for report in reports),
                "unscored": sum(report.win_rate.unscored for report in reports),
                "ties": sum(report.ties for report in reports),
                "reasons": dict(sorted(reasons.items())),
            }
        return told | (_votes_told(self.raters) if self.raters else {})


def recorded_verdicts(
    files: Sequence[Path], outputs: Sequence[Path] = (), model: str | None = None, *, seed: int = 0
) -> RecordedVerdicts:
    """Read files of verdicts and sum them up.

    Args:
        files: verdicts in any of the shapes of `read_preferences`; two orders are two files.
        outputs: the answers judged (FILE, or NAME=FILE): reviews refer to their ids, and lengths
            are taken from them. AlpacaEval annotations that hold `output_1` and `output_2` serve
            as the answers of both their models.
        model: whose side is told; the second model of a pair's first verdict unless given. It
            also names the answers in reviews that `outputs` do not know.
        seed: of the bootstrap.

    Raises:
        InputError: as in `read_preferences` and `read_outputs`; a file given twice; two files with
            different answers of one model; no verdict on `model`; reviews of answers of several
            unknown models.
    """
    if len({path.resolve() for path in files}) != len(files):
        raise InputError("A file of verdicts is given twice.", "Give each file once.")
    claims = [split_claim(str(path)) for path in outputs]
    answers = with_prompts([file for claim, path in claims for file in _answers(path, claim)])
    _check_answers(answers)
    read: list[Preferences] = []
    voted: dict[str, Pair] = {}
    for path in sorted(files, key=_stands_beside_votes):
        read.append(read_preferences(path, answers, model=model, pairs=voted))
        voted |= read[-1].pairs
    _check_claims(read, model)
    found = [_of_pair(kind, pair, part, model, seed) for (kind, *_), pair, part in _grouped(read)]
    if model is not None:
        found = [one for one in found if same_model(model, one.report.subject.model)]
        if not found:
            known = sorted({name for file in read for name in _names(file)})
            raise InputError(
                f"No verdict is on {model!r}; the files compare {', '.join(known)}.",
                f"Say one of them, such as --model {known[0]}.",
            )
    return RecordedVerdicts(
        pairs=tuple(found),
        total=_total(found, read, seed),
        raters=_together([one.raters for one in found if one.raters]),
        agreement=_agreement(read),
        unresolved=sum(file.unresolved for file in read),
        notes=_notes(found, read, answers),
    )


def _grouped(
    read: Sequence[Preferences],
) -> list[tuple[tuple[Kind, str], tuple[str, str], list[Preferences]]]:
    """(kind and annotator, the pair as first met, each file's verdicts on it), as met."""
    groups: dict[tuple[Kind, str, frozenset[str]], list[Preferences]] = {}
    for file in read:
        parts: dict[tuple[Kind, str, frozenset[str]], list[int]] = {}
        for k, one in enumerate(file.comparisons):
            annotator = one.judge if file.kind in _JUDGES_NAMED else ""
            key = (file.kind, annotator, frozenset((one.first, one.second)))
            parts.setdefault(key, []).append(k)
        for key, places in parts.items():
            groups.setdefault(key, []).append(
                replace(
                    file,
                    comparisons=tuple(file.comparisons[k] for k in places),
                    votes=tuple(file.votes[k] for k in places) if file.votes else (),
                )
            )
    return [
        ((kind, annotator), (part[0].comparisons[0].first, part[0].comparisons[0].second), part)
        for (kind, annotator, _), part in groups.items()
    ]


def _of_pair(
    kind: Kind, pair: tuple[str, str], part: Sequence[Preferences], model: str | None, seed: int
) -> PairVerdicts:
    me = next((name for name in (pair[1], pair[0]) if model and same_model(model, name)), pair[1])
    other = pair[0] if me == pair[1] else pair[1]
    subject = Subject(model=me, role="student")
    comparisons = [one for file in part for one in file.comparisons]
    sums = score_sums(part, me, other)
    return PairVerdicts(
        kind=kind,
        report=preference_report(comparisons, subject, other, seed=seed),
        sheets=tuple(preference_sheets_of(comparisons, subject, other)),
        score_sums={me: sums[0], other: sums[1]} if sums else None,
        score_ratio=score_ratio(part, me, other),
        raters=_raters(part),
    )


def _total(
    found: Sequence[PairVerdicts], read: Sequence[Preferences], seed: int
) -> PreferenceReport | None:
    """One model against all: only where all pairs are of one kind and told from one side."""
    sides = {(one.kind, one.report.judge, one.report.subject.model) for one in found}
    if len(found) < 2 or len(sides) > 1:
        return None
    me = found[0].report.subject
    told = []
    for one in (one for file in read for one in file.comparisons):
        if me.model in (one.first, one.second):
            second = one.second == me.model
            foe = one.first if second else one.second
            names = (_SEVERAL, me.model) if second else (me.model, _SEVERAL)
            change = {"first": names[0], "second": names[1], "prompt": f"{foe}\x1f{one.prompt}"}
            told.append(one.model_copy(update=change))
    return preference_report(told, me, _SEVERAL, seed=seed)


def _raters(part: Sequence[Preferences]) -> Raters | None:
    votes = [given for file in part for given in file.votes if given]
    if not votes:
        return None
    verdicts = [one.second_wins for file in part if file.votes for one in file.comparisons]
    counts = Counter(_SECOND[value] for value in verdicts if value is not None)
    return Raters(
        majority={name: counts[name] for name in _OPTIONS},
        unanimous=sum(len(given) > 1 and len(set(given)) == 1 for given in votes),
        raters=sum(map(len, votes)) / len(votes),
    )


def _together(parts: Sequence[Raters]) -> Raters | None:
    items = [sum(part.majority.values()) for part in parts]
    if not sum(items):
        return None
    votes = sum(part.raters * count for part, count in zip(parts, items, strict=True))
    return Raters(
        majority={name: sum(part.majority[name] for part in parts) for name in _OPTIONS},
        unanimous=sum(part.unanimous for part in parts),
        raters=votes / sum(items),
    )


def _agreement(read: Sequence[Preferences]) -> float | None:
    def verdicts(kind: Kind) -> dict[tuple[str, str, str], float]:
        return {
            (one.prompt, one.first, one.second): one.second_wins
            for file in read
            if file.kind == kind
            for one in file.comparisons
            if one.second_wins is not None
        }

    raters, judge = verdicts("votes"), verdicts("results")
    both = raters.keys() & judge.keys()
    return sum(raters[item] == judge[item] for item in both) / len(both) if both else None


def _answers(path: Path, claimed: str | None) -> list[Outputs]:
    """The file's answers; of both models, where they stand in annotations."""
    if claimed is not None or "output_1" not in (rows := read_rows_of(path))[0].fields:
        return [read_outputs(path, claimed)]
    found: dict[str, list[Said]] = {}
    for fields in (row.fields for row in rows):
        for k in ("1", "2"):
            name, text = fields.get(f"generator_{k}"), fields.get(f"output_{k}")
            if isinstance(name, str) and isinstance(text, str):
                said = Said(str(fields.get("instruction")), None, text)
                found.setdefault(name, []).append(said)
    return [Outputs(path, name, tuple(said), named_inside=True) for name, said in found.items()]


def _check_answers(answers: Sequence[Outputs]) -> None:
    known: dict[tuple[str, str], tuple[str | None, Path]] = {}
    for file in answers:
        for said in file.said:
            key = (file.model, prompt_of(said))
            text, path = known.setdefault(key, (said.answer, file.path))
            if text != said.answer:
                raise InputError(
                    f"{path} and {file.path} hold different answers of {file.model} to one prompt.",
                    "Give the answers that were judged.",
                )


def _check_claims(read: Sequence[Preferences], model: str | None) -> None:
    ids: dict[str, str] = {}
    for file in read:
        for prompt, answer in file.claimed.items():
            if ids.setdefault(prompt, answer) != answer:
                raise InputError(
                    f"{file.path} and another file review answers of two unknown models to one "
                    f"prompt ({ids[prompt]} and {answer}), and both cannot be {model!r}'s.",
                    "Give each model's reviews alone, or the answers with their answer_id.",
                )


def _notes(
    found: Sequence[PairVerdicts], read: Sequence[Preferences], answers: Sequence[Outputs]
) -> tuple[str, ...]:
    notes = []
    if any(file.votes for file in read):
        notes.append(f"majority of raters: {RULE}")
    if found and all(one.report.length_controlled is None for one in found):
        notes.append(
            "the lengths of the answers are not known, so there is no length-controlled win rate; "
            "give the answers of both models with --outputs"
        )
    names = {name for file in read for name in _names(file)}
    used = {file.path for file in answers if file.model in names}
    for file in answers:
        if file.path not in used:
            notes.append(f"{file.path}: no verdict is on an answer of {file.model}")
    return tuple(notes)


def facts_of(report: PreferenceReport) -> dict[str, Any]:
    """A report as plain values, the win rate's own number at the top; rates as fractions."""
    rate = report.win_rate
    told = {
        "model": report.subject.model,
        "against": report.against,
        "judge": report.judge,
        "win_rate": rate.value,
        "low": rate.low,
        "high": rate.high,
        "standard_error": report.standard_error,
        "n": rate.n,
        "unscored": rate.unscored,
        "wins": report.wins,
        "losses": report.losses,
        "ties": report.ties,
        "orders": report.orders,
        "biases": list(report.biases),
        "reasons": report.reasons,
    }
    for name in (
        "win_or_tie_rate", "length_controlled", "length_effect", "first_position", "orders_agree"
    ):  # fmt: skip
        estimate = getattr(report, name)
        told[name] = None if estimate is None else estimate.model_dump()
    return told


def _votes_told(raters: Raters) -> dict[str, Any]:
    return {
        "majority": raters.majority,
        "unanimous": raters.unanimous,
        "raters": raters.raters,
        "rule": RULE,
    }


def _names(file: Preferences) -> set[str]:
    return {name for one in file.comparisons for name in (one.first, one.second)}


def _stands_beside_votes(path: Path) -> bool:
    return has_result(read_rows_of(path)[0].fields)
