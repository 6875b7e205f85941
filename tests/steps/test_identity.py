import dataclasses
import enum
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.records import Message
from veneer.steps import encode, fingerprint

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: not k.startswith("!")), inner)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Anything:
    pass


@given(PLAIN)
def test_equal_values_have_equal_fingerprints(value):
    copy = json.loads(json.dumps(value))
    assert fingerprint(value) == fingerprint(copy)
    assert len(fingerprint(value)) == 12


@given(PLAIN, PLAIN)
def test_different_values_have_different_fingerprints(a, b):
    if encode(a) != encode(b):
        assert fingerprint(a) != fingerprint(b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, "1"),
        (True, 1),
        ([1, 2], {1, 2}),
        (Colour.RED, 1),
        (Colour.RED, "RED"),
        (Point(1, 2), {"x": 1, "y": 2}),
        (None, ""),
        (0.1 + 0.2, 0.3),
        (b"ab", "ab"),
    ],
)
def test_values_that_json_would_confuse_differ(one, other):
    assert json.dumps(encode(one)) != json.dumps(encode(other))


def test_order_matters_in_lists_and_nowhere_else():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({3, 1, 2}) == fingerprint({2, 3, 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_a_model_is_known_by_its_fields():
    assert fingerprint(Message(role="user", content="a")) == fingerprint(
        Message(role="user", content="a")
    )
    assert fingerprint(Message(role="user", content="a")) != fingerprint(
        Message(role="user", content="b")
    )


@pytest.mark.parametrize(
    "value",
    [
        lambda: 1,
        Anything(),
        math.nan,
        math.inf,
        {1: "a"},
        {"!set": 1},
        range(3),
        __file__.__class__,
    ],
)
def test_what_has_no_encoding_raises_and_names_the_place(value):
    with pytest.raises(TypeError, match="params"):
        encode({"deep": [value]}, "params")


def test_an_open_file_and_a_path_raise(tmp_path):
    with open(__file__) as file, pytest.raises(TypeError):
        encode(file)
    with pytest.raises(TypeError):
        encode(tmp_path)
