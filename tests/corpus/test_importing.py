"""Importing: every record becomes a row, what is cut off is kept, batches can be taken up again."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.corpus.importing import Profile, profile, read_batches, read_queries, twins
from veneer.corpus.importing.turns import AFTER, BEFORE, EMPTY_TURN, JOINED, shaped
from veneer.corpus.rows import dropped, schema
from veneer.errors import InputError

DATA = Path(__file__).parents[3] / "shared" / "data"
GOOD = {"question": "Who?", "answer": "Me."}


def talk(*turns):
    names = {"u": "human", "a": "gpt", "s": "system"}
    return {"conversations": [{"from": names.get(w, w), "value": v} for w, v in turns]}


DIRTY = [
    (GOOD, ""),
    ("{broken", "not JSON: Expecting property name enclosed in double quotes"),
    ('{"question": "Who?", "answer": "caf\udce9"}', "not UTF-8"),
    ([1, 2], "not an object"),
    (7, "not an object"),
    ({}, "no fields"),
    ({"a": 1, "b": 2}, "no known fields: a, b"),
    (dict.fromkeys("abcdefgh"), "no known fields: a, b, c, d, e, f, …"),
    (talk(), "no turns"),
    ({"conversations": None}, "no turns"),
    ({"conversations": "x"}, "turns are no list"),
    ({"conversations": ["x"]}, "a turn without role and content"),
    ({"messages": [{"role": "user"}]}, "a turn without role and content"),
    ({"messages": [{"role": "user", "content": 3}]}, "a turn that is no text"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "a turn with a part of type 'image_url'",
    ),
    (talk(("u", "a"), ("narrator", "b")), "unknown role 'narrator'"),
    (talk(("u", "")), "empty query"),
    (talk(("u", " "), ("a", "I begin.")), "empty query"),
    (talk(("a", "I begin.")), "empty query"),
    (talk(("s", "Be brief.")), "empty query"),
    (talk(("u", "Hello?")), "no answer"),
    (talk(("u", "Hello?"), ("a", "\n")), "no answer"),
    (talk(("a", "I begin."), ("u", "Hello?")), "no answer"),
    ({"question": "Who?", "answer": " "}, "no answer"),
    ({"prompt": 3, "completion": "x"}, "a turn that is no text"),
    ({"answer_id": "x", "text": "an answer"}, "no known fields: answer_id, text"),
    ({"prompt": "q", "text": "t", "outcome": "lost", "model": "m"}, None),
    ("{'question': 'Who?'}", "not JSON: Expecting property name enclosed in double quotes"),
    (GOOD, ""),
]


def test_dirty_records_are_rows_with_a_reason(tmp_path):
    lines = [record if isinstance(record, str) else json.dumps(record) for record, _ in DIRTY]
    path = tmp_path / "dirty.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    (batch,) = read_batches(path)
    rows = batch.to_pylist()
    assert batch.schema == schema()
    assert [row["origin"] for row in rows] == [f"dirty.jsonl:{k}" for k in range(1, len(DIRTY) + 1)]
    for row, (record, reason), line in zip(rows, DIRTY, lines, strict=True):
        if reason is None:
            assert row["reason"].startswith("not an answer row: Input should be 'answered'")
        else:
            assert row["reason"] == reason
        if not row["reason"]:
            assert row["text"] == ""
        elif isinstance(record, str):
            assert row["text"] == line.replace("\udce9", "\\xe9")
        else:
            assert json.loads(row["text"]) == record
    assert len(dropped(batch)) == len(DIRTY) - 2


def test_a_record_split_over_two_lines_is_read_and_noted(tmp_path):
    path = tmp_path / "split.jsonl"
    path.write_text('{"question": "Who\nis it?", "answer": "Me."}\n' + json.dumps(GOOD) + "\n")
    (batch,) = read_batches(path)
    first, second = batch.to_pylist()
    assert (first["asked"], first["notes"]) == ("Who\nis it?", ["split over 2 lines"])
    assert (second["asked"], second["origin"]) == ("Who?", "split.jsonl:3")


def test_what_is_cut_off_is_kept():
    said = [
        ("assistant", "Welcome."), ("system", "Be brief."), ("user", " "), ("user", "One?"),
        ("user", "Or two?"), ("assistant", "One."), ("assistant", ""), ("assistant", "Two."),
        ("user", "Why?"), ("system", "Stop."),
    ]  # fmt: skip
    found = shaped(said)
    assert found.turns == [
        ("system", "Be brief."), ("user", "One?\n\nOr two?"), ("assistant", "One.\n\nTwo."),
    ]  # fmt: skip
    assert Counter(found.trimmed) == Counter(
        [
            f"{EMPTY_TURN}\t ",
            f"{EMPTY_TURN}\t",
            f"{BEFORE}\tWelcome.",
            f"{AFTER}\tWhy?",
            f"{AFTER}\tStop.",
        ]
    )
    assert found.notes == [JOINED, JOINED]


roles = st.sampled_from(["user", "assistant", "assistant", "user", "system"])
contents = st.sampled_from(["", " ", "a", "b", "c\td"])


@given(st.lists(st.tuples(roles, contents), max_size=9))
def test_no_turn_is_lost(said):
    found = shaped(said)
    if found.reason:
        assert found.turns == list(said)
        answered = [r for r, c in said if c.strip() and r != "system"]
        assert ("user", "assistant") not in pairwise(answered)
        return
    texts = [part for _, content in found.turns for part in content.split("\n\n")]
    texts += [cut.partition("\t")[2] for cut in found.trimmed]
    assert Counter(texts) == Counter(content for _, content in said)
    spoken = [role for role, _ in found.turns if role != "system"]
    assert spoken[0] == "user"
    assert found.turns[-1][0] == "assistant"
    assert all(a != b for (a, _), (b, _) in pairwise(found.turns))
    assert len(found.notes) == len(texts) - len(found.trimmed) - len(found.turns)


def test_batches_are_of_whole_records_and_can_be_taken_up_again(tmp_path):
    path = tmp_path / "hc3.json"
    records = [{"question": f"q{k}", "chatgpt_answers": ["a"] * (1 + k % 3)} for k in range(25)]
    path.write_text(json.dumps(records))
    batches = list(read_batches(path, rows=10))
    assert [len({row["asked"] for row in batch.to_pylist()}) for batch in batches] == [10, 10, 5]
    assert sum(batch.num_rows for batch in batches) == sum(1 + k % 3 for k in range(25))
    for k in range(4):
        again = list(read_batches(path, rows=10, start=10 * k))
        assert all(a.equals(b) for a, b in zip(again, batches[k:], strict=True))


def test_rows_before_the_damage_come_before_the_error(tmp_path):
    lines = "".join(json.dumps(GOOD | {"id": str(hash(str(k)) ** 3)}) + "\n" for k in range(20_000))
    whole = gzip.compress(lines.encode())
    (tmp_path / "half.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    batches = read_batches(tmp_path / "half.jsonl.gz")
    assert next(batches).num_rows == 1000
    with pytest.raises(InputError, match="truncated"):
        list(batches)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "conversations", "role", "from", "content", "value", "prompt",
                         "completion", "question", "chatgpt_answers", "chat", "turn_1", "turns",
                         "human_0", "gpt_1", "instances", "instruction", "data", "plain_text",
                         "tool_calls", "text", "outcome", "source"]), x, max_size=4),
    max_leaves=12), min_size=1, max_size=8))  # fmt: skip
def test_no_json_crashes_and_every_record_is_a_row(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "f.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in [GOOD, *values]))
    (batch,) = read_batches(path)
    rows = batch.to_pylist()
    assert {row["origin"].split(":")[1].split(".")[0] for row in rows} == {
        str(k) for k in range(1, len(values) + 2)
    }
    for row in rows:
        assert row["reason"] or row["messages"]
        assert bool(row["text"]) == bool(row["reason"])


def test_nesting_of_any_depth_does_not_crash(tmp_path):
    path = tmp_path / "deep.jsonl"
    depths = range(880, 1010, 3)
    lines = [f'{{"messages": {"[" * k}"\\ud83d"{"]" * k}}}' for k in depths]
    path.write_text("\n".join([json.dumps(GOOD), *lines]))
    rows = [row for batch in read_batches(path) for row in batch.to_pylist()]
    assert len(rows) == 1 + len(depths)
    assert all(row["reason"] and row["text"] for row in rows[1:])


# ---- profiles ---------------------------------------------------------------------------------


def test_a_profile_counts_records_and_queries_as_they_were_read(tmp_path):
    path = tmp_path / "p.jsonl"
    records = [
        talk(("a", "Hi."), ("u", "One?"), ("a", "1"), ("u", "Two?"), ("a", "2"), ("u", "Thanks")),
        talk(("u", ""), ("a", "?"), ("u", "One?"), ("a", "1")),
        talk(("s", "x")),
        {"question": "One?", "chatgpt_answers": ["1", "2"], "source": "hc3"},
        {"text": "One?"},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + "junk\n")
    assert profile(path) == {
        "hc3": {
            "records": 1, "dialogues": 2, "rejected": {}, "empty_queries": 0,
            "unique_queries": 1, "unique_nonempty_queries": 1,
            "starts_with": {"user": 1, "assistant": 0, "system": 0},
            "with_answer": 2, "pairs": 2, "turns": 4, "trimmed": {},
            "notes": {"another answer to the same question": 1},
        },
        "p": {
            "records": 5, "dialogues": 2,
            "rejected": {"empty query": 1, "no answer": 1, "not JSON: Expecting value": 1},
            "empty_queries": 2, "unique_queries": 2, "unique_nonempty_queries": 1,
            "starts_with": {"user": 2, "assistant": 1, "system": 1},
            "with_answer": 2, "pairs": 3, "turns": 6,
            "trimmed": {EMPTY_TURN: 1, BEFORE: 2, AFTER: 1}, "notes": {},
        },
    }  # fmt: skip
    by_batch = Profile()
    for batch in read_batches(path, rows=2):
        by_batch.add(batch)
    assert by_batch.result() == profile(path)


def test_one_data_set_under_two_names_is_noticed(tmp_path):
    line = json.dumps(GOOD) + "\n"
    for name, text in [("a.jsonl", line), ("b.jsonl", line * 2), ("c.jsonl", line)]:
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl", "a.jsonl")]
    assert twins(paths) == {2: 0, 3: 0}


FIGURES = {
    "queries/sharegpt_first_turns_2978.jsonl.gz": {
        "records": 2978, "dialogues": 0, "empty_queries": 21, "unique_queries": 2862,
        "unique_nonempty_queries": 2861, "with_answer": 0, "pairs": 0,
        "starts_with": {"user": 2958, "assistant": 4, "system": 16},
        "rejected": {"empty query": 21, "no answer": 2957},
    },
    "dialogues/moss003_sharegpt_raw.jsonl.gz": {
        "records": 350, "dialogues": 350, "pairs": 1953, "unique_queries": 350, "trimmed": {},
    },
    "dialogues/fastchat_dummy_conversation.jsonl.gz": {
        "records": 500, "dialogues": 500, "unique_queries": 52,
    },
    "dialogues/alpaca_gpt4_1000.jsonl.gz": {
        "records": 1000, "dialogues": 1000, "unique_queries": 999,
    },
    "dialogues/text2cypher_gpt4turbo.csv.gz": {
        "records": 9846, "dialogues": 9846, "unique_queries": 9669,
    },
    "dialogues/sharegpt_real_dialogues.jsonl": {"records": 5, "dialogues": 5, "notes": {}},
    "dialogues/hc3_wiki_csai_sample.jsonl": {"records": 1, "dialogues": 1, "with_answer": 1},
    "dialogues/code_alpaca_2k.jsonl.gz": {"records": 2017, "rejected": {"no answer": 2}},
    "dialogues/gpteacher_roleplay.jsonl.gz": {"records": 1923, "dialogues": 1923},
}  # fmt: skip


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize("name", FIGURES)
def test_real_files(name):
    (found,) = profile(DATA / name).values()
    assert {key: found[key] for key in FIGURES[name]} == FIGURES[name]
    assert found["records"] == found["dialogues"] + sum(found["rejected"].values())


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("eval/koala_test_set.jsonl", 180),
        ("queries/user_oriented_instructions.jsonl", 252),
        ("queries/instructwild_user_1.jsonl", 429),
        ("prompts/mt_bench_question.jsonl", 80),
        ("benchmarks/nq_open/NQ-open.dev.jsonl", 3610),
    ],
)
def test_real_queries(name, count):
    found = read_queries(DATA / name)
    assert len(set(found)) == len(found) == count
    assert all(found)
