import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.corpus.categories import (
    PAPER,
    category_of,
    judge_categories,
    parsed_category,
    tag_categories,
)
from veneer.corpus.rows import batch_of
from veneer.models.asking import Reply

DATA = Path(__file__).parents[2].parent / "shared" / "data"

LABELLED = {
    "Generation": [
        "Write a short story about a lighthouse keeper who is afraid of the dark.",
        "Compose a formal letter to the mayor.",
        "Act as an expert in wine and describe this bottle to a guest.",
        "Draft a cover letter for a nurse",
        "7 night itinerary for Crete, by bus",
    ],
    "General QA": [
        "What is the capital of Mongolia?",
        "Explain quantum mechanics to a child",
        "how long do cats live",
        "Why did the Roman empire fall",
        "difference between a sociopath and a psychopath",
        "What is the integral of x^2 cos(2x)?",
    ],
    "Coding": [
        "Write a Python function that reverses a list.",
        "how do i center a div in css",
        "SELECT name FROM users WHERE age > 3;\nthis is slow, why?",
        "What does this do?\n```\nfoo(bar)\n```",
        "Fix the bug in my program, it prints nothing",
        "def main():\n    pass",
    ],
    "Brainstorming": [
        "Give me 10 titles for a romance novel",
        "Suggest some names for my bakery",
        "ideas for a birthday party in winter",
        "Come up with slogans for a juice bar",
    ],
    "Chat": ["Hello!", "hi there, how are you", "tell me a joke", "Are you sentient?", "thanks"],
    "Summarization": [
        "Summarize this article in two sentences: The council met on Monday.",
        "TL;DR of the text below please",
        "give me the key takeaways of the meeting notes",
    ],
    "Rewrite": [
        "Rewrite this sentence: I goes home.",
        "Please correct the grammar of this paragraph. He go to school.",
        "translate to French: good morning",
        "make it sound more professional: hey, where is my stuff",
    ],
    "Invalid": ["", "   ", "...", "test", "Test!", "?!"],
}


def batch(*queries, **columns):
    rows = [{"messages": [{"role": "user", "content": query}]} for query in queries]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return batch_of(rows)


@pytest.mark.parametrize(("category", "query"), [(c, q) for c, qs in LABELLED.items() for q in qs])
def test_labelled_queries(category, query):
    assert category_of(query, "en") == category


def test_the_names_are_those_of_table_5():
    assert set(LABELLED) | {"Non-English"} == set(PAPER)
    assert sum(PAPER.values()) == 99


def test_language_comes_from_its_column_and_unknown_is_taken_for_english():
    rows = batch("Hola, ¿qué tal?", "Hello!", "Hello!", "…", language=["es", "en", "", "es"])
    found = tag_categories(rows)["category"].to_pylist()
    assert found == ["Non-English", "Chat", "Chat", "Invalid"]


def test_a_category_that_is_there_stays_unless_it_is_overwritten():
    rows = batch("Hello!", "Hello!", category=["greeting", ""])
    assert tag_categories(rows)["category"].to_pylist() == ["greeting", "Chat"]
    assert tag_categories(rows, overwrite=True)["category"].to_pylist() == ["Chat", "Chat"]


def test_a_query_that_no_rule_fits_has_no_category():
    assert category_of("Carbon trading operates on a principle of caps. " * 5) == ""


def test_a_pasted_text_between_does_not_decide():
    pasted = "The committee met again and spoke of many matters of little weight. " * 12
    inside = f"{pasted} python javascript {pasted}"
    assert category_of(f"Summarize the minutes.\n{inside}") == "Summarization"
    assert category_of(f"{inside}\nRewrite the above.") == "Rewrite"


@given(st.lists(st.text(max_size=60), max_size=5))
def test_tagging_changes_nothing_else(queries):
    rows = batch(*queries)
    found = tag_categories(rows)
    assert set(found["category"].to_pylist()) <= {*PAPER, ""}
    for name in set(rows.schema.names) - {"category"}:
        assert found.column(name).equals(rows.column(name))


def test_the_rules_on_real_queries_with_their_writers_labels():
    """Labels of a data set with classes of its own: coding is part of its Generation."""
    path = DATA / "queries" / "instructwild_user_1.jsonl"
    if not path.is_file():
        pytest.skip("the shared data is not here")
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    same = {
        "Generation": {"Generation", "Coding"},
        "Open QA": {"General QA"},
        "Summarization": {"Summarization"},
        "Brainstorming": {"Brainstorming"},
    }
    labelled = [row for row in rows if row["instruction_type"] in same]
    hits = [category_of(r["instruction"]) in same[r["instruction_type"]] for r in labelled]
    assert len(hits) == 390
    assert sum(hits) / len(hits) > 0.7


def test_the_distribution_on_real_queries_is_near_the_papers():
    path = DATA / "queries" / "sharegpt_first_turns_2978.jsonl.gz"
    if not path.is_file():
        pytest.skip("the shared data is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line)["conversations"] for line in lines]
    queries = [next((t["value"] for t in row if t["from"] == "human"), "") for row in rows]
    found = Counter(category_of(query) for query in queries)
    assert found[""] / len(queries) < 0.06
    for name in set(PAPER) - {"Non-English"}:  # the set was filtered for English
        assert abs(100 * found[name] / len(queries) - PAPER[name]) < 15, name


# ---- the judge -------------------------------------------------------------------------------


class Script:
    """A model that gives the replies it was written with, and keeps what it was asked."""

    name = "script"

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    def ask(self, asks, *, max_new_tokens, temperature=0.0, seed=0, progress=None):
        assert temperature == 0.0
        self.asked += [each.messages[-1].content for each in asks]
        taken, self.replies = self.replies[: len(asks)], self.replies[len(asks) :]
        return taken


def test_a_judge_settles_what_it_names_and_the_rest_is_counted():
    rows = batch(
        "q one",
        "q two",
        "q three",
        "q four",
        "q five",
        "",
        "q seven",
        category=["", "", "", "", "", "", "given"],
    )
    model = Script(
        Reply("Rewrite"),
        Reply("Coding or Chat"),
        Reply("Gener", "truncated", "cut off after 16 tokens"),
        None,
        Reply("Category: **general qa**."),
    )
    found, unsettled = judge_categories(rows, model)
    assert found["category"].to_pylist() == [
        "Rewrite",
        "",
        "",
        "",
        "General QA",
        "Invalid",
        "given",
    ]
    assert unsettled == {"unparsed": 1, "truncated": 1, "not asked": 1}
    assert len(model.asked) == 5
    assert "q one" in model.asked[0]
    assert all(name in model.asked[0] for name in PAPER)


def test_rejected_rows_are_not_asked_and_overwriting_asks_again():
    rows = batch("a?", "b?", category=["", "Chat"], reason=["met before", ""])
    model = Script(Reply("Coding"))
    found, unsettled = judge_categories(rows, model, overwrite=True)
    assert found["category"].to_pylist() == ["", "Coding"]
    assert not unsettled
    assert len(model.asked) == 1


def test_a_query_with_braces_and_a_long_one_reach_the_judge():
    model = Script(Reply("Coding"), Reply("Coding"))
    judge_categories(batch("{x} {0}", "start " + "x" * 9000 + " end"), model)
    assert "{x} {0}" in model.asked[0]
    assert "start" in model.asked[1]
    assert " end" in model.asked[1]
    assert len(model.asked[1]) < 6000


@pytest.mark.parametrize("name", PAPER)
def test_an_answer_is_parsed_strictly(name):
    for text in (name, f" {name}.\n", name.upper(), f"Category: {name}", f'"{name}"'):
        assert parsed_category(text) == name
    for text in (f"{name} or not", f"It is {name}", f"{name}\n{name}", "", name[:-1]):
        assert parsed_category(text) == ""
