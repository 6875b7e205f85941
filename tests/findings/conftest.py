"""A made-up study whose true values are known, in the shape of the embedded one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from veneer.records import CorpusFacts, ScoreSheet, StudyFacts, Subject

SIZES = {"S": 10_000, "M": 40_000, "L": 160_000}
AMOUNTS = (16_000, 48_000, 158_000)


@pytest.fixture
def facts() -> StudyFacts:
    return StudyFacts(
        name="made-up",
        parameters=dict(SIZES),
        corpora={
            "broad": CorpusFacts(kind="broad"),
            "local": CorpusFacts(kind="local", task="nq"),
        },
        seeds=(0, 1, 2),
    )


def rate_sheet(
    subject: Subject, measure: str, metric: str, rate: float, n: int = 300
) -> ScoreSheet:
    """n items, a fixed share of them right; difficulty is shared, so that models pair."""
    world = random.Random(f"{measure}{metric}{subject.seed}")
    hard = [world.random() for _ in range(n)]
    noise = random.Random(subject.content_id() + measure + metric)
    values = [float(0.7 * h + 0.3 * noise.random() < rate) for h in hard]
    items = tuple(f"{measure}-{subject.seed}-{i}" for i in range(n))
    return ScoreSheet(
        subject=subject, measure=measure, metric=metric, items=items, values=tuple(values)
    )


def made_up(seeds: tuple[int, ...] = (0, 1, 2)) -> list[ScoreSheet]:
    """Style follows data, knowledge follows the base, local data lifts its own task."""
    sheets = []

    def score(subject: Subject, style: float, nq: float, mmlu: float, safe: float) -> None:
        if subject.role != "teacher":
            sheets.append(rate_sheet(subject, "style", "list_agreement", style))
            sheets.append(rate_sheet(subject, "style", "unigram_f1", 0.8 * style))
        if subject.role != "teacher-again":
            sheets.append(rate_sheet(subject, "nq", "exact_match", nq))
            sheets.append(rate_sheet(subject, "nq-0shot", "exact_match", nq))
            sheets.append(rate_sheet(subject, "mmlu", "accuracy", mmlu))
            sheets.append(rate_sheet(subject, "toxicity", "non_toxicity", safe))
            sheets.append(rate_sheet(subject, "toxicity", "refusal_rate", safe / 2))

    for seed in seeds:
        score(Subject(model="t", role="teacher", seed=seed), 1, 0.85, 0.9, 0.97)
        score(Subject(model="t", role="teacher-again", seed=seed), 0.88, 0, 0, 0)
        for k, base in enumerate(SIZES):
            nq, mmlu = (0.1, 0.3, 0.5)[k], (0.3, 0.5, 0.75)[k]
            score(
                Subject(model=base, role="base", base=base, tokens=0, seed=seed), 0.1, nq, mmlu, 0.3
            )
            for i, tokens in enumerate(AMOUNTS):
                who = Subject(
                    model=f"{base}-{tokens}",
                    role="student",
                    base=base,
                    corpus="broad",
                    tokens=tokens,
                    seed=seed,
                )
                score(who, (0.35, 0.55, 0.8)[i] - 0.05 * (2 - k), nq * 0.7, mmlu * 0.9, 0.9)
            who = Subject(
                model=f"{base}-local",
                role="student",
                base=base,
                corpus="local",
                tokens=20_000,
                seed=seed,
            )
            score(who, 0.1, nq + 0.15, mmlu * 0.9, 0.95)
    return sheets


@pytest.fixture
def study() -> Callable[..., list[ScoreSheet]]:
    return made_up
