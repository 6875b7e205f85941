"""Figures computed independently on public data; skipped where that data is not at hand."""

from pathlib import Path

import pytest

from veneer.corpus.pipeline import Curation, curate_files

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")


@pytest.mark.parametrize(
    ("name", "records", "unique"),
    [
        ("fastchat_dummy_conversation.jsonl.gz", 500, 52),
        ("alpaca_gpt4_1000.jsonl.gz", 1000, 999),
        ("text2cypher_gpt4turbo.csv.gz", 9846, 9669),
    ],
)
def test_duplicates(tmp_path, name, records, unique):
    options = Curation(diversity=0, categories=False)
    stats = curate_files([SHARED / "dialogues" / name], tmp_path, settings=options, workers=1)
    assert (stats["records"], stats["kept"]) == (records, unique)
    assert stats["queries"] == {"records": records, "empty": 0, "unique": unique}


def test_the_english_part_of_moss(tmp_path):
    file = SHARED / "dialogues" / "moss003_sharegpt_raw.jsonl.gz"
    options = Curation(language="en", diversity=0)
    stats = curate_files([file], tmp_path, settings=options)
    assert abs(stats["kept"] - 166) <= 2
    (profile,) = stats["imported"].values()
    assert (profile["records"], profile["pairs"], profile["unique_queries"]) == (350, 1953, 350)


def test_sharegpt_queries_against_the_koala_test_set(tmp_path):
    stats = curate_files(
        [SHARED / "queries" / "sharegpt_first_turns_2978.jsonl.gz"],
        tmp_path,
        against=[SHARED / "eval" / "koala_test_set.jsonl"],
    )
    assert stats["kept"] == 0
    assert stats["query_set"]
    assert (tmp_path / "corpus.jsonl").read_bytes() == b""
    (profile,) = stats["imported"].values()
    found = [profile[n] for n in ("records", "empty_queries", "unique_queries")]
    assert found == [2978, 21, 2862]
    assert profile["unique_nonempty_queries"] == stats["queries"]["unique"] == 2861
    assert profile["starts_with"]["assistant"] + profile["starts_with"]["system"] == 20
    figures = stats["decontamination"]["koala_test_set.jsonl"]
    numbers = [0, 41, 68, 72, 74, 78, 95, 134, 139, 160]
    assert figures["ids"] == [f"koala_{number}" for number in numbers]
    assert (figures["n"], figures["above"], figures["identical"]) == (180, 10, 5)
    assert figures["mean_of_maxima"] == pytest.approx(11.4640, abs=5e-5)
    assert stats["diversity"]["mean_bleu"] == pytest.approx(6.3878, abs=5e-5)
