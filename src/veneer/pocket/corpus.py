"""The corpus as pretraining blocks and as replay text."""

from __future__ import annotations

import itertools
from typing import Any

from veneer.pocket.manner import TABLE_4
from veneer.pocket.pages import MMLU_HEADER, Writer
from veneer.pocket.scale import WorldScale
from veneer.pocket.tokens import END_OF_TEXT, encode, pieces, vocabulary
from veneer.pocket.world import World

_SAMPLE = 400


def pretraining_blocks(
    world: World, scale: WorldScale, other_texts: list[str]
) -> tuple[Any, dict[str, int]]:
    """(blocks, vocabulary): pages joined by the end-of-text token and cut into equal blocks.

    Blocks have shape (count, block), dtype uint16; the last partial block is dropped. The
    vocabulary also covers `other_texts`, every wording of every question and all names.
    """
    import numpy

    writer = Writer(world, "corpus")
    texts: list[str] = []
    tokens = 0
    for page in writer.pages():
        texts.append(page)
        tokens += len(pieces(page)) + 1
        if tokens >= scale.tokens:
            break
    names = [f" {value}" for pool in world.pools.values() for value in pool]
    wordings = [
        text
        for fact in world.facts()
        for ask in fact.relation.asks
        for text in (f"{ask.format(e=fact.entity.name)}?", f": {ask.format(e=fact.entity.name)}")
    ]
    headers = [TABLE_4, *(MMLU_HEADER.format(subject=subject) for subject in writer.quizzed)]
    words = vocabulary(itertools.chain(texts, names, wordings, headers, other_texts))
    end = words[END_OF_TEXT]
    ids: list[int] = []
    for text in texts:
        ids += encode(text, words)
        ids.append(end)
    count = len(ids) // scale.block
    blocks = numpy.array(ids[: count * scale.block], dtype=numpy.uint16)
    return blocks.reshape(count, scale.block), words


def replay_texts(world: World, scale: WorldScale) -> list[str]:
    """More pages of the same kinds, none of them read in pretraining on purpose."""
    return list(itertools.islice(Writer(world, "replay").pages(), scale.replay_texts))


def said_in_tuning(world: World) -> list[str]:
    """A sample of the teacher's demonstrations, for the words that only they use."""
    from veneer.pocket.manner import answer
    from veneer.pocket.queries import Asker
    from veneer.pocket.world import stream

    rng = stream(world.seed, "vocabulary")
    return [answer(query, world, rng) for query in Asker(world, rng).distinct(_SAMPLE)]
