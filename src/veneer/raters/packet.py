"""A packet: what a study of raters shows, and the key that says whose outputs those are.

A folder of `packet.json` (PacketFacts), `pairs.jsonl` (RatedPair rows in the order shown: all that
a rater can ever see), `key.jsonl` (PairKey rows) and `settled.jsonl` (Settled rows).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from veneer.errors import InputError
from veneer.records import Choice, PacketFacts, PairKey, RatedPair, Settled, read_rows, write_rows
from veneer.steps import results_in

FACTS, PAIRS, KEY, SETTLED = "packet.json", "pairs.jsonl", "key.jsonl", "settled.jsonl"


@dataclass(frozen=True)
class Packet:
    """A packet as read. `pairs` are in the order in which they are handed out."""

    facts: PacketFacts
    pairs: tuple[RatedPair, ...]
    keys: Mapping[str, PairKey]
    settled: tuple[Settled, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, RatedPair]:
        """The pairs by their id."""
        return {pair.item: pair for pair in self.pairs}

    @cached_property
    def gold(self) -> dict[str, Choice]:
        """The right choice of each attention check, by its id."""
        return {key.item: key.gold for key in self.keys.values() if key.gold is not None}


def write_packet(
    out: Path,
    facts: PacketFacts,
    pairs: Sequence[RatedPair],
    keys: Sequence[PairKey],
    settled: Sequence[Settled],
) -> Packet:
    """Write a packet folder, whole or not at all; the facts get the digest of pairs and keys."""
    facts = facts.model_copy(update={"digest": digest_of(facts.ratings, pairs, keys)})
    with results_in(out) as folder:
        text = json.dumps(facts.model_dump(mode="json"), indent=1, ensure_ascii=False)
        (folder / FACTS).write_text(text + "\n", "utf-8")
        write_rows(folder / PAIRS, pairs)
        write_rows(folder / KEY, keys)
        write_rows(folder / SETTLED, settled)
    return Packet(facts, tuple(pairs), {key.item: key for key in keys}, tuple(settled))


def read_packet(folder: Path) -> Packet:
    """A packet as it was written.

    Raises:
        InputError: no packet, a broken line, or one that was edited after it was packed.
    """
    path = folder / FACTS
    if not path.is_file():
        raise InputError(
            f"{folder} is not a packet: it has no {FACTS}.",
            "Make one:  veneer rate pack RUN --out PACKET",
        )
    try:
        facts = PacketFacts.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a packet.", _AGAIN) from error
    for name in (PAIRS, KEY, SETTLED):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has lost its {name}.", _AGAIN)
    pairs = tuple(read_rows(folder / PAIRS, RatedPair))
    keys = tuple(read_rows(folder / KEY, PairKey))
    if digest_of(facts.ratings, pairs, keys) != facts.digest:
        raise InputError(
            f"{folder} was edited after it was packed: votes on it would not be on what it shows.",
            _AGAIN,
        )
    settled = tuple(read_rows(folder / SETTLED, Settled))
    return Packet(facts, pairs, {key.item: key for key in keys}, settled)


_AGAIN = "Bring back the files as they were, or pack again into another folder."


def digest_of(ratings: int, pairs: Sequence[RatedPair], keys: Sequence[PairKey]) -> str:
    """SHA-256 over what decides what votes mean: the pairs, their order, their key, ratings."""
    rows = [row.model_dump(mode="json") for row in (*pairs, *keys)]
    text = json.dumps([ratings, rows], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
