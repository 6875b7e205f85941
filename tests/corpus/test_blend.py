import json
import tempfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.blend import blend, interleaved, until, whole_weights
from veneer.errors import InputError
from veneer.records import Dialogue, Message, read_rows, write_rows


def dialogue(number, words):
    said = Message(role="assistant", content=" ".join(["w"] * (words - 1)))
    return Dialogue(messages=(Message(role="user", content=f"q{number}"), said), source="s")


def blended(tmp, sizes, shares, seed=0, budget=None, name="out"):
    inputs = {}
    for corpus, lengths in sizes.items():
        folder = tmp / corpus
        folder.mkdir(exist_ok=True)
        rows = [dialogue(f"{corpus}{i}", n) for i, n in enumerate(lengths)]
        write_rows(folder / "corpus.jsonl", rows)
        inputs[corpus] = folder
    out = tmp / name
    out.mkdir()
    params = {"shares": shares, "seed": seed, "budget": budget}
    blend(SimpleNamespace(out=out, inputs=inputs, params=params, progress=lambda *_: None))
    stats = json.loads((out / "stats.json").read_text())
    return [json.loads(line) for line in (out / "corpus.jsonl").open()], stats


lengths = st.lists(st.integers(1, 30), min_size=1, max_size=25)
mixtures = st.lists(st.tuples(lengths, st.integers(1, 9)), min_size=1, max_size=4)


@given(mixtures)
def test_the_ratio_holds_in_every_prefix(mixture):
    sizes, weights = [s for s, _ in mixture], [w for _, w in mixture]
    whole, used, total = sum(weights), [0] * len(sizes), 0
    largest = [max(each) for each in sizes]
    over = [(1 - Fraction(w, whole)) * m for w, m in zip(weights, largest, strict=True)]
    order = list(interleaved(sizes, weights))
    for corpus, place in order:
        used[corpus] += sizes[corpus][place]
        total += sizes[corpus][place]
        for k in range(len(sizes)):
            off = used[k] - Fraction(weights[k], whole) * total
            assert -(sum(over) - over[k]) <= off <= over[k]
    # each corpus is taken from its beginning, and the mixture ends only where one is used up
    taken = [[place for corpus, place in order if corpus == k] for k in range(len(sizes))]
    assert all(places == list(range(len(places))) for places in taken)
    assert any(len(places) == len(size) for places, size in zip(taken, sizes, strict=True))


@given(mixtures, st.integers(1, 200), st.integers(1, 200))
def test_a_larger_budget_begins_with_the_smaller_ones_documents(mixture, one, other):
    sizes, weights = [s for s, _ in mixture], [w for _, w in mixture]
    small, large = (
        list(until(interleaved(sizes, weights), sizes, budget)) for budget in sorted((one, other))
    )
    assert large[: len(small)] == small
    reached = sum(sizes[c][d] for c, d in small)
    everything = list(interleaved(sizes, weights))
    assert reached >= min(one, other) or small == everything


@settings(deadline=None, max_examples=15)
@given(lengths.map(lambda each: [n + 1 for n in each]), st.integers(0, 3))
def test_the_file_is_the_order_of_the_seed(sizes, seed):
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        many = {"broad": sizes * 3, "local": sizes}
        rows, stats = blended(tmp, many, {"broad": 3, "local": 1}, seed)
        again, _ = blended(tmp, many, {"broad": 3, "local": 1}, seed, name="again")
        assert rows == again
        part, _ = blended(tmp, many, {"broad": 3, "local": 1}, seed, stats["total"] // 2, "part")
        assert rows[: len(part)] == part
        assert len({row["messages"][0]["content"] for row in rows}) == len(rows)
        words = sum(len(m["content"].split()) for row in rows for m in row["messages"])
        assert words == stats["total"] == sum(c["used"] for c in stats["corpora"].values())
        for corpus in stats["corpora"].values():
            assert corpus["most_ahead_in_a_prefix"] <= corpus["bound"] + 1e-9


def test_removing_a_document_leaves_the_order_of_the_others(tmp_path):
    rows, _ = blended(tmp_path, {"a": [5] * 20}, {"a": 1})
    asked = [row["messages"][0]["content"] for row in rows]
    fewer = [dialogue(f"a{i}", 5) for i in range(20) if i != 7]
    write_rows(tmp_path / "fewer.jsonl", fewer)
    out = tmp_path / "fewer"
    out.mkdir()
    params = {"shares": {"a": 1}, "seed": 0}
    inputs = {"a": tmp_path / "fewer.jsonl"}
    blend(SimpleNamespace(out=out, inputs=inputs, params=params, progress=lambda *_: None))
    left = [row.query for row in read_rows(out / "corpus.jsonl", Dialogue)]
    assert left == [each for each in asked if each != "qa7"]
    assert left != sorted(left)


def test_texts_are_replayed(tmp_path):
    write_rows(tmp_path / "a.jsonl", [dialogue(i, 10) for i in range(9)])
    texts = "".join(json.dumps({"text": f"page {i} of it"}) + "\n" for i in range(50))
    (tmp_path / "pages.jsonl").write_text(texts)
    (tmp_path / "out").mkdir()
    inputs = {"a": tmp_path / "a.jsonl", "replay": tmp_path / "pages.jsonl"}
    params = {"shares": {"a": 1, "replay": 1}, "seed": 3}
    job = SimpleNamespace(
        out=tmp_path / "out", inputs=inputs, params=params, progress=lambda *_: None
    )
    blend(job)
    rows = list(read_rows(tmp_path / "out" / "corpus.jsonl", Dialogue))
    plain = [row for row in rows if row.source == "replay"]
    assert all([m.role for m in row.messages] == ["assistant"] for row in plain)
    assert abs(4 * len(plain) - 10 * (len(rows) - len(plain))) <= 10
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "corpus.jsonl",
        "stats.json",
    ]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "no shares"),
        ({"a": 0}, "no shares"),
        ({"a": 1, "b": float("nan")}, "no shares"),
        ({"b": 1}, r"Shares are given for \['b'\]"),
    ],
)
def test_shares_that_cannot_be_used(tmp_path, shares, message):
    with pytest.raises(InputError, match=message):
        blended(tmp_path, {"a": [4]}, shares)


def test_too_little_for_the_budget(tmp_path):
    with pytest.raises(InputError, match="ends after 10 words; 50 were asked for"):
        blended(tmp_path, {"a": [5, 5]}, {"a": 1}, budget=50)


def test_shares_are_exact():
    assert whole_weights({"a": 0.3, "b": 0.7}) == {"a": 3, "b": 7}


def test_shares_by_tokens(tmp_path):
    """Counted by hand: <|user|> q <|end|> <|assistant|> w… <|end|>, and plain text as it is."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<unk>": 0, "w": 1}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>").save_pretrained(
        tmp_path / "tokenizer"
    )
    write_rows(tmp_path / "a.jsonl", [dialogue(i, 6) for i in range(4)])
    pages = "".join(json.dumps({"text": "w " * 10}) + "\n" for _ in range(3))
    (tmp_path / "pages.jsonl").write_text(pages)
    (tmp_path / "out").mkdir()
    inputs = {name: tmp_path / f"{name}.jsonl" for name in ("a", "pages")}
    inputs["tokenizer"] = tmp_path / "tokenizer"
    params = {"shares": {"a": 1, "pages": 1}, "seed": 0, "unit": "tokens"}
    out = tmp_path / "out"
    blend(SimpleNamespace(out=out, inputs=inputs, params=params, progress=lambda *_: None))
    stats = json.loads((out / "stats.json").read_text())
    assert stats["unit"] == "tokens"
    assert stats["corpora"]["a"]["used"] == 10 * stats["corpora"]["a"]["documents"]
    assert stats["corpora"]["pages"]["used"] == 10 * stats["corpora"]["pages"]["documents"]
    assert stats["corpora"]["pages"]["documents"] == 3
    params = {"shares": {"a": 1}, "seed": 0, "unit": "letters"}
    with pytest.raises(InputError, match="'letters'"):
        blend(
            SimpleNamespace(
                out=out, inputs={"a": tmp_path / "a.jsonl"}, params=params, progress=None
            )
        )
