"""Gain against support: bins, slopes and intervals, each computed another way."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.findings import conclude
from veneer.findings.support import FEWEST, bins, within
from veneer.records import CorpusFacts, ScoreSheet, StudyFacts, Subject, Support, SupportCurve

FACTS = StudyFacts(
    name="x", parameters={"L": 10}, corpora={"broad": CorpusFacts(kind="broad")}, seeds=(0, 1)
)
N = 200


def bleu_of(item: int) -> float:
    """0 to 99.5 in steps of a half: items are spread evenly."""
    return item / 2


def sheet(role: str, values, seed: int = 0, names=None, measure: str = "nq") -> ScoreSheet:
    tokens = {"base": 0, "student": 1000}.get(role)
    more = {"corpus": "broad"} if role == "student" else {}
    who = Subject(model=role, role=role, base="L", tokens=tokens, seed=seed, **more)
    names = names or tuple(f"{measure}-{i}" for i in range(len(values)))
    return ScoreSheet(
        subject=who, measure=measure, metric="exact_match", items=names, values=tuple(values)
    )


def rows(n: int = N, measure: str = "nq", prefix: str = "") -> list[Support]:
    return [
        Support(measure=measure, item=f"{measure}-{prefix}{i}", bleu=bleu_of(i)) for i in range(n)
    ]


def scores(seed: int = 0) -> tuple[list[float], list[float]]:
    """The base knows a third whatever the support; the student more of what is supported."""
    luck = random.Random(seed)
    base = [float(luck.random() < 0.33) for _ in range(N)]
    student = [float(luck.random() < 0.2 + 0.6 * bleu_of(i) / 100) for i in range(N)]
    return base, student


def only(found: tuple[SupportCurve, ...]) -> SupportCurve:
    (curve,) = found
    return curve


def test_points_and_slope_are_those_of_plain_arithmetic() -> None:
    base, student = scores()
    curve = only(
        conclude(FACTS, [sheet("base", base), sheet("student", student)], {("broad", 0): rows()})
        .support
    )  # fmt: skip
    assert (curve.base, curve.corpus, curve.tokens) == ("L", "broad", 1000)
    assert [(p.low, p.high) for p in curve.points] == [(0, 10), (10, 20), (20, 40), (40, 100)]
    gains = np.array(student) - np.array(base)
    bleu = np.array([bleu_of(i) for i in range(N)])
    for point in curve.points:
        inside = (bleu >= point.low) & (bleu < point.high)
        assert point.gain.n == inside.sum() == point.base.n
        assert point.base.value == pytest.approx(np.array(base)[inside].mean())
        assert point.student.value == pytest.approx(np.array(student)[inside].mean())
        assert point.gain.value == pytest.approx(gains[inside].mean())
        assert point.gain.low < point.gain.value < point.gain.high
    slope, _ = np.polyfit(bleu / 10, gains, 1)
    assert curve.slope.value == pytest.approx(slope)
    assert curve.slope.n == N


def test_the_slopes_interval_is_that_of_a_plain_bootstrap() -> None:
    base, student = scores()
    curve = only(
        conclude(FACTS, [sheet("base", base), sheet("student", student)], {("broad", 0): rows()})
        .support
    )  # fmt: skip
    gains = np.array(student) - np.array(base)
    x = np.array([bleu_of(i) for i in range(N)]) / 10
    luck = np.random.default_rng(1)
    drawn = [
        np.polyfit(x[pick], gains[pick], 1)[0] for pick in luck.integers(0, N, (2000, N))
    ]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert curve.slope.low == pytest.approx(low, abs=0.006)
    assert curve.slope.high == pytest.approx(high, abs=0.006)
    assert curve.slope.low > 0


def test_a_gain_that_does_not_follow_support_has_a_slope_around_0() -> None:
    luck = random.Random(3)
    base = [float(luck.random() < 0.4) for _ in range(N)]
    student = [float(luck.random() < 0.4) for _ in range(N)]
    sheets = [sheet("base", base), sheet("student", student)]
    slope = only(conclude(FACTS, sheets, {("broad", 0): rows()}).support).slope
    assert slope.low < 0 < slope.high


def test_unscored_items_and_items_of_unknown_support_are_counted_not_guessed() -> None:
    base, student = scores()
    student[0] = None
    found = conclude(
        FACTS, [sheet("base", base), sheet("student", student)], {("broad", 0): rows(N - 3)}
    )
    curve = only(found.support)
    assert (curve.slope.n, curve.slope.unscored) == (N - 4, 1)
    assert "3 items of unknown support left out" in curve.slope.note
    assert (curve.points[0].gain.n, curve.points[0].gain.unscored) == (19, 1)
    assert sum(p.gain.n for p in curve.points) == N - 4


def test_seeds_without_support_are_left_out_and_worlds_of_their_own_are_pooled() -> None:
    sheets, support = [], {}
    for seed in (0, 1):
        names = tuple(f"nq-{seed}:{i}" for i in range(N))
        base, student = scores(seed)
        sheets += [sheet("base", base, seed, names), sheet("student", student, seed, names)]
        support["broad", seed] = rows(prefix=f"{seed}:")
    first = only(conclude(FACTS, sheets, {("broad", 0): support["broad", 0]}).support)
    both = only(conclude(FACTS, sheets, support).support)
    assert first.slope.n == N
    assert both.slope.n == 2 * N
    slopes = [
        np.polyfit(
            [bleu_of(i) / 10 for i in range(N)], np.subtract(*reversed(scores(seed))), 1
        )[0]
        for seed in (0, 1)
    ]  # fmt: skip
    assert first.slope.value == pytest.approx(slopes[0])
    assert both.slope.value == pytest.approx(np.mean(slopes))


def test_one_run_of_a_public_base_serves_every_seed() -> None:
    base, _ = scores(0)
    sheets = [sheet("base", base)] + [sheet("student", scores(s)[1], s) for s in (0, 1)]
    support = {("broad", seed): rows() for seed in (0, 1)}
    curve = only(conclude(FACTS, sheets, support).support)
    gains = [np.mean(scores(s)[1][:20]) - np.mean(base[:20]) for s in (0, 1)]
    assert curve.points[0].gain.value == pytest.approx(np.mean(gains))
    assert curve.points[0].gain.n == 40


def test_no_curve_without_support_and_no_slope_where_nothing_varies() -> None:
    base, student = scores()
    sheets = [sheet("base", base), sheet("student", student)]
    assert conclude(FACTS, sheets).support == ()
    assert conclude(FACTS, sheets, {("broad", 0): rows(measure="mmlu")}).support == ()
    assert conclude(FACTS, sheets, {("local", 0): rows()}).support == ()
    flat = [row.model_copy(update={"bleu": 3.0}) for row in rows()]
    curve = only(conclude(FACTS, sheets, {("broad", 0): flat}).support)
    assert curve.slope.value is None
    assert "does not vary" in curve.slope.note
    assert [(p.low, p.high, p.gain.n) for p in curve.points] == [(0, 100, N)]
    same = conclude(FACTS, [sheet("base", base), sheet("student", base)], {("broad", 0): rows()})
    assert "same on every item" in only(same.support).slope.note


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_every_item_lies_in_one_bin_and_no_bin_is_too_small(values: list[float]) -> None:
    bleu = np.array(values)
    found = bins(bleu)
    held = [within(bleu, low, high) for low, high in found]
    assert (np.sum(held, axis=0) == 1).all()
    assert (found[0][0], found[-1][1]) == (0, 100)
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert len(found) == 1 or min(inside.sum() for inside in held) >= FEWEST


def test_a_narrow_spread_is_cut_at_quantiles() -> None:
    bleu = np.linspace(11, 19, 120)
    found = bins(bleu)
    assert len(found) == 4
    assert [within(bleu, *ends).sum() for ends in found] == [30] * 4
    assert [high for _, high in found[:-1]] == [13.0, 15.0, 17.0]
