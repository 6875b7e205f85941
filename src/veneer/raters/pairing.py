"""From answers side by side to what raters see: sides, order, opaque ids, attention checks.

All that is drawn is drawn by HMAC-SHA-256 under a key made of the seed and of everything that is
paired, so that equal content gives an equal packet, and neither the seed nor the prompts and the
models' names alone tell which side is whose, or which id belongs to which pair.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from veneer.records import Choice, PairKey, RatedPair

LOOKED_AT = 200
"""Answers among which the wrong one of an attention check is looked for."""
FEWEST_WORDS, FEWEST_LETTERS = 4, 32
"""Answers with fewer of both fit many prompts, and are in no attention check."""
ALIKE = 1.5
"""Answers up to so many times as long as another are of similar length."""
NEAR = 0.25
"""Prompts that share a larger part of their words, the rarer the heavier, may ask the same."""


@dataclass(frozen=True)
class Beside:
    """Two answers to a prompt, and whose they are."""

    prompt: str
    model: str
    answer: str
    against: str
    other: str
    category: str = ""


@dataclass(frozen=True)
class Answered:
    """A prompt with one answer to it."""

    prompt: str
    answer: str
    category: str = ""


@dataclass(frozen=True)
class Check:
    """An attention check: the answer to the prompt, and one to another prompt."""

    prompt: str
    right: str
    wrong: str
    category: str = ""


class Draw:
    """Numbers drawn from a seed and from all that is drawn for, in whatever order it is given."""

    def __init__(self, seed: int, content: Sequence[object]) -> None:
        rows = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in content)
        text = json.dumps([seed, rows], ensure_ascii=False)
        self._key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def hex(self, *names: str) -> str:
        """64 hex digits for what is named so."""
        text = json.dumps(names, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def paired(
    pairs: Sequence[Beside], checks: Sequence[Check], against: str, seed: int
) -> tuple[list[RatedPair], list[PairKey]]:
    """What raters see, in the order in which it is handed out, and its key in the same order.

    - Sides: of the pairs of each model, half have it first (of an odd number one more or one
      less); likewise the right answers of the checks.
    - Order: rounds. Each round has every prompt at most once, in the same drawn order, beside a
      model that differs from round to round: where every model has a pair for every prompt, the
      pairs of a prompt are as many places apart as there are prompts.
    - Checks stand at drawn places among the pairs and look like them.

    Args:
        pairs: one for each prompt and model.
        checks: of `attention_checks`.
        against: whose answers are right in the checks.
        seed: another one gives other sides, another order, other ids.
    """
    content = [asdict(pair) for pair in pairs] + [asdict(check) for check in checks]
    draw = Draw(seed, content)
    model_first = _halves(
        draw, [("pair", pair.model, pair.prompt) for pair in pairs], lambda name: name[1]
    )
    right_first = _halves(draw, [("check", check.prompt) for check in checks], lambda name: "")
    rows: list[tuple[RatedPair, PairKey]] = []
    for pair in _in_rounds(draw, pairs):
        name: Name = ("pair", pair.model, pair.prompt)
        sides = [(pair.model, pair.answer), (pair.against, pair.other)]
        rows.append(_row(draw, name, pair, sides if name in model_first else sides[::-1], None))
    for check in sorted(checks, key=lambda one: draw.hex("place", one.prompt)):
        sides = [(f"{against}'s answer", check.right), ("answer to another prompt", check.wrong)]
        name = ("check", check.prompt)
        first = name in right_first
        row = _row(draw, name, check, sides if first else sides[::-1], 1 if first else 2)
        rows.insert(int(draw.hex("at", check.prompt), 16) % (len(rows) + 1), row)
    return [shown for shown, _ in rows], [key for _, key in rows]


def attention_checks(
    answers: Sequence[Answered], count: int, seed: int, spare: Sequence[Answered] = ()
) -> list[Check]:
    """Up to `count` attention checks, each of another prompt; fewer where no more can be made.

    The wrong answer is one to another prompt: of those of similar length (`ALIKE`), else of the
    nearest in length, the one that shares the smallest part of its words with the prompt and its
    right answer; in turn a longer and a shorter one, so that length tells nothing. Prompts that
    share more than `NEAR` of their words are no wrong prompts of each other, so that the wrong
    answer is plainly beside the question.

    Args:
        answers: by one model, one a prompt; what an attentive rater would take for an answer.
        count: how many are wanted.
        seed: of the prompts that are drawn.
        spare: likewise, of prompts that the study does not use: these are taken first.
    """
    draw = Draw(seed, [asdict(row) for row in (*answers, *spare)])
    usable = [
        sorted(
            (one for one in rows if _says_enough(one.answer)),
            key=lambda one: draw.hex("check", one.prompt),
        )
        for rows in (spare, answers)
    ]
    ordered = [*usable[0], *usable[1]]
    words = _Words(ordered)
    checks: list[Check] = []
    used: set[str] = set()
    for one in ordered:
        if len(checks) >= count:
            break
        start = int(draw.hex("wrong", one.prompt), 16) % len(ordered)
        turned = (ordered[(start + step) % len(ordered)] for step in range(len(ordered)))
        free = (other for other in turned if other is not one and other.prompt not in used)
        others = list(islice(free, LOOKED_AT))
        wrong = _beside_the_question(one, others, words, len(checks) % 2 == 0)
        if wrong is not None:
            used.add(wrong.prompt)
            checks.append(Check(one.prompt, one.answer, wrong.answer, one.category))
    return checks


def _says_enough(answer: str) -> bool:
    return len(answer.split()) >= FEWEST_WORDS or len(answer.strip()) >= FEWEST_LETTERS


def _beside_the_question(
    one: Answered, others: Sequence[Answered], words: _Words, longer: bool
) -> Answered | None:
    right = one.answer.strip()
    fit = [
        (abs(math.log(len(other.answer.strip()) / len(right))), other)
        for other in others
        if other.answer.strip() != right
        and words.shared(words.asked[one.prompt], words.asked[other.prompt]) <= NEAR
    ]
    alike = [other for apart, other in fit if apart <= math.log(ALIKE)]
    if not alike:
        alike = [other for _, other in sorted(fit, key=lambda pair: pair[0])[:3]]
    side = [other for other in alike if (len(other.answer.strip()) > len(right)) == longer]
    alike, mine = side or alike, words.all[one.prompt]
    return min(alike, key=lambda other: words.shared(mine, words.all[other.prompt]), default=None)


class _Words:
    """The words of prompts, and of them with their answers; a word counts by how rare it is.

    Words are those of four letters and more, in any case, or all where there are no such. Each
    weighs the logarithm of (texts + 1) / (texts that have it): "write" and "about" decide little.
    """

    def __init__(self, rows: Sequence[Answered]) -> None:
        self.asked = {row.prompt: self._of(row.prompt) for row in rows}
        self.all = {row.prompt: self.asked[row.prompt] | self._of(row.answer) for row in rows}
        counts = Counter(word for words in self.all.values() for word in words)
        self._weight = {word: math.log((len(rows) + 1) / n) for word, n in counts.items()}

    def shared(self, one: set[str], other: set[str]) -> float:
        """The weight of the words of both, over that of the one that has less; 0..1."""
        less = min(self._sum(one), self._sum(other))
        return self._sum(one & other) / less if less else 0.0

    def _sum(self, words: set[str]) -> float:
        return math.fsum(self._weight[word] for word in words)

    @staticmethod
    def _of(text: str) -> set[str]:
        found = set(re.findall(r"\w+", text.casefold()))
        return {word for word in found if len(word) > 3} or found


Name = tuple[str, ...]


def _halves(draw: Draw, names: Sequence[Name], group: Callable[[Name], str]) -> set[Name]:
    """Half of the names of each group, drawn; of an odd number the odd one by a draw of its own."""
    groups: dict[str, list[Name]] = {}
    for name in names:
        groups.setdefault(group(name), []).append(name)
    chosen: set[Name] = set()
    for called, members in groups.items():
        members.sort(key=lambda name: draw.hex("side", *name))
        odd = len(members) % 2 and int(draw.hex("odd", members[0][0], called), 16) % 2
        chosen.update(members[: len(members) // 2 + odd])
    return chosen


def _in_rounds(draw: Draw, pairs: Sequence[Beside]) -> list[Beside]:
    by_prompt: dict[str, list[Beside]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt, []).append(pair)
    rounds: list[list[Beside]] = [[] for _ in range(max(map(len, by_prompt.values()), default=0))]
    for prompt in sorted(by_prompt, key=lambda prompt: draw.hex("order", prompt)):
        models = sorted(by_prompt[prompt], key=lambda pair: draw.hex("round", prompt, pair.model))
        for at, pair in enumerate(models):
            rounds[at].append(pair)
    return [pair for each in rounds for pair in each]


def _row(
    draw: Draw,
    name: Name,
    of: Beside | Check,
    sides: Sequence[tuple[str, str]],
    gold: Choice | None,
) -> tuple[RatedPair, PairKey]:
    item = draw.hex("item", *name)[:16]
    (first, one), (second, two) = sides
    return (
        RatedPair(item=item, prompt=of.prompt, output_1=one, output_2=two),
        PairKey(item=item, first=first, second=second, category=of.category, gold=gold),
    )
