import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from veneer.corpus.card import card
from veneer.corpus.categories import PAPER
from veneer.corpus.ledger import NO_ADVICE, ledger

LEDGER = ledger({("sharegpt", "openai:gpt-4o", ""): 1203, ("mine", "hf:Qwen/Qwen3-8B", "CC0"): 797})
STATS = {
    "name": "broad",
    "records": 3000,
    "kept": 2000,
    "dropped": {"a query met before": 700, "language: zh, not en": 300},
    "trimmed": {"no answer after it": 12},
    "parts": 2100,
    "sources": {
        "sharegpt": {"records": 2000, "kept": 1203, "format": "sharegpt", "roles": {"human": 3}},
        "mine": {"records": 1000, "kept": 797, "format": "messages"},
    },
    "funnel": [
        {"stage": "read", "kept": 3000, "dropped": {}},
        {"stage": "dedup", "kept": 2300, "dropped": {"a query met before": 700}},
        {"stage": "language", "kept": 2000, "dropped": {"language: zh, not en": 300}},
    ],
    "languages": {"en": 1900, "no": 60, "": 40},
    "categories": {"Coding": 500, "Generation": 1000, "Poetry": 300, "": 200},
    "turns": 5000,
    "words": {"assistant": 90000, "user": 30000},
    "tokens": {"all": 160000, "learned": 120000},
    "diversity": {"n": 2000, "sample": 300, "mean_bleu": 6.3878, "share_above_20": 0.1195},
    "decontamination": {
        "koala.jsonl": {
            "n": 180,
            "above": 10,
            "identical": 5,
            "mean_of_maxima": 11.464,
            "ids": [f"koala_{i}" for i in range(25)],
        }
    },
    "near_duplicates": {"threshold": 0.8, "found": 11, "missed_at_threshold": 4.9e-5},
    "ledger": [line.model_dump() for line in LEDGER],
    "identity": {"I am NAME": 7, "as an AI": 3},
    "unlabelled": {"unparsed": 4},
    "settings": {"dedup": "query", "language": "en"},
    "command": "veneer curate a.json --out corpus",
}


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def section(text, title):
    return re.split(r"^## ", text.split(f"\n## {title}\n")[1], flags=re.M)[0]


def table(text, title, at=0):
    """Rows of a table as dicts, cells as text."""
    blocks = re.findall(r"(?:^\|.*\n?)+", section(text, title), flags=re.M)
    lines = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in blocks[at].splitlines()]
    assert all(len(line) == len(lines[0]) for line in lines)
    assert set(lines[1]) == {"---"}
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def number(cell):
    return int(cell.replace(",", "") or 0)


def test_the_front_matter_is_yaml_as_the_hub_reads_it():
    found = front(card(STATS))
    assert found["language"] == ["en", "no"]
    assert found["size_categories"] == ["1K<n<10K"]
    assert found["license"] == "other"
    assert re.fullmatch(r"[a-z0-9-.]+", found["license_name"])
    assert card(STATS).startswith("---\n")


def test_the_funnel_adds_up_to_the_counts():
    text = card(STATS)
    rows = table(text, "What was left out")
    out = sum(number(row["left out"]) for row in rows if row["reason"])
    assert out == sum(number(row["left out"]) for row in rows if row["stage"]) == 1000
    assert number(rows[-2]["left"]) == STATS["kept"] == STATS["records"] - out
    counts = {row["what"]: number(row["count"]) for row in table(text, "Counts")}
    assert counts["records read"] - counts["records left out"] == counts["rows in the corpus"]
    assert counts["turns cut off"] == 12


def test_tables_hold_what_the_stats_hold():
    text = card(STATS)
    sources = table(text, "Sources")
    assert sum(number(row["kept"]) for row in sources) == STATS["kept"]
    assert "roles" not in sources[0]
    categories = table(text, "Categories")
    assert sum(number(row["rows"]) for row in categories) == STATS["kept"]
    assert {r["category"]: r["paper, Table 5 (%)"] for r in categories[: len(PAPER)]} == {
        name: str(share) for name, share in PAPER.items()
    }
    shares = {row["category"]: row["%"] for row in categories}
    assert (shares["Coding"], shares["Poetry"], shares["(none)"]) == ("25.0", "15.0", "10.0")
    assert sum(number(row["rows"]) for row in table(text, "Languages")) == STATS["kept"]
    size = {row["what"]: number(row["count"]) for row in table(text, "Size")}
    assert size["tokens, learned"] == 120000
    assert size["words, user"] == 30000


def test_diversity_and_evaluation_sets_stand_beside_the_papers_figures():
    text = card(STATS)
    diversity = section(text, "Diversity")
    assert "6.39 %" in diversity
    assert "12.0 %" in diversity or "11.9 %" in diversity
    assert "8 %" in diversity
    assert "61 %" in diversity
    assert "equal size" in diversity
    (row,) = table(text, "Evaluation sets")
    assert (row["queries"], row["above 20 %"], row["identical"]) == ("180", "10", "5")
    assert row["mean of maxima"] == "11.46"
    assert row["ids above"].endswith("koala_19 and 5 more")


def test_the_ledger_with_its_verdict_and_what_it_is_not():
    text = card(STATS)
    terms = section(text, "Terms")
    assert NO_ADVICE in terms
    assert [number(row["records"]) for row in table(text, "Terms")] == [797, 1203]
    assert "Training a competing model, the whole mixture: **forbidden**" in terms
    assert "Commercial use, the whole mixture: **unknown**" in terms
    assert "1,203 records whose teacher forbids training competing models" in terms
    assert card({**STATS, "ledger": list(LEDGER)}) == text


def test_what_is_not_known_is_said():
    limits = section(card(STATS), "What is not known")
    assert "Rows of no known language: 40." in limits
    assert "10 rows" in limits
    assert "5e-05" in limits
    assert "Diversity was not measured" not in limits
    assert "Diversity was not measured" in section(card({}), "What is not known")


def test_a_missing_key_is_left_out_and_never_a_zero():
    text = card({})
    assert re.findall(r"^## .*", text, flags=re.M) == ["## What is not known"]
    assert not re.search(r"\b0\b", text)
    assert front(text)["pretty_name"] == "Imitation data"
    text = card({"kept": 5, "diversity": {"n": 1, "mean_bleu": None}, "tokens": None})
    assert [row["what"] for row in table(text, "Counts")] == ["rows in the corpus"]
    assert "## Diversity" not in text
    assert "## Size" not in text
    zero = card({"trimmed": {}, "dropped": {}, "records": 4, "kept": 4})
    assert {r["what"]: r["count"] for r in table(zero, "Counts")}["records left out"] == "0"


@pytest.mark.parametrize("key", STATS)
def test_every_key_may_be_missing(key):
    text = card({k: v for k, v in STATS.items() if k != key})
    assert front(text)
    assert text != card(STATS)


def test_the_card_is_the_same_from_json_and_in_every_run():
    assert card(json.loads(json.dumps(STATS))) == card(STATS)


@given(st.dictionaries(st.text(max_size=20), st.integers(0, 10**9), max_size=5))
def test_names_of_any_kind_break_no_table(counts):
    stats = {"sources": counts, "languages": counts, "name": next(iter(counts), "x")}
    text = card(stats)
    assert front(text)["pretty_name"]
    if counts:
        assert sorted(number(r["kept"]) for r in table(text, "Sources")) == sorted(counts.values())
