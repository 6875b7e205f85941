import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.corpus.dialogues import read_dialogues, read_texts
from veneer.errors import InputError
from veneer.records import Answer, Dialogue, Message, write_rows

DATA = Path(__file__).parents[3] / "shared" / "data"
WANTED = [("user", "Who sang it?"), ("assistant", "Frank Sinatra")]


def written(path, *records):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    return path


def turns(dialogue):
    return [(m.role, m.content) for m in dialogue.messages]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{"role": r, "content": c} for r, c in WANTED]},
        {
            "conversations": [
                {"from": "human", "value": WANTED[0][1]},
                {"from": "gpt", "value": WANTED[1][1]},
            ],
            "id": "x",
        },
        {"instruction": "Who sang it?", "input": "", "output": "Frank Sinatra"},
        {"instruction": "Who sang it?", "response": "Frank Sinatra"},
        {"prompt": "Who sang it?", "completion": "Frank Sinatra"},
        {
            "prompt": [{"role": "user", "content": "Who sang it?"}],
            "completion": [{"role": "assistant", "content": "Frank Sinatra"}],
        },
        {"question": "Who sang it?", "answer": "Frank Sinatra"},
        Answer(prompt="Who sang it?", text="Frank Sinatra", model="data").model_dump(),
    ],
)
def test_every_format_reads_as_the_same_dialogue(tmp_path, record):
    imported = read_dialogues(written(tmp_path / "data.jsonl", record))
    assert imported.dropped == []
    assert [turns(d) for d in imported.dialogues] == [WANTED]
    assert imported.dialogues[0].source == "data"


def test_alpaca_input_follows_the_instruction(tmp_path):
    record = {"instruction": "Add them.", "input": "1, 2", "output": "3"}
    (only,) = read_dialogues(written(tmp_path / "a.jsonl", record)).dialogues
    assert only.query == "Add them.\n1, 2"


def test_our_rows_come_back_unchanged(tmp_path):
    rows = [
        Dialogue(
            messages=tuple(Message(role=r, content=c) for r, c in WANTED),
            source="mine",
            category="chat",
        ),
        Dialogue(messages=(Message(role="assistant", content="Plain text."),), source="replay"),
    ]
    write_rows(tmp_path / "corpus.jsonl", rows)
    origins = [f"corpus.jsonl:{line}" for line in (1, 2)]
    assert read_dialogues(tmp_path / "corpus.jsonl").dialogues == [
        row.model_copy(update={"origin": origin}) for row, origin in zip(rows, origins, strict=True)
    ]
    write_rows(tmp_path / "again.jsonl", read_dialogues(tmp_path / "corpus.jsonl").dialogues)
    again = read_dialogues(tmp_path / "again.jsonl").dialogues
    assert [row.origin for row in again] == origins, "where a row came from first is kept"


def test_dirty_records_are_kept_with_a_reason(tmp_path):
    good = json.dumps({"question": "Who?", "answer": "Me."})
    answer = Answer(prompt="Who?", text="cut", model="m").model_dump()
    lines = [
        good,
        "{broken",
        json.dumps({"conversations": []}),
        json.dumps(
            {
                "conversations": [
                    {"from": "human", "value": "a"},
                    {"from": "narrator", "value": "b"},
                ]
            }
        ),
        json.dumps({"conversations": [{"from": "gpt", "value": "I begin."}]}),
        json.dumps({"question": "Who?", "answer": " "}),
        json.dumps({"messages": [{"role": "user"}]}),
        json.dumps({"prompt": 3, "completion": "x"}),
        json.dumps(["a", "longer", "list"]),
        json.dumps({"foo": 1}),
        json.dumps(answer | {"outcome": "truncated", "reason": "cut off"}),
        "",
        good,
    ]
    path = tmp_path / "dirty.jsonl"
    path.write_text("\n".join(lines))
    imported = read_dialogues(path)
    assert len(imported.dialogues) == 2
    reasons = [reason.split(":")[0] for reason, _ in imported.dropped]
    assert reasons == [
        "not JSON",
        "no turns",
        "unknown role 'narrator'",
        "empty query",
        "no answer",
        "a turn without role and content",
        "a turn that is no text",
        "not an object",
        "no known fields",
        "answer truncated",
    ]
    assert imported.records == len(lines) - 1
    assert imported.dropped[0][1] == "{broken"


role = st.sampled_from(["human", "gpt"])
words = st.text(min_size=1).filter(lambda text: text.strip() and "\n" not in text)
conversation = st.lists(st.tuples(role, words), max_size=8)


@given(st.lists(conversation, min_size=1, max_size=6))
def test_no_turn_is_lost(tmp_path_factory, conversations):
    path = written(
        tmp_path_factory.mktemp("d") / "c.jsonl",
        *({"conversations": [{"from": f, "value": v} for f, v in c]} for c in conversations),
    )
    imported = read_dialogues(path)
    assert imported.records == len(conversations)
    kept = sum(m.content.count("\n\n") + 1 for d in imported.dialogues for m in d.messages)
    lost = sum(len(json.loads(text)["conversations"]) for _, text in imported.dropped)
    assert kept + lost + sum(imported.trimmed.values()) == sum(map(len, conversations))
    for dialogue in imported.dialogues:
        assert dialogue.messages[0].role == "user"
        assert dialogue.messages[-1].role == "assistant"


def test_json_lists_and_gzip(tmp_path):
    record = {"question": "Who?", "answer": "Me."}
    (tmp_path / "list.json").write_text(json.dumps([record, record]))
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as out:
        out.write(json.dumps(record) + "\n")
    assert len(read_dialogues(tmp_path / "list.json").dialogues) == 2
    (only,) = read_dialogues(tmp_path / "rows.jsonl.gz").dialogues
    assert only.source == "rows"


def test_unreadable_files_say_why(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_dialogues(tmp_path / "none.jsonl")
    whole = gzip.compress(b'{"question": "Who?", "answer": "Me."}\n' * 500)
    (tmp_path / "half.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"truncated\. \d+ records before"):
        read_dialogues(tmp_path / "half.jsonl.gz")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="holds no record that can be read: line 1: not JSON"):
        read_dialogues(tmp_path / "bad.json")


def test_texts(tmp_path):
    path = written(tmp_path / "t.jsonl", {"text": "a"}, {"prompt": "b", "id": 1}, {"question": "c"})
    assert read_texts(path) == ["a", "b", "c"]
    with pytest.raises(InputError, match="line 2: no text in it"):
        read_texts(written(tmp_path / "u.jsonl", {"text": "a"}, {"body": "b"}))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("fastchat_dummy_conversation.jsonl.gz", 500),
        ("alpaca_gpt4_1000.jsonl.gz", 1000),
        ("moss003_sharegpt_raw.jsonl.gz", 350),
        ("sharegpt_real_dialogues.jsonl", 5),
        ("code_alpaca_2k.jsonl.gz", 2017),
        ("gpteacher_roleplay.jsonl.gz", 1923),
    ],
)
def test_real_files_are_read_whole(name, records):
    imported = read_dialogues(DATA / "dialogues" / name)
    assert imported.records == records
    assert len(imported.dialogues) > 0.95 * records
