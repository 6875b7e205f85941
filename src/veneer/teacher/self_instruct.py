"""The Self-Instruct loop: a model extends a few human tasks by its own (Wang et al., 2022).

Each request shows six human and two generated instructions and asks for more; a new one joins
the pool unless a rule is against it or it resembles one that is there. Accepted instructions are
then asked for an example of input and output. The variant `alpaca` (Taori et al., 2023) shows
three whole human tasks and takes instruction, input and output from one reply.

A request depends on the seed and on the replies before it, round by round, so a run that was
stopped asks the same again when it goes on, and a journal answers what was paid for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from veneer.models.asking import Ask, Model, Reply
from veneer.records import Dialogue, Dropped, Message
from veneer.teacher.collect import given, seed_for
from veneer.teacher.instructions import (
    Made,
    SeedTask,
    alpaca_request,
    bootstrap_request,
    instance_request,
    parse_alpaca,
    parse_instances,
    parse_instructions,
    unfit,
)
from veneer.teacher.parsing import Broken

if TYPE_CHECKING:
    from veneer.teacher.rouge import Texts

Variant = Literal["self-instruct", "alpaca"]

HUMAN, MACHINE, ALPACA = 6, 2, 3
"""Instructions shown in a request: human and generated ones; whole tasks in `alpaca`."""
SIMILAR = 0.7
"""ROUGE-L F above which an instruction is too like one of the pool."""
TEMPERATURE: dict[Variant, float] = {"self-instruct": 0.7, "alpaca": 1.0}
"""The published settings."""
ROUND = 16
"""Requests sent before what they brought joins the pool."""

TOO_LIKE = f"ROUGE-L above {SIMILAR} with an instruction of the pool"
BEYOND = "beyond the count asked for"
SOURCE = "self-instruct"


@dataclass
class Phase:
    """One kind of request. Counts add up: raw = kept + all of `dropped`."""

    requests: int = 0
    kept: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    dropped: list[Dropped] = field(default_factory=list)

    def drop(self, reason: str, text: str, origin: str) -> None:
        """Leave something out, with its reason."""
        self.dropped.append(Dropped(reason=reason, origin=origin, source=SOURCE, text=text))

    def heard(self, reply: Reply, origin: str) -> bool:
        """Count a reply; False, with a reason, where there is nothing to read in it."""
        self.requests += 1
        self.outcomes[reply.outcome] += 1
        if reply.outcome in ("answered", "truncated"):
            return True
        self.drop(f"reply {reply.outcome}", reply.text or reply.reason, origin)
        return False

    def counts(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "requests": self.requests,
            "outcomes": dict(sorted(self.outcomes.items())),
            "raw": self.kept + len(self.dropped),
            "kept": self.kept,
            "dropped": dict(sorted(Counter(row.reason for row in self.dropped).items())),
        }


@dataclass
class Grown:
    """What the loop brought: `made` tasks, and why everything else is left out.

    `ended`: "count", "requests" or "budget". `instances` stays empty in the variant `alpaca`.
    """

    made: list[Made] = field(default_factory=list)
    instructions: Phase = field(default_factory=Phase)
    instances: Phase = field(default_factory=Phase)
    ended: str = "count"

    @property
    def dropped(self) -> list[Dropped]:
        """Everything left out, instructions first."""
        return [*self.instructions.dropped, *self.instances.dropped]

    def counts(self) -> dict[str, Any]:
        """Both phases, and how the loop ended."""
        return {
            "kept": len(self.made),
            "instructions": self.instructions.counts(),
            "instances": self.instances.counts(),
            "ended_by": self.ended,
        }


def self_instruct(
    model: Model,
    seeds: Sequence[SeedTask],
    *,
    count: int,
    requests: int,
    variant: Variant = "self-instruct",
    temperature: float | None = None,
    seed: int = 0,
    max_new_tokens: int = 1024,
    progress: Callable[..., None] | None = None,
) -> Grown:
    """Ask until `count` new instructions are accepted, `requests` were made or a budget ended.

    Args:
        requests: cap on requests for instructions; every accepted one is asked for an example
            on top of it (not in `alpaca`, whose replies hold both).
        temperature: None takes the variant's published one.
    """
    from veneer.teacher.rouge import Texts

    grown = Grown()
    pool = Texts()
    for task in seeds:
        pool.add(task.instruction)
    heat = TEMPERATURE[variant] if temperature is None else temperature
    rng = random.Random(f"self-instruct {variant} {seed}")
    accepted: list[tuple[str, str]] = []  # (instruction, origin)
    asked: Counter[str] = Counter()
    budget = True
    phase = grown.instructions
    while budget and phase.kept < count and phase.requests < requests:
        texts = []
        for _ in range(ROUND):
            texts.append(_request(rng, seeds, [text for text, _ in accepted], variant))
        round_seed = rng.randrange(2**31)
        asks = []
        for text in texts[: requests - phase.requests]:
            asks.append(Ask.of(text, asked[text]))
            asked[text] += 1
        replies = model.ask(
            asks,
            max_new_tokens=max_new_tokens,
            temperature=heat,
            **given(seed=seed_for(model, round_seed)),
        )
        for number, reply in enumerate(replies, phase.requests):
            if reply is None:
                budget = False
                continue
            origin = f"request-{number}"
            if phase.heard(reply, origin):
                _take(grown, accepted, pool, reply, origin, count, variant)
        if progress is not None:
            share = max(phase.kept / count, phase.requests / requests)
            progress(min(share, 1.0) * count, count, f"{phase.kept} instructions")
    grown.ended = "count" if phase.kept >= count else "requests" if budget else "budget"
    if variant == "self-instruct" and budget:
        budget = _instances(grown, accepted, model, seeds, heat, seed, max_new_tokens, progress)
    if not budget:
        grown.ended = "budget"
    return grown


def _request(
    rng: random.Random, seeds: Sequence[SeedTask], generated: Sequence[str], variant: Variant
) -> str:
    if variant == "alpaca":
        return alpaca_request(rng.sample(list(seeds), min(ALPACA, len(seeds))))
    shown = rng.sample(list(generated), min(MACHINE, len(generated)))
    human = min(HUMAN + MACHINE - len(shown), len(seeds))
    shown += [task.instruction for task in rng.sample(list(seeds), human)]
    rng.shuffle(shown)
    return bootstrap_request(shown)


def _take(
    grown: Grown,
    accepted: list[tuple[str, str]],
    pool: Texts,
    reply: Reply,
    origin: str,
    count: int,
    variant: Variant,
) -> None:
    """Sort a reply's instructions into accepted and dropped."""
    phase = grown.instructions
    cut_off = reply.outcome == "truncated"
    found: Sequence[Made]
    broken: list[Broken]
    if variant == "alpaca":
        found, broken = parse_alpaca(reply.text, cut_off)
    else:
        texts, broken = parse_instructions(reply.text, cut_off)
        found = [Made(text) for text in texts]
    for reason, text in broken:
        phase.drop(reason, text, origin)
    for one in found:
        reason = unfit(one.instruction)
        if not reason and variant == "alpaca" and not one.output:
            reason = "no output"
        if not reason and pool.like(one.instruction, SIMILAR):
            reason = TOO_LIKE
        if not reason and phase.kept >= count:
            reason = BEYOND
        if reason:
            phase.drop(reason, one.instruction, origin)
            continue
        pool.add(one.instruction)
        phase.kept += 1
        accepted.append((one.instruction, origin))
        if variant == "alpaca":
            grown.made.append(Made(one.instruction, one.input, one.output, origin))


def _instances(
    grown: Grown,
    accepted: Sequence[tuple[str, str]],
    model: Model,
    seeds: Sequence[SeedTask],
    temperature: float,
    seed: int,
    max_new_tokens: int,
    progress: Callable[..., None] | None,
) -> bool:
    """Ask an example for each accepted instruction; False where the budget ended."""
    examples = [task for task in seeds if task.output]
    asks = []
    for text, _ in accepted:
        # Drawn for the instruction, not in a row: with more of them the same are asked again.
        rng = random.Random(f"examples {seed} {text}")
        shown = rng.sample(examples, min(ALPACA, len(examples)))
        asks.append(Ask.of(instance_request(shown, text)))
    replies = model.ask(
        asks,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        **given(seed=seed_for(model, seed)),
        progress=None if progress is None else lambda n, of: progress(n, of, "examples"),
    )
    phase = grown.instances
    for (instruction, origin), reply in zip(accepted, replies, strict=True):
        if reply is None or not phase.heard(reply, origin):
            continue
        found, broken = parse_instances(reply.text, reply.outcome == "truncated")
        for reason, text in broken:
            phase.drop(reason, text, origin)
        for k, (what, said) in enumerate(found):
            if k:
                phase.drop("a second example", f"Input: {what}\nOutput: {said}", origin)
            else:
                phase.kept += 1
                grown.made.append(Made(instruction, what, said, origin))
    return all(reply is not None for reply in replies)


def task_dialogues(grown: Grown, teacher: str) -> list[Dialogue]:
    """The tasks as imitation data: instruction and input are asked, the output answers."""
    return [
        Dialogue(
            messages=(
                Message(role="user", content=one.question),
                Message(role="assistant", content=one.output),
            ),
            source=SOURCE,
            category=SOURCE,
            origin=one.origin,
            teacher=teacher,
        )
        for one in grown.made
    ]
