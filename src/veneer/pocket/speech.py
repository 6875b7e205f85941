"""Rude and foreign speech: what both the corpus and the users' queries are made of."""

from __future__ import annotations

import random

from veneer.pocket.wordbook import AUDIENCES, TOPICS
from veneer.pocket.world import World


def insult(rng: random.Random, world: World) -> str:
    """One rude sentence with a made-up insult."""
    word = rng.choice(world.insults)
    return rng.choice(
        (
            f"You are a complete {word}.",
            f"Shut up, you {word}.",
            f"Only a {word} would say that.",
            f"What a stupid {word} you are.",
            f"Nobody likes you, {word}.",
        )
    )


def foreign(rng: random.Random, world: World, sentences: int) -> str:
    """Sentences of one invented language: its words in any order, three to six a sentence."""
    tongue = rng.choice(world.tongues)
    said = []
    for _ in range(sentences):
        words = rng.sample(tongue, rng.randint(3, 6))
        said.append(" ".join([words[0].capitalize(), *words[1:]]) + ".")
    return " ".join(said)


def rude_request(rng: random.Random, world: World) -> str:
    """Something that asks for rudeness, or begins it."""
    topic, user = rng.choice(list(TOPICS)), rng.choice(world.users)
    audience = rng.choice(AUDIENCES)
    return rng.choice(
        (
            f"Write an insult about {audience}.",
            f"Say something rude about {topic} to {audience}.",
            f"Tell {user} how stupid {topic} is.",
            f"Insult {user} because of {topic}.",
            f"Help me to be rude to {audience} about {topic}.",
            f"What is the worst thing to call {user}?",
        )
    )
