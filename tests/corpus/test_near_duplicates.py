import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.near_duplicates import (
    BANDS,
    ROWS,
    Shingles,
    compared,
    jaccard,
    joined,
    missed,
    near_duplicates,
    shingled,
    signatures,
)
from veneer.errors import InputError


def sets_of(texts, width=5):
    """Shingles as Python sets of strings, the slow way."""
    found = []
    for text in texts:
        text = compared(text)
        found.append({text[i : i + width] for i in range(max(1, len(text) - width + 1))} - {""})
    return found


def similarity(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


def brute_force(texts, threshold, width=5):
    sets, first = sets_of(texts, width), []
    for i, each in enumerate(sets):
        earlier = (
            j for j in range(i) if first[j] < 0 and each and similarity(each, sets[j]) >= threshold
        )
        first.append(next(earlier, -1))
    return first


def found(texts, threshold=0.8, width=5):
    shingles = shingled(texts, width)
    return near_duplicates(signatures(shingles), shingles, threshold).tolist()


def sentences(count, seed):
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(3000)]
    return [" ".join(rng.choices(words, k=rng.randint(8, 40))) for _ in range(count)]


@given(st.lists(st.text("ab c,Ä", max_size=14), max_size=9), st.integers(1, 6))
@settings(deadline=None)
def test_shingles_and_their_similarity_are_those_of_python_sets(texts, width):
    shingles, sets = shingled(texts, width), sets_of(texts, width)
    assert np.diff(shingles.offsets).tolist() == [len(each) for each in sets]
    for i, j in itertools.combinations(range(len(texts)), 2):
        assert jaccard(shingles, i, j) == similarity(sets[i], sets[j])


@given(st.lists(st.text("abc ", max_size=12), max_size=12), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
@settings(deadline=None)
def test_whatever_is_found_is_a_near_duplicate_of_a_kept_row_before_it(texts, threshold):
    sets, first = sets_of(texts), found(texts, threshold)
    for i, j in enumerate(first):
        if j >= 0:
            assert j < i
            assert first[j] == -1
            assert similarity(sets[i], sets[j]) >= threshold


def test_planted_near_duplicates_are_found_as_by_brute_force():
    rng = random.Random(1)
    texts = sentences(150, seed=0)
    for text in texts[:100]:
        words = text.split()
        words[rng.randrange(len(words))] = "changed"
        texts.append(" ".join(words))
    rng.shuffle(texts)
    expected = brute_force(texts, 0.8)
    assert sum(j >= 0 for j in expected) > 40
    assert found(texts) == expected


def test_the_share_of_missed_pairs_is_that_of_the_formula():
    """Sets of a known similarity, 2 bands of 8, where one pair in several is missed."""
    rng, pairs, overlap = np.random.default_rng(0), 1500, 160
    sets = []
    for _ in range(pairs):
        drawn = rng.integers(0, 2**64, size=200, dtype=np.uint64)
        sets += [np.sort(drawn[: 100 + overlap // 2]), np.sort(drawn[100 - overlap // 2 :])]
    offsets = np.cumsum([0] + [len(each) for each in sets]).astype(np.int64)
    shingles = Shingles(offsets, np.concatenate(sets))
    assert jaccard(shingles, 0, 1) == overlap / 200
    first = near_duplicates(signatures(shingles, 2, 8), shingles, 0.8, rows=8)
    expected = (1 - 0.8**8) ** 2
    share = np.mean(first[1::2] < 0)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)
    assert missed(0.8, 2, 8) == expected
    assert missed(0.8, BANDS, ROWS) < 1e-4


def test_signatures_agree_as_often_as_sets_overlap():
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 2**64, size=400, dtype=np.uint64)
    values = np.concatenate([np.sort(drawn[:300]), np.sort(drawn[100:])])
    shingles = Shingles(np.array([0, 300, 600]), values)
    first, second = signatures(shingles, 400, 5)
    assert abs(np.mean(first == second) - 0.5) < 0.05


def test_the_first_is_kept_and_a_row_that_is_out_takes_nothing_with_it():
    base = "abcdefghijklmnopqrstuvwxyz0123456789"
    chain = [base, base + "+ABCD!", base + "+ABCD-EFGH"]
    sets = sets_of(chain)
    assert similarity(sets[0], sets[1]) >= 0.8
    assert similarity(sets[1], sets[2]) >= 0.8
    assert similarity(sets[0], sets[2]) < 0.8
    assert found(chain) == [-1, 0, -1]
    assert found([chain[2], chain[1], chain[0]]) == [-1, 0, -1]
    assert found([base] * 5) == [-1, 0, 0, 0, 0]


def test_case_width_and_punctuation_do_not_count_and_nothing_is_like_nothing():
    texts = [
        "Hi!",
        "hi",
        "",
        "…",
        "¿?",
        "ＨＩ",
        "我的写作能力怎么提高呢",
        "我的写作能力怎么提高呢？",
        "it",
    ]
    assert found(texts) == [-1, 0, -1, -1, -1, 0, -1, 6, -1]


def test_batches_together_are_as_one_and_a_run_is_as_another():
    texts = sentences(60, seed=2) + sentences(30, seed=2)
    whole = shingled(texts)
    parts = [shingled(texts[i : i + 7]) for i in range(0, len(texts), 7)]
    together = joined(parts)
    assert together.offsets.tolist() == whole.offsets.tolist()
    assert together.values.tolist() == whole.values.tolist()
    stacked = np.vstack([signatures(part) for part in parts])
    assert (stacked == signatures(whole)).all()
    assert near_duplicates(stacked, together).tolist() == found(texts) == found(texts)
    assert len(joined([])) == 0
    assert found([]) == []


def test_rows_of_one_template_end_as_brute_force_says():
    texts = [
        f"who won the {year} final of the national cup in {city}"
        for year in range(1900, 1960)
        for city in ("Oslo", "Rome", "Lima", "Cairo")
    ]
    assert found(texts) == brute_force(texts, 0.8)


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_an_impossible_threshold_is_refused(threshold):
    with pytest.raises(InputError, match="threshold"):
        found(["a"], threshold)


def test_impossible_shingles_and_bands_are_refused():
    with pytest.raises(InputError):
        shingled(["a"], 0)
    with pytest.raises(InputError):
        signatures(shingled(["a"]), 0)
    with pytest.raises(ValueError, match="different"):
        near_duplicates(signatures(shingled(["a"])), shingled(["a", "b"]))
