"""Verdicts of others: the published win rates, and who is who."""

from __future__ import annotations

import csv
from statistics import mean, stdev

import pytest

from veneer.errors import InputError
from veneer.measure.recorded import (
    preferences_of,
    read_outputs,
    read_preferences,
    recorded_verdicts,
)
from veneer.measure.recorded.preferences import score_ratio
from veneer.measure.recorded.reviews import parse_class, parse_scores
from veneer.records import RATERS, Comparison, Subject


def student(name: str) -> dict[str, Subject]:
    return {name: Subject(model=name, role="student", base="b")}


def annotation(preference, k: int = 0) -> dict:
    return {
        "instruction": f"Q{k}",
        "generator_1": "ref",
        "generator_2": "m",
        "preference": preference,
    }


def test_preferences_of_every_kind(rows_file) -> None:
    given = [1, 2, 1.5, 0, None, 1.25, 7, "x", float("nan")]
    file = read_preferences(rows_file([annotation(p, k) for k, p in enumerate(given)]))
    wins, ties = preferences_of([file], student("m"))[0]
    assert wins.values == (0.0, 1.0, 0.5, 0.5, None, 0.25, None, None, None)
    assert ties.values == (0.0, 1.0, 1.0, 1.0, None, 0.0, None, None, None)
    assert (wins.measure, wins.metric, wins.against) == ("preference", "win_rate", "ref")
    assert all(
        bool(reason) == (value is None)
        for reason, value in zip(wins.reasons, wins.values, strict=True)
    )


def test_the_same_verdicts_from_the_other_side(rows_file) -> None:
    file = read_preferences(rows_file([annotation(p, k) for k, p in enumerate((1, 2, 1.25))]))
    (wins, _) = preferences_of([file], student("ref"))[0]
    assert wins.values == (1.0, 0.0, 0.75)
    assert wins.against == "m"


def test_verdicts_on_strangers_are_refused(rows_file) -> None:
    file = read_preferences(rows_file([annotation(1)]))
    with pytest.raises(InputError, match=r"ref and m.*none of them"):
        preferences_of([file], student("another"))[0]


def review(one: str, two: str, text: str, score=None) -> dict:
    return {"question_id": 1, "answer1_id": one, "answer2_id": two, "text": text, "score": score}


@pytest.fixture
def answers(rows_file):
    def row(name: str, identity: str, number: int = 1) -> dict:
        return {
            "question_id": number,
            "answer_id": identity,
            "model_id": name,
            "text": f"by {name}",
        }

    return [
        read_outputs(rows_file([row("t", "T"), row("t", "T2", 2)], "t.jsonl")),
        read_outputs(rows_file([row("s", "S"), row("s", "S2", 2)], "s.jsonl")),
        read_outputs(rows_file([row("b", "B")], "b.jsonl")),
    ]


ROLES = {
    "t": Subject(model="t", role="teacher"),
    "b": Subject(model="b", role="base", base="b", tokens=0),
    "s": Subject(model="s", role="student", base="b"),
}


def test_who_is_who_is_said_by_the_ids_not_by_the_file(rows_file, answers) -> None:
    path = rows_file([review("S", "T", "9 7\nbecause")], "review_t_s.jsonl")
    (wins, _) = preferences_of([read_preferences(path, answers)], ROLES)[0]
    assert wins.subject.model == "s"
    assert wins.values == (1.0,)
    assert wins.against == "teacher"


def test_both_orders_are_averaged_an_item(rows_file, answers) -> None:
    one = rows_file([review("S", "T", "9 7"), review("S2", "T2", "5 5")], "1.jsonl")
    two = rows_file([review("T", "S", "8 6")], "2.jsonl")
    wins, ties = preferences_of([read_preferences(p, answers) for p in (one, two)], ROLES)[0]
    assert wins.values == (0.5, 0.5)
    assert ties.values == (1.0, 1.0)


def test_two_opponents_are_two_measures(rows_file, answers) -> None:
    files = [
        read_preferences(rows_file([review("T", "S", "9 7")], "1.jsonl"), answers),
        read_preferences(rows_file([review("B", "S", "3 7")], "2.jsonl"), answers),
    ]
    found = {
        (s.subject.model, s.measure): s
        for s in preferences_of(files, ROLES)[0]
        if s.metric == "win_rate"
    }
    assert set(found) == {("s", "preference"), ("s", "preference-vs-b")}
    assert found["s", "preference"].values == (0.0,)
    assert found["s", "preference-vs-b"].values == (1.0,)


def test_unparsed_reviews_are_unscored_with_the_reason(rows_file, answers) -> None:
    rows = [review("T", "S", "First, I solve it.\n9 7", [9, 7]), review("T2", "S2", "", [-1, -1])]
    file = read_preferences(rows_file(rows), answers)
    wins, _ = preferences_of([file], ROLES)[0]
    assert wins.values == (None, None)
    assert "first line" in wins.reasons[0]
    assert [c.scores for c in file.comparisons] == [(9.0, 7.0), None]


def test_reviews_of_answers_not_at_hand(rows_file, answers) -> None:
    mixed = rows_file([review("T", "S", "9 7"), review("T", "?", "9 7")])
    assert read_preferences(mixed, answers).unresolved == 1
    with pytest.raises(InputError, match="none of its 1 reviews"):
        read_preferences(rows_file([review("x", "y", "9 7")]), answers)


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 9\nwhy", (8, 9)), ("8.5, 9", (8.5, 9)), ("8,9\n", (8, 9)), ("\n\n7 7", (7, 7)),
        ("8 9 10", None), ("8", None), ("Assistant 1: 8 9", None), ("", None), ("8/10 9/10", None),
    ],
)  # fmt: skip
def test_the_first_line_holds_exactly_two_numbers(text, scores) -> None:
    assert parse_scores(text) == scores


def test_three_classes() -> None:
    assert [parse_class(f"reasons\n{last}") for last in ("1", "2", "3", "4", "both 1")] == [
        0.0, 1.0, 0.5, None, None,
    ]  # fmt: skip


# ---- the published figures -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "rate", "error", "n"),
    [
        ("gpt-3.5-turbo-0301", 89.365672, 1.078949, 804),
        ("guanaco-65b", 71.801242, 1.586912, 805),
        ("vicuna-13b", 70.434783, 1.606969, 805),
        ("alpaca-7b", 26.459627, 1.535711, 805),
        ("text_davinci_001", 15.174129, 1.235108, 804),
    ],
)
def test_alpaca_eval_win_rates(shared, model, rate, error, n) -> None:
    file = read_preferences(shared / f"alpaca_eval/annotations_gpt4/{model}.jsonl.gz")
    wins, _ = preferences_of([file], student(model))[0]
    scored = [value for value in wins.values if value is not None]
    assert (len(scored), len(wins.values)) == (n, 805)
    assert 100 * mean(scored) == pytest.approx(rate, abs=1e-5)
    assert 100 * stdev(scored) / len(scored) ** 0.5 == pytest.approx(error, abs=1e-5)


def test_the_whole_leaderboard_agrees(shared) -> None:
    for board, folder in (
        ("leaderboard_alpaca_eval_gpt4.csv", "annotations_gpt4"),
        ("leaderboard_weighted_gpt4turbo.csv", "annotations_weighted_gpt4turbo"),
    ):
        with (shared / "alpaca_eval" / board).open(encoding="utf-8") as lines:
            published = {row[""]: float(row["win_rate"]) for row in csv.DictReader(lines)}
        checked = 0
        for path in sorted((shared / "alpaca_eval" / folder).glob("*.jsonl.gz")):
            model = path.name.removesuffix(".jsonl.gz")
            if model in published:
                wins, _ = preferences_of([read_preferences(path)], student(model))[0]
                scored = [value for value in wins.values if value is not None]
                assert 100 * mean(scored) == pytest.approx(published[model], abs=1e-5), model
                checked += 1
        assert checked >= 4


def test_the_published_shape_with_outputs(shared) -> None:
    path = shared / "alpaca_eval/annotations_gpt4_full_vicuna-13b.json.gz"
    wins, _ = preferences_of([read_preferences(path)], student("vicuna-13b"))[0]
    assert 100 * mean(wins.values) == pytest.approx(70.434783, abs=1e-5)


@pytest.fixture
def blog(shared):
    names = ("gpt35", "llama-13b", "alpaca-13b", "vicuna-13b", "bard")
    return [read_outputs(shared / f"vicuna_blog/answer_{name}.jsonl") for name in names]


@pytest.mark.parametrize(
    ("other", "sums"),
    [
        ("gpt35", (693, 638)),
        ("llama-13b", (513, 694)),
        ("alpaca-13b", (583, 704)),
        ("bard", (664, 655.5)),
    ],
)
def test_sums_of_the_vicuna_reviews(shared, blog, other, sums) -> None:
    path = shared / f"vicuna_blog/reviews/review_{other}_vicuna-13b.jsonl"
    file = read_preferences(path, blog)
    assert len(file.comparisons) == 80
    assert tuple(sum(c.scores[k] for c in file.comparisons) for k in (0, 1)) == sums
    assert sum(c.second_wins is None for c in file.comparisons) == 3
    assert {c.second.split(":")[0] for c in file.comparisons} == {"vicuna-13b"}


def test_share_of_chatgpts_score_over_both_orders(shared, blog) -> None:
    folder = shared / "qlora/relative-gpt-3.5"
    files = [
        read_preferences(folder / f"{pair}-gpt4-reviewer.jsonl", blog)
        for pair in ("gpt-3.5-vs-vicuna-13b", "vicuna-13b-vs-gpt-3.5")
    ]
    ratio = score_ratio(files, "vicuna-13b:20230322-clean-lang", "gpt-3.5-turbo:20230327")
    assert 100 * ratio == pytest.approx(94.9, abs=0.05)


def test_three_class_reviews_of_the_shared_data(shared, blog) -> None:
    folder = shared / "qlora/threeclass"
    name = "answer-gpt35-vs-answer-vicuna-13b-gpt-4-reviewer-threeclass.jsonl"
    file = read_preferences(folder / name, blog)
    found = [c.second_wins for c in file.comparisons]
    assert (found.count(0.0), found.count(1.0), found.count(0.5)) == (40, 20, 20)


def test_our_own_comparisons_are_read_again(rows_file) -> None:
    rows = [
        Comparison(prompt=f"Q{k}", first="t", second="s", second_wins=wins, reason=why, judge=who)
        for k, (wins, why) in enumerate([(1.0, ""), (0.5, ""), (None, "2 of 3 ratings")])
        for who in ("human raters", "gpt")
    ]
    path = rows_file([row.model_dump(mode="json") for row in rows])
    assert read_preferences(path).comparisons == tuple(rows)
    told = recorded_verdicts([path]).as_json()
    assert [(one["win_rate"], one["n"], one["unscored"]) for one in told["pairs"]] == [
        (0.75, 2, 1)
    ] * 2
    broken = rows_file([rows[0].model_dump(mode="json") | {"lengths": "long"}])
    with pytest.raises(InputError, match=r"line 1: not a comparison .*lengths"):
        read_preferences(broken)


def test_raters_are_kept_apart_from_a_judge(rows_file) -> None:
    def said(by: str, *wins: float) -> list[dict]:
        rows = [
            Comparison(prompt=f"Q{k}", first="t", second="s", second_wins=won, judge=by)
            for k, won in enumerate(wins)
        ]
        return [row.model_dump(mode="json") for row in rows]

    files = [read_preferences(rows_file(said(RATERS, 1.0, 1.0)))]
    subjects = student("s") | {"t": Subject(model="t", role="teacher")}
    alone, _ = preferences_of(files, subjects)
    assert {sheet.measure for sheet in alone} == {"preference"}
    files.append(read_preferences(rows_file(said("gpt", 0.0, 0.0))))
    both, reports = preferences_of(files, subjects)
    rates = {sheet.measure: set(sheet.values) for sheet in both if sheet.metric == "win_rate"}
    assert rates == {"preference": {0.0}, "preference-raters": {1.0}}
    assert sorted(report.judge for report in reports) == ["gpt", "human raters"]
