"""The page: self-contained, escaped, complete, and the same every time."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import report_samples as samples
from report_dom import Node, read

from veneer.errors import InputError
from veneer.records import (
    CorpusFacts,
    Example,
    Findings,
    LedgerLine,
    Measurement,
    StudyFacts,
    read_rows,
)
from veneer.report import build
from veneer.report.publish import publish

RUNS = ("study", "concluded", "judged", "audit", "empty")


def html_of(run: Path) -> str:
    return (run / "report" / "index.html").read_text(encoding="utf-8")


def page_of(run: Path) -> Node:
    return read(html_of(run))


@pytest.fixture(params=RUNS)
def any_run(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_nothing_is_fetched(any_run: Path) -> None:
    html, page = html_of(any_run), page_of(any_run)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)", html)
    assert not page.all("link") + page.all("iframe") + page.all("img")
    assert all("src" not in node.attributes for node in page.all())
    ids = {node.attributes.get("id") for node in page.all()}
    for node in page.all():
        target = node.attributes.get("href")
        if target and target.startswith("#"):
            assert target[1:] in ids
        elif target is not None:
            assert (any_run / "report" / target).is_file()


def test_ids_are_unique(any_run: Path) -> None:
    counts = Counter(n.attributes["id"] for n in page_of(any_run).all() if "id" in n.attributes)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_colour_has_a_light_and_a_dark_value(study: Path) -> None:
    css = page_of(study).all("style")[0].text
    light = re.search(r":root \{(.*?)\}", css, re.S)
    dark = re.search(r"scheme: dark\) \{\s*:root \{(.*?)\}", css, re.S)
    assert light is not None
    assert dark is not None
    declared = [set(re.findall(r"(--[a-z0-9-]+):", found[1])) for found in (light, dark)]
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", html_of(study)))
    used -= {"--tone", "--share"}  # set by each family's class, by each cell
    assert used <= declared[0]
    assert used - declared[1] == {"--face", "--mono"}
    in_figures = " ".join(m for m in re.findall(r"<svg.*?</svg>", html_of(study), re.S))
    assert not re.search(r"#[0-9a-f]{6}", in_figures)


def test_outputs_are_shown_as_text(study: Path) -> None:
    page = page_of(study)
    assert len(page.all("script")) == 1
    assert "alert" not in page.all("script")[0].text
    assert not page.all("img")
    shown = {node.text for node in page.all("div", "said")}
    for example in read_rows(study / "examples.jsonl", Example):
        for _, text in example.answers:
            assert text in shown or text == ""  # markup and newlines are kept as they are
    prompts = [node.text for node in page.all("p", "prompt")]
    assert prompts == [e.prompt for e in read_rows(study / "examples.jsonl", Example)]
    assert "(an empty answer)" in shown


def test_teacher_base_and_best_fed_students_stand_first(study: Path) -> None:
    first = page_of(study).all("article")[0]
    open_cards = first.all("div", "answers")[0].all("div", "answer")
    said = [" ".join(card.all("p", "who")[0].text.split()) for card in open_cards]
    assert said == [
        "teacher", "base L", "student L · broad · 158k tokens", "student L · local · 21k tokens",
    ]  # fmt: skip
    assert "12 more answers" in first.all("summary")[0].text


def test_measurements_csv_is_the_measurements(any_run: Path) -> None:
    with (any_run / "report/tables/measurements.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = list(read_rows(any_run / "measurements.jsonl", Measurement))
    assert len(rows) == len(found)
    for row, one in zip(rows, found, strict=True):
        wanted = one.model_dump()
        assert list(row) == list(wanted)
        assert row == {k: "" if v is None else str(v) for k, v in wanted.items()}


def parsed(text: str) -> float | None:
    """A number on the page, read the way a reader would: rates as fractions."""
    if text == "undefined":
        return None
    plain = text.replace("\N{MINUS SIGN}", "-").replace("\xa0", " ")
    return float(plain.removesuffix(" %")) / (100 if plain.endswith("%") else 1)


def test_everything_measured_is_on_the_page(any_run: Path) -> None:
    shown = defaultdict(list)
    for table in page_of(any_run).all("table", "measured"):
        for row in table.all("tbody")[0].all("tr"):
            cells = [c.text for c in row.children if isinstance(c, Node)]
            shown[cells[0], int(cells[5])].append(cells)
    count = 0
    for one in read_rows(any_run / "measurements.jsonl", Measurement):
        wanted = (one.value, one.low, one.high)
        for cells in shown[one.model, one.seed]:
            ends = re.findall(r"[\d.\N{MINUS SIGN}]+", cells[7])
            scale = 1 if one.metric == "length_correlation" else 100
            got = (parsed(cells[6]), *(parsed(e) / scale for e in ends))
            if one.value is None:
                fits = cells[6] == "undefined"
            else:
                fits = len(got) == 3 and got == pytest.approx(wanted, abs=0.0051)
            if fits and cells[8:] == [str(one.n), str(one.unscored)]:
                shown[one.model, one.seed].remove(cells)
                count += 1
                break
        else:
            pytest.fail(f"{one} is not on the page")
    assert not any(shown.values())
    assert count == sum(1 for _ in (any_run / "measurements.jsonl").open())


def test_bars_say_the_records(any_run: Path) -> None:
    findings = Findings.model_validate_json((any_run / "findings.json").read_text())
    said = [node.text for node in page_of(any_run).all("div", "value")]
    assert len(said) == 2
    for text, side in zip(said, ("style", "capability"), strict=True):
        e = findings.veneer.get(side)
        value = e.value if e else None
        got = parsed(text)
        assert (got is None) == (value is None)
        if value is not None:
            assert got == pytest.approx(value, abs=0.0051)


def test_undefined_comes_with_its_reason(audit: Path, empty: Path) -> None:
    (why,) = page_of(audit).all("em", "none")
    assert why.text == "no benchmark results were given"
    reasons = [node.text for node in page_of(empty).all("em", "none")]
    assert reasons == ["the interval of (ceiling − base) includes 0", "not measured"]
    assert "0\xa0%" not in "".join(n.text for n in page_of(empty).all("div", "value"))


def test_claims_are_all_there_with_their_evidence(concluded: Path) -> None:
    findings = Findings.model_validate_json((concluded / "findings.json").read_text())
    items = [n for n in page_of(concluded).all("li") if n.all("span", "badge")]
    assert [n.attributes["id"] for n in items] == [c.id for c in findings.claims]
    for item, claim in zip(items, findings.claims, strict=True):
        assert claim.verdict in item.all("span", "badge")[0].text.split()
        assert claim.statement == item.all("h3")[0].text
        for piece in claim.evidence:
            assert piece.text in item.text


def test_advice_and_forecasts_are_told(concluded: Path) -> None:
    findings = Findings.model_validate_json((concluded / "findings.json").read_text())
    text = page_of(concluded).text
    assert findings.forecasts
    assert findings.advice
    for told in (*(a.text for a in findings.advice), *(f.outcome for f in findings.forecasts)):
        assert told in text
    assert findings.verdict == page_of(concluded).all("h1")[0].text


def test_what_a_run_lacks_is_said_and_not_drawn(audit: Path, study: Path) -> None:
    told = [n.text for n in page_of(audit).all("section")[2].all("ul", "missing")[0].all("li")]
    for name in ("Figure 1", "Figure 3", "Figure 4", "Figure 5", "Table 1"):
        assert any(line.startswith(name) for line in told), name
    assert not page_of(audit).all("svg")
    drawn = sorted(p.stem for p in (audit / "report/figures").glob("*.svg"))
    assert drawn == ["veneer"]
    drawn = sorted(p.stem for p in (study / "report/figures").glob("*.png"))
    assert drawn == ["figure1", "figure4", "figure5", "gap", "veneer"]


def test_provenance_is_shown(study: Path, audit: Path) -> None:
    text = page_of(study).text
    for told in ("veneer run pocket --seeds 2", "torch 2.13.0", "pretrained-L", "44 s", "pocket:L",
                 "Sizes stand for base quality", "HumanEval-like tasks are unstable"):  # fmt: skip
        assert told in text
    assert "not joined: 0" in page_of(audit).text


def test_same_records_same_bytes(study: Path, tmp_path: Path) -> None:
    again = samples.study_run(tmp_path / "elsewhere")
    page = build(again)
    old, new = study / "report", page.parent
    names = sorted(p.relative_to(old) for p in old.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(new) for p in new.rglob("*") if p.is_file())
    for name in names:
        assert (old / name).read_bytes() == (new / name).read_bytes(), name


def test_a_new_report_replaces_the_old_one_whole(tmp_path: Path) -> None:
    run = samples.empty_run(tmp_path / "run")
    build(run)
    (run / "report" / "stale.txt").write_text("from another day")
    build(run)
    assert not (run / "report" / "stale.txt").exists()
    assert [p.name for p in run.iterdir() if p.name.startswith(".")] == []


def test_a_failed_write_leaves_the_old_report(tmp_path: Path) -> None:
    target = tmp_path / "report"
    publish(target, {"index.html": b"old"})
    with pytest.raises(OSError, match="a"):
        publish(target, {"index.html": b"new", "a": b"", "a/b": b""})
    assert (target / "index.html").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_an_unfinished_or_broken_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"measurements\.jsonl"):
        build(tmp_path)
    run = samples.empty_run(tmp_path / "run")
    (run / "provenance.json").write_text("[1]")
    with pytest.raises(InputError, match="one JSON object"):
        build(run)
    (run / "provenance.json").unlink()
    (run / "findings.json").write_text("{}")
    with pytest.raises(InputError, match="not a Findings"):
        build(run)
    assert not (run / "report").exists()


def test_the_front_door_is_light() -> None:
    code = (
        "import sys, veneer.report; heavy = {'matplotlib', 'jinja2', 'numpy', 'torch', 'yaml'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_imitation_data_and_its_terms_are_shown(tmp_path: Path) -> None:
    run = samples.study_run(tmp_path / "run")
    facts = StudyFacts.model_validate_json((run / "facts.json").read_text())
    lines = (
        LedgerLine(
            source="sharegpt",
            teacher="gpt-3.5-turbo",
            licence="",
            records=1203,
            compete="forbidden",
            commercial="allowed",
            grounds="terms of <use>",
        ),
        LedgerLine(
            source="forum",
            teacher="",
            licence="CC0-1.0",
            records=97,
            compete="unknown",
            commercial="allowed",
        ),
    )
    broad = CorpusFacts(
        kind="broad",
        records=1500,
        kept=1300,
        dropped={"no answer": 50, "a query met before": 150},
        ledger=lines,
        conflicts=("broad: 1,203 records may not train a competing model",),
    )
    changed = facts.model_copy(update={"corpora": {"broad": broad}})
    (run / "facts.json").write_text(changed.model_dump_json())
    build(run)
    text = re.sub(r"\s+", " ", page_of(run).text)
    assert "1,300 of 1,500 records kept; dropped: 150 a query met before; 50 no answer." in text
    assert "1,203 records may not train a competing model" in text
    assert "terms of <use>" in text
    with (run / "report" / "tables" / "ledger.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["corpus"], r["source"], int(r["records"])) for r in rows] == [
        ("broad", "sharegpt", 1203),
        ("broad", "forum", 97),
    ]
    assert sum(int(r["records"]) for r in rows) == broad.kept


def test_a_run_without_data_facts_has_no_data_section(study: Path) -> None:
    assert 'id="data"' not in html_of(study)
