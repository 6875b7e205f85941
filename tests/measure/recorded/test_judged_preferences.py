"""Files of verdicts in sum: who is who, the published figures, and what cannot be told."""

from __future__ import annotations

import json
from collections import Counter
from statistics import mean

import pytest

from veneer.errors import InputError
from veneer.measure.recorded import read_outputs, read_preferences, recorded_verdicts

BLOG = ("gpt35", "llama-13b", "alpaca-13b", "vicuna-13b", "bard")
GENERATED = "-vicuna-generations-topp0.9-temp0.7"


def annotation(k: int, preference, **more) -> dict:
    row = {
        "instruction": f"Q{k}",
        "generator_1": "ref",
        "generator_2": "m",
        "annotator": "judge",
        "preference": preference,
    }
    return row | more


def review(one: str, two: str, text: str, question: int = 1, score=None) -> dict:
    told = {"question_id": question, "answer1_id": one, "answer2_id": two, "text": text}
    return told | {"score": score or [0, 0]}


def answers(name: str, ids: str) -> list[dict]:
    return [
        {"question_id": k, "answer_id": identity, "model_id": name, "text": name * k}
        for k, identity in enumerate(ids.split(), 1)
    ]


def test_annotations_in_sum(rows_file) -> None:
    given = [1, 2, 1.5, 0, None, 2]
    path = rows_file([annotation(k, p, dataset="d") for k, p in enumerate(given)])
    told = recorded_verdicts([path]).as_json()
    assert (told["model"], told["against"], told["judge"]) == ("m", "ref", "judge")
    assert (told["wins"], told["losses"], told["ties"], told["n"], told["unscored"]) == (
        2, 1, 2, 5, 1,
    )  # fmt: skip
    assert told["win_rate"] == pytest.approx(mean([0, 1, 0.5, 0.5, 1]))
    assert told["low"] <= told["win_rate"] <= told["high"]
    assert told["win_or_tie_rate"]["value"] == pytest.approx(0.8)
    assert told["reasons"] == {"the annotator gave no preference": 1}
    assert told["length_controlled"] is None
    assert "--outputs" in told["notes"][0]
    assert json.loads(json.dumps(told)) == told
    other = recorded_verdicts([path], model="ref").as_json()
    assert (other["model"], other["wins"], other["losses"]) == ("ref", 1, 2)


def test_lengths_from_the_rows_or_from_the_answers(rows_file) -> None:
    rows = [annotation(k, 1 + k % 2) for k in range(20)]
    texts = [("x" * (5 + k % 7), "y" * (3 + 2 * k % 11)) for k in range(20)]
    inside = [
        row | {"output_1": one, "output_2": two}
        for row, (one, two) in zip(rows, texts, strict=True)
    ]
    whole = rows_file(inside, "whole.jsonl")
    told = recorded_verdicts([whole]).as_json()
    assert told["length_controlled"]["n"] == 20
    bare = rows_file(rows, "bare.jsonl")
    files = [
        rows_file(
            [
                {"instruction": f"Q{k}", "output": pair[side], "generator": name}
                for k, pair in enumerate(texts)
            ],
            f"{name}.jsonl",
        )
        for side, name in enumerate(("ref", "m"))
    ]
    assert recorded_verdicts([bare], files).as_json() == told
    assert recorded_verdicts([bare], [whole]).as_json() == told
    clash = rows_file([{"instruction": "Q0", "output": "else", "generator": "m"}], "clash.jsonl")
    with pytest.raises(InputError, match="different answers of m"):
        recorded_verdicts([bare], [*files, clash])


def test_unused_answers_are_told(rows_file) -> None:
    path = rows_file([annotation(0, 2)])
    extra = rows_file([{"instruction": "Q0", "output": "a", "generator": "x"}], "x.jsonl")
    notes = recorded_verdicts([path], [extra]).notes
    assert any("x.jsonl: no verdict is on an answer of x" in note for note in notes)


def test_two_annotators_stay_apart_and_one_model_has_a_total(rows_file) -> None:
    one = rows_file([annotation(0, 2), annotation(1, 2)], "1.jsonl")
    two = rows_file([annotation(0, 1, annotator="other")], "2.jsonl")
    told = recorded_verdicts([one, two]).as_json()
    assert [(p["judge"], p["wins"], p["losses"]) for p in told["pairs"]] == [
        ("judge", 2, 0), ("other", 0, 1),
    ]  # fmt: skip
    assert "win_rate" not in told  # two judges are no one's rate
    more = rows_file([annotation(0, 1, generator_1="third")], "3.jsonl")
    told = recorded_verdicts([one, more], model="m").as_json()
    assert (told["against"], told["wins"], told["losses"], told["n"]) == (
        "all opponents", 2, 1, 3,
    )  # fmt: skip


def test_refusals(rows_file) -> None:
    path = rows_file([annotation(0, 2)])
    with pytest.raises(InputError, match="given twice"):
        recorded_verdicts([path, path])
    with pytest.raises(InputError, match="No verdict is on 'x'; the files compare m, ref"):
        recorded_verdicts([path], model="x")
    ids = rows_file([review("T", "S", "9 7"), review("T2", "S2", "9 7", 2)], "r.jsonl")
    with pytest.raises(InputError) as caught:
        recorded_verdicts([ids])
    assert "--outputs" in caught.value.hint
    assert "--model" in caught.value.hint


def test_reviews_in_both_orders(rows_file) -> None:
    outputs = [
        rows_file(answers("t", "T T2 T3"), "t.jsonl"),
        rows_file(answers("s", "S S2 S3"), "s.jsonl"),
    ]
    one = rows_file(
        [review("T", "S", "9 7", 1, [9, 7]), review("T2", "S2", "8 4", 2, [8, 4]),
         review("T3", "S3", "Well.\n5 5", 3, [5, 5])],
        "one.jsonl",
    )  # fmt: skip
    two = rows_file(
        [review("S", "T", "9 6", 1, [9, 6]), review("S2", "T2", "5 10", 2, [5, 10]),
         review("S3", "T3", "5 5", 3, [5, 5])],
        "two.jsonl",
    )  # fmt: skip
    told = recorded_verdicts([one, two], outputs).as_json()
    assert (told["model"], told["orders"], told["n"], told["unscored"]) == ("s", "both", 2, 1)
    assert (told["wins"], told["losses"], told["ties"]) == (0, 1, 1)
    assert told["first_position"]["value"] == pytest.approx(mean([1, 1, 1, 0, 0.5]), abs=0.06)
    assert told["orders_agree"]["value"] == 0.5
    assert told["score_sums"] == {"s": 7 + 4 + 5 + 9 + 5 + 5, "t": 9 + 8 + 5 + 6 + 10 + 5}
    assert told["score_ratio"] == pytest.approx((16 / 22 + 19 / 21) / 2)


def test_ids_that_are_names(rows_file) -> None:
    path = rows_file([review("t", "s", "9 7", k) for k in range(3)])
    told = recorded_verdicts([path]).as_json()
    assert (told["model"], told["against"], told["losses"]) == ("s", "t", 3)


def test_a_claim_names_the_answers_without_ids(rows_file) -> None:
    outputs = [rows_file(answers("t", "T T2"), "t.jsonl")]
    path = rows_file([review("S", "T", "9 7"), review("T2", "S2", "8 4", 2)], "1.jsonl")
    with pytest.raises(InputError, match="none of its 2 reviews"):
        recorded_verdicts([path], outputs)
    told = recorded_verdicts([path], outputs, "s").as_json()
    assert (told["model"], told["wins"], told["losses"]) == ("s", 1, 1)
    other = rows_file([review("U", "T", "9 7"), review("U2", "T2", "8 4", 2)], "2.jsonl")
    with pytest.raises(InputError, match="two unknown models"):
        recorded_verdicts([path, other], outputs, "s")


def game(k: int, one: str, two: str, **more) -> dict:
    row = {"question_id": k, "turn": 1, "model_1": "s", "model_2": "t", "judge": ["j", "pair-v2"]}
    return row | {"g1_winner": one, "g2_winner": two} | more


def test_judgments_in_both_orders(rows_file) -> None:
    rows = [
        game(1, "model_1", "model_1"), game(2, "model_1", "model_2"), game(3, "tie", "tie"),
        game(1, "model_2", "model_2", turn=2), game(4, "model_1", "error"),
    ]  # fmt: skip
    path = rows_file(rows)
    told = recorded_verdicts([path], model="s").as_json()
    assert (told["wins"], told["losses"], told["ties"], told["unscored"]) == (1, 1, 2, 1)
    assert (told["orders"], told["judge"]) == ("both", "j")
    assert told["reasons"] == {"the judge's winner is 'error'": 1}
    # s shown first: won, won, tie, lost, won; t shown first: lost, won, tie, won
    assert told["first_position"]["value"] == pytest.approx((3.5 / 5 + 2.5 / 4) / 2)
    assert told["orders_agree"]["value"] == 0.75
    outputs = [
        rows_file(answers("s", "S S2 S3 S4"), "s.jsonl"),
        rows_file(answers("tt", "T T2 T3 T4"), "t.jsonl"),
    ]
    renamed = rows_file([row | {"model_2": "tt"} for row in rows], "renamed.jsonl")
    one, two = read_preferences(renamed, [read_outputs(p) for p in outputs]).comparisons[2:4]
    assert (one.first, one.lengths, one.second_wins) == ("s", (2, 4), 0.0)
    assert (two.first, two.lengths, two.second_wins) == ("tt", (4, 2), 0.0)
    with pytest.raises(InputError, match="line 1: lacks question_id"):
        recorded_verdicts([rows_file([game(1, "tie", "tie") | {"question_id": None}])])


# ---- the published figures -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "model", "rate", "n"),
    [
        ("annotations_gpt4", "gpt-3.5-turbo-0301", 89.365672, 804),
        ("annotations_gpt4", "alpaca-7b", 26.459627, 805),
        ("annotations_weighted_gpt4turbo", "alpaca-7b", 2.591451, 805),
        ("annotations_weighted_gpt4turbo", "text_davinci_001", 2.764005, 803),
        ("annotations_weighted_gpt4turbo", "vicuna-7b", 4.162611, 805),
        ("annotations_weighted_gpt4turbo", "vicuna-13b", 5.831103, 805),
        ("annotations_weighted_gpt4turbo", "gpt-3.5-turbo-0301", 9.622453, 805),
    ],
)
def test_alpaca_eval(shared, folder, model, rate, n) -> None:
    told = recorded_verdicts([shared / f"alpaca_eval/{folder}/{model}.jsonl.gz"]).as_json()
    assert 100 * told["win_rate"] == pytest.approx(rate, abs=1e-5)
    assert (told["n"], told["model"]) == (n, model)


def test_length_controlled_with_the_answers_that_were_judged(shared) -> None:
    home = shared / "alpaca_eval"
    path = home / "annotations_gpt4_full_vicuna-13b.json.gz"
    told = recorded_verdicts([path]).as_json()
    assert 100 * told["length_controlled"]["value"] == pytest.approx(50.3048, abs=1e-3)
    assert told["biases"][0].startswith("longer answers win")


@pytest.mark.parametrize(
    ("other", "sums"),
    [("gpt35", (693, 638)), ("llama-13b", (513, 694)), ("alpaca-13b", (583, 704)),
     ("bard", (664, 655.5))],
)  # fmt: skip
def test_sums_of_the_vicuna_reviews(shared, other, sums) -> None:
    folder = shared / "vicuna_blog"
    told = recorded_verdicts(
        [folder / f"reviews/review_{other}_vicuna-13b.jsonl"],
        [folder / f"answer_{name}.jsonl" for name in (other, "vicuna-13b")],
        "vicuna-13b",
    ).as_json()
    found = told["score_sums"]
    assert (found[told["against"]], found[told["model"]]) == sums
    assert told["unscored"] == 3


@pytest.mark.parametrize(
    ("model", "percent"), [("vicuna-13b", 94.9), ("7b-alpaca", 64.3), ("13b-guanaco", 90.4)]
)
def test_share_of_chatgpts_score(shared, model, percent) -> None:
    folder = shared / "qlora/relative-gpt-3.5"
    name = model if model == "vicuna-13b" else model + GENERATED
    files = [
        folder / f"gpt-3.5-vs-{name}-gpt4-reviewer.jsonl",
        folder / f"{name}-vs-gpt-3.5-gpt4-reviewer.jsonl",
    ]
    known = ("gpt35", "vicuna-13b") if model == "vicuna-13b" else ("gpt35",)
    outputs = [shared / f"vicuna_blog/answer_{one}.jsonl" for one in known]
    told = recorded_verdicts(files, outputs, model).as_json()
    assert 100 * told["score_ratio"] == pytest.approx(percent, abs=0.05)
    assert (told["orders"], told["n"] + told["unscored"]) == ("both", 80)


def test_votes_of_raters_and_the_judge_beside_them(shared) -> None:
    votes = shared / "human/pandalm_3raters_part.jsonl.gz"
    judge = shared / "human/pandalm_gpt35_judge_part.jsonl.gz"
    told = recorded_verdicts([votes]).as_json()
    assert told["majority"] == {"tie": 50, "first": 201, "second": 266}
    assert (told["unanimous"], told["raters"], told["n"], len(told["pairs"])) == (465, 3, 517, 5)
    alone = recorded_verdicts([judge]).as_json()
    assert (alone["model"], alone["wins"], alone["losses"]) == ("response 2", 264, 221)
    assert (alone["ties"], alone["unscored"]) == (17, 15)
    both = recorded_verdicts([judge, votes])
    kinds = Counter(pair.kind for pair in both.pairs)
    assert kinds == {"votes": 5, "results": 5}
    assert both.as_json()["majority"] == told["majority"]
    assert 0.5 < both.agreement < 0.9
