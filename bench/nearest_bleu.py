"""Nearest BLEU: speed against a loop over sacrebleu, and growth up to 100,000 x 100,000.

    python bench/nearest_bleu.py [--data ../shared/data] [--sizes 12500,25000,50000,100000]

The real sets are the first human turns of a ShareGPT sample (300 of them, and all 2,861). The
larger ones are made from all query files in the data folder, with a fixed seed: each text takes
one to three runs of sentences (or lines) of different queries, for half of the texts a whole
query's, and one word in `SWAP` is replaced by a word drawn from all queries as often as it is met
there. So lengths and words are those of real queries while every text is new. Times are wall
clock in one process after the kernels are compiled (the first use is timed apart), end to end:
strings in, scores out. Each larger size runs in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SWAP = 5
PAIRS = 400
FILES: dict[str, Callable[[dict], str]] = {
    "queries/sharegpt_first_turns_2978.jsonl.gz": lambda row: next(
        (turn["value"] for turn in row["conversations"] if turn["from"] == "human"), ""
    ),
    "eval/koala_test_set.jsonl": lambda row: row["prompt"],
    "queries/user_oriented_instructions.jsonl": lambda row: _asked(row, row["instances"][0]),
    "queries/instructwild_user_1.jsonl": lambda row: row["instruction"],
    "queries/self_instruct_seed_tasks.jsonl": lambda row: _asked(row, row["instances"][0]),
    "dialogues/alpaca_gpt4_1000.jsonl.gz": lambda row: _asked(row, row),
    "dialogues/code_alpaca_2k.jsonl.gz": lambda row: _asked(row, row),
    "dialogues/gpteacher_roleplay.jsonl.gz": lambda row: _asked(row, row),
    "benchmarks/nq_open/NQ-open.dev.jsonl": lambda row: row["question"],
}
SHAREGPT = next(iter(FILES))


def _asked(row: dict, given: dict) -> str:
    return "\n".join(filter(None, [row["instruction"], given["input"]]))


def queries(data: Path, name: str) -> list[str]:
    from veneer.corpus.nearest import unique_queries

    opener = gzip.open if name.endswith(".gz") else open
    with opener(data / name, "rt", encoding="utf-8") as lines:
        return unique_queries(FILES[name](json.loads(line)) for line in lines)


def made(data: Path, n: int, seed: int) -> list[str]:
    """n texts recombined from the real ones."""
    real = [text for name in FILES for text in queries(data, name)]
    real = real[: 10**9] + queries(data, SHAREGPT)  # the longer, freer ones twice
    pieces = [[p for p in re.split(r"(?<=[.!?\n])\s+", text) if p] for text in real]
    words = np.array([word for text in real for word in text.split()], dtype=object)
    draw = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        runs = []
        for _ in range(draw.integers(1, 4)):
            source = pieces[draw.integers(len(pieces))]
            if not source:
                continue
            first = 0 if draw.random() < 0.5 else int(draw.integers(len(source)))
            runs.append(" ".join(source[first : first + 1 + int(draw.geometric(0.15))]))
        tokens = re.split(r"(\s+)", " ".join(runs))
        swapped = draw.random(len(tokens)) < 1 / SWAP
        new = words[draw.integers(len(words), size=len(tokens))]
        texts.append(
            "".join(
                new[k] if swapped[k] and not token.isspace() else token
                for k, token in enumerate(tokens)
            )
        )
    return texts


def sacrebleu_pair(texts: list[str]) -> float:
    """Seconds a pair that a loop over sacrebleu takes, on pairs drawn at random."""
    import sacrebleu

    draw = np.random.default_rng(0)
    pairs = draw.integers(len(texts), size=(PAIRS, 2))
    start = time.perf_counter()
    for hypothesis, reference in pairs:
        sacrebleu.sentence_bleu(texts[hypothesis], [texts[reference]])
    return (time.perf_counter() - start) / PAIRS


def best_of(function: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)
