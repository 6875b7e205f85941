"""After a study: the model card of every student, now with what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veneer.conclusion import CORPUS
from veneer.records import Findings, Measurement, Subject, read_rows
from veneer.spec import Study
from veneer.steps import Part, RunFolder, Step, in_order, whole
from veneer.student.card import README, About, card, stats_of
from veneer.student.recipe import Amount, Recipe

REFINED = "refine.json"


def measured_cards(folder: RunFolder, goal: Step, study: Study) -> int:
    """Write README.md anew in the folder of every student that the study measured.

    Args:
        folder: a run folder with measurements.jsonl and findings.json.
        goal: the study's last step.
        study: what names of bases, corpora and teacher stand for.

    Returns:
        How many cards were written; each appears whole or stays as it was.
    """
    rows = list(read_rows(folder.root / "measurements.jsonl", Measurement))
    findings = Findings.model_validate_json((folder.root / "findings.json").read_text("utf-8"))
    count = 0
    for subject, student in students(goal):
        place, refined = folder.resolve(student), {}
        if "student" in student.step.inputs:
            refined = json.loads((folder.output(student.step) / REFINED).read_text("utf-8"))
            student = imitating(student)
        run = folder.output(student.step)
        facts = json.loads((run / "train.json").read_text("utf-8"))
        amount = next(
            found
            for found in map(Amount.model_validate, facts["amounts"])
            if found.folder == student.path
        )
        config = json.loads((place / "config.json").read_text("utf-8"))
        key = (subject.base, subject.corpus, amount.tokens)
        about = About(
            amount=amount,
            recipe=Recipe.model_validate(facts["recipe"]),
            base=_reference(study, subject.base or ""),
            teacher=study.teacher.model,
            corpus=subject.corpus or "",
            stats=_stats(folder, goal, study, subject.corpus or ""),
            run=facts,
            refined=refined,
            sequence_to_sequence=bool(config.get("is_encoder_decoder")),
        )
        text = card(
            about,
            [r for r in rows if (r.base, r.corpus, r.tokens, r.seed) == (*key, subject.seed)],
            [g for g in findings.gap_closed if (g.base, g.corpus, g.tokens) == key],
            {str(kind): estimate for kind, estimate in findings.veneer.items()},
        )
        with whole(place / README, place / f".{README}.new") as scratch:
            scratch.write_text(text, "utf-8")
        count += 1
    return count


def students(goal: Step) -> Iterator[tuple[Subject, Part]]:
    """The students that the steps of a study measure, each with its folder."""
    for step in in_order([goal]):
        model, subject = step.inputs.get("model"), step.params.get("subject")
        if isinstance(model, Part) and subject is not None:
            subject = Subject.model_validate(subject)
            if subject.role == "student":
                yield subject, model


def imitating(student: Part) -> Part:
    """The student that a refined one was refined from."""
    source = student.step.inputs["student"]
    assert isinstance(source, Part)
    return source


def _reference(study: Study, base: str) -> str:
    """The hub's name of a base, or its name in the study where it is no model of the hub."""
    given = study.bases.get(base, base)
    hub = given.startswith("hf:") and not Path(given.removeprefix("hf:")).exists()
    return given if hub else base


def _stats(folder: RunFolder, goal: Step, study: Study, name: str) -> dict[str, Any]:
    """The statistics of a corpus; of a mixture, what can be added up of its parts."""
    corpus = study.corpora.get(name)
    if corpus is not None and corpus.mix:
        parts = [_stats(folder, goal, study, part) for part in corpus.mix]
        languages: dict[str, int] = {}
        for part in parts:
            for code, rows in (part.get("languages") or {}).items():
                languages[code] = languages.get(code, 0) + rows
        return {
            "ledger": [line for part in parts for line in part.get("ledger") or ()],
            "languages": languages,
        }
    step = goal.inputs.get(f"{CORPUS}{name}")
    return stats_of(folder.output(step)) if isinstance(step, Step) else {}
