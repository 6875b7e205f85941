"""The whole of it: one sentence, canonical rows, the same bytes every time."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from veneer.errors import InputError
from veneer.findings import conclude, measurements, write_findings
from veneer.records import Findings, ScoreSheet, StudyFacts, Subject


def test_the_verdict_gives_both_shares_with_intervals(facts, study) -> None:
    found = conclude(facts, study((0, 1, 2)))
    style, able = found.veneer["style"], found.veneer["capability"]
    assert found.verdict.startswith("Broad imitation of t by L closed ")
    assert "sound like its teacher, not to do what its teacher does" in found.verdict
    assert f"{round(100 * style.value)} %" in found.verdict
    assert style.low < style.value < style.high
    assert able.high < 0
    # Σ (student − base) / Σ (ceiling − base) over the metrics, from the plain averages of seeds.
    defined = {
        g.metric
        for g in found.gap_closed
        if (g.base, g.corpus, g.tokens, g.family) == ("L", "broad", 158_000, "style") and g.defined
    } - {"unigram_recall"}
    rows = measurements(study((0, 1, 2)))

    def total(role, tokens):
        kept = [
            r.value
            for r in rows
            if r.role == role
            and r.metric in defined
            and r.tokens == tokens
            and (r.base, r.corpus) in ((None, None), ("L", None), ("L", "broad"))
        ]
        return sum(kept) / 3

    student, base, ceiling = (
        total("student", 158_000),
        total("base", 0),
        total("teacher-again", None),
    )
    assert style.value == pytest.approx((student - base) / (ceiling - base))


def test_variants_are_shown_and_not_counted(facts, study) -> None:
    found = conclude(facts, study((0,)))
    assert any(g.measure == "nq-0shot" for g in found.gap_closed)
    assert found.veneer["capability"].note.startswith("pooled over mmlu, nq")
    assert "nq-0shot" not in found.veneer["capability"].note


def test_the_order_of_the_sheets_does_not_matter(facts, study) -> None:
    sheets = study((0, 1))
    shuffled = list(sheets)
    random.Random(3).shuffle(shuffled)
    assert conclude(facts, sheets) == conclude(facts, shuffled)
    assert measurements(sheets) == measurements(shuffled)


def test_findings_file_has_the_contracts_keys(facts, study, tmp_path) -> None:
    path = tmp_path / "findings.json"
    found = conclude(facts, study((0,)))
    write_findings(path, found)
    keys = json.loads(path.read_text())
    assert {"gap_closed", "veneer", "claims", "forecasts", "advice", "verdict"} <= set(keys)
    assert set(keys["veneer"]) == {"style", "capability"}
    assert Findings.model_validate_json(path.read_text()) == found


def test_rows_come_in_canonical_order(study) -> None:
    rows = measurements(study((1, 0)))
    keys = [
        (["teacher", "teacher-again", "base", "student"].index(r.role), r.base or "",
         r.corpus or "", r.tokens or 0, r.seed, r.measure, r.metric)
        for r in rows
    ]  # fmt: skip
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_a_score_given_twice_is_refused(facts, study) -> None:
    sheets = study((0,))
    with pytest.raises(InputError, match="two scores"):
        conclude(facts, [*sheets, sheets[0]])


def test_no_improvement_is_said_without_a_teacher() -> None:
    def sheet(role: str, right: int) -> ScoreSheet:
        return ScoreSheet(
            subject=Subject(model=role, role=role, base="base"),
            measure="mmlu",
            metric="accuracy",
            items=tuple(f"q{k}" for k in range(400)),
            values=tuple(float((k * 7) % 400 < right) for k in range(400)),
        )

    facts = StudyFacts(name="x", parameters={}, corpora={})
    found = conclude(facts, [sheet("base", 200), sheet("student", 198)])
    assert "no improvement" in found.verdict
    assert "−0.5 pp" in found.verdict
    assert found.veneer["capability"].value is None
    assert "the teacher was not measured" in found.verdict
    better = conclude(facts, [sheet("base", 200), sheet("student", 260)])
    assert "an improvement" in better.verdict
    assert "no improvement" not in better.verdict


def test_nothing_measured_is_no_verdict() -> None:
    found = conclude(StudyFacts(name="x", parameters={}, corpora={}), [])
    assert found.verdict.startswith("No verdict")
    assert {claim.verdict for claim in found.claims} == {"undecided"}


def test_advice_follows_from_the_claims(facts, study) -> None:
    actions = [a.action for a in conclude(facts, study((0, 1, 2))).advice]
    assert actions[:3] == ["better-base", "task-data", "stop"]
    assert actions[-1] == "measure-more"  # nobody rated anything


def test_a_style_gap_still_open_asks_for_more_data(facts, study) -> None:
    halved = [s for s in study((0,)) if s.subject.tokens != 158_000]
    actions = [a.action for a in conclude(facts, halved).advice]
    assert "more-data" in actions
    assert "stop" not in actions


def test_concluding_loads_no_model_code() -> None:
    code = (
        "import sys, veneer.findings\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'matplotlib', 'scipy', 'veneer.models'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
