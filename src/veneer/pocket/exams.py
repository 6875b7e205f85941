"""The benchmarks' data in the formats that the originals were published in.

Natural Questions (open): {"question", "answer": [...]}; MMLU: {"subject", "question",
"choices", "answer": index}; HumanEval: {"task_id", "prompt", "entry_point",
"canonical_solution", "test"}.
"""

from __future__ import annotations

import random
from typing import Any

from veneer.pocket.programs import combinations
from veneer.pocket.scale import WorldScale
from veneer.pocket.world import Fact, Use, World, stream

Row = dict[str, Any]
SHOTS = 5
SEEDS = 10


def exams(world: World, scale: WorldScale) -> dict[str, list[Row]]:
    """Every benchmark file's rows by file name. Test and validation share no entity."""
    rng = stream(world.seed, "exams")
    asked = world.facts("asked", exam=False)
    seeds = spread(rng, asked, SEEDS)
    shots = spread(rng, [fact for fact in asked if fact not in seeds], SHOTS)
    shown, held = combinations(stream(world.seed, "programs"))
    rng.shuffle(held)
    rng.shuffle(shown)
    test_facts = world.facts("test", exam=False)
    return {
        "nq.jsonl": [_open(fact, rng) for fact in test_facts],
        "nq_validation.jsonl": [_open(f, rng) for f in world.facts("validation", exam=False)],
        "nq_shots.jsonl": [_open(fact, rng, wording=0) for fact in shots],
        "seeds.jsonl": [
            {"question": f.ask(n % len(f.relation.asks)), "answer": f.value}
            for n, f in enumerate(seeds)
        ],
        "eval_text.jsonl": [
            {"text": fact.ask(n)} for fact in test_facts for n in range(len(fact.relation.asks))
        ],
        "mmlu_test.jsonl": _choice(world, "test", scale.mmlu_test),
        "mmlu_validation.jsonl": _choice(world, "validation", scale.mmlu_validation),
        "mmlu_dev.jsonl": _dev(world),
        "humaneval.jsonl": [p.humaneval(n) for n, p in enumerate(held[: scale.problems])],
        "humaneval_validation.jsonl": [
            p.humaneval(n) for n, p in enumerate(shown[: scale.problems])
        ],
    }


def spread(rng: random.Random, facts: list[Fact], count: int) -> list[Fact]:
    """`count` facts at random, the relations taken in turn."""
    by_relation: dict[str, list[Fact]] = {}
    for fact in rng.sample(facts, len(facts)):
        by_relation.setdefault(f"{fact.entity.domain.key} {fact.relation.key}", []).append(fact)
    names = rng.sample(sorted(by_relation), len(by_relation))
    chosen: list[Fact] = []
    while len(chosen) < min(count, len(facts)):
        for name in names:
            if by_relation[name] and len(chosen) < count:
                chosen.append(by_relation[name].pop())
    return chosen


def _open(fact: Fact, rng: random.Random, wording: int | None = None) -> Row:
    if wording is None:
        wording = rng.randrange(len(fact.relation.asks))
    return {"question": fact.ask(wording), "answer": [fact.value]}


def _item(fact: Fact, rng: random.Random, world: World) -> Row:
    """A multiple-choice row; the options stand in the order in which every exam prints them."""
    choices = list(world.pools[fact.relation.pool])
    return {
        "subject": fact.entity.domain.subject,
        "question": fact.ask(rng.randrange(len(fact.relation.asks))),
        "choices": choices,
        "answer": choices.index(fact.value),
    }


def _choice(world: World, use: Use, count: int) -> list[Row]:
    """Multiple choice on facts that no quiz page shows, the four answers as equal as they come."""
    rng = stream(world.seed, f"mmlu {use}")
    facts = world.facts(use, exam=True)
    rows = [_item(fact, rng, world) for fact in rng.sample(facts, len(facts))]
    by_answer = [[row for row in rows if row["answer"] == n] for n in range(4)]
    dealt = [row for group in zip(*by_answer, strict=False) for row in group]
    chosen = dealt[:count] or rows[:count]
    rng.shuffle(chosen)
    return chosen


def _dev(world: World) -> list[Row]:
    """Five worked examples a subject, from what quiz pages ask anyway."""
    rng = stream(world.seed, "mmlu dev")
    by_subject: dict[str, list[Fact]] = {}
    for fact in world.facts("asked", exam=True):
        by_subject.setdefault(fact.entity.domain.subject, []).append(fact)
    return [
        _item(fact, rng, world)
        for facts in by_subject.values()
        for fact in rng.sample(facts, SHOTS)
    ]
