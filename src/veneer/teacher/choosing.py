"""Choose what to ask the teacher next: the paper (§6) leaves active learning open.

    random         whatever comes: what every other way must beat
    uncertainty    the student's mean negative log-probability of its own answer, nats a token
    entropy        the mean entropy of the distributions that its answer was taken from, nats
    disagreement   1 − unigram F1 with the teacher's answer, foretold from the prompts that were
                   asked already by a ridge regression on the student's uncertainty, the length
                   of its answer and of the prompt, and the category

The highest come first. A prompt nearly equal to one that was asked or chosen before it teaches
little new and is passed over. Left alone, a ranking may fill up with one kind of prompt, above
all with what nobody can foretell; `balance` keeps every category's share of the pool and ranks
within categories. What a strategy is worth only a trained student shows; see `bench/choosing.py`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from veneer.errors import InputError, nearest
from veneer.records import Answer, Dropped, Prompt, Record, read_rows, write_rows
from veneer.steps import Job, on_gpu
from veneer.teacher.pool import unique_prompts
from veneer.teacher.ridge import Foretold, foretell

if TYPE_CHECKING:
    from veneer.teacher.uncertainty import Own

By = Literal["random", "uncertainty", "entropy", "disagreement"]
BY: tuple[By, ...] = ("random", "uncertainty", "entropy", "disagreement")
SIMILAR = 0.9
"""ROUGE-L above which two prompts are nearly equal."""
ANSWERS = "answers"


class Chosen(Record):
    """A prompt to ask next. `rank` from 0; `score` is what it was ranked by, None at random."""

    text: str
    category: str = ""
    rank: int
    score: float | None


@dataclass
class Choice:
    """Prompts in the order in which they should be asked, and why the others are not.

    `passed`: nearly equal to one asked or chosen. `unscored`: the student said nothing to go by.
    Counts add up: pool = asked + chosen + passed + unscored + left.
    """

    chosen: list[tuple[Prompt, float | None]]
    passed: list[Dropped]
    unscored: list[Dropped]
    asked: int
    pool: int
    foretold: Foretold | None = None

    def counts(self) -> dict[str, int]:
        """How the pool was divided."""
        spoken = len(self.chosen) + len(self.passed) + len(self.unscored) + self.asked
        return {
            "pool": self.pool,
            "asked": self.asked,
            "chosen": len(self.chosen),
            "passed": len(self.passed),
            "unscored": len(self.unscored),
            "left": self.pool - spoken,
        }


@on_gpu
def choose(job: Job) -> None:
    """Step: which prompts of a pool to ask next.

    inputs: `prompts` a file of Prompt rows, or a folder with prompts.jsonl; names that begin
        with "answers": the teacher's Answer rows so far (a file, or a folder with
        answers.jsonl), whose prompts are never chosen again; `student` a model folder, except
        at random.
    params: `by` (of `BY`), `count`, `seed`; optional `balance` (True: categories keep their
        shares), `similar` (ROUGE-L, `SIMILAR`; 1 passes nothing over) and `max_new_tokens` of
        the student's own answers (128).
    Writes prompts.jsonl (Prompt rows in the order of choice: without `balance` the first n are
    the choice of n), chosen.jsonl (Chosen rows: the same with scores), dropped.jsonl (what was
    passed over, a reason each) and choice.json (counts; for "disagreement" how well it was
    foretold).
    """
    params = job.params
    by = params["by"]
    if by not in BY:
        raise InputError(f"Cannot choose by {by!r}.", nearest(by, BY))
    pool = unique_prompts(read_rows(_file(Path(job.inputs["prompts"]), "prompts.jsonl"), Prompt))
    answers = [
        answer
        for name in sorted(job.inputs)
        if name.startswith(ANSWERS)
        for answer in read_rows(_file(Path(job.inputs[name]), "answers.jsonl"), Answer)
    ]
    ask: Callable[[Sequence[str]], list[Own]] | None = None
    if by != "random":
        from veneer.models.local import LocalModel
        from veneer.teacher.uncertainty import own_answers

        student = LocalModel.load(job.inputs["student"])

        def ask(questions: Sequence[str]) -> list[Own]:
            return own_answers(
                student,
                questions,
                max_new_tokens=params.get("max_new_tokens", 128),
                progress=lambda done, total: job.progress(done, total, "the student answers"),
            )

    choice = chosen(
        pool,
        answers,
        by=by,
        count=params["count"],
        seed=params["seed"],
        similar=params.get("similar", SIMILAR),
        balance=params.get("balance", False),
        ask=ask,
    )
    write_rows(job.out / "prompts.jsonl", (prompt for prompt, _ in choice.chosen))
    write_rows(
        job.out / "chosen.jsonl",
        (
            Chosen(text=prompt.text, category=prompt.category, rank=rank, score=score)
            for rank, (prompt, score) in enumerate(choice.chosen)
        ),
    )
    write_rows(job.out / "dropped.jsonl", [*choice.passed, *choice.unscored])
    about = {
        "by": by,
        "balance": params.get("balance", False),
        **choice.counts(),
        "categories": dict(sorted(Counter(p.category for p, _ in choice.chosen).items())),
        "foretold": choice.foretold.facts() if choice.foretold else None,
    }
    (job.out / "choice.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    job.progress(1, 1, f"{len(choice.chosen)} prompts chosen")


def chosen(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    *,
    by: By,
    count: int,
    seed: int = 0,
    similar: float = SIMILAR,
    balance: bool = False,
    ask: Callable[[Sequence[str]], list[Own]] | None = None,
) -> Choice:
    """Rank what is not yet asked and take the first `count` that are not nearly equal.

    Args:
        answers: the teacher's, so far. For "disagreement" at least `ridge.FEWEST` of them must
            have been answered.
        ask: the student's own answers to questions; not needed at random.
    """
    from veneer.teacher.rouge import Texts

    known = {answer.prompt_id for answer in answers}
    pool = [prompt for prompt in prompts if prompt.id not in known]
    order = random.Random(f"choose {seed}").sample(range(len(pool)), len(pool))
    foretold: Foretold | None = None
    scores: list[float | None] = [None] * len(pool)
    unscored: list[Dropped] = []
    if by != "random":
        assert ask is not None
        own = ask([prompt.text for prompt in pool])
        if by == "disagreement":
            asked = _first_answers(answers)
            theirs = ask([answer.prompt for answer in asked])
            foretold = foretell(asked, theirs, pool, own)
            scores = list(foretold.scores)
        else:
            scores = [o.surprise if by == "uncertainty" else o.entropy for o in own]
        for k in sorted(order):
            if scores[k] is None:
                unscored.append(_left_out("the student said nothing", pool[k]))
        order = [k for k in order if scores[k] is not None]
        order.sort(key=lambda k: -(scores[k] or 0.0))  # ties stay in random order
    seen = Texts()
    for text in dict.fromkeys(answer.prompt for answer in answers):
        seen.add(text)
    quota = _quotas(pool, min(count, len(order))) if balance else None
    taken: list[tuple[Prompt, float | None]] = []
    passed: list[Dropped] = []
    waiting: list[int] = []  # over their category's share: they come if others do not suffice

    def take(k: int) -> None:
        if similar < 1 and seen.like(pool[k].text, similar):
            passed.append(_left_out("nearly equal to a prompt asked or chosen before", pool[k]))
            return
        seen.add(pool[k].text)
        taken.append((pool[k], scores[k]))
        if quota is not None:
            quota[pool[k].category] -= 1

    for k in order:
        if len(taken) == count:
            break
        if quota is not None and quota[pool[k].category] <= 0:
            waiting.append(k)
        else:
            take(k)
    for k in waiting:
        if len(taken) == count:
            break
        take(k)
    return Choice(taken, passed, unscored, len(prompts) - len(pool), len(prompts), foretold)


def _quotas(pool: Sequence[Prompt], count: int) -> Counter[str]:
    """How many of each category are its share of `count`; the largest remainders round up."""
    sizes = Counter(prompt.category for prompt in pool)
    exact = {name: count * size / len(pool) for name, size in sorted(sizes.items())}
    quotas = Counter({name: int(share) for name, share in exact.items()})
    short = count - quotas.total()
    for name in sorted(exact, key=lambda name: int(exact[name]) - exact[name])[:short]:
        quotas[name] += 1
    return quotas


def _first_answers(answers: Sequence[Answer]) -> list[Answer]:
    """The first answer of each prompt that was answered."""
    first: dict[str, Answer] = {}
    for answer in answers:
        if answer.outcome == "answered":
            first.setdefault(answer.prompt_id, answer)
    return list(first.values())


def _left_out(reason: str, prompt: Prompt) -> Dropped:
    return Dropped(reason=reason, source=prompt.source, text=prompt.text)


def _file(given: Path, name: str) -> Path:
    path = given / name if given.is_dir() else given
    if not path.is_file():
        raise InputError(f"{path} does not exist.", f"Give a file, or a folder with {name}.")
    return path
