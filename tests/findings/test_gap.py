"""Gap closed: the paper's tables, a slow paired loop, and what must leave it unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from veneer.findings import gap_closed, gap_closed_point
from veneer.findings.paired import seed_picks
from veneer.findings.resample import RESAMPLES, weights
from veneer.records import Aggregate, ScoreSheet, Subject


def one(role: str, values, seed: int = 0, items=None, measure="nq", metric="exact_match"):
    base = "b" if role in ("base", "student") else None
    return ScoreSheet(
        subject=Subject(model=role, role=role, base=base, seed=seed),
        measure=measure,
        metric=metric,
        items=tuple(items or (f"s{seed}-i{k:03d}" for k in range(len(values)))),
        values=tuple(values),
    )


def total(role: str, value: float, measure: str, metric: str) -> Aggregate:
    who = Subject(model=role, role=role, base="b" if role in ("base", "student") else None)
    return Aggregate(subject=who, measure=measure, metric=metric, value=value)


TABLE_2 = {  # base LLaMA, 150M tokens, ChatGPT #2, gap closed in %
    "list_agreement": (13, 81, 83, 97),
    "summary_agreement": (2, 48, 55, 87),
    "unigram_f1": (19.5, 42.5, 49.2, 77),
    "length_correlation": (-0.11, 0.62, 0.67, 94),
    "authoritative_tone": (57, 98, 98, 100),
}
TABLE_1 = [  # base, student, ChatGPT, gap closed in %
    (17, 10, 31, -50),
    (20, 15, 31, -45),
    (17, 22, 31, 36),
    (20, 27, 31, 64),
]


@pytest.mark.parametrize(("metric", "row"), TABLE_2.items())
def test_the_papers_table_2(metric: str, row: tuple[float, ...]) -> None:
    base, student, ceiling, percent = row
    assert round(100 * gap_closed_point(student, base, ceiling)) == percent
    found = gap_closed(
        [total("student", student, "style", metric)],
        [total("base", base, "style", metric)],
        [total("teacher-again", ceiling, "style", metric)],
    )
    assert round(100 * found.value) == percent
    assert found.family == "style"
    assert found.low is None, "a table without standard errors has no interval"


@pytest.mark.parametrize(("base", "student", "ceiling", "percent"), TABLE_1)
def test_the_papers_table_1(base: float, student: float, ceiling: float, percent: int) -> None:
    assert round(100 * gap_closed_point(student, base, ceiling)) == percent
    found = gap_closed(
        [total("student", student, "nq", "exact_match")],
        [total("base", base, "nq", "exact_match")],
        [total("teacher", ceiling, "nq", "exact_match")],
    )
    assert round(100 * found.value) == percent


def rates(seed: int, *chances: float, n: int = 120) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    return [
        (0.6 * hard + 0.4 * rng.random(n) < chance).astype(float).tolist() for chance in chances
    ]


def test_the_interval_is_the_slow_paired_loop() -> None:
    student, base, ceiling = rates(1, 0.5, 0.3, 0.8)
    found = gap_closed([one("student", student)], [one("base", base)], [one("teacher", ceiling)])
    draws = []
    for row in weights(tuple(f"s0-i{k:03d}" for k in range(120))):
        drawn = [k for k, times in enumerate(row) for _ in range(times)]
        s, b, c = (np.mean([x[k] for k in drawn]) for x in (student, base, ceiling))
        draws.append((s - b) / (c - b))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low == pytest.approx(low, rel=1e-9)
    assert found.high == pytest.approx(high, rel=1e-9)
    assert found.n == 120


def test_items_count_where_all_three_were_scored() -> None:
    student, base, ceiling = rates(2, 0.5, 0.3, 0.8)
    holes = [list(x) for x in (student, base, ceiling)]
    holes[0][3] = holes[1][4] = holes[2][5] = None
    found = gap_closed(
        [one("student", holes[0])], [one("base", holes[1])], [one("teacher", holes[2])]
    )
    keep = [k for k in range(120) if k not in (3, 4, 5)]
    s, b, c = (np.mean([x[k] for k in keep]) for x in (student, base, ceiling))
    assert found.value == pytest.approx((s - b) / (c - b))
    assert (found.n, found.unscored) == (117, 3)


def test_undefined_when_there_may_be_no_gap() -> None:
    student, base, _ = rates(3, 0.5, 0.4, 0.4)
    ceiling = rates(4, 0.42)[0]
    found = gap_closed([one("student", student)], [one("base", base)], [one("teacher", ceiling)])
    assert not found.defined
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "includes 0" in found.note


def test_all_wrong_everywhere_is_not_certainty() -> None:
    """0 of 3 for the base and 3 of 3 for the ceiling is a gap; 0 of 3 for both is none."""
    student, base = [0.0] * 40, [0.0] * 40
    found = gap_closed([one("student", student)], [one("base", base)], [one("teacher", [1.0] * 40)])
    assert found.value == 0
    assert found.low < 0 < found.high
    none = gap_closed([one("student", student)], [one("base", base)], [one("teacher", [0.0] * 40)])
    assert not none.defined


def test_other_items_cannot_be_compared() -> None:
    found = gap_closed(
        [one("student", [1.0, 0.0], items=("a", "b"))],
        [one("base", [0.0, 0.0], items=("c", "d"))],
        [one("teacher", [1.0, 1.0], items=("a", "b"))],
    )
    assert not found.defined
    assert "different items" in found.note


shares = st.lists(st.sampled_from([0.0, 0.25, 1.0, None]), min_size=40, max_size=40)


@settings(max_examples=20, deadline=None)
@given(shares, st.floats(0.2, 5), st.floats(-3, 3), st.booleans())
def test_unchanged_by_affine_maps_of_the_score(
    student: list[float | None], scale: float, shift: float, flip: bool
) -> None:
    assume(sum(v is not None for v in student) > 5)
    _, base, ceiling = rates(6, 0.5, 0.2, 0.9, n=40)
    factor = -scale if flip else scale

    def mapped(values):
        return [None if v is None else factor * v + shift for v in values]

    trio = (student, base, ceiling)
    plain = gap_closed(
        *([one(r, v)] for r, v in zip(("student", "base", "teacher"), trio, strict=True))
    )
    moved = gap_closed(
        *([one(r, mapped(v))] for r, v in zip(("student", "base", "teacher"), trio, strict=True))
    )
    assume(len({v for v in student if v is not None}) > 1 and plain.defined)
    kept = [k for k, v in enumerate(student) if v is not None]
    assume(all(len({x[k] for k in kept}) > 1 for x in (base, ceiling)))
    assert moved.value == pytest.approx(plain.value, rel=1e-7, abs=1e-9)
    assert moved.low == pytest.approx(plain.low, rel=1e-7, abs=1e-9)


def test_swapping_base_and_ceiling_turns_it_round() -> None:
    student, base, ceiling = rates(7, 0.5, 0.3, 0.8)
    there = gap_closed([one("student", student)], [one("base", base)], [one("teacher", ceiling)])
    back = gap_closed([one("student", student)], [one("base", ceiling)], [one("teacher", base)])
    assert back.value == pytest.approx(1 - there.value)
    assert back.low == pytest.approx(1 - there.high)
    assert "below the base" in back.note


def test_a_student_that_is_its_ceiling_has_closed_the_gap() -> None:
    base, ceiling = rates(8, 0.3, 0.8)
    full = gap_closed([one("student", ceiling)], [one("base", base)], [one("teacher", ceiling)])
    none = gap_closed([one("student", base)], [one("base", base)], [one("teacher", ceiling)])
    assert (full.value, full.low, full.high) == (1, 1, 1)
    assert (none.value, none.low, none.high) == (0, 0, 0)


# ---- several seeds --------------------------------------------------------------------


def three_seeds():
    worlds = {s: rates(10 + s, (0.45, 0.5, 0.6)[s], 0.3, 0.8) for s in range(3)}
    return tuple(
        [one(role, worlds[s][k], seed=s) for s in range(3)]
        for k, role in enumerate(("student", "base", "teacher"))
    ), worlds


def test_over_seeds_it_is_the_ratio_of_mean_differences() -> None:
    groups, worlds = three_seeds()
    found = gap_closed(*groups)
    means = np.array([[np.mean(x) for x in worlds[s]] for s in range(3)])
    expected = (means[:, 0] - means[:, 1]).mean() / (means[:, 2] - means[:, 1]).mean()
    assert found.value == pytest.approx(expected)
    assert (found.n, found.seeds) == (360, 3)


def test_seeds_are_resampled_and_items_within_each() -> None:
    """Against a loop that draws seeds, then items of each drawn seed, from scratch."""
    groups, worlds = three_seeds()
    found = gap_closed(*groups)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(4000):
        top = bottom = 0.0
        for s in rng.integers(0, 3, 3):
            rows = rng.integers(0, 120, 120)
            student, base, ceiling = (np.array(x)[rows].mean() for x in worlds[int(s)])
            top, bottom = top + student - base, bottom + ceiling - base
        draws.append(top / bottom)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))


def test_a_base_with_one_run_serves_every_seed_on_its_items() -> None:
    items = [f"i{k:03d}" for k in range(120)]
    students = [one("student", rates(20 + s, 0.5)[0], seed=s, items=items) for s in range(3)]
    base, ceiling = rates(30, 0.3, 0.8)
    found = gap_closed(
        students, [one("base", base, items=items)], [one("teacher", ceiling, items=items)]
    )
    mean = np.mean([np.mean(s.values) for s in students])
    expected = (mean - np.mean(base)) / (np.mean(ceiling) - np.mean(base))
    assert found.value == pytest.approx(expected)
    assert found.seeds == 3


def test_shared_items_are_drawn_once_for_all_seeds() -> None:
    picks, rows = seed_picks((0, 1, 2), (True, True, True))
    assert (rows == np.arange(RESAMPLES)[:, None]).all()
    assert set(np.unique(picks)) == {0, 1, 2}
    _, fresh = seed_picks((0, 1, 2), (False, False, False))
    assert len({tuple(row) for row in fresh[:50]}) == 50
    assert (fresh[:, 0] != fresh[:, 1]).mean() > 0.99


def test_a_seed_that_cannot_be_compared_is_left_out_and_named() -> None:
    groups, _ = three_seeds()
    students, bases, teachers = groups
    blind = one("student", [None] * 120, seed=1)
    found = gap_closed([students[0], blind, students[2]], bases, teachers)
    assert found.seeds == 2
    assert "seed 1 left out" in found.note
