import gzip
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.filters import (
    answers_with_identity,
    answers_with_refusal,
    keep_language,
    language_of,
    reject_identity,
    reject_keywords,
    reject_refusals,
    tag_language,
)
from veneer.corpus.rows import batch_of
from veneer.errors import InputError

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def turns(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def batch(*dialogues, **columns):
    rows = [{"messages": turns(*d)} for d in dialogues]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return batch_of(rows)


def reasons(result):
    return result.column("reason").to_pylist()


# ---- language --------------------------------------------------------------------------------

LABELLED = {
    "en": [
        "How do I bake bread without yeast at home?",
        "Write an email to my landlord about the broken heating.",
        "WHAT IS THE TALLEST BUILDING IN EUROPE",
        "Explain why the sky\nis blue\nin three sentences.",
    ],
    "zh": ["怎样更好地实现身心健康？", "用代码来生成随机数", "我想要提高我的写作能力，该怎么做？"],
    "fr": ["Écris une lettre de motivation pour un poste de professeur de musique."],
    "de": ["Warum ist der Himmel blau und abends manchmal rot?"],
    "es": ["¿Cuáles son las ciudades más grandes de América del Sur?"],
    "ru": ["Напиши короткий рассказ о зиме в деревне."],
    "ja": ["日本の首都について教えてください。"],
    "ko": ["한국의 역사를 간단히 설명해 주세요."],
}


def test_languages_of_labelled_queries():
    for language, texts in LABELLED.items():
        for text in texts:
            assert tag_language(batch([text]))["language"].to_pylist() == [language], text


def test_no_text_has_no_language_and_is_kept():
    empty = batch([""], ["1 + 1 = ?"], ["🙂🙂"], ["```\n```"], [])
    tagged = tag_language(empty)
    assert tagged["language"].to_pylist() == [""] * 5
    assert reasons(keep_language(empty)) == [""] * 5
    assert language_of("") == ("", 0.0)
    assert language_of("12 + 30 = 42") == ("", 0.0)


def test_an_unsure_query_is_settled_by_its_answer():
    answer = "Of course, I can help you with that. What would you like to know about the topic?"
    assert tag_language(batch(["hi?", answer]))["language"].to_pylist() == ["en"]
    assert tag_language(batch(["add pdf", answer]))["language"].to_pylist() == ["en"]
    assert tag_language(batch(["add pdf"]))["language"].to_pylist() == [""]
    russian = "Конечно, я могу помочь вам с этим вопросом. Что вы хотите узнать об этой теме?"
    assert tag_language(batch(["ok", russian]))["language"].to_pylist() == ["ru"]


def test_latin_letters_are_no_russian_and_han_without_kana_is_no_japanese():
    assert language_of("add pdf")[1] == 0
    assert language_of("怎样更好地实现身心健康？")[0] == "zh"


def test_code_in_fences_and_links_say_nothing_of_the_language():
    code = "```python\nfor indice in range(10):\n    imprimir(variable, indice, resultado)\n```"
    asked = "Please explain what this program does and why it is so slow."
    assert language_of(f"{code}\n{asked}") == language_of(asked)
    assert language_of(f"{asked} https://exemple.fr/une-page-sur-la-musique") == language_of(asked)


def test_another_language_is_rejected_with_both_names_and_a_tag_is_respected():
    rows = batch(
        ["Warum ist der Himmel blau und abends manchmal rot?"],
        ["How do I bake bread without yeast at home?"],
        ["How do I bake bread without yeast at home?"],
        language=["", "", "nl"],
    )
    assert reasons(keep_language(rows)) == ["language: de, not en", "", "language: nl, not en"]
    assert reasons(keep_language(rows, "de")) == [
        "",
        "language: en, not de",
        "language: nl, not de",
    ]


@pytest.mark.parametrize("wrong", ["English", "EN", "", "e"])
def test_a_language_that_is_no_code_is_refused(wrong):
    with pytest.raises(InputError, match="code of a language"):
        keep_language(batch(["hello"]), wrong)


def test_a_confidence_that_is_none_is_refused():
    with pytest.raises(InputError, match="confidence"):
        tag_language(batch(["hello"]), 1.5)


def test_long_texts_are_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        tag_language(batch(["word " * 5000, "answer " * 5000]))
    assert caplog.records == []


def test_the_english_filter_on_real_dialogues_of_two_languages():
    path = DATA / "dialogues" / "moss003_sharegpt_raw.jsonl.gz"
    if not path.is_file():
        pytest.skip("the shared data is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line)["conversations"] for line in lines]
    found = keep_language(batch(*[[t["value"] for t in row] for row in rows]))
    assert abs(reasons(found).count("") - 166) <= 2


# ---- identity and refusals -------------------------------------------------------------------

NAMES_ITS_MAKER = [
    "As an AI language model trained by OpenAI, I do not have access to that.",
    "I'm sorry, but as an AI assistant, I cannot open files.",
    "I am ChatGPT, a large language model. How can I help?",
    "I’m Claude, made by Anthropic.",
    "My name is Vicuna, and I was trained by researchers from Large Model Systems Organization.",
    "I was developed by the team at Google DeepMind.",
    "I'm just an AI, so take this with caution.",
    "My knowledge cutoff is September 2021.",
    "I don't have personal opinions, but many people like it.",
    "I am a language model and cannot see pictures.",
    "Yes.\n\nI'm an AI chatbot created by OpenAI.",
    "作为一个人工智能语言模型，我不能回答。",
]
DOES_NOT = [
    "OpenAI is a company in San Francisco that released ChatGPT in 2022.",
    "GPT-4 is a large language model trained by its makers on text and code.",
    "I am happy to help. Here are five ideas.",
    "As an AI researcher, you would read papers every day.",
    "She said: I was made by my mother to eat spinach.",
    "Claude Monet was a French painter, and I am fond of his work.",
    "As an example, I would add salt.",
    "The assistant manager was trained by a colleague.",
    "Anthropic, OpenAI and Google compete for customers.",
    "I am an artist who works with clay.",
]


@pytest.mark.parametrize("text", NAMES_ITS_MAKER)
def test_an_answer_that_names_its_maker(text):
    assert reasons(reject_identity(batch(["Who are you?", text])))[0].startswith("identity: ")


@pytest.mark.parametrize("text", DOES_NOT)
def test_an_answer_about_makers_stays(text):
    assert reasons(reject_identity(batch(["Who are you?", text]))) == [""]


def test_a_question_that_names_a_maker_stays_and_a_later_answer_counts():
    assert reasons(reject_identity(batch(["I am ChatGPT, are you?", "No."]))) == [""]
    late = ["Hello", "Hello!", "Who are you?", "I am ChatGPT."]
    assert reasons(reject_identity(batch(late))) == ["identity: I am NAME"]


def test_identity_is_extended_by_patterns_of_the_user():
    rows = batch(["Who?", "I serve the House of Vega."], ["Who?", "Nobody."])
    assert reasons(reject_identity(rows)) == ["", ""]
    extended = reject_identity(rows, extra=["House of \\w+"])
    assert reasons(extended) == ["identity: House of \\w+", ""]
    with pytest.raises(InputError, match="Not a regular expression"):
        reject_identity(rows, extra=["(unclosed"])


def test_counting_rejects_nothing_and_agrees_with_rejecting():
    rows = batch(*[["Who are you?", text] for text in NAMES_ITS_MAKER + DOES_NOT])
    counted = answers_with_identity(rows)
    assert sum(counted.values()) == len(NAMES_ITS_MAKER)
    named = [reason.removeprefix("identity: ") for reason in reasons(reject_identity(rows))]
    assert counted == {name: named.count(name) for name in set(named) - {""}}
    out = batch(["Who?", "I am ChatGPT."], reason=["a query met before"])
    assert not answers_with_identity(out)


REFUSES = [
    "I'm sorry, but I cannot help with that.",
    "I am sorry, I can't share private information.",
    "Sorry, but I won't write that.",
    "I apologize, but I am unable to open links.",
    "I cannot assist with illegal activities.",
    "As an AI language model, I can't browse the web.",
    "I’m not able to view images.",
    "Unfortunately, I don't have access to real-time data.",
    "I must decline this request.",
    "很抱歉，我无法回答这个问题。",
]
ANSWERS = [
    "I'm sorry to hear that you feel unwell. Drink some water.",
    "Sorry for the delay! Here is the poem.",
    "You cannot divide by zero, so the result is undefined.",
    "I can't wait to show you this recipe: mix flour and water.",
    "The patient said: I cannot sleep at night.",
    "Sure. It is not possible to list all of them, but here are ten.",
    "Of course! I will not repeat the rules, only the changes.",
]


@pytest.mark.parametrize("text", REFUSES)
def test_a_refusal(text):
    assert reasons(reject_refusals(batch(["Do it.", text])))[0].startswith("refusal: ")


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_that_only_sounds_like_one_stays(text):
    assert reasons(reject_refusals(batch(["Do it.", text]))) == [""]


def test_refusals_are_counted():
    rows = batch(*[["Do it.", text] for text in REFUSES + ANSWERS])
    assert sum(answers_with_refusal(rows).values()) == len(REFUSES)


# ---- keywords --------------------------------------------------------------------------------


def test_words_are_whole_in_any_case_and_patterns_are_taken_as_they_are():
    rows = batch(
        ["Is a CAT nice?", "Yes."],
        ["Concatenate these.", "Done."],
        ["Tell me.", "The price is 30 EUR."],
        ["我喜欢北京大学", "好"],
        ["machine\n learning", "ok"],
    )
    found = reject_keywords(rows, ["cat", "北京", "Machine Learning"], [r"\d+ EUR"])
    assert reasons(found) == [
        "keyword: cat",
        "",
        r"keyword: \d+ EUR",
        "keyword: 北京",
        "keyword: Machine Learning",
    ]
    assert reasons(reject_keywords(rows, [], [r"\d+ eur"])) == [""] * 5
    assert reasons(reject_keywords(rows, ["c++"])) == [""] * 5
    assert reasons(reject_keywords(batch(["Use C++!", "no"]), ["c++"])) == ["keyword: c++"]


def test_where_keywords_are_looked_for():
    rows = batch(["red", "blue"], ["blue", "red"])
    assert reasons(reject_keywords(rows, ["red"], where="queries")) == ["keyword: red", ""]
    assert reasons(reject_keywords(rows, ["red"], where="answers")) == ["", "keyword: red"]
    assert reasons(reject_keywords(rows, ["red"])) == ["keyword: red"] * 2
    with pytest.raises(InputError, match="answer"):
        reject_keywords(rows, ["red"], where="answer")


@pytest.mark.parametrize(
    ("words", "patterns"), [([], ["[a-"]), ([], ["a*"]), ([" "], []), ([], [""])]
)
def test_keywords_that_cannot_be_used_are_refused(words, patterns):
    with pytest.raises(InputError):
        reject_keywords(batch(["a", "b"]), words, patterns)


# ---- all -------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from([*NAMES_ITS_MAKER, *REFUSES, *LABELLED["fr"], *LABELLED["zh"], "cat"]),
)
FILTERS = [
    tag_language,
    keep_language,
    reject_identity,
    reject_refusals,
    lambda rows: reject_keywords(rows, ["cat"], ["b+c"]),
]


@given(
    st.lists(
        st.tuples(st.lists(texts, max_size=4), st.sampled_from(["", "met before"])), max_size=6
    )
)
@settings(max_examples=60, deadline=None)
def test_filters_keep_rows_and_order_and_first_reasons(rows):
    given_rows = batch(*[r for r, _ in rows], reason=[reason for _, reason in rows])
    for each in FILTERS:
        result = each(given_rows)
        assert result.schema == given_rows.schema
        for name in set(result.schema.names) - {"reason", "language"}:
            assert result.column(name).equals(given_rows.column(name))
        for before, after in zip(reasons(given_rows), reasons(result), strict=True):
            assert after == before or not before
        assert each(result).equals(result)
