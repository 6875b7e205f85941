"""Task-specific imitation data, written by the teacher: the paper's §3 and appendix A.

Each request shows five seed pairs, drawn at random, in the template of Table 4 and is answered
at temperature 1.0; the pairs in the reply are kept unless they were seen before.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.records import Dialogue, Message, write_rows
from veneer.steps import Job
from veneer.teacher.collect import Answers

TABLE_4 = (
    "I want you to generate a series of questions and answers. I want the answers to be "
    "concise, just a few words. The questions should be lowercased and centered around "
    "Wikipedia-like entities. For example,"
)
"""The paper's Table 4, up to its examples."""

SHOTS = 5
"""Seed pairs a request, from the paper's Table 4."""

ROUND = 64
"""Requests sent between two looks at how many unique pairs there are."""

Pair = tuple[str, str]

_QUESTION = re.compile(r"\s*(?:\d+[.)]\s*)?Q(?:uestion)?\s*:\s*(.*?)\s*$")
_ANSWER = re.compile(r"\s*(?:\d+[.)]\s*)?A(?:nswer)?\s*:\s*(.*?)\s*$")


def synthesize(job: Job) -> None:
    """Step: question–answer pairs that resemble a few seeds.

    inputs: `model` a Hugging Face model folder; `seeds` a JSONL file of
        {"question", "answer"}, at least five.
    params: `count` (pairs wanted), `requests` (cap: the teacher may run out of new ones),
        `temperature` (the paper's 1.0), `seed`, `max_new_tokens` a reply.
    Writes pairs.jsonl (Dialogue rows, single turn, source "synthesized"), dropped.jsonl
    ({"reason", "text"}) and counts.json, whose `raw` = kept + every dropped reason.
    """
    from veneer.models.local import LocalModel

    drawn = generate_pairs(
        LocalModel.load(job.inputs["model"]),
        read_seeds(Path(job.inputs["seeds"])),
        count=job.params["count"],
        requests=job.params["requests"],
        temperature=job.params.get("temperature", 1.0),
        seed=job.params["seed"],
        max_new_tokens=job.params["max_new_tokens"],
        progress=job.progress,
    )
    write_rows(job.out / "pairs.jsonl", [_dialogue(pair) for pair in drawn.kept])
    with (job.out / "dropped.jsonl").open("w", encoding="utf-8") as out:
        for reason, text in drawn.dropped:
            row = {"reason": reason, "text": text}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    (job.out / "counts.json").write_text(json.dumps(drawn.counts(), indent=2) + "\n")


@dataclass
class Drawn:
    """What the teacher wrote. `ended` says why no more was asked: "count" or "requests"."""

    kept: list[Pair] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    requests: int = 0
    ended: str = "count"

    def counts(self) -> dict[str, Any]:
        """Counts that add up: raw = kept + all of `dropped`."""
        reasons = Counter(reason for reason, _ in self.dropped)
        return {
            "requests": self.requests,
            "raw": len(self.kept) + len(self.dropped),
            "kept": len(self.kept),
            "dropped": dict(sorted(reasons.items())),
            "ended_by": self.ended,
        }


def generate_pairs(
    model: Answers,
    seeds: Sequence[Pair],
    *,
    count: int,
    requests: int,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int = 256,
    progress: Any = None,
) -> Drawn:
    """Ask until there are `count` unique pairs or `requests` were made; keeps their order."""
    drawn = Drawn()
    seen = {_key(pair): "repeats a seed" for pair in seeds}
    rng = random.Random(f"synthesize {seed}")
    while len(drawn.kept) < count and drawn.requests < requests:
        size = min(ROUND, requests - drawn.requests)
        prompts = [request(rng.sample(list(seeds), SHOTS)) for _ in range(size)]
        replies = model.answer(
            prompts,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=rng.randrange(2**31),
        )
        drawn.requests += size
        for reply in replies:
            pairs, broken = parse_pairs(reply.text, cut_off=reply.finish == "length")
            drawn.dropped += broken
            for pair in pairs:
                text = f"Q: {pair[0]}\nA: {pair[1]}"
                reason = seen.get(_key(pair))
                if reason is None and len(drawn.kept) >= count:
                    reason = "beyond the count asked for"
                if reason is not None:
                    drawn.dropped.append((reason, text))
                    continue
                seen[_key(pair)] = "duplicate pair"
                drawn.kept.append(pair)
        if progress is not None:
            # The round that ends the loop reports all done, whichever limit ended it.
            share = max(len(drawn.kept) / count, drawn.requests / requests)
            progress(min(share, 1.0) * count, count, f"{len(drawn.kept)} unique pairs")
    drawn.ended = "count" if len(drawn.kept) >= count else "requests"
    return drawn


def request(shots: Sequence[Pair]) -> str:
    """The prompt of Table 4 around five seed pairs."""
    return "\n".join([TABLE_4, *(f"Q: {question}\nA: {answer}" for question, answer in shots)])


def parse_pairs(reply: str, cut_off: bool = False) -> tuple[list[Pair], list[tuple[str, str]]]:
    """The pairs in a reply, and (reason, text) of what is none.

    A pair is a line "Q: …" followed by a line "A: …"; both may be numbered. With `cut_off` the
    reply ended at its token limit, so its last line is incomplete and is not used.
    """
    lines = [line for line in reply.splitlines() if line.strip()]
    pairs: list[Pair] = []
    broken: list[tuple[str, str]] = []
    last = lines.pop() if cut_off and lines else None
    question: str | None = None
    for line in lines:
        asked, answered = _QUESTION.match(line), _ANSWER.match(line)
        if asked:
            if question is not None:
                broken.append(("question without an answer", f"Q: {question}"))
            question = asked[1]
        elif answered and question is not None:
            if question and answered[1]:
                pairs.append((question, answered[1]))
            else:
                broken.append(("empty question or answer", f"Q: {question}\n{line}"))
            question = None
        elif answered:
            broken.append(("answer without a question", line))
        else:
            broken.append(("neither a question nor an answer", line))
    if last is not None:
        text = last if question is None else f"Q: {question}\n{last}"
        broken.append(("cut off at the token limit", text))
    elif question is not None:
        broken.append(("question without an answer", f"Q: {question}"))
    return pairs, broken


def read_seeds(path: Path) -> list[Pair]:
    """Seed pairs from JSONL rows {"question", "answer"}."""
    pairs = []
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Give a JSONL file of question and answer.")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pairs.append((str(row["question"]), str(row["answer"])))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: not a seed pair.",
                'Write each line as {"question": "…", "answer": "…"}.',
            ) from error
    if len(pairs) < SHOTS:
        raise InputError(
            f"{path} has {len(pairs)} seed pairs; a request shows {SHOTS}.",
            "Add seed pairs (the paper used ten).",
        )
    return pairs


def _dialogue(pair: Pair) -> Dialogue:
    messages = (
        Message(role="user", content=pair[0]),
        Message(role="assistant", content=pair[1]),
    )
    return Dialogue(messages=messages, source="synthesized")


def _key(pair: Pair) -> tuple[str, ...]:
    """A pair up to case, width and spacing."""
    return tuple(" ".join(unicodedata.normalize("NFKC", t).casefold().split()) for t in pair)
