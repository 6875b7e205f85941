"""Decontamination against sacrebleu on small texts."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.decontaminate import (
    LEAKS,
    THRESHOLD,
    contaminated,
    decontaminated,
    leaking,
    overlap,
)
from veneer.corpus.rows import batch_of, dropped
from veneer.errors import InputError

words = st.sampled_from(["what", "is", "the", "capital", "of", "France", "?", "Spain", "a", "cat"])
texts = st.lists(st.lists(words, max_size=8).map(" ".join), max_size=8)


def table(evaluation, training):
    return np.array(
        [[sacrebleu.sentence_bleu(e, [t]).score for t in training] for e in evaluation]
    ).reshape(len(evaluation), len(training))


def test_the_threshold_is_the_papers():
    assert THRESHOLD == 20


@settings(max_examples=60, deadline=None)
@given(texts, texts, st.sampled_from([0.0, 20.0, 45.5, 99.0]))
def test_without_the_leaking_ones_nothing_is_above(evaluation, training, threshold):
    wanted = table(evaluation, training)
    leaks = leaking(evaluation, training, threshold)
    assert [leak.training for leak in leaks] == np.flatnonzero(
        (wanted > threshold).any(axis=0)
    ).tolist()
    for leak in leaks:
        column = wanted[:, leak.training]
        assert leak.bleu == pytest.approx(column.max(), abs=1e-9)
        assert wanted[leak.query, leak.training] == pytest.approx(leak.bleu, abs=1e-9)
    gone = {leak.training for leak in leaks}
    left = [text for place, text in enumerate(training) if place not in gone]
    assert contaminated(overlap(evaluation, left), threshold) == []


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_overlap_names_the_nearest(evaluation, training):
    wanted = table(evaluation, training)
    rows = overlap(evaluation, training)
    assert [row.query for row in rows] == list(range(len(evaluation)))
    for row in rows:
        best = wanted[row.query].max(initial=0)
        assert row.bleu == pytest.approx(best, abs=1e-9)
        assert row.identical == (evaluation[row.query] in training)
        if evaluation[row.query].split() and training:
            assert wanted[row.query, row.nearest] == pytest.approx(best, abs=1e-9)
        else:
            assert row.nearest == -1
    found = {row.query for row in contaminated(rows, 30)}
    assert found == set(np.flatnonzero(wanted.max(axis=1, initial=0) > 30).tolist())


@pytest.mark.parametrize(
    ("evaluation", "training"),
    [("a b c d", "a b c d"), ("a b c d e", "a x y z w"), ("a b c", "a b d e")],
)
def test_exactly_at_the_threshold_stays(evaluation, training):
    rows = overlap([evaluation], [training])
    score = sacrebleu.sentence_bleu(evaluation, [training]).score
    for threshold in (min(score, 100.0), score - 1e-13):
        assert contaminated(rows, threshold) == []
        assert leaking([evaluation], [training], threshold) == []
    below = score - 1e-6
    assert contaminated(rows, below) == rows
    assert [leak.training for leak in leaking([evaluation], [training], below)] == [0]


def test_a_threshold_that_is_no_bleu_is_refused():
    with pytest.raises(InputError, match="no BLEU"):
        leaking(["a"], ["a"], -1)


def turns(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def test_a_batch_is_marked_by_any_user_turn_and_keeps_earlier_reasons():
    asked = "What is the capital city of France?"
    batch = batch_of(
        [
            {"messages": turns("Name a large river.", "The Rhine.")},
            {"messages": turns("Hello", "Hi!", asked, "Paris.")},
            {"messages": turns("Say it", asked)},
            {"messages": turns(asked, "Paris."), "reason": "not English"},
            {"messages": [], "text": "broken", "reason": "no dialogue"},
        ]
    )
    marked = decontaminated(batch, ["What is the capital of France?", ""])
    assert marked.column("reason").to_pylist() == ["", LEAKS, "", "not English", "no dialogue"]
    assert marked.schema == batch.schema
    assert [row.reason for row in dropped(marked)] == [LEAKS, "not English", "no dialogue"]
    untouched = decontaminated(batch, [])
    assert untouched.column("reason").to_pylist() == batch.column("reason").to_pylist()
