"""The divergence alarm: when it sounds, when it must not, and what it says."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from veneer.findings import conclude
from veneer.findings.alarms import falls_of, p_below
from veneer.findings.resample import RESAMPLES, Sampled, undefined
from veneer.records import CorpusFacts, ScoreSheet, StudyFacts, Subject

N = 300
FACTS = StudyFacts(
    name="x", parameters={"S": 10, "L": 100}, corpora={"broad": CorpusFacts(kind="broad")}
)


def model(base: str, tokens: int, **rates: float) -> list[ScoreSheet]:
    """A base (0 tokens) or a student; its `style`, `liked` and benchmark rates."""
    role = "student" if tokens else "base"
    who = Subject(
        model=f"{base}-{tokens}", role=role, base=base, corpus="broad" if tokens else None,
        tokens=tokens,
    )  # fmt: skip
    sheets = []
    for name, rate in rates.items():
        measure, metric = {
            "style": ("style", "list_agreement"), "liked": ("preference", "win_rate"),
        }.get(name, (name, "accuracy"))  # fmt: skip
        luck = random.Random(f"{base}{tokens}{name}")
        right = [1.0] * round(N * rate) + [0.0] * (N - round(N * rate))
        luck.shuffle(right)
        sheets.append(
            ScoreSheet(
                subject=who, measure=measure, metric=metric, values=tuple(right),
                items=tuple(f"{name}-{i}" for i in range(N)),
                against="teacher" if name == "liked" else "",
            )
        )  # fmt: skip
    return sheets


def alarms(*models: list[ScoreSheet]):
    return conclude(FACTS, [sheet for sheets in models for sheet in sheets]).alarms


def test_style_up_and_a_benchmark_down_sounds_with_both_numbers() -> None:
    (found,) = alarms(
        model("L", 0, style=0.1, mmlu=0.7, nq=0.5), model("L", 9000, style=0.8, mmlu=0.4, nq=0.5)
    )
    assert found.id == "style-up-capability-down"
    assert (found.base, found.corpus, found.tokens) == ("L", "broad", 9000)
    (rising,), (falling,) = found.rising, found.falling
    assert rising.estimate.value == pytest.approx(0.7)
    assert falling.estimate.value == pytest.approx(-0.3)
    assert rising.estimate.low > 0 > falling.estimate.high
    assert found.text.startswith("L + broad, 9k tokens, compared with its base: ")
    assert "the mean style score rises by 70.0 pp [" in found.text
    assert "mmlu falls by 30.0 pp [" in found.text
    assert "1 of 2 benchmarks looked at" in found.text
    assert found.text.count("(n 300)") == 2


@pytest.mark.parametrize(
    ("style", "mmlu"), [(0.12, 0.4), (0.8, 0.68), (0.8, 0.9), (0.05, 0.4), (0.8, None)]
)
def test_no_alarm_where_either_interval_includes_0_or_points_the_other_way(style, mmlu) -> None:
    taught = model("L", 9000, style=style, **({} if mmlu is None else {"mmlu": mmlu}))
    assert alarms(model("L", 0, style=0.1, mmlu=0.7), taught) == ()


def test_preference_has_an_alarm_of_its_own_where_the_opponent_is_the_same() -> None:
    base = model("L", 0, liked=0.1, mmlu=0.7)
    taught = model("L", 9000, liked=0.5, mmlu=0.4)
    (found,) = alarms(base, taught)
    assert found.id == "preference-up-capability-down"
    assert "the win rate against the teacher rises by 40.0 pp" in found.text
    other = [
        s.model_copy(update={"against": "a third model"}) if s.measure == "preference" else s
        for s in taught
    ]
    assert alarms(base, other) == ()


def test_amounts_are_compared_too_and_the_largest_base_stands_first() -> None:
    found = alarms(
        *(
            sheets
            for base in ("S", "L")
            for sheets in (
                model(base, 0, style=0.1, mmlu=0.7),
                model(base, 1000, style=0.4, mmlu=0.7),
                model(base, 9000, style=0.8, mmlu=0.4),
            )
        )
    )
    assert [(a.base, "its base" in a.text, "1k tokens:" in a.text) for a in found] == [
        ("L", True, False), ("L", False, True), ("S", True, False), ("S", False, True),
    ]  # fmt: skip
    assert [a.rising[0].estimate.value for a in found] == pytest.approx([0.7, 0.4, 0.7, 0.4])


def normal(mean: float, seed: int) -> Sampled:
    draws = np.random.default_rng(seed).normal(mean, 1, RESAMPLES)
    return Sampled(mean, draws, 100)


def test_p_values_are_those_of_the_normal_distribution_the_draws_come_from() -> None:
    for mean in (-1.0, -2.0, -2.5):
        many = Sampled(mean, np.random.default_rng(1).normal(mean, 1, 400_000), 100)
        assert p_below(many) == pytest.approx(2 * stats.norm.cdf(mean), rel=0.03)
    assert p_below(normal(3, 1)) == 1
    assert p_below(undefined("no")) == 1


def test_falls_are_holms_over_all_that_was_looked_at() -> None:
    def holm(changes: list[Sampled]) -> list[bool]:
        """The textbook's adjusted p-values: the running maximum of (m − i) p."""
        order = sorted(range(len(changes)), key=lambda i: p_below(changes[i]))
        worst, said = 0.0, [False] * len(changes)
        for turn, i in enumerate(order):
            worst = max(worst, (len(changes) - turn) * p_below(changes[i]))
            said[i] = worst <= 0.05
        return said

    for case in range(40):
        luck = np.random.default_rng(case)
        changes = [normal(mean, case * 10 + k) for k, mean in enumerate(luck.uniform(-4, 0.5, 6))]
        assert falls_of(changes) == holm(changes)
    border = normal(-2.15, 5)  # p ≈ 0.03: a fall alone, none among ten
    assert falls_of([border]) == [True]
    assert falls_of([border, *(normal(0.5, k) for k in range(9))]) == [False] * 10


def test_many_benchmarks_that_do_not_change_seldom_sound() -> None:
    """Style rises, ten benchmarks stay as they are: a false alarm in at most about 5 %."""
    sounded = 0
    for case in range(60):
        luck = np.random.default_rng(1000 + case)
        changes = []
        for _ in range(10):
            mean = luck.normal()
            changes.append(Sampled(mean, luck.normal(mean, 1, RESAMPLES), 100))
        sounded += any(falls_of(changes))
    assert sounded <= 6
