import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from veneer.teacher.rouge import Texts, rouge_l, words

SCORER = RougeScorer(["rougeL"], use_stemmer=False)


@functools.lru_cache(maxsize=100_000)
def reference(one, other):
    return SCORER.score(one, other)["rougeL"].fmeasure


few_words = st.lists(
    st.sampled_from(["a", "b", "c", "d", "e", "f", "write", "list", "the", "of"]), max_size=12
).map(" ".join)
any_text = st.text(max_size=40)


@settings(deadline=None)
@given(few_words | any_text, few_words | any_text)
def test_it_is_rouge_scores_f(one, other):
    assert rouge_l(one, other) == pytest.approx(reference(one, other), abs=1e-12)
    assert words(one) == SCORER._tokenizer.tokenize(one)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(few_words, min_size=1, max_size=12),
    few_words,
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]),
)
def test_no_text_that_exceeds_is_passed_over(pool, text, threshold):
    texts = Texts()
    for one in pool:
        texts.add(one)
    scores = [reference(one, text) for one in pool]
    above = [k for k, score in enumerate(scores) if score > threshold]
    found = texts.like(text, threshold)
    assert (None if found is None else found[1]) == (above[0] if above else None)
    best, where = texts.nearest(text)
    assert best == pytest.approx(max(scores), abs=1e-12)
    assert where == (scores.index(max(scores)) if max(scores) else -1)


def test_the_threshold_itself_is_not_above():
    pool = Texts()
    pool.add("one two three four five six seven eight nine ten")
    seven = "one two three four five six seven x y z"
    assert reference("one two three four five six seven eight nine ten", seven) == pytest.approx(
        0.7
    )
    above = reference("one two three four five six seven eight nine ten", seven) > 0.7
    assert (pool.like(seven, 0.7) is not None) == above
    assert pool.like(seven, 0.69) is not None


def test_a_pool_of_thousands_grows_and_finds_each_of_its_own():
    pool = Texts()
    texts = [f"tell me about number {n} and {n * n % 97} in {n % 7} words" for n in range(3000)]
    for text in texts:
        pool.add(text)
    assert pool.count == 3000
    for n in range(0, 3000, 113):
        score, where = pool.nearest(texts[n])
        assert score == 1.0
        assert texts[where] == texts[n]
    assert pool.nearest("日本語") == (0.0, -1)
    assert Texts().nearest("a") == (0.0, -1)
