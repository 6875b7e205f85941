"""Small packets for the raters' tests, made by the real writer."""

from pathlib import Path

from veneer.raters.packet import Packet, write_packet
from veneer.records import PacketFacts, PairKey, RatedPair, Subject

STUDENT, TEACHER = "quokka-7b-broad", "zebra-ultra"
"""Names that stand nowhere else, so that a page that names a model can be told."""


def small_packet(
    folder: Path, *, pairs: int = 6, gold: int = 0, ratings: int = 3, outputs=None
) -> Packet:
    """A packet of `pairs` pairs and `gold` attention checks, in `folder`, which it makes.

    `outputs(n)` gives the two outputs of pair n; plain sentences unless given.
    """
    outputs = outputs or (lambda n: (f"Output one of {n}.", f"Output two of {n}."))
    rows, keys = [], []
    for n in range(pairs + gold):
        one, two = outputs(n)
        item = f"{(n * 2654435761 + 12345) % 16**10:010x}"
        rows.append(RatedPair(item=item, prompt=f"Prompt {n}?", output_1=one, output_2=two))
        first, second = (STUDENT, TEACHER) if n % 2 else (TEACHER, STUDENT)
        right = (n % 2 + 1) if n >= pairs else None
        keys.append(PairKey(item=item, first=first, second=second, gold=right))
    facts = facts_of(pairs, gold, ratings)
    return write_packet(folder, facts, rows, keys, [])


def facts_of(pairs: int, gold: int, ratings: int) -> PacketFacts:
    """What a packet of these two models is."""
    return PacketFacts(
        title="Comparing answers",
        ratings=ratings,
        seed=0,
        pairs=pairs,
        gold=gold,
        against=TEACHER,
        subjects={
            STUDENT: Subject(model=STUDENT, role="student"),
            TEACHER: Subject(model=TEACHER, role="teacher"),
        },
        prompts=pairs,
    )
