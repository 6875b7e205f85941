"""`veneer measure --outputs F`: scores of what a model has said already. Needs no model.

Wiring only: which rows serve which measure, their scores, the estimates. The folder holds
sheets.jsonl (item scores), measurements.jsonl, unscored.jsonl (each item without a score and why),
for humaneval verdicts.jsonl (each sample, in the shape that `veneer audit --benchmarks` reads),
for style joins.json, and provenance.json.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

import veneer
from veneer.errors import InputError, nearest
from veneer.findings import measurements
from veneer.measure.recorded import (
    Join,
    Outputs,
    check_roles,
    join,
    of_teacher,
    read_outputs,
    split_claim,
    stem_of,
    with_prompts,
)
from veneer.measure.recorded.files import Row, read_rows_of
from veneer.measure.recorded.finding import READERS, WORDS, benchmark_files, output_files
from veneer.measure.recorded.outputs import model_in, outputs_of
from veneer.measure.recorded.programs import scored_humaneval
from veneer.measure.recorded.scored import (
    Data,
    Scored,
    already,
    scored_mmlu,
    scored_nq,
)
from veneer.measure.recorded.sharing import BENCHMARKS, RECORDED_MEASURES, shared_out
from veneer.measure.recorded.toxic import scored_toxicity
from veneer.measure.style import style_sheets
from veneer.measure.toxicity import ToxicitySettings
from veneer.measurement import Texts, summary, unscored_items
from veneer.progress import counted
from veneer.records import Role, ScoreSheet, Subject, write_rows
from veneer.steps import ABOUT, check_results, identity_of, results_in

KIND = "measurement"
ORDER = ("nq", "nq-0shot", "mmlu", "style", "toxicity", "humaneval")
"""Measures in the order in which they are scored: programs are run when all else was fine."""


@dataclass
class Found:
    """What became of each measure, as far as the measuring has come."""

    scored: dict[str, Scored] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    ceiling: list[ScoreSheet] = field(default_factory=list)
    files: list[tuple[str, Path]] = field(default_factory=list)

    @property
    def sheets(self) -> list[ScoreSheet]:
        """All sheets of the model itself."""
        return [sheet for scored in self.scored.values() for sheet in scored.sheets]


def measure_outputs(
    outputs: Path,
    measures: Sequence[str],
    out: Path,
    *,
    benchmark_data: Sequence[str] = (),
    teacher_answers: Path | None = None,
    teacher_again: Path | None = None,
    questions: Path | None = None,
    toxicity: Mapping[str, Any] | None = None,
    name: str | None = None,
    role: Role = "student",
) -> dict[str, Any]:
    """Score recorded outputs and write the folder `out`.

    Args:
        outputs: one file, or a folder with a file a measure (`finding.output_files`).
        measures: of `RECORDED_MEASURES`.
        out: made whole or not at all; anything but the same measures of the same files is
            refused.
        benchmark_data: the benchmarks' own items: `MEASURE=FILE`, FILE, or a folder; for
            "toxicity" `toxic_words=FILE`, where the outputs hold no scores of it.
        teacher_answers, teacher_again: what "style" compares with, and a second sample of it,
            whose style is the ceiling.
        questions: the text of questions that answers know by `question_id` only.
        toxicity: fields of `ToxicitySettings`, for another scorer than a list of words.
        name: the model; a file that says to belong to another is refused.
        role: what the model is, in measurements.jsonl.

    Returns:
        What `--json` prints: "model", "measures" {measure: {metric: {"value", "low", "high",
        "n", "unscored"}}}, "unscored_reasons" {measure: {reason: items}}, "notes", "out", with a
        second teacher sample "ceiling" (as "measures"); and "text" for people.

    Raises:
        InputError: anything wrong with what was given, in one message.
        RunFolderError: `out` holds something else.
    """
    asked = _known(measures)
    data_files = benchmark_files(benchmark_data, asked)
    sources = {path: (of, read_rows_of(path)) for path, of in output_files(outputs, asked).items()}
    model = _model(outputs, sources, name)
    found = Found(files=[(f"outputs {','.join(of)}", path) for path, (of, _) in sources.items()])
    found.files += [(f"items {measure}", path) for measure, path in data_files.items()]
    for given, path in (
        ("teacher", teacher_answers), ("teacher-again", teacher_again),
        ("questions", questions),
    ):  # fmt: skip
        if path is not None:
            found.files.append((given, split_claim(str(path))[1]))
    _check_needed(asked, teacher_answers, teacher_again)
    words = data_files.pop(WORDS, None)
    data = {measure: READERS[measure](path) for measure, path in data_files.items()}
    shares: dict[str, tuple[Path, list[Row]]] = {}
    for path, (of, rows) in sources.items():
        shares |= {m: (path, share) for m, share in shared_out(path, rows, of, data).items()}
    study: dict[str, Any] = {
        "model": model,
        "role": role,
        "measures": asked,
        "files": _identity(found),
    }
    settings = None if toxicity is None else ToxicitySettings.model_validate(toxicity)
    if settings is not None and "toxicity" in asked:
        study["toxicity"] = settings.model_dump(mode="json")
    check_results(out, KIND, study, called="a measurement")
    subject = Subject(model=model, role=role)
    for measure in sorted(asked, key=ORDER.index):
        path, rows = shares[measure]
        if measure == "style":
            assert teacher_answers is not None
            found.scored[measure] = _style(
                outputs_of(path, rows, name), subject, found, teacher_answers, teacher_again,
                questions,
            )  # fmt: skip
        elif measure == "toxicity":
            found.scored[measure] = scored_toxicity(path, rows, subject, words, questions, settings)
        else:
            found.scored[measure] = _benchmark(measure, path, rows, subject, data.get(measure))
    found.scored = {measure: found.scored[measure] for measure in asked}
    texts = {measure: scored.texts for measure, scored in found.scored.items()}
    with results_in(out) as made:
        _write(made, found, texts, study)
    notes = [note for scored in found.scored.values() for note in scored.notes]
    return summary(model, found.sheets, out, texts=texts, ceiling=found.ceiling, notes=notes)


# ---- what was given -------------------------------------------------------------------------


def _known(measures: Sequence[str]) -> list[str]:
    if not measures:
        raise InputError(
            "No measure was asked for.", f"Type --measures {','.join(RECORDED_MEASURES)}."
        )
    for one in measures:
        if one not in RECORDED_MEASURES:
            raise InputError(
                f"{one!r} cannot be measured on recorded outputs.",
                nearest(one, RECORDED_MEASURES),
            )
    return list(dict.fromkeys(measures))


def _model(
    outputs: Path, sources: Mapping[Path, tuple[list[str], list[Row]]], name: str | None
) -> str:
    """Whose outputs these are: what the files say, else the name given, else the file's."""
    inside = {found for path, (_, rows) in sources.items() if (found := model_in(path, rows, name))}
    if len(inside) > 1:
        raise InputError(
            f"The files of {outputs} belong to several models: {', '.join(sorted(inside))}.",
            "Measure one model at a time.",
        )
    return next(iter(inside), None) or name or stem_of(outputs)


def _check_needed(
    asked: Sequence[str], teacher_answers: Path | None, teacher_again: Path | None
) -> None:
    if "style" in asked and teacher_answers is None:
        raise InputError(
            "Style is measured beside a teacher's answers, and none were given.",
            "Add --teacher-answers FILE: a teacher's outputs to the same prompts.",
        )
    given = teacher_answers or teacher_again
    if "style" not in asked and given is not None:
        raise InputError(
            f"A teacher's answers ({given}) serve style, which was not asked for.",
            f"Type --measures {','.join([*asked, 'style'])}, or leave them out.",
        )


def _identity(found: Found) -> list[dict[str, str]]:
    for role, path in found.files:
        if not path.is_file():
            raise InputError(f"No such file: {path} ({role}).", "Check the path.")
    return identity_of(found.files)


# ---- measures -------------------------------------------------------------------------------


def _benchmark(
    measure: str, path: Path, rows: list[Row], subject: Subject, data: Data | None
) -> Scored:
    done = already(path, rows, subject, measure)
    if done is not None:
        return done
    if measure == "mmlu":
        return scored_mmlu(path, rows, subject, data)
    if measure == "humaneval":
        with counted(Console(stderr=True), "programs") as tell:
            return scored_humaneval(path, rows, subject, data, tell)
    return scored_nq(path, rows, subject, data, measure)


def _style(
    said: Outputs,
    subject: Subject,
    found: Found,
    teacher_answers: Path,
    teacher_again: Path | None,
    questions: Path | None,
) -> Scored:
    roles: list[tuple[str, Outputs]] = [("model", said), ("teacher", _teacher(teacher_answers))]
    if teacher_again is not None:
        roles.append(("teacher-again", _teacher(teacher_again)))
    check_roles(roles)
    said, teacher, *again = with_prompts([file for _, file in roles], questions)
    asked, answers, account = join(teacher, "model", said)
    found.joins += [of_teacher(teacher), account]
    for second in again:
        first, repeated, joined = join(teacher, "teacher-again", second)
        found.joins.append(joined)
        ceiling = Subject(model=second.model, role="teacher-again")
        found.ceiling += style_sheets(first, repeated, ceiling)
    notes = []
    if account.only_here or account.only_teacher:
        notes.append(
            f"style: {account.joined} of the teacher's {account.joined + account.only_teacher} "
            f"prompts joined; {account.only_here} answers are to other prompts"
        )
    if account.repeated:
        notes.append(f"style: {account.repeated} further answers to a prompt were not looked at")
    return Scored(
        tuple(style_sheets(asked, answers, subject)),
        {answer.prompt_id: answer.prompt for answer in answers},
        tuple(notes),
    )


def _teacher(given: Path) -> Outputs:
    claimed, path = split_claim(str(given))
    return read_outputs(path, claimed)


# ---- what is written ------------------------------------------------------------------------


def _write(folder: Path, found: Found, texts: Texts, study: dict[str, Any]) -> None:
    sheets = [*found.sheets, *found.ceiling]
    write_rows(folder / "sheets.jsonl", sheets)
    write_rows(folder / "measurements.jsonl", measurements(sheets))
    _write_lines(folder / "unscored.jsonl", unscored_items(sheets, texts))
    samples = [row for scored in found.scored.values() for row in scored.rows]
    if samples:
        _write_lines(folder / "verdicts.jsonl", samples)
    if found.joins:
        _write_json(folder / "joins.json", [account.as_json() for account in found.joins])
    provenance = {
        "kind": KIND,
        "study": study,
        "versions": {
            "veneer": veneer.__version__,
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
        },
    }
    _write_json(folder / ABOUT, provenance)


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


__all__ = ["BENCHMARKS", "RECORDED_MEASURES", "measure_outputs"]
