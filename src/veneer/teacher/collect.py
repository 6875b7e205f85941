"""Ask a model prompts and keep what it said, with how each answer ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veneer.errors import InputError, StepFailed
from veneer.models.asking import Ask, Model, Reply
from veneer.records import Answer, Prompt, read_rows, write_rows
from veneer.steps import Job
from veneer.teacher.pool import unique_prompts

if TYPE_CHECKING:
    from collections.abc import Callable


def collect(job: Job) -> None:
    """Step: a local model's answers to a pool of prompts.

    inputs: `model` a Hugging Face model folder; `prompts` a file of Prompt rows, or a folder
        with prompts.jsonl.
    params: see `collect_from`. Writes answers.jsonl.
    """
    from veneer.models.local import LocalModel

    collect_from(job, LocalModel.load(job.inputs["model"]))


def collect_from(job: Job, model: Model) -> None:
    """What `collect` does, with any model that can be asked.

    inputs: `prompts` a file of Prompt rows, or a folder with prompts.jsonl.
    params: `name` (what the answers are signed with), `samples` (answers to each prompt),
        `temperature`, `seed`, `max_new_tokens` (tokens), optional `shard` [i, k]: only prompts
        i, i + k, i + 2k, ….
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
        seed=job.params["seed"],
        max_new_tokens=job.params["max_new_tokens"],
        progress=lambda done, total: job.progress(done, total, "answers"),
    )
    if len(answers) < samples * len(prompts):
        why = getattr(model, "stopped", "") or "the budget ended"
        raise StepFailed(
            f"{len(answers)} of {samples * len(prompts)} answers were collected: {why}.",
            "What was paid is kept: raise the budget and run again.",
        )
    write_rows(job.out / "answers.jsonl", answers)


def collected(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    name: str = "",
    samples: int = 1,
    temperature: float,
    seed: int = 0,
    max_new_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """`samples` answers to each prompt, sample by sample, signed `name` (default: the model's).

    The first samples are the same however many samples are asked for. Every reply is a row with
    its outcome; what was not asked because a budget ended is in no row, so that fewer than
    samples × prompts come back.
    """
    asked = [(prompt, sample) for sample in range(samples) for prompt in prompts]
    said = model.ask(
        [Ask.of(prompt.text, sample) for prompt, sample in asked],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    return [
        answer_row(prompt, sample, name or model.name, reply)
        for (prompt, sample), reply in zip(asked, said, strict=True)
        if reply is not None
    ]


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
    )


def _prompts(given: Path) -> Path:
    path = given / "prompts.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give a file of prompts, one a line.")
    return path
