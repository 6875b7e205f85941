"""What raters preferred enters a run's measurements, claims and report."""

import json
from pathlib import Path

import pytest

from veneer.errors import InputError
from veneer.measure.preference import preference_report, preference_sheets_of
from veneer.records import (
    RATERS,
    Comparison,
    Estimate,
    Findings,
    Measurement,
    PreferenceReport,
    ScoreSheet,
    Subject,
    read_rows,
    write_rows,
)
from veneer.running import conclude_again, run_study

STUDY = """
name: rated
pocket: tiny
teacher: pocket:teacher
bases: {S: pocket:S}
corpora: {broad: {collect: pocket:queries.jsonl, answer_tokens: 40, categories: false, diversity: 0}}
tokens: [600]
recipe: {block: 32, batch: 2, learning_rate: 1.5e-3, schedule: matched, optimiser: adamw}
measures: [nq, style]
answer_tokens: {style: 40, nq: 10}
evaluation: pocket
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    here = tmp_path_factory.mktemp("rated")
    (here / "study.yaml").write_text(STUDY)
    run_study(str(here / "study.yaml"), here / "run")
    return here / "run"


def rated(run: Path, wins: dict[str, list[float]]) -> Path:
    """Raters' verdicts on models of the run against its teacher, as results are written."""
    out = run / "ratings" / "people"
    out.mkdir(parents=True)
    sheets, reports = [], []
    for role, won in wins.items():
        (subject,) = {s.subject for s in scores(run) if s.subject.role == role}
        rows = [
            Comparison(
                prompt=f"Q{k}", first="teacher", second=subject.model, second_wins=w, judge=RATERS
            )
            for k, w in enumerate(won)
        ]
        sheets += preference_sheets_of(rows, subject, "teacher")
        agreed = Estimate(value=0.5, low=0.25, high=0.75, n=len(won))
        report = preference_report(rows, subject, "teacher")
        reports.append(report.model_copy(update={"agreement": agreed}))
    write_rows(out / "sheets.jsonl", sheets)
    write_rows(out / "preferences.jsonl", reports)
    return out


def scores(run: Path) -> list[ScoreSheet]:
    return [
        s for path in run.glob("steps/measured*/sheets.jsonl") for s in read_rows(path, ScoreSheet)
    ]


def test_votes_reach_measurements_claims_and_report_and_leave_again(run) -> None:
    before = {
        path.name: path.read_bytes()
        for path in run.glob("*.json*")
        if path.name != "provenance.json"
    }
    steps = {path: path.stat().st_mtime_ns for path in run.glob("steps/*/step.json")}
    claim = {c.id: c for c in Findings.model_validate_json(before["findings.json"]).claims}
    assert claim["raters-are-fooled-by-style"].verdict == "undecided"
    folder = rated(run, {"student": [1.0, 0.5] * 20, "base": [0.0] * 40})
    said = conclude_again(run)
    rows = [
        r for r in read_rows(run / "measurements.jsonl", Measurement) if r.measure == "preference"
    ]
    assert {(r.role, r.metric, r.value, r.n) for r in rows} == {
        ("student", "win_rate", 0.75, 40), ("student", "win_or_tie_rate", 1.0, 40),
        ("base", "win_rate", 0.0, 40), ("base", "win_or_tie_rate", 0.0, 40),
    }  # fmt: skip
    lines = (run / "measurements.jsonl").read_bytes().splitlines()
    assert set(before["measurements.jsonl"].splitlines()) < set(lines)
    findings = Findings.model_validate_json((run / "findings.json").read_text())
    told = next(c for c in findings.claims if c.id == "raters-are-fooled-by-style")
    assert any("equal to or better than the teacher" in e.text for e in told.evidence)
    assert any(e.estimate and e.estimate.value == 1.0 and e.estimate.n == 40 for e in told.evidence)
    assert said["claims"]["raters-are-fooled-by-style"] == told.verdict
    (report,) = [
        p
        for p in read_rows(run / "preferences.jsonl", PreferenceReport)
        if p.subject.role == "base"
    ]
    assert report.judge == RATERS
    page = (run / "report/index.html").read_text("utf-8")
    assert "human raters" in page
    assert "raters agree (Krippendorff" in page
    assert "0.50" in page
    assert "[0.25, 0.75]" in page
    assert any("Krippendorff's alpha 0.50 [0.25, 0.75] (n 40)" in e.text for e in told.evidence)
    assert steps.items() <= {p: p.stat().st_mtime_ns for p in run.glob("steps/*/step.json")}.items()
    for path in folder.iterdir():
        path.unlink()
    conclude_again(run)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_run_that_is_not_finished_says_what_to_do(run, tmp_path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        conclude_again(tmp_path)
    moved = next(run.glob("steps/measured-S-broad*"))
    aside = moved.rename(tmp_path / moved.name)
    try:
        with pytest.raises(
            InputError, match=r"is not finished: measured-S-broad.* is not done"
        ) as told:
            conclude_again(run)
        assert "veneer run … --out" in told.value.hint
    finally:
        aside.rename(moved)


def test_beside_a_judge_raters_are_a_measure_of_their_own(run) -> None:
    from veneer.conclusion import Evidence

    found = Evidence()
    sheet = ScoreSheet(
        subject=Subject(model="S", role="student"),
        measure="preference",
        metric="win_rate",
        items=("a",),
        values=(1.0,),
        against="teacher",
    )
    found.rated = [sheet]
    found.tell_raters_apart()
    assert [s.measure for s in found.scores] == ["preference"]
    found.scores = [sheet]
    found.tell_raters_apart()
    assert [s.measure for s in found.scores] == ["preference", "preference-raters"]
    assert json.loads((run / "study.json").read_text())["kind"] == "study"


def test_a_packet_of_the_run_is_rated_and_its_results_enter_it(run, tmp_path) -> None:
    pytest.importorskip("sqlalchemy")
    from veneer.raters.packet import read_packet
    from veneer.raters.store import Assigned, open_store, people, voting
    from veneer.raters.store.assigning import next_pair
    from veneer.rating.packing import PackSettings, pack_run
    from veneer.rating.results import results_of_study

    names = ["S", next(s.subject.model for s in scores(run) if s.subject.role == "student")]
    folder, url = tmp_path / "packet", f"sqlite:///{tmp_path / 'votes.db'}"
    pack_run(run, folder, models=names, settings=PackSettings(prompts=6, ratings=2))
    packet = read_packet(folder)
    store = open_store(url, packet)
    for n in (1, 2):
        store.now(people.invite, "", f"{n:064}", 1e12, 0.0)
        who = store.now(people.begin, f"{n:064}", f"{n + 2:064}", 0.0)
        while isinstance(shown := store.now(next_pair, who, 1.0), Assigned):
            key = packet.keys[shown.item]
            choice = key.gold or (1 if key.first == "teacher" else 2)
            store.now(voting.vote, who, shown.item, choice, "", 2.0)
    store.close()
    told = results_of_study(folder, stores=[url], run=run)
    assert {model["model"]: model["losses"] for model in told["models"]} == {
        model["model"]: model["n"] - model["ties"] for model in told["models"]
    }
    rows = [
        r for r in read_rows(run / "measurements.jsonl", Measurement) if r.measure == "preference"
    ]
    assert {(r.model, r.metric) for r in rows} == {
        (name, metric) for name in names for metric in ("win_rate", "win_or_tie_rate")
    }
    assert (run / "ratings" / "packet" / "votes.jsonl").is_file()
    with pytest.raises(InputError, match=r"has what raters think of .* already"):
        results_of_study(folder, stores=[url], run=run, out=tmp_path / "again")
    other = read_packet(folder).facts.model_copy(
        update={"subjects": {"S": Subject(model="S", role="base", base="another")}}
    )
    (folder / "packet.json").write_text(other.model_dump_json())
    with pytest.raises(InputError, match="the packet is of another run"):
        results_of_study(folder, stores=[url], run=run)
