"""Votes and what they say as files: written for people and programs, and read back.

`votes.jsonl` holds a `VoteRow` a line: with the prompt, models and lengths of the pair, so that
another machine, or another store of the same packet, can take the votes in without the key.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import veneer
from veneer.errors import InputError
from veneer.measure.recorded.files import own_row, read_rows_of
from veneer.rated.pairs import Shown, Study, study_of
from veneer.rated.rates import Rated
from veneer.rated.telling import agreement_json, results_json
from veneer.raters.packet import Packet
from veneer.raters.quality import RaterQuality
from veneer.raters.spreadsheets import cell
from veneer.records import Choice, Origin, Record, Vote, write_rows
from veneer.steps import ABOUT, check_results, results_in

KIND = "ratings"
SAME = "the same"


class VoteRow(Record):
    """A line of `votes.jsonl`. `preferred` is a model's name, or `SAME`.

    `gold` is the right choice of an attention check and `right` whether this is it; both None on
    a pair of the study. `against` is the model that others are compared with, lengths are in
    characters, `seconds` from being shown to voting.
    """

    item: str
    prompt: str
    model_1: str
    model_2: str
    choice: Choice
    preferred: str
    rater: str
    origin: Origin
    seconds: float | None = None
    reason: str = ""
    gold: Choice | None = None
    right: bool | None = None
    category: str = ""
    length_1: int | None = None
    length_2: int | None = None
    against: str = ""


def write_rated(out: Path, rated: Rated) -> None:
    """Write all of it into a folder, whole or not at all: equal votes give equal bytes.

    votes.jsonl and votes.csv (a row a vote), comparisons.jsonl, preferences.jsonl, sheets.jsonl,
    agreement.json, raters.jsonl and raters.csv, results.json. A folder with results of the same
    packet or files is replaced.

    Raises:
        RunFolderError: `out` holds something else.
    """
    made_of = dict(rated.study.made_of)
    check_results(out, KIND, made_of, called="ratings")
    votes = [_row(rated.study, vote) for vote in rated.votes]
    with results_in(out) as folder:
        write_rows(folder / "votes.jsonl", votes)
        _write_table(folder / "votes.csv", VoteRow, (row.model_dump(mode="json") for row in votes))
        write_rows(folder / "comparisons.jsonl", rated.comparisons)
        write_rows(folder / "preferences.jsonl", (one.report for one in rated.models))
        write_rows(folder / "sheets.jsonl", (sheet for one in rated.models for sheet in one.sheets))
        write_rows(folder / "raters.jsonl", rated.raters)
        _write_table(folder / "raters.csv", RaterQuality, map(_flat, rated.raters))
        _write_json(folder / "agreement.json", agreement_json(rated))
        _write_json(folder / "results.json", results_json(rated))
        about = {"kind": KIND, "study": made_of, "versions": {"veneer": veneer.__version__}}
        _write_json(folder / ABOUT, about)


def import_votes(
    packet: Packet, files: Sequence[Path], *, stores: Sequence[Sequence[Vote]] = ()
) -> list[Vote]:
    """All votes on a packet, from its stores and from files that `write_rated` wrote elsewhere.

    Every vote keeps its origin. With several sources raters are renamed, so that two people whom
    two servers called "7" stay two: "1-7" and "2-7", counting stores first, as given.

    Raises:
        InputError: a vote on another packet; one rater's second vote on a pair; a vote that
            stands in two sources.
    """
    study = study_of(packet)
    sources = [(f"store {k}", list(votes)) for k, votes in enumerate(stores, 1)]
    for path in files:
        rows = read_vote_rows(path)
        for row in rows:
            _check_same_pair(path, row, study.shown.get(row.item))
        sources.append((str(path), [vote_of(row) for row in rows]))
    return together(sources)


def read_vote_rows(path: Path) -> list[VoteRow]:
    """The rows of a `votes.jsonl`.

    Raises:
        InputError: as in `veneer.measure.recorded.files`; a row that is not a vote of ours.
    """
    return [own_row(path, row, VoteRow, "a vote") for row in read_rows_of(path)]


def vote_of(row: VoteRow) -> Vote:
    """The vote of a row, without what it says of the pair."""
    return Vote(**{name: getattr(row, name) for name in Vote.model_fields})


def together(sources: Sequence[tuple[str, Sequence[Vote]]]) -> list[Vote]:
    """Votes of several (name, votes), raters renamed as in `import_votes`.

    Raises:
        InputError: as there, of votes that stand twice.
    """
    for name, votes in sources:
        seen: set[tuple[str, str]] = set()
        for vote in votes:
            if (vote.item, vote.rater) in seen:
                raise InputError(
                    f"{name}: rater {vote.rater} has two votes on {vote.item}.",
                    "Give each vote once.",
                )
            seen.add((vote.item, vote.rater))
    for (one, votes), (other, more) in combinations(sources, 2):
        timed = {vote for vote in votes if vote.seconds is not None}
        again = [vote for vote in more if vote in timed]
        if again or (votes and sorted(map(str, votes)) == sorted(map(str, more))):
            raise InputError(
                f"{one} and {other} hold the same votes"
                f"{f' ({len(again):,} of them)' if again else ''}.",
                "Give each vote once: a store, or the file of its votes.",
            )
    if len(sources) == 1:
        return list(sources[0][1])
    return [
        vote.model_copy(update={"rater": f"{k}-{vote.rater}"})
        for k, (_, votes) in enumerate(sources, 1)
        for vote in votes
    ]


def _check_same_pair(path: Path, row: VoteRow, shown: Shown | None) -> None:
    told = (row.prompt, row.model_1, row.model_2, row.gold)
    if shown is None or told != (shown.prompt, shown.first, shown.second, shown.gold):
        raise InputError(
            f"{path}: the vote of rater {row.rater} on {row.item} is on another packet.",
            "Give votes on this packet, or read them alone with --recorded.",
        )


def _row(study: Study, vote: Vote) -> VoteRow:
    shown = study.shown[vote.item]
    lengths = shown.lengths or (None, None)
    return VoteRow(
        **vote.model_dump(),
        prompt=shown.prompt,
        model_1=shown.first,
        model_2=shown.second,
        preferred=(SAME, shown.first, shown.second)[vote.choice],
        gold=shown.gold,
        right=None if shown.gold is None else vote.choice == shown.gold,
        category=shown.category,
        length_1=lengths[0],
        length_2=lengths[1],
        against="" if shown.gold is not None else study.sides(shown.first, shown.second)[1],
    )


# ---- tables ---------------------------------------------------------------------------------


def _flat(one: RaterQuality) -> dict[str, Any]:
    """A rater's figures, each estimate in columns: its value, and _low, _high, _n, _unscored."""
    told = one.model_dump(mode="json")
    for name, value in list(told.items()):
        if isinstance(value, Mapping):
            told[name] = value["value"]
            told |= {f"{name}_{part}": value[part] for part in ("low", "high", "n", "unscored")}
    return told | {"notes": "; ".join(one.notes)}


def _write_table(path: Path, kind: type[Record], rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV table that no spreadsheet runs: every cell quoted, no text that begins a formula."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        columns: list[str] = []
        for row in rows:
            if not columns:
                columns = list(row)
                writer.writerow(columns)
            writer.writerow([cell(row[name]) for name in columns])
        if not columns:
            writer.writerow(kind.model_fields)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
