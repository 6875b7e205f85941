import csv
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.teacher.pool import read_pool


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_known_form_of_a_prompt(tmp_path):
    path = write(
        tmp_path / "mine.v2.jsonl",
        {"text": "one", "category": "c", "source": "elsewhere", "licence": "CC0"},
        {"prompt": "two", "license": "MIT"},
        {"question": "three"},
        {"query": "four"},
        {"instruction": "five", "input": "with this"},
        {"instruction": "six", "input": " "},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "seven"}]},
        {"conversations": [{"from": "human", "value": "eight"}, {"from": "gpt", "value": "x"}]},
        {"turns": ["nine", "later"]},
        "ten",
    )
    pool = read_pool(path)
    assert [p.text for p in pool.prompts] == [
        "one",
        "two",
        "three",
        "four",
        "five\nwith this",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
    ]
    first, second = pool.prompts[:2]
    assert (first.category, first.source, first.licence) == ("c", "elsewhere", "CC0")
    assert (second.source, second.licence) == ("mine", "MIT")
    assert pool.broken == []


def test_broken_rows_are_named_and_counts_add_up(tmp_path):
    path = tmp_path / "dirty.jsonl"
    path.write_text(
        '{"text": "good"}\n\n{"text": "half\n{"text": ""}\n{"answer": "x"}\n17\n'
        '{"messages": [{"role": "assistant", "content": "a"}]}\n{"messages": "m"}\n'
        '{"messages": [4]}\n{"messages": [{"role": "user", "content": null}]}\n{"text": "good"}\n'
    )
    pool = read_pool(path)
    assert [p.text for p in pool.prompts] == ["good"]
    assert [(d.origin, d.reason.split(":")[0]) for d in pool.broken] == [
        ("dirty.jsonl:3", "not JSON"),
        ("dirty.jsonl:4", "an empty question"),
        ("dirty.jsonl:5", "no known field"),
        ("dirty.jsonl:6", "neither text nor an object"),
        ("dirty.jsonl:7", "no user turn"),
        ("dirty.jsonl:8", "turns are no list"),
        ("dirty.jsonl:9", "a turn that is neither text nor an object"),
        ("dirty.jsonl:10", "a user turn that is no text"),
    ]
    assert pool.broken[0].text == '{"text": "half'
    assert pool.rows == 10 == len(pool.prompts) + pool.repeats + len(pool.broken)


def test_a_text_met_twice_is_asked_once_and_counted_under_both_sources(tmp_path):
    one = write(tmp_path / "one.jsonl", {"text": "same"}, {"text": "mine"})
    two = write(tmp_path / "two.jsonl", {"text": "same", "licence": "MIT"}, {"text": "same"})
    pool = read_pool(one, two)
    assert [(p.text, p.source) for p in pool.prompts] == [("same", "one"), ("mine", "one")]
    assert pool.counts() == {
        "rows": 4,
        "prompts": 2,
        "repeats": 2,
        "broken": {},
        "sources": [
            {"source": "one", "licence": "", "rows": 2},
            {"source": "two", "licence": "", "rows": 1},
            {"source": "two", "licence": "MIT", "rows": 1},
        ],
    }


lines = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(lines, min_size=1, max_size=6, unique=True),
    st.sampled_from(["jsonl", "json", "csv", "txt"]),
    st.booleans(),
)
def test_one_pool_in_every_kind_of_file(tmp_path_factory, texts, kind, zipped):
    path = tmp_path_factory.mktemp("pool") / f"p.{kind}"
    if kind == "json":
        path.write_text(json.dumps([{"text": t} for t in texts]), encoding="utf-8")
    elif kind == "jsonl":
        write(path, *({"text": t} for t in texts))
    elif kind == "txt":
        path.write_text("\n".join(texts), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([["id", "text"], *([i, t] for i, t in enumerate(texts))])
    if zipped:
        data = gzip.compress(path.read_bytes())
        path = path.with_name(path.name + ".gz")
        path.write_bytes(data)
    assert [p.text for p in read_pool(path).prompts] == texts


def test_files_that_cannot_be_a_pool(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_pool(tmp_path / "none.jsonl")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match="no record that can be read: line 1: not UTF-8"):
        read_pool(tmp_path / "latin.txt")
    write(tmp_path / "empty.jsonl", {"answer": "x"})
    with pytest.raises(InputError, match=r"no prompt in .*empty.jsonl:1: no known field"):
        read_pool(tmp_path / "empty.jsonl")


def test_a_file_that_breaks_off_gives_what_it_holds(tmp_path):
    (tmp_path / "bad.json").write_text('[{"text": "a"}, {"te')
    pool = read_pool(tmp_path / "bad.json")
    assert [p.text for p in pool.prompts] == ["a"]
    assert pool.broken[0].text == '{"te'
    assert pool.rows == 1 + len(pool.broken)
    (tmp_path / "ragged.csv").write_text("text,x\na,b\nc\n")
    pool = read_pool(tmp_path / "ragged.csv")
    assert [p.text for p in pool.prompts] == ["a"]
    assert [(d.origin, d.source, d.text) for d in pool.broken] == [("ragged.csv:2", "ragged", "c")]
