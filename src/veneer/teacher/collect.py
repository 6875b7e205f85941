"""Ask a model prompts and keep what it said, with how each answer ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.models.asking import Ask, Model, Progress, Reply, out_of_budget
from veneer.models.opening import model_of
from veneer.records import Answer, Prompt, read_rows, write_rows
from veneer.steps import Job, on_gpu
from veneer.teacher.pool import unique_prompts


@on_gpu
def collect(job: Job) -> None:
    """Step: a model's answers to a pool of prompts.

    inputs: `model` a Hugging Face model folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`); `prompts` a file of Prompt rows, or a folder with
        prompts.jsonl.
    params: see `collect_from`. Writes answers.jsonl.
    """
    with model_of(job) as model:
        collect_from(job, model)


def collect_from(job: Job, model: Model) -> None:
    """What `collect` does, with any model that can be asked.

    inputs: `prompts` a file of Prompt rows, or a folder with prompts.jsonl.
    params: `name` (what the answers are signed with), `samples` (answers to each prompt),
        `temperature`, `max_new_tokens` (tokens), optional `seed` and `shard` [i, k]: only
        prompts i, i + k, i + 2k, ….
    Writes answers.jsonl (Answer rows: all first samples in the prompts' order, then all second
    ones). A prompt that occurs twice in the pool is asked once. Whether an answer is a refusal
    in words is for measuring to say; here it counts as answered.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    prompts = unique_prompts(read_rows(_prompts(Path(job.inputs["prompts"])), Prompt))
    index, shards = job.params.get("shard") or (0, 1)
    prompts = prompts[index::shards]
    samples = job.params["samples"]
    answers = collected(
        model,
        prompts,
        name=job.params["name"],
        samples=samples,
        temperature=job.params["temperature"],
        seed=job.params.get("seed"),
        max_new_tokens=job.params["max_new_tokens"],
        progress=lambda done, total: job.progress(done, total, "answers"),
    )
    if len(answers) < samples * len(prompts):
        raise out_of_budget(model, len(answers), samples * len(prompts))
    write_rows(job.out / "answers.jsonl", answers)


def collected(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    name: str = "",
    samples: int | Sequence[int] = 1,
    temperature: float | None,
    seed: int | None = None,
    max_new_tokens: int,
    progress: Progress | None = None,
) -> list[Answer]:
    """`samples` answers to each prompt, sample by sample, signed `name` (default: the model's).

    The first samples are the same however many samples are asked for. Every reply is a row with
    its outcome; what was not asked because a budget ended is in no row, so that fewer than
    samples × prompts come back.

    Args:
        samples: how many, or which ones.
        temperature: None leaves it to the model.
        seed: None leaves it to the model. An endpoint that honours a seed may answer equal
            requests alike, so several samples in one call want none.
    """
    numbers = range(samples) if isinstance(samples, int) else samples
    asked = [(prompt, sample) for sample in numbers for prompt in prompts]
    said = model.ask(
        [Ask.of(prompt.text, sample) for prompt, sample in asked],
        max_new_tokens=max_new_tokens,
        progress=progress,
        **given(temperature=temperature, seed=seed),
    )
    return [
        answer_row(prompt, sample, name or model.name, reply)
        for (prompt, sample), reply in zip(asked, said, strict=True)
        if reply is not None
    ]


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None: a model keeps its own value for the others."""
    return {name: value for name, value in options.items() if value is not None}


def seed_for(model: Model, seed: int) -> int | None:
    """The seed to ask with: none for an endpoint, where equal requests are to differ."""
    return seed if getattr(model, "seeded", False) else None


def answer_row(prompt: Prompt, sample: int, name: str, reply: Reply) -> Answer:
    """A reply as a record, with the provenance of what was asked."""
    return Answer(
        prompt=prompt.text,
        text=reply.text,
        model=name,
        sample=sample,
        outcome=reply.outcome,
        reason=reply.reason,
        category=prompt.category,
        source=prompt.source,
        licence=prompt.licence,
        logprob=reply.logprob,
    )


def _prompts(given: Path) -> Path:
    path = given / "prompts.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give a file of prompts, one a line.")
    return path
