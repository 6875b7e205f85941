import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.corpus.dedup import NO_KEY, as_numbers, bare, first_met, folded, key_of


def turns(*texts):
    roles = ["user", "assistant"] * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def test_folding():
    assert folded("Ｗho  ran\n?") == "who ran ?"
    assert bare("“Who”, ran_fast?!") == "who ran fast"
    assert bare("?!") == "?!"


@pytest.mark.parametrize(
    ("first", "second", "by", "sameness", "same"),
    [
        (turns("A b?", "x"), turns("ａ  B?", "y"), "query", "folded", True),
        (turns("A b?", "x"), turns("ａ  B?", "y"), "query", "exact", False),
        (turns("A b?", "x"), turns("A b?", "y"), "query", "exact", True),
        (turns("A b?", "x"), turns("a B?", "X"), "pair", "folded", True),
        (turns("A b?", "x"), turns("A b?", "y"), "pair", "folded", False),
        (turns("a", "b c"), turns("a b", "c"), "pair", "exact", False),
    ],
)
def test_what_is_the_same(first, second, by, sameness, same):
    keys = [key_of(each, by, sameness) for each in (first, second)]
    assert (keys[0] == keys[1]) is same
    assert NO_KEY not in keys


def test_what_has_no_query_is_no_duplicate_by_query():
    plain = [{"role": "assistant", "content": "text"}]
    assert key_of(plain, "query", "exact") == NO_KEY
    assert key_of(turns(" ", "x"), "query", "exact") == NO_KEY
    assert key_of(plain, "pair", "exact") != NO_KEY
    assert key_of(turns("a", "b"), "none", "exact") == NO_KEY


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_the_first_of_each_is_met_first(rows):
    """Against a dictionary in a loop."""
    keys = [bytes(15) + bytes([number]) for number, _ in rows]
    found = first_met(as_numbers(keys), np.array([part for _, part in rows], bool))
    first: dict[int, int] = {}
    for at, (number, takes_part) in enumerate(rows):
        mine = at
        if takes_part and number:
            mine = first.setdefault(number, at)
        assert found[at] == mine
