"""The step that refines a student with its teacher's help."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.records import Answer, Prompt, write_rows
from veneer.steps import Job, on_gpu, versioned
from veneer.student.refine.asked import drawn, read_prompts
from veneer.student.refine.refinement import Pair, Refinement, Unpaired, read_refinement

if TYPE_CHECKING:
    from veneer.models.local import LocalModel
    from veneer.student.refine.training import Loss

REFINED = "refined"
"""The folder of the refined model, as plain `from_pretrained` loads it."""


@on_gpu
@versioned(1)
def refine(job: Job) -> None:
    """Step: a student after on-policy distillation or preference imitation.

    inputs: `student` a student's folder; `prompts` see `asked.read_prompts`; `model` the
        teacher's folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`; an endpoint can judge, and no more).
    params: `refinement` (fields of Refinement), `seed`.
    Writes `refined/` (model, tokenizer, template, generation settings; the student's
    trained_on.json, since refining adds no imitation data), refine.json (what was asked, kept and
    left out, and the losses' way), loss.jsonl (one row an optimiser step); and for preferences
    samples.jsonl (Answer rows), pairs.jsonl (Pair) and unpaired.jsonl (Unpaired, with reasons).

    Raises:
        InputError: too few prompts, a teacher that cannot do what is asked, other vocabularies.
        StepFailed: no preference at all, nothing that fits the context, a loss that is no number,
            a budget that ended (what was paid for is in the endpoint's journal).
    """
    from veneer.models.local import LocalModel
    from veneer.student.refine.training import save

    refinement = read_refinement(job.params["refinement"])
    seed = int(job.params["seed"])
    prompts = drawn(read_prompts(Path(job.inputs["prompts"])), refinement.prompts, seed)
    source = Path(job.inputs["student"])
    if refinement.by == "on-policy" and "model" not in job.inputs:
        raise InputError(
            "On-policy distillation needs the teacher's distributions, which no endpoint tells.",
            "Refine by: preference, or take a teacher whose weights are at hand.",
        )
    student = LocalModel.load(source)
    by = _distilled if refinement.by == "on-policy" else _preferred
    facts, losses = by(job, student, prompts, refinement, seed)
    save(student, source, job.out / REFINED)
    with (job.out / "loss.jsonl").open("w", encoding="utf-8") as out:
        for row in losses:
            out.write(json.dumps(row) + "\n")
    about = {"refinement": refinement.model_dump(mode="json"), "rate": refinement.rate, **facts}
    text = json.dumps({**about, "seed": seed}, indent=2, sort_keys=True)
    (job.out / "refine.json").write_text(text + "\n", encoding="utf-8")


def _distilled(
    job: Job, student: LocalModel, prompts: list[Prompt], refinement: Refinement, seed: int
) -> tuple[dict[str, Any], list[Loss]]:
    from veneer.models.opening import model_of
    from veneer.student.refine.on_policy import distil

    texts = [prompt.text for prompt in prompts]
    with model_of(job) as teacher:
        return distil(student, teacher, texts, refinement, seed, job.progress)  # type: ignore[arg-type]


def _preferred(
    job: Job, student: LocalModel, prompts: list[Prompt], refinement: Refinement, seed: int
) -> tuple[dict[str, Any], list[Loss]]:
    from veneer.student.refine.preference import prefer, reasons

    criterion, answers, pairs, unpaired = _compared(job, student, prompts, refinement, seed)
    write_rows(job.out / "samples.jsonl", answers)
    write_rows(job.out / "pairs.jsonl", pairs)
    write_rows(job.out / "unpaired.jsonl", unpaired)
    trained, losses = prefer(student, pairs, refinement, seed, _part(job, 2, ""))
    left_out = Counter(answer.outcome for answer in answers if answer.outcome != "answered")
    facts = {
        "prompts": len(prompts),
        "samples": {
            "asked": len(answers),
            "ended": len(answers) - left_out.total(),
            "left_out": dict(left_out),
        },
        "criterion": criterion,
        "no_pair": reasons(unpaired),
        **trained,
    }
    return facts, losses


def _compared(
    job: Job, student: LocalModel, prompts: list[Prompt], refinement: Refinement, seed: int
) -> tuple[str, list[Answer], list[Pair], list[Unpaired]]:
    """The criterion, the student's answers and what the teacher made of them."""
    from veneer.models.opening import model_of
    from veneer.student.refine.preference import compared, criterion_of, sampled

    with model_of(job) as teacher:
        criterion = criterion_of(teacher, refinement)
        answers = sampled(student, prompts, refinement, seed, _part(job, 0, "sampling"))
        return criterion, answers, *compared(teacher, answers, refinement, _part(job, 1, criterion))


def _part(job: Job, number: int, about: str) -> Callable[..., None]:
    """The progress of one of three parts as progress of the whole."""

    def progress(done: float, total: float, note: str = "") -> None:
        job.progress(number + done / max(total, 1), 3, note or about)

    return progress
