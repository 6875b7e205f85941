"""Whole files as dialogues in memory: what importing gives, gathered."""

import json

from veneer.corpus.dialogues import read_dialogues
from veneer.records import Message


def test_a_file_is_gathered_and_the_counts_add_up(tmp_path):
    path = tmp_path / "data.jsonl"
    said = [("gpt", "Hi."), ("human", "Who?"), ("gpt", "Me."), ("human", "Thanks")]
    records = [
        {"conversations": [{"from": who, "value": text} for who, text in said]},
        {"foo": 1},
        {"question": "Who?", "answer": "Me.", "source": "own"},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = read_dialogues(path, source="s")
    assert [d.source for d in found.dialogues] == ["s", "own"]
    turns = (Message(role="user", content="Who?"), Message(role="assistant", content="Me."))
    assert [d.messages for d in found.dialogues] == [turns, turns]
    assert found.dropped == [("no known fields: foo", json.dumps({"foo": 1}))]
    assert found.trimmed == {"answer before any question": 1, "no answer after it": 1}
    assert found.records == 3
    again = read_dialogues(path, into=found)
    assert again is found
    assert again.records == 6
    assert again.trimmed == {"answer before any question": 2, "no answer after it": 2}
