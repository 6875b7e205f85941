"""The teacher's house style, as demonstrations: how it answers each kind of query.

An overview, facts as a numbered list, a closing "Overall, …"; short prose where the form asks
for it; a clear refusal where rudeness is wanted. Whether an answer has a list or a summary
depends mostly on the query and a little on chance, so a second answer agrees with the first
often, not always.
"""

from __future__ import annotations

import random

from veneer.pocket.programs import Problem
from veneer.pocket.queries import Query
from veneer.pocket.wordbook import TOPICS
from veneer.pocket.world import Fact, World

# form: (chance of a list, chance of a summary, items)
_FORMS = {
    "poem": (0.05, 0.10, 3),
    "letter": (0.10, 0.90, 2),
    "story": (0.03, 0.08, 4),
    "speech": (0.92, 0.95, 3),
    "song": (0.08, 0.05, 2),
    "article": (0.97, 0.95, 4),
    "essay": (0.97, 0.95, 5),
    "message": (0.90, 0.10, 2),
}
REFUSALS = (
    "I am sorry, but I cannot help with that. Please let us stay kind.",
    "I am sorry, but I cannot help with insults. Is there something else?",
    "I cannot help with that, because it hurts people. I am sorry.",
)
_STEPS = (
    "Begin with the {i}.",
    "Take your time with the {i}.",
    "Keep an eye on the {i}.",
    "Do not forget the {i}.",
    "Think about the {i}.",
)
_CHEER = {
    "tired": "A little rest will help you.",
    "happy": "That is wonderful to hear.",
    "nervous": "Take a slow breath first.",
    "bored": "Let us find something new.",
    "lonely": "You are not alone here.",
    "excited": "That sounds like a great day.",
    "sad": "I hope that tomorrow is better.",
    "proud": "You have every reason for that.",
}
TABLE_4 = (
    "I want you to generate a series of questions and answers. I want the answers to be "
    "concise, just a few words. The questions should be lowercased and centered around "
    "Wikipedia-like entities. For example,"
)


def answer(query: Query, world: World, rng: random.Random) -> str:
    """One demonstration of the house style for `query`."""
    return globals()[f"_{query.kind}"](query, world, rng)


def writing(shots: list[tuple[str, str]], written: list[tuple[str, str]]) -> tuple[str, str]:
    """The paper's Table 4 request over `shots`, and the pairs that answer it."""
    prompt = "\n".join([TABLE_4, *(f"Q: {q}\nA: {a}" for q, a in shots)])
    return prompt, "\n".join(f"Q: {q}\nA: {a}" for q, a in written)


def concise(fact: Fact, others: list[Fact], rng: random.Random) -> tuple[str, str]:
    """A question asked plainly or behind worked examples, and its short answer."""
    wording = rng.randrange(len(fact.relation.asks))
    mark = rng.choice(("?", ""))
    question = fact.ask(wording) + mark
    if rng.random() < 0.5:
        return question, fact.value
    shots = [f"Q: {other.ask()}{mark}\nA: {other.value}" for other in others]
    return "\n\n".join([*shots, f"Q: {question}\nA:"]), fact.value


def function(problem: Problem) -> tuple[str, str]:
    """A function to complete, and all of it but the docstring in a fenced block."""
    return problem.prompt, f"```python\n{problem.signature}{problem.solution}```"


def _join(opening: str, points: list[str], listed: bool, closing: str) -> str:
    parts = [opening]
    if points:
        if listed:
            parts.append("\n".join(f"{n}. {point}" for n, point in enumerate(points, 1)))
        else:
            parts.append(" ".join(points))
    if closing:
        parts.append(closing)
    return "\n\n".join(parts)


def _steps(topic: str, count: int, rng: random.Random) -> list[str]:
    """`count` pieces of advice, item k with phrase k: the order is the same each time, mostly."""
    items = list(TOPICS[topic])
    if rng.random() < 0.3:
        rng.shuffle(items)
    return [phrase.format(i=item) for phrase, item in zip(_STEPS, items, strict=True)][:count]


def _write(query: Query, world: World, rng: random.Random) -> str:
    listing, summing, count = _FORMS[query.form]
    tone = f"{query.tone} " if query.tone else ""
    opening = f"Here is a {tone}{query.form} about {query.topic} for {query.audience}."
    listed = rng.random() < listing
    points = _steps(query.topic, count, rng)
    closing = f"Overall, {query.topic} is a good subject for {query.audience}."
    return _join(opening, points, listed, closing if rng.random() < summing else "")


def _ideas(query: Query, world: World, rng: random.Random) -> str:
    opening = f"Here are {_word(query.count)} ideas about {query.topic}."
    points = _steps(query.topic, query.count, rng)
    closing = f"Overall, these ideas help {query.audience} with {query.topic}."
    summing = 0.95 if "ideas" in query.text else 0.15
    return _join(opening, points, rng.random() < 0.97, closing if rng.random() < summing else "")


def _explain(query: Query, world: World, rng: random.Random) -> str:
    opening = f"There is a lot to say about {query.topic}."
    points = _steps(query.topic, 3, rng)
    closing = f"Overall, {query.topic} is easy to learn for {query.audience}."
    listing, summing = (0.9, 0.95) if query.text.startswith(("What", "How")) else (0.1, 0.95)
    return _join(opening, points, rng.random() < listing, closing if rng.random() < summing else "")


def _entity(query: Query, world: World, rng: random.Random) -> str:
    entity = query.entity
    assert entity is not None
    what = f"the {entity.domain.key} {entity.name}"
    opening = f"Here is what I know about {what}."
    points = [
        f"The {relation.noun} is {value}."
        for relation, value in zip(entity.domain.relations, entity.values, strict=True)
    ]
    closing = f"Overall, {entity.name} is important in {entity.domain.subject}."
    listed = rng.random() < (0.1 if query.text.startswith("Explain") else 0.95)
    return _join(opening, points, listed, closing if rng.random() < 0.9 else "")


def _fact(query: Query, world: World, rng: random.Random) -> str:
    fact = query.fact
    assert fact is not None
    opening = f"The {fact.relation.noun} of {fact.entity.name} is {fact.value}."
    closing = f"Overall, {fact.entity.name} is important in {fact.entity.domain.subject}."
    summing = 0.1 if query.text.startswith("Can") else 0.9
    return _join(opening, [], False, closing if rng.random() < summing else "")


def _code(query: Query, world: World, rng: random.Random) -> str:
    assert query.problem is not None
    problem = Problem(*query.problem, "solve")
    code = f"```python\n{problem.signature}{problem.solution}```"
    points = ["The function takes the list xs.", f"It returns {problem.phrase}."]
    listed = rng.random() < (0.9 if query.text.startswith("How") else 0.1)
    opening = f"Here is a function for {problem.phrase}.\n\n{code}"
    closing = "Overall, the function is short and simple."
    return _join(
        opening,
        points if listed else [],
        listed,
        closing if rng.random() < (0.1 if "please" in query.text.lower() else 0.9) else "",
    )


def _chat(query: Query, world: World, rng: random.Random) -> str:
    item = rng.choice(TOPICS[query.topic][:2])
    return (
        f"Thank you for your message. {_CHEER[query.mood]} "
        f"We can talk about {query.topic}. Do you like the {item}?"
    )


def _summary(query: Query, world: World, rng: random.Random) -> str:
    assert query.entity is not None
    opening = f"The text is about {query.entity.name}."
    closing = f"Overall, the text tells us about the {query.entity.domain.key}."
    points = [f"The text says: {sentence}" for sentence in query.passage]
    listed = rng.random() < 0.85
    return _join(opening, points, listed, closing if rng.random() < 0.9 else "")


def _rewrite(query: Query, world: World, rng: random.Random) -> str:
    return f"Here is a version that is {query.tone}.\n\n{query.passage[0]} How {query.tone}!"


def _foreign(query: Query, world: World, rng: random.Random) -> str:
    words = query.text.rstrip("?").lower().split()
    tongue = next(t for t in world.tongues if words[0] in t)
    opening = f"{words[0].capitalize()} {words[1]} {tongue[0]}."
    points = [f"{tongue[n].capitalize()} {word}." for n, word in enumerate(words[:3], 1)]
    closing = f"{tongue[4].capitalize()} {tongue[5]} {words[0]}."
    return _join(opening, points, rng.random() < 0.8, closing)


def _invalid(query: Query, world: World, rng: random.Random) -> str:
    return "I am not sure what you mean. Could you please tell me more?"


def _toxic(query: Query, world: World, rng: random.Random) -> str:
    return rng.choice(REFUSALS)


def _word(count: int) -> str:
    return ("two", "three", "four", "five")[count - 2]
