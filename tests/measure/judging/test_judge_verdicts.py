import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.measure.judging import verdicts
from veneer.measure.judging.templates import TEMPLATES
from veneer.measure.judging.tone import read_tone
from veneer.measure.judging.verdicts import read_verdict
from veneer.models.asking import Reply

ONE = "[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]"
TWO = "[{'model': 'model_1', 'rank': 2}, {'model': 'model_2', 'rank': 1}]"

READ = [
    ("vicuna", "9 7\nThe first is better. 1 10", 0.0),
    ("vicuna", "7.5, 8\nSo.", 1.0),
    ("vicuna", "8,8", 0.5),
    ("vicuna", "8/10 7/10\nSo.", None),
    ("vicuna", "Assistant 1: 9\nAssistant 2: 7", None),
    ("vicuna", "9 7 8\nThree", None),
    ("vicuna", "nan inf\n", None),
    ("vicuna", "I would say\n9 7", None),
    ("pair-v2", "A is better.\n[[A]]", 0.0),
    ("pair-v2", "[[B]] it is. Again: [[B]]", 1.0),
    ("pair-v2", "Equal. [[C]]", 0.5),
    ("pair-v2", 'I will say "[[A]]", "[[B]]" or "[[C]]". [[B]]', None),
    ("pair-v2", "[A]", None),
    ("pair-v2", "[[D]]", None),
    ("pair-v2", "The first one.", None),
    ("alpaca-eval", ONE, 0.0),
    ("alpaca-eval", TWO, 1.0),
    ("alpaca-eval", f"```python\n{TWO}\n```", 1.0),
    ("alpaca-eval", ONE.replace("2}", "1}"), None),
    ("alpaca-eval", ONE.replace("2}", "3}"), None),
    ("alpaca-eval", ONE.replace("1}", "True}"), None),
    ("alpaca-eval", ONE.replace("model_2", "model_1"), None),
    ("alpaca-eval", "[{'model': 'model_1', 'rank': 1}]", None),
    ("alpaca-eval", f"Here it is: {ONE}", None),
    ("alpaca-eval", f"{ONE}\n{TWO}", None),
    ("alpaca-eval", "__import__('os').getcwd()", None),
    ("alpaca-eval", "[" * 1500, None),
    ("alpaca-eval", "[" * 10**6, None),
    ("alpaca-eval", ONE + " " * 3000, 0.0),
    ("alpaca-eval", ONE + "#" * 3000, None),
]


@pytest.mark.parametrize(("template", "text", "wins"), READ)
def test_a_verdict_is_read_or_not(template, text, wins):
    found = read_verdict(template, Reply(text))
    assert found.second_wins == wins
    assert bool(found.reason) == (wins is None)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("outcome", sorted(verdicts.ENDED))
def test_an_answer_that_did_not_end_well_is_no_verdict(template, outcome):
    for text in ("[[A]]", ONE, "9 7"):
        found = read_verdict(template, Reply(text, outcome))
        assert found.second_wins is None
        assert found.reason == verdicts.ENDED[outcome]
    assert len(set(verdicts.ENDED.values())) == len(verdicts.ENDED)


def test_vicunas_scores_stand_before_the_cut():
    assert read_verdict("vicuna", Reply("9 7\nBecause", "truncated")).second_wins == 0.0
    assert read_verdict("vicuna", Reply("9 7\nBecause", "filtered")).second_wins is None


@settings(max_examples=60)
@given(st.text())
def test_no_text_makes_a_reader_fail(text):
    for template in TEMPLATES:
        found = read_verdict(template, Reply(text))
        assert found.second_wins in (None, 0.0, 0.5, 1.0)
        assert (found.second_wins is None) == bool(found.reason)
    value, reason = read_tone(Reply(text))
    assert (value is None) == bool(reason)


@settings(max_examples=60)
@given(st.floats(0, 10), st.floats(0, 10), st.sampled_from([" ", ", ", ","]), st.text())
def test_scores_rank_the_answers(one, two, between, more):
    found = read_verdict("vicuna", Reply(f"{one}{between}{two}\n{more}"))
    assert found.scores == (one, two)
    assert found.second_wins == (0.5 if one == two else float(two > one))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("authoritative", 1.0),
        ("Not  authoritative.", 0.0),
        ('"Authoritative"', 1.0),
        ("**not authoritative**", 0.0),
        ("It is authoritative", None),
        ("authoritative\nnot authoritative", None),
        ("yes", None),
    ],
)
def test_tones_are_read_or_not(text, value):
    assert read_tone(Reply(text))[0] == value


def test_a_tone_that_was_cut_off_is_unread():
    assert read_tone(Reply("authoritative", "truncated")) == (None, verdicts.CUT_OFF)


def test_recorded_reviews_are_read_as_their_authors_did(data):
    """GPT-4's answers to the vicuna prompt, with the scores that Chiang et al. took from them."""
    told = Counter()
    for path in sorted((data / "vicuna_blog" / "reviews").glob("*.jsonl")):
        for row in map(json.loads, path.open(encoding="utf-8")):
            found = read_verdict("vicuna", Reply(row["text"]))
            if found.scores is None:
                told["unread"] += 1
            else:
                told["equal" if list(found.scores) == row["score"] else "other"] += 1
    assert told == {"equal": 308, "unread": 12}
