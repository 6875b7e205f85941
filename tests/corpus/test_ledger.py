import itertools
from pathlib import Path

import pytest
import yaml

from veneer.corpus.ledger import STRICTNESS, conflicts, ledger, terms, verdict
from veneer.errors import InputError
from veneer.records import LedgerLine

SHIPPED = Path(__file__).parents[2] / "src/veneer/corpus/terms.yaml"

TEACHERS = {
    "OpenAI": [
        "openai:gpt-4o",
        "gpt-3.5-turbo-0301",
        "gpt-4",
        "GPT-4",
        "ChatGPT",
        "text-davinci-003",
        "o3-mini",
        "gpt35",
        "azure:gpt-4o-mini",
        "router:openai/gpt-4-turbo",
        "code-davinci-002",
    ],
    "Anthropic": ["claude-3-5-sonnet-20241022", "anthropic:claude-2"],
    "Google Gemini": ["gemini-1.5-pro", "google:gemini-2.0-flash"],
    "gpt-oss": ["openai:gpt-oss-20b", "hf:openai/gpt-oss-120b"],
    "GPT-2, GPT-J, GPT-Neo": ["hf:openai-community/gpt2", "gpt2-xl", "gpt-j-6b"],
    "Qwen, open weights": ["hf:Qwen/Qwen3-0.6B-Base", "qwen2.5-7b-instruct"],
    "Qwen, licences of its own": ["hf:Qwen/Qwen2.5-72B-Instruct", "Qwen2.5-3B"],
    "Qwen as a service": ["qwen-max", "qwen3-coder-plus"],
    "Llama 2 and Llama 3": ["hf:meta-llama/Llama-2-7b-hf", "hf:meta-llama/Meta-Llama-3-8B"],
    "Llama 3.1 and later": ["hf:meta-llama/Llama-3.1-8B-Instruct", "llama3.2:3b", "Llama-4-Scout"],
    "LLaMA (2023)": ["llama-13b"],
    "DeepSeek": ["deepseek-reasoner", "hf:deepseek-ai/DeepSeek-R1"],
    "other DeepSeek models": ["deepseek-llm-7b"],
    "Mistral's open weights": ["hf:mistralai/Mistral-7B-v0.3"],
    "Mistral as a service or for research": ["mistral-large-latest"],
    "the pocket study": ["pocket:teacher"],
    "people": ["human", "people"],
    "imitation models": ["vicuna-13b"],
}


@pytest.mark.parametrize(("who", "name"), [(w, n) for w, names in TEACHERS.items() for n in names])
def test_teachers_are_known_by_the_names_in_use(who, name):
    assert terms().teacher(name).name == who


@pytest.mark.parametrize(
    "name", ["hf:./runs/base", "my-model", "", "hf:org/transformer-gpt-4-like"]
)
def test_who_is_not_listed_is_not_guessed(name):
    assert terms().teacher(name) is None
    (line,) = ledger({("mine", name, "MIT"): 1})
    assert (line.compete, line.commercial) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("spelt", "commercial"),
    [
        ("CC BY-NC 4.0", "forbidden"),
        ("cc-by-nc-4.0", "forbidden"),
        ("CC BY-NC 4.0 (DATA_LICENSE)", "forbidden"),
        ("Apache License 2.0", "allowed"),
        ("The MIT License", "allowed"),
        ("CC0 1.0", "allowed"),
        ("CC BY-SA 4.0 International", "allowed"),
        ("none", "unknown"),
    ],
)
def test_licences_are_known_however_they_are_spelt(spelt, commercial):
    assert terms().licence(spelt).commercial == commercial


KNOWN = {
    # (source, teacher, licence): (compete, commercial)
    ("sharegpt_real", "", ""): ("forbidden", "unknown"),
    ("hc3", "", ""): ("forbidden", "allowed"),
    ("alpaca_gpt4_1000", "", ""): ("forbidden", "forbidden"),
    ("moss003_sharegpt_raw", "gpt-3.5-turbo", "CC BY-NC 4.0"): ("forbidden", "forbidden"),
    ("code_alpaca_2k", "text-davinci-003", ""): ("forbidden", "forbidden"),
    ("lima", "", ""): ("allowed", "forbidden"),
    ("oasst1", "", ""): ("allowed", "allowed"),
    ("databricks-dolly-15k", "", ""): ("allowed", "allowed"),
    ("text2cypher_gpt4turbo", "", ""): ("forbidden", "allowed"),
    ("instructwild_user_1", "", ""): ("unknown", "forbidden"),
    ("mine", "hf:Qwen/Qwen3-8B", "CC0-1.0"): ("allowed", "allowed"),
    ("mine", "hf:meta-llama/Llama-3.1-8B", "MIT"): ("allowed", "allowed"),
    ("mine", "openai:gpt-4o", "MIT"): ("forbidden", "allowed"),
    ("mine", "openai:gpt-4o", ""): ("forbidden", "unknown"),
    ("mine", "", "MIT"): ("unknown", "unknown"),
    ("mine", "people", "WTFPL"): ("unknown", "unknown"),
    ("", "", ""): ("unknown", "unknown"),
}


@pytest.mark.parametrize("key", KNOWN, ids=lambda key: "/".join(key))
def test_the_strictest_of_licence_source_and_teacher(key):
    (line,) = ledger({key: 3})
    assert (line.compete, line.commercial) == KNOWN[key]
    assert line.records == 3
    assert line.grounds


def test_lines_are_sorted_and_counts_are_kept():
    counts = {key: n for n, key in enumerate(KNOWN, 1)}
    lines = ledger(dict(reversed(counts.items())))
    assert lines == ledger(counts)
    assert [line.records for line in lines] == [counts[key] for key in sorted(counts)]


def test_a_teacher_known_from_the_source_stands_in_brackets():
    (line,) = ledger({("alpaca_gpt4", "", ""): 1})
    assert line.teacher == "(gpt-4)"
    assert line.licence == "CC-BY-NC-4.0"
    assert "OpenAI (2024-12-11)" in line.grounds


def lines_of(*permissions):
    return [
        LedgerLine(source=f"s{i}", teacher="t", licence="l", records=1, compete=p, commercial=p)
        for i, p in enumerate(permissions)
    ]


def test_a_mixture_permits_what_its_strictest_part_permits():
    for mixture in itertools.product(STRICTNESS, repeat=3):
        expected = next(p for p in ("forbidden", "unknown", "allowed") if p in mixture)
        assert verdict(lines_of(*mixture), "compete") == expected
    assert verdict([], "commercial") == "unknown"


def test_what_is_said_before_training():
    lines = ledger(
        {
            ("sharegpt", "openai:gpt-4o", ""): 1203,
            ("discord", "openai:gpt-4o", "MIT"): 1,
            ("lima", "", ""): 10,
            ("oasst1", "", ""): 5,
        }
    )
    assert conflicts(lines, "broad") == [
        "Corpus broad mixes 1,204 records whose teacher forbids training competing models "
        "(openai:gpt-4o; from discord, sharegpt).",
        "Corpus broad mixes 10 records whose terms forbid commercial use "
        "(CC-BY-NC-SA-4.0; from lima).",
        "Corpus broad mixes 1,203 records under terms that are not known (sharegpt): look them up "
        "and add them to a terms file.",
    ]
    assert conflicts(ledger({("oasst1", "", ""): 5})) == []


def test_a_file_of_the_user_extends_and_overrides(tmp_path):
    own = tmp_path / "terms.yaml"
    own.write_text(
        """
licences:
  - {names: [WTFPL, MIT], compete: allowed, commercial: forbidden, grounds: Ours., as_of: 2026-02-01}
sources:
  - {match: "sharegpt.*", name: Our ShareGPT, licence: wtfpl, teacher: people}
teachers:
  - {match: "house-", name: House, compete: allowed, commercial: allowed, as_of: 2026-02-01}
""",
        "utf-8",
    )
    assert terms(own).licence("MIT").commercial == "forbidden"
    assert terms(own).licence("MIT-0").commercial == "allowed"
    assert terms().licence("MIT").commercial == "allowed"
    (line,) = ledger({("sharegpt_x", "hf:us/house-7b", ""): 2}, own)
    assert (line.compete, line.commercial) == ("allowed", "forbidden")
    assert "House (2026-02-01)" in line.grounds
    (line,) = ledger({("lima", "", ""): 2}, own)
    assert line.commercial == "forbidden"


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "teachers: [{match: '[a', name: x}]",
        "teachers: [{name: x}]",
        "licences: [{names: [a], compete: maybe}]",
        "licences: [{names: [a]}, {names: [A]}]",
        "licence: []",
        "a: b: c",
    ],
)
def test_a_broken_terms_file_is_named(tmp_path, text):
    own = tmp_path / "own.yaml"
    own.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"own\.yaml"):
        ledger({}, own)


def test_a_terms_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        ledger({}, tmp_path / "none.yaml")


def test_every_shipped_entry_is_dated_and_has_grounds():
    content = yaml.safe_load(SHIPPED.read_text("utf-8"))
    book = terms()
    for kind, entries in content.items():
        for entry in entries:
            assert entry["as_of"], (kind, entry)
            if "licence" in entry:
                assert book.licence(entry["licence"]), entry
            else:
                assert entry["grounds"].endswith("."), entry
                assert {"compete", "commercial"} <= set(entry), entry
            if "teacher" in entry:
                assert book.teacher(entry["teacher"]), entry
