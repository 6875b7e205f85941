"""A packet of plain texts that looks like a real study, for pictures and browser tests."""

from pathlib import Path

from packets import STUDENT, TEACHER

from veneer.raters.packet import Packet, write_packet
from veneer.records import PacketFacts, PairKey, RatedPair, Subject

TEXTS = [
    (
        "I have half an hour every morning. Suggest a simple routine that helps me wake up.",
        """Here is a calm half hour:

1. **Drink a glass of water** as soon as you are up.
2. **Open the window** and breathe slowly for two minutes.
3. **Stretch** your neck, shoulders and legs (10 minutes).
4. **Walk** around the block, without your phone (15 minutes).

Keep the order the same every day: after a week you will do it without thinking.""",
        """A morning routine is very important for your health and it can help you wake up. There are
many things you can do in half an hour:

- Wake up early
- Drink coffee
- Do some exercise
- Eat a good breakfast
- Read the news
- Plan your day

In summary, a morning routine is important, and everyone should find the one that works best for
them.""",
    ),
    (
        "Which of these three cities is best to visit in March: Oslo, Lisbon or Athens? Compare them.",
        """| City | Usual high in March | Rain | Good for |
|---|---|---|---|
| Oslo | 4 °C | some snow | skiing close by |
| Lisbon | 18 °C | a few showers | long walks, the coast |
| Athens | 17 °C | rare | ruins without the crowds |

**Lisbon or Athens.** Choose Athens if you came for the ruins, Lisbon if you want the sea.""",
        """All three cities are beautiful. Oslo is the capital of Norway, Lisbon is the capital of
Portugal and Athens is the capital of Greece. In March the weather in Oslo is cold, while it is
warmer in Lisbon and Athens. It depends on what you like.""",
    ),
    (
        "How do I rename many files at once so that spaces become dashes?",
        """In a terminal, inside the folder:

```sh
for file in *\\ *; do
  mv -n -- "$file" "${file// /-}"
done
```

`-n` never overwrites a file that is already there.""",
        """You can use the `rename` command. For example `rename 's/ /-/g' *`. It changes all spaces to
dashes in all of the names.

> Not every system has this command.""",
    ),
    (
        "Explain in two sentences why the sky is blue.",
        """Sunlight is a mix of colours, and the air scatters blue light far more than red. So blue
reaches your eyes from every direction of the sky.""",
        """The sky is blue because it reflects the colour of the sea.""",
    ),
]
"""Prompt, output 1, output 2: our own words, with a list, a table, code and a quotation."""


def picture_packet(folder: Path, *, pairs: int = 24, gold: int = 4, ratings: int = 3) -> Packet:
    """A packet whose pages look like those of a real study, in `folder`, which it makes."""
    rows, keys = [], []
    for n in range(pairs + gold):
        prompt, one, two = TEXTS[n % len(TEXTS)]
        if n >= len(TEXTS):
            prompt = f"{prompt} (variant {n // len(TEXTS)})"
        item = f"{(n * 2654435761 + 777) % 16**10:010x}"
        rows.append(RatedPair(item=item, prompt=prompt, output_1=one, output_2=two))
        first, second = (STUDENT, TEACHER) if n % 2 else (TEACHER, STUDENT)
        keys.append(PairKey(item=item, first=first, second=second, gold=1 if n >= pairs else None))
    facts = PacketFacts(
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
    return write_packet(folder, facts, rows, keys, [])
