import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.teacher.parsing import parse
from veneer.teacher.tasks import BUILT_IN, load_task, read_seeds

NQ, CYPHER, GENERIC = (load_task(name) for name in ("nq", "cypher", "generic"))

TABLE_3 = """
Q: who sang who wants to be a millionaire in high society?
A: Frank Sinatra
Q: the last time la dodgers won the world series?
A: 1988
Q: who plays the medical examiner on hawaii five-o?
A: Masi Oka
Q: when did the first harry potter movie come out?
A: 2001
Q: when was the last time india won a gold medal in hockey at olympics
A: 1980
Q: who owns the rights to baby shark song
A: SmartStudy
Q: how many episodes are in one punch man season 1
A: 12
Q: name of the bird in the lion king
A: Zazu
Q: who sang the rap song change clothes
A: Jay-Z
Q: who stars as serena in gossip girl
A: Blake Lively
"""


def test_the_built_in_seeds_are_the_papers_table_3():
    said = [line[3:] for line in TABLE_3.strip().splitlines()]
    assert NQ.pairs == list(zip(said[::2], said[1::2], strict=True))
    assert (NQ.shots, NQ.name) == (5, "nq")


def test_the_request_is_the_papers_table_4():
    assert NQ.request(NQ.pairs[:5]) == (
        "I want you to generate a series of questions and answers. I want the answers to be "
        "concise, just a few words. The questions should be lowercased and centered around "
        "Wikipedia-like entities. For example,\n" + "\n".join(TABLE_3.strip().splitlines()[:10])
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_request_shows_is_read_back(name):
    task = load_task(name)
    pairs = task.pairs or [("in 1", "out 1"), ("in 2", "out 2\n\nover\n\nlines")]
    shown = task.request(pairs).removeprefix(task.request([])).lstrip("\n")
    assert parse(task, shown) == (pairs, [])


def test_a_cypher_request_carries_its_schema():
    assert "(:Movie {title, released, tagline})" in CYPHER.request(CYPHER.pairs[:1])
    mine = load_task("cypher", {"schema": "(:Bird {name})"})
    assert "(:Bird {name})" in mine.request(mine.pairs[:1])
    assert "(:Movie {title" not in mine.request([])
    assert mine.question(("which birds?", "MATCH (b:Bird) RETURN b")) == (
        "Graph:\n(:Bird {name})\n\nWrite a Cypher query: which birds?"
    )


def test_queries_over_several_lines_with_and_without_code_blocks():
    reply = (
        "Here are some more:\n\n"
        "1. **Question:** who is old?\n"
        "**Cypher:**\n```cypher\nMATCH (p:Person)\nWHERE p.born < 1930\n\nRETURN p.name\n```\n"
        "This finds them all.\n\n"
        "Question: count films\nCypher: MATCH (m:Movie)\nRETURN count(m)\n\nThat was it.\n\n"
        "3. Question: inline\nCypher: `MATCH (n) RETURN n`\n"
        "Question: one line\nCypher:\n```MATCH (n) RETURN n LIMIT 1```\n"
        "Question: labels inside\nCypher:\n```\n// Question: not one\nQuestion: nor this\n```\n"
        "Question: nothing\nCypher:\n\n"
        "Question: open\nCypher:\n```cypher\nMATCH (x)\nQuestion: swallowed"
    )
    pairs, broken = parse(CYPHER, reply)
    assert pairs == [
        ("who is old?", "MATCH (p:Person)\nWHERE p.born < 1930\n\nRETURN p.name"),
        ("count films", "MATCH (m:Movie)\nRETURN count(m)"),
        ("inline", "MATCH (n) RETURN n"),
        ("one line", "MATCH (n) RETURN n LIMIT 1"),
        ("labels inside", "// Question: not one\nQuestion: nor this"),
    ]
    assert broken == [
        ("neither a question nor an answer", "Here are some more:"),
        ("text around a code block", "This finds them all."),
        ("text around a code block", "That was it."),
        ("empty question or answer", "Question: nothing"),
        ("code block without an end", "Question: open\n```cypher\nMATCH (x)\nQuestion: swallowed"),
    ]


def test_a_reply_that_was_cut_loses_the_pair_it_was_at():
    text = "Question: a\nCypher: RETURN 1\n\nQuestion: b\nCypher: RETU"
    assert parse(CYPHER, text, cut_off=True) == (
        [("a", "RETURN 1")],
        [("cut off at the token limit", "Question: b\nRETU")],
    )


line = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
lines = st.lists(line, min_size=1, max_size=4).map("\n".join)


@settings(deadline=None)
@given(st.lists(st.tuples(line, lines), max_size=5), st.sampled_from([CYPHER, GENERIC]))
def test_written_pairs_are_read_back_from_blocks(pairs, task):
    assert parse(task, "\n\n".join(task.shown(pair) for pair in pairs)) == (pairs, [])


pieces = ["Question: q", "Cypher: c", "Cypher:", "```cypher", "```", "", "MATCH (n)", "  x", "Q:"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(pieces), max_size=12),
    st.booleans(),
    st.sampled_from(["code", "blocks"]),
)
def test_no_word_of_a_reply_is_lost(reply, cut_off, parsing):
    task = CYPHER.model_copy(update={"parsing": parsing})
    pairs, broken = parse(task, "\n".join(reply), cut_off)
    ended = "\n".join([text for pair in pairs for text in pair] + [text for _, text in broken])
    for word in ("q", "c", "MATCH", "x"):
        assert ended.split().count(word) + ended.split().count(f"Cypher:{word}") == (
            "\n".join(reply).split().count(word)
        )


def test_a_template_of_ones_own(tmp_path):
    content = {
        "name": "sql",
        "instruction": "Write SQL for {schema}.",
        "values": {"schema": "t(a)"},
        "input": {"field": "question", "labels": ["Question"]},
        "output": {"field": "sql", "labels": ["SQL"]},
        "parsing": "code",
        "shots": 2,
    }
    path = tmp_path / "sql.yaml"
    path.write_text(yaml.safe_dump(content))
    task = load_task(str(path))
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(
        "".join(
            json.dumps({"question": f"q{i}", "sql": f"SELECT {i}", "id": i}) + "\n" for i in (1, 2)
        )
    )
    pairs = read_seeds(seeds, task)
    assert pairs == [("q1", "SELECT 1"), ("q2", "SELECT 2")]
    assert task.request(pairs[:1]) == (
        "Write SQL for t(a).\n\nQuestion: q1\nSQL:\n```\nSELECT 1\n```"
    )
    assert load_task(json.loads(json.dumps(content))) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shot": 3}, "shot: Extra inputs"),
        ({"instruction": "for {scheme}"}, r"\{scheme\} has no value; known: schema"),
        ({"ask": "{answer}"}, r"\{answer\} has no value"),
        ({"shots": 0}, "shots"),
        ({"seeds": [{"question": "a"}]}, "a seed has the fields"),
        ({"parsing": "magic"}, "parsing"),
    ],
)
def test_templates_that_mean_nothing(change, message):
    content = CYPHER.model_dump() | change
    with pytest.raises(InputError, match=message):
        load_task(content)


def test_templates_and_seeds_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no template 'cyper'") as error:
        load_task("cyper")
    assert "cypher, generic, nq" in error.value.hint
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is not YAML"):
        load_task(str(tmp_path / "x.yaml"))
    (tmp_path / "y.yaml").write_text("text")
    with pytest.raises(InputError, match="holds no template"):
        load_task(str(tmp_path / "y.yaml"))
    path = tmp_path / "seeds.jsonl"
    with pytest.raises(InputError, match="No such file"):
        read_seeds(path, NQ)
    path.write_text('{"question": "a", "answer": "b"}\n' * 9)
    with pytest.raises(InputError, match="has 1 seed pairs; a request shows 5"):
        read_seeds(path, NQ)
    path.write_text('{"question": "a", "answer": "b"}\n{"question": 1\n')
    with pytest.raises(InputError, match="line 2: not a seed pair"):
        read_seeds(path, NQ)
    path.write_text('{"question": "a", "cypher": "b"}\n')
    with pytest.raises(
        InputError, match=r'Write each line as \{"question": "…", "answer": "…"\}|line 1'
    ):
        read_seeds(path, NQ)
