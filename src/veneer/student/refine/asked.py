"""The prompts of a refinement: drawn from a pool, or from what a corpus' users asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from veneer.errors import InputError
from veneer.records import Dialogue, Prompt, read_rows

POOL, CORPUS = "prompts.jsonl", "corpus.jsonl"


def read_prompts(given: Path) -> list[Prompt]:
    """Distinct prompts, in order.

    Args:
        given: a folder with prompts.jsonl or corpus.jsonl, or a file of Prompt or Dialogue rows
            (a corpus: the first user turn of each dialogue).

    Raises:
        InputError: nothing to read, or no question in it.
    """
    path = given
    if given.is_dir():
        path = next((given / n for n in (POOL, CORPUS) if (given / n).is_file()), given / POOL)
    if not path.is_file():
        raise InputError(
            f"{given} has no prompts.", f"Give a folder with {POOL} or {CORPUS}, or such a file."
        )
    if _holds_dialogues(path):
        found = [
            Prompt(text=row.query, category=row.category, source=row.source, licence=row.licence)
            for row in read_rows(path, Dialogue)
            if row.query.strip()
        ]
    else:
        found = list(read_rows(path, Prompt))
    if not found:
        raise InputError(f"There is no question in {path}.", "Give prompts, one a row.")
    first: dict[str, Prompt] = {}
    for prompt in found:
        first.setdefault(prompt.id, prompt)
    return list(first.values())


def drawn(prompts: list[Prompt], count: int, seed: int) -> list[Prompt]:
    """`count` prompts in an order that depends on the seed and on each text alone.

    Raises:
        InputError: there are fewer.
    """
    if count > len(prompts):
        raise InputError(
            f"{count:,} prompts are asked for, but there are {len(prompts):,} different ones.",
            f"Ask for at most {len(prompts)} (`prompts`), or give a larger pool.",
        )
    return sorted(
        prompts, key=lambda prompt: hashlib.sha256(f"{seed}/{prompt.text}".encode()).digest()
    )[:count]


def _holds_dialogues(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        return '"messages"' in lines.readline()
