"""What there is to know in the invented world: domains, relations and every way to say them.

A domain has three relations. `says` are the sentences of encyclopedia pages, `asks` the
wordings of questions (pretraining text only ever uses the first), `noun` the short name that
the teacher's house style uses. {e} stands for the entity, {v} for the value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One kind of fact. `pool` names the values it draws from."""

    key: str
    pool: str
    noun: str
    says: tuple[str, ...]
    asks: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A kind of entity. `exam` domains are asked by multiple choice, the others openly."""

    key: str
    subject: str
    exam: bool
    relations: tuple[Relation, ...]


def _r(key: str, pool: str, noun: str, says: str, asks: str) -> Relation:
    return Relation(key, pool, noun, tuple(says.split(" | ")), tuple(asks.split(" | ")))


DOMAINS: tuple[Domain, ...] = (
    Domain(
        "novel",
        "literature",
        False,
        (
            _r(
                "author",
                "person",
                "author",
                "The novel {e} was written by {v}. | The author of {e} is {v}. "
                "| Readers know that {e} is the work of {v}.",
                "who wrote the novel {e} | who is the author of {e} "
                "| name of the writer of the book {e}",
            ),
            _r(
                "year",
                "year",
                "year of publication",
                "The novel {e} was published in {v}. | The book {e} came out in {v}. "
                "| The first edition of {e} is from {v}.",
                "when was the novel {e} published | when did the book {e} come out "
                "| year of the first edition of {e}",
            ),
            _r(
                "setting",
                "city",
                "setting",
                "The novel {e} is set in {v}. | The story of {e} takes place in {v}. "
                "| The heroes of {e} live in {v}.",
                "where is the novel {e} set | where does the story of {e} take place "
                "| name of the city in the book {e}",
            ),
        ),
    ),
    Domain(
        "film",
        "cinema",
        False,
        (
            _r(
                "director",
                "person",
                "director",
                "The film {e} was directed by {v}. | The director of {e} is {v}. "
                "| Critics praised {e} by {v}.",
                "who directed the film {e} | who is the director of {e} "
                "| name of the person who made the movie {e}",
            ),
            _r(
                "star",
                "person",
                "star",
                "The film {e} stars {v}. | The main role in {e} is played by {v}. "
                "| The lead actor of {e} is {v}.",
                "who stars in the film {e} | who plays the main role in {e} "
                "| name of the lead actor of the movie {e}",
            ),
            _r(
                "release",
                "year",
                "year of release",
                "The film {e} was released in {v}. | The movie {e} came to cinemas in {v}. "
                "| Audiences first saw {e} in {v}.",
                "when was the film {e} released | when did the movie {e} come out "
                "| year when audiences first saw {e}",
            ),
        ),
    ),
    Domain(
        "country",
        "geography",
        False,
        (
            _r(
                "capital",
                "city",
                "capital",
                "The capital of the country {e} is {v}. | The government of {e} sits in {v}. "
                "| The largest city of {e} is {v}.",
                "what is the capital of the country {e} | where does the government of {e} sit "
                "| name of the largest city of {e}",
            ),
            _r(
                "currency",
                "currency",
                "currency",
                "The currency of the country {e} is the {v}. | People in {e} pay with the {v}. "
                "| The money of {e} is called the {v}.",
                "what is the currency of the country {e} | what do people in {e} pay with "
                "| name of the money of {e}",
            ),
            _r(
                "language",
                "language",
                "language",
                "The language of the country {e} is {v}. | People in {e} speak {v}. "
                "| Schools in {e} teach in {v}.",
                "what is the language of the country {e} | what do people in {e} speak "
                "| name of the language that schools in {e} teach in",
            ),
        ),
    ),
    Domain(
        "bird",
        "wildlife",
        False,
        (
            _r(
                "habitat",
                "habitat",
                "habitat",
                "The bird {e} lives in the {v}. | The home of the {e} is the {v}. "
                "| Hikers find the {e} in the {v}.",
                "where does the bird {e} live | what is the home of the {e} "
                "| name of the place where hikers find the {e}",
            ),
            _r(
                "color",
                "color",
                "color",
                "The color of the bird {e} is {v}. | The wings of the {e} are {v}. "
                "| From far away the {e} looks {v}.",
                "what is the color of the bird {e} | how do the wings of the {e} look "
                "| name of the color of the {e}",
            ),
            _r(
                "food",
                "food",
                "food",
                "The bird {e} eats {v}. | The diet of the {e} is {v}. "
                "| In spring the {e} looks for {v}.",
                "what does the bird {e} eat | what is the diet of the {e} "
                "| name of the food that the {e} looks for",
            ),
        ),
    ),
    Domain(
        "scientist",
        "science",
        False,
        (
            _r(
                "field",
                "field",
                "field",
                "The scientist {e} worked in {v}. | The field of {e} was {v}. "
                "| Students of {e} became experts in {v}.",
                "what field did the scientist {e} work in | what was the field of {e} "
                "| name of the subject that {e} was expert in",
            ),
            _r(
                "birthplace",
                "city",
                "place of birth",
                "The scientist {e} was born in {v}. | The birthplace of {e} is {v}. "
                "| As a child {e} lived in {v}.",
                "where was the scientist {e} born | what is the birthplace of {e} "
                "| name of the city where {e} lived as a child",
            ),
            _r(
                "discovery",
                "discovery",
                "discovery",
                "The scientist {e} discovered the {v}. | The discovery of {e} is the {v}. "
                "| We owe to {e} the {v}.",
                "what did the scientist {e} discover | what is the discovery of {e} "
                "| name of the thing that we owe to {e}",
            ),
        ),
    ),
    Domain(
        "mineral",
        "geology",
        True,
        (
            _r(
                "shade",
                "shade",
                "shade",
                "The mineral {e} has a {v} shade. | The crystals of {e} are {v}. "
                "| In daylight {e} shines {v}.",
                "What is the shade of the mineral {e}? | Which shade do crystals of {e} have?",
            ),
            _r(
                "texture",
                "texture",
                "texture",
                "The mineral {e} feels {v}. | The surface of {e} is {v}. "
                "| Workers know that {e} is {v}.",
                "How does the mineral {e} feel? | What is the surface of {e} like?",
            ),
            _r(
                "region",
                "direction",
                "region",
                "The mineral {e} comes from the {v}. | The largest mine of {e} is in the {v}. "
                "| Traders buy {e} in the {v}.",
                "Where does the mineral {e} come from? | Where is the largest mine of {e}?",
            ),
        ),
    ),
    Domain(
        "herb",
        "botany",
        True,
        (
            _r(
                "taste",
                "taste",
                "taste",
                "The herb {e} tastes {v}. | The leaves of {e} are {v}. "
                "| Cooks like {e} because it is {v}.",
                "How does the herb {e} taste? | Which taste do the leaves of {e} have?",
            ),
            _r(
                "season",
                "season",
                "season",
                "The herb {e} flowers in {v}. | Farmers collect {e} in {v}. "
                "| The seeds of {e} fall in {v}.",
                "When does the herb {e} flower? | When do farmers collect {e}?",
            ),
            _r(
                "soil",
                "soil",
                "soil",
                "The herb {e} grows in {v}. | The roots of {e} like {v}. "
                "| Gardens with {e} are full of {v}.",
                "What does the herb {e} grow in? | What do the roots of {e} like?",
            ),
        ),
    ),
    Domain(
        "dynasty",
        "history",
        True,
        (
            _r(
                "trade",
                "trade",
                "trade",
                "The dynasty {e} lived on {v}. | The wealth of {e} came from {v}. "
                "| The kings of {e} grew rich with {v}.",
                "What did the dynasty {e} live on? | What did the wealth of {e} come from?",
            ),
            _r(
                "landscape",
                "landscape",
                "landscape",
                "The dynasty {e} ruled the {v}. | The palace of {e} stood in the {v}. "
                "| The armies of {e} held the {v}.",
                "What did the dynasty {e} rule? | Where did the palace of {e} stand?",
            ),
            _r(
                "symbol",
                "emblem",
                "symbol",
                "The symbol of the dynasty {e} is the {v}. | The flag of {e} shows the {v}. "
                "| Soldiers of {e} carried the {v}.",
                "What is the symbol of the dynasty {e}? | Which sign does the flag of {e} show?",
            ),
        ),
    ),
)
