"""Ask a model prompts and keep what it said, with how each answer ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from veneer.errors import InputError
from veneer.records import Answer, Prompt, read_rows, write_rows
from veneer.steps import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from veneer.models.local import Generated


class Answers(Protocol):
    """A model that answers; `veneer.models.local.LocalModel` is one."""

    def answer(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generated]:
        """One reply a prompt, in order."""


def collect(job: Job) -> None:
    """Step: a model's answers to a pool of prompts.

    inputs: `model` a Hugging Face model folder; `prompts` a file of Prompt rows, or a folder
        with prompts.jsonl.
    params: `name` (what the answers are signed with), `samples` (answers to each prompt),
        `temperature`, `seed`, `max_new_tokens` (tokens), optional `shard` [i, k]: only prompts
        i, i + k, i + 2k, ….
    Writes answers.jsonl (Answer rows: all first samples in the prompts' order, then all second
    ones). A prompt that occurs twice in the pool is asked once. Whether an answer is a refusal
    is for measuring to say; here it counts as answered.
    """
    from veneer.models.local import LocalModel

    prompts = unique_prompts(read_rows(_prompts(Path(job.inputs["prompts"])), Prompt))
    index, shards = job.params.get("shard") or (0, 1)
    prompts = prompts[index::shards]
    answers = ask(
        LocalModel.load(job.inputs["model"]),
        prompts,
        name=job.params["name"],
        samples=job.params["samples"],
        temperature=job.params["temperature"],
        seed=job.params["seed"],
        max_new_tokens=job.params["max_new_tokens"],
        progress=lambda done, total: job.progress(done, total, "answers"),
    )
    write_rows(job.out / "answers.jsonl", answers)


def unique_prompts(prompts: Iterable[Prompt]) -> list[Prompt]:
    """The first prompt of each id (that is, of each text), in order."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.id, prompt)
    return list(first.values())


def ask(
    model: Answers,
    prompts: Sequence[Prompt],
    *,
    name: str,
    samples: int,
    temperature: float,
    seed: int,
    max_new_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """`samples` answers to each prompt, sample by sample.

    The first samples are the same however many samples are asked for. An answer that reached
    `max_new_tokens` has the outcome "truncated", one without text "empty".
    """
    asked = [(prompt, sample) for sample in range(samples) for prompt in prompts]
    said = model.answer(
        [prompt.text for prompt, _ in asked],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    return [
        _answer(prompt, sample, name, reply, max_new_tokens)
        for (prompt, sample), reply in zip(asked, said, strict=True)
    ]


def _answer(prompt: Prompt, sample: int, name: str, reply: Generated, limit: int) -> Answer:
    row = Answer(
        prompt=prompt.text,
        text=reply.text.strip(),
        model=name,
        sample=sample,
        category=prompt.category,
    )
    if reply.finish == "length":
        return row.model_copy(
            update={"outcome": "truncated", "reason": f"cut off after {limit} tokens"}
        )
    if not row.text:
        return row.model_copy(update={"outcome": "empty", "reason": "ended without a word"})
    return row


def _prompts(given: Path) -> Path:
    path = given / "prompts.jsonl" if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give a file of prompts, one a line.")
    return path
