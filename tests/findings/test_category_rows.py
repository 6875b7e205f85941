"""Scores by category are the scores of the category's items alone."""

from __future__ import annotations

import random

import pytest

from veneer.findings import category_measurements, estimate, measurements
from veneer.records import Aggregate, CategoryMeasurement, ScoreSheet, Subject

STUDENT = Subject(model="L-9", role="student", base="L", corpus="broad", tokens=9, seed=1)
NAMES = ("chat", "code", "facts")


def sheet(n: int = 90, categories=True, **more) -> ScoreSheet:
    luck = random.Random(5)
    values = [luck.random() for _ in range(n)]
    values[0] = values[3] = None
    found = {
        "subject": STUDENT, "measure": "style", "metric": "unigram_f1",
        "items": tuple(f"i{k}" for k in range(n)), "values": tuple(values),
        "categories": tuple(NAMES[k % 3] for k in range(n)) if categories else (),
    }  # fmt: skip
    return ScoreSheet(**{**found, **more})


def by_hand(whole: ScoreSheet, category: str) -> ScoreSheet:
    kept = [k for k, name in enumerate(whole.categories) if name == category]
    pick = lambda column: tuple(column[k] for k in kept)  # noqa: E731
    others = None if whole.others is None else pick(whole.others)
    return whole.model_copy(
        update={
            "items": pick(whole.items),
            "values": pick(whole.values),
            "others": others,
            "categories": (),
            "reasons": (),
        }
    )


@pytest.mark.parametrize("kind", ["mean", "pearson"])
def test_a_row_is_the_estimate_of_a_sheet_of_those_items(kind: str) -> None:
    luck = random.Random(6)
    more = {"others": tuple(luck.random() for _ in range(90))} if kind == "pearson" else {}
    whole = sheet(kind=kind, **more)
    rows = category_measurements([whole])
    assert [row.category for row in rows] == list(NAMES)
    for row in rows:
        wanted = estimate(by_hand(whole, row.category))
        assert (row.value, row.low, row.high) == (wanted.value, wanted.low, wanted.high)
        assert (row.n, row.unscored) == (wanted.n, wanted.unscored)
        assert row.low < row.value < row.high
    assert [row.unscored for row in rows] == [2, 0, 0]
    assert sum(row.n for row in rows) == measurements([whole])[0].n


def test_the_subject_and_the_metric_go_with_it() -> None:
    row = category_measurements([sheet()])[0]
    assert isinstance(row, CategoryMeasurement)
    assert {k: getattr(row, k) for k in Subject.model_fields} == STUDENT.model_dump()
    assert (row.measure, row.metric) == ("style", "unigram_f1")


def test_only_sheets_of_two_categories_or_more_have_rows() -> None:
    total = Aggregate(subject=STUDENT, measure="mmlu", metric="accuracy", value=0.4)
    alone = sheet(categories=False)
    one = sheet().model_copy(update={"categories": ("chat",) * 90})
    assert category_measurements([total, alone, one]) == []


def test_items_without_a_category_beside_others_are_named_not_dropped() -> None:
    names = ("", "code") * 45
    rows = category_measurements([sheet().model_copy(update={"categories": names})])
    assert [(row.category, row.n) for row in rows] == [("(none)", 44), ("code", 44)]


def test_seeds_stay_apart_and_the_order_is_that_of_measurements() -> None:
    later = sheet().model_copy(update={"subject": STUDENT.model_copy(update={"seed": 2})})
    rows = category_measurements([later, sheet()])
    assert [row.seed for row in rows] == [1, 1, 1, 2, 2, 2]
    assert rows == category_measurements([sheet(), later])
