import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.curate import curate
from veneer.corpus.dedup import bare, folded
from veneer.corpus.mix import mix
from veneer.errors import InputError
from veneer.records import Answer, Dialogue, Dropped, Message, read_rows, write_rows


def dialogue(question, answer="yes"):
    return Dialogue(
        messages=(Message(role="user", content=question), Message(role="assistant", content=answer))
    )


def job(out, inputs, **params):
    out.mkdir()
    return SimpleNamespace(out=out, inputs=inputs, params=params, progress=lambda *_: None)


def curated(tmp_path, said, against=(), out="out", **params):
    """(kept, dropped, stats) of dialogues as the study's step curates them."""
    corpus = tmp_path / f"{out}-in"
    corpus.mkdir()
    write_rows(corpus / "corpus.jsonl", said)
    inputs = {"said": corpus}
    if against:
        inputs["against0"] = tmp_path / f"{out}-against.jsonl"
        rows = "".join(json.dumps({"text": text}) + "\n" for text in against)
        inputs["against0"].write_text(rows)
    curate(job(tmp_path / out, inputs, **params))
    return (
        list(read_rows(tmp_path / out / "corpus.jsonl", Dialogue)),
        list(read_rows(tmp_path / out / "dropped.jsonl", Dropped)),
        json.loads((tmp_path / out / "stats.json").read_text()),
    )


def said_in(dialogues):
    return [tuple((m.role, m.content) for m in d.messages) for d in dialogues]


def test_answers_become_a_corpus_and_the_counts_add_up(tmp_path):
    answers = tmp_path / "answers"
    answers.mkdir()
    write_rows(
        answers / "answers.jsonl",
        [
            Answer(prompt="Who ran?", text="The dog.", model="t", category="chat"),
            Answer(prompt=" who  RAN?", text="The cat.", model="t"),
            Answer(prompt="Why?", text="Because", model="t", outcome="truncated", reason="cut"),
            Answer(prompt="When?", text="", model="t", outcome="empty", reason="no words"),
            Answer(prompt="Where is the nest", text="Up.", model="t"),
            Answer(prompt="How?", text="So.", model="t"),
        ],
    )
    (tmp_path / "eval.jsonl").write_text('{"text": "where is the nest?"}\n')
    inputs = {"answers": answers, "against": tmp_path / "eval.jsonl"}
    curate(job(tmp_path / "out", inputs))
    rows = list(read_rows(tmp_path / "out" / "corpus.jsonl", Dialogue))
    assert [(r.query, r.messages[1].content) for r in rows] == [
        ("Who ran?", "The dog."),
        ("How?", "So."),
    ]
    assert rows[0].category == "chat"
    assert rows[1].category == ""
    assert rows[1].origin == "answers.jsonl:6"
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert stats["dropped"] == {
        "a query met before": 1,
        "answer empty": 1,
        "answer truncated": 1,
        "asks a question of the evaluation": 1,
    }
    assert stats["records"] == stats["kept"] + sum(stats["dropped"].values()) == 6
    assert stats["words"] == {"assistant": 3, "user": 3}
    assert stats["sources"]["t"]["kept"] == 2
    dropped = list(read_rows(tmp_path / "out" / "dropped.jsonl", Dropped))
    repeated = next(row for row in dropped if row.reason == "a query met before")
    assert repeated.text == "user:  who  RAN?\nassistant: The cat."
    assert repeated.origin == "answers.jsonl:2"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "card.md",
        "corpus.jsonl",
        "dropped.jsonl",
        "stats.json",
    ]


def test_tokens_are_counted_as_they_are_trained_on(tmp_path, tokenizer_folder):
    (tmp_path / "qa.jsonl").write_text('{"question": "who ran", "answer": "the dog"}\n')
    curate(job(tmp_path / "out", {"a": tmp_path / "qa.jsonl", "tokenizer": tokenizer_folder}))
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    # <|user|> who ran <|end|> <|assistant|> the dog <|end|>
    assert stats["tokens"] == {"all": 8, "learned": 3}


@pytest.fixture
def tokenizer_folder(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<unk>", "who", "ran", "the", "dog"])}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>").save_pretrained(folder)
    return folder


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no imitation data"):
        curate(job(tmp_path / "out", {"a": tmp_path}))


questions = st.lists(st.sampled_from(["A b?", "a  B?", "ａ b?", "c", "C", "d!"]), max_size=12)


@settings(max_examples=15, deadline=None)
@given(questions.filter(bool), st.sampled_from(["query", "pair", "none"]))
def test_deduplication_keeps_the_first_of_each(tmp_path_factory, asked, by):
    said = [dialogue(q, f"answer {i % 2}") for i, q in enumerate(asked)]
    kept, dropped, _ = curated(tmp_path_factory.mktemp("dedup"), said, dedup=by)
    assert len(kept) + len(dropped) == len(said)
    name = {
        "query": lambda d: folded(d.query),
        "pair": lambda d: tuple(folded(m.content) for m in d.messages),
        "none": id,
    }[by]
    first = {}
    for each in said:
        first.setdefault(name(each), each)
    assert said_in(kept) == said_in(first.values())


texts = st.sampled_from(["Who won?", "who  won", "“Who won”!", "Why?", "?!", "Ｗhy", "so it is"])
talks = st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(talks, st.lists(texts, min_size=1, max_size=2))
def test_no_kept_dialogue_asks_a_test_question(tmp_path_factory, talks, against):
    """Against a loop over all turns; a later turn can ask a test question too."""
    said = [
        Dialogue(
            messages=tuple(
                Message(role=role, content=text)
                for asked in talk
                for role, text in (("user", asked), ("assistant", f"answer {at}"))
            )
        )
        for at, talk in enumerate(talks)
    ]
    kept, _, stats = curated(tmp_path_factory.mktemp("tested"), said, against, dedup="none")
    tested = {bare(text) for text in against}
    fine = [d for d in said if all(bare(m.content) not in tested for m in d.messages[::2])]
    assert said_in(kept) == said_in(fine)
    if len(fine) < len(said):
        assert stats["dropped"] == {"asks a question of the evaluation": len(said) - len(fine)}


def test_options_go_over_what_a_study_gets_unasked(tmp_path):
    said = [dialogue("What is a cat?"), dialogue("what is a cat?"), dialogue("Nothing like it.")]
    kept, _, _ = curated(tmp_path, said, curation={"sameness": "exact"}, dedup="query")
    assert len(kept) == 3
    nearly = ["What is a cat in a large house made of stone and wood?"]
    said = [dialogue("What is a cat in a large house made of stone and glass?"), dialogue("No.")]
    assert len(curated(tmp_path, said, nearly, "equal")[0]) == 2
    kept, dropped, _ = curated(
        tmp_path, said, nearly, "nearly", curation={"decontaminate": {"bleu": 0.2}}
    )
    assert said_in(kept) == said_in(said[1:])
    assert [row.reason for row in dropped] == ["asks nearly a question of the evaluation"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dedup": "fuzzy"}, "query, pair, none"),
        ({"curation": {"langauge": "en"}}, "Did you mean 'language'"),
        ({"curation": {"decontaminate": {"belu": 0.2}}}, "Did you mean 'bleu'"),
        ({"curation": {"decontaminate": {"bleu": 20}}}, "decontaminate.bleu cannot be 20"),
    ],
)
def test_options_that_cannot_be_used(tmp_path, params, message):
    with pytest.raises(InputError) as caught:
        curated(tmp_path, [dialogue("a")], **params)
    assert message in str(caught.value)


def replay_job(tmp_path, ratio, seed=0, out="mixed"):
    corpus = tmp_path / "corpus"
    corpus.mkdir(exist_ok=True)
    write_rows(corpus / "corpus.jsonl", [dialogue("one two three", "four five")] * 4)
    texts = [f"{i} " * (i % 3 + 1) for i in range(30)]
    (tmp_path / "replay.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    inputs = {"corpus": corpus, "replay": tmp_path / "replay.jsonl"}
    mix(job(tmp_path / out, inputs, ratio=ratio, seed=seed))
    return list(read_rows(tmp_path / out / "corpus.jsonl", Dialogue))


def test_replay_is_mixed_one_to_one_by_words(tmp_path):
    rows = replay_job(tmp_path, 1.0)
    plain = [r for r in rows if r.source == "replay"]
    assert rows[:4] == [dialogue("one two three", "four five")] * 4
    assert rows[4:] == plain
    assert all([m.role for m in r.messages] == ["assistant"] for r in plain)
    words = sum(len(r.messages[0].content.split()) for r in plain)
    assert 20 <= words <= 22
    stats = json.loads((tmp_path / "mixed" / "stats.json").read_text())
    assert stats["ratio"] == words / 20
    more = replay_job(tmp_path, 2.0, out="more")
    assert more[: len(rows)] == rows
    assert replay_job(tmp_path, 1.0, seed=1, out="other") != rows


def test_too_little_to_replay(tmp_path):
    with pytest.raises(InputError, match="asks for 2,000 words of replayed text; there are 60"):
        replay_job(tmp_path, 100)
