"""The words of the invented world that are not its names: values, topics, everyday sentences."""

from __future__ import annotations

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
