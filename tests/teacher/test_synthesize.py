import json
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.teacher.synthesize import (
    ROUND,
    generate_pairs,
    parse_pairs,
    read_seeds,
    request,
    synthesize,
)

TABLE_3 = [
    ("who sang who wants to be a millionaire in high society?", "Frank Sinatra"),
    ("the last time la dodgers won the world series?", "1988"),
    ("who plays the medical examiner on hawaii five-o?", "Masi Oka"),
    ("when did the first harry potter movie come out?", "2001"),
    ("when was the last time india won a gold medal in hockey at olympics", "1980"),
    ("who owns the rights to baby shark song", "SmartStudy"),
]


class Writer:
    """Stands for the teacher: writes three pairs a reply out of `variety` possible ones."""

    def __init__(self, variety):
        self.variety, self.prompts = variety, []

    def answer(self, prompts, *, max_new_tokens, temperature, seed, progress=None):
        assert temperature == 1.0
        self.prompts += prompts
        rng = random.Random(seed)
        return [
            SimpleNamespace(
                text="\n".join(
                    f"Q: question {n}\nA: answer {n}"
                    for n in (rng.randrange(self.variety) for _ in range(3))
                ),
                finish="stop",
            )
            for _ in prompts
        ]


def test_the_request_is_the_papers_table_4():
    assert request(TABLE_3[:5]) == (
        "I want you to generate a series of questions and answers. I want the answers to be "
        "concise, just a few words. The questions should be lowercased and centered around "
        "Wikipedia-like entities. For example,\n"
        "Q: who sang who wants to be a millionaire in high society?\nA: Frank Sinatra\n"
        "Q: the last time la dodgers won the world series?\nA: 1988\n"
        "Q: who plays the medical examiner on hawaii five-o?\nA: Masi Oka\n"
        "Q: when did the first harry potter movie come out?\nA: 2001\n"
        "Q: when was the last time india won a gold medal in hockey at olympics\nA: 1980"
    )


def test_it_stops_at_the_count():
    model = Writer(variety=10_000)
    drawn = generate_pairs(model, TABLE_3, count=100, requests=1000)
    assert len(drawn.kept) == len(set(drawn.kept)) == 100
    counts = drawn.counts()
    assert counts["ended_by"] == "count"
    assert counts["requests"] == len(model.prompts) == ROUND
    assert counts["raw"] == 3 * ROUND == counts["kept"] + sum(counts["dropped"].values())
    assert len(set(model.prompts)) > ROUND // 2
    for prompt in model.prompts:
        shown = parse_pairs(prompt.split("For example,\n")[1])[0]
        assert len(set(shown)) == 5
        assert set(shown) <= set(TABLE_3)


def test_it_stops_at_the_cap_when_the_teacher_runs_out():
    model = Writer(variety=20)
    drawn = generate_pairs(model, TABLE_3, count=100, requests=100)
    assert sorted(drawn.kept) == sorted((f"question {n}", f"answer {n}") for n in range(20))
    assert drawn.counts() == {
        "requests": 100,
        "raw": 300,
        "kept": 20,
        "dropped": {"duplicate pair": 280},
        "ended_by": "requests",
    }


def test_the_same_seed_writes_the_same_pairs():
    same = [generate_pairs(Writer(500), TABLE_3, count=50, requests=99, seed=s) for s in (1, 1, 2)]
    assert same[0] == same[1]
    assert same[0].kept != same[2].kept


def test_parsing_what_teachers_write():
    reply = (
        "Sure! Here are some more:\n"
        "Q: who wrote it?\nA: Ann\n\n"
        "2. Q: where is it\n3. A: Rome\n"
        "Q: lost\nQ: why?\nA:\nA: alone\n"
        "Q: last"
    )
    pairs, broken = parse_pairs(reply)
    assert pairs == [("who wrote it?", "Ann"), ("where is it", "Rome")]
    assert [reason for reason, _ in broken] == [
        "neither a question nor an answer",
        "question without an answer",
        "empty question or answer",
        "answer without a question",
        "question without an answer",
    ]


def test_a_reply_that_was_cut_loses_its_last_line_only():
    pairs, broken = parse_pairs("Q: a\nA: b\nQ: c\nA: hal", cut_off=True)
    assert pairs == [("a", "b")]
    assert broken == [("cut off at the token limit", "Q: c\nA: hal")]


plain = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(plain, plain), max_size=8))
def test_written_pairs_are_read_back(pairs):
    assert parse_pairs("\n".join(f"Q: {q}\nA: {a}" for q, a in pairs)) == (pairs, [])


@given(st.text(st.sampled_from("QA:1. \nab"), max_size=60), st.booleans())
def test_every_line_is_accounted_for(reply, cut_off):
    pairs, broken = parse_pairs(reply, cut_off)
    told = sum(2 for _ in pairs) + sum(1 + text.count("\n") for _, text in broken)
    assert told == sum(1 for line in reply.splitlines() if line.strip())


def test_repeating_a_seed_is_not_new():
    class Parrot(Writer):
        def answer(self, prompts, **kwargs):
            return [
                SimpleNamespace(
                    text="Q: WHO owns the rights to baby shark  song\nA: smartstudy", finish="stop"
                )
            ] * len(prompts)

    drawn = generate_pairs(Parrot(1), TABLE_3, count=5, requests=3)
    assert drawn.kept == []
    assert drawn.counts()["dropped"] == {"repeats a seed": 3}


def test_the_step_writes_rows_that_add_up(tmp_path, monkeypatch):
    from veneer.models import local

    monkeypatch.setattr(local.LocalModel, "load", lambda path: Writer(variety=30))
    (tmp_path / "seeds.jsonl").write_text(
        "".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in TABLE_3)
    )
    (tmp_path / "out").mkdir()
    told = []
    synthesize(
        SimpleNamespace(
            out=tmp_path / "out",
            params={"count": 25, "requests": 200, "seed": 0, "max_new_tokens": 64},
            inputs={"model": tmp_path, "seeds": tmp_path / "seeds.jsonl"},
            progress=lambda done, total, note="": told.append((done, total)),
        )
    )
    rows = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").open()]
    assert len(rows) == 25
    assert rows[0]["source"] == "synthesized"
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]
    dropped = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").open()]
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert counts["raw"] == 25 + len(dropped)
    assert told[-1] == (25, 25)


def test_bad_seed_files(tmp_path):
    path = tmp_path / "seeds.jsonl"
    with pytest.raises(InputError, match="does not exist"):
        read_seeds(path)
    path.write_text('{"question": "a", "answer": "b"}\n')
    with pytest.raises(InputError, match="has 1 seed pairs; a request shows 5"):
        read_seeds(path)
    path.write_text('{"question": "a", "answer": "b"}\n{"question": 1\n')
    with pytest.raises(InputError, match="line 2"):
        read_seeds(path)
