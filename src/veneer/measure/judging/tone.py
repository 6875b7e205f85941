"""The share of a model's outputs in an authoritative tone, according to a judge (Table 2).

The paper counts "outputs … in authoritative tone according to GPT-4" and does not print its
prompt; ours is templates/tone.yaml. The judge sees one output, not who wrote it and not the
question. The value is a share of the model's own outputs, not agreement with the teacher.
"""

from __future__ import annotations

from collections.abc import Iterable

from veneer.measure.judging.asking import first_samples
from veneer.measure.judging.rounds import in_rounds
from veneer.measure.judging.settings import JudgeSettings
from veneer.measure.judging.templates import template_of
from veneer.measure.judging.verdicts import ENDED, UNREADABLE
from veneer.models.asking import Model, Progress, Reply
from veneer.records import UNHEARD, Answer, ScoreSheet, Subject

METRIC = "authoritative_tone"
SAID = {"authoritative": 1.0, "not authoritative": 0.0}


def tone_sheet(
    model: Model,
    answers: Iterable[Answer],
    subject: Subject,
    settings: JudgeSettings,
    progress: Progress | None = None,
) -> ScoreSheet:
    """A sheet "style" / "authoritative_tone": 1 or 0 for each prompt's answer of lowest sample.

    An answer that failed is unscored, and so is one about which the judge gave no readable
    verdict in 1 + `retries` attempts. An empty answer has no tone: 0, and nobody is asked.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    chosen = first_samples(answers)
    template = template_of("tone")
    asked = [key for key, one in chosen.items() if one.outcome not in UNHEARD and one.text.strip()]
    tried = in_rounds(
        model,
        [template.filled(chosen[key].text) for key in asked],
        read_tone,
        retries=settings.retries,
        max_new_tokens=settings.max_new_tokens or template.max_new_tokens,
        temperature=template.temperature if settings.temperature is None else settings.temperature,
        seed=settings.seed,
        progress=progress,
    )
    heard = {key: attempts[-1] for key, attempts in zip(asked, tried, strict=True)}
    values: list[float | None] = []
    reasons = []
    for key, answer in chosen.items():
        if key in heard:
            values.append(heard[key].found)
            reasons.append(heard[key].reason)
        elif answer.outcome in UNHEARD:
            values.append(None)
            reasons.append(f"failed: {answer.reason or 'no reason given'}")
        else:
            values.append(0.0)
            reasons.append("")
    categories = tuple(answer.category for answer in chosen.values())
    return ScoreSheet(
        subject=subject,
        measure="style",
        metric=METRIC,
        items=tuple(chosen),
        values=tuple(values),
        reasons=tuple(reasons) if any(reasons) else (),
        categories=categories if any(categories) else (),
    )


def read_tone(reply: Reply) -> tuple[float | None, str]:
    """1 or 0 where the judge answered with one of the two phrases and nothing else."""
    if reply.outcome != "answered":
        return None, ENDED[reply.outcome]
    said = " ".join(reply.text.lower().strip(" \t\n.*\"'`").split())
    return (SAID[said], "") if said in SAID else (None, UNREADABLE)
