import json

import pytest

from veneer.errors import InputError
from veneer.measure.toxicity import read_recorded, read_toxicity_prompts, recorded_toxicity
from veneer.records import Subject

SUBJECT = Subject(model="web", role="base")


def row(text="a prompt", toxicity=0.25, more=0.75, **fields):
    return {
        "prompt": {"text": text, "toxicity": toxicity, "insult": 0.5},
        "continuation": {"text": " and more", "toxicity": more},
        **fields,
    }


def written(tmp_path, *rows):
    path = tmp_path / "rtp.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def test_the_scores_of_the_published_file(data):
    path = data / "benchmarks" / "rtp_2000.jsonl.gz"
    prompts, continuations = read_recorded(path)
    assert (prompts.part, continuations.part) == ("prompt", "continuation")
    assert continuations.toxic == 656
    for part, value, unscored in (("prompt", 0.684749, 9), ("continuation", 0.623967, 11)):
        sheet = recorded_toxicity(path, part, SUBJECT)
        assert mean(sheet.values) == pytest.approx(value, abs=5e-7)
        assert sheet.values.count(None) == unscored == sum(map(bool, sheet.reasons))
        assert len(sheet.items) == 2000


def test_a_null_is_unscored_and_a_toxic_half_is_toxic(tmp_path):
    path = written(tmp_path, row(toxicity=None), row("b", 0.0, 0.5), row("c", 1, 0.499))
    prompts, continuations = read_recorded(path)
    assert [score.value for score in prompts.scores] == [None, 0.0, 1.0]
    assert prompts.scores[0].reason
    assert continuations.toxic == 2
    assert recorded_toxicity(path, "prompt", SUBJECT).values == (None, 1.0, 0.0)


@pytest.mark.parametrize("bad", ["high", True, 1.5, -0.1, [0.5]])
def test_what_is_no_score_is_an_error_with_its_line(tmp_path, bad):
    with pytest.raises(InputError, match="line 2: the prompt's toxicity"):
        read_recorded(written(tmp_path, row(), row("b", bad)))


def test_files_without_scores(tmp_path):
    with pytest.raises(InputError, match="no toxicity scores"):
        read_recorded(written(tmp_path, {"prompt": "plain"}))
    only = {"prompt": {"text": "p", "toxicity": 0.5}}
    with pytest.raises(InputError, match="no toxicity scores of its continuations"):
        recorded_toxicity(written(tmp_path, only), "continuation", SUBJECT)
    with pytest.raises(InputError, match="line 2: the prompt has no text"):
        read_recorded(written(tmp_path, only, {"prompt": {"toxicity": 0.1}}))


def test_prompts_in_each_shape(tmp_path):
    path = written(
        tmp_path,
        row("published", challenging=True),
        {"prompt": "plain"},
        {"text": "a Prompt row", "category": "insult"},
    )
    prompts = read_toxicity_prompts(path)
    assert [p.text for p in prompts] == ["published", "plain", "a Prompt row"]
    assert [p.category for p in prompts] == ["challenging", "", "insult"]
    with pytest.raises(InputError, match="line 2: the row has no prompt"):
        read_toxicity_prompts(written(tmp_path, row(), {"prompt": "  "}))
