import collections
import enum
import math
import os
import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.measure.sandbox.plain import (
    EndedError,
    NotPlainError,
    decode,
    encode,
    receive,
    send,
)

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(1 << 50, 1 << 5000)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
)
HASHABLE = st.recursive(
    ATOMS, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=8
)
PLAIN = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=12,
)


def through(value):
    """A value as the other process receives it."""
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: (send(into, encode(value), 1 << 20), os.close(into)))
    writer.start()
    try:
        return decode(receive(out, 1 << 20))
    finally:
        writer.join()
        os.close(out)


def typed(value):
    """A value with the types of all it holds, as text."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, repr(sorted((typed(k), typed(v)) for k, v in value.items()))
    if isinstance(value, (set, frozenset)):
        return kind, repr(sorted(map(typed, value)))
    if isinstance(value, (list, tuple)):
        return kind, repr([typed(one) for one in value])
    return kind, hex(value) if isinstance(value, int) else repr(value)


@settings(max_examples=60)
@given(PLAIN)
def test_plain_data_arrives_as_it_was(value):
    assert typed(through(value)) == typed(value)


def test_numbers_that_are_none_and_signs_of_zero():
    assert math.isnan(through(math.nan))
    assert through([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert math.copysign(1, through(-0.0)) == -1
    assert through(7**60000) == 7**60000  # more digits than int() reads in decimal


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.namedtuple("P", "x y")(1, 2), (1, 2)),
        (Colour.RED, 1),
        (Word("no"), "no"),
        ({"a": 1}.keys(), {"a"}),
        ({"a": 1}.items(), {("a", 1)}),
        (bytearray(b"x"), b"x"),
        (range(2, 9, 3), range(2, 9, 3)),
    ],
)
def test_what_equals_plain_data_goes_as_plain_data(value, arrives):
    got = through(value)
    assert type(got) is type(arrives)
    assert got == arrives


def test_an_iterator_stays_one():
    """As in one process: equal to no list, but a test may list it."""
    got = through(n * n for n in range(3))
    assert got != [0, 1, 4]
    assert list(got) == [0, 1, 4]


@pytest.mark.parametrize("value", [object(), len, Fraction(1, 2), collections.deque(), {1: [max]}])
def test_other_objects_are_refused_by_name(value):
    with pytest.raises(NotPlainError, match="which is not plain data"):
        encode(value)


@pytest.mark.parametrize(
    "node",
    [
        [],
        ["x"],
        ["x", 1],
        {},
        ["l", {}],
        ["i"],
        ["i", "zz"],
        ["i", 3],
        ["c", 1],
        ["b", "q"],
        ["d", 1],
        ["d", ["l"], 1],
        ["s", ["l"]],
        ["r", 1, 2, 0],
        ["r", "a"],
        [["l"]],
        [None],
    ],
    ids=repr,
)
def test_what_encode_never_makes_is_refused(node):
    with pytest.raises(NotPlainError):
        decode(node)


def test_depth_and_size_are_limited():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(NotPlainError, match="nested too deeply"):
        encode(deep)
    node = ["l"]
    for _ in range(5000):
        node = ["l", node]
    with pytest.raises(NotPlainError):
        decode(node)
    out, into = os.pipe()
    with pytest.raises(NotPlainError, match="more than 100 bytes"):
        send(into, "x" * 100, 100)
    os.write(into, (101).to_bytes(4, "big"))
    with pytest.raises(NotPlainError, match="more than 100 bytes"):
        receive(out, 100)
    os.write(into, b"\0\0\0\5[[[")
    os.close(into)
    with pytest.raises(EndedError):
        receive(out, 100)
    os.close(out)
