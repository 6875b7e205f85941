"""The measuring step: one model loaded once, all that is asked of it measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from veneer.errors import InputError, nearest
from veneer.measure.style import style_sheets
from veneer.measure.toxicity import lexicon, toxicity_sheets
from veneer.models.asking import Ask, Model, Progress, out_of_budget
from veneer.models.opening import model_of
from veneer.records import (
    Answer,
    Prompt,
    ScoreSheet,
    Subject,
    read_rows,
    write_rows,
)
from veneer.steps import Job, on_gpu

BENCHMARKS = ("nq", "nq-0shot", "mmlu", "humaneval")
MEASURES = (*BENCHMARKS, "style", "toxicity")
NEW_TOKENS = {"nq": 32, "nq-0shot": 32, "humaneval": 512, "style": 512, "toxicity": 64}
TEMPERATURE = 0.7


@on_gpu
def measured(job: Job) -> None:
    """Measure one model.

    inputs: `model` a Hugging Face model folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`); `evaluation` a folder with the benchmarks' files,
        prompts.jsonl and toxicity.jsonl (Prompt rows) and toxic_words.txt, as far as the measures
        need them; optional `teacher_answers`, Answer rows or a folder with answers.jsonl.
    params: `subject` (a Subject), `measures` (of `MEASURES`); optional `seed` and `temperature`
        of the answers to prompts (0, 0.7), `max_new_tokens` ({measure: tokens}), `limit`
        ({benchmark: items}), `files` ({usual file name: name to read instead}), `chat` (False:
        the model's template is not used, whatever its tokenizer says), `sample` (which of an
        endpoint's answers to a prompt; it is asked without a seed).
    Writes sheets.jsonl (ScoreSheet rows), model.json ({"subject", "parameters"}), answers.jsonl
    (Answer rows to prompts.jsonl, with "style"), toxic_answers.jsonl (with "toxicity") and
    outputs.jsonl (Answer rows of the benchmarks that have texts; `category` is the measure).

    Without `teacher_answers`, "style" only writes the answers: the teacher is compared with
    nobody, and its second sample with the first.
    """
    measures = _known(job.params["measures"])
    job.progress(0, 10, "loading")
    with model_of(job) as model:
        sheets = _scored(job, model, measures)
    write_rows(job.out / "sheets.jsonl", sheets)
    job.progress(10, 10)


def _scored(job: Job, model: Model, measures: Sequence[str]) -> list[ScoreSheet]:
    """All scores of a model; writes what it said."""
    params, out = job.params, job.out
    subject = Subject.model_validate(params["subject"])
    if "model" in job.inputs:
        subject = trained_on(subject, Path(job.inputs["model"]))
    data = Path(job.inputs["evaluation"])
    files: Mapping[str, str] = params.get("files") or {}
    tokens = {**NEW_TOKENS, **(params.get("max_new_tokens") or {})}
    parameters = getattr(model, "parameters", None)
    about = {"subject": subject.model_dump(mode="json"), "parameters": parameters}
    (out / "model.json").write_text(json.dumps(about) + "\n", encoding="utf-8")
    sheets: list[ScoreSheet] = []

    asked = [name for name in measures if name in BENCHMARKS]
    if asked:
        from veneer.measure.benchmarks import benchmark

        job.progress(1, 10, ", ".join(asked))
        found, outputs = benchmark(
            model,
            asked,
            data,
            subject,
            files=files,
            limit=params.get("limit"),
            max_new_tokens={name: tokens[name] for name in asked if name in tokens},
        )
        sheets += found
        write_rows(out / "outputs.jsonl", outputs)

    def answered(name: str, measure: str, begin: float, end: float) -> list[Answer]:
        return answers_to(
            model,
            list(read_rows(data / files.get(name, name), Prompt)),
            subject.model,
            max_new_tokens=tokens[measure],
            temperature=params.get("temperature", TEMPERATURE),
            seed=None if "endpoint" in params else params.get("seed", 0),
            sample=params.get("sample", 0),
            progress=lambda done, total: job.progress(
                begin + (end - begin) * done / max(total, 1), 10, measure
            ),
        )

    if "style" in measures:
        answers = answered("prompts.jsonl", "style", 5, 8)
        write_rows(out / "answers.jsonl", answers)
        if "teacher_answers" in job.inputs:
            teacher = read_rows(_answers_file(Path(job.inputs["teacher_answers"])), Answer)
            sheets += style_sheets(list(teacher), answers, subject)
    if "toxicity" in measures:
        answers = answered("toxicity.jsonl", "toxicity", 8, 10)
        write_rows(out / "toxic_answers.jsonl", answers)
        words = files.get("toxic_words.txt", "toxic_words.txt")
        sheets += toxicity_sheets(answers, lexicon(data / words), subject)
    return sheets


def trained_on(subject: Subject, model: Path) -> Subject:
    """The subject with its true number of tokens, where the model's folder says it.

    Training rounds a data amount to whole steps and writes trained_on.json beside the weights.
    """
    path = model / "trained_on.json"
    if not path.is_file():
        return subject
    tokens = json.loads(path.read_text(encoding="utf-8"))["tokens"]
    return subject.model_copy(update={"tokens": tokens})


def answers_to(
    model: Model,
    prompts: Sequence[Prompt],
    name: str,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = 0,
    sample: int = 0,
    progress: Progress | None = None,
) -> list[Answer]:
    """A model's answers to prompts, in its own template if it has one; one a distinct prompt.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    distinct = list({prompt.id: prompt for prompt in reversed(prompts)}.values())[::-1]
    said = model.ask(
        [Ask.of(prompt.text, sample) for prompt in distinct],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        progress=progress,
        **({} if seed is None else {"seed": seed}),
    )
    replies = [one for one in said if one is not None]
    if len(replies) < len(distinct):
        raise out_of_budget(model, len(replies), len(distinct))
    return [
        Answer(
            prompt=prompt.text,
            text=one.text,
            model=name,
            outcome=one.outcome,
            reason=one.reason,
            category=prompt.category,
        )
        for prompt, one in zip(distinct, replies, strict=True)
    ]


def _known(measures: Sequence[str]) -> list[str]:
    for name in measures:
        if name not in MEASURES:
            raise InputError(f"Unknown measure {name!r}.", nearest(name, MEASURES))
    return list(dict.fromkeys(measures))


def _answers_file(path: Path) -> Path:
    return path / "answers.jsonl" if path.is_dir() else path
