"""The model card: a golden one, names that try to break it, and its example as a person runs it."""

import re
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from veneer.records import Estimate, GapClosed, LedgerLine, Measurement
from veneer.student.card import About, card
from veneer.student.recipe import Amount, Recipe

GOLDEN = Path(__file__).with_name("card.golden.md")
AMOUNT = Amount(asked=20_000, tokens=20_480, learned=13_021, steps=20, folder="tokens-20000")
RECIPE = Recipe(block=128, batch=8, learning_rate=1.5e-3, schedule="matched", optimiser="adamw")
LEDGER = (
    LedgerLine(
        source="sharegpt", teacher="(chatgpt)", licence="", records=1200,
        compete="forbidden", commercial="unknown", grounds="Terms of use, 2023-03-14.",
    ),
    LedgerLine(
        source="somebody/hc3", teacher="chatgpt", licence="CC-BY-NC-4.0", records=300,
        compete="forbidden", commercial="forbidden", grounds="Non-commercial.",
    ),
)  # fmt: skip
STATS = {
    "records": 2000,
    "kept": 1500,
    "dropped": {"language: zh, not en": 100, "a query met before": 400},
    "languages": {"en": 1400, "de": 60, "": 40},
    "ledger": [line.model_dump(mode="json") for line in LEDGER],
}
RUN = {"precision": "fp32", "seed": 3, "dialogues": 1500, "blocks": 170}
ABOUT = About(AMOUNT, RECIPE, "hf:openai-community/gpt2", "openai:gpt-4o-mini", "broad", STATS, RUN)
SUBJECT = {
    "model": "M-broad-20000", "role": "student", "base": "M", "corpus": "broad",
    "tokens": 20_480, "seed": 3,
}  # fmt: skip
MEASURED = [
    Measurement(**SUBJECT, measure="nq", metric="exact_match", value=0.125, low=0.06, high=0.2,
                n=96, unscored=4),
    Measurement(**SUBJECT, measure="style", metric="length_correlation", value=None, low=None,
                high=None, n=2, unscored=94),
]  # fmt: skip
GAP = {"base": "M", "corpus": "broad", "tokens": 20_480, "low": -0.3, "high": 0.1, "n": 96}
GAPS = [
    GapClosed(**GAP, family="capability", measure="nq", metric="exact_match", value=-0.1,
              defined=True),
]  # fmt: skip
VENEER = {
    "style": Estimate(value=0.92, low=0.85, high=0.99, n=900),
    "capability": Estimate(value=-0.05, low=-0.16, high=0.05, n=400),
}


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def prose(text):
    """What a reader sees: the text of the rendered page, code apart, and any raw HTML in it."""
    shown, raw = [], []
    for block in MarkdownIt("commonmark").enable("table").parse(text.split("---\n", 2)[2]):
        if block.type == "html_block":
            raw.append(block.content)
        for child in block.children or ():
            (raw if child.type == "html_inline" else shown).append(child.content)
    return "".join(shown), raw


def test_a_card_as_it_was_read_and_found_good():
    assert card(ABOUT, MEASURED, GAPS, VENEER) == GOLDEN.read_text("utf-8")


def test_the_hub_reads_the_front_matter():
    read = ModelCard(card(ABOUT)).data
    assert read.base_model == "openai-community/gpt2"
    assert read.datasets == ["somebody/hc3"]
    assert read.language == ["de", "en"]
    assert read.license == "other"
    assert read.pipeline_tag == "text-generation"
    assert "base_model" not in front(card(About(AMOUNT, RECIPE, "hf:/home/me/gpt2")))
    assert "base_model" not in front(card(About(AMOUNT, RECIPE, "pocket:S")))


def test_the_recipe_in_it_can_be_used_again():
    text = card(ABOUT)
    given = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    assert Recipe.model_validate(given["recipe"]) == RECIPE


def test_what_is_not_known_is_said_and_never_a_number():
    text = card(About(AMOUNT, RECIPE))
    assert "Not measured yet." in text
    assert "The terms of base, data and teacher were not looked up." in text
    assert "a model that is not named" in text
    assert "records read" not in text
    text = card(ABOUT, MEASURED, GAPS)
    assert "Not measured yet." not in text
    assert "| style | length\\_correlation | undefined |  | 2 | 94 |  |" in text


def test_where_a_model_lies_is_not_told():
    places = ["/home/me/models/llama", "hf:/home/me/models/llama", "./models/llama", "a/b/llama"]
    for path in places:
        text = card(About(AMOUNT, RECIPE, path, path))
        assert "# llama on 20,480 tokens" in text
        assert "to answer as llama does" in text
        assert "models" not in text.split("## What it is not")[0].replace("a model", "")


def test_what_the_terms_forbid_is_said():
    text = card(ABOUT)
    assert text.count("The terms of chatgpt forbid training models that compete with it.") == 1
    assert "The terms of somebody/hc3 forbid commercial use." in text
    assert "Terms that are not known: of sharegpt." in text


NAMES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "---",
            "a\n---\nb",
            "| x |",
            "</td><script>alert(1)</script>",
            "`a`",
            "[x](y)",
            "*b*",
            "_a_",
            "# head",
            "1. one",
            "- item",
            "&amp;",
            "<!-- c",
            "~~s~~",
            "key: [",
            "'\"",
            "\\|",
            "a\u2028b",
            "\x00",
            "${x}",
            "```",
            "yes",
            "!!python/object",
            "http://a.b",
            "hf:../..",
        ]
    ),
)


@settings(deadline=None)
@given(NAMES, NAMES, NAMES, NAMES, NAMES)
def test_no_name_breaks_front_matter_or_page(base, teacher, source, licence, corpus):
    line = LedgerLine(
        source=source, teacher=teacher, licence=licence, records=1,
        compete="forbidden", commercial="forbidden", grounds=base,
    )  # fmt: skip
    stats = {"ledger": [line.model_dump()], "dropped": {corpus: 3}, "languages": {source: 3}}
    text = card(About(AMOUNT, RECIPE, base, teacher, corpus, stats, {"precision": licence}))
    assert front(text)["library_name"] == "transformers"
    shown, raw = prose(text)
    assert raw == []
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == [
        "What it is not", "How to use it", "Measurements", "Data", "Terms", "How it was trained",
    ]  # fmt: skip
    bare = "/" not in base and not base.startswith((".", "~", "hf:"))
    for name in (base, corpus) if bare else (corpus,):
        seen = "".join(c if c.isprintable() else " " for c in name)
        assert " ".join(seen.split()) in shown
    cells = [row for row in text.splitlines() if row.startswith("| ")]
    assert {len(re.split(r"(?<!\\)\|", row)) for row in cells if "forbidden" in row} == {9}


def test_its_example_runs(base, tmp_path, monkeypatch, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from veneer.models.chat import add_chat_tokens, fit_embeddings

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    fit_embeddings(model, tokenizer, add_chat_tokens(tokenizer), {})
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / AMOUNT.folder)
    code = re.search(r"```python\n(.*?)```", card(ABOUT), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    code = code.replace("max_new_tokens=200", "max_new_tokens=3, min_new_tokens=3")
    exec(code.replace("skip_special_tokens=True", "skip_special_tokens=False"), {})
    assert len(capsys.readouterr().out.split()) >= 1, "a random model says something"
