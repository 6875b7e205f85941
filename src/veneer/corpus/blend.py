"""Mix corpora in given ratios that hold in every prefix, in one order that is kept in the file.

Each corpus has its own order, drawn from the seed and from what its documents say. The next
document of the mixture comes from the corpus that is furthest behind its share. So nothing
depends on how much is taken: a larger amount of data begins with the smaller one's documents.

How far a prefix can be off: with p the share of a corpus and L its largest document, no prefix of
n words (or tokens) holds more of it than p·n + (1 − p)·L, hence none less than p·n minus the sum
of the other corpora's (1 − p)·L. (A corpus gets a document only while it is not ahead.)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from veneer.corpus.importing import read_texts
from veneer.corpus.stats import token_counts
from veneer.errors import InputError
from veneer.records import Dialogue, Message, read_rows, write_rows
from veneer.steps import Job

Unit = Literal["words", "tokens"]
UNITS: tuple[Unit, ...] = ("words", "tokens")
TOKENIZER = "tokenizer"
BATCH = 1000


def blend(job: Job) -> None:
    """Step: corpora mixed by ratio, in the order in which they are to be trained on.

    inputs: a name for each corpus: a folder with corpus.jsonl, a file of dialogues (.jsonl), or a
        file of {"text"} rows, whose texts become documents to replay (one assistant turn and
        nothing else, source "replay"). `tokenizer`: a Hugging Face folder, for unit "tokens".
    params: `shares` {name: a number above 0}, of what is trained on; `unit` "words" (default) or
        "tokens"; `seed`; `budget` in units, None for as much as the ratio allows.
    Writes corpus.jsonl, whose order is the order of the seed, and stats.json with the true
    shares, the largest error of any prefix and its bound, and what was left over. The mixture
    ends with the document that reaches the budget, or where a corpus has nothing left to give.
    """
    inputs = {name: Path(path) for name, path in job.inputs.items() if name != TOKENIZER}
    shares = dict(job.params["shares"])
    unit, seed = job.params.get("unit", "words"), int(job.params["seed"])
    weights = whole_weights(shares)
    if unit not in UNITS or (unit == "tokens" and TOKENIZER not in job.inputs):
        raise InputError(
            f"Shares cannot be counted in {unit!r} here.",
            "Known: words, and tokens where the step has a tokenizer.",
        )
    if inputs.keys() != shares.keys():
        raise InputError(
            f"Shares are given for {sorted(shares)}, corpora for {sorted(inputs)}.",
            "Give each corpus a share.",
        )
    tokenizer = Path(job.inputs[TOKENIZER]) if unit == "tokens" else None
    documents = []
    for at, name in enumerate(sorted(inputs)):
        job.progress(at, len(inputs) + 1, f"reading {name}")
        file = _dialogue_file(inputs[name], job.out / f".{name}.jsonl")
        documents.append(Documents.of(file, seed, tokenizer))
    budget = job.params.get("budget")
    names = sorted(inputs)
    chosen = interleaved([d.sizes for d in documents], [weights[name] for name in names])
    taken = list(until(chosen, [d.sizes for d in documents], budget))
    total = sum(documents[c].sizes[d] for c, d in taken)
    if budget is not None and total < budget:
        raise InputError(
            f"The mixture ends after {total:,} {unit}; {budget:,} were asked for.",
            "Give more of the corpus that ran out, a smaller share of it, or a smaller budget.",
        )
    digest = _write(job.out / "corpus.jsonl", documents, taken)
    for name in names:
        (job.out / f".{name}.jsonl").unlink(missing_ok=True)
    stats = {
        "unit": unit,
        "total": total,
        "documents": len(taken),
        "corpora": _shares_of(names, weights, documents, taken),
        "order": {"seed": seed, "sha256": digest},
    }
    (job.out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n", "utf-8")
    job.progress(1, 1, f"{len(taken)} documents")


# ---- the schedule ---------------------------------------------------------------------------


def whole_weights(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares as whole numbers in the same ratio, so that the schedule is exact.

    Raises:
        InputError: there is none, or one is not above 0.
    """
    if not shares or any(not math.isfinite(s) or s <= 0 for s in shares.values()):
        raise InputError(
            f"These are no shares: {dict(shares)}.", "Give each corpus a number above 0."
        )
    exact = {name: Fraction(str(share)) for name, share in shares.items()}
    scale = math.lcm(*(share.denominator for share in exact.values()))
    return {name: int(share * scale) for name, share in exact.items()}


def interleaved(
    sizes: Sequence[Sequence[int]], weights: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """(corpus, place in it) of each document of the mixture, until a corpus has none to give.

    Shapes: `sizes` (corpora, documents of each) in words or tokens; `weights` (corpora,).
    """
    whole = sum(weights)
    used, at, total = [0] * len(sizes), [0] * len(sizes), 0
    while True:
        behind = [w * total - whole * u for w, u in zip(weights, used, strict=True)]
        corpus = max(range(len(sizes)), key=lambda k: (behind[k], weights[k], -k))
        if at[corpus] == len(sizes[corpus]):
            return
        yield corpus, at[corpus]
        used[corpus] += sizes[corpus][at[corpus]]
        total += sizes[corpus][at[corpus]]
        at[corpus] += 1


def until(
    chosen: Iterator[tuple[int, int]], sizes: Sequence[Sequence[int]], budget: int | None
) -> Iterator[tuple[int, int]]:
    """The shortest prefix of at least `budget` words or tokens; all of it where that is None."""
    total = 0
    for corpus, place in chosen:
        if budget is not None and total >= budget:
            return
        yield corpus, place
        total += sizes[corpus][place]


def _shares_of(
    names: Sequence[str],
    weights: Mapping[str, int],
    documents: Sequence[Documents],
    taken: Sequence[tuple[int, int]],
) -> dict[str, dict[str, Any]]:
    """What of each corpus is in the mixture, and how far any prefix is from its share."""
    whole = sum(weights[name] for name in names)
    used, counts, total = [0] * len(names), [0] * len(names), 0
    ahead = [Fraction(0)] * len(names)
    behind = [Fraction(0)] * len(names)
    largest = [0] * len(names)
    for corpus, place in taken:
        size = documents[corpus].sizes[place]
        used[corpus] += size
        counts[corpus] += 1
        total += size
        largest[corpus] = max(largest[corpus], size)
        for k, name in enumerate(names):
            off = used[k] - Fraction(weights[name] * total, whole)
            ahead[k], behind[k] = max(ahead[k], off), max(behind[k], -off)
    found = {}
    for k, name in enumerate(names):
        share = weights[name] / whole
        found[name] = {
            "share": share,
            "true_share": used[k] / total if total else None,
            "used": used[k],
            "documents": counts[k],
            "left_over": len(documents[k].sizes) - counts[k],
            "most_ahead_in_a_prefix": float(ahead[k]),
            "most_behind_in_a_prefix": float(behind[k]),
            "bound": (1 - share) * largest[k],
        }
    return found


# ---- documents ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Documents:
    """Where the documents of a corpus lie, in the order of a seed; the text stays in the file.

    Shapes: `offsets` (bytes) and `sizes` (words or tokens) have one entry a document.
    """

    path: Path
    offsets: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, path: Path, seed: int, tokenizer: Path | None) -> Documents:
        """Read a file of Dialogue rows; sizes are in tokens where there is a tokenizer."""
        places: list[tuple[bytes, int, int]] = []
        seen: dict[bytes, int] = {}
        rows = read_rows(path, Dialogue)
        with path.open("rb") as lines:
            while batch := list(islice(rows, BATCH)):
                sizes = (
                    [sum(len(m.content.split()) for m in d.messages) for d in batch]
                    if tokenizer is None
                    else [count for count, _ in token_counts(batch, tokenizer)]
                )
                for dialogue, size in zip(batch, sizes, strict=True):
                    offset = lines.tell()
                    lines.readline()
                    places.append((_place(dialogue, seed, seen), offset, size))
        places.sort()
        return cls(path, [offset for _, offset, _ in places], [size for _, _, size in places])


def _place(dialogue: Dialogue, seed: int, seen: dict[bytes, int]) -> bytes:
    """Drawn from what is said alone: neither other documents nor where it came from move it."""
    said = json.dumps([(m.role, m.content) for m in dialogue.messages], ensure_ascii=False)
    name = hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[:16]
    seen[name] = seen.get(name, 0) + 1
    return hashlib.sha256(f"{seed}/{name.hex()}/{seen[name]}".encode()).digest()


def _dialogue_file(given: Path, scratch: Path) -> Path:
    """A file of Dialogue rows: the one given, or one made of texts to replay."""
    file = given / "corpus.jsonl" if given.is_dir() else given
    if not file.is_file():
        raise InputError(f"{file} does not exist.", "Give a corpus, or a file of texts.")
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
        if '"messages"' in first:
            return file
    texts = (Message(role="assistant", content=text) for text in read_texts(file) if text.strip())
    write_rows(scratch, (Dialogue(messages=(each,), source="replay") for each in texts))
    return scratch


def _write(path: Path, documents: Sequence[Documents], taken: Sequence[tuple[int, int]]) -> str:
    """The documents, one a line, in their order; the SHA-256 of the file."""
    hashed = hashlib.sha256()
    files = [each.path.open("rb") for each in documents]
    try:
        with path.open("wb") as out:
            for corpus, place in taken:
                files[corpus].seek(documents[corpus].offsets[place])
                line = files[corpus].readline().rstrip(b"\n") + b"\n"
                hashed.update(line)
                out.write(line)
    finally:
        for file in files:
            file.close()
    return hashed.hexdigest()
