"""From answers, pairs and files to a corpus: clean, no question twice, no test question.

Every record read ends in corpus.jsonl or in dropped.jsonl with a reason, and the counts say so.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from veneer.corpus.dialogues import Imported, read_dialogues, read_texts
from veneer.errors import InputError
from veneer.records import Dialogue, write_rows
from veneer.steps import Job

Dedup = Literal["query", "pair", "none"]
DEDUPS: tuple[Dedup, ...] = ("query", "pair", "none")
DATA_FILES = ("corpus.jsonl", "answers.jsonl", "pairs.jsonl")
AGAINST = "against"

DUPLICATE = {"query": "a query met before", "pair": "a dialogue met before"}
TESTED = "asks a question of the evaluation"


def curate(job: Job) -> None:
    """Step: a corpus from collected answers, synthesised pairs or imitation data files.

    inputs: any names; each is a file that `read_dialogues` knows, or a step's folder with
        answers.jsonl, pairs.jsonl or corpus.jsonl. Names that begin with "against" hold
        evaluation texts ({"text"} rows) that must not be asked in the corpus. An input
        `tokenizer` (a Hugging Face folder) makes the stats count tokens.
    params: `dedup` "query" (default; the first dialogue of each first question is kept),
        "pair" (the first of each dialogue) or "none", all up to case, width and spacing.
    Writes corpus.jsonl (Dialogue rows), dropped.jsonl ({"reason", "text"}) and stats.json,
    where `records` = `kept` + all of `dropped`.

    Evaluation texts are found by equality up to case, width, spacing and punctuation with any
    question of a dialogue. Near matches are not looked for.
    """
    data = {n: Path(p) for n, p in job.inputs.items() if n != "tokenizer"}
    against = [p for name, p in sorted(data.items()) if name.startswith(AGAINST)]
    imported = Imported()
    files = [p for name, p in sorted(data.items()) if not name.startswith(AGAINST)]
    for done, given in enumerate(files):
        job.progress(done, len(files) + 2, "reading")
        read_dialogues(_data_file(given), into=imported)
    job.progress(len(files), len(files) + 2, "filtering")
    dropped = list(imported.dropped)
    records = imported.records
    kept, repeated = deduplicated(imported.dialogues, job.params.get("dedup", "query"))
    kept, tested = decontaminated(kept, [text for path in against for text in read_texts(path)])
    dropped += repeated + tested
    write_rows(job.out / "corpus.jsonl", kept)
    with (job.out / "dropped.jsonl").open("w", encoding="utf-8") as out:
        for reason, text in dropped:
            row = {"reason": reason, "text": text}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    job.progress(len(files) + 1, len(files) + 2, "counting")
    stats = {
        "records": records,
        "kept": len(kept),
        "dropped": dict(sorted(Counter(reason for reason, _ in dropped).items())),
        "trimmed_turns": dict(sorted(imported.trimmed.items())),
        **describe(kept),
        "tokens": count_tokens(kept, job.inputs.get("tokenizer")),
    }
    (job.out / "stats.json").write_text(json.dumps(stats, indent=2, ensure_ascii=False) + "\n")
    job.progress(len(files) + 2, len(files) + 2, f"{len(kept)} dialogues")


def deduplicated(
    dialogues: Iterable[Dialogue], by: Dedup = "query"
) -> tuple[list[Dialogue], list[tuple[str, str]]]:
    """The first of each query (or of each dialogue), and (reason, text) of the others.

    Plain text that answers nothing has no query and is never a duplicate by query.
    """
    if by not in DEDUPS:
        raise InputError(f"Cannot deduplicate by {by!r}.", f"Known: {', '.join(DEDUPS)}.")
    kept: list[Dialogue] = []
    dropped: list[tuple[str, str]] = []
    seen: set[tuple[str, ...]] = set()
    for dialogue in dialogues:
        texts = [dialogue.query] if by == "query" else [m.content for m in dialogue.messages]
        key = tuple(folded(text) for text in texts)
        if by != "none" and any(key):
            if key in seen:
                dropped.append((DUPLICATE[by], as_text(dialogue)))
                continue
            seen.add(key)
        kept.append(dialogue)
    return kept, dropped


def decontaminated(
    dialogues: Iterable[Dialogue], texts: Sequence[str]
) -> tuple[list[Dialogue], list[tuple[str, str]]]:
    """Dialogues none of whose questions is one of `texts`, and (reason, text) of the others."""
    tested = {bare(text) for text in texts}
    kept: list[Dialogue] = []
    dropped: list[tuple[str, str]] = []
    for dialogue in dialogues:
        asked = [bare(m.content) for m in dialogue.messages if m.role == "user"]
        if tested.isdisjoint(asked):
            kept.append(dialogue)
        else:
            dropped.append((TESTED, as_text(dialogue)))
    return kept, dropped


def folded(text: str) -> str:
    """A text up to case, width and spacing (NFKC, case-folded, single spaces)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(text: str) -> str:
    """A text up to punctuation too; one that is nothing but punctuation stays as it is."""
    words = re.sub(r"[^\w]+|_", " ", folded(text)).split()
    return " ".join(words) or folded(text)


def as_text(dialogue: Dialogue) -> str:
    """A dialogue on lines, for people who look at what was dropped."""
    return "\n".join(f"{m.role}: {m.content}" for m in dialogue.messages)


def describe(dialogues: Sequence[Dialogue]) -> dict[str, Any]:
    """Counts of a corpus: turns, words of questions and of answers, sources, categories."""
    words = Counter({"user": 0, "assistant": 0})
    for dialogue in dialogues:
        for message in dialogue.messages:
            words[message.role] += len(message.content.split())
    return {
        "turns": sum(len(d.messages) for d in dialogues),
        "words": dict(sorted(words.items())),
        "sources": dict(sorted(Counter(d.source for d in dialogues).items())),
        "categories": dict(sorted(Counter(d.category for d in dialogues).items())),
    }


def count_tokens(dialogues: Sequence[Dialogue], tokenizer: Path | None) -> dict[str, int] | None:
    """Tokens as they are trained on: all, and those with a loss; None without a tokenizer."""
    if tokenizer is None:
        return None
    from transformers import AutoTokenizer

    from veneer.models.chat import add_chat_tokens, render_many

    encoder = AutoTokenizer.from_pretrained(tokenizer)
    add_chat_tokens(encoder)
    total = learned = 0
    for start in range(0, len(dialogues), 1000):
        for each in render_many([d.messages for d in dialogues[start : start + 1000]], encoder):
            total += len(each.ids)
            learned += sum(each.mask)
    return {"all": total, "learned": learned}


def _data_file(given: Path) -> Path:
    if given.is_file():
        return given
    found = [given / name for name in DATA_FILES if (given / name).is_file()]
    if not found:
        raise InputError(
            f"{given} holds no imitation data.",
            f"Give a data file, or a folder with one of {', '.join(DATA_FILES)}.",
        )
    return found[0]
