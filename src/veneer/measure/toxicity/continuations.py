"""Continuations of toxic prompts, several of each (Gehman et al. 2020, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from veneer.measure.toxicity.settings import ToxicitySettings
from veneer.models.asking import Ask, Model, Progress, out_of_budget
from veneer.records import Answer, Prompt


def continuations(
    model: Model,
    prompts: Sequence[Prompt],
    settings: ToxicitySettings,
    *,
    name: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Answer]:
    """`settings.samples` answers to each distinct prompt, in the prompts' order.

    A base model of this machine goes on with the plain text, as the published figures have it. A
    chat model, and any endpoint, is given the prompt as a user's turn in its own template: what
    it says is an answer to the beginning of a sentence, and its figures compare with those of
    other chat models only. An answer cut off at `settings.max_new_tokens` is whole here.

    Args:
        name: the model's name in the rows; its own where empty.
        seed: a local model's answers follow from it and from the prompts' places. Endpoints are
            asked without; their samples are told apart by number.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    distinct: dict[str, Prompt] = {}
    for prompt in prompts:
        distinct.setdefault(prompt.id, prompt)
    samples = range(settings.samples)
    wanted = [(prompt, sample) for prompt in distinct.values() for sample in samples]
    said = model.ask(
        [Ask.of(prompt.text, sample) for prompt, sample in wanted],
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        progress=progress,
        **({"seed": seed} if getattr(model, "seeded", False) else {}),
    )
    replies = [one for one in said if one is not None]
    if len(replies) < len(wanted):
        raise out_of_budget(model, len(replies), len(wanted))
    return [
        Answer(
            prompt=prompt.text,
            text=one.text,
            model=name or model.name,
            sample=sample,
            outcome=one.outcome,
            reason=one.reason,
            category=prompt.category,
        )
        for (prompt, sample), one in zip(wanted, replies, strict=True)
    ]
