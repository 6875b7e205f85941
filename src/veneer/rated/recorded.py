"""Votes of other studies, as others or we recorded them, and a judge's verdicts beside them.

Shapes read, plain or gzipped:
- rows of PandaLM `{idx, cmp_key, instruction, input, response1, response2, annotator1, …}`;
- our own `votes.jsonl` (`VoteRow`);
- a judge's results on the first `{idx, gpt_result}`, or comparisons.jsonl of `veneer judge`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from veneer.errors import InputError
from veneer.measure.recorded.files import Row, own_row, read_rows_of
from veneer.measure.recorded.human_votes import (
    Pair,
    has_result,
    has_votes,
    read_results,
    read_votes,
    votes_of,
)
from veneer.rated.beside import verdicts_of
from veneer.rated.files import VoteRow, read_vote_rows, together, vote_of
from veneer.rated.pairs import Shown, Study
from veneer.rated.rates import Rated, summed
from veneer.records import Comparison, Vote
from veneer.steps import identity_of

COLUMNS = (
    "raters are the columns of the file, which need not be the same people throughout: what is "
    "told of one rater, and Cohen's kappa, may mix people"
)


@dataclass
class _Found:
    """What the files hold, as far as they are read."""

    shown: dict[str, Shown] = field(default_factory=dict)
    sources: list[tuple[str, list[Vote]]] = field(default_factory=list)
    pairs: dict[str, Pair] = field(default_factory=dict)
    items: dict[str, list[str]] = field(default_factory=dict)  # of an idx
    against: set[str] = field(default_factory=set)
    verdicts: dict[str, dict[str, float | None]] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def rated_recorded(files: Sequence[Path], *, without_failing: bool = False, seed: int = 0) -> Rated:
    """What recorded votes say; every pair counts with the ratings it has.

    Raters of several files are different people, named "1-…", "2-…" in the order of the files.

    Raises:
        InputError: an unknown shape, no votes at all, a file given twice, or a judge's results on
            items without votes.
    """
    if len({path.resolve() for path in files}) != len(files):
        raise InputError("A file is given twice.", "Give each file once.")
    found, judges = _Found(), []
    for path in files:
        rows = read_rows_of(path)
        fields = set(rows[0].fields)
        if has_votes(rows[0].fields):
            _take_columns(found, path, rows)
        elif {"item", "choice", "rater", "model_1", "model_2"} <= fields:
            _take_own(found, path)
        elif has_result(rows[0].fields) or {"prompt", "first", "second", "second_wins"} <= fields:
            judges.append((path, rows))
        else:
            raise InputError(
                f"{path}, {rows[0].at}: no votes in the fields {', '.join(sorted(fields))}.",
                "Known shapes: our votes.jsonl; PandaLM's (cmp_key, annotator1, annotator2, …); a "
                "judge's results on those (idx, gpt_result), or its comparisons.jsonl.",
            )
    if not found.shown:
        raise InputError("No file holds votes.", "Give votes.jsonl, alone or beside a judge's.")
    for path, rows in judges:
        _take_judge(found, path, rows)
    study = Study(
        title="votes as recorded",
        made_of={"files": identity_of([("votes", path) for path in files])},
        shown=found.shown,
        against=found.against.pop() if len(found.against) == 1 else "",
        notes=tuple(found.notes),
    )
    verdicts, notes = verdicts_of(study, found.comparisons)
    study = replace(study, notes=(*study.notes, *notes))
    votes = together(found.sources)
    judged = {**found.verdicts, **verdicts}
    return summed(study, votes, judged, without_failing=without_failing, seed=seed)


def _take_columns(found: _Found, path: Path, rows: Sequence[Row]) -> None:
    """A row an item, a column a rater."""
    read = read_votes(path, rows)
    often = Counter(str(row.fields.get("idx")) for row in rows)
    number, votes = len(found.sources) + 1, []
    for row, one in zip(rows, read.comparisons, strict=True):
        idx = str(row.fields.get("idx"))
        name = idx if "idx" in row.fields and often[idx] == 1 else row.at
        item = name if name not in found.shown else f"{number}-{name}"
        found.items.setdefault(idx, []).append(item)
        found.shown[item] = Shown(
            item, one.prompt, one.first, one.second, one.lengths, one.category
        )
        votes += [
            Vote(item=item, rater=rater, choice=choice, origin="recorded")
            for rater, choice in votes_of(row.fields).items()
        ]
    found.pairs |= read.pairs
    found.sources.append((str(path), votes))
    found.notes += [COLUMNS] * (COLUMNS not in found.notes)


def _take_own(found: _Found, path: Path) -> None:
    """A row a vote, as `write_rated` writes it."""
    rows = read_vote_rows(path)
    for row in rows:
        shown = _shown(row)
        if found.shown.setdefault(row.item, shown) != shown:
            raise InputError(
                f"{path}: {row.item} is another pair than in the rows before it.",
                "Give votes of one packet, or each packet's alone.",
            )
        found.against |= {row.against} - {""}
    found.sources.append((str(path), [vote_of(row) for row in rows]))


def _shown(row: VoteRow) -> Shown:
    known = row.length_1 is not None and row.length_2 is not None
    lengths = (row.length_1 or 0, row.length_2 or 0) if known else None
    return Shown(row.item, row.prompt, row.model_1, row.model_2, lengths, row.category, row.gold)


def _take_judge(found: _Found, path: Path, rows: Sequence[Row]) -> None:
    if not has_result(rows[0].fields):
        found.comparisons += [own_row(path, row, Comparison, "a comparison") for row in rows]
        return
    if not found.pairs:
        raise InputError(
            f"{path} tells a judge's results by idx, and no votes with an idx are at hand.",
            "Give the votes on the same items (with cmp_key) beside it.",
        )
    for row, one in zip(rows, read_results(path, rows, found.pairs), strict=True):
        items = found.items[str(row.fields.get("idx"))]
        if len(items) > 1:
            raise InputError(
                f"{path}, {row.at}: idx {row.fields.get('idx')!r} stands on {len(items)} items.",
                "Give each file of votes with its own judge's results.",
            )
        found.verdicts.setdefault(one.judge, {})[items[0]] = one.second_wins
