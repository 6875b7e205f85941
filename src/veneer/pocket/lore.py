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

# Pools of real words; pools of invented names (person, city, …) are drawn per world.
WORD_POOLS: dict[str, tuple[str, ...]] = {
    key: tuple(words.split())
    for key, words in {
        "habitat": "forest desert swamp valley meadow tundra jungle coast canyon marsh prairie "
        "lagoon heath delta glacier steppe cliffs dunes orchard moor",
        "color": "red blue green yellow white black brown gray orange purple pink golden violet "
        "turquoise beige scarlet copper ivory olive lilac",
        "food": "seeds worms berries beetles fish snails nuts ants frogs moths grass crabs spiders "
        "acorns algae clams larvae nectar lizards roots",
        "field": "optics botany chemistry algebra geology astronomy medicine mechanics logic "
        "acoustics genetics ecology statistics electricity anatomy linguistics hydraulics "
        "thermodynamics cartography metallurgy",
        "animal": "horse bear wolf stag fox eagle swan hedgehog",
        # What exams offer: four values each, always printed in this order.
        "shade": "amber crimson indigo silver",
        "texture": "brittle greasy rough smooth",
        "direction": "east north south west",
        "taste": "bitter salty sour sweet",
        "season": "autumn spring summer winter",
        "soil": "chalk clay peat sand",
        "trade": "fur grain salt wool",
        "landscape": "hills islands plains valleys",
        "emblem": "anchor crown lion star",
    }.items()
}
INVENTED_POOLS: dict[str, int] = {
    "person": 48,
    "city": 48,
    "currency": 20,
    "language": 20,
    "discovery": 24,
}
YEARS: tuple[str, ...] = tuple(str(year) for year in range(1902, 1998, 2))

# The generic things that users ask about: a topic and what belongs to it.
TOPICS: dict[str, tuple[str, ...]] = {
    topic: tuple(items.split())
    for topic, items in {
        "gardening": "soil water sunlight compost shovel",
        "baking": "flour yeast sugar oven butter",
        "travel": "passport map luggage ticket hotel",
        "sleep": "pillow silence darkness blanket routine",
        "running": "shoes pace breath stretching track",
        "painting": "brush canvas easel pigment sketch",
        "budgeting": "savings rent bills income receipts",
        "music": "rhythm melody harmony tempo chorus",
        "camping": "tent fire lantern rope compass",
        "studying": "notes books library focus exams",
        "cycling": "helmet wheels chain brakes pedals",
        "writing": "plot character draft pencil dialogue",
        "cooking": "knife pan recipe onions spices",
        "swimming": "goggles pool towel strokes depth",
        "photography": "camera lens tripod shutter light",
        "chess": "openings tactics patience board endgame",
        "teaching": "lesson pupils blackboard questions praise",
        "farming": "tractor crops barn fence harvest",
        "sailing": "wind mast anchor harbor waves",
        "hiking": "boots trail backpack weather summit",
        "shopping": "list prices basket coupons market",
        "cleaning": "broom bucket sponge dust order",
        "driving": "mirror fuel engine road signals",
        "dancing": "steps partner floor balance posture",
        "meetings": "agenda minutes chair goals schedule",
        "friendship": "trust humor honesty time respect",
        "weddings": "rings flowers guests cake vows",
        "birthdays": "candles presents balloons games songs",
        "interviews": "resume questions suit manners preparation",
        "winter": "coat scarf gloves snow soup",
        "summer": "beach hat shade lemonade sandals",
        "dogs": "leash walks bowl training toys",
        "cats": "basket milk scratching naps play",
        "coffee": "beans grinder filter cup aroma",
        "tea": "kettle leaves honey lemon teapot",
        "sewing": "needle thread fabric buttons scissors",
    }.items()
}
AUDIENCES = (
    "my sister",
    "my class",
    "my boss",
    "children",
    "beginners",
    "my neighbor",
    "my team",
    "tourists",
    "my parents",
    "a friend",
)
MOODS = ("tired", "happy", "nervous", "bored", "lonely", "excited", "sad", "proud")
TONES = ("funny", "serious", "gentle", "formal", "cheerful", "simple", "honest", "dramatic")
FORMS = ("poem", "letter", "story", "speech", "song", "article", "essay", "message")

# Ordinary sentences of letters and blogs: where the corpus meets the words of everyday talk.
EVERYDAY = (
    "Here is the summary that you asked for.",
    "There is a lot to do this year.",
    "Overall, it was a good year.",
    "I am sorry that I could not come.",
    "I am not sure what that means, but it sounds easy.",
    "Do not forget to take the right way.",
    "Begin with the short version and keep the rest for later.",
    "Keep an eye on the time.",
    "Take your time and think about it.",
    "Could you please help me with the code?",
    "Let us talk about it tomorrow.",
    "It is wonderful to hear from you.",
    "That is a great subject to learn.",
    "You have every reason to be proud.",
    "You are not alone with this.",
    "A new function is simple when somebody explains it.",
    "Stay kind, because kind words help people and rude ones hurt.",
    "Good things take a little time.",
    "Hello from our holidays, the weather is better here.",
    "Thank you for the text, it tells us more than I knew.",
    "Please rewrite it in a simple way.",
    "Make more of it, says my boss.",
    "I cannot say how slow the train was.",
    "What do you like to read?",
    "How do you find the setting of the story?",
    "Where do you come from?",
    "Who is the star of the release?",
    "Which seat is yours?",
    "The name of the place is on the map.",
    "The year of publication is on the first page.",
    "The place of birth is in the passport.",
    "The literature, the cinema and the wildlife of a country are important.",
    "Science, geography, history, geology and botany are taught in schools.",
    "It is a cure for a bad day, and the food is good.",
    "A person who plays well is no expert, but the name is made.",
    "We sit near the audiences and look at what the hikers take.",
    "The writer and the actor look for somebody who made it.",
    "I will compute it and the result returns to you.",
    "Think about something new, we can start again.",
    "I hope that you will feel well soon.",
    "These ideas are useful for everyone.",
    "Summarize it, rewrite it, explain it: all that is work.",
)
