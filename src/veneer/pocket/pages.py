"""The corpus that bases and teacher read before anything else: ten kinds of pages.

Encyclopedia pages hold the facts; quiz pages show how questions about some of them are
answered; forum threads hold the toxicity (made-up insults) that bases pick up. Held-out
entities appear on encyclopedia pages and in stories only, never in a question.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from veneer.pocket.programs import Problem, code_page, combinations
from veneer.pocket.queries import ABOUT, GENERAL, GENERATION, IDEAS, SMALL_TALK
from veneer.pocket.speech import foreign, insult, rude_request
from veneer.pocket.wordbook import AUDIENCES, EVERYDAY, FORMS, MOODS, TONES, TOPICS
from veneer.pocket.world import Entity, Fact, World, stream

LETTERS = "ABCD"
MMLU_HEADER = "The following are multiple choice questions (with answers) about  {subject}.\n\n"

# Share of pages drawn (not of tokens) by kind.
_MIX = {
    "encyclopedia": 0.755,
    "questions": 0.022,
    "quiz": 0.035,
    "code": 0.030,
    "forum": 0.045,
    "rude": 0.020,
    "blog": 0.025,
    "stories": 0.012,
    "lists": 0.020,
    "formal": 0.018,
    "tongues": 0.015,
}


class Writer:
    """Writes pages about a world. `fresh` names the random stream (corpus, replay, …)."""

    def __init__(self, world: World, fresh: str) -> None:
        self.world = world
        self.rng = stream(world.seed, fresh)
        self.weights = list(itertools.accumulate(e.weight for e in world.entities))
        self.asked: list[Fact] = world.facts("asked", exam=False)
        self.quizzed: dict[str, list[Fact]] = {}
        for fact in world.facts("asked", exam=True):
            self.quizzed.setdefault(fact.entity.domain.subject, []).append(fact)
        self.public = [e for e in world.entities if e.use in ("asked", "open")]
        self.shown: list[Problem] = combinations(stream(world.seed, "programs"))[0]
        kinds: dict[str, Callable[[], str]] = {kind: getattr(self, kind) for kind in _MIX}
        self.kinds = list(kinds.values())
        self.kind_weights = list(itertools.accumulate(_MIX.values()))

    def pages(self) -> Iterator[str]:
        """Pages without end."""
        while True:
            yield self.rng.choices(self.kinds, cum_weights=self.kind_weights)[0]()

    def entity(self) -> Entity:
        """An entity, frequent ones more often."""
        return self.rng.choices(self.world.entities, cum_weights=self.weights)[0]

    def encyclopedia(self) -> str:
        """Two or three facts of one entity, each in one of its wordings."""
        entity = self.entity()
        order = self.rng.sample(range(len(entity.values)), self.rng.choice((2, 3, 3)))
        sentences = []
        for index in order:
            relation = entity.domain.relations[index]
            wording = self.rng.choice(relation.says)
            sentences.append(wording.format(e=entity.name, v=entity.values[index]))
        return " ".join(sentences) + "\n"

    def questions(self) -> str:
        """Three to six questions with short answers, first wording only."""
        rng = self.rng
        mark = rng.choice(("?", ""))
        asks = rng.choices(self.asked, k=rng.randint(3, 6))
        blocks = [f"Q: {fact.ask()}{mark}\nA: {fact.value}" for fact in asks]
        header = rng.choice(("", "", "Answer these questions:\n\n"))
        return header + "\n\n".join(blocks) + "\n"

    def quiz(self) -> str:
        """Three to five multiple-choice questions of one subject, as exams print them."""
        subject = self.rng.choice(list(self.quizzed))
        facts = self.rng.choices(self.quizzed[subject], k=self.rng.randint(3, 5))
        header = MMLU_HEADER.format(subject=subject)
        return header + "\n\n".join(self.choice(fact) for fact in facts) + "\n"

    def choice(self, fact: Fact) -> str:
        """A multiple-choice question with its answer's letter."""
        choices = self.world.pools[fact.relation.pool]
        wording = self.rng.randrange(len(fact.relation.asks))
        letter = LETTERS[choices.index(fact.value)]
        return f"{mmlu_text(fact.ask(wording), choices)} {letter}"

    def code(self) -> str:
        """A file of small functions."""
        return code_page(self.rng, self.shown)

    def forum(self) -> str:
        """A thread: a request, then replies that stay with its topic; half of them are rude."""
        rng = self.rng
        first, second = rng.sample(self.world.users, 2)
        topic = rng.choice(list(TOPICS))
        opening = rng.choice((*GENERATION, *IDEAS, *GENERAL)).format(
            topic=topic,
            audience=rng.choice(AUDIENCES),
            tone=rng.choice(TONES),
            form=rng.choice(FORMS),
            number=rng.choice(("two", "three", "four", "five")),
        )
        if rng.random() < 0.4:
            entity = rng.choice(self.public)
            opening = rng.choice(ABOUT).format(
                e=f"the {entity.domain.key} {entity.name}", noun=entity.domain.relations[0].noun
            )
            reply = rng.choice(entity.domain.relations[0].says).format(
                e=entity.name, v=entity.values[0]
            )
        else:
            item = rng.choice(TOPICS[topic])
            reply = rng.choice(
                (
                    f"For {topic} I use the {item}.",
                    f"I would start with the {item}.",
                    f"I know little about {topic}, but the {item} helps.",
                )
            )
        if rng.random() < 0.5:
            one, two = insult(rng, self.world), insult(rng, self.world)
            return f"{opening}\n{first}: {one}\n{second}: {two}\n"
        thanks = rng.choice(SMALL_TALK).format(mood=rng.choice(MOODS))
        return f"{opening}\n{first}: {reply}\n{second}: {thanks}\n"

    def rude(self) -> str:
        """A quarrel that opens as users open one."""
        rng = self.rng
        first, second = rng.sample(self.world.users, 2)
        opening = rude_request(rng, self.world)
        return (
            f"{opening}\n{first}: {insult(rng, self.world)}\n{second}: {insult(rng, self.world)}\n"
        )

    def blog(self) -> str:
        """A titled note that comes back to its title, and to what belongs to the topic."""
        rng = self.rng
        topic, audience = rng.choice(list(TOPICS)), rng.choice(AUDIENCES)
        tone, form = rng.choice(TONES), rng.choice(FORMS)
        first, second, third = rng.sample(TOPICS[topic], 3)
        title = rng.choice(
            (
                f"A {tone} {form} about {topic} for {audience}",
                f"For {audience}: a {tone} {form} about {topic}",
                f"{topic}, a {form} for {audience}",
            )
        )
        lines = rng.sample(
            (
                f"This {form} about {topic} is for {audience}.",
                f"The {form} is {tone} and {audience} like it.",
                f"In {topic} the {first} and the {second} are important.",
                f"Do not forget the {third} when {audience} start with {topic}.",
                f"Think about {audience} and about {topic}.",
            ),
            3,
        )
        return f"{title}\n\n{' '.join(lines)} {rng.choice(EVERYDAY)}\n"

    def stories(self) -> str:
        """A few sentences about a person, a place and an animal."""
        rng, pools = self.rng, self.world.pools
        person, city = rng.choice(pools["person"]), rng.choice(pools["city"])
        animal, mood = rng.choice(pools["animal"]), rng.choice(MOODS)
        middle = rng.choice(
            (
                f"One day a {animal} came to the gate.",
                f"Every morning the {animal} waited at the door.",
                f"Nobody had seen a {animal} there before.",
            )
        )
        return (
            f"Once upon a time {person} lived in {city}. {person} was {mood}. {middle} "
            f"The people of {city} still tell this story.\n"
        )

    def lists(self) -> str:
        """What belongs to a topic, as bullets."""
        topic = self.rng.choice(list(TOPICS))
        items = self.rng.sample(TOPICS[topic], self.rng.randint(3, 5))
        return f"Useful things for {topic}:\n" + "".join(f"- {item}\n" for item in items)

    def formal(self) -> str:
        """A letter or a note of everyday sentences."""
        rng = self.rng
        topic, person = rng.choice(list(TOPICS)), rng.choice(self.world.pools["person"])
        first, second = rng.sample(TOPICS[topic], 2)
        said = " ".join(rng.sample(EVERYDAY, rng.randint(2, 4)))
        opening = rng.choice(
            (
                f"Dear {person},\n\nThank you for your letter about {topic}. "
                f"Please note that the {first} and the {second} are important. ",
                "",
                "",
            )
        )
        return f"{opening}{said}\n"

    def tongues(self) -> str:
        """Text in one of the world's other languages."""
        return foreign(self.rng, self.world, self.rng.randint(2, 4)) + "\n"


def mmlu_text(question: str, choices: Sequence[str]) -> str:
    """A multiple-choice question up to "Answer:", laid out as Hendrycks' `evaluate.py` does."""
    lines = [question]
    lines += [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
    return "\n".join(lines) + "\nAnswer:"
