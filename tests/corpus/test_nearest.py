"""Nearest BLEU against sacrebleu, pair by pair."""

import subprocess
import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from veneer.corpus.nearest import above, nearest_bleu, sample_of, unique_queries
from veneer.corpus.nearest.kernel import _bound, _cut_of, _score
from veneer.corpus.nearest.tokens import tokenised, words
from veneer.errors import InputError

PIECES = [
    *"ab015.,-'\"/(&;:@[`{~_^\\ \n\t",
    "the", " the ", " of the ", " of", ".,", "..5", "5...6", "3.5-", "--", "-\n", "&quot;", "&amp;lt;",
    "&lt;", "&gt;", "<skipped>", "\x85", "\x1c", "\r", "\u2028", "\u3000", "\xa0", "é", "e\u0301", "٣",
    "。", "中", "🙂", "\x00", "\ud800",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=12)
common = ["the", "a", "of", "cat", "dog", "sat", "on", ",", ".", "7"]
sentences = st.lists(st.sampled_from(common), max_size=9).map(" ".join)
some = st.lists(texts | sentences, max_size=7)


def scores(queries, against):
    """BLEU of every pair by sacrebleu, shape (queries, references)."""
    return np.array(
        [[sacrebleu.sentence_bleu(q, [r]).score for r in against] for q in queries]
    ).reshape(len(queries), len(against))


def check(queries, against, found):
    table = scores(queries, queries if against is None else against)
    if against is None:
        np.fill_diagonal(table, -1)
    for q, row in enumerate(table):
        if not words(queries[q]) or row.max(initial=-1) < 0:
            assert (found.bleu[q], found.index[q]) == (0, -1)
            continue
        assert found.bleu[q] == pytest.approx(row.max(), abs=1e-9)
        assert found.index[q] == np.flatnonzero(row >= row.max() - 1e-9)[0]


@settings(max_examples=400, deadline=None)
@given(texts)
@example(" a...5-3.,--2.x&amp;quot;.5,")
def test_tokens_are_those_of_sacrebleu(text):
    wanted = Tokenizer13a()(text.rstrip()).split()
    assert words(text) == wanted


@settings(max_examples=60, deadline=None)
@given(some)
def test_token_ids_are_equal_where_tokens_are(given_texts):
    ids, starts, used = tokenised(given_texts)
    wanted = [words(text) for text in given_texts]
    flat = [token for tokens in wanted for token in tokens]
    numbers = {token: i for i, token in enumerate(dict.fromkeys(flat))}
    assert ids.tolist() == [numbers[token] for token in flat]
    assert np.diff(starts).tolist() == [len(tokens) for tokens in wanted]
    assert used == len(numbers)


def test_a_large_vocabulary_keeps_its_ids():
    tokens = [f"w{i * i}" for i in range(30_000)]
    given_texts = [" ".join(tokens[i : i + 100]) for i in range(0, 30_000, 50)]
    ids, _, used = tokenised(given_texts)
    flat = [token for text in given_texts for token in text.split()]
    numbers = {token: i for i, token in enumerate(dict.fromkeys(flat))}
    assert ids.tolist() == [numbers[token] for token in flat]
    assert used == 30_000


@settings(max_examples=150, deadline=None)
@given(some)
@example(["a b c d", "a b c d", "", "a b", "a b c d"])
@example(["one"])
@example(["x", "y", "z"])
@example(["the", "the " * 40, "the cat"])
def test_nearest_other_query(queries):
    check(queries, None, nearest_bleu(queries))


@settings(max_examples=150, deadline=None)
@given(some, some)
@example(["a", "a b", "a b c"], ["c b a", "a b", "b a", "a b"])
@example(["a"], [])
@example(["the"], ["x " * 500 + "the"])
def test_nearest_reference(queries, against):
    check(queries, against, nearest_bleu(queries, against))


def check_above(queries, against, threshold):
    table = scores(queries, queries if against is None else against)
    if against is None:
        np.fill_diagonal(table, -1)
    found = above(queries, against, threshold)
    got = dict(zip(zip(found.query, found.reference, strict=True), found.bleu, strict=True))
    assert len(got) == len(found.bleu)
    assert list(got) == sorted(got)
    for place in np.ndindex(table.shape):
        if table[place] > threshold + 1e-9:
            assert got[place] == pytest.approx(table[place], abs=1e-9)
        elif table[place] < threshold - 1e-9:
            assert place not in got


@settings(max_examples=100, deadline=None)
@given(some, some | st.none(), st.floats(0, 100) | st.sampled_from([0.0, 50.0, 100.0]))
@example(["a b c d", "a b c d", "a b c"], None, 50.0)
@example(["a b", "b a"], ["a c", "b"], 0.0)
def test_all_pairs_above_a_threshold(queries, against, threshold):
    check_above(queries, against, threshold)


def test_longer_texts_that_share_phrases():
    draw = np.random.default_rng(5)
    vocabulary = np.array([f"w{i}" for i in range(60)] + ["the", "of", ".", ","] * 5)
    phrases = [draw.choice(vocabulary, draw.integers(1, 12)) for _ in range(25)]
    queries = [
        " ".join(np.concatenate([phrases[i] for i in draw.integers(0, 25, draw.integers(1, 6))]))
        for _ in range(70)
    ]
    check(queries, None, nearest_bleu(queries))
    check(queries[:30], queries[30:], nearest_bleu(queries[:30], queries[30:]))
    check_above(queries, None, 30.0)


counts = st.tuples(*[st.integers(0, 12)] * 4)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), st.integers(1, 30), counts, counts)
def test_the_bound_is_bleu_at_exact_counts_and_never_less_at_higher_ones(length, size, one, other):
    logs = np.log(np.maximum(np.arange(20), 1))
    totals = [max(0, length - n) for n in range(4)]

    def possible(given_counts):
        """Counts that a pair of texts can have: none without its parts, none beyond a total."""
        found, before = [], True
        for count, total in zip(given_counts, totals, strict=True):
            found.append(min(count, total) if before else 0)
            before = before and found[-1] > 0
        return found

    lower, upper = possible(np.minimum(one, other)), possible(np.maximum(one, other))
    if not lower[0]:
        return
    orders = min(4, length)
    below, above_it = (_bound(logs, length, size, *each) for each in (lower, upper))
    assert below <= above_it + 1e-12
    bleu = BLEU.compute_bleu(
        lower, totals, length, size, smooth_method="exp", effective_order=True
    ).score
    constant = sum(np.log(totals[:orders]))
    assert 100 * np.exp((below - constant) / orders) == pytest.approx(bleu, rel=1e-12, abs=1e-300)
    assert _score(length, size, *lower) == pytest.approx(bleu, abs=1e-9)
    assert _cut_of(bleu, length, logs) <= above_it


def test_threads_and_blocks_change_nothing():
    draw = np.random.default_rng(6)
    queries = [" ".join(draw.choice(list("abcdefgh"), draw.integers(0, 15))) for _ in range(1500)]
    one = nearest_bleu(queries, threads=1)
    seen = []
    three = nearest_bleu(queries, threads=3, progress=lambda done, n: seen.append((done, n)))
    assert np.array_equal(one.bleu, three.bleu)
    assert np.array_equal(one.index, three.index)
    assert seen == sorted(seen)
    assert seen[0] == (0, 1500)
    assert seen[-1] == (1500, 1500)
    assert len(seen) > 2
    pairs = above(queries, None, 60, threads=3)
    assert np.array_equal(np.unique(pairs.query), np.flatnonzero(one.bleu > 60))


def test_a_threshold_outside_of_bleu_is_refused():
    with pytest.raises(InputError, match="no BLEU"):
        above(["a"], None, 120)


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(InputError, match="0 threads"):
        nearest_bleu(["a", "b"], threads=0)


def test_a_text_beyond_the_counters_is_refused():
    with pytest.raises(InputError, match="2,097,152 tokens"):
        nearest_bleu(["." * 2_097_152, "a"])


def test_unique_queries_and_the_sample():
    assert unique_queries(["b", "", "a", "b"]) == ["b", "a"]
    # SHA-1: a 86f7..., b e9d7..., c 84a5...
    assert sample_of(["a", "b", "c"], 2) == ["c", "a"]


def test_the_kernel_runs_where_nothing_can_be_cached(tmp_path):
    """A read-only installation and home: compiled in the process, no error."""
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from veneer.corpus.nearest.compiled import compiled\n"
        "print(compiled(lambda x: x + 1)(41))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "42"
