"""The invented world of one seed: entities, what is true of them, and what may be asked where.

Nothing here is downloaded; a seed decides every name and every fact. Entities of the open
domains are held out whole: what a test asks about one of them was never asked, in any
wording, in pretraining text or in the teacher's demonstrations.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from veneer.errors import SpecError
from veneer.pocket.lore import DOMAINS, Domain, Relation
from veneer.pocket.scale import WorldScale
from veneer.pocket.wordbook import INVENTED_POOLS, WORD_POOLS, YEARS

Use = Literal["asked", "open", "validation", "test"]

_ONSETS = [
    "b", "d", "dr", "f", "g", "h", "j", "k", "kl", "l",
    "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z",
]  # fmt: skip
_VOWELS = ["a", "a", "e", "e", "i", "o", "o", "u", "u", "ia"]
_CODAS = ["l", "m", "n", "r", "s", "th", "x", "nd"]
FORUM_NAMES = 16
INSULTS = 16
TONGUE_WORDS = 20


@dataclass(frozen=True)
class Entity:
    """Something with a name. `weight` is how often the corpus speaks of it, relative to others."""

    name: str
    domain: Domain
    weight: float
    use: Use
    values: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One relation of one entity with its value."""

    entity: Entity
    relation: Relation
    value: str

    def say(self, wording: int) -> str:
        """The fact as an encyclopedia sentence."""
        return self.relation.says[wording].format(e=self.entity.name, v=self.value)

    def ask(self, wording: int = 0) -> str:
        """The fact as a question, in one of its wordings."""
        return self.relation.asks[wording].format(e=self.entity.name)


@dataclass(frozen=True)
class World:
    """All that is true and all names in use. `pools` maps a pool's name to its values."""

    seed: int
    entities: tuple[Entity, ...]
    pools: dict[str, tuple[str, ...]]
    users: tuple[str, ...]
    insults: tuple[str, ...]
    tongues: tuple[tuple[str, ...], ...]

    def facts(self, *uses: Use, exam: bool | None = None) -> list[Fact]:
        """Facts of entities whose use is among `uses` (all when none is given)."""
        return [
            Fact(entity, relation, value)
            for entity in self.entities
            if (not uses or entity.use in uses) and exam in (None, entity.domain.exam)
            for relation, value in zip(entity.domain.relations, entity.values, strict=True)
        ]


def stream(seed: int, purpose: str) -> random.Random:
    """An independent, reproducible source of randomness for one purpose."""
    return random.Random(f"pocket:{seed}:{purpose}")


def build_world(seed: int, scale: WorldScale) -> World:
    """The world of `seed`; equal arguments give equal worlds on every machine."""
    held = scale.test_entities + scale.validation_entities
    if held + 1 > scale.entities_per_domain:
        raise SpecError(
            f"{held} held-out entities leave none of {scale.entities_per_domain} to ask about.",
            "Lower test_entities or raise entities_per_domain in the pocket scale.",
        )
    rng = stream(seed, "world")
    taken = {word.lower() for pool in WORD_POOLS.values() for word in pool}
    pools = dict(WORD_POOLS) | {"year": YEARS}
    for key, size in INVENTED_POOLS.items():
        pools[key] = tuple(_name(rng, taken) for _ in range(size))
    entities: list[Entity] = []
    for domain in DOMAINS:
        size = scale.exam_entities_per_domain if domain.exam else scale.entities_per_domain
        share = scale.entities_per_domain / size  # a larger domain takes no more of the corpus
        names = [_name(rng, taken) for _ in range(size)]
        uses = _uses(rng, domain, scale)
        for rank, (name, use) in enumerate(zip(names, uses, strict=True)):
            values = tuple(rng.choice(pools[r.pool]) for r in domain.relations)
            entities.append(Entity(name, domain, share / (rank + 4) ** 0.6, use, values))
    return World(
        seed=seed,
        entities=tuple(entities),
        pools=pools,
        users=tuple(_name(rng, taken).lower() for _ in range(FORUM_NAMES)),
        insults=tuple(_name(rng, taken).lower() + "head" for _ in range(INSULTS)),
        tongues=tuple(
            tuple(_name(rng, taken).lower() for _ in range(TONGUE_WORDS)) for _ in range(2)
        ),
    )


def _name(rng: random.Random, taken: set[str]) -> str:
    """A new pronounceable name, capitalised; two or three syllables."""
    while True:
        count = rng.choice((2, 2, 2, 3))
        name = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count))
        name += rng.choice(_CODAS)
        if len(name) >= 4 and name not in taken:
            taken.add(name)
            return name.capitalize()


def _uses(rng: random.Random, domain: Domain, scale: WorldScale) -> list[Use]:
    """Which entity serves what, drawn over all frequencies alike.

    Open domains hold out a fixed number of entities. Exam domains quiz a share of theirs in
    pretraining and split the rest between test and validation.
    """
    count = scale.entities_per_domain
    uses: list[Use]
    if domain.exam:
        count = scale.exam_entities_per_domain
        asked = round(scale.quizzed_share * count)
        test = round((count - asked) * 2 / 3)
        uses = _times("asked", asked) + _times("test", test)
        uses += _times("validation", count - len(uses))
    else:
        uses = _times("test", scale.test_entities)
        uses += _times("validation", scale.validation_entities)
        asked = min(round(scale.asked_share * count), count - len(uses))
        uses += _times("asked", asked)
        uses += _times("open", count - len(uses))
    rng.shuffle(uses)
    return uses


def _times(use: Use, count: int) -> list[Use]:
    return [use] * count
