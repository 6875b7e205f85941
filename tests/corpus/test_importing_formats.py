"""Each format, from small examples of ours: which turns, whose they are, what was noted."""

from __future__ import annotations

import json

import pytest

from veneer.corpus.importing import read_batches, read_queries, read_texts
from veneer.corpus.importing.formats import AGAIN, CALLS, HUMAN_ANSWERS, THOUGHTS
from veneer.corpus.importing.roles import role_of
from veneer.errors import InputError
from veneer.records import Answer, Dialogue, Message

Q, A = "Who sang it?", "Frank Sinatra"
WANTED = [("user", Q), ("assistant", A)]
TWICE = [*WANTED, ("user", "When?"), ("assistant", "1969")]
SYSTEM = ("system", "Be brief.")


def rows(tmp_path, *records, name="data.jsonl", **about):
    path = tmp_path / name
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    return [row for batch in read_batches(path, **about) for row in batch.to_pylist()]


def turns(row):
    return [(turn["role"], turn["content"]) for turn in row["messages"]]


def sharegpt(*said):
    return {"id": "x", "conversations": [{"from": who, "value": text} for who, text in said]}


def moss(k, human, answer, thoughts="None", commands="None", results="None"):
    return {
        f"turn_{k}": {
            "Human": f"<|Human|>: {human}<eoh>\n",
            "Inner Thoughts": f"<|Inner Thoughts|>: {thoughts}<eot>\n",
            "Commands": f"<|Commands|>: {commands}<eoc>\n",
            "Tool Responses": f"<|Results|>: {results}<eor>\n",
            "MOSS": f"<|MOSS|>: {answer}<eom>\n",
        }
    }


ONE = {
    "messages": {"messages": [{"role": r, "content": c} for r, c in WANTED]},
    "text parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": Q}]},
            {"role": "assistant", "content": A},
        ]
    },
    "messages as JSON text": {
        "messages": json.dumps([{"role": r, "content": c} for r, c in WANTED])
    },
    "sharegpt": sharegpt(("human", Q), ("gpt", A)),
    "sharegpt items": {"items": sharegpt(("human", Q), ("gpt", A))["conversations"]},
    "alpaca": {"instruction": Q, "input": "", "output": A},
    "gpteacher": {"instruction": Q, "input": "", "response": A},
    "alpaca without input": {"instruction": Q, "output": A, "input": None},
    "completion": {"prompt": Q, "completion": A},
    "completion of turns": {
        "prompt": [{"role": "user", "content": Q}],
        "completion": [{"role": "assistant", "content": A}],
    },
    "prompt and response": {"prompt": Q, "response": A},
    "input and output": {"input": Q, "output": A},
    "question and answer": {"question": Q, "answer": A},
    "user and assistant": {"user": Q, "assistant": A},
    "list of pairs": {"conversation": [[Q, A]]},
    "objects of pairs": {"conversation": [{"human": Q, "assistant": A}]},
    "ultrachat": {"id": "0", "data": [Q, A]},
    "koala": {
        "human_0": Q,
        "gpt_1": A,
        "fields": "[human_0],<|gpt|>,{gpt_1}",
        "marker_gpt": "GPT:",
    },
    "moss": {"conversation_id": 1, "num_turns": 1, "chat": moss(1, Q, A)},
    "moss before 003": {"plain_text": f"[Human]: {Q}<eoh>\n[MOSS]: {A}<eoa>\n", "num_turns": 1},
    "hc3": {"question": Q, "human_answers": [], "chatgpt_answers": [A]},
    "cypher": {"question": Q, "cypher": A, "database": ""},
    "seed task": {"id": "t", "instruction": Q, "instances": [{"input": "", "output": A}]},
    "answer": Answer(prompt=Q, text=A, model="m").model_dump(),
    "dialogue": Dialogue(
        messages=(Message(role="user", content=Q), Message(role="assistant", content=A))
    ).model_dump(),
}


@pytest.mark.parametrize("name", ONE)
def test_every_format_reads_as_the_same_dialogue(tmp_path, name):
    (row,) = rows(tmp_path, ONE[name], source="s")
    assert (turns(row), row["reason"], row["text"]) == (WANTED, "", "")
    assert (row["source"], row["origin"]) == ("s", "data.jsonl:1")
    assert (row["asked"], row["starts"]) == (Q, "user")
    assert (row["trimmed"], row["notes"]) == ([], [])
    assert read_queries(tmp_path / "data.jsonl") == [Q]


TWO = {
    "sharegpt": sharegpt(("system", "Be brief."), *zip(["human", "gpt"] * 2, [t for _, t in TWICE], strict=True)),
    "odd names": sharegpt(
        ("system", "Be brief."), ("user", Q), ("chatgpt", A), ("human", "When?"), ("bing", "1969")
    ),
    "system field": {"system": "Be brief.", "conversations": sharegpt(*TWICE)["conversations"]},
    "prompt of turns": {
        "prompt": [{"role": r, "content": c} for r, c in [SYSTEM, *TWICE[:3]]],
        "completion": "1969",
    },
    "koala": {"system_0": "Be brief.", "gpt_2": A, "human_1": Q, "gpt_10": "1969", "human_9": "When?"},
    "moss": {
        "meta_instruction": "Be brief.\n",
        "chat": moss(2, "When?", "1969") | moss(1, Q, A),
    },
    "moss before 003": {
        "prefix": "Be brief.",
        "plain_text": f"<|Human|>: {Q}<eoh>\n<|MOSS|>: {A}<eom>\n<|Human|>: When?<eoh>\n<|MOSS|>: 1969<eom>",
    },
}  # fmt: skip


def test_pairs_as_lists(tmp_path):
    found = rows(tmp_path, [Q, A], ["When?", "1969"])
    assert [turns(row) for row in found] == [WANTED, [("user", "When?"), ("assistant", "1969")]]
    (tmp_path / "list.json").write_text(json.dumps([[Q, A]]))
    assert read_queries(tmp_path / "list.json") == [Q]


@pytest.mark.parametrize("name", TWO)
def test_several_turns_and_a_system_turn(tmp_path, name):
    (row,) = rows(tmp_path, TWO[name])
    assert turns(row) == [SYSTEM, *TWICE]
    assert (row["asked"], row["starts"]) == (Q, "system")


def test_inputs_join_the_instruction(tmp_path):
    found = rows(
        tmp_path,
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        {"instruction": "Add.", "context": "1, 2", "response": "3"},
        {"question": "How many?", "cypher": "MATCH (n)", "database": "films", "type": "t"},
    )
    assert [row["asked"] for row in found] == ["Add.\n1, 2", "Add.\n1, 2", "How many?\nfilms"]
    assert not any(row["reason"] for row in found)


def test_hc3_gives_a_dialogue_for_each_answer(tmp_path):
    record = {
        "question": Q,
        "human_answers": ["me"],
        "chatgpt_answers": [A, "He did."],
        "source": "wiki",
    }
    first, second = rows(tmp_path, record, source="hc3")
    assert (turns(first), turns(second)) == (WANTED, [("user", Q), ("assistant", "He did.")])
    assert (first["origin"], second["origin"]) == ("data.jsonl:1", "data.jsonl:1.2")
    assert (first["notes"], second["notes"]) == ([HUMAN_ANSWERS], [AGAIN])
    assert first["source"] == "wiki"
    (none,) = rows(tmp_path, record | {"chatgpt_answers": []})
    assert (none["reason"], turns(none)) == ("no answer", [("user", Q)])


def test_a_task_with_instances_gives_one_dialogue_each(tmp_path):
    instances = [{"input": "1, 2", "output": "3"}, {"input": "2, 2", "output": "4"}]
    found = rows(tmp_path, {"instruction": "Add.", "instances": instances})
    assert [row["asked"] for row in found] == ["Add.\n1, 2", "Add.\n2, 2"]
    assert read_queries(tmp_path / "data.jsonl") == ["Add.\n1, 2"], "one a record"


def test_calls_of_functions_are_answers_and_their_results_are_questions(tmp_path):
    talk = sharegpt(("human", Q), ("function_call", "find()"), ("observation", "him"), ("gpt", A))
    call = [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]
    chat = {
        "messages": [
            {"role": "user", "content": Q},
            {"role": "assistant", "content": None, "tool_calls": call},
            {"role": "tool", "content": "him"},
            {"role": "assistant", "content": A},
        ]
    }
    one, two = rows(tmp_path, talk, chat)
    assert turns(one) == [("user", Q), ("assistant", "find()"), ("user", "him"), ("assistant", A)]
    assert one["notes"] == [
        "role 'function_call' read as assistant",
        "role 'observation' read as user",
    ]
    assert [role for role, _ in turns(two)] == ["user", "assistant", "user", "assistant"]
    assert json.loads(turns(two)[1][1]) == call
    assert two["notes"] == [CALLS, "role 'tool' read as user"]


def test_moss_with_tools(tmp_path):
    chat = moss(1, Q, A, thoughts="I search.", commands='Search("it")', results="1. him")
    (row,) = rows(tmp_path, {"meta_instruction": "", "chat": chat})
    assert turns(row) == [
        ("user", Q),
        ("assistant", 'Search("it")'),
        ("user", "1. him"),
        ("assistant", A),
    ]
    assert row["trimmed"] == [f"{THOUGHTS}\tI search."]


@pytest.mark.parametrize("name", ["text", "prompt", "question", "instruction", "query"])
def test_a_query_alone_is_kept_as_a_reject_with_its_question(tmp_path, name):
    (row,) = rows(tmp_path, {"id": 7, name: Q})
    assert (row["reason"], turns(row), row["asked"]) == ("no answer", [("user", Q)], Q)
    assert json.loads(row["text"]) == {"id": 7, name: Q}
    assert read_queries(tmp_path / "data.jsonl") == read_texts(tmp_path / "data.jsonl") == [Q]


def test_evaluation_files_give_their_queries(tmp_path):
    path = tmp_path / "eval.jsonl"
    records = [
        {"question_id": 81, "turns": ["Write.", "Again."]},
        {"question": "who?", "answer": ["he", "she"]},
        {"question": "2+2?", "choices": ["3", "4"], "answer": 1},
        {"id": "u", "instruction": "Mend.", "instances": [{"input": "it", "output": "done"}]},
        {"text": "a", "prompt": "b", "completion": "c"},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert read_queries(path) == ["Write.", "who?", "2+2?", "Mend.\nit", "b"]
    assert read_texts(path) == ["Write.", "who?", "2+2?", "Mend.\nit", "a"]
    reasons = [row["reason"] for batch in read_batches(path) for row in batch.to_pylist()]
    assert reasons == [
        "no answer",
        "several answers in a list",
        "an answer that is no text",
        "",
        "",
    ]


def test_unreadable_queries_are_named(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text('{"text": "a"}\n{"body": "b"}\nnothing\n{"text": ""}\n')
    with pytest.raises(InputError, match="line 2: no text in it"):
        read_queries(path)
    with pytest.raises(InputError, match="line 2: no text in it"):
        read_texts(path)
    unreadable: list[str] = []
    assert read_queries(path, unreadable) == ["a", ""]
    assert unreadable == ["line 2: no known fields: body", "line 3: not JSON: Expecting value"]


def test_what_a_record_says_of_itself_wins(tmp_path):
    pair = {"prompt": Q, "response": A}
    about = {"source": "s", "teacher": "t", "licence": "l"}
    own = {"source": "S", "licence": "L", "category": "C"}
    found = rows(
        tmp_path,
        pair,
        pair | own | {"teacher": "T"},
        pair | {"license": "L", "model": "M"},
        pair | {"generator": "G", "source": "", "language": "Klingon"},
        **about,
    )
    names = ("source", "teacher", "licence", "category", "language")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("s", "t", "l", "", ""),
        ("S", "T", "L", "C", ""),
        ("s", "M", "L", "", ""),
        ("s", "G", "l", "", ""),
    ]
    (bare,) = rows(tmp_path, pair, name="a.b.jsonl")
    assert (bare["source"], bare["teacher"]) == ("a", "")


def test_collected_answers(tmp_path):
    answer = Answer(prompt=Q, text=A, model="gpt-x", category="songs", source="pool", licence="mit")
    outcomes = ["answered", "refused", "filtered", "truncated", "malformed", "failed"]
    records = [answer.model_dump() | {"outcome": o, "reason": "r"} for o in outcomes]
    good, *others = rows(tmp_path, *records, answer.model_dump() | {"text": " "})
    assert turns(good) == WANTED
    about = {name: good[name] for name in ("teacher", "source", "licence", "category")}
    assert about == {"teacher": "gpt-x", "source": "pool", "licence": "mit", "category": "songs"}
    assert [row["reason"] for row in others] == [f"answer {o}" for o in [*outcomes[1:], "empty"]]
    assert all(row["asked"] == Q for row in others)
    (row,) = rows(tmp_path, answer.model_dump() | {"source": ""}, name="answers.jsonl")
    assert row["source"] == "gpt-x", "what a pool without a name was asked of"


def test_our_own_rows_come_back_unchanged(tmp_path):
    said = (Message(role="user", content=Q), Message(role="assistant", content=A))
    about = {"origin": "first.json:9#2", "teacher": "t", "licence": "l", "language": "en"}
    row = Dialogue(messages=said, source="s", category="c", **about)
    replay = Dialogue(messages=(Message(role="assistant", content="Plain."),), source="replay")
    found = rows(tmp_path, row.model_dump(mode="json"), replay.model_dump(mode="json"))
    fields = Dialogue.model_fields
    assert [r["reason"] for r in found] == ["", ""]
    again = [Dialogue.model_validate({k: v for k, v in r.items() if k in fields}) for r in found]
    assert again == [row, replay.model_copy(update={"origin": "data.jsonl:2"})]


def test_tables(tmp_path):
    (tmp_path / "t.csv").write_text(
        f'question,cypher,database\n"{Q}","MATCH (n)\nRETURN n",films\n'
    )
    (batch,) = read_batches(tmp_path / "t.csv")
    (row,) = batch.to_pylist()
    assert turns(row) == [("user", f"{Q}\nfilms"), ("assistant", "MATCH (n)\nRETURN n")]
    assert (row["origin"], row["source"]) == ("t.csv:1", "t")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Human", "user"), ("prompter", "user"), ("tool-response", "user"), ("ipython", "user"),
        ("GPT", "assistant"), ("gpt-3.5-turbo-0301", "assistant"), ("ChatGPT", "assistant"),
        ("bard", "assistant"), ("Tool Calls", "assistant"), ("developer", "system"),
    ],
)  # fmt: skip
def test_names_of_roles(name, role):
    known = role_of(name)
    assert known is not None
    assert known[0] == role


def test_an_unknown_role_is_not_guessed():
    assert role_of("narrator") is None
    assert role_of("") is None
