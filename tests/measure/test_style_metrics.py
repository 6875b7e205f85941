import gzip
import json
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.measure.style import (
    has_list,
    has_summary,
    shared_unigrams,
    style_sheets,
    words,
)
from veneer.records import Answer, Subject

SUBJECT = Subject(model="m", role="student")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b", True),
        ("* a\ntext\n* b", True),
        ("1. a\n2. b", True),
        ("  1) a\n  2) b", True),
        ("• a\n• b", True),
        ("- a", False),
        ("1. a\ntext", False),
        ("1.5 metres\n2.5 metres", False),
        ("-5 degrees\n-6 degrees", False),
        ("**bold**\n**more**", False),
        ("2020 was\n2021 is", False),
        ("", False),
        ("intro\n\n- a\n\nmore\n\n- b", True),
    ],
)
def test_a_list_is_two_lines_with_bullets_or_numbers(text, expected):
    assert has_list(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Some facts.\n\nOverall, it is good.", True),
        ("Some facts.\n\nIn conclusion, yes.\n", True),
        ("1. One\n2. Two\n\n**In summary**, two.", True),
        ("Some facts.\nTo sum up, yes.", True),
        ("Overall, it is good.", False),  # one paragraph closes nothing
        ("Overall, it is.\n\nSome facts.", False),
        ("Some facts.\n\n- Overall, a list item", False),
        ("Some facts.\n\nOveralls are trousers.", False),
        ("", False),
    ],
)
def test_a_summary_is_a_closing_paragraph(text, expected):
    assert has_summary(text) is expected


WORDS = st.lists(st.sampled_from(["a", "B", "the", "x1", "é", "-", "the"]), max_size=12)


@given(WORDS, WORDS)
def test_unigrams_against_a_loop(first, second):
    plain = [[w.lower() for w in side if w.isascii() and w.isalnum()] for side in (first, second)]
    left = list(plain[1])
    shared = 0
    for word in plain[0]:
        if word in left:
            left.remove(word)
            shared += 1
    f1, recall = shared_unigrams(" ".join(first), " ".join(second))
    if plain[0] and plain[1]:
        precision, expected = shared / len(plain[1]), shared / len(plain[0])
        assert recall == pytest.approx(expected)
        both = precision + expected
        assert f1 == pytest.approx(2 * precision * expected / both if both else 0.0)
    else:
        assert f1 == recall == float(plain[0] == plain[1])


def rows(*texts, model="m", **more):
    return [Answer(prompt=f"p{i}", text=t, model=model, **more) for i, t in enumerate(texts)]


def by_metric(sheets):
    return {sheet.metric: sheet for sheet in sheets}


def test_sheets_hold_what_each_metric_is_over():
    teacher = rows("- a\n- b\n\nOverall, c d", "plain words here", "1. x\n2. y")
    model = rows("- q\n- r", "- no\n- no\n\nIn short, no", "nothing")
    sheets = by_metric(style_sheets(teacher, model, SUBJECT))
    assert sheets["list_agreement"].values == (1.0, 0.0)
    assert sheets["list_agreement"].items == (teacher[0].prompt_id, teacher[2].prompt_id)
    assert sheets["summary_agreement"].values == (0.0,)
    assert len(sheets["unigram_f1"].values) == 3
    length = sheets["length_correlation"]
    assert (length.values, length.others) == ((4.0, 7.0, 1.0), (7.0, 3.0, 4.0))
    assert length.kind == "pearson"
    assert words("- a\n- b") == 4


def test_answers_join_on_the_prompt_whatever_their_order():
    texts = [f"word{i} " * (i + 1) for i in range(20)]
    teacher, model = rows(*texts), rows(*texts)
    random.Random(0).shuffle(model)
    extra = [Answer(prompt="another", text="x", model="m")]
    sheets = by_metric(style_sheets(teacher, [*model, *extra], SUBJECT))
    assert sheets["unigram_f1"].values == (1.0,) * 20
    second = rows(*["other"] * 20, sample=1)
    again = by_metric(style_sheets(teacher, [*second, *model], SUBJECT))
    assert again["unigram_f1"] == sheets["unigram_f1"]


def test_failed_answers_are_unscored_and_empty_ones_count():
    teacher = [*rows("a b", "c d", "e f")]
    model = [
        Answer(prompt="p0", text="", model="m", outcome="failed", reason="timeout"),
        Answer(prompt="p1", text="", model="m", outcome="empty"),
        Answer(prompt="p2", text="e f", model="m"),
    ]
    sheets = by_metric(style_sheets(teacher, model, SUBJECT))
    f1 = sheets["unigram_f1"]
    assert f1.values == (None, 0.0, 1.0)
    assert f1.reasons == ("failed: timeout", "", "")
    assert sheets["length_correlation"].values == (None, 0.0, 2.0)
    assert sheets["length_correlation"].others == (None, 2.0, 2.0)
    failed = [Answer(prompt="p0", text="", model="t", outcome="failed"), *teacher[1:]]
    f1 = by_metric(style_sheets(failed, rows("x", "y", "z"), SUBJECT))["unigram_f1"]
    assert f1.values[0] is None
    assert "teacher" in f1.reasons[0]


EXPECTED = {  # list agreement %, F1 %, r, joined
    "gpt-3.5-turbo-0613": (94.3, 49.86, 0.803, 805),
    "vicuna-7b": (87.2, 43.80, 0.629, 805),
    "vicuna-13b": (86.2, 45.06, 0.722, 805),
    "guanaco-65b": (77.5, 40.69, 0.540, 805),
    "oasst-sft-llama-33b": (63.8, 42.00, 0.678, 805),
    "pythia-12b-mix-sft": (61.4, 38.51, 0.544, 805),
    "falcon-7b-instruct": (39.9, 33.24, 0.290, 805),
    "text_davinci_001": (34.0, 30.88, 0.592, 803),
    "alpaca-7b": (22.8, 35.35, 0.599, 805),
}


def test_published_outputs_give_the_known_figures(data):
    def load(name):
        with gzip.open(data / "alpaca_eval" / "outputs" / f"{name}.jsonl.gz", "rt") as lines:
            found = [json.loads(line) for line in lines]
        return [Answer(prompt=r["instruction"], text=r["output"], model=name) for r in found]

    teacher = load("gpt-3.5-turbo-0301")
    for name, (lists, f1, r, joined) in EXPECTED.items():
        sheets = by_metric(style_sheets(teacher, load(name), SUBJECT))
        assert round(100 * float(np.mean(sheets["list_agreement"].values)), 1) == lists
        assert round(100 * float(np.mean(sheets["unigram_f1"].values)), 2) == f1
        length = sheets["length_correlation"]
        assert round(float(np.corrcoef(length.values, length.others)[0, 1]), 3) == r
        assert len(length.items) == joined


def test_style_loads_no_model_code():
    code = (
        "import sys; import veneer.measure.style, veneer.measure.toxicity, veneer.measure;"
        "print([m for m in ('torch','transformers','lm_eval','datasets','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
