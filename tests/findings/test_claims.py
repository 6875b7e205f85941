"""Verdicts on made-up studies whose truth is known."""

from __future__ import annotations

import pytest

from veneer.findings import conclude
from veneer.findings.claims import STATEMENTS
from veneer.findings.thresholds import LITTLE
from veneer.records import Aggregate, CorpusFacts, ScoreSheet, StudyFacts, Subject

ORDER = [
    "style-improves-with-data",
    "broad-imitation-leaves-capability",
    "local-imitation-works",
    "better-base-beats-more-data",
    "raters-are-fooled-by-style",
    "safety-style-is-inherited",
]


def verdicts(facts, sheets) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in conclude(facts, sheets).claims}


def replaced(sheets, change):
    """The sheets with `change(sheet)` in place of each (None drops it)."""
    return [new for sheet in sheets if (new := change(sheet)) is not None]


def with_values(sheet: ScoreSheet, values) -> ScoreSheet:
    return sheet.model_copy(update={"values": tuple(values)})


def test_six_claims_in_the_papers_order(facts, study) -> None:
    claims = conclude(facts, study((0,))).claims
    assert [claim.id for claim in claims] == ORDER == list(STATEMENTS)
    assert all(claim.evidence for claim in claims)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_paper_reproduces_where_the_world_is_the_papers(facts, study, seeds) -> None:
    assert verdicts(facts, study(seeds)) == {
        "style-improves-with-data": "holds",
        "broad-imitation-leaves-capability": "holds",
        "local-imitation-works": "holds",
        "better-base-beats-more-data": "holds",
        "raters-are-fooled-by-style": "undecided",
        "safety-style-is-inherited": "holds",
    }


def test_a_world_turned_round_fails_the_claims(facts, study) -> None:
    """Students of little data swap scores with those of much, teacher and base likewise."""
    few, much = 16_000, 158_000
    sheets = study((0,))
    by_key = {(s.subject.model, s.measure, s.metric): s for s in sheets}

    def swapped(sheet: ScoreSheet) -> ScoreSheet:
        who = sheet.subject
        if who.corpus == "local":
            other = who.base
        elif who.tokens in (few, much):
            other = f"{who.base}-{much if who.tokens == few else few}"
        else:
            return sheet
        found = by_key[other, sheet.measure, sheet.metric]
        if who.corpus == "local":  # worse than its base
            return with_values(sheet, [float(v and k % 2) for k, v in enumerate(found.values)])
        return with_values(sheet, found.values)

    found = verdicts(facts, replaced(sheets, swapped))
    assert found["style-improves-with-data"] == "fails"
    assert found["local-imitation-works"] == "fails"


def test_capability_that_came_with_imitation_fails_the_claim(facts, study) -> None:
    def learned(sheet: ScoreSheet) -> ScoreSheet:
        if sheet.subject.corpus == "broad" and sheet.measure in ("nq", "mmlu"):
            return with_values(sheet, [float(k % 20 != 0) for k in range(len(sheet.values))])
        return sheet

    found = verdicts(facts, replaced(study((0,)), learned))
    assert found["broad-imitation-leaves-capability"] == "fails"


def test_more_data_may_beat_the_better_base(facts, study) -> None:
    """Much data makes every base perfect, little makes it useless: size then gains nothing."""

    def level(sheet: ScoreSheet) -> ScoreSheet:
        who = sheet.subject
        if who.corpus == "broad" and sheet.measure in ("nq", "mmlu"):
            return with_values(sheet, [float(who.tokens == 158_000)] * len(sheet.values))
        return sheet

    found = verdicts(facts, replaced(study((0,)), level))
    assert found["better-base-beats-more-data"] == "fails"


def test_one_student_decides_nothing_about_data_and_says_so(facts, study) -> None:
    kept = [
        s for s in study((0,))
        if s.subject.role != "student" or s.subject.model == "L-158000"
    ]  # fmt: skip
    claims = {c.id: c for c in conclude(facts, kept).claims}
    assert claims["style-improves-with-data"].verdict == "undecided"
    first, second = claims["style-improves-with-data"].evidence
    assert "two amounts" in first.text
    assert second.estimate is not None
    assert second.estimate.value > 0.5  # base → student is given all the same
    assert claims["better-base-beats-more-data"].verdict == "undecided"
    assert claims["local-imitation-works"].verdict == "undecided"


def test_sizes_unknown_leave_the_bases_uncompared(study, facts) -> None:
    blind = facts.model_copy(update={"parameters": {}})
    claim = conclude(blind, study((0,))).claims[3]
    assert claim.verdict == "undecided"
    assert "sizes are known" in claim.evidence[0].text


def test_a_teacher_no_safer_than_its_bases_leaves_nothing_to_inherit(facts, study) -> None:
    def careless(sheet: ScoreSheet) -> ScoreSheet:
        if sheet.subject.role == "teacher" and sheet.metric == "non_toxicity":
            return with_values(sheet, [float(k % 5 == 0) for k in range(len(sheet.values))])
        return sheet

    claim = conclude(facts, replaced(study((0,)), careless)).claims[5]
    assert claim.verdict == "undecided"
    assert any("nothing to inherit" in line.text for line in claim.evidence)


def test_raters_fooled_needs_preference_high_and_capability_low(facts, study) -> None:
    sheets = study((0,))

    def preferred(model: str, base: str, share: float) -> ScoreSheet:
        values = [float(k < 200 * share) for k in range(200)]
        return ScoreSheet(
            subject=Subject(model=model, role="student", base=base, corpus="broad", tokens=158_000),
            measure="preference",
            metric="win_or_tie_rate",
            items=tuple(f"p{k}" for k in range(200)),
            values=tuple(values),
            against="teacher",
        )

    liked = [preferred(f"{base}-158000", base, 0.7) for base in "SML"]
    disliked = [preferred(f"{base}-158000", base, 0.2) for base in "SML"]
    so_so = [preferred(f"{base}-158000", base, 0.5) for base in "SML"]
    assert verdicts(facts, sheets + liked)["raters-are-fooled-by-style"] == "holds"
    assert verdicts(facts, sheets + disliked)["raters-are-fooled-by-style"] == "fails"
    assert verdicts(facts, sheets + so_so)["raters-are-fooled-by-style"] == "undecided"
    no_benchmarks = [s for s in sheets if s.measure in ("style", "toxicity")]
    alone = conclude(facts, no_benchmarks + liked).claims[4]
    assert alone.verdict == "undecided"
    assert any("70 %" in line.text for line in alone.evidence)


def test_preference_against_a_third_model_is_read_as_a_gap(facts, study) -> None:
    def rated(role: str, model: str, rate: float, **more) -> ScoreSheet:
        return ScoreSheet(
            subject=Subject(model=model, role=role, **more),
            measure="preference",
            metric="win_rate",
            items=tuple(f"p{k}" for k in range(200)),
            values=tuple(float(k < 200 * rate) for k in range(200)),
            against="a third model",
        )

    rows = [
        rated("teacher", "t", 0.9),
        rated("base", "L", 0.1, base="L", tokens=0),
        rated("student", "L-158000", 0.8, base="L", corpus="broad", tokens=158_000),
    ]
    claim = conclude(facts, study((0,)) + rows).claims[4]
    assert claim.verdict == "holds"
    assert claim.evidence[0].estimate.value == pytest.approx((0.8 - 0.1) / (0.9 - 0.1))


def test_the_papers_own_table_1_decides_only_what_it_can() -> None:
    """Totals without standard errors: gap closed has a value, but no verdict without intervals."""

    def row(value: float, role: str, base: str | None = None, corpus: str | None = None):
        tokens = {"base": 0, "student": 150_000_000}.get(role)
        who = Subject(model=role, role=role, base=base, corpus=corpus, tokens=tokens)
        return Aggregate(subject=who, measure="nq", metric="exact_match", value=value / 100)

    rows = [row(31, "teacher")]
    for base, bare, broad, local in (("7B", 17, 10, 22), ("13B", 20, 15, 27)):
        rows += [row(bare, "base", base), row(broad, "student", base, "ShareGPT-Mix")]
        rows += [row(local, "student", base, "NQ-Synthetic")]
    facts = StudyFacts(
        name="the paper",
        parameters={"7B": 7 * 10**9, "13B": 13 * 10**9},
        corpora={
            "ShareGPT-Mix": CorpusFacts(kind="broad"),
            "NQ-Synthetic": CorpusFacts(kind="local", task="nq"),
        },
    )
    found = conclude(facts, rows)
    closed = {(g.base, g.corpus): round(100 * g.value) for g in found.gap_closed}
    assert closed == {
        ("7B", "ShareGPT-Mix"): -50,
        ("13B", "ShareGPT-Mix"): -45,
        ("7B", "NQ-Synthetic"): 36,
        ("13B", "NQ-Synthetic"): 64,
    }
    assert {claim.verdict for claim in found.claims} == {"undecided"}
    assert round(100 * found.veneer["capability"].value) == -45


def test_standard_errors_make_the_same_table_decide() -> None:
    def row(value: float, role: str, base: str | None = None, corpus: str | None = None):
        tokens = {"base": 0, "student": 150_000_000}.get(role)
        who = Subject(model=role, role=role, base=base, corpus=corpus, tokens=tokens)
        return Aggregate(
            subject=who, measure="nq", metric="exact_match", value=value / 100,
            standard_error=0.0065, n=3610,
        )  # fmt: skip

    rows = [row(31, "teacher"), row(20, "base", "13B")]
    rows += [row(15, "student", "13B", "broad"), row(27, "student", "13B", "local")]
    facts = StudyFacts(
        name="x",
        parameters={},
        corpora={"broad": CorpusFacts(kind="broad"), "local": CorpusFacts(kind="local", task="nq")},
    )
    found = verdicts(facts, rows)
    assert found["broad-imitation-leaves-capability"] == "holds"
    assert found["local-imitation-works"] == "holds"
    assert LITTLE == 0.25
