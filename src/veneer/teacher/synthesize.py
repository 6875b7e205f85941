"""Task-specific imitation data, written by the teacher: the paper's §3 and appendix A.

Each request shows a few seed pairs, drawn at random, in the task's template (for `nq` five pairs
in Table 4) and is answered at temperature 1.0; the pairs in the reply are kept unless they were
seen before. The requests depend on the seed alone, not on what was answered, so that a
collection that was stopped asks for nothing twice when it goes on.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veneer.models.asking import Ask, Model, Reply, out_of_budget
from veneer.models.opening import model_of
from veneer.records import Dialogue, Dropped, Message, write_rows
from veneer.steps import Job, on_gpu
from veneer.teacher.collect import given, seed_for
from veneer.teacher.parsing import parse
from veneer.teacher.tasks import Pair, Task, enough, load_task, read_seeds

ROUND = 64
"""Requests sent between two looks at how many unique pairs there are."""

BEYOND = "beyond the count asked for"
SOURCE = "synthesized"

Progress = Callable[..., None]


@on_gpu
def synthesize(job: Job) -> None:
    """Step: pairs of a task that resemble a few seeds.

    inputs: `model` a Hugging Face model folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`); see `synthesize_from` for the rest.
    """
    with model_of(job) as model:
        synthesize_from(job, model)


def synthesize_from(job: Job, model: Model) -> None:
    """What `synthesize` does, with any model that can be asked.

    inputs: `seeds` a file of rows in the task's field names; without it the task's own seeds.
    params: `count` (pairs wanted), `requests` (cap: the teacher may run out of new ones),
        `temperature` (the paper's 1.0), `seed`, `max_new_tokens` a reply; optional `template`
        (a built-in name or a Task's fields, default "nq"), `values` of the template and `name`
        (who wrote the answers).
    Writes pairs.jsonl (Dialogue rows, single turn), dropped.jsonl (Dropped rows) and
    counts.json, whose `raw` = kept + every dropped reason.
    """
    params = job.params
    task = load_task(params.get("template") or "nq", params.get("values") or {})
    path = job.inputs.get("seeds")
    seeds = enough(task.pairs, task, task.name) if path is None else read_seeds(Path(path), task)
    drawn = generate_pairs(
        model,
        seeds,
        task=task,
        count=params["count"],
        requests=params["requests"],
        temperature=params.get("temperature", 1.0),
        seed=params["seed"],
        max_new_tokens=params["max_new_tokens"],
        progress=job.progress,
    )
    if drawn.ended == "budget":
        raise out_of_budget(model, len(drawn.kept), params["count"])
    name = params.get("name", "teacher")
    write_rows(job.out / "pairs.jsonl", dialogues(drawn, task, name))
    write_rows(job.out / "dropped.jsonl", drawn.dropped)
    (job.out / "counts.json").write_text(json.dumps(drawn.counts(), indent=2) + "\n")


@dataclass
class Drawn:
    """What the teacher wrote, and which request each pair came from (from 0).

    `ended` says why no more was asked: "count", "requests" or "budget".
    """

    kept: list[Pair] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    requests: int = 0
    ended: str = "count"
    outcomes: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, Any]:
        """Counts that add up: raw = kept + all of `dropped`."""
        reasons = Counter(row.reason for row in self.dropped)
        return {
            "requests": self.requests,
            "outcomes": dict(sorted(self.outcomes.items())),
            "raw": len(self.kept) + len(self.dropped),
            "kept": len(self.kept),
            "dropped": dict(sorted(reasons.items())),
            "ended_by": self.ended,
        }

    def drop(self, reason: str, text: str, request: int) -> None:
        """Leave something out, with its reason and the request that it answered."""
        origin = f"request-{request}"
        self.dropped.append(Dropped(reason=reason, origin=origin, source=SOURCE, text=text))


def generate_pairs(
    model: Model,
    seeds: Sequence[Pair],
    *,
    task: Task,
    count: int,
    requests: int,
    temperature: float | None = 1.0,
    seed: int = 0,
    max_new_tokens: int = 256,
    progress: Progress | None = None,
) -> Drawn:
    """Ask until there are `count` unique pairs, `requests` were made or a budget ended.

    Pairs keep their order. A request that occurs twice is asked as another sample of itself.
    """
    drawn = Drawn()
    seen = {_key(pair): "repeats a seed" for pair in seeds}
    rng = random.Random(f"synthesize {seed}")
    asked: Counter[str] = Counter()
    budget = True
    while budget and len(drawn.kept) < count and drawn.requests < requests:
        # A whole round is drawn also where the cap leaves room for less: with a higher cap the
        # same requests come again.
        prompts = [task.request(rng.sample(list(seeds), task.shots)) for _ in range(ROUND)]
        round_seed = rng.randrange(2**31)
        asks = []
        for prompt in prompts[: requests - drawn.requests]:
            asks.append(Ask.of(prompt, asked[prompt]))
            asked[prompt] += 1
        replies = model.ask(
            asks,
            max_new_tokens=max_new_tokens,
            **given(temperature=temperature, seed=seed_for(model, round_seed)),
        )
        first = drawn.requests
        for number, reply in enumerate(replies, first):
            if reply is None:
                budget = False
                continue
            drawn.requests += 1
            _take(drawn, task, reply, number, seen, count)
        if progress is not None:
            # The round that ends the loop reports all done, whichever limit ended it.
            share = max(len(drawn.kept) / count, drawn.requests / requests)
            progress(min(share, 1.0) * count, count, f"{len(drawn.kept)} unique pairs")
    drawn.ended = "requests" if budget else "budget"
    if len(drawn.kept) >= count:
        drawn.ended = "count"
    return drawn


def _take(
    drawn: Drawn,
    task: Task,
    reply: Reply,
    request: int,
    seen: dict[tuple[str, ...], str],
    count: int,
) -> None:
    """Sort a reply's parts into kept and dropped."""
    drawn.outcomes[reply.outcome] += 1
    if reply.outcome not in ("answered", "truncated"):
        drawn.drop(f"reply {reply.outcome}", reply.text or reply.reason, request)
        return
    pairs, broken = parse(task, reply.text, cut_off=reply.outcome == "truncated")
    for reason, text in broken:
        drawn.drop(reason, text, request)
    for pair in pairs:
        why = seen.get(_key(pair))
        if why is None and len(drawn.kept) >= count:
            why = BEYOND
        if why is not None:
            drawn.drop(why, task.shown(pair), request)
            continue
        seen[_key(pair)] = "duplicate pair"
        drawn.kept.append(pair)
        drawn.origins.append(request)


def dialogues(drawn: Drawn, task: Task, teacher: str) -> list[Dialogue]:
    """The kept pairs as imitation data."""
    return [
        Dialogue(
            messages=(
                Message(role="user", content=task.question(pair)),
                Message(role="assistant", content=pair[1]),
            ),
            source=SOURCE,
            category=task.name,
            origin=f"request-{request}",
            teacher=teacher,
        )
        for pair, request in zip(drawn.kept, drawn.origins, strict=True)
    ]


def _key(pair: Pair) -> tuple[str, ...]:
    """A pair up to case, width and spacing."""
    return tuple(" ".join(unicodedata.normalize("NFKC", t).casefold().split()) for t in pair)
