"""`veneer audit`: the findings of a study from files that already exist. Needs no model.

Wiring only: readers of recorded files, style, findings, report. Outputs are joined on
the prompt, and what does not join is counted in `joins.json`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import veneer
from veneer.errors import InputError, nearest
from veneer.findings import category_measurements, conclude, measurements, write_findings
from veneer.measure.recorded import (
    Join,
    Outputs,
    check_roles,
    join,
    merged,
    of_teacher,
    preferences_of,
    read_benchmark,
    read_outputs,
    read_preferences,
    split_claim,
    stem_of,
    with_prompts,
)
from veneer.measure.style import style_sheets
from veneer.records import (
    Aggregate,
    Answer,
    CorpusFacts,
    Example,
    Findings,
    PreferenceReport,
    Role,
    ScoreSheet,
    StudyFacts,
    Subject,
    content_id,
    write_rows,
)
from veneer.report import build
from veneer.steps import ABOUT, check_results, identity_of, results_in

KIND = "audit"
EXAMPLES = 12
ROLES: tuple[Role, ...] = ("teacher", "teacher-again", "base", "student")


@dataclass
class Case:
    """What was given and what became of it, as far as the audit has come."""

    outputs: list[tuple[Role, Outputs]] = field(default_factory=list)
    subjects: dict[str, Subject] = field(default_factory=dict)
    answers: dict[str, tuple[Answer, ...]] = field(default_factory=dict)
    scores: list[ScoreSheet | Aggregate] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    files: list[tuple[str, Path]] = field(default_factory=list)
    preferences: list[PreferenceReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    base: str | None = None


def audit(
    out: Path,
    *,
    teacher: str | None = None,
    students: Sequence[str] = (),
    base: str | None = None,
    teacher_again: str | None = None,
    benchmarks: Sequence[str] = (),
    preferences: Sequence[str] = (),
    questions: Path | None = None,
    command: str = "",
    report: bool = True,
) -> Findings:
    """Conclude from recorded files and write the run folder `out`.

    Args:
        out: the run folder; made whole or not at all. One that holds anything but an
            audit of the same files is refused.
        teacher, students, base, teacher_again: files of outputs, each `FILE` or
            `NAME=FILE`; with a name, a file that says to belong to another model is refused.
        benchmarks: `ROLE=FILE`, ROLE one of teacher, base, student (or a student's name);
            they need no outputs.
        preferences: files of recorded verdicts.
        questions: the text of questions that outputs know by `question_id` only.
        command: what was typed, for the report's provenance.
        report: whether to make the page.

    Raises:
        InputError: anything wrong with what was given, in one message.
        RunFolderError: `out` holds something else.
    """
    results = _by_role(benchmarks)
    case = _read(teacher, students, base, teacher_again, questions)
    _name_subjects(case, results)
    _measure_style(case)
    for role, path in results:
        case.files.append((f"benchmarks {role}", path))
        case.scores += read_benchmark(path, _benchmarked(case, role, path))
    case.scores = merged(case.scores)
    _note_unshared_items(case)
    _add_preferences(case, preferences)
    if not case.scores:
        raise InputError(
            "Nothing to audit: give outputs of a teacher and a student, or benchmark results.",
            "veneer audit --teacher FILE --student FILE [--base FILE] --out RUN",
        )
    facts = _facts(case)
    findings = conclude(facts, case.scores, preferences=case.preferences)
    study = {"files": identity_of(case.files)}
    check_results(out, KIND, study, called="an audit")
    with results_in(out) as made:
        _write(made, case, facts, findings, study, command)
        if report:
            build(made)
    return findings


# ---- what was given ---------------------------------------------------------------------


def _read(
    teacher: str | None,
    students: Sequence[str],
    base: str | None,
    teacher_again: str | None,
    questions: Path | None,
) -> Case:
    case = Case()
    given: list[tuple[Role, str]] = [("student", student) for student in students]
    alone: tuple[tuple[Role, str | None], ...] = (
        ("teacher", teacher), ("teacher-again", teacher_again), ("base", base)
    )  # fmt: skip
    given = [(role, spec) for role, spec in alone if spec is not None] + given
    if given and teacher is None:
        raise InputError(
            "Outputs are compared with the teacher's, and no teacher was given.",
            "Add --teacher FILE, or give benchmark results only.",
        )
    for role, spec in given:
        name, path = split_claim(spec)
        outputs = read_outputs(path, claimed=name)
        case.outputs.append((role, outputs))
        case.files.append((role, path))
    check_roles(case.outputs)
    texts = with_prompts([outputs for _, outputs in case.outputs], questions)
    case.outputs = [(role, file) for (role, _), file in zip(case.outputs, texts, strict=True)]
    if questions is not None:
        case.files.append(("questions", questions))
    return case


def _by_role(given: Sequence[str]) -> list[tuple[str, Path]]:
    """`ROLE=FILE` taken apart. What ROLE may be depends on the outputs, and is checked later."""
    found: list[tuple[str, Path]] = []
    for one in given:
        role, equals, rest = one.partition("=")
        if not equals or not rest:
            raise InputError(
                f"--benchmarks {one!r} does not say whose results they are.",
                "Write ROLE=FILE with a ROLE of teacher, base or student.",
            )
        for other_role, other in found:
            if other.resolve() == Path(rest).resolve():
                raise InputError(
                    f"The benchmark results of {other_role} and {role} are the same file, {rest}.",
                    "Give each model's own results.",
                )
        found.append((role, Path(rest)))
    return found


def _name_subjects(case: Case, results: Sequence[tuple[str, Path]]) -> None:
    """Who is who: the models of the outputs, and the base by its results if by nothing else."""
    base = next((file.model for role, file in case.outputs if role == "base"), None)
    base = base or next((stem_of(path) for role, path in results if role == "base"), None)
    case.base = base
    several = sum(role == "student" for role, _ in case.outputs) > 1
    for role, file in case.outputs:
        name = file.model if file.model not in case.subjects else f"{file.model} ({role})"
        case.subjects[name] = _subject(role, file.model, base, several)
        if stem_of(file.path) != file.model and file.named_inside:
            case.notes.append(f"{role}: {file.path.name} holds the answers of {file.model}")


def _subject(role: Role, model: str, base: str | None, several: bool) -> Subject:
    """The amount of imitation data is unknown; of several students each is its own corpus."""
    if role == "base":
        return Subject(model=model, role="base", base=model, tokens=0)
    if role == "student":
        corpus = model if several else None
        return Subject(model=model, role="student", base=base, corpus=corpus)
    return Subject(model=model, role=role)


def _measure_style(case: Case) -> None:
    teacher = next((file for role, file in case.outputs if role == "teacher"), None)
    if teacher is None:
        return
    case.joins.append(of_teacher(teacher))
    for (role, file), (name, subject) in zip(case.outputs, case.subjects.items(), strict=True):
        if role == "teacher":
            case.answers[name] = teacher.answers()
            continue
        asked, said, account = join(teacher, role, file)
        case.joins.append(account)
        case.answers[name] = said
        case.scores += style_sheets(asked, said, subject)


def _benchmarked(case: Case, role: str, path: Path) -> Subject:
    """Whose results these are: the model of that role or name, else one called after the file."""
    if role in case.subjects:
        return case.subjects[role]
    there = [who for who in case.subjects.values() if who.role == role]
    if len(there) > 1:
        names = ", ".join(who.model for who in there)
        raise InputError(
            f"There are several students ({names}); {path.name} may be any of theirs.",
            "Write the student's name: --benchmarks NAME=FILE.",
        )
    if there:
        return there[0]
    known = ("teacher", "base", "student", *case.subjects)
    if role not in known:
        raise InputError(
            f"--benchmarks {role}={path}: no role and no model of this audit is called {role!r}.",
            nearest(role, known),
        )
    name = stem_of(path)
    subject = _subject(role, name, case.base, several=False)  # type: ignore[arg-type]
    case.subjects[name if name not in case.subjects else f"{name} ({role})"] = subject
    return subject


def _note_unshared_items(case: Case) -> None:
    """Say where models were scored on different items: those are left out of comparisons."""
    by_metric: dict[tuple[str, str], list[ScoreSheet]] = {}
    for score in case.scores:
        if isinstance(score, ScoreSheet) and score.measure != "style":
            by_metric.setdefault((score.measure, score.metric), []).append(score)
    for (measure, metric), sheets in by_metric.items():
        common = set.intersection(*(set(sheet.items) for sheet in sheets))
        for sheet in sheets:
            if len(common) < len(sheet.items):
                case.notes.append(
                    f"{measure} {metric}: {len(sheet.items) - len(common)} items of "
                    f"{sheet.subject.model} were not given to every model"
                )


def _add_preferences(case: Case, given: Sequence[str]) -> None:
    if not given:
        return
    outputs = [file for _, file in case.outputs]
    files = []
    for spec in given:
        path = Path(spec)
        found = read_preferences(path, outputs)
        case.files.append(("preferences", path))
        files.append(found)
        if found.unresolved:
            case.notes.append(f"{path.name}: {found.unresolved} verdicts on answers not at hand")
    sheets, case.preferences = preferences_of(files, case.subjects)
    case.scores += sheets


# ---- what is written --------------------------------------------------------------------


def _facts(case: Case) -> StudyFacts:
    learners = [who for who in case.subjects.values() if who.role == "student"]
    bases = [who.model for who in case.subjects.values() if who.role == "base"]
    notes = []
    for account in case.joins[1:]:
        total = account.joined + account.only_teacher
        tail = f"; {account.only_here} answer other prompts" if account.only_here else ""
        notes.append(f"{account.model}: {account.joined} of {total} prompts joined{tail}")
    return StudyFacts(
        name=f"audit of {', '.join(who.model for who in learners) or 'recorded files'}",
        parameters=dict.fromkeys(bases),
        corpora={who.corpus: CorpusFacts(kind="broad") for who in learners if who.corpus},
        notes=(*notes, *case.notes),
    )


def _examples(case: Case) -> list[Example]:
    """A dozen prompts that every model answered, chosen by content and so always the same."""
    if not case.answers:
        return []
    texts = {name: {a.prompt: a for a in answers} for name, answers in case.answers.items()}
    common = set.intersection(*(set(found) for found in texts.values()))
    chosen = sorted(common, key=content_id)[:EXAMPLES]
    return [
        Example(
            prompt=prompt,
            category=next((f[prompt].category for f in texts.values() if f[prompt].category), ""),
            answers=tuple((case.subjects[n], found[prompt].text) for n, found in texts.items()),
        )
        for prompt in chosen
    ]


def _write(
    folder: Path,
    case: Case,
    facts: StudyFacts,
    findings: Findings,
    study: dict[str, Any],
    command: str,
) -> None:
    joins = [account.as_json() for account in case.joins]
    write_rows(folder / "measurements.jsonl", measurements(case.scores))
    write_findings(folder / "findings.json", findings)
    write_rows(folder / "examples.jsonl", _examples(case))
    sheets = [score for score in case.scores if isinstance(score, ScoreSheet)]
    write_rows(folder / "categories.jsonl", category_measurements(sheets))
    write_rows(folder / "preferences.jsonl", case.preferences)
    _write_json(folder / "joins.json", joins)
    (folder / "facts.json").write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    provenance: dict[str, Any] = {
        "kind": KIND,
        "command": command,
        "study": study,
        "joins": joins,
        "versions": {
            "veneer": veneer.__version__,
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
        },
        "seeds": [0],
    }
    _write_json(folder / ABOUT, provenance)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
