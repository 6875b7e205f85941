import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.pipeline import Curation, curate_files
from veneer.errors import InputError
from veneer.models.asking import Reply
from veneer.records import Dialogue, Dropped, read_rows

PLAIN = {"diversity": 0, "decontaminate": {"bleu": None}}


def talk(*texts, **fields):
    roles = ["human", "gpt"] * len(texts)
    turns = [{"from": r, "value": t} for r, t in zip(roles, texts, strict=False)]
    return {"conversations": turns, **fields}


def write(path, records):
    lines = [each if isinstance(each, str) else json.dumps(each) for each in records]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def results(out):
    return (
        list(read_rows(out / "corpus.jsonl", Dialogue)),
        list(read_rows(out / "dropped.jsonl", Dropped)),
        json.loads((out / "stats.json").read_text()),
    )


def curated(tmp, records, against=None, **options):
    file = write(tmp / "talks.jsonl", records)
    tests = [write(tmp / "test.jsonl", against)] if against else []
    chosen = Curation.model_validate({**PLAIN, **options})
    stats = curate_files([file], tmp / "out", settings=chosen, against=tests)
    kept, dropped, written = results(tmp / "out")
    assert stats == written
    return kept, dropped, stats


# ---- every record is accounted for ----------------------------------------------------------

words = st.sampled_from(
    ["", " ", "who ran?", "Who ran?", "the dog", "forbidden fruit", "I am ChatGPT.", "a b c d e"]
)
records = st.one_of(
    st.lists(words, max_size=6).map(lambda texts: talk(*texts)),
    st.lists(words, max_size=4).map(
        lambda texts: {"conversations": talk("a", *texts)["conversations"][1:]}
    ),
    words.map(lambda text: {"instruction": text, "output": "x"}),
    st.sampled_from(
        [
            '{"conversations": [',
            "not json",
            "[]",
            "3",
            '{"other": 1}',
            talk("who ran?", "the dog", source="elsewhere"),
            {"question": "q", "human_answers": ["h"], "chatgpt_answers": ["one", "two", "three"]},
            {"conversations": [{"from": "function_call", "value": "f()"}]},
        ]
    ),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(records, min_size=1, max_size=12),
    st.fixed_dictionaries(
        {
            "split": st.sampled_from([None, 4]),
            "identity": st.booleans(),
            "keywords": st.sampled_from([(), ("forbidden",)]),
            "dedup": st.sampled_from(["query", "pair", "none"]),
            "sameness": st.sampled_from(["exact", "folded"]),
        }
    ),
)
def test_every_record_is_kept_or_dropped_with_a_reason(tmp_path_factory, given_records, options):
    good = talk("a question", "an answer")  # a file without any record is another matter
    kept, dropped, stats = curated(
        tmp_path_factory.mktemp("all"), [good, *given_records], ['{"text": "the dog"}'], **options
    )
    gone = [row for row in dropped if row.unit == "record"]
    cut = [row for row in dropped if row.unit == "turn"]
    assert stats["records"] == 1 + len(given_records)
    assert stats["kept"] == len(kept)
    assert stats["dropped"] == dict(sorted(Counter(row.reason for row in gone).items()))
    assert stats["trimmed"] == dict(sorted(Counter(row.reason for row in cut).items()))
    assert stats["records"] + stats["split_off"] == len(kept) + len(gone)
    numbers = {row.origin.split(":")[1].split("#")[0].split(".")[0] for row in [*kept, *gone]}
    assert numbers == {str(n) for n in range(1, 2 + len(given_records))}
    for name in ("records", "split_off", "kept"):
        assert sum(each[name] for each in stats["sources"].values()) == stats[name]
    by_source = Counter(row.source for row in gone)
    for name, each in stats["sources"].items():
        assert sum(each["dropped"].values()) == by_source[name]
    left = stats["records"] + stats["split_off"]
    for stage in stats["funnel"]:
        left -= sum(stage["dropped"].values())
        assert stage["kept"] == left
    assert left == stats["kept"]
    assert sum(line["records"] for line in stats["ledger"]) == stats["kept"]
    assert all(row.reason for row in dropped)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 20))
def test_splitting_loses_no_turn(tmp_path_factory, sizes, limit):
    texts = [f"t{at}" + " w" * (size - 1) for at, size in enumerate(sizes)]
    asked = [*texts, "the end"] if len(texts) % 2 else texts
    kept, dropped, stats = curated(
        tmp_path_factory.mktemp("split"), [talk(*asked), talk("other", "one")], split=limit
    )
    assert not dropped
    assert [m.content for row in kept[:-1] for m in row.messages] == asked
    assert stats["split_off"] == len(kept) - 2
    for row in kept:
        size = sum(len(m.content.split()) for m in row.messages)
        assert size <= limit or len(row.messages) == 2


def test_pieces_of_a_conversation_share_its_fate(tmp_path):
    """ "go on" begins many a later piece; that is no reason to drop it, a repeated head is."""
    first = talk("tell a story", "once upon", "go on", "a time", "go on", "the end")
    other = talk("write a poem", "roses are", "go on", "all red")
    kept, dropped, stats = curated(tmp_path, [first, other, first], split=4)
    assert [row.origin for row in kept] == [
        "talks.jsonl:1",
        "talks.jsonl:1#2",
        "talks.jsonl:1#3",
        "talks.jsonl:2",
        "talks.jsonl:2#2",
    ]
    assert [row.origin for row in dropped] == [
        "talks.jsonl:3",
        "talks.jsonl:3#2",
        "talks.jsonl:3#3",
    ]
    assert {row.reason for row in dropped} == {"a query met before"}
    assert (stats["records"], stats["split_off"]) == (3, 5)


# ---- what goes, and at which stage -----------------------------------------------------------


def test_the_funnel_drops_at_the_first_filter_that_rejects(tmp_path):
    text = "The quick brown fox jumps over the lazy dog near the old river bank"
    rows = [
        talk("How do I bake a loaf of bread at home?", "With flour and water, in an oven."),
        talk("Wie backe ich zu Hause ein Brot, das wirklich gut ist?", "Mit Mehl und Wasser."),
        talk("Who are you, and who made you, my friend?", "I am ChatGPT, made by OpenAI."),
        talk("What about the forbidden thing in that old story?", "It is only a thing in it."),
        talk("How do I bake a loaf of bread at home?", "I would buy one in the shop instead."),
        talk(f"Please translate this sentence: {text} today", "I will do that for you now."),
        talk(f"Please translate this sentence: {text} today.", "I will do that for you later."),
        talk("What is the capital city of the country of France?", "It is Paris, of course."),
        "no record",
    ]
    kept, dropped, stats = curated(
        tmp_path,
        rows,
        ['{"id": "e1", "prompt": "what is the capital city of the country of France"}'],
        language="en",
        identity=True,
        keywords=["forbidden"],
        near_duplicates=0.8,
    )
    assert [row.origin.split(":")[1] for row in kept] == ["1", "6"]
    stages = {stage["stage"]: stage["dropped"] for stage in stats["funnel"]}
    assert stages["language"] == {"language: de, not en": 1}
    assert list(stages["identity"].values()) == [1]
    assert stages["keywords"] == {"keyword: forbidden": 1}
    assert stages["deduplication"] == {"a query met before": 1}
    assert stages["near-duplicates"] == {"resembles a query met before": 1}
    assert stages["decontamination"] == {"asks a question of the evaluation": 1}
    assert sum(stages["import"].values()) == 1
    assert stats["decontamination"]["test.jsonl"] == {"n": 1, "identical": 0, "asked": 1}
    assert [row.reason for row in dropped][-1].startswith("not JSON")


def test_the_evaluation_can_give_way_instead(tmp_path):
    """The paper's footnote 3: the corpus stays, evaluation queries above 20 % go."""
    rows = [talk("Name the three primary colours of light", "Red, green and blue.")]
    tests = [
        {"id": 7, "prompt": "Name the three primary colours of paint"},
        {"id": 8, "prompt": "How tall is a giraffe?"},
    ]
    asked = {"bleu": 0.2, "remove": "evaluation"}
    kept, _, stats = curated(tmp_path, rows, tests, decontaminate=asked)
    assert len(kept) == 1
    clean = [json.loads(line) for line in (tmp_path / "out/evaluation-clean.jsonl").open()]
    removed = [json.loads(line) for line in (tmp_path / "out/contaminated.jsonl").open()]
    assert clean == tests[1:]
    assert [row["id"] for row in removed] == ["7"]
    from sacrebleu import sentence_bleu

    bleu = sentence_bleu(tests[0]["prompt"], [rows[0]["conversations"][0]["value"]]).score
    assert removed[0]["bleu"] == pytest.approx(bleu, abs=1e-9)
    assert stats["decontamination"]["test.jsonl"]["ids"] == ["7"]


def test_two_evaluation_files_of_one_name(tmp_path):
    for folder, text in (("a", "who ran?"), ("b", "who sat?")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "test.jsonl", [{"text": text}])
    talks = write(tmp_path / "talks.jsonl", [talk("Who ran", "x"), talk("who sat?", "y")])
    tests = [tmp_path / folder / "test.jsonl" for folder in ("a", "b")]
    options = Curation.model_validate(PLAIN)
    stats = curate_files([talks], tmp_path / "out", settings=options, against=tests)
    assert stats["kept"] == 0
    assert stats["decontamination"] == {
        "test.jsonl": {"n": 1, "identical": 0, "asked": 1},
        "test.jsonl (2)": {"n": 1, "identical": 1, "asked": 1},
    }


def test_a_set_of_queries_is_measured_though_nothing_is_kept(tmp_path):
    rows = [{"conversations": [{"from": "human", "value": q}]} for q in ("a b c", "", "a b c", "d")]
    kept, dropped, stats = curated(tmp_path, rows, ['{"text": "a b c"}'], diversity=10)
    assert (kept, len(dropped)) == ([], 4)
    assert stats["query_set"]
    assert "set of queries" in stats["note"]
    assert stats["queries"] == {"records": 4, "empty": 1, "unique": 2}
    assert stats["imported"]["talks"]["unique_queries"] == 3
    assert stats["decontamination"]["test.jsonl"]["identical"] == 1
    assert stats["diversity"]["of"] == 2


def test_one_data_set_under_two_names(tmp_path):
    rows = [talk(f"question {n}", "answer") for n in range(5)]
    files = [write(tmp_path / "one.jsonl", rows), write(tmp_path / "two.jsonl", rows)]
    stats = curate_files(files, tmp_path / "out", settings=Curation.model_validate(PLAIN))
    assert stats["kept"] == 5
    assert stats["sources"]["two"]["dropped"] == {"a query met before": 5}
    assert stats["repeats"] == [{"source": "two", "repeats": "one", "rows": 5}]
    (tmp_path / "more").mkdir()
    twin = write(tmp_path / "more" / "one.jsonl", rows[:2])
    stats = curate_files([files[0], twin], tmp_path / "again", settings=Curation(diversity=0))
    assert stats["sources"]["one-2"]["dropped"] == {"a query met before": 2}


def test_progress_never_goes_back(tmp_path):
    files = [
        write(tmp_path / f"{name}.jsonl", [talk(f"{name} {n}", "answer") for n in range(1500)])
        for name in ("one", "two")
    ]
    told = []
    curate_files(
        files,
        tmp_path / "out",
        settings=Curation.model_validate(PLAIN),
        progress=lambda done, total, note: told.append((done / total, note)),
    )
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len({share for share in shares if share < 0.6}) >= 3
    assert any("records" in note and "a second" in note for _, note in told)


# ---- mistakes --------------------------------------------------------------------------------


def test_mistakes_are_named(tmp_path):
    plain = Curation.model_validate(PLAIN)
    file = write(tmp_path / "a.jsonl", [talk("a", "b")])
    missing = tmp_path / "missing.jsonl"
    bad = write(tmp_path / "bad.jsonl", ['{"number": 3}'])
    with pytest.raises(InputError, match="No file to curate"):
        curate_files([], tmp_path / "out", settings=plain)
    with pytest.raises(InputError, match=r"missing\.jsonl does not exist"):
        curate_files([missing], tmp_path / "out", settings=plain)
    with pytest.raises(InputError, match=r"missing\.jsonl does not exist"):
        curate_files([file], tmp_path / "out", settings=plain, against=[missing])
    with pytest.raises(InputError, match="no text in it"):
        curate_files([file], tmp_path / "out", settings=plain, against=[bad])
    with pytest.raises(InputError, match="no back end 'spark'"):
        curate_files([file], tmp_path / "out", settings=plain, backend="spark")


# ---- a judge in the place of rules -----------------------------------------------------------


class Judge:
    """Calls everything with a "?" a question, and mumbles about the rest."""

    name = "judge"

    def __init__(self):
        self.asked = []

    def ask(self, asks, *, max_new_tokens, temperature=0.0, seed=0, progress=None):
        self.asked += [ask.messages[0].content for ask in asks]
        return [Reply("General QA" if "why?" in text else "hm, hard") for text in self.asked]


def test_categories_by_a_judge_model(tmp_path):
    rows = [talk("why?", "so"), talk("sing", "la"), talk("why?", "again")]
    rows += [json.dumps({"question": "list it", "answer": "a", "category": "Chat"})]
    file = write(tmp_path / "a.jsonl", rows)
    judge = Judge()
    settings = Curation(diversity=0)
    stats = curate_files([file], tmp_path / "out", settings=settings, category_judge=judge)
    assert stats["categories"] == {"": 1, "Chat": 1, "General QA": 1}
    assert stats["unlabelled"] == {"unparsed": 1}
    assert len(judge.asked) == 2, "neither what is dropped nor what is labelled is asked about"
    kept = list(read_rows(tmp_path / "out" / "corpus.jsonl", Dialogue))
    assert [d.category for d in kept] == ["General QA", "", "Chat"]
    assert "could not be settled" in (tmp_path / "out" / "card.md").read_text()
    again = curate_files([file], tmp_path / "out", settings=settings, category_judge=judge)
    assert again == stats
    assert len(judge.asked) == 2
