"""A model's answers to prompts, one or several of each."""

from __future__ import annotations

from collections.abc import Sequence

from veneer.models.asking import Ask, Model, Progress, out_of_budget
from veneer.records import Answer, Prompt


def answers_to(
    model: Model,
    prompts: Sequence[Prompt],
    name: str,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = 0,
    samples: int = 1,
    first: int = 0,
    progress: Progress | None = None,
) -> list[Answer]:
    """`samples` answers to each distinct prompt, together and in the prompts' order.

    A chat model, and any endpoint, is asked in its template; a base model of this machine goes on
    with the plain text.

    Args:
        name: the model's name in the rows.
        seed: a local model's answers follow from it and from the prompts' places; None for
            endpoints, whose samples are told apart by number.
        first: the number of a prompt's first sample. A single answer is told as sample 0
            whatever its number.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    distinct: dict[str, Prompt] = {}
    for prompt in prompts:
        distinct.setdefault(prompt.id, prompt)
    wanted = [(prompt, sample) for prompt in distinct.values() for sample in range(samples)]
    said = model.ask(
        [Ask.of(prompt.text, first + sample) for prompt, sample in wanted],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        progress=progress,
        **({} if seed is None else {"seed": seed}),
    )
    replies = [one for one in said if one is not None]
    if len(replies) < len(wanted):
        raise out_of_budget(model, len(replies), len(wanted))
    return [
        Answer(
            prompt=prompt.text,
            text=one.text,
            model=name,
            sample=sample,
            outcome=one.outcome,
            reason=one.reason,
            category=prompt.category,
        )
        for (prompt, sample), one in zip(wanted, replies, strict=True)
    ]
