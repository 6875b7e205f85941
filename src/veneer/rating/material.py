"""Whose answers stand side by side before raters: of a run's models, or of two files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from veneer.corpus.importing.queries import read_texts
from veneer.errors import InputError, nearest
from veneer.measure.recorded import Outputs, read_outputs, split_claim, with_prompts
from veneer.models.resolve import parse_model
from veneer.rating.screening import Asked
from veneer.records import Answer, Dialogue, Subject, read_rows
from veneer.running import study_in
from veneer.steps import ABOUT, RunFolder, Step
from veneer.study import TEACHER, Examination
from veneer.trial import Trial

EMBEDDED = (
    "The embedded world has words and patterns of its own: no prompt is left out for its nearness "
    "to the imitation data, its language or its code, unless --bleu or --language ask for it."
)
FILES = "veneer rate pack ONE TWO --out PACKET"


@dataclass(frozen=True)
class Material:
    """What a packet is made from.

    `training`: the questions of the imitation data, None where they are not at hand. `names`: what
    no output may say. `private`: what raters may not be told beside those. `embedded`: of the
    embedded world, whose prompts have a language of their own.
    """

    rows: Sequence[Asked]
    models: Sequence[str]
    against: str
    subjects: Mapping[str, Subject]
    training: Sequence[str] | None
    names: Sequence[str]
    made_from: str
    private: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    embedded: bool = False


# ---- of a run --------------------------------------------------------------------------------


def of_run(run: Path, models: Sequence[str], against: str | None, of_seed: int | None) -> Material:
    """Of a run's models; arguments and errors as `veneer.rating.packing.pack_run`."""
    _check_study(run)
    study, here = study_in(run)
    if of_seed is not None and of_seed not in study.seeds:
        given = ", ".join(map(str, study.seeds))
        raise InputError(f"The study has no seed {of_seed}.", f"Its seeds: {given}.")
    trial = Trial(study, here, study.seeds[0] if of_seed is None else of_seed)
    exam = Examination(trial)
    if "style" not in exam.measures:
        raise InputError(
            f"The study in {run} does not measure style: its models answered no prompts.",
            f"Add style to its measures and run it again, or give two files of outputs:  {FILES}",
        )
    steps = {TEACHER: exam.teacher(), "teacher-again": exam.teacher_again()}
    learners = {subject.model: subject for subject, _ in exam.learners()}
    for subject, voice in exam.learners():
        steps[subject.model] = exam.measured(subject, voice, exam.measures)
    against = against or TEACHER
    chosen = list(learners) if tuple(models) == ("all",) else list(dict.fromkeys(models))
    if not chosen:
        most = {name: max(study.amounts_of(name)) for name in study.corpora}
        chosen = [n for n, who in learners.items() if who.corpus and who.tokens == most[who.corpus]]
    chosen = [name for name in chosen if name != against or tuple(models) != ("all",)]
    for name in (*chosen, against):
        if name not in steps:
            raise InputError(f"The study has no model {name!r}.", nearest(name, steps))
    if against in chosen:
        raise InputError(f"{against} is compared with itself.", "Choose another --against.")
    corpora = list(dict.fromkeys(learners[n].corpus for n in (*chosen, against) if n in learners))
    asked = {name: trial.asked_for(name) for name in corpora if name is not None}
    folder = RunFolder(run)
    _check_done(run, folder, [*(steps[name] for name in (against, *chosen)), *asked.values()])
    said = {name: folder.output(steps[name]) for name in (against, *chosen)}
    subjects = {name: Subject.model_validate(_about(said[name])) for name in said}
    training = list(
        dict.fromkeys(
            turn.content
            for step in asked.values()
            for row in read_rows(folder.output(step) / "corpus.jsonl", Dialogue)
            for turn in row.messages
            if turn.role == "user"
        )
    )
    refs = [parse_model(given).name for given in (study.teacher.model, *study.bases.values())]
    names = [*said, *refs]
    answers = {name: list(read_rows(path / "answers.jsonl", Answer)) for name, path in said.items()}
    made_from = f"run {study.name}, seed {trial.seed}"
    embedded = study.evaluation == "pocket"
    return Material(
        _asked(answers, against), chosen, against, subjects, training, list(dict.fromkeys(names)),
        made_from, (study.name,), notes=[EMBEDDED] if embedded else [], embedded=embedded,
    )  # fmt: skip


def _check_study(run: Path) -> None:
    kinds = [
        json.loads(path.read_text("utf-8")).get("kind")
        for path in (run / "study.json", run / ABOUT)
        if path.is_file()
    ]
    if run.is_file() or (kinds and kinds[0] != "study"):
        raise InputError(
            f"{run} is not the folder of a study's run, and keeps no models' answers.",
            f"Give two files of outputs:  {FILES}",
        )


def _check_done(run: Path, folder: RunFolder, steps: Sequence[Step]) -> None:
    left = [step.name for step in steps if not folder.done(step)]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise InputError(
            f"The study in {run} is not finished: {left[0]}{more} is not done.",
            f"Finish it first:  veneer run … --out {run}",
        )


def _about(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text("utf-8"))["subject"]


# ---- of two files ----------------------------------------------------------------------------


def of_files(one: str, other: str, questions: Path | None, corpus: Sequence[Path]) -> Material:
    """Of two files of recorded outputs; see `veneer.rating.packing.pack_outputs`."""
    given = []
    for spec in (one, other):
        name, path = split_claim(spec)
        given.append(read_outputs(path, claimed=name))
    mine, theirs = with_prompts(given, questions)
    if mine.path.resolve() == theirs.path.resolve():
        raise InputError(f"{mine.path} is compared with itself.", "Give the answers of two models.")
    if mine.model == theirs.model:
        theirs = replace(theirs, model=f"{theirs.model} ({theirs.path.name})")
    answers = {file.model: list(file.answers()) for file in (mine, theirs)}
    if not set.intersection(*({a.prompt for a in each} for each in answers.values())):
        raise InputError(
            f"{mine.path} and {theirs.path} have no prompt in common.",
            "Give answers to the same prompts; where they know questions by id only, add "
            "--questions FILE.",
        )
    training = [text for path in corpus for text in read_texts(path)] if corpus else None
    notes = []
    if training is None:
        notes.append(
            "Nothing was decontaminated: no imitation data was given (--corpus FILE), so raters "
            "may see prompts that the model was trained on."
        )
    repeated = sum(file.repeated for file in (mine, theirs))
    if repeated:
        notes.append(f"{repeated:,} further answers to a prompt were not looked at.")
    stems = [file.path.name.split(".")[0] for file in (mine, theirs)]
    unknown = {
        answer.prompt
        for file in (mine, theirs)
        for said, answer in zip(file.said, file.answers(), strict=True)
        if said.prompt is None
    }
    rows = [replace(row, text=row.prompt not in unknown) for row in _asked(answers, theirs.model)]
    subjects = {
        mine.model: Subject(model=mine.model, role="student"),
        theirs.model: Subject(model=theirs.model, role="teacher"),
    }
    made_from = " beside ".join(_known(file) for file in (mine, theirs))
    return Material(
        rows, [mine.model], theirs.model, subjects, training, [mine.model, theirs.model], made_from,
        stems, notes,
    )  # fmt: skip


def _known(file: Outputs) -> str:
    return f"{file.path.name} ({hashlib.sha256(file.path.read_bytes()).hexdigest()[:12]})"


def _asked(answers: Mapping[str, Sequence[Answer]], against: str) -> list[Asked]:
    """By prompt, in the order of the answers of `against`, then of the others."""
    found: dict[str, dict[str, Answer]] = {}
    for name in (against, *answers):
        for answer in sorted(answers[name], key=lambda answer: answer.sample):
            found.setdefault(answer.prompt, {}).setdefault(name, answer)
    return [
        Asked(prompt, said, next((one.category for one in said.values() if one.category), ""))
        for prompt, said in found.items()
    ]
