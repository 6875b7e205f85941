"""The judging step: one model's answers before a judge."""

from __future__ import annotations

import json
from pathlib import Path

from veneer.errors import InputError
from veneer.measure.judging.asking import judge_pairs, last_attempts, pairs_of
from veneer.measure.judging.settings import JudgeSettings
from veneer.measure.judging.tone import tone_sheet
from veneer.models.asking import Model
from veneer.models.opening import model_of
from veneer.records import Answer, Comparison, ScoreSheet, Subject, read_rows, write_rows
from veneer.steps import Job, on_gpu


@on_gpu
def judged(job: Job) -> None:
    """Judge one model's answers, beside an opponent's and for their tone.

    inputs: `answers` Answer rows, or the folder of a measuring step (answers.jsonl; the subject's
        true number of tokens is taken from its model.json); optional `against`, the same of the
        opponent (in a study the teacher): without it only the tone is asked about; `model` a
        Hugging Face model folder that judges, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`).
    params: `subject` (a Subject), `settings` (`JudgeSettings.deciding()`), with `against` the
        opponent's name in `against`.
    Writes comparisons.jsonl (Comparison rows, every attempt), preferences.jsonl (one
    PreferenceReport, none without an opponent), sheets.jsonl (ScoreSheet rows: "preference",
    and "style" / "authoritative_tone" where the settings have `tone`).

    Raises:
        StepFailed: a budget ended first. Run again, it is asked only what it was not.
    """
    from veneer.measure.preference import preference_report, preference_sheets_of

    params = job.params
    settings = JudgeSettings.model_validate(params["settings"])
    subject = _subject(Subject.model_validate(params["subject"]), Path(job.inputs["answers"]))
    answers = _answers(Path(job.inputs["answers"]))
    comparisons: list[Comparison] = []
    sheets: list[ScoreSheet] = []
    reports = []
    job.progress(0, 10, "loading")
    with model_of(job) as model:
        if "against" in job.inputs:
            against = str(params["against"])
            comparisons = _compared(job, model, settings, answers, subject.model, against)
            counted = last_attempts(comparisons)
            sheets += preference_sheets_of(counted, subject, against)
            reports.append(preference_report(counted, subject, against, seed=settings.seed))
        if settings.tone:
            begin = 8 if comparisons else 0
            sheets.append(
                tone_sheet(
                    model,
                    answers,
                    subject,
                    settings,
                    lambda done, total: job.progress(
                        begin + (10 - begin) * done / max(total, 1), 10, "tone"
                    ),
                )
            )
    write_rows(job.out / "comparisons.jsonl", comparisons)
    write_rows(job.out / "preferences.jsonl", reports)
    write_rows(job.out / "sheets.jsonl", sheets)
    job.progress(10, 10)


def _compared(
    job: Job,
    model: Model,
    settings: JudgeSettings,
    answers: list[Answer],
    subject: str,
    against: str,
) -> list[Comparison]:
    end = 8 if settings.tone else 10
    return judge_pairs(
        model,
        pairs_of(answers, _answers(Path(job.inputs["against"])), subject, against),
        settings,
        lambda done, total: job.progress(end * done / max(total, 1), 10, "verdicts"),
    )


def _answers(given: Path) -> list[Answer]:
    path = given / "answers.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: there is nothing to judge.",
            'Measure "style" as well, which writes the answers, or give a file of them.',
        )
    return list(read_rows(path, Answer))


def _subject(subject: Subject, measured: Path) -> Subject:
    """The subject with the number of tokens that measuring found to be true."""
    about = measured / "model.json"
    if not about.is_file():
        return subject
    known = Subject.model_validate(json.loads(about.read_text("utf-8"))["subject"])
    return subject.model_copy(update={"tokens": known.tokens})
