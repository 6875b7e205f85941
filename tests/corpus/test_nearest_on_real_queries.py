"""The figures that others computed on public query sets, where these files lie beside the house."""

import gzip
import json
from pathlib import Path

import pytest

from veneer.corpus.decontaminate import contaminated, leaking, overlap
from veneer.corpus.nearest import nearest_bleu, sample_of, unique_queries

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public query sets are not here")


def first_human_turn(row):
    return next((turn["value"] for turn in row["conversations"] if turn["from"] == "human"), "")


def instruction_and_input(row):
    return "\n".join(filter(None, [row["instruction"], row["input"]]))


def instance(row):
    return instruction_and_input({**row, **row["instances"][0]})


def field(name):
    return lambda row: row[name]


QUERIES = {
    "queries/sharegpt_first_turns_2978.jsonl.gz": first_human_turn,
    "eval/koala_test_set.jsonl": field("prompt"),
    "queries/user_oriented_instructions.jsonl": instance,
    "queries/instructwild_user_1.jsonl": field("instruction"),
    "dialogues/alpaca_gpt4_1000.jsonl.gz": instruction_and_input,
    "benchmarks/nq_open/NQ-open.dev.jsonl": field("question"),
    "dialogues/code_alpaca_2k.jsonl.gz": instruction_and_input,
    "queries/t0_template_prompts.jsonl.gz": field("prompt"),
    "queries/natural_instructions_v1_gpt3.jsonl.gz": field("input"),
}
SHAREGPT, KOALA, *_ = QUERIES
MEANS = [6.3878, 4.7335, 7.7061, 11.6098, 14.3221, 18.5561, 19.4219, 62.1615, 65.0243]


def rows(name):
    opener = gzip.open if name.endswith(".gz") else open
    with opener(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def queries(name):
    return [QUERIES[name](row) for row in rows(name)]


@pytest.mark.parametrize(("name", "mean"), list(zip(QUERIES, MEANS, strict=True)))
def test_mean_nearest_bleu_of_three_hundred(name, mean):
    sample = sample_of(unique_queries(queries(name)), 300)
    assert round(nearest_bleu(sample).bleu.mean(), 4) == mean


def test_all_sharegpt_queries():
    unique = unique_queries(queries(SHAREGPT))
    found = nearest_bleu(unique)
    assert len(unique) == 2861
    assert round(found.bleu.mean(), 4) == 11.0737
    assert round((found.bleu > 20).mean(), 4) == 0.1195


def test_koala_against_sharegpt():
    ids = [row["id"] for row in rows(KOALA)]
    training = unique_queries(queries(SHAREGPT))
    evaluation = queries(KOALA)
    found = overlap(evaluation, training)
    wanted = [0, 41, 68, 72, 74, 78, 95, 134, 139, 160]
    assert [ids[row.query] for row in contaminated(found)] == [f"koala_{n}" for n in wanted]
    assert sum(row.identical for row in found) == 5
    assert round(sum(row.bleu for row in found) / len(found), 4) == 11.4640
    gone = {leak.training for leak in leaking(evaluation, training)}
    left = [text for place, text in enumerate(training) if place not in gone]
    assert gone >= {row.nearest for row in contaminated(found)}
    assert max(row.bleu for row in overlap(evaluation, left)) <= 20
