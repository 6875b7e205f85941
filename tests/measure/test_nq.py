import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.measure.nq import HEADER, exact_match, first_line, normalise, prompt, shorter


def squad(s):
    """`normalize_answer` of SQuAD's evaluate-v1.1.py, as published."""

    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return " ".join(remove_articles(remove_punc(s.lower())).split())


@given(
    st.text()
    | st.lists(st.sampled_from(["The", "a ", "an.", " U.S.", "theatre", "-", "4,"])).map("".join)
)
def test_normalisation_is_squads(text):
    assert normalise(text) == squad(text)


@pytest.mark.parametrize(
    ("said", "golds", "score"),
    [
        ("The Beatles", ["beatles"], 1.0),
        ("July 4, 1776", ["July 4 1776"], 1.0),
        ("U.S.", ["US", "America"], 1.0),
        ("Paris, France", ["Paris"], 0.0),
        ("", ["the"], 1.0),
    ],
)
def test_exact_match(said, golds, score):
    assert exact_match(said, golds) == score


def test_first_line():
    assert first_line("\n\n  Paris \nIt is in France") == "Paris"
    assert first_line(" \n ") == ""


def test_worked_examples_are_dropped_from_the_end():
    doc = {"question": "who is fox"}
    shots = ["Q: what is 0?\nA: a0\n\n", "Q: how\n\nQ is it?\nA: Q: no\n\n", "Q: why?\nA: so\n\n"]
    text = HEADER + "".join(shots) + prompt(doc)
    for left in (2, 1, 0):
        text = shorter(doc, text)
        assert text == HEADER + "".join(shots[:left]) + prompt(doc)
    assert shorter(doc, text) is None


def test_nq_open_dev(data):
    lines = (data / "benchmarks" / "nq_open" / "NQ-open.dev.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 3610
    assert all(exact_match(row["answer"][0], row["answer"]) for row in rows)
    assert all(exact_match(f"The {row['answer'][-1].upper()}.", row["answer"]) for row in rows)
    assert sum(exact_match("", row["answer"]) for row in rows) == 4
