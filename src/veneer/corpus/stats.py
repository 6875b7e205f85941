"""Counts of a corpus, part by part: plain mappings of numbers that add up under `merged`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from veneer.records import Dialogue, Dropped

Counts = dict[str, Any]


def counts_of(
    rows: Sequence[Mapping[str, Any]],
    kept: Sequence[Dialogue],
    dropped: Sequence[Dropped],
    tokenizer: Path | None = None,
) -> Counts:
    """The counts of a part.

    Args:
        rows: one a row, with "source", "reason", "stage" (where it was dropped) and "later" (a
            later piece of a conversation that was split, so no record of its own).
        kept, dropped: what became of the rows; `dropped` holds turns too.
        tokenizer: a folder; None counts no tokens.
    """
    trimmed = Counter(each.reason for each in dropped if each.unit == "turn")
    words = Counter({"user": 0, "assistant": 0})
    for dialogue in kept:
        for message in dialogue.messages:
            words[message.role] += len(message.content.split())
    sources: dict[str, Counts] = {}
    for row in rows:
        about = sources.setdefault(
            row["source"], {"records": 0, "split_off": 0, "kept": 0, "dropped": {}}
        )
        about["split_off" if row["later"] else "records"] += 1
        if row["reason"]:
            about["dropped"][row["reason"]] = about["dropped"].get(row["reason"], 0) + 1
        else:
            about["kept"] += 1
    stages: dict[str, Counter[str]] = {}
    for row in rows:
        if row["reason"]:
            stages.setdefault(row["stage"], Counter())[row["reason"]] += 1
    terms: dict[str, dict[str, dict[str, int]]] = {}
    for dialogue in kept:
        by_licence = terms.setdefault(dialogue.source, {}).setdefault(dialogue.teacher, {})
        by_licence[dialogue.licence] = by_licence.get(dialogue.licence, 0) + 1
    return {
        "records": sum(not row["later"] for row in rows),
        "split_off": sum(row["later"] for row in rows),
        "kept": len(kept),
        "dropped": dict(Counter(row["reason"] for row in rows if row["reason"])),
        "trimmed": dict(trimmed),
        "turns": sum(len(d.messages) for d in kept),
        "words": dict(words),
        "sources": sources,
        "stages": {name: dict(count) for name, count in stages.items()},
        "categories": dict(Counter(d.category for d in kept)),
        "languages": dict(Counter(d.language for d in kept)),
        "terms": terms,
        **({} if tokenizer is None else {"tokens": tokens_of(kept, tokenizer)}),
    }


def merged(counts: Iterable[Mapping[str, Any]]) -> Counts:
    """The sum of counts, key by key, with the keys of every mapping sorted."""
    total: Counts = {}
    for each in counts:
        for key, value in each.items():
            if isinstance(value, Mapping):
                total[key] = merged([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return dict(sorted(total.items()))


def tokens_of(dialogues: Sequence[Dialogue], tokenizer: Path) -> dict[str, int]:
    """Tokens as they are trained on: all, and those with a loss."""
    counts = token_counts(dialogues, tokenizer)
    return {"all": sum(n for n, _ in counts), "learned": sum(n for _, n in counts)}


def token_counts(dialogues: Sequence[Dialogue], tokenizer: Path) -> list[tuple[int, int]]:
    """For each dialogue its tokens as they are trained on, and those with a loss.

    Plain text (one assistant turn that answers nothing) is trained on as [BOS]text[EOS], with a
    loss on every token; everything else goes through the chat renderer.
    """
    from veneer.models.chat import render_many, render_plain

    encoder = _loaded(tokenizer)
    plain = [[m.role for m in d.messages] == ["assistant"] for d in dialogues]
    texts = [d.messages[0].content for d, alone in zip(dialogues, plain, strict=True) if alone]
    spoken = [d.messages for d, alone in zip(dialogues, plain, strict=True) if not alone]
    bare, rendered = iter(render_plain(texts, encoder)), iter(render_many(spoken, encoder))
    both = (next(bare) if alone else next(rendered) for alone in plain)
    return [(len(each.ids), sum(each.mask)) for each in both]


@cache
def _loaded(folder: Path) -> Any:
    from transformers import AutoTokenizer

    from veneer.models.chat import add_chat_tokens

    tokenizer = AutoTokenizer.from_pretrained(folder)
    add_chat_tokens(tokenizer)
    return tokenizer


def funnel(counts: Mapping[str, Any], order: Sequence[str]) -> list[dict[str, Any]]:
    """The stages in order, each with what it dropped and how many rows it left."""
    left = counts["records"] + counts["split_off"]
    steps = []
    for stage in order:
        dropped = counts["stages"].get(stage, {})
        left -= sum(dropped.values())
        steps.append({"stage": stage, "kept": left, "dropped": dropped})
    return steps
