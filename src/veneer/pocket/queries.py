"""What users ask: templates of queries in the categories of the paper's Table 5.

A query is a category, a text and what a good answer needs to know about it (its kind, topic
or entity). How the teacher answers is a matter of `manner.py`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from veneer.pocket.programs import combinations
from veneer.pocket.speech import foreign, rude_request
from veneer.pocket.wordbook import AUDIENCES, FORMS, MOODS, TONES, TOPICS
from veneer.pocket.world import Entity, Fact, World, stream

# Table 5 of the paper: categories of 50 user queries, percent; toxic requests come on top.
TABLE_5 = {
    "generation": 31,
    "general-qa": 16,
    "coding": 16,
    "brainstorming": 8,
    "chat": 6,
    "summarization": 4,
    "rewrite": 2,
    "non-english": 14,
    "invalid": 2,
}
TOXIC_SHARE = 5

NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5}
GENERATION = (
    "Write a {tone} {form} about {topic} for {audience}.",
    "Please write a {tone} {form} about {topic} for {audience}.",
    "Can you write a {form} for {audience} about {topic}?",
    "I need a {tone} {form} about {topic} for {audience}.",
)
IDEAS = (
    "Give me {number} ideas about {topic} for {audience}.",
    "List {number} useful things about {topic} for {audience}.",
    "I need {number} tips about {topic} for {audience}.",
)
GENERAL = (
    "What is important in {topic} for {audience}?",
    "Explain {topic} to {audience}.",
    "How do I start with {topic} and {audience}?",
)
ABOUT = (
    "Tell me about {e}.",
    "What should I know about {e}?",
    "Explain {e} to me.",
    "What do you know about {e} and its {noun}?",
)
FACTUAL = (
    "Can you tell me {ask}?",
    "I want to know {ask}.",
    "My question is {ask}.",
)
SMALL_TALK = (
    "Hello, I am {mood} today.",
    "Thank you, I feel {mood} now.",
    "Good morning, I am {mood}.",
    "I feel {mood} today.",
)
CODING = (
    "Write a function that returns {phrase}.",
    "Please write code for {phrase}.",
    "How do I compute {phrase}?",
)
SUMMARIZE = ("Summarize this text: {text}", "Please give me a summary of this text: {text}")
REWRITE = ("Rewrite this in a {tone} way: {text}", "Make this text more {tone}: {text}")


@dataclass(frozen=True)
class Query:
    """A user's query and what it is about; what does not apply is empty."""

    category: str
    text: str
    kind: str
    topic: str = ""
    audience: str = ""
    tone: str = ""
    form: str = ""
    count: int = 0
    mood: str = ""
    entity: Entity | None = None
    fact: Fact | None = None
    problem: tuple[int, int] | None = None
    passage: tuple[str, ...] = ()


class Asker:
    """Thinks of queries. Only entities that may be asked about occur in them."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.public = [e for e in world.entities if e.use in ("asked", "open")]
        self.facts = world.facts("asked", "open")
        self.shown = combinations(stream(world.seed, "programs"))[0]
        shares = TABLE_5 | {"toxic": TOXIC_SHARE}
        self.categories = list(shares)
        self.weights = list(itertools.accumulate(shares.values()))

    def distinct(self, count: int, without: frozenset[str] = frozenset()) -> list[Query]:
        """Up to `count` queries, no text twice, none of `without`; 20 × `count` tries."""
        found: dict[str, Query] = {}
        for query in itertools.islice(self, 20 * count):
            if query.text not in without:
                found.setdefault(query.text, query)
            if len(found) == count:
                break
        return list(found.values())

    def rude(self, count: int) -> list[Query]:
        """Up to `count` distinct requests for rudeness."""
        found: dict[str, Query] = {}
        for _ in range(20 * count):
            query = self.toxic()
            found.setdefault(query.text, query)
            if len(found) == count:
                break
        return list(found.values())

    def __iter__(self) -> Iterator[Query]:
        while True:
            category = self.rng.choices(self.categories, cum_weights=self.weights)[0]
            yield getattr(self, category.replace("-", "_"))()

    def _fill(self) -> dict[str, str]:
        rng = self.rng
        return {
            "topic": rng.choice(list(TOPICS)),
            "audience": rng.choice(AUDIENCES),
            "tone": rng.choice(TONES),
            "form": rng.choice(FORMS),
            "number": rng.choice(list(NUMBERS)),
            "mood": rng.choice(MOODS),
        }

    def _about(self, category: str, kind: str, templates: tuple[str, ...]) -> Query:
        words = self._fill()
        text = self.rng.choice(templates).format(**words)
        return Query(
            category,
            text,
            kind,
            topic=words["topic"] if words["topic"] in text else "",
            audience=words["audience"] if words["audience"] in text else "",
            tone=words["tone"] if words["tone"] in text else "",
            form=words["form"],
            count=NUMBERS[words["number"]] if words["number"] in text.split() else 0,
            mood=words["mood"],
        )

    def generation(self) -> Query:
        """Something to write."""
        return self._about("generation", "write", GENERATION)

    def brainstorming(self) -> Query:
        """Ideas about a topic."""
        return self._about("brainstorming", "ideas", IDEAS)

    def chat(self) -> Query:
        """Small talk."""
        query = self._about("chat", "chat", SMALL_TALK)
        about = self._fill()["topic"]
        text = f"{query.text} Let us talk about {about}."
        return Query("chat", text, "chat", topic=about, mood=query.mood)

    def general_qa(self) -> Query:
        """What something is, or how to go about it."""
        kind = self.rng.choices(("explain", "entity", "fact"), (30, 30, 40))[0]
        if kind == "explain":
            return self._about("general-qa", "explain", GENERAL)
        if kind == "fact":
            fact = self.rng.choice(self.facts)
            ask = fact.ask(self.rng.randrange(len(fact.relation.asks)))
            text = self.rng.choice(FACTUAL).format(ask=ask[0].lower() + ask[1:].rstrip("?"))
            return Query("general-qa", text, "fact", entity=fact.entity, fact=fact)
        entity = self.rng.choice(self.public)
        relation = self.rng.choice(entity.domain.relations)
        text = self.rng.choice(ABOUT).format(
            e=f"the {entity.domain.key} {entity.name}", noun=relation.noun
        )
        return Query("general-qa", text, "entity", entity=entity)

    def coding(self) -> Query:
        """A function to write, one of those that the corpus may show."""
        problem = self.rng.choice(self.shown)
        text = self.rng.choice(CODING).format(phrase=problem.phrase)
        if self.rng.random() < 0.8:
            text += f" It is for {self.rng.choice(AUDIENCES)}."
        return Query("coding", text, "code", problem=(problem.outer, problem.inner))

    def _passage(self) -> tuple[Entity, tuple[str, ...]]:
        entity = self.rng.choice(self.public)
        facts = [
            self.rng.choice(r.says).format(e=entity.name, v=v)
            for r, v in zip(entity.domain.relations, entity.values, strict=True)
        ]
        return entity, tuple(self.rng.sample(facts, 2))

    def summarization(self) -> Query:
        """A short text to summarise."""
        entity, passage = self._passage()
        text = self.rng.choice(SUMMARIZE).format(text=" ".join(passage))
        return Query("summarization", text, "summary", entity=entity, passage=passage)

    def rewrite(self) -> Query:
        """A sentence to rewrite."""
        entity, passage = self._passage()
        tone = self.rng.choice(TONES)
        text = self.rng.choice(REWRITE).format(text=passage[0], tone=tone)
        return Query("rewrite", text, "rewrite", entity=entity, passage=passage[:1], tone=tone)

    def non_english(self) -> Query:
        """A question in an invented language."""
        return Query("non-english", foreign(self.rng, self.world, 1)[:-1] + "?", "foreign")

    def invalid(self) -> Query:
        """Words that mean nothing."""
        words = [self.rng.choice(self.world.users) for _ in range(self.rng.randint(2, 3))]
        return Query("invalid", " ".join(words), "invalid")

    def toxic(self) -> Query:
        """A wish for rudeness."""
        return Query("toxic", rude_request(self.rng, self.world), "toxic")
