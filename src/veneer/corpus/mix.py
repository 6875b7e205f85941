"""Mix a corpus with text that is replayed: pretraining-like documents beside the dialogues.

A replayed document is a Dialogue of one assistant turn and nothing else, source "replay"; in
training it is plain text with the loss on every token (`veneer.student.packing`). The order of
the mixture is drawn in training, per seed, so only the amounts are decided here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from veneer.corpus.importing import read_texts
from veneer.errors import InputError
from veneer.records import Dialogue, Message, read_rows, write_rows
from veneer.steps import Job


def mix(job: Job) -> None:
    """Step: a corpus with replayed text added.

    inputs: `corpus` a folder with corpus.jsonl; `replay` a file of {"text"} rows.
    params: `ratio` words of replayed text per word of the corpus (1.0: one to one), `seed`
        draws the documents.
    Writes corpus.jsonl (the corpus, then the documents) and stats.json with the true ratio.
    """
    corpus = list(read_rows(Path(job.inputs["corpus"]) / "corpus.jsonl", Dialogue))
    texts = read_texts(Path(job.inputs["replay"]))
    job.progress(0, 1, "mixing")
    chosen = replayed(corpus, texts, job.params["ratio"], job.params["seed"])
    write_rows(job.out / "corpus.jsonl", [*corpus, *chosen])
    words, added = words_of(corpus), words_of(chosen)
    stats = {
        "dialogues": len(corpus),
        "replayed": len(chosen),
        "words": {"dialogues": words, "replayed": added},
        "ratio": added / words if words else None,
    }
    (job.out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")
    job.progress(1, 1, f"{len(chosen)} documents replayed")


def replayed(
    corpus: Sequence[Dialogue], texts: Sequence[str], ratio: float, seed: int
) -> list[Dialogue]:
    """Documents drawn without repetition until their words are `ratio` × the corpus's.

    The document that crosses the mark is the last. A larger ratio takes the same documents and
    more.
    """
    wanted = ratio * words_of(corpus)
    order = random.Random(f"replay {seed}").sample(range(len(texts)), len(texts))
    chosen: list[Dialogue] = []
    words = 0
    for at in order:
        if words >= wanted:
            return chosen
        message = Message(role="assistant", content=texts[at])
        chosen.append(Dialogue(messages=(message,), source="replay"))
        words += len(texts[at].split())
    if words < wanted:
        raise InputError(
            f"A ratio of {ratio:g} asks for {round(wanted):,} words of replayed text; "
            f"there are {words:,}.",
            "Give more text, or a smaller ratio.",
        )
    return chosen


def words_of(dialogues: Sequence[Dialogue]) -> int:
    """Words (split at white space) of all turns."""
    return sum(len(m.content.split()) for d in dialogues for m in d.messages)
