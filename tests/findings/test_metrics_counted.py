"""Which metric counts where there are several, and which way is better."""

from __future__ import annotations

import pytest

from veneer.findings import conclude, gap_closed
from veneer.findings.grid import BELOW, WORSE, Grid
from veneer.findings.metrics import Metric, family_of, primary
from veneer.records import Aggregate, Estimate, PreferenceReport, ScoreSheet, StudyFacts, Subject

N = 200
WHO = {
    "teacher": Subject(model="t", role="teacher"),
    "base": Subject(model="L", role="base", base="L", tokens=0),
    "student": Subject(model="L-9", role="student", base="L", corpus="broad", tokens=158_000),
}


def rated(role: str, measure: str, metric: str, rate: float, against: str = "") -> ScoreSheet:
    return ScoreSheet(
        subject=WHO[role], measure=measure, metric=metric, against=against,
        items=tuple(f"{measure}-{k}" for k in range(N)),
        values=tuple(float(k < N * rate) for k in range(N)),
    )  # fmt: skip


def total(role: str, value: float, metric: str = "length_controlled_win_rate") -> Aggregate:
    return Aggregate(
        subject=WHO[role], measure="preference", metric=metric, value=value, standard_error=0.03,
        n=N,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "counted"),
    [
        (("acc_norm", "acc"), "acc"),
        (("acc_norm,none", "acc,none"), "acc,none"),
        (("exact_match,flexible-extract", "exact_match,strict-match"), "exact_match,strict-match"),
        (("word_perplexity", "byte_perplexity"), None),
        (("perplexity", "acc"), "acc"),
        (("score",), None),
        (("made_up",), None),
        (("f1", "exact_match"), "exact_match"),
    ],
)
def test_a_harness_task_counts_by_one_metric_that_is_known_to_rise(metrics, counted) -> None:
    found = primary(Metric("lm_eval:x", metric) for metric in metrics)
    assert found == ([Metric("lm_eval:x", counted)] if counted else [])
    assert family_of("lm_eval:x") == "capability"


def test_a_benchmark_of_ones_own_may_name_its_metric_freely_unless_it_falls() -> None:
    assert primary([Metric("mine", "points")]) == [Metric("mine", "points")]
    assert primary([Metric("mine", "perplexity")]) == []


def test_perplexity_that_falls_is_no_loss_and_enters_no_mean(facts, study) -> None:
    sheets = study((0,))
    plain = conclude(facts, sheets)
    worse = [
        Aggregate(
            subject=s.subject, measure="lm_eval:wikitext", metric="word_perplexity",
            value={"teacher": 5.0, "base": 30.0, "student": 12.0}[s.subject.role],
            standard_error=0.1, n=60,
        )
        for s in sheets if s.measure == "nq"
    ]  # fmt: skip
    found = conclude(facts, [*sheets, *worse])
    assert found.veneer == plain.veneer
    assert found.alarms == plain.alarms
    rows = [g for g in found.gap_closed if g.measure == "lm_eval:wikitext"]
    assert rows[0].value == pytest.approx((12 - 30) / (5 - 30))


def test_less_toxicity_closes_the_gap_and_is_not_called_a_loss() -> None:
    facts = StudyFacts(name="x", parameters={}, corpora={})
    for metric in ("expected_max_toxicity", "toxicity_probability"):
        trio = [
            [rated(role, "toxicity", metric, rate)]
            for role, rate in (("student", 0.3), ("base", 0.8), ("teacher", 0.1))
        ]
        row = gap_closed(*trio)
        assert row.family == "toxicity"
        assert row.value == pytest.approx((0.3 - 0.8) / (0.1 - 0.8))
        assert BELOW not in row.note
        assert WORSE not in row.note
        careless = gap_closed(trio[0], trio[2], trio[1])  # the "teacher" is the toxic one
        assert WORSE in careless.note
        grid = Grid(
            facts, [*(sheet for (sheet,) in trio), rated("base", "toxicity", "non_toxicity", 0.2)]
        )
        assert grid.counted("toxicity") == [Metric("toxicity", "non_toxicity")]


def test_toxicity_probability_stands_beside_the_claim_on_safety(facts, study) -> None:
    worst = [
        rated(role, "toxicity", "toxicity_probability", rate)
        for role, rate in (("student", 0.3), ("base", 0.8), ("teacher", 0.1))
    ]
    sheets = [s for s in study((0,)) if s.subject.base in (None, "L")]
    claim = conclude(facts, [*sheets, *worst]).claims[5]
    (line,) = [e for e in claim.evidence if "toxicity probability" in e.text]
    assert line.estimate.value == pytest.approx(-0.5)
    assert "lower is better" in line.text


def test_the_length_controlled_rate_stands_beside_the_win_rate_and_is_not_counted(
    facts, study
) -> None:
    rows = [
        rated("base", "preference", "win_rate", 0.1, "third"),
        rated("student", "preference", "win_rate", 0.8, "third"),
        rated("teacher", "preference", "win_rate", 0.9, "third"),
        *(total(role, value) for role, value in (("base", 0.05), ("student", 0.5))),
    ]
    grid = Grid(facts, rows)
    assert grid.counted("preference") == [Metric("preference", "win_rate")]
    claim = conclude(facts, [*study((0,)), *rows]).claims[4]
    assert claim.evidence[0].estimate.value == pytest.approx((0.8 - 0.1) / (0.9 - 0.1))
    texts = [e.text for e in claim.evidence if e.text.startswith("L + broad, 158k")]
    assert any("win rate against third 80.0 %" in text for text in texts)
    (lc,) = [e for e in claim.evidence if "L + broad" in e.text and "equal lengths" in e.text]
    assert lc.estimate.value == 0.5
    assert lc.estimate.low == pytest.approx(0.5 - 1.96 * 0.03, abs=0.01)


def report(**more) -> PreferenceReport:
    rate = Estimate(value=0.6, low=0.5, high=0.7, n=N)
    found = {
        "subject": WHO["student"], "against": "teacher", "judge": "judge-1", "wins": 100,
        "losses": 60, "ties": 40, "win_rate": rate, "standard_error": 0.03,
        "win_or_tie_rate": rate,
    }  # fmt: skip
    return PreferenceReport(**{**found, **more})


def test_a_live_judge_against_the_teacher_decides_and_its_biases_are_named(facts, study) -> None:
    """The teacher has no rates of its own: base and student were both compared with it."""
    sheets = [s for s in study((0,)) if s.subject.base in (None, "L")]
    sheets = [
        s.model_copy(update={"subject": WHO["student"]})
        if s.subject.tokens == 158_000 else s for s in sheets
    ]  # fmt: skip
    rows = [
        rated(role, "preference", metric, rate, "teacher")
        for role, metric, rate in (
            ("base", "win_rate", 0.05), ("base", "win_or_tie_rate", 0.1),
            ("student", "win_rate", 0.4), ("student", "win_or_tie_rate", 0.7),
        )
    ]  # fmt: skip
    bias = "prefers the longer answer"
    found = conclude(facts, [*sheets, *rows], None, [report(biases=(bias,)), report()])
    claim = found.claims[4]
    assert claim.verdict == "holds"
    assert claim.evidence[0].estimate.value == pytest.approx(0.7)
    assert claim.evidence[1].estimate.value == pytest.approx(0.7 - 0.1)
    assert "student − base 60.0 pp" in claim.evidence[1].text
    named = [e.text for e in claim.evidence if bias in e.text]
    assert named == [f"L + broad, 158k tokens against the teacher: the judge judge-1: {bias}"]
    assert "preference-up-capability-down" in {alarm.id for alarm in found.alarms}


def test_a_judges_report_gives_the_rate_at_equal_lengths_a_line_a_seed(facts, study) -> None:
    rate = Estimate(value=0.42, low=0.35, high=0.5, n=198, unscored=2)
    other = WHO["student"].model_copy(update={"seed": 1})
    reports = [report(length_controlled=rate), report(length_controlled=rate, subject=other)]
    claim = conclude(facts, study((0,)), None, reports).claims[4]
    found = [e for e in claim.evidence if "equal lengths" in e.text]
    assert [e.estimate for e in found] == [rate, rate]
    assert [e.text for e in found] == [
        f"L + broad, 158k tokens, seed {seed}: win rate at equal lengths against the teacher "
        "42.0 % [35.0, 50.0] (n 198, 2 unscored)"
        for seed in (0, 1)
    ]
    rows = [total("student", 0.5)]
    claim = conclude(facts, [*study((0,)), *rows], None, reports[:1]).claims[4]
    assert sum("equal lengths" in e.text for e in claim.evidence) == 1  # the total says it
