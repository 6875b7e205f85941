"""Nearest BLEU: speed against a loop over sacrebleu, and growth up to 100,000 x 100,000.

    python bench/nearest_bleu.py [--data ../shared/data] [--sizes 12500,25000,50000,100000]

The real sets are the first human turns of a ShareGPT sample (300 of them, and all 2,861). The
larger ones are made from the query files in the data folder, with a fixed seed: a text takes one
to three runs of sentences (or lines), each from a query of its own, half of them from ShareGPT,
and every third word gives way to a word drawn from all queries as often as it is met there. So
lengths and words are those of real queries, and every text is new. The mean nearest BLEU is told
with the times: the more alike the texts, the more references the search can pass over.

Times are wall clock, end to end (strings in, scores out), in a process whose kernels are compiled;
the first use is timed apart. Each larger size runs in a process of its own, whose peak memory is
told, with what it held before the search.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SWAP = 3
PAIRS = 2000
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
    real += 4 * queries(data, SHAREGPT)  # half of the sources are the longer, freer ones
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


def compared(data: Path, threads: int | None) -> list[dict]:
    """Rows of the real sets."""
    from veneer.corpus.nearest import nearest_bleu, sample_of

    every = queries(data, SHAREGPT)
    rows = []
    for texts in (sample_of(every, 300), every):
        ours = best_of(lambda given=texts: nearest_bleu(given, threads=threads), 7)
        pairs = len(texts) * (len(texts) - 1)
        theirs = sacrebleu_pair(texts)
        rows.append(
            {
                "queries": len(texts),
                "seconds": ours,
                "ns_a_pair": ours / pairs * 1e9,
                "sacrebleu_us_a_pair": theirs * 1e6,
                "ratio": theirs * pairs / ours,
                "mean_bleu": float(nearest_bleu(texts).bleu.mean()),
            }
        )
    return rows


def one(data: Path, n: int, threads: int | None) -> dict:
    """Row of n made texts against n others, in this process."""
    from veneer.corpus.nearest import nearest_bleu

    texts, against = made(data, n, 1), made(data, n, 2)
    nearest_bleu(texts[:10], against[:10])
    before = peak()
    start, busy = time.perf_counter(), time.process_time()
    found = nearest_bleu(texts, against, threads=threads)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {
        "queries": n,
        "seconds": seconds,
        "cpu_seconds": busy,
        "ns_a_pair": seconds / n**2 * 1e9,
        "peak_mb": peak(),
        "before_mb": before,
        "mean_bleu": float(found.bleu.mean()),
        "words_a_text": float(np.mean([len(text.split()) for text in texts])),
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def first_use() -> dict:
    """Seconds of the first call in a new process, with nothing compiled and with all of it."""
    code = (
        "import time; start = time.perf_counter()\n"
        "from veneer.corpus.nearest import nearest_bleu\n"
        "nearest_bleu(['a b c d', 'a b c'])\n"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as empty:
        env = {**os.environ, "NUMBA_CACHE_DIR": empty}
        taken = [
            subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
            for _ in range(2)
        ]
    nothing, everything = (float(done.stdout) for done in taken)
    return {"compiling_seconds": nothing, "from_cache_seconds": everything}


def shown(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(rows: list[dict]) -> str:
    names = list(rows[0])
    cells = [names] + [[shown(row[name]) for name in names] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    return "\n".join(
        "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in cells
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=here.parent / "shared" / "data")
    parser.add_argument("--sizes", default="12500,25000,50000,100000")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.data, given.one, given.threads)))
        return
    started = first_use()
    real = compared(given.data, given.threads)
    print("First use:", ", ".join(f"{name} {value:.2f}" for name, value in started.items()))
    print("\nReal queries, each against the others:\n" + table(real), flush=True)
    rows = []
    for size in given.sizes.split(","):
        command = [sys.executable, __file__, "--data", str(given.data), "--one", size]
        if given.threads:
            command += ["--threads", str(given.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(done.stdout))
    print("\nMade texts, n against n others:\n" + table(rows))
    exponent = None
    if len(rows) > 1:
        sizes, seconds = ([row[name] for row in rows] for name in ("queries", "cpu_seconds"))
        exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        print(f"\nProcessor seconds grow with n to the power of {exponent:.2f}.")
    result = {"first_use": started, "real": real, "made": rows, "exponent": exponent}
    print("\n" + json.dumps(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
