"""Pairs of answers before a judge: in both orders, each verdict asked and paid for once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from veneer.errors import InputError
from veneer.measure.judging.rounds import Attempt, in_rounds
from veneer.measure.judging.settings import JudgeSettings
from veneer.measure.judging.templates import template_of
from veneer.measure.judging.verdicts import DRAW, Verdict, read_verdict
from veneer.models.asking import Model, Progress, Reply
from veneer.records import UNHEARD, Answer, Comparison

IDENTICAL = "(identical answers: a draw, the judge was not asked)"
"""`Comparison.text` of two equal answers."""


@dataclass(frozen=True)
class Side:
    """One answer of a pair. `failed` says why there is none; the judge never sees `name`."""

    name: str
    text: str
    failed: str = ""

    @classmethod
    def of(cls, name: str, answer: Answer | None) -> Side:
        """From a recorded answer; one that was cut off or is empty is judged as it is."""
        if answer is None:
            return cls(name, "", f"{name} has no answer to this prompt")
        if answer.outcome in UNHEARD:
            return cls(name, "", f"{name}'s answer failed: {answer.reason or answer.outcome}")
        return cls(name, answer.text)


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt, in the order "given"."""

    prompt: str
    first: Side
    second: Side
    category: str = ""

    @property
    def failed(self) -> str:
        """Why there is nothing to compare; empty where there is."""
        return "; ".join(side.failed for side in (self.first, self.second) if side.failed)

    def turned(self) -> Pair:
        """The same pair in the other order."""
        return Pair(self.prompt, self.second, self.first, self.category)


def pairs_of(
    answers: Iterable[Answer], others: Iterable[Answer], subject: str, against: str
) -> list[Pair]:
    """Answers of `subject` beside those of `against`, one pair a prompt, the opponent's first.

    Each side counts with its lowest sample. A prompt that one side was not asked is a pair that
    failed, so that it is counted as unscored.

    Raises:
        InputError: they have no prompt in common, or one name.
    """
    said, other = first_samples(answers), first_samples(others)
    if not said.keys() & other.keys():
        raise InputError(
            f"{subject} and {against} have answered no prompt in common "
            f"({len(said):,} and {len(other):,} prompts).",
            "Give answers to the same prompts.",
        )
    if subject == against:
        raise InputError(f"Both sides are called {subject!r}.", "Give the opponent another name.")
    pairs = []
    for key in [*said, *(key for key in other if key not in said)]:
        one, two = other.get(key), said.get(key)
        shown = two or one
        assert shown is not None
        sides = Side.of(against, one), Side.of(subject, two)
        pairs.append(Pair(shown.prompt, *sides, shown.category or (one.category if one else "")))
    return pairs


def first_samples(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Each prompt's answer of the lowest sample, by prompt id, in the answers' order."""
    chosen: dict[str, Answer] = {}
    for answer in answers:
        before = chosen.get(answer.prompt_id)
        if before is None or answer.sample < before.sample:
            chosen[answer.prompt_id] = answer
    return chosen


def judge_pairs(
    model: Model,
    pairs: Sequence[Pair],
    settings: JudgeSettings,
    progress: Progress | None = None,
) -> list[Comparison]:
    """A row for every attempt at every order of every pair; `last_attempts` are what counts.

    With both orders, all pairs are asked in their first one before any is asked in its second.
    Two equal answers cannot be told apart: they are a draw, at no cost, with the text
    `IDENTICAL`, also in AlpacaEval's prompt, which asks. A pair with an answer that failed has a
    row without a verdict, and is not asked either.

    Raises:
        InputError: a prompt occurs twice; the endpoint takes no such requests.
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    if len({pair.prompt for pair in pairs}) < len(pairs):
        raise InputError("A prompt is to be judged twice.", "Give each prompt once.")
    template = template_of(settings.template)
    shown = _in_orders(pairs, settings)
    asked = [p for p in shown if not p.failed and p.first.text != p.second.text]

    def read(reply: Reply) -> tuple[Verdict | None, str]:
        verdict = read_verdict(template.name, reply)
        return (None if verdict.second_wins is None else verdict), verdict.reason

    tried = in_rounds(
        model,
        [template.filled(p.prompt, p.first.text, p.second.text) for p in asked],
        read,
        retries=settings.retries,
        max_new_tokens=settings.max_new_tokens or template.max_new_tokens,
        temperature=template.temperature if settings.temperature is None else settings.temperature,
        seed=settings.seed,
        progress=progress,
    )
    attempts = dict(zip(map(id, asked), tried, strict=True))
    rows = []
    for pair in shown:
        for attempt in attempts.get(id(pair)) or [_unasked(pair)]:
            found = attempt.found or Verdict(None)
            rows.append(
                Comparison(
                    prompt=pair.prompt,
                    first=pair.first.name,
                    second=pair.second.name,
                    second_wins=found.second_wins,
                    reason=attempt.reason,
                    scores=found.scores,
                    lengths=None if pair.failed else (len(pair.first.text), len(pair.second.text)),
                    category=pair.category,
                    judge=settings.model,
                    template=template.name,
                    text=attempt.text,
                    attempt=attempt.number,
                )
            )
    return rows


def last_attempts(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The row that counts for each prompt and order: a verdict, or the last failure to get one."""
    last = {(row.prompt, row.first, row.second): row for row in comparisons}
    return list(last.values())


def _in_orders(pairs: Sequence[Pair], settings: JudgeSettings) -> list[Pair]:
    if settings.orders == "drawn":
        return [p.turned() if _drawn(p.prompt, settings.seed) else p for p in pairs]
    if settings.orders == "both":
        return [*pairs, *(pair.turned() for pair in pairs)]
    return list(pairs)


def _drawn(prompt: str, seed: int) -> bool:
    """Whether a prompt's answers change places; depends on its text and the seed alone."""
    digest = hashlib.sha256(f"{seed}/{prompt}".encode("utf-8", "surrogatepass")).digest()
    return bool(digest[0] & 1)


def _unasked(pair: Pair) -> Attempt[Verdict]:
    if pair.failed:
        return Attempt("", None, pair.failed, 0)
    return Attempt(IDENTICAL, Verdict(DRAW), "", 0)
