import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from tellers import Teller

from veneer.errors import InputError
from veneer.models.asking import Reply
from veneer.records import Dialogue, Dropped, read_rows
from veneer.teacher.instructions import (
    Made,
    SeedTask,
    alpaca_request,
    parse_alpaca,
    parse_instances,
    parse_instructions,
    read_seed_tasks,
    unfit,
)
from veneer.teacher.self_instruct import ROUND, self_instruct
from veneer.teacher.synthesis import self_instruct_files

VERBS = ["Describe", "Translate", "Summarise", "Rank", "Compare", "Criticise", "Invent", "Explain"]
THINGS = ["rivers", "bread", "chess", "winter", "taxes", "whales", "poems", "bridges", "soup"]
SEEDS = [SeedTask(f"{v} {THINGS[i]} for number {i}", "x", f"out {i}") for i, v in enumerate(VERBS)]


def teacher(**more):
    """Goes on with numbered lists of random instructions, and gives examples."""

    def say(text, number, seed):
        if text.startswith("Write one example"):
            return f"Input: none\nOutput: because {text.split()[-1]}"
        rng = random.Random(f"{text} {seed} {number}")
        lines = [
            f"{rng.choice(VERBS)} {rng.choice(THINGS)} and {rng.choice(THINGS)} with "
            f"{rng.randrange(900)} {rng.choice(THINGS)} words"
            for _ in range(3)
        ]
        first = re.search(r"(\d+)\.$", text)[1]
        return f"{lines[0]}\n{int(first) + 1}. {lines[1]}\n{int(first) + 2}. {lines[2]}"

    return Teller(say, **more)


def test_the_published_rules():
    fit = "Explain how rivers form in dry lands"
    assert unfit(fit) == ""
    assert unfit("Say it now") == "fewer than 4 words"
    assert unfit("Say it now please") == ""
    assert unfit(" ".join(["word"] * 150)) == ""
    assert unfit(" ".join(["word"] * 151)) == "more than 150 words"
    for word in ["image", "Graphs", "FILE", "map", "draw", "plot", "go to", "video", "diagram"]:
        assert (
            unfit(f"Please {word} something of mine") == "names what a language model cannot make"
        )
    assert unfit("Tell me about mapping, filing and plots of land") == ""
    assert unfit("Write a program that adds") == 'starts with "Write a program"'
    assert unfit("(Optional) explain this to me") == "starts with punctuation"
    assert unfit("Élaborer une liste de mots") == "starts with a character that is not ASCII"


def test_a_request_shows_six_human_and_two_generated():
    model = teacher()
    self_instruct(model, SEEDS, count=10**6, requests=3 * ROUND, seed=1)
    human = {task.instruction for task in SEEDS}
    requests = [text for text, *_ in model.asked if text.startswith("Come up")]
    for k, text in enumerate(requests):
        shown = re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)
        assert text.endswith("\n9.")
        assert len(set(shown)) == len(shown) == 8
        # In the first round nothing is generated yet.
        assert sum(one in human for one in shown) == (8 if k < ROUND else 6)


def test_the_pool_holds_nothing_alike():
    grown = self_instruct(teacher(), SEEDS, count=60, requests=200)
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    pool = [task.instruction for task in SEEDS]
    for one in grown.made:
        assert unfit(one.instruction) == ""
        assert max(scorer.score(p, one.instruction)["rougeL"].fmeasure for p in pool) <= 0.7
        pool.append(one.instruction)
    rejected = [d for d in grown.instructions.dropped if d.reason.startswith("ROUGE-L")]
    assert len(rejected) > 10
    for row in rejected:
        best = max(scorer.score(p, row.text)["rougeL"].fmeasure for p in pool)
        assert best > 0.7
    assert len(grown.made) == 60
    for phase in (grown.counts()["instructions"], grown.counts()["instances"]):
        assert phase["raw"] == phase["kept"] + sum(phase["dropped"].values())
    assert grown.counts()["instances"]["kept"] == 60
    assert grown.made[0].output.startswith("because ")


def test_what_was_paid_is_not_asked_again_after_a_budget():
    model = teacher(budget=2 * ROUND + 5)
    first = self_instruct(model, SEEDS, count=150, requests=100)
    assert first.ended == "budget"
    model.budget = None
    whole = self_instruct(model, SEEDS, count=150, requests=100)
    fresh = teacher()
    assert whole == self_instruct(fresh, SEEDS, count=150, requests=100)
    assert model.paid == fresh.paid


def test_lists_as_models_write_them():
    reply = "Sure, here are more tasks:\n9. name  three\nbirds\n10. Say why.\n\nTask 11: go on"
    assert parse_instructions(reply) == (
        ["Name three birds", "Say why.", "Go on"],
        [("neither a question nor an answer", "Sure, here are more tasks:")],
    )
    assert parse_instructions("name it\n10. and th", cut_off=True) == (
        ["Name it"],
        [("cut off at the token limit", "and th")],
    )
    assert parse_instructions("", cut_off=True) == ([], [])


def test_examples_as_models_write_them():
    assert parse_instances("Input: a\nb\nOutput: c\n\nd") == ([("a\nb", "c\n\nd")], [])
    assert parse_instances("Input: None.\nOutput: yes") == ([("", "yes")], [])
    assert parse_instances("Output: alone") == ([("", "alone")], [])
    assert parse_instances("I do not know") == ([], [("no output", "I do not know")])
    assert parse_instances("Input: a\nOutput: b\nInput: c\nOut", cut_off=True) == (
        [("a", "b")],
        [("cut off at the token limit", "Input: c\nOut")],
    )


text_line = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(text_line, text_line, text_line), min_size=1, max_size=4), st.booleans())
def test_alpaca_tasks_are_read_back(tasks, cut_off):
    shown = alpaca_request([SeedTask(*task) for task in tasks])
    reply = shown[shown.index("###\n1.") : shown.rindex("###")]
    made, broken = parse_alpaca(reply, cut_off)
    wanted = [
        Made(" ".join(i.split()), g if g.lower() not in ("none", "noinput") else "", o)
        for i, g, o in tasks
    ]
    if cut_off:
        assert made == wanted[:-1]
        assert [reason for reason, _ in broken] == ["cut off at the token limit"]
    else:
        assert (made, broken) == (wanted, [])


def test_the_alpaca_loop_takes_whole_tasks_from_one_reply():
    said = [
        "name five rivers of the north\n4. Input:\n<noinput>\n4. Output:\nMany.\n###\n"
        "5. Instruction: Rank these breads by taste\n5. Input:\nrye, oat\n5. Output:\nrye\n###\n"
        "6. Instruction: no output here at all\n6. Input:\nx\n",
        Reply("", "failed", "reset"),
        "Rank these breads by taste now\n4. Input:\nrye\n4. Output:\nrye",
    ]
    model = Teller(lambda text, n, seed: said[n])
    grown = self_instruct(model, SEEDS, count=5, requests=3, variant="alpaca")
    assert grown.made == [
        Made("name five rivers of the north", "", "Many.", "request-0"),
        Made("Rank these breads by taste", "rye, oat", "rye", "request-0"),
    ]
    assert grown.counts()["instructions"] == {
        "requests": 3,
        "outcomes": {"answered": 2, "failed": 1},
        "raw": 5,
        "kept": 2,
        "dropped": {
            "ROUGE-L above 0.7 with an instruction of the pool": 1,
            "not one instruction, input and output": 1,
            "reply failed": 1,
        },
    }
    for text, *_ in model.asked:
        assert len(re.findall(r"^\d\. Output:$", text, re.MULTILINE)) == 3
    assert {temperature for _, _, temperature, *_ in model.asked} == {1.0}


def test_a_folder_of_new_tasks(tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    rows = [
        {"instruction": t.instruction, "instances": [{"input": t.input, "output": t.output}]}
        for t in SEEDS
    ]
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_seed_tasks(seeds, 6) == SEEDS
    out = tmp_path / "out"
    told = self_instruct_files(seeds, teacher(), out, count=12)
    pairs = list(read_rows(out / "pairs.jsonl", Dialogue))
    dropped = list(read_rows(out / "dropped.jsonl", Dropped))
    assert told["kept"] == len(pairs) == 12
    phases = told["instructions"], told["instances"]
    assert sum(sum(phase["dropped"].values()) for phase in phases) == len(dropped)
    assert {row.source for row in pairs} == {"self-instruct"}
    fields = [json.loads(line) for line in (out / "fields.jsonl").open()]
    assert fields[0]["instruction"] == pairs[0].query
    assert told["complete"] is True
    with pytest.raises(InputError, match="task: "):
        self_instruct_files(seeds, teacher(), out, count=12, variant="alpaca")
    seeds.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="has 1 seed tasks; a request shows 6"):
        self_instruct_files(seeds, teacher(), out, count=12)
    seeds.write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="line 1: not a seed task"):
        self_instruct_files(seeds, teacher(), out, count=12)
