"""After a study, or on the way: what raters preferred, written, and entered into the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.raters.packet import Packet, read_packet
from veneer.rating.opening import opened
from veneer.records import Comparison, ScoreSheet, Subject, Vote, read_rows
from veneer.running import RATINGS, conclude_again, rated_in, study_in
from veneer.steps import RunFolder, in_order
from veneer.study import graph


def results_of_study(
    packet: Path | None,
    *,
    stores: Sequence[str] = (),
    votes: Sequence[Path] = (),
    recorded: Sequence[Path] = (),
    run: Path | None = None,
    out: Path | None = None,
    judge: Sequence[Path] = (),
    without_failing: bool = False,
    partial: bool = False,
) -> dict[str, Any]:
    """What raters preferred, of a packet's votes or of recorded ones; written where asked.

    Args:
        packet: the packet; None where `recorded` votes speak for themselves.
        stores: URLs of stores with votes on the packet.
        votes: more votes on it, as `votes.jsonl` of results made elsewhere.
        recorded: votes of other studies.
        run: a run whose models were compared: its findings are drawn anew.
        out: a folder for the results; below the run unless given.
        judge: a judge's comparisons; those of the run unless given.
        without_failing, partial: see `veneer.rated.rated`.
    """
    from veneer.rated import (
        import_votes,
        rated,
        rated_recorded,
        results_json,
        results_text,
        write_rated,
    )

    if recorded:
        if packet is not None or stores or votes or run is not None or partial:
            raise InputError(
                "--recorded votes stand alone: they bring their own pairs.",
                "Leave PACKET, --store, --votes, --run and --partial out.",
            )
        found = rated_recorded([*recorded, *judge], without_failing=without_failing)
    elif packet is None or not (stores or votes):
        raise InputError(
            "There are no votes to sum up: give PACKET and --store, or --recorded FILE.",
            "Type: veneer rate results PACKET --store sqlite:///votes.db",
        )
    else:
        known = read_packet(packet)
        given = import_votes(known, votes, stores=[_votes_in(url, packet) for url in stores])
        verdicts = [row for path in judge for row in read_rows(path, Comparison)]
        if run is not None:
            _check_of_run(known, run)
            verdicts = verdicts or _judged_in(run, known)
            out = out or run / RATINGS / packet.resolve().name
            _check_rated_once(known, run, out)
        found = rated(
            known, given, judge=verdicts, without_failing=without_failing, partial=partial
        )
    text = [results_text(found)]
    if out is not None:
        write_rated(out, found)
        text.append(f"Votes, verdicts and sums: {out}")
    told = {**results_json(found), "out": None if out is None else str(out)}
    if run is not None:
        concluded = conclude_again(run)
        text.append(concluded["text"])
        told["run"] = concluded
    return {**told, "text": "\n\n".join(text)}


def _votes_in(url: str, packet: Path) -> list[Vote]:
    with opened(url, packet, make=False) as store:
        from veneer.raters.store.progress import votes

        return [*store.seen(votes), *store.seen(votes, True)]  # attention checks after the pairs


def _check_of_run(packet: Packet, run: Path) -> None:
    """Refuse a packet of another run: its models would be new ones there."""
    measured = {
        Subject.model_validate(json.loads((folder / "model.json").read_text("utf-8"))["subject"])
        for folder in _outputs(run, "measured-")
    }
    strange = [name for name, who in packet.facts.subjects.items() if who not in measured]
    if strange:
        raise InputError(
            f"{run} measured no {strange[0]} as the packet has it: the packet is of another run.",
            "Give the run that the packet was made from, or leave --run out.",
        )


def _check_rated_once(packet: Packet, run: Path, out: Path) -> None:
    """Refuse a second rating of a model: a run has one number for what raters think of it."""
    for folder in rated_in(run):
        if folder.resolve() == out.resolve():
            continue
        rated_there = {sheet.subject for sheet in read_rows(folder / "sheets.jsonl", ScoreSheet)}
        twice = [name for name, who in packet.facts.subjects.items() if who in rated_there]
        if twice:
            raise InputError(
                f"{run} has what raters think of {twice[0]} already, in {folder}.",
                f"Delete {folder} to put this packet's results in its place, or give --out and "
                "leave --run out.",
            )


def _judged_in(run: Path, packet: Packet) -> list[Comparison]:
    """What a judge said in a run of the models that raters saw."""
    return [
        row
        for subject in packet.facts.subjects.values()
        for folder in _outputs(run, f"judged-{subject.model}-s{subject.seed}")
        for row in read_rows(folder / "comparisons.jsonl", Comparison)
    ]


def _outputs(run: Path, name: str) -> list[Path]:
    """What the study's steps made whose names begin so; those with a seed's end are meant whole."""
    study, here = study_in(run)
    folder = RunFolder(run)
    steps = [step for step in in_order([graph(study, here)]) if folder.done(step)]
    return [
        folder.output(step)
        for step in steps
        if step.name == name or (name.endswith("-") and step.name.startswith(name))
    ]
